"""Stage topics_atac: the accessibility topic model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import PREPARE, TOPICS_ATAC, TUNING_ATAC
from mira_nb.stages.base import Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import TopicsAtacParams

if TYPE_CHECKING:
    from mudata import MuData


class TopicsAtacStage(Stage[TopicsAtacParams]):
    """Accessibility topics: sets of peaks that open together."""

    name: ClassVar[str] = TOPICS_ATAC
    title: ClassVar[str] = "Accessibility topics"
    purpose: ClassVar[str] = "Learns sets of peaks that open together, and how much each cell uses each of them."
    Params: ClassVar[type[Params]] = TopicsAtacParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    uses: ClassVar[tuple[str, ...]] = (TUNING_ATAC,)
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("atac", "obsm", keys.X_TOPICS, "cells x topics", "proportion, rows sum to 1"),
        Slot(
            "atac",
            "varm",
            keys.TOPIC_ACTIVATIONS,
            "peaks x topics",
            "standard deviations; NaN where not modelled",
        ),
        Slot("atac", "uns", keys.TOPIC_MODEL, "mapping", "arrays of the fitted model"),
    )
    memory: ClassVar[Memory] = Memory(720, 38)
    look: ClassVar[str] = (
        "The loss on held-out cells should have flattened, and most topics should be high in one region of the map."
    )
    tune: ClassVar[str] = (
        "Take more topics if one topic covers cells that you know to differ, fewer if topics are copies of each other."
    )

    def run(self, data: MuData, params: TopicsAtacParams, context: Context) -> Result:
        """Fit the accessibility topic model."""
        from mira_nb.stages.shared.flags import mark_figures, mark_tables

        from .compute import compute
        from .diagnostics import diagnose
        from .figures import figures
        from .report import alerts, files, methods, metrics, slots, tables

        fitted = compute(data, params, context, "atac")
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
