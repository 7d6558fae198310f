"""Parameters of the stage joint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


class JointParams(Params):
    """Parameters of the stage joint."""

    weights: Literal["balanced", "reliability"] = param(
        "reliability",
        "How much each modality counts in the joint space: by the share of its topics' variation that another "
        "sequencing would repeat (reliability), or both the same as published (balanced).",
    )
    n_neighbors: int = param(15, "Neighbours of every cell in the joint graph.", unit="cells", ge=2, le=500)
    resolution: float = param(1.0, "Leiden: higher gives more and smaller clusters.", gt=0, le=100)
    min_dist: float = param(0.1, "UMAP: how tightly points may be packed (0 tight, 1 loose).", ge=0, le=1)
    markers: list[str] = param([], "Genes to draw on every map; empty: one of the top genes of each expression topic.")
    n_markers: int = param(
        12, "At most this many genes are drawn when none are named.", unit="genes", ge=1, le=60, advanced=True
    )
    compare_neighbors: int = param(
        30,
        "Neighbours used to compare representations (purity, accuracy, overlap).",
        unit="cells",
        ge=2,
        le=500,
        advanced=True,
    )
    compare_cells: int = param(
        20_000,
        "Above this number of cells, a random sample of this size is compared.",
        ge=100,
        le=200_000,
        advanced=True,
    )
    floor: float = param(
        1e-8,
        "Topic proportions below this count as this in the log-ratio transform.",
        gt=0,
        le=1e-2,
        advanced=True,
    )
