"""The stage complexity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb.keys import PREPARE
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import ComplexityParams

if TYPE_CHECKING:
    from mudata import MuData


class ComplexityStage(Stage[ComplexityParams]):
    """How many genes each cell expresses for its depth."""

    name: ClassVar[str] = "complexity"
    title: ClassVar[str] = "Complexity of the cells"
    purpose: ClassVar[str] = "Compares the number of genes detected in each cell with what its depth lets expect."
    Params: ClassVar[type[Params]] = ComplexityParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups",)
    writes: ClassVar[tuple[Slot, ...]] = (Slot("joint", "obs", "complexity"),)
    look: ClassVar[str] = "Most cells should lie near 1; a group far below may be dying or a mixture."
    tune: ClassVar[str] = "Raise the bound to be warned earlier."

    def run(self, data: MuData, params: ComplexityParams, context: Context) -> Result:
        """Compute the complexity of every cell and draw it."""
        from .compute import compute
        from .figures import figures
        from .report import alerts, methods, metrics, slots, tables

        found = compute(data, params, context)
        context.progress(0.8, "figures")
        return Result(
            slots=slots(found),
            tables=tables(found),
            figures=figures(found),
            metrics=metrics(found),
            alerts=alerts(found),
            methods=methods(found),
        )
