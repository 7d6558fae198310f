"""Parameters of the stage prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


class PrepareParams(Params):
    """Parameters of the stage prepare."""

    min_mean: float = param(
        0.0125,
        "Genes are modelled when log(1 + mean normalised expression) is above this.",
        ge=0,
        le=10,
    )
    min_dispersion: float = param(
        0.0,
        "Genes are modelled when their dispersion, log(variance / mean) of the normalised expression, is above this.",
        ge=-10,
        le=10,
    )
    encoder_min_dispersion: float = param(
        0.5,
        "Modelled genes are read by the encoder (and enter the PCA) when their normalised dispersion, a z-score among "
        "genes of similar mean, is above this.",
        ge=-10,
        le=10,
    )
    encoder_min_genes: int = param(
        2000,
        "When fewer genes than this pass the threshold above, genes of next highest normalised dispersion are added "
        "up to encoder_fill_genes: weak programmes are found by many genes together (0: threshold alone, as "
        "published).",
        unit="genes",
        ge=0,
        le=100_000,
        advanced=True,
    )
    encoder_fill_genes: int = param(
        2000,
        "Number of genes the encoder reads when too few pass the threshold (all, when fewer are modelled).",
        unit="genes",
        ge=3,
        le=100_000,
        advanced=True,
    )
    encoder_max_peaks: int = param(
        100_000,
        "All open peaks are modelled; above this number the encoder reads a random subset of this size.",
        unit="peaks",
        ge=100,
        le=10_000_000,
        advanced=True,
    )
    target_sum: float = param(
        10_000, "Counts per cell after depth normalisation.", unit="counts", gt=0, le=1e7, advanced=True
    )
    n_pcs: int = param(50, "Principal components of expression.", unit="components", ge=2, le=500, advanced=True)
    n_lsi: int = param(50, "LSI components of accessibility.", unit="components", ge=2, le=500, advanced=True)
    n_neighbors: int = param(
        15, "Neighbours of a cell in the graphs behind the PCA and LSI UMAPs.", unit="cells", ge=2, le=500
    )
    min_dist: float = param(
        0.1, "UMAP: how tightly points may be packed (0 tight, 1 loose).", ge=0, le=1, advanced=True
    )
