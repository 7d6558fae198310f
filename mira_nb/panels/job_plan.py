"""How far a job is as a whole: what it has to do, weighed by about how long that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mira_nb.errors import MiraError
from mira_nb.run.estimate import START_SECONDS, estimate
from mira_nb.run.memory import Size, input_size
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import stage_names, stages_until

from .state import read_run

Phase = Literal["loading", "computing", "saving"]
LOADED: Final = 0.7
"""Part of the time beside a stage's computation that passes before it: kernel and loading; the rest is saving."""
FINISH_SECONDS: Final = 4.0
"""Results and report, after the last stage."""
UNKNOWN: Final = Size(1000, 1000, 0)


@dataclass(frozen=True)
class Position:
    """How far a job is: part of the whole, what it does now, seconds that are left, number of the stage."""

    fraction: float
    phase: Phase
    remaining: float
    step: int


class JobPlan:
    """Stages that a job computes, with about the seconds that each takes.

    Parameters
    ----------
    seconds
        By stage, in the order in which they run.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = dict(seconds)
        self._last = ""
        self._most = 0.0

    @property
    def total(self) -> float:
        """Seconds of everything, the report included."""
        return sum(self.seconds.values()) + START_SECONDS * len(self.seconds) + FINISH_SECONDS

    def position(self, current: str, progress: Mapping[str, Any] | None) -> Position:
        """Return how far the job is; it never goes back.

        Parameters
        ----------
        current
            The stage that is computed; empty: none yet, or none any more.
        progress
            What the stage says of itself: ``fraction``, ``message``, ``remaining``.
        """
        if current and current not in self.seconds:  # out of date because of what ran before it
            self.seconds[current] = self.seconds.get(self._last, START_SECONDS)
        names = [name for name in stage_names() if name in self.seconds]
        ended = not current and bool(self._last)
        self._last = current or self._last
        place = names.index(self._last) if self._last in names else 0
        before = sum(self.seconds[name] + START_SECONDS for name in names[:place])
        inside, phase, left = self._inside(self._last, progress, ended=ended)
        later = sum(self.seconds[name] + START_SECONDS for name in names[place + 1 :]) + FINISH_SECONDS
        self._most = max(self._most, min((before + inside) / self.total, 0.99))
        return Position(self._most, phase, left + later, place + 1 if self._last else 0)

    def _inside(self, name: str, progress: Mapping[str, Any] | None, *, ended: bool) -> tuple[float, Phase, float]:
        """Return the seconds that count as done of a stage, what it does, and the seconds that it still takes."""
        whole = self.seconds.get(name, 0.0)
        if not name:
            return 0.0, "loading", 0.0
        if ended:
            return whole + START_SECONDS, "saving", 0.0
        if progress is None:
            return 0.0, "loading", whole + START_SECONDS
        part, said = float(progress["fraction"]), float(progress["remaining"])
        phase: Phase = "loading" if part <= 0 else "saving" if part >= 1 else "computing"
        left = said if said >= 0 else whole * (1 - part)
        return START_SECONDS * LOADED + whole * part, phase, left + START_SECONDS * (1 - LOADED)


def plan_of(store: RunStore, request: Mapping[str, Any]) -> JobPlan:
    """Return what a job computes: the stages asked for that are not up to date, or all that are asked for by name."""
    stage, upto = str(request["stage"]), bool(request["upto"])
    names = stages_until(stage or None) if upto or not stage else (stage, *(request.get("renew") or ()))
    stored: dict[str, Mapping[str, Any]] = {}
    try:
        states = read_run(store).stages
        stored = {name: state.stored for name, state in states.items() if state.stored}
        asked = {stage, *(request.get("renew") or ())}
        skipped = {"done", "blocked", "unavailable"}
        names = tuple(name for name in names if name in asked or states[name].status not in skipped)
        size = input_size(store.input_path)
    except (MiraError, OSError, KeyError):  # a run that begins: nothing is known of it yet
        size = UNKNOWN
    return JobPlan({name: _seconds(name, stored.get(name), size) for name in names})


def _seconds(name: str, stored: Mapping[str, Any] | None, size: Size) -> float:
    """Return the seconds that a stage took before, else those of the rule of thumb."""
    if stored is not None and stored.get("seconds"):
        return float(stored["seconds"])
    return estimate(size, [name]).seconds - START_SECONDS
