"""The explorer's locus view shows what the report's shows."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from mira_nb.charts import theme
from mira_nb.explorer.cells import LABELLED, CellData
from mira_nb.explorer.groupings import groupings
from mira_nb.panels.browser_widgets import stylesheet
from mira_nb.panels.locus_view import LocusPanel, LocusView
from mira_nb.report.explore.packing import MAGIC, read_file
from mira_nb.run.slots import write_slots
from mira_nb.run.store import write_h5mu
from mira_nb.stages.result import Slot
from tests.report.test_browser import axe, saved
from tests.report.test_explore_locus import GROUPS, peaks_of, regulation_run, with_surroundings

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


def cells_of(root: Path, data: MuData) -> CellData:
    """Return the cells of a run to which the checked input and the slots of the stage joint are added."""
    bare = {name: AnnData(part.X, obs=part.obs, var=part.var) for name, part in data.mod.items()}
    bare["rna"].obs["sample"] = pd.Categorical(np.where(np.arange(data.n_obs) % 2, "odd", "even"))
    bare["rna"].obs["donor"] = "one"
    (root / "cache").mkdir()
    write_h5mu(MuData(bare), root / "cache" / "input.h5mu")
    slots = {Slot("joint", "obs", "leiden"): pd.Categorical(data.obs["leiden"])}
    write_slots(root / "stages" / "joint" / "slots.h5", slots)
    return CellData(root)


def view_of(root: Path, data: MuData) -> LocusView:
    view = LocusView(cells_of(root, data))
    view.by = "leiden"
    return view


def tracks_of(view: LocusView, gene: str) -> pd.DataFrame:
    """Return open cells of the groups, (peaks, groups), as the page is sent them."""
    content, chunks = view.message(gene)
    head = json.dumps(content["header"]).encode()
    found, values = read_file(b"".join([MAGIC, struct.pack("<I", len(head)), head, *chunks]))["open"]
    return pd.DataFrame(values, columns=list(found))


def test_every_grouping_has_tracks(tmp_path: Path) -> None:
    """Against sums over the cells of each group; the grouping of the report comes first."""
    root, data = regulation_run(tmp_path / "r")
    cells = cells_of(root, data)
    assert groupings(cells) == ["leiden", "sample", "donor"]
    cells.kept.keep_selection("mine", ["c0", "c3", "c7"])
    cells.kept.label("low", "both")
    cells.kept.label("high", "both")
    record = json.loads((root / "run.json").read_text())
    (root / "run.json").write_text(json.dumps({**record, "resources": {"groups": "sample"}}))
    assert groupings(cells) == ["sample", "leiden", LABELLED, "donor", "selection mine"]
    view, x = LocusView(cells), data["atac"].X.toarray()
    place = np.arange(data.n_obs)
    mine = np.isin(place, (0, 3, 7))
    wanted = {
        "sample": {"even": place % 2 == 0, "odd": place % 2 == 1},
        LABELLED: {"both": place >= 0},
        "selection mine": {"mine": mine, "all other cells": ~mine},
        "": {"all cells": place >= 0},
    }
    peaks = data["atac"].var
    order = peaks.iloc[np.unique(data["rna"].uns["peak_sets"]["peak"][: data["rna"].uns["peak_sets"]["indptr"][1]])]
    order = order.sort_values(["chrom", "start"])
    rows = peaks.index.get_indexer(order.index)
    for name, groups in wanted.items():
        view.by = name
        found = tracks_of(view, "FORWARD")
        assert set(found) == set(groups)
        for group, inside in groups.items():
            assert found[group].tolist() == x[inside][:, rows].sum(axis=0).tolist()
    cells.kept.keep_selection("mine", ["c1"])
    view.by = "selection mine"
    assert tracks_of(view, "FORWARD")["mine"].tolist() == x[1, rows].tolist()
    colours = view.message("FORWARD")[0]["colours"]
    assert colours["all other cells"] == theme.MUTED != colours["mine"]
    cells.kept.drop_selection("mine")
    assert "no groups called" in view.message("FORWARD")[0]["text"]


def test_the_menu_offers_groupings_and_keeps_the_choice(tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    cells = cells_of(root, data)
    panel = LocusPanel(cells)
    assert panel.menu.options[0] == ("cluster (leiden)", "leiden")
    assert (panel.menu.value, panel.view.by) == ("leiden", "leiden")
    panel.menu.value = "sample"
    assert panel.view.by == "sample"
    cells.kept.keep_selection("mine", ["c0"])
    panel.refresh()
    assert (panel.menu.value, panel.view.by) == ("sample", "sample")
    panel.menu.value = "selection mine"
    cells.kept.drop_selection("mine")
    panel.refresh()
    assert (panel.menu.value, panel.view.by) == ("leiden", "leiden")
    panel.show("")
    assert panel.row.layout.display == "none"
    panel.show("FORWARD")
    assert panel.row.layout.display == ""


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


@pytest.mark.browser
def test_genes_and_fragments_follow_gene_and_groups(chromium: Any, tmp_path: Path) -> None:
    """Fragments are shown for groups that they were counted for, or unions of them, and not for others."""
    root, data = regulation_run(tmp_path / "r")
    with_surroundings(root, data)
    view = view_of(root, data)
    view.data.kept.label("low", "both")
    view.data.kept.label("high", "both")
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(PAGE)
    page.evaluate(MOUNT, [str(LocusView._esm), stylesheet()])
    for by, gene, groups in (
        ("leiden", "FORWARD", ["high", "low"]), (LABELLED, "BACKWARD", ["both"]), ("sample", "FORWARD", []),
    ):  # fmt: skip
        view.by = by
        content, chunks = view.message(gene)
        page.evaluate("(message) => tell(message)", [content, [base64.b64encode(chunk).decode() for chunk in chunks]])
        page.wait_for_selector(f"#view[data-locus={gene}]")
        text = saved(page, lambda: page.get_by_text("bedGraph", exact=True).click()).decode()
        assert re.findall('name="fragments (.*?)"', text) == groups
        caption = page.locator(".mn-map > .mn-help").last.inner_text()
        assert ("cuts per bin of 100 bp" in caption) == bool(groups)
        assert "boxes are exons" in caption or gene == "BACKWARD"
        svg = saved(page, lambda: page.get_by_text("SVG", exact=True).click()).decode()
        assert (">OTHER</text>" in svg) == (gene == "FORWARD")
        if by == LABELLED:
            cuts = data["atac"].uns["coverage"]["groupings"]["1"]["cuts"].toarray()[:, :500].sum(axis=0)
            rows = [
                row.split("\t") for row in text.split('name="fragments both"')[1].split("track")[0].splitlines()[1:]
            ]
            wanted = {200_000 + 100 * i: cuts[i] / 2.5 for i in np.flatnonzero(cuts)}
            assert {int(row[1]): float(row[3]) for row in rows} == pytest.approx(wanted)
    assert axe(page) == []
    assert errors == []
    context.close()
