"""Stage tuning_rna: number of expression topics."""

from __future__ import annotations

from typing import ClassVar

from mira_nb import keys
from mira_nb.keys import TOPICS_RNA, TUNING_RNA
from mira_nb.stages.base import Memory
from mira_nb.stages.params import Params
from mira_nb.stages.result import Slot

from .base import TuningStage
from .params import TuningRnaParams


class TuningRnaStage(TuningStage[TuningRnaParams]):
    """Number of expression topics, chosen by held-out likelihood."""

    modality = "rna"
    topics_stage = TOPICS_RNA
    name: ClassVar[str] = TUNING_RNA
    title: ClassVar[str] = "Number of expression topics"
    purpose: ClassVar[str] = (
        "Chooses the number of expression topics by the likelihood of held-out cells, and tells how stable they are."
    )
    Params: ClassVar[type[Params]] = TuningRnaParams
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "uns", keys.TUNING, "mapping", "number of topics, settings, stability of each topic"),
    )
    memory: ClassVar[Memory] = Memory(720, 11)
    tune: ClassVar[str] = (
        "Take the mode paper for a full search; set topics_rna.n_topics to a number to choose it yourself."
    )
