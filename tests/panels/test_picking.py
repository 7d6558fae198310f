"""A cell is picked on the map: the page asks, a click or a name answers, and the form has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mira_nb.explorer.run_names import RunNames
from mira_nb.panels.browser_widgets import stylesheet
from mira_nb.panels.cell_map import CellMap, packed_points
from mira_nb.panels.explorer_tab import NAME, ExplorerTab
from mira_nb.panels.form import ParamsForm
from mira_nb.panels.name_entry import NameEntry
from mira_nb.panels.picking import Picking
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import get_stage
from tests.explorer.conftest import run_folder  # noqa: F401


class Page:
    """The form of the trajectory and the explorer of a run, and what is shown of them."""

    def __init__(self, root: Path) -> None:
        self.form = ParamsForm(get_stage("trajectory").Params, names=RunNames(root))
        self.explorer = ExplorerTab(RunStore(root), lambda *_: None)
        self.shown: list[str] = []
        self.picking = Picking(self.explorer, lambda _: self.form, self.shown.append)

    def answer(self, **message: Any) -> None:
        """Send what the map sends."""
        assert self.explorer._explorer is not None
        cells = self.explorer._explorer.map
        cells._heard(cells, {"kind": "picked", **message}, [])


@pytest.fixture
def page(run_folder: Path) -> Page:  # noqa: F811
    return Page(run_folder)


def test_a_click_sets_the_start_cell_and_returns(page: Page) -> None:
    page.picking.ask("trajectory", "start_cell")
    assert page.shown == [NAME]
    assert page.explorer._explorer is not None
    assert "Start cell" in page.explorer._explorer.map.pick
    page.answer(index=7)
    assert page.form.values()["start_cell"] == "c7"
    assert page.shown == [NAME, "trajectory"]
    assert page.explorer._explorer.map.pick == ""
    assert page.form.fields["start_cell"].entry.returned


def test_ends_are_added_and_none_twice(page: Page) -> None:
    for cell in ("c3", "c9", "c3"):
        page.picking.ask("trajectory", "terminal_cells")
        page.answer(name=cell)
    assert page.form.values()["terminal_cells"] == ["c3", "c9"]


def test_going_back_and_unknown_cells_change_nothing(page: Page) -> None:
    page.form.set_values({"start_cell": "c1"})
    page.picking.ask("trajectory", "start_cell")
    page.answer(name="no cell")
    page.answer(index=4000)
    assert page.shown == [NAME]  # the map still asks
    page.answer(name="")
    assert page.shown == [NAME, "trajectory"]
    assert page.form.values()["start_cell"] == "c1"
    page.answer(index=2)  # nobody asked
    assert page.form.values()["start_cell"] == "c1"


def test_cells_are_picked_only_where_there_is_a_map(page: Page, run_folder: Path) -> None:  # noqa: F811
    asked: list[str] = []
    page.form.offer_map(asked.append)
    offered = {
        name for name, field in page.form.fields.items() if isinstance(field.entry, NameEntry) and field.entry.pickable
    }
    assert offered == {"start_cell", "terminal_cells"}
    entry = page.form.fields["terminal_cells"].entry
    entry._asked(entry, {"kind": "pick"}, [])
    assert asked == ["terminal_cells"]
    page.form.offer_map(None)
    assert not page.form.fields["start_cell"].entry.pickable

    assert page.picking.possible
    record = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps({**record, "stages": {}}))
    assert not page.picking.possible
    page.picking.ask("trajectory", "start_cell")
    assert page.shown == []


MAP = """async ([script, style, points]) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const widget = (await import(address)).default;
  window.sent = []; window.heard = {}; window.state = { pick: "Start cell: click" };
  const bytes = new DataView(Uint8Array.from(atob(points), (c) => c.charCodeAt(0)).buffer);
  const colour = { kind: "colour", key: "k", label: "k", numeric: false,
    names: ["a"], colours: ["#0072b2"], counts: [3] };
  const model = { get: (name) => window.state[name], on: (name, f) => { window.heard[name] = f; }, off: () => {},
    send: (content) => {
      window.sent.push(content);
      if (content.kind === "ready") setTimeout(() => {
        window.heard["msg:custom"]({ kind: "points", n: 3, label: "map" }, [bytes]);
        window.heard["msg:custom"](colour, [new DataView(new Uint8Array([0, 0, 0]).buffer)]);
      });
      if (content.kind === "search-cell") setTimeout(() => window.heard["msg:custom"](
        { kind: "found-cell", id: content.id, items: content.text ? [{ label: "c2", kind: "" }] : [] }, []));
    } };
  widget.render({ model, el: document.getElementById("map") });
}"""


@pytest.mark.browser
def test_the_nearest_cell_is_picked_with_mouse_and_keyboard(chromium: Any) -> None:
    """Three cells on a line: a click beside one picks it, a drag moves the map, a click far from all picks none."""
    import base64

    import numpy as np

    points = packed_points(np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]))
    page = chromium.new_page(viewport={"width": 1000, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content('<!DOCTYPE html><html lang="en"><title>map</title><body><main class="mn-app"><div id="map"></div>')
    page.evaluate(MAP, [str(CellMap._esm), stylesheet(), base64.b64encode(points).decode()])
    page.wait_for_selector("text=3 cells, map")
    box = page.locator(".mn-cloud").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    picked = "sent.filter((item) => item.kind === 'picked')"

    page.mouse.click(middle[0] + 6, middle[1] - 6)
    assert page.evaluate(picked) == [{"kind": "picked", "index": 2}]
    page.mouse.click(middle[0], middle[1] + 100)
    page.wait_for_selector("text=There is no cell at this place")
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1], steps=3)
    page.mouse.up()
    assert len(page.evaluate(picked)) == 1
    page.mouse.click(middle[0] + 60, middle[1])  # the map was moved, and the cell with it
    assert page.evaluate(picked)[1:] == [{"kind": "picked", "index": 2}]

    page.get_by_label("Cell", exact=True).fill("c2")
    page.wait_for_selector(".mn-pick li[aria-selected=true]")
    page.keyboard.press("Enter")
    assert page.evaluate(picked)[2:] == [{"kind": "picked", "name": "c2"}]
    page.locator(".mn-cloud").focus()
    page.keyboard.press("Escape")
    assert page.evaluate(picked)[3:] == [{"kind": "picked", "name": ""}]

    page.evaluate("state.pick = ''; heard['change:pick']()")
    assert page.locator(".mn-pick").is_hidden()
    page.mouse.click(middle[0] + 60, middle[1])
    assert len(page.evaluate(picked)) == 4
    assert errors == []
    page.close()
