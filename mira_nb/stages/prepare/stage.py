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
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "var", keys.MODELLED),
        Slot("rna", "var", keys.ENCODER),
        Slot("rna", "obsm", keys.X_PCA),
        Slot("rna", "obsm", keys.X_UMAP_PCA),
        Slot("atac", "var", keys.MODELLED),
        Slot("atac", "var", keys.ENCODER),
        Slot("atac", "obsm", keys.X_LSI),
        Slot("atac", "obsm", keys.X_UMAP_LSI),
    )
    memory: ClassVar[Memory] = Memory(560, 28)
    look: ClassVar[str] = (
        "Counts per cell should form one peak, and the marker genes of the cell types you expect should be "
        "among the modelled genes."
    )
    tune: ClassVar[str] = (
        "Model more genes if markers that you know are missing; every further gene costs training time."
    )

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
