"""Stage topics_rna: the expression topic model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import PREPARE, TOPICS_RNA, TUNING_RNA
from mira_nb.stages.base import Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import TopicsRnaParams

if TYPE_CHECKING:
    from mudata import MuData


class TopicsRnaStage(Stage[TopicsRnaParams]):
    """Expression topics: programmes of genes that rise and fall together."""

    name: ClassVar[str] = TOPICS_RNA
    title: ClassVar[str] = "Expression topics"
    purpose: ClassVar[str] = (
        "Learns programmes of genes that rise and fall together, and how much each cell uses each of them."
    )
    Params: ClassVar[type[Params]] = TopicsRnaParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    uses: ClassVar[tuple[str, ...]] = (TUNING_RNA,)
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "obsm", keys.X_TOPICS, "cells x topics", "proportion, rows sum to 1"),
        Slot(
            "rna",
            "varm",
            keys.TOPIC_ACTIVATIONS,
            "genes x topics",
            "standard deviations; NaN where not modelled",
        ),
        Slot("rna", "uns", keys.TOPIC_MODEL, "mapping", "arrays of the fitted model"),
    )
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "obs", keys.READ_DEPTH, "cells", "counts; where the model estimates it"),
    )
    memory: ClassVar[Memory] = Memory(660, 20)
    look: ClassVar[str] = (
        "The loss on held-out cells should have flattened, and most topics should be high in one region of the map."
    )
    tune: ClassVar[str] = (
        "Take more topics if one topic covers cells that you know to differ, fewer if topics are copies of each other."
    )

    def run(self, data: MuData, params: TopicsRnaParams, context: Context) -> Result:
        """Fit the expression topic model."""
        from mira_nb.stages.shared.flags import mark_figures, mark_tables

        from .compute import compute
        from .diagnostics import diagnose
        from .figures import figures
        from .report import alerts, files, methods, metrics, slots, tables

        fitted = compute(data, params, context, "rna")
        context.progress(0.95, "diagnostics")
        diagnostics = diagnose(fitted, data, context)
        context.progress(0.98, "tables and figures")
        return Result(
            slots=slots(fitted),
            tables=mark_tables(tables(fitted, diagnostics), fitted.flags),
            figures=mark_figures(figures(fitted, diagnostics), fitted.flags),
            metrics=metrics(fitted, diagnostics),
            alerts=alerts(fitted, diagnostics),
            files=files(fitted),
            used=fitted.used,
            methods=methods(fitted),
        )
