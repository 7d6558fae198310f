"""Stage prepare: quality of the cells, choice of features, standard representations (PCA, LSI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import PREPARE
from mira_nb.stages.base import Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import PrepareParams

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.io.resources import Resources


class PrepareStage(Stage[PrepareParams]):
    """Quality of the cells, feature selection and the standard representations."""

    name: ClassVar[str] = PREPARE
    title: ClassVar[str] = "Data and features"
    purpose: ClassVar[str] = (
        "Shows how deeply every cell was measured, chooses the genes and peaks to model, and draws the standard "
        "PCA and LSI maps for comparison."
    )
    Params: ClassVar[type[Params]] = PrepareParams
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "batch", "fragments")
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "var", keys.MODELLED, "genes", "true or false: read by the topic model"),
        Slot("rna", "var", keys.ENCODER, "genes", "true or false: read by the encoder"),
        Slot("rna", "obsm", keys.X_PCA, "cells x components", "coordinates of the principal components"),
        Slot("rna", "obsm", keys.X_UMAP_PCA, "cells x 2", "coordinates of the map"),
        Slot("atac", "var", keys.MODELLED, "peaks", "true or false: read by the topic model"),
        Slot("atac", "var", keys.ENCODER, "peaks", "true or false: read by the encoder"),
        Slot("atac", "obsm", keys.X_LSI, "cells x components", "coordinates of latent semantic indexing"),
        Slot("atac", "obsm", keys.X_UMAP_LSI, "cells x 2", "coordinates of the map"),
    )
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "var", "mean_expression", "genes", "log(1 + mean of the normalised counts)"),
        Slot("rna", "var", "dispersion", "genes", "log of variance over mean of the normalised counts"),
        Slot("rna", "var", "normalised_dispersion", "genes", "standard deviations among genes of like mean"),
        Slot("rna", "var", keys.HIGHLY_VARIABLE, "genes", "true or false: the PCA uses it, for scanpy"),
        Slot("rna", "var", "means", "genes", "as `mean_expression`, for scanpy"),
        Slot("rna", "var", "dispersions", "genes", "as `dispersion`, for scanpy"),
        Slot("rna", "var", "dispersions_norm", "genes", "as `normalised_dispersion`, for scanpy"),
        Slot("rna", "varm", keys.PCS, "genes x components", "loadings of the principal components, for scanpy"),
        Slot("rna", "uns", keys.PCA, "mapping", "variance and its fraction by component, for scanpy"),
        Slot("rna", "uns", keys.HVG, "mapping", "flavour of the selection, for scanpy"),
        Slot("atac", "obs", keys.N_FRAGMENTS, "cells", "number of fragments; with --fragments"),
        Slot("atac", "obs", keys.FRIP, "cells", "fraction of the fragments in peaks; with --fragments"),
        Slot(
            "atac", "obs", keys.NUCLEOSOME_SIGNAL, "cells", "mononucleosomal over shorter fragments; with --fragments"
        ),
        Slot("atac", "obs", keys.TSS_ENRICHMENT, "cells", "fold over background; with --fragments and --tss"),
    )
    memory: ClassVar[Memory] = Memory(520, 15)
    look: ClassVar[str] = (
        "Counts per cell should form one peak, and the marker genes of the cell types you expect should be "
        "among the modelled genes."
    )
    tune: ClassVar[str] = (
        "Model more genes if markers that you know are missing; every further gene costs training time."
    )

    def used_resources(self, resources: Resources) -> tuple[str, ...]:
        """Return the names of the resources that can change the result: start sites only beside fragments."""
        return (*self.optional_resources, "tss") if resources.has("fragments") else ("groups", "batch")

    def run(self, data: MuData, params: PrepareParams, context: Context) -> Result:
        """Select features, compute PCA, LSI and their UMAPs."""
        from .compute import compute
        from .figures import figures
        from .report import alerts, methods, metrics, slots, tables

        done = compute(data, params, context)
        context.progress(0.9, "figures")
        return Result(
            slots=slots(done),
            tables=tables(done),
            figures=figures(done),
            metrics=metrics(done),
            alerts=alerts(done),
            methods=methods(done),
        )
