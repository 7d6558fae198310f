"""What a notebook shows of a user's names."""

from __future__ import annotations

import pytest

from mira_nb.run import session


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
