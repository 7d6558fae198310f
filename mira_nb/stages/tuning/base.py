"""What the stages tuning_rna and tuning_atac have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from mira_nb.keys import PREPARE
from mira_nb.stages.base import AllParams, Context, Stage
from mira_nb.stages.result import Result

from .params import TuningAtacParams, TuningRnaParams
from .skip import reason_to_skip

if TYPE_CHECKING:
    from mudata import MuData

P = TypeVar("P", TuningRnaParams, TuningAtacParams)


class TuningStage(Stage[P]):
    """Choice of the number of topics of one modality.

    Attributes
    ----------
    modality
        Which one.
    topics_stage
        The stage whose number of topics is chosen.
    """

    modality: ClassVar[Literal["rna", "atac"]]
    topics_stage: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    look: ClassVar[str] = (
        "The curve of the loss should fall steeply up to the chosen number of topics and be nearly flat beyond it."
    )

    def run(self, data: MuData, params: P, context: Context) -> Result:
        """Tune the topic model."""
        from .compute import compute
        from .figures import figures
        from .report import alerts, methods, metrics, slots, tables, timing

        output = compute(data, params, context, self.modality)
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
        return reason_to_skip(self.topics_stage, parameters)
