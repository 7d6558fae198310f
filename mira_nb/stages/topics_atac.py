"""Stage topics_atac: the accessibility topic model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb.keys import PREPARE, TOPICS_ATAC

from ._topics import TopicsParams, run_topics
from .base import Context, Params, Result, Stage, param

if TYPE_CHECKING:
    from mudata import MuData


class TopicsAtacParams(TopicsParams):
    """Parameters of the stage topics_atac."""

    dropout: float = param(
        0.2,
        "Share of a cell's open peaks, and of the encoder's hidden units, that each training step leaves out.",
        ge=0,
        lt=1,
    )


class TopicsAtacStage(Stage[TopicsAtacParams]):
    """Accessibility topics: sets of peaks that open together."""

    name: ClassVar[str] = TOPICS_ATAC
    title: ClassVar[str] = "Accessibility topics"
    purpose: ClassVar[str] = "Learns sets of peaks that open together, and how much each cell uses each of them."
    Params: ClassVar[type[Params]] = TopicsAtacParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)

    def run(self, data: MuData, params: TopicsAtacParams, context: Context) -> Result:
        """Fit the accessibility topic model."""
        return run_topics(data, params, context, "atac")
