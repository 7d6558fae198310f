"""Stage topics_atac: the accessibility topic model."""

from __future__ import annotations

from typing import ClassVar

from mira_nb.keys import TOPICS_ATAC, TUNING_ATAC
from mira_nb.stages.base import Memory
from mira_nb.stages.params import Params
from mira_nb.stages.result import Slot

from .base import TopicsStage, written
from .params import TopicsAtacParams


class TopicsAtacStage(TopicsStage[TopicsAtacParams]):
    """Accessibility topics: sets of peaks that open together."""

    modality = "atac"
    name: ClassVar[str] = TOPICS_ATAC
    title: ClassVar[str] = "Accessibility topics"
    purpose: ClassVar[str] = "Learns sets of peaks that open together, and how much each cell uses each of them."
    Params: ClassVar[type[Params]] = TopicsAtacParams
    uses: ClassVar[tuple[str, ...]] = (TUNING_ATAC,)
    writes: ClassVar[tuple[Slot, ...]] = written("atac")
    memory: ClassVar[Memory] = Memory(720, 11)
