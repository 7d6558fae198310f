"""The explorer's locus view shows what the report's shows."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from mira_nb.explorer.cells import CellData
from mira_nb.panels.browser_widgets import stylesheet
from mira_nb.panels.locus_view import LocusView
from mira_nb.run.store import RunStore
from tests.report.test_browser import axe, saved
from tests.report.test_explore_locus import GROUPS, peaks_of, regulation_run

PAGE = """<!DOCTYPE html><html lang="en"><title>locus</title><body>
<main class="mn-app"><h1>Run</h1><h2>Explorer</h2><div id="view"></div></main>"""
MOUNT = """async ([script, style]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const widget = (await import(address)).default;
  const listeners = {};
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  window.tell = ([content, buffers]) => listeners["msg:custom"](content, buffers.map(bytes));
  widget.render({ model: { on: (name, f) => { listeners[name] = f; }, off: () => {}, send: () => {} },
    el: document.getElementById("view") });
}"""


def view_of(root: Path, data: Any) -> LocusView:
    found = SimpleNamespace(root=root, done={"regulation", "drivers"}, annotations=data.obs, store=RunStore(root))
    return LocusView(cast(CellData, found))


def test_without_a_model_a_sentence_says_so(tmp_path: Path) -> None:
    view = view_of(*regulation_run(tmp_path / "r"))
    assert view.message("")[0] == {"kind": "none"}
    assert "UNFITTED has no fitted LITE model" in view.message("UNFITTED")[0]["text"]
    content, chunks = view.message("FORWARD")
    assert content["header"]["n_cells"] > 0
    assert chunks
    view.data.done.remove("regulation")
    assert view.message("FORWARD") == ({"kind": "none"}, [])


@pytest.mark.browser
def test_peaks_weights_and_accessibility_are_those_of_the_run(chromium: Any, tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    view = view_of(root, data)
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(PAGE)
    page.evaluate(MOUNT, [str(LocusView._esm), stylesheet()])
    assert not page.locator(".mn-locus").is_visible()
    for gene, place in (("FORWARD", 0), ("BACKWARD", 1)):
        content, chunks = view.message(gene)
        page.evaluate("(message) => tell(message)", [content, [base64.b64encode(chunk).decode() for chunk in chunks]])
        page.wait_for_selector(f"#view[data-locus={gene}]")
        wanted = peaks_of(data, place)
        rows = pd.read_csv(io.BytesIO(saved(page, lambda: page.get_by_text("CSV", exact=True).click())))
        assert rows["start"].tolist() == wanted["start"].tolist()
        assert np.allclose(rows["weight"], wanted["weight"], rtol=1e-6)
        assert rows["hit of TF2"].tolist() == wanted["hit"].astype(int).tolist()
        for name in GROUPS:
            assert np.allclose(rows[f"open per million, {name}"], wanted[name], rtol=1e-9)
        inked = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        assert page.locator(".mn-locus canvas").evaluate(inked) > 10
    assert axe(page) == []
    page.evaluate("(message) => tell(message)", [view.message("UNFITTED")[0], []])
    page.wait_for_selector("text=has no fitted LITE model")
    assert not page.locator(".mn-locus").is_visible()
    assert errors == []
    context.close()
