"""Stage prepare: quality of the cells, choice of features, standard representations (PCA, LSI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb.keys import PREPARE
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result

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
