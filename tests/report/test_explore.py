"""The explorer in Chromium: a searched gene colours the map by its true values, by mouse, by keyboard, by address."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.report.build import build_report
from mira_nb.report.explore import packing
from mira_nb.report.explore import page as explorer_page
from tests.report.conftest import until
from tests.report.synthetic import HOSTILE, RunFolder, write_results
from tests.report.test_browser import axe, saved

pytestmark = pytest.mark.browser

SIDE = 8
GENES = ["RAMP", "STEP", "NOISE", "LARGE"]


def counts_of(n: int) -> np.ndarray:
    """RAMP rises from cell to cell, STEP is open in the second half, LARGE passes the limit of one byte."""
    rng = np.random.default_rng(0)
    return np.column_stack([np.arange(n), 3 * (np.arange(n) >= n // 2), rng.poisson(1, n), 250 + np.arange(n)])


def grid_run(root: Path, genes: list[str] | None = None, verdicts: dict[str, str] | None = None, **more: Any) -> Path:
    """Run folder whose cells stand on a square grid, with counts in closed form."""
    n = SIDE * SIDE
    xy = pd.DataFrame({"x": np.arange(n) % SIDE, "y": np.arange(n) // SIDE}, dtype=float)
    run = RunFolder(root)
    run.stage("joint").save()
    if verdicts:
        rows = pd.DataFrame({"subject": list(verdicts), "verdict": list(verdicts.values())})
        run.stage("trajectory").table("verdict", rows).save()
    values: dict[str, Any] = {
        "obs": {
            "leiden": np.where(np.arange(n) < n // 2, "low", "high"),
            "pseudotime": np.arange(n) / n,
            "quality": np.linspace(-1, 1, n),
        },
        "fates": pd.DataFrame({"A": np.ones(n), "B": np.zeros(n)}),
        "motifs": pd.DataFrame({"TF1": np.linspace(-2, 2, n)}),
        **more,
    }
    write_results(run.finish(), xy, counts_of(n), genes or GENES, **values)
    return root


def search(page: Any, text: str) -> None:
    page.locator("#explore-find").fill(text)
    until(page, "!document.querySelector('#explore-list').hidden")
    page.locator("#explore-list li").first.click()


def shown(page: Any, what: str) -> None:
    until(page, f"document.querySelector('#explore').dataset.shown === {json.dumps(what)}")


def dots(svg: str) -> pd.DataFrame:
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+" fill="#(\w{6})"', svg)
    frame = pd.DataFrame([(float(x), float(y), color) for x, y, color in found], columns=["x", "y", "color"])
    return frame.assign(rgb=frame["color"].map(lambda c: [int(c[i : i + 2], 16) for i in (0, 2, 4)]))


def test_a_searched_gene_colours_the_map_by_its_true_values(page_offline: Any, tmp_path: Path) -> None:
    """Against matplotlib's viridis of the closed form; dots of the file and pixels of the canvas alike."""
    from matplotlib import colormaps

    page = page_offline.open(build_report(grid_run(tmp_path / "r")), "#explore")
    counts = counts_of(SIDE * SIDE)
    page.locator("#explore .plot canvas").first.wait_for()
    for number, gene in enumerate(GENES):
        search(page, gene)
        shown(page, f"gene/{gene}")
        found = dots(saved(page, lambda: page.locator("#explore-map button[data-kind=svg]").click()).decode())
        assert len(found) == SIDE * SIDE
        column = found["x"].rank(method="dense").to_numpy().astype(int) - 1
        row = found["y"].rank(method="dense", ascending=False).to_numpy().astype(int) - 1
        cell = row * SIDE + column
        assert sorted(cell) == list(range(SIDE * SIDE))
        truth = np.log1p(1e4 * counts[:, number] / counts.sum(axis=1))
        scaled = (truth - truth.min()) / np.ptp(truth)
        wanted = 255 * colormaps["viridis"](scaled[cell])[:, :3]
        assert np.abs(np.stack(found["rgb"]) - wanted).max() < 4
        pixels = page.evaluate(
            "(places) => { const c = document.querySelector('#explore-map canvas'); const d = devicePixelRatio;"
            " return places.map(([x, y]) => [...c.getContext('2d').getImageData(x * d, y * d, 1, 1).data]); }",
            found[["x", "y"]].to_numpy().tolist(),
        )
        seen = np.array(pixels)
        near = np.abs(seen[:, :3] - np.stack(found["rgb"])).max(axis=1) < 3
        assert near.mean() > 0.85  # names of the two groups lie over a few dots
    assert page_offline.errors == []
    assert page_offline.requests == []


