"""Stage topics_rna: the expression topic model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb.keys import PREPARE, TOPICS_RNA

from ._topics import TopicsParams, run_topics
from .base import Context, Params, Result, Stage, param

if TYPE_CHECKING:
    from mudata import MuData


class TopicsRnaParams(TopicsParams):
    """Parameters of the stage topics_rna.

    Less dropout than for accessibility: the deviance residuals of hundreds of genes overfit little, and with more the
    planted programme that is unrelated to the trajectory is lost.
    """

    dropout: float = param(0.05, "Share of the encoder's hidden units that each training step leaves out.", ge=0, lt=1)


class TopicsRnaStage(Stage[TopicsRnaParams]):
    """Expression topics: programmes of genes that rise and fall together."""

    name: ClassVar[str] = TOPICS_RNA
    title: ClassVar[str] = "Expression topics"
    purpose: ClassVar[str] = (
        "Learns programmes of genes that rise and fall together, and how much each cell uses each of them."
    )
    Params: ClassVar[type[Params]] = TopicsRnaParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE,)

    def run(self, data: MuData, params: TopicsRnaParams, context: Context) -> Result:
        """Fit the expression topic model."""
        return run_topics(data, params, context, "rna")
