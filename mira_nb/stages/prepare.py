"""Stage prepare: quality of the cells, choice of features, standard representations (PCA, LSI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mira_nb.keys import (
    ATAC,
    ENCODER,
    MODELLED,
    PREPARE,
    RNA,
    X_LSI,
    X_PCA,
    X_UMAP_LSI,
    X_UMAP_PCA,
)

from .base import Context, Params, Result, Slot, Stage, param

if TYPE_CHECKING:
    from mudata import MuData

    from ._prepare_report import Prepared


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


class PrepareStage(Stage[PrepareParams]):
    """Quality of the cells, feature selection and the standard representations."""

    name: ClassVar[str] = PREPARE
    title: ClassVar[str] = "Data and features"
    purpose: ClassVar[str] = (
        "Shows how deeply every cell was measured, chooses the genes and peaks to model, and draws the standard "
        "PCA and LSI maps for comparison."
    )
    Params: ClassVar[type[Params]] = PrepareParams
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "batch")

    def run(self, data: MuData, params: PrepareParams, context: Context) -> Result:
        """Select features, compute PCA, LSI and their UMAPs."""
        from mira_nb.core.features import log_normalize, select_genes, select_peaks
        from mira_nb.core.neighbors import embed
        from mira_nb.core.representation import lsi, pca

        from ._cells import cell_annotations, cell_depths
        from ._prepare_report import Prepared, alerts, figures, methods, metrics, tables

        annotations = cell_annotations(data, context.resources)
        depths = cell_depths(data)
        context.progress(0.05, "choosing genes and peaks")
        rna, atac = data.mod[RNA], data.mod[ATAC]
        genes = select_genes(
            rna.X,
            min_mean=params.min_mean,
            min_dispersion=params.min_dispersion,
            encoder_min_dispersion=params.encoder_min_dispersion,
            encoder_min_genes=params.encoder_min_genes,
            encoder_fill_genes=params.encoder_fill_genes,
            target_sum=params.target_sum,
        )
        peaks = select_peaks(
            atac.X, encoder_max_peaks=params.encoder_max_peaks, rng=np.random.default_rng([context.seed, 1])
        )
        context.progress(0.15, "principal components of expression")
        expression = log_normalize(rna.X, target_sum=params.target_sum)[:, np.flatnonzero(genes.encoder)]
        components = pca(expression, n_components=params.n_pcs, seed=context.seed)
        context.progress(0.25, "latent semantic indexing of accessibility")
        topics = lsi(atac.X, n_components=params.n_lsi, seed=context.seed)
        layouts = {}
        for step, (name, projection) in enumerate((("pca", components), ("lsi", topics))):
            context.progress(0.4 + 0.25 * step, f"UMAP of {name.upper()}")
            layouts[name] = embed(
                projection.coordinates, k=params.n_neighbors, min_dist=params.min_dist, seed=context.seed
            )
        context.progress(0.9, "figures")
        prepared = Prepared(
            data=data,
            params=params,
            annotations=annotations,
            depths=depths,
            genes=genes,
            peaks=peaks,
            pca=components,
            lsi=topics,
            umap_pca=layouts["pca"],
            umap_lsi=layouts["lsi"],
        )
        return Result(
            slots=_slots(prepared),
            tables=tables(prepared),
            figures=figures(prepared),
            metrics=metrics(prepared),
            alerts=alerts(prepared),
            methods=methods(prepared),
        )


def _slots(done: Prepared) -> dict[Slot, Any]:
    """Give what later stages read: chosen features and the standard representations."""
    table = done.genes.table
    return {
        Slot("rna", "var", MODELLED): done.genes.modelled,
        Slot("rna", "var", ENCODER): done.genes.encoder,
        Slot("rna", "var", "mean_expression"): table["mean"].to_numpy(),
        Slot("rna", "var", "dispersion"): table["dispersion"].to_numpy(),
        Slot("rna", "var", "normalised_dispersion"): table["normalised_dispersion"].to_numpy(),
        Slot("atac", "var", MODELLED): done.peaks.modelled,
        Slot("atac", "var", ENCODER): done.peaks.encoder,
        Slot("rna", "obsm", X_PCA): done.pca.coordinates,
        Slot("rna", "obsm", X_UMAP_PCA): done.umap_pca,
        Slot("atac", "obsm", X_LSI): done.lsi.coordinates,
        Slot("atac", "obsm", X_UMAP_LSI): done.umap_lsi,
    }
