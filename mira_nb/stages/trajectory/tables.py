"""Tables of terminal states and of parts that are not connected to the start cell; how branch times are described."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.core.trajectory.lineage_tree import LineageTree
from mira_nb.stages.texts import Texts

from .compute import TrajectoryOutput

TEXTS = Texts(__package__)
COLUMNS = ["lineage", "cell", "group", "pseudotime", "prominence", "n_cells", "eigenvalue", "accepted", "reason"]


def branch_sentence(tree: LineageTree) -> str:
    """Return, as a part of a sentence, where lineages separate by the rule used."""
    return TEXTS.text("branch_time", rule=tree.rule, threshold=tree.threshold, cut=tree.cut * tree.threshold)


def terminal_table(traced: TrajectoryOutput) -> pd.DataFrame:
    """Return the terminal cells given, then all candidates found, accepted or not, with the reason.

    Returns
    -------
    DataFrame
        One row per terminal cell or candidate; the column ``group`` only where the cells have groups.
    """
    groups = traced.annotations.groups
    labels = None if groups is None else groups.to_numpy()[traced.cells]
    frame = pd.DataFrame([*_given_rows(traced, labels), *_found_rows(traced, labels)], columns=COLUMNS)
    return frame if labels is not None else frame.drop(columns="group")


def _are_given(traced: TrajectoryOutput) -> bool:
    """Return whether the user gave terminal cells or fate probabilities."""
    return bool(traced.params.terminal_cells) or traced.found.terminal is None


def _lineages(traced: TrajectoryOutput) -> dict[int, str]:
    """Return the lineage of each terminal cell; empty where no lineages are drawn."""
    return dict(zip(traced.found.ends.tolist(), traced.found.lineages, strict=True)) if traced.drawn else {}


def _given_rows(traced: TrajectoryOutput, labels: np.ndarray | None) -> list[list[Any]]:
    """Return one row per terminal cell that the user gave, itself or by fate probabilities."""
    if not _are_given(traced):
        return []
    found, names = traced.found, traced.names
    reason = TEXTS.text("terminal_given") if found.terminal is not None else TEXTS.text("terminal_of_given_fates")
    if not traced.supported:
        reason = TEXTS.text("terminal_drawn", reason=reason)
    rows: list[list[Any]] = []
    for cell, name in _lineages(traced).items():
        label = "" if labels is None else labels[cell]
        rows.append([name, names[cell], label, found.pseudotime[cell], np.nan, np.nan, np.nan, True, reason])
    return rows


def _found_rows(traced: TrajectoryOutput, labels: np.ndarray | None) -> list[list[Any]]:
    """Return one row per candidate found on the graph; none when fate probabilities were given."""
    found, names, lineage = traced.found, traced.names, _lineages(traced)
    if found.terminal is None:
        return []
    rows: list[list[Any]] = []
    for row in found.terminal.table.to_dict("records"):
        cell = int(row["cell"])
        known = cell >= 0
        accepted = bool(row["accepted"]) and traced.drawn and not _are_given(traced)
        rows.append(
            [
                lineage.get(cell, "") if accepted else "",
                names[cell] if known else "",
                labels[cell] if known and labels is not None else "",
                found.pseudotime[cell] if known else np.nan,
                row["prominence"],
                row["n_cells"],
                row["eigenvalue"],
                accepted,
                _reason(traced, row["reason"], chosen=bool(row["accepted"])),
            ]
        )
    return rows


def _reason(traced: TrajectoryOutput, reason: str, *, chosen: bool) -> str:
    """Return why a candidate was accepted or rejected, where the stage overrules the selection of candidates."""
    if chosen and _are_given(traced):
        return TEXTS.text("terminal_replaced")
    if chosen and not traced.drawn:
        return TEXTS.text("terminal_unsupported")
    if chosen and not traced.supported:
        return TEXTS.text("terminal_drawn", reason=reason)
    return str(reason)


def component_table(traced: TrajectoryOutput) -> pd.DataFrame:
    """Return one row per part of the graph without the start cell: size, name of a cell, commonest group."""
    groups = traced.annotations.groups
    rows = []
    for item in traced.start.manifold.others:
        cells = traced.rows[item.cells]
        row = {"component": item.label, "n_cells": len(cells), "first_cell": str(traced.data.obs_names[cells[0]])}
        if groups is not None:
            counts = groups.iloc[cells].value_counts()
            row |= {"group": str(counts.index[0]), "share_of_group": float(counts.iloc[0] / len(cells))}
        rows.append(row)
    return pd.DataFrame(rows)
