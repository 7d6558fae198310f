"""Stage topics_rna: the expression topic model."""

from __future__ import annotations

from typing import ClassVar

from mira_nb import keys
from mira_nb.keys import TOPICS_RNA, TUNING_RNA
from mira_nb.stages.base import Memory
from mira_nb.stages.params import Params
from mira_nb.stages.result import Slot

from .base import TopicsStage, written
from .params import TopicsRnaParams


class TopicsRnaStage(TopicsStage[TopicsRnaParams]):
    """Expression topics: programmes of genes that rise and fall together."""

    modality = "rna"
    name: ClassVar[str] = TOPICS_RNA
    title: ClassVar[str] = "Expression topics"
    purpose: ClassVar[str] = (
        "Learns programmes of genes that rise and fall together, and how much each cell uses each of them."
    )
    Params: ClassVar[type[Params]] = TopicsRnaParams
    uses: ClassVar[tuple[str, ...]] = (TUNING_RNA,)
    writes: ClassVar[tuple[Slot, ...]] = written("rna")
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "obs", keys.READ_DEPTH, "cells", "counts; where the model estimates it"),
    )
    memory: ClassVar[Memory] = Memory(660, 10)
