"""What a notebook shows of a user's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mira_nb.run import session
from mira_nb.run.store import RunStore

from . import fakes


def test_names_in_captions_stay_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    session._markdown("**Cells of <img src=x onerror=alert(1)>.** *See* <script>alert(1)</script> [a](javascript:b)")
    html = str(getattr(shown[0], "data", ""))
    assert "<strong>" in html
    assert "<em>See</em>" in html
    assert "<img" not in html
    assert "<script" not in html
    assert "href" not in html


def test_a_stage_with_nothing_to_analyse_says_so_by_a_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fakes, "EMPTY", {"motifs"})
    stage = fakes.Fake()
    monkeypatch.setattr(stage, "name", "motifs", raising=False)
    opened = session.Session(stage, RunStore(tmp_path), fakes.FakeParams(), seed=0)
    monkeypatch.setattr(opened, "load", lambda: None)
    (alert,) = opened.run().alerts
    assert (alert.code, alert.cause) == ("motifs.not_applicable", "there is one group")
