"""Widgets of the dashboard in headless Chromium, with a stand-in for their kernel."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mira_nb.panels.browser_widgets import TableDeck, stylesheet, table_message

pytestmark = pytest.mark.browser

PAGE = """<!DOCTYPE html><html lang="en"><title>deck</title><body><main class="mn-app"><div id="deck"></div></main>"""
MOUNT = """async ([script, style, items, tables]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const widget = (await import(address)).default;
  const listeners = {};
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const send = ({ kind, id }) => setTimeout(() => listeners["msg:custom"](
    { kind, id, name: `${id}.csv` }, [bytes(tables[kind][id])]));
  const model = { get: () => items, on: (name, f) => { listeners[name] = f; }, off: () => {}, send };
  window.problem = () => listeners["msg:custom"]({ kind: "problem", text: "The file is gone" }, []);
  widget.render({ model, el: document.getElementById("deck") });
}"""


def test_tables_of_a_stage_are_chosen_sorted_filtered_and_saved(chromium: Any, tmp_path: Path) -> None:
    genes = pd.DataFrame({"gene": [f"G{i}<i>" for i in range(30)], "fdr": [i / 29 for i in range(30)]})
    frames = {"genes": genes, "topics": pd.DataFrame({"topic": ["e2", "e10", "e1"], "n": [3, 1, 2]})}
    tables: dict[str, dict[str, str]] = {"table": {}, "csv": {}}
    for name, frame in frames.items():
        frame.to_csv(tmp_path / name, index=False)
        tables["table"][name] = base64.b64encode(table_message(tmp_path / name)).decode()
        tables["csv"][name] = base64.b64encode((tmp_path / name).read_bytes()).decode()
    items = [{"name": n, "title": f"Table of {n}", "caption": "Columns.", "rows": len(f)} for n, f in frames.items()]
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(PAGE)
    page.evaluate(MOUNT, [str(TableDeck._esm), stylesheet(), items, tables])

    page.get_by_label("Filter fdr of Table of genes").fill("< 0.1")
    page.wait_for_selector("text=1–3 of 3 that pass the filters (of 30)")
    page.get_by_role("button", name="fdr", exact=True).click(click_count=2)
    assert page.locator("table.mn-table tbody tr td:first-child").all_inner_texts() == ["G2<i>", "G1<i>", "G0<i>"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save filtered 3 rows").click()
    assert pd.read_csv(download.value.path())["gene"].tolist() == ["G2<i>", "G1<i>", "G0<i>"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save all 30 rows").click()
    assert download.value.suggested_filename == "genes.csv"
    assert Path(download.value.path()).read_bytes() == (tmp_path / "genes").read_bytes()

    page.locator(".mn-table-bar select").select_option(label="Table of topics (3 rows)")
    page.get_by_role("button", name="Topic", exact=True).click()
    assert page.locator("table.mn-table tbody tr td:first-child").all_inner_texts() == ["e1", "e2", "e10"]
    page.evaluate("problem()")
    page.wait_for_selector("text=The file is gone")
    assert errors == []
    context.close()


def test_every_widget_script_is_a_module_that_loads(chromium: Any) -> None:
    from mira_nb.panels.browser_widgets import FigureGallery, FileButtons, StageList

    page = chromium.new_page()
    page.set_content(PAGE)
    load = """async (script) => typeof (await import(
      URL.createObjectURL(new Blob([script], { type: "text/javascript" })))).default.render"""
    for widget in (StageList, FigureGallery, TableDeck, FileButtons):
        assert page.evaluate(load, str(widget._esm)) == "function", json.dumps(widget.__name__)
    page.close()
