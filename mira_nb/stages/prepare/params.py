"""Parameters of the stage prepare."""

from __future__ import annotations

from mira_nb.stages.params import Params, param


class PrepareParams(Params):
    """Parameters of the stage prepare."""

    min_counts: int = param(
        0, "Cells with fewer RNA counts are left out when the input is read (0: off).", unit="counts", ge=0, le=10**9
    )
    max_counts: int = param(
        0, "Cells with more RNA counts are left out when the input is read (0: off).", unit="counts", ge=0, le=10**9
    )
    min_genes: int = param(
        0, "Cells with fewer genes detected are left out when the input is read (0: off).", unit="genes", ge=0, le=10**6
    )
    min_peaks: int = param(
        0, "Cells with fewer open peaks are left out when the input is read (0: off).", unit="peaks", ge=0, le=10**7
    )
    max_mitochondrial: float = param(
        0.0,
        "Cells with a larger fraction of counts in genes named MT-... are left out when the input is read (0: off).",
        ge=0,
        le=1,
    )
    min_tss_enrichment: float = param(
        0.0,
        "Cells with a smaller TSS enrichment are left out when the input is read (0: off; needs fragments and start "
        "sites).",
        ge=0,
        le=100,
    )
    min_mean: float = param(
        0.0125,
        "Minimum log(1 + mean normalised expression) of modelled genes.",
        ge=0,
        le=10,
    )
    min_dispersion: float = param(
        0.0,
        "Minimum normalised dispersion of modelled genes: log(variance / mean) of the normalised expression as a "
        "z-score among genes of similar mean.",
        ge=-10,
        le=10,
    )
    modelled_min_genes: int = param(
        2000,
        "When fewer genes than this pass min_dispersion, the genes of next highest normalised dispersion are modelled "
        "too: a panel was selected before (0: the threshold alone, as published).",
        unit="genes",
        ge=0,
        le=100_000,
        advanced=True,
    )
    encoder_min_dispersion: float = param(
        0.5,
        "Minimum normalised dispersion, a z-score among genes of similar mean, of the genes that the encoder reads and "
        "the PCA uses.",
        ge=-10,
        le=10,
    )
    encoder_min_genes: int = param(
        2000,
        "When fewer genes than this pass encoder_min_dispersion, the genes of next highest normalised dispersion are "
        "added, up to encoder_fill_genes: weak programmes only show in many genes together (0: the threshold alone, "
        "as published).",
        unit="genes",
        ge=0,
        le=100_000,
        advanced=True,
    )
    encoder_fill_genes: int = param(
        2000,
        "Number of genes that the encoder reads when too few pass the threshold (at most all modelled genes).",
        unit="genes",
        ge=3,
        le=100_000,
        advanced=True,
    )
    encoder_max_peaks: int = param(
        100_000,
        "Maximum number of peaks that the encoder reads, drawn at random from more; all open peaks are modelled.",
        unit="peaks",
        ge=100,
        le=10_000_000,
        advanced=True,
    )
    target_sum: float = param(
        10_000, "Total counts per cell after depth normalisation.", unit="counts", gt=0, le=1e7, advanced=True
    )
    n_pcs: int = param(
        50, "Number of principal components of expression.", unit="components", ge=2, le=500, advanced=True
    )
    n_lsi: int = param(50, "Number of LSI components of accessibility.", unit="components", ge=2, le=500, advanced=True)
    n_neighbors: int = param(
        15, "Number of nearest neighbours per cell in the graphs of the PCA and LSI UMAPs.", unit="cells", ge=2, le=500
    )
    min_dist: float = param(0.1, "UMAP: minimum distance between points (0 dense, 1 loose).", ge=0, le=1, advanced=True)
