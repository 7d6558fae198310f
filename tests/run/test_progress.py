"""Progress across processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mira_nb.errors import Cancelled
from mira_nb.run.progress import ProgressFile, read_progress


def test_progress_is_written_and_extrapolated(tmp_path: Path) -> None:
    assert read_progress(tmp_path, "s") is None
    progress = ProgressFile(tmp_path, "s")
    progress.started -= 10
    progress(0.25, "a quarter")
    state = read_progress(tmp_path, "s")
    assert state is not None
    assert state["message"] == "a quarter"
    assert state["remaining"] == pytest.approx(30, abs=1)


def test_progress_raises_when_a_stop_was_asked_for(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path, "s")
    progress(0.1, "x")
    progress.cancel_path.touch()
    with pytest.raises(Cancelled, match="stopped on request"):
        progress(1.0, "y")


def test_fractions_are_kept_in_bounds(tmp_path: Path) -> None:
    ProgressFile(tmp_path, "s")(7.0, "over")
    state = read_progress(tmp_path, "s")
    assert state is not None
    assert state["fraction"] == 1.0
    assert state["remaining"] == 0.0