def test_values_are_saved_and_summed_up_by_group(page_offline: Any, tmp_path: Path) -> None:
    page = page_offline.open(build_report(grid_run(tmp_path / "r")), "#explore:gene/STEP")
    shown(page, "gene/STEP")
    text = saved(page, lambda: page.locator("#explore-violins button[data-kind=csv]").click()).decode()
    rows = pd.DataFrame(csv.DictReader(io.StringIO(text)))
    counts = counts_of(SIDE * SIDE)
    assert rows["barcode"].tolist() == [f"CELL{i:06d}-1" for i in range(SIDE * SIDE)]
    assert rows["counts"].astype(int).tolist() == counts[:, 1].tolist()
    truth = np.log1p(1e4 * counts[:, 1] / counts.sum(axis=1))
    assert np.allclose(rows["STEP"].astype(float), truth, rtol=1e-12)
    page.locator("#explore details summary").last.click()
    lines = [row.split("\t") for row in page.locator("#explore-numbers tbody tr").all_inner_texts()]
    assert [line[0] for line in lines] == ["high", "low"]
    assert float(lines[0][2]) == pytest.approx(truth[counts[:, 1] > 0].mean(), rel=1e-3)
    assert lines[1][1:] == ["32", "0", "0", "0"]
    assert "32 of 64 cells have counts; highest mean in high" in page.locator("#explore-status").inner_text()


def test_motifs_topics_and_columns_are_found_and_the_keyboard_is_enough(page_offline: Any, tmp_path: Path) -> None:
    page = page_offline.open(build_report(grid_run(tmp_path / "r")), "#explore")
    shown(page, "gene/STEP")  # it varies most
    box = page.locator("#explore-find")
    box.focus()
    page.keyboard.type("t")
    until(page, "!document.querySelector('#explore-list').hidden")
    listed = page.locator("#explore-list li").all_inner_texts()
    assert {"TF1 motif score", "STEP gene", "pseudotime column", "probability of A fate probability"} <= set(listed)
    assert all("t" in text.lower() for text in listed)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    option = page.evaluate("document.querySelector('#explore-find').getAttribute('aria-activedescendant')")
    name = page.locator(f"#{option}").inner_text()
    page.keyboard.press("Enter")
    assert name == listed[1]
    until(page, f"{json.dumps(name)}.startsWith(document.querySelector('#explore-find').value + ' ')")
    assert page.locator("#explore-list").is_hidden()
    for text, wanted in (("tf1", "motif/TF1"), ("quality", "column/quality"), ("leiden", "column/leiden")):
        box.fill(text)
        page.keyboard.press("Enter")
        shown(page, wanted)
        assert page.url.endswith(f"#explore:{wanted}")
        assert int(page.evaluate("document.querySelector('#explore').dataset.took")) < 300
    box.fill("absent")
    assert "Nothing of this name" in page.locator("#explore-hits").inner_text()
    assert page_offline.errors == []


def test_the_side_search_leads_to_the_explorer(page_offline: Any, tmp_path: Path) -> None:
    page = page_offline.open(build_report(grid_run(tmp_path / "r")))
    for text, wanted in (("ramp", "gene/RAMP"), ("tf1", "motif/TF1"), ("quality", "column/quality")):
        page.locator("#find").fill(text)
        link = page.locator("#found a", has_text=f"explore {wanted.partition('/')[0]} {wanted.partition('/')[2]}")
        link.first.click()
        shown(page, wanted)
        assert page.locator("#explore-map canvas").is_visible()
    assert page_offline.errors == []


def test_explorer_is_accessible(page_offline: Any, tmp_path: Path) -> None:
    report = build_report(grid_run(tmp_path / "r"))
    page = page_offline.open(report, "#explore:gene/RAMP")
    shown(page, "gene/RAMP")
    page.locator("#explore-find").fill("t")
    until(page, "!document.querySelector('#explore-list').hidden")
    for _ in range(2):
        assert axe(page) == []
        page.locator("#theme").click()
        page.locator("#explore-find").fill("t")
        page.wait_for_timeout(100)
    assert "highest mean in high" in page.locator("#explore-map .plot").get_attribute("aria-label")


