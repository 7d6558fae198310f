"""Stage tuning_atac: number of accessibility topics."""

from __future__ import annotations

from typing import ClassVar

from mira_nb import keys
from mira_nb.keys import TOPICS_ATAC, TUNING_ATAC
from mira_nb.stages.base import Memory
from mira_nb.stages.params import Params
from mira_nb.stages.result import Slot

from .base import TuningStage
from .params import TuningAtacParams


class TuningAtacStage(TuningStage[TuningAtacParams]):
    """Number of accessibility topics, chosen by held-out likelihood."""

    modality = "atac"
    topics_stage = TOPICS_ATAC
    name: ClassVar[str] = TUNING_ATAC
    title: ClassVar[str] = "Number of accessibility topics"
    purpose: ClassVar[str] = (
        "Chooses the number of accessibility topics by the likelihood of held-out cells, and tells how stable they are."
    )
    Params: ClassVar[type[Params]] = TuningAtacParams
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("atac", "uns", keys.TUNING, "mapping", "number of topics, settings, stability of each topic"),
    )
    memory: ClassVar[Memory] = Memory(700, 11)
    tune: ClassVar[str] = (
        "Take the mode paper for a full search; set topics_atac.n_topics to a number to choose it yourself."
    )
