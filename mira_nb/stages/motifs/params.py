"""Parameters of the stage motifs."""

from __future__ import annotations

from typing import Literal

from mira_nb.stages.params import Params, param


class MotifsParams(Params):
    """Parameters of the stage motifs."""

    pvalue: float = param(
        1e-5,
        "p-value threshold of a motif hit: probability that random sequence scores as high at one position. Not used "
        "for precomputed hits.",
        gt=0,
        le=0.01,
    )
    top_quantile: float = param(
        0.2,
        "Fraction of the modelled peaks, the most activated ones, that is tested as a topic's top peaks.",
        unit="fraction",
        gt=0,
        lt=1,
    )
    letters: Literal["uniform", "peaks"] = param(
        "uniform",
        "Letter frequencies of the random sequence behind the p-value: uniform = all four equally frequent; peaks = as "
        "in the peaks (fewer hits of GC-rich motifs in GC-rich peaks).",
        advanced=True,
    )
    pseudocount: float = param(
        0.01, "Pseudocount added to each position of a motif's count matrix.", unit="counts", gt=0, le=10, advanced=True
    )
    level: float = param(0.05, "False discovery rate below which a motif is called enriched in a topic.", gt=0, lt=1)
    family_similarity: float = param(
        0.4,
        "Smallest cosine similarity of the hits of motifs (average linkage) that form one family.",
        gt=0,
        le=1,
        advanced=True,
    )
    show: list[str] = param(
        [],
        "Factors whose scores are drawn on the map of cells; empty: the best of each topic's enriched families.",
        choices_from="factors",
    )
    n_show: int = param(
        24, "Largest number of factors drawn when none are named.", unit="factors", ge=1, le=100, advanced=True
    )
