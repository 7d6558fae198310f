"""Figures of the stage complexity."""

from __future__ import annotations

from mira_nb.charts.basic import Axis, Color, scatter
from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

from .compute import ComplexityOutput

TEXTS = Texts(__package__)


def figures(found: ComplexityOutput) -> list[Figure]:
    """Return genes against counts, one point per cell."""
    frame = found.depths.assign(complexity=found.complexity)
    chart = scatter(frame, x=Axis("n_counts", "counts"), y=Axis("n_genes", "genes detected"), color=Color("complexity"))
    return [TEXTS.figure("genes_by_counts", chart, n_cells=len(frame))]
