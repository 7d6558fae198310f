"""Parameters of the stage drivers."""

from __future__ import annotations

from mira_nb.stages.params import Params, param


class DriversParams(Params):
    """Parameters of the stage drivers."""

    n_cells: int = param(
        1500,
        "Number of cells on which each gene is scored, drawn in equal numbers from quanta of its expression.",
        unit="cells",
        ge=50,
    )
    n_bins: int = param(20, "Number of expression quanta from which the cells are drawn.", ge=1, le=500, advanced=True)
    queries: dict[str, list[str]] = param(
        {}, "Your own gene sets, tested besides those of topics and groups: {name: [gene, ...]}."
    )
    n_top: int = param(
        150, "Size of the automatic gene sets: top genes of a topic, marker genes of a group.", ge=5, le=5000
    )
    topics: bool = param(True, "Whether to test the top genes of each expression topic.")
    groups: bool = param(True, "Whether to test the marker genes of each group of cells.")
    primed: bool = param(
        True,
        "Whether to test, for each lineage of a branch, its primed genes and those that are not primed, and to compare "
        "the two.",
    )
    level: float = param(
        0.05,
        "False discovery rate, over all pairs of gene set and factor, below which a driver may be called.",
        gt=0,
        lt=1,
    )
    min_effect: float = param(
        0.147,
        "Least lower end of the 95 % interval of a driver's effect above decoys (rank-biserial correlation). The "
        "default is where effects cease to be negligible (Romano et al. 2006).",
        ge=0,
        lt=1,
    )
    n_decoys: int = param(
        120,
        "Number of decoys, sets of sites at random among peaks like a factor's own, that factors must exceed; 0: the "
        "published test alone.",
        ge=0,
        le=10_000,
    )
    n_match: int = param(
        5,
        "Number of quantiles of accessibility, and of GC content, within which decoys take their peaks.",
        ge=1,
        le=100,
        advanced=True,
    )
    family_similarity: float = param(
        0.7,
        "Smallest similarity of motif matrices (average linkage) that form one family.",
        gt=0,
        le=1,
        advanced=True,
    )
    compare: list[str] = param([], "Two gene sets for the two-set scatter; empty: the two with most drivers.")
    factors: list[str] = param(
        [],
        "Two factors whose targets' NITE scores are compared; empty: the best driver of each compared gene set.",
        choices_from="factors",
    )
    n_targets: int = param(
        150, "Number of targets of a factor: the genes with its highest association scores.", ge=5, advanced=True
    )
