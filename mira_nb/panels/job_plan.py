"""How far a job is as a whole: what it has to do, weighed by about how long that takes."""

from __future__ import annotations

import math
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
PHASES: Final[Mapping[str, Phase]] = {
    "reading": "loading", "loading": "loading", "computing": "computing", "saving": "saving",
}  # fmt: skip
LOADED: Final = 0.7
"""Part of the time beside a stage's computation that passes before it: kernel and loading; the rest is saving."""
READ_SECONDS: Final = 3.0
"""The run folder, before the first stage."""
FINISH_SECONDS: Final = 6.0
"""Results and report, after the last stage."""
SLOWEST: Final = 20.0
"""Times by which a machine may be slower than expected."""
TRUSTED: Final = 0.1
"""Part of a stage from which its own estimate of the time left is taken alone; before it, more and more of it."""
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
        self._doing: tuple[str, str] = ("", "")
        self._since = 0.0

    @property
    def total(self) -> float:
        """Seconds of everything, from reading the run folder to the report."""
        return READ_SECONDS + sum(self.seconds.values()) + START_SECONDS * len(self.seconds) + FINISH_SECONDS

    def position(self, current: str, progress: Mapping[str, Any] | None, elapsed: float) -> Position:
        """Return how far the job is; it never goes back.

        Parameters
        ----------
        current
            The stage that is computed; empty: none yet, or none any more.
        progress
            What the stage says of itself: ``fraction``, ``message``, ``remaining``.
        elapsed
            Seconds since the job began.
        """
        if current and current not in self.seconds:  # out of date because of what ran before it
            self.seconds[current] = self.seconds.get(self._last, START_SECONDS)
        names = [name for name in stage_names() if name in self.seconds]
        ended = not current and bool(self._last)
        self._last = current or self._last
        place = names.index(self._last) if self._last in names else 0
        done = self._done(names[: place + 1], progress, elapsed, ended=ended)
        phase = PHASES[self._doing[1]]
        # a machine that does other things too is as slow in what follows as in what is done
        pace = min(max(elapsed / done, 1.0), SLOWEST) if done > READ_SECONDS else 1.0
        left = max(self.total - done, 0.0) * pace
        if phase == "computing" and progress is not None and float(progress["remaining"]) >= 0:
            fraction = float(progress["fraction"])
            whole = self.seconds[self._last] * (1 - fraction)
            own = float(progress["remaining"]) + max(self.total - done - whole, 0.0) * pace
            trust = min(fraction / TRUSTED, 1.0)
            left = trust * own + (1 - trust) * left
        self._most = max(self._most, min(done / self.total, 0.99))
        return Position(self._most, phase, left, place + 1 if self._last else 0)

    def _done(self, names: list[str], progress: Mapping[str, Any] | None, elapsed: float, *, ended: bool) -> float:
        """Return the expected seconds of what is done; `names` end with the present stage."""
        if not self._last:
            return self._waited("reading", elapsed, READ_SECONDS)
        before = READ_SECONDS + sum(self.seconds[name] + START_SECONDS for name in names[:-1])
        whole = self.seconds[self._last]
        if ended:
            return before + whole + START_SECONDS + self._waited("saving", elapsed, FINISH_SECONDS, of="")
        if progress is None or float(progress["fraction"]) <= 0:
            return before + self._waited("loading", elapsed, START_SECONDS * LOADED)
        before += START_SECONDS * LOADED
        if float(progress["fraction"]) >= 1:
            return before + whole + self._waited("saving", elapsed, START_SECONDS * (1 - LOADED))
        self._doing = (self._last, "computing")
        return before + whole * float(progress["fraction"])

    def _waited(self, what: str, elapsed: float, expected: float, of: str | None = None) -> float:
        """Return how much of an expected time counts as done where nothing says how far it is: ever less per second."""
        doing = (self._last if of is None else of, what)
        if doing != self._doing:
            self._doing, self._since = doing, elapsed
        return expected * (1 - math.exp(-max(elapsed - self._since, 0.0) / expected))


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