def test_genes_that_do_not_fit_are_named_and_opened_from_the_run_folder(
    page_offline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for one chunk of genes: the others come from values.mnv, and a file of other cells is refused."""
    genes = [f"G{i}" for i in range(packing.CHUNK + 2)]
    rng = np.random.default_rng(0)
    run = grid_run(tmp_path / "r")
    xy = pd.DataFrame(rng.normal(size=(300, 2)), columns=["x", "y"])
    counts = rng.poisson(np.linspace(4, 0.1, len(genes)), (300, len(genes)))
    write_results(run, xy, counts, genes)
    scaled = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)).var(axis=0)
    order = np.argsort(-scaled, kind="stable")
    first = packing.pack_counts("genes", sparse.csc_matrix(counts[:, order]), genes).chunks[0]
    monkeypatch.setattr(explorer_page, "LEAST_ROOM", len(first) * 4 // 3 + 4)
    monkeypatch.setattr(explorer_page, "PAGE_LIMIT", 0)
    page = page_offline.open(build_report(run), "#explore")
    whole = packing.read_file((run / "values.mnv").read_bytes())["genes"]
    places = [genes.index(name) for name in whole[0]]
    assert np.array_equal(whole[1], counts[:, places])
    assert list(whole[0]) == [genes[i] for i in order]
    assert f"{packing.CHUNK} of {len(genes)} modelled genes" in page.locator("#explore .note").inner_text()
    left = whole[0][-1]
    assert left in page.locator("#explore .names").text_content()
    page.locator("#explore-find").fill(left)
    assert "left out of the page" in page.locator("#explore-hits").inner_text()
    other = tmp_path / "other.mnv"
    other.write_bytes(packing.to_file([], n_cells=1, cells="other"))
    page.locator("#explore-file").set_input_files(other)
    until(page, "document.querySelector('#explore-hits').textContent.includes('belongs to another run')")
    page.locator("#explore-file").set_input_files(run / "values.mnv")
    until(page, "document.querySelector('#explore-hits').textContent.includes('can be chosen now')")
    search(page, left)
    shown(page, f"gene/{left}")
    rows = saved(page, lambda: page.locator("#explore-map button[data-kind=csv]").click()).decode()
    found = [int(row["counts"]) for row in csv.DictReader(io.StringIO(rows))]
    assert found == counts[:, genes.index(left)].tolist()
    monkeypatch.undo()
    build_report(run)
    assert not (run / "values.mnv").exists()


def test_hostile_names_stay_text_in_the_explorer(page_offline: Any, tmp_path: Path) -> None:
    n = SIDE * SIDE
    names = [*HOSTILE[:4]]
    more = {
        "obs": {HOSTILE[1]: [HOSTILE[i % len(HOSTILE)] for i in range(n)], "x": np.arange(n, dtype=float)},
        "motifs": pd.DataFrame({HOSTILE[0].replace("/", "|"): np.arange(n, dtype=float)}),
        "fates": None,
        "barcodes": [f"{HOSTILE[i % 4]}{i}" for i in range(n)],
    }
    page = page_offline.open(build_report(grid_run(tmp_path / "r", genes=names, **more)), "#explore")
    shown(page, f"gene/{names[1]}")
    search(page, "onerror")
    page.wait_for_timeout(200)
    svg = saved(page, lambda: page.locator("#explore-violins button[data-kind=svg]").click()).decode()
    from xml.etree import ElementTree

    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert page.evaluate("window.owned") is None
    assert page.locator("#explore img").count() == 0
    assert page_offline.errors == []


@pytest.mark.parametrize(
    ("trajectory", "direction", "said"),
    [
        ("supported", "given", ()),
        ("not supported", "given", ("Not supported: the evidence does not speak for a trajectory",)),
        ("weak", "not established", ("Direction not established:",)),
        ("not supported", "not established", ("Not supported:", "Direction not established:")),
    ],
)
def test_curves_along_pseudotime_carry_the_verdicts_on_it(
    tmp_path: Path, trajectory: str, direction: str, said: tuple[str, ...]
) -> None:
    root = grid_run(tmp_path, verdicts={"trajectory": trajectory, "lineages": "not drawn", "direction": direction})
    text = build_report(root).read_text(encoding="utf-8")
    caption = re.search(r'id="explore-courses".*?class="caption">(.*?)</p>', text, re.DOTALL)
    assert caption is not None
    assert [words in caption[1] for words in said] == [True] * len(said)
    assert ("Not supported" in caption[1]) == (trajectory == "not supported")
    assert ("Direction not established" in caption[1]) == (direction == "not established")


def test_without_results_the_page_says_what_is_missing(page_offline: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "r")
    run.stage("joint").save()
    page = page_offline.open(build_report(run.finish()))
    assert "results.h5mu is not in the run folder" in page.locator("#explore .nothing").inner_text()
    (tmp_path / "r" / "results.h5mu").write_bytes(b"damaged")
    page = page_offline.open(build_report(tmp_path / "r"))
    assert "cannot be read" in page.locator("#explore .nothing").inner_text()
    assert page_offline.errors == []
