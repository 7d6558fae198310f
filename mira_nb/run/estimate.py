"""About how long stages take and how much memory they need: a rule of thumb, from runs that were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mira_nb.stages.registry import get_stage

from .memory import Size, needed_mb

EMBEDDED_STORED: Final = 1_700_000
"""Stored counts of the embedded data set, on which the seconds below were measured."""
EMBEDDED_SECONDS: Final[Mapping[str, float]] = {
    "prepare": 7,
    "tuning_rna": 12,
    "tuning_atac": 32,
    "topics_rna": 4,
    "topics_atac": 9,
    "joint": 5,
    "enrichment": 1,
    "motifs": 3,
    "trajectory": 2,
    "regulation": 8,
    "drivers": 3,
    "comparisons": 2,
}
"""Seconds of the stages on two cores (see docs/decisions/time-estimate.md)."""
START_SECONDS: Final = 1.5
"""Kernel, loading and saving of a stage, which the data do not change."""
UNKNOWN_SECONDS: Final = 5.0
"""A stage that was never measured, such as a plug-in's."""


@dataclass(frozen=True)
class Estimate:
    """Seconds and memory that stages probably take."""

    seconds: float
    memory_mb: float


def estimate(size: Size, stages: Iterable[str]) -> Estimate:
    """Return the probable cost of stages on data of a size.

    The time is that of the embedded data set in proportion to the stored counts, which is right within a factor of
    three for the published settings.
    """
    names = list(stages)
    growth = max(1.0, size.stored / EMBEDDED_STORED)
    seconds = sum(START_SECONDS + EMBEDDED_SECONDS.get(name, UNKNOWN_SECONDS) * growth for name in names)
    return Estimate(seconds, max((needed_mb(get_stage(name).memory, size) for name in names), default=0.0))
