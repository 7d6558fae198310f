"""Stage tuning_atac: number of accessibility topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import PREPARE, TOPICS_ATAC, TUNING_ATAC
from mira_nb.stages.base import AllParams, Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import TuningAtacParams
from .skip import reason_to_skip

if TYPE_CHECKING:
    from mudata import MuData


class TuningAtacStage(Stage[TuningAtacParams]):
    """Number of accessibility topics, chosen by held-out likelihood."""

    name: ClassVar[str] = TUNING_ATAC
    title: ClassVar[str] = "Number of accessibility topics"
    purpose: ClassVar[str] = (
        "Chooses the number of accessibility topics by the likelihood of held-out cells, and tells how stable they are."
    )
    Params: ClassVar[type[Params]] = TuningAtacParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("atac", "uns", keys.TUNING, "mapping", "number of topics, settings, stability of each topic"),
    )
    memory: ClassVar[Memory] = Memory(700, 40)
    look: ClassVar[str] = (
        "The curve of the loss should fall steeply up to the chosen number of topics and be nearly flat beyond it."
    )
    tune: ClassVar[str] = (
        "Take the mode paper for a full search; set topics_atac.n_topics to a number to choose it yourself."
    )

    def run(self, data: MuData, params: TuningAtacParams, context: Context) -> Result:
        """Tune the accessibility topic model."""
        from .compute import compute
        from .figures import figures
        from .report import alerts, methods, metrics, slots, tables, timing

        output = compute(data, params, context, "atac")
        context.progress(0.95, "tables and figures")
        return Result(
            slots=slots(output),
            tables=tables(output),
            figures=figures(output),
            metrics=metrics(output),
            alerts=alerts(output),
            files=[timing(output)],
            used=output.used,
            methods=methods(output),
        )

    def skip_reason(self, parameters: AllParams) -> str:
        """Return that the number of topics was given, if it was."""
        return reason_to_skip(TOPICS_ATAC, parameters)
