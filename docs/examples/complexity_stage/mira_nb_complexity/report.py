"""Table, key figure, alert and methods text of the stage complexity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.stages.result import Alert, Metric, Slot, Table
from mira_nb.stages.texts import Texts

from .compute import ComplexityOutput

TEXTS = Texts(__package__)
MANY = 0.1
"""Fraction of simple cells above which the reader is warned."""


def slots(found: ComplexityOutput) -> dict[Slot, object]:
    """Return what is written into the MuData."""
    return {Slot("joint", "obs", "complexity"): found.complexity}


def tables(found: ComplexityOutput) -> list[Table]:
    """Return the complexity of each group of cells (of all cells, without groups)."""
    groups = found.annotations.groups
    labels = np.repeat("all cells", len(found.complexity)) if groups is None else groups.to_numpy()
    frame = pd.DataFrame({"group": labels, "complexity": found.complexity}).groupby("group")["complexity"]
    summary = frame.agg(n_cells="size", median="median", lowest="min").reset_index()
    return [TEXTS.table("groups", summary, low=found.params.low)]


def metrics(found: ComplexityOutput) -> list[Metric]:
    """Return the fraction of simple cells."""
    return [TEXTS.metric("simple", round(found.n_low / len(found.complexity), 4), low=found.params.low)]


def alerts(found: ComplexityOutput) -> list[Alert]:
    """Warn where many cells are simple."""
    n_cells = len(found.complexity)
    if found.n_low <= MANY * n_cells:
        return []
    return [TEXTS.alert("many_simple", n_low=found.n_low, n_cells=n_cells, low=found.params.low)]


def methods(found: ComplexityOutput) -> str:
    """Return the sentences for the methods section."""
    return TEXTS.methods(low=found.params.low)
