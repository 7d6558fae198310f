"""Parameters of the stage motifs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


class MotifsParams(Params):
    """Parameters of the stage motifs."""

    pvalue: float = param(
        1e-5,
        "A site is a hit when random sequence scores as high at one position with at most this chance. Not used for "
        "precomputed hits.",
        gt=0,
        le=0.01,
    )
    top_quantile: float = param(
        0.2,
        "Share of the modelled peaks, the most activated ones, that counts as a topic's top peaks in the test.",
        unit="share",
        gt=0,
        lt=1,
    )
    letters: Literal["uniform", "peaks"] = param(
        "uniform",
        "Random sequence for the p value: all four letters equally frequent, or as frequent as in the peaks (fewer "
        "hits of GC-rich motifs in GC-rich peaks).",
        advanced=True,
    )
    pseudocount: float = param(
        0.01, "Added to each position of a motif's count matrix.", unit="counts", gt=0, le=10, advanced=True
    )
    level: float = param(0.05, "False discovery rate below which a motif is called enriched.", gt=0, lt=1)
    family_similarity: float = param(
        0.4,
        "Motifs whose hits have at least this cosine similarity (average linkage) form one family.",
        gt=0,
        le=1,
        advanced=True,
    )
    show: list[str] = param(
        [], "Factors to draw on the map of cells; empty: the best of each accessibility topic's enriched families."
    )
    n_show: int = param(
        24, "At most this many factors are drawn when none are named.", unit="factors", ge=1, le=100, advanced=True
    )
