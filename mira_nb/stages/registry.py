"""All stages by name, imported only when used."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Final

from mira_nb.errors import ParameterError
from mira_nb.keys import STAGE_ORDER

from .base import Stage

_CLASSES: Final[dict[str, str]] = {
    "prepare": "prepare.stage:PrepareStage",
    "topics_rna": "topics.rna:TopicsRnaStage",
    "topics_atac": "topics.atac:TopicsAtacStage",
    "joint": "joint.stage:JointStage",
    "enrichment": "enrichment.stage:EnrichmentStage",
    "motifs": "motifs.stage:MotifsStage",
    "trajectory": "trajectory.stage:TrajectoryStage",
    "regulation": "regulation.stage:RegulationStage",
    "drivers": "drivers.stage:DriversStage",
    "comparisons": "comparisons.stage:ComparisonsStage",
}


@cache
def get_stage(name: str) -> Stage[Any]:
    """Return the stage called `name`.

    Raises
    ------
    ParameterError
        When there is no such stage.
    """
    if name not in _CLASSES:
        raise ParameterError(f"there is no stage {name!r}", expected=f"one of {', '.join(STAGE_ORDER)}")
    module, attribute = _CLASSES[name].split(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), attribute)()


def stages_until(name: str | None) -> tuple[str, ...]:
    """Names of all stages up to and including `name`, in order (all of them for None)."""
    if name is None:
        return STAGE_ORDER
    if name not in STAGE_ORDER:
        raise ParameterError(f"--until {name}: there is no such stage", expected=f"one of {', '.join(STAGE_ORDER)}")
    return STAGE_ORDER[: STAGE_ORDER.index(name) + 1]
