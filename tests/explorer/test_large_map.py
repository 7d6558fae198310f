"""The map of many cells in headless Chromium: part of them while it moves, all of them when it rests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mira_nb.panels.cell_map import packed_points
from tests.benchmarks.cell_map import show, write_page


@pytest.mark.browser
@pytest.mark.parametrize(("n_cells", "parts"), [(2_000, False), (90_000, True)])
def test_all_cells_are_drawn_when_the_map_rests(chromium: Any, tmp_path: Path, n_cells: int, parts: bool) -> None:
    rng = np.random.default_rng(0)
    page = chromium.new_page(viewport={"width": 1200, "height": 800})
    page.goto(write_page(tmp_path / "page.html").as_uri())
    page.wait_for_function("window.ready")
    points = {"kind": "points", "n": n_cells, "label": "cells"}
    show(page, points, packed_points(rng.normal(size=(n_cells, 2))))
    colours = {
        "kind": "colour", "key": "x", "label": "x", "unit": "", "numeric": False, "names": ["a", "b"],
        "colours": ["#0072b2", "#d55e00"], "counts": [n_cells // 2, n_cells // 2],
    }  # fmt: skip
    show(page, colours, np.tile([0, 1], n_cells // 2).astype(np.uint8).tobytes())
    page.wait_for_timeout(600)
    whole = page.evaluate("window.picture()")
    for key in ("ArrowRight", "ArrowLeft"):
        page.evaluate("(key) => window.press(key)", key)
    moving = page.evaluate("window.picture()")
    assert (moving != whole) == parts
    page.wait_for_function("(whole) => window.picture() === whole", arg=whole, timeout=20_000)
    page.close()
