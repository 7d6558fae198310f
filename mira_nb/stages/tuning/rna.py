"""Stage tuning_rna: number of expression topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import PREPARE, TOPICS_RNA, TUNING_RNA
from mira_nb.stages.base import AllParams, Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import TuningRnaParams
from .skip import reason_to_skip

if TYPE_CHECKING:
    from mudata import MuData


class TuningRnaStage(Stage[TuningRnaParams]):
    """Number of expression topics, chosen by held-out likelihood."""

    name: ClassVar[str] = TUNING_RNA
    title: ClassVar[str] = "Number of expression topics"
    purpose: ClassVar[str] = (
        "Chooses the number of expression topics by the likelihood of held-out cells, and tells how stable they are."
    )
    Params: ClassVar[type[Params]] = TuningRnaParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "uns", keys.TUNING, "mapping", "number of topics, settings, stability of each topic"),
    )
    memory: ClassVar[Memory] = Memory(720, 22)
    look: ClassVar[str] = (
        "The curve of the loss should fall steeply up to the chosen number of topics and be nearly flat beyond it."
    )
    tune: ClassVar[str] = (
        "Take the mode paper for a full search; set topics_rna.n_topics to a number to choose it yourself."
    )

    def run(self, data: MuData, params: TuningRnaParams, context: Context) -> Result:
        """Tune the expression topic model."""
        from .compute import compute
        from .figures import figures
        from .report import alerts, methods, metrics, slots, tables, timing

        output = compute(data, params, context, "rna")
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
        return reason_to_skip(TOPICS_RNA, parameters)
