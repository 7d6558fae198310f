"""Progress across processes: a stage in its kernel writes a small file, whoever waits reads it."""

from __future__ import annotations

import time
from pathlib import Path

from mira_nb.errors import Cancelled
from mira_nb.report.json_files import read_json_object

from .files import write_json


class ProgressFile:
    """Callable progress that a stage calls with (fraction, message); at most five writes a second."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.path = folder / f"{stage}.json"
        self.cancel_path = folder / f"{stage}.cancel"
        self.started = time.time()
        self._last = 0.0

    def __call__(self, fraction: float, message: str) -> None:
        """Record the progress; raises :class:`Cancelled` when a stop was asked for."""
        now = time.time()
        if now - self._last < 0.2 and fraction < 1:
            return
        self._last = now
        if self.cancel_path.exists():
            raise Cancelled("the stage was stopped on request")
        write_json(
            self.path,
            {"fraction": min(max(float(fraction), 0.0), 1.0), "message": message, "started": self.started, "time": now},
        )


def read_progress(folder: Path, stage: str) -> dict[str, float | str] | None:
    """Return the latest progress of a stage, or None; ``remaining`` is extrapolated, in seconds (or -1)."""
    state: dict[str, float | str] | None = read_json_object(folder / f"{stage}.json")
    if state is None:
        return None
    try:
        fraction, elapsed = float(state["fraction"]), float(state["time"]) - float(state["started"])
    except (KeyError, TypeError, ValueError):
        return None
    state["remaining"] = elapsed * (1 - fraction) / fraction if fraction > 0.02 else -1.0
    return state
