"""What the stages topics_rna and topics_atac have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from mira_nb import keys
from mira_nb.keys import PREPARE
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.result import Result, Slot

from .params import TopicsAtacParams, TopicsRnaParams

if TYPE_CHECKING:
    from mudata import MuData

P = TypeVar("P", TopicsRnaParams, TopicsAtacParams)


def written(modality: Literal["rna", "atac"]) -> tuple[Slot, ...]:
    """Return the keys by which it is seen that a topic model was fitted."""
    features = {"rna": "genes", "atac": "peaks"}[modality]
    activations = f"{features} x topics", "standard deviations; NaN where not modelled"
    return (
        Slot(modality, "obsm", keys.X_TOPICS, "cells x topics", "proportion, rows sum to 1"),
        Slot(modality, "varm", keys.TOPIC_ACTIVATIONS, *activations),
        Slot(modality, "uns", keys.TOPIC_MODEL, "mapping", "arrays of the fitted model"),
    )


class TopicsStage(Stage[P]):
    """Topic model of one modality.

    Attributes
    ----------
    modality
        Which one.
    """

    modality: ClassVar[Literal["rna", "atac"]]
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)
    look: ClassVar[str] = (
        "The loss on held-out cells should have flattened, and most topics should be high in one region of the map."
    )
    tune: ClassVar[str] = (
        "Take more topics if one topic covers cells that you know to differ, fewer if topics are copies of each other."
    )

    def run(self, data: MuData, params: P, context: Context) -> Result:
        """Fit the topic model."""
        from mira_nb.stages.shared.flags import mark_figures, mark_tables

        from .compute import compute
        from .diagnostics import diagnose
        from .figures import figures
        from .report import alerts, files, methods, metrics, slots, tables

        fitted = compute(data, params, context, self.modality)
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
