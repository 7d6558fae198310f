"""Figures of the stage complexity."""

from __future__ import annotations

from mira_nb.charts.basic import Channel, Color, scatter
from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

from .compute import ComplexityOutput

TEXTS = Texts(__package__)


def figures(found: ComplexityOutput) -> list[Figure]:
    """Return genes against counts, one point per cell."""
    frame = found.depths.assign(complexity=found.complexity)
    chart = scatter(
        frame, x=Channel("n_counts", "counts"), y=Channel("n_genes", "genes detected"), color=Color("complexity")
    )
    return [TEXTS.figure("genes_by_counts", chart, n_cells=len(frame))]
