"""Parameters of the stage joint."""

from __future__ import annotations

from typing import Literal

from mira_nb.keys import CELL_LABEL, LEIDEN, SUBSET
from mira_nb.stages.params import Params, param


class JointParams(Params):
    """Parameters of the stage joint."""

    weights: Literal["balanced", "reliability"] = param(
        "reliability",
        "Weight of each modality in the joint space: in proportion to the split-half reliability of its topics, the "
        "fraction of their variation that resequencing would reproduce (reliability), or equal as published "
        "(balanced).",
    )
    n_neighbors: int = param(
        15, "Number of nearest neighbours per cell in the joint graph.", unit="cells", ge=2, le=500
    )
    resolution: float = param(
        1.0,
        "Resolution of Leiden clustering; higher values give more and smaller clusters.",
        changes=(LEIDEN, CELL_LABEL, SUBSET),
        gt=0,
        le=100,
    )
    min_dist: float = param(0.1, "UMAP: minimum distance between points (0 dense, 1 loose).", ge=0, le=1)
    markers: list[str] = param(
        [],
        "Genes to draw on every map; empty: one of the top genes of each expression topic.",
        choices_from="genes",
        changes=(),
    )
    n_markers: int = param(
        12, "Maximum number of genes drawn when none are named.", unit="genes", changes=(), ge=1, le=60, advanced=True
    )
    compare_neighbors: int = param(
        30,
        "Number of nearest neighbours in the representation benchmark (purity, accuracy, overlap).",
        unit="cells",
        changes=(),
        ge=2,
        le=500,
        advanced=True,
    )
    compare_cells: int = param(
        20_000,
        "Maximum number of cells in the representation benchmark; larger data are sampled at random.",
        changes=(),
        ge=100,
        le=200_000,
        advanced=True,
    )
    floor: float = param(
        1e-8,
        "Lower bound of topic proportions in the log-ratio transform; smaller ones are raised to it.",
        gt=0,
        le=1e-2,
        advanced=True,
    )
    batch_variance: float = param(
        0.1,
        "A topic or cluster follows the batch (--batch) where the batch explains this fraction of its variance beyond "
        "the groups (--groups), or alone where no groups were given.",
        gt=0,
        le=1,
        advanced=True,
    )
