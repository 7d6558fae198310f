"""The report in headless Chromium without network: drawing, saving, linking, accessibility, hostile names."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from mira_nb.charts import embedding
from mira_nb.report.build import build_report
from tests.report.conftest import until
from tests.report.synthetic import HOSTILE, RunFolder, example_run

pytestmark = pytest.mark.browser


def saved(page: Any, click: Any) -> bytes:
    with page.expect_download(timeout=60_000) as waiting:
        click()
    return Path(waiting.value.path()).read_bytes()


def axe(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{item['id']}: {node['html'][:160]}" for item in found for node in item["nodes"]]


def test_opens_offline_without_requests_and_errors(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html")
    page_offline.see_everything()
    assert page_offline.requests == []
    assert page_offline.errors == []
    assert page.locator(".chart.drawn").count() == page.locator(".chart").count() > 5
    assert page.locator(".chart .problem, .table-view .problem").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(page_offline: Any, example: Path, scheme: str) -> None:
    page_offline.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page = page_offline.open(example / "report.html")
    page_offline.see_everything()
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_narrow_window(page_offline: Any, example: Path) -> None:
    page_offline.page.set_viewport_size({"width": 400, "height": 800})
    page = page_offline.open(example / "report.html")
    page_offline.see_everything()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not page.locator("#contents").is_visible()
    # the bar at the top leaves the page its room: the name on one line, the search below
    assert page.locator("#side").bounding_box()["height"] < 130
    page.locator("#menu").click()
    page.locator("#contents a[href='#methods']").click()
    assert not page.locator("#contents").is_visible()
    assert page.evaluate("location.hash").startswith("#methods")
    assert axe(page) == []


def test_table_sorts_filters_pages_and_saves(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html", "#enrichment-enrichment")
    table = page.locator("#enrichment-enrichment-view")
    table.locator("tbody tr").first.wait_for()
    frame = pd.read_csv(example / "stages/enrichment/tables/enrichment.csv")
    table.get_by_role("button", name="Remove the filter").click()
    assert table.locator("[role=status]").inner_text() == f"1–10 of {len(frame):,}"
    table.locator("select").first.select_option(label="e3")
    for _ in range(2):
        table.get_by_role("button", name="p", exact=True).click()
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("p")
    text = saved(page, lambda: table.get_by_text("Save filtered").click()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = frame[frame.topic == "e3"].sort_values("pvalue", ascending=False, kind="stable")
    assert [row["term"] for row in rows] == expected["term"].tolist()
    assert np.allclose([float(row["pvalue"]) for row in rows], expected["pvalue"], rtol=1e-3)
    assert [row["genes"] for row in rows] == expected["genes"].tolist()
    gene = expected["genes"].iloc[0].split(";")[0].lower()
    matching = expected["genes"].str.lower().str.contains(gene, regex=False).sum()
    table.locator("input[type=search]").fill(f"wikipathways {gene}")
    status = "document.querySelector('#enrichment-enrichment-view [role=status]').textContent"
    until(page, f"{status}.includes('of {matching:,} that pass the filters (of {len(frame):,})')")
    table.locator("input[type=search]").fill("no such thing")
    until(page, "document.querySelectorAll('#enrichment-enrichment-view tbody tr').length === 0")
    assert "No row" in table.locator("[role=status]").inner_text()


def test_columns_of_a_table_are_filtered_by_number_and_by_text(page_offline: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(40)],
            "adj_pvalue": np.r_[0.05, np.nan, rng.random(38)],
            "score": [*np.arange(-3.0, 36.0), np.inf],
        }
    )
    run = RunFolder(tmp_path / "r")
    run.stage("joint").table("t", frame).table("small", frame.head(10)).save()
    page = page_offline.open(build_report(run.finish()), "#joint-t")
    table = page.locator("#joint-t-view")
    table.locator("tbody tr").first.wait_for()

    def left(column: str, text: str, n: int) -> list[str]:
        table.get_by_label(f"Filter {column} of").fill(text)
        status = "document.querySelector('#joint-t-view [role=status]').textContent"
        until(page, f"{status}.includes('of {n} that pass the filters (of 40)')")
        rows = csv.DictReader(io.StringIO(saved(page, lambda: table.get_by_text("Save filtered").click()).decode()))
        return [row["gene"] for row in rows]

    low = frame.loc[frame["adj_pvalue"] <= 0.05, "gene"].tolist()
    assert left("Adjusted p", "<= 5e-2", len(low)) == low
    table.get_by_label("Filter Adjusted p of").fill("")
    assert left("Score", "> 33", 3) == ["G37", "G38", "G39"]
    assert left("Gene", "g39|G37", 2) == ["G37", "G39"]
    page.evaluate("location.hash = '#joint-small'")
    page.locator("#joint-small-view tbody tr").first.wait_for()
    assert page.locator("#joint-small-view .filters").count() == 0


def long_table(root: Path, frame: pd.DataFrame, name: str = "genes") -> Path:
    run = RunFolder(root)
    run.stage("regulation").table(name, frame, title="Models").save()
    return build_report(run.finish())


def test_a_long_table_begins_with_what_is_significant(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"gene": [f"G{i}" for i in range(40)], "adj_pvalue": np.linspace(0.001, 1, 40)})
    n = int((frame["adj_pvalue"] < 0.05).sum())
    page = page_offline.open(long_table(tmp_path / "r", frame), "#regulation-genes")
    table = page.locator("#regulation-genes-view")
    table.get_by_text("Only rows with").wait_for()
    assert table.locator("tbody tr").count() == n == 2
    assert table.locator(".chips").inner_text().split("\n") == ["Only rows with", "Adjusted p < 0.05 ×"]

    def genes(button: str) -> list[str]:
        text = saved(page, lambda: table.get_by_role("button", name=button).click()).decode()
        return [row["gene"] for row in csv.DictReader(io.StringIO(text))]

    assert genes("Save all 40 rows") == frame["gene"].tolist()
    assert genes("Save filtered 2 rows") == ["G0", "G1"]
    table.get_by_role("button", name="Remove the filter Adjusted p < 0.05").press("Enter")
    until(page, "document.querySelectorAll('#regulation-genes-view tbody tr').length === 10")
    assert not table.get_by_text("Only rows with").is_visible()
    assert genes("Save filtered 40 rows") == frame["gene"].tolist()


@pytest.mark.parametrize("values", [np.full(40, 0.5), np.full(40, 0.01)], ids=["none", "all"])
def test_a_first_filter_that_tells_nothing_apart_is_left_out(
    page_offline: Any, tmp_path: Path, values: np.ndarray
) -> None:
    frame = pd.DataFrame({"gene": [f"G{i}" for i in range(40)], "adj_pvalue": values})
    page = page_offline.open(long_table(tmp_path / "r", frame), "#regulation-genes")
    page.locator("#regulation-genes-view tbody tr").first.wait_for()
    assert page.locator("#regulation-genes-view [role=status]").inner_text() == "1–10 of 40"


def test_a_gene_is_found_though_the_first_filter_hides_it(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"gene": [f"GENE{i}" for i in range(40)], "adj_pvalue": np.linspace(0.001, 1, 40)})
    page = page_offline.open(long_table(tmp_path / "r", frame))
    page.locator("#find").fill("gene39")
    page.locator("#found a").first.click()
    until(page, "document.querySelector('#regulation-genes-view tbody')?.innerText.startsWith('GENE39')")


def test_headers_are_explained_to_pointer_and_keyboard(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"gene": ["A", "B"], "decay_upstream_kb": [1.5, 2.5], "mine": [1, 2]})
    page = page_offline.open(long_table(tmp_path / "r", frame), "#regulation-genes")
    table = page.locator("#regulation-genes-view")
    button = table.locator("thead button").nth(1)
    button.wait_for()
    assert button.inner_text() == "Decay upstream (kb)"
    tip = table.get_by_role("tooltip")
    for come, leave in (
        (button.hover, lambda: page.mouse.move(0, 0)),
        (button.focus, lambda: page.keyboard.press("Escape")),
    ):
        come()
        assert "weight halves" in tip.inner_text()
        assert tip.inner_text().endswith("decay_upstream_kb")
        assert button.get_attribute("aria-describedby") == tip.get_attribute("id")
        leave()
        assert not table.locator(".tip").is_visible()
    assert table.locator("thead button").nth(2).inner_text() == "mine"
    assert axe(page) == []


def test_columns_are_chosen_and_files_keep_them_all(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"gene": ["A", "B"], "nite_score": [1.5, 2.5], "theta": [1, 2]})
    page = page_offline.open(long_table(tmp_path / "r", frame), "#regulation-genes")
    table = page.locator("#regulation-genes-view")
    table.locator("summary", has_text="Columns").click()
    table.get_by_label("Gene", exact=True).uncheck()
    table.get_by_label("Theta", exact=True).uncheck()
    assert table.locator("thead th").all_inner_texts() == ["NITE score"]
    assert table.locator("tbody tr").all_inner_texts() == ["1.5", "2.5"]
    assert table.get_by_label("NITE score", exact=True).is_disabled()
    assert table.locator("summary", has_text="Columns (1 of 3)").count() == 1
    text = saved(page, lambda: table.get_by_role("button", name="Save filtered").click()).decode()
    assert text.splitlines()[0] == "gene,nite_score,theta"
    table.get_by_role("button", name="All columns").click()
    assert table.locator("thead th").count() == 3


def test_head_and_first_column_stay_when_a_table_is_scrolled(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"gene": [f"G{i}" for i in range(200)]} | {f"c{i}": np.arange(200.0) for i in range(40)})
    page = page_offline.open(long_table(tmp_path / "r", frame), "#regulation-genes")
    table = page.locator("#regulation-genes-view")
    table.get_by_label("Rows per page").select_option("100")
    moved = table.locator(".scroll").evaluate(
        """(box) => {
          box.scrollTo(300, 400);
          const at = (node) => node.getBoundingClientRect();
          const [frame, head] = [at(box), at(box.querySelector("thead"))];
          const [first, second] = [...box.querySelectorAll("tbody tr")[15].cells].map(at);
          return [box.scrollTop, head.top - frame.top, first.left - frame.left, second.left < frame.left];
        }"""
    )
    assert moved == [400, 0, 0, True]


def test_what_is_too_large_for_the_page_is_said_at_the_button(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"peak": [f"chr1:{i}-{i + 400}" for i in range(41_000)], "distance": np.arange(41_000)})
    report = long_table(tmp_path / "r", frame, "peak_gene_links")
    page = page_offline.open(report, "#regulation-peak_gene_links")
    link = page.locator("#regulation-peak_gene_links-view .tools a")
    link.wait_for()
    assert "All 41,000 rows: file in the run folder (" in link.inner_text()
    assert (report.parent / link.get_attribute("href")).is_file()
    assert "The complete table is too large for this page" in page.locator("#regulation-peak_gene_links").inner_text()
    assert page.locator("#regulation-peak_gene_links-view").get_by_text("Save filtered 5,000 rows").count() == 1


def test_natural_order_and_scientific_numbers(page_offline: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"topic": ["e10", "e2", "e1", "e2"], "adj_pvalue": [2e-8, 0.5, 0.01, np.nan], "n": [12345, 1, 2, 3]}
    )
    run = RunFolder(tmp_path / "r")
    run.stage("joint").table("t", frame).save()
    page = page_offline.open(build_report(run.finish()))
    page.evaluate("location.hash = '#joint-t'")
    rows = page.locator("#joint-t-view tbody tr")
    rows.first.wait_for()
    page.locator("#joint-t-view thead button").first.click()
    assert [row.split("\t") for row in rows.all_inner_texts()] == [
        ["e1", "0.01", "2"], ["e2", "0.5", "1"], ["e2", "–", "3"], ["e10", "2.00 × 10⁻⁸", "12,345"],
    ]  # fmt: skip


def test_figures_are_saved(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html", "#joint-umap")
    figure = page.locator("#joint-umap")
    figure.locator(".chart.drawn").wait_for()
    figure.locator(".vega-bind select").select_option("e2")

    def button(kind: str) -> Any:
        return lambda: figure.locator(f"button[data-action={kind}]").click()

    svg = saved(page, button("svg")).decode()
    assert svg.startswith("<svg")
    assert svg.count("<path") > 600
    assert saved(page, button("png"))[:4] == b"\x89PNG"
    rows = list(csv.DictReader(io.StringIO(saved(page, button("csv")).decode())))
    assert len(rows) == 600
    assert set(rows[0]) == {"x", "y", "leiden", *(f"e{i}" for i in range(1, 8))}
    spec = json.loads(saved(page, button("json")))
    assert len(spec["datasets"]["cells"]) == 600
    alt.Chart.from_dict(spec)
    assert saved(page, lambda: page.locator("#joint-multiples button[data-picture]").click())[:4] == b"\x89PNG"
    assert page_offline.errors == []


def test_theme_reaches_charts_and_keeps_menus(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html", "#prepare-depth")
    ink = "getComputedStyle(document.querySelector('#prepare-depth .chart text')).fill"
    page.locator("#prepare-depth .chart.drawn").wait_for()
    light = page.evaluate(ink)
    page.locator("#theme").click()
    until(page, f"document.querySelector('#prepare-depth .chart text') && {ink} !== '{light}'")
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.goto(f"{(example / 'report.html').resolve().as_uri()}#joint-umap")
    menu = page.locator("#joint-umap .vega-bind select")
    menu.wait_for()
    menu.select_option("e5")
    page.locator("#theme").click()
    page.locator("#joint-umap .chart.drawn .vega-bind select").wait_for()
    until(page, "document.querySelector('#joint-umap .vega-bind select').value === 'e5'")


def settled(page: Any, expression: str, *, milliseconds: int = 400) -> None:
    """Wait until a value has not changed for a while: the chart takes the last moves of the mouse in its own time."""
    before = None
    while (now := page.evaluate(expression)) != before:
        before = now
        page.wait_for_timeout(milliseconds)


def test_brush_fills_the_table_of_means_and_saves_barcodes(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html", "#trajectory-linked")
    figure = page.locator("#trajectory-linked")
    figure.locator(".linked tbody tr").first.wait_for()
    rows = list(csv.DictReader(io.StringIO(saved(page, lambda: figure.locator("[data-action=csv]").click()).decode())))
    everything = pd.DataFrame(rows)
    box = figure.locator("canvas").bounding_box()
    # the first view is 300 pixels wide, right of its axis title: its left half is brushed
    page.mouse.move(box["x"] + 30, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 170, box["y"] + 310, steps=5)
    page.mouse.up()
    until(page, "document.querySelector('#trajectory-linked').dataset.selected !== '600'")
    settled(page, "document.querySelector('#trajectory-linked').dataset.selected")
    chosen = saved(page, lambda: figure.get_by_text("Save barcodes").click()).decode().split()
    assert 0 < len(chosen) < 600
    inside = everything[everything.barcode.isin(chosen)]
    # a rectangle: no cell left out lies within the range of those chosen
    x, y = inside.x.astype(float), inside.y.astype(float)
    within = everything.x.astype(float).between(x.min(), x.max()) & everything.y.astype(float).between(y.min(), y.max())
    assert within.sum() == len(chosen)
    first = figure.locator(".linked tbody tr").first.locator("td").all_inner_texts()
    assert first[0] == f"{len(chosen)} of 600"
    assert float(first[1]) == pytest.approx(inside.e1.astype(float).mean(), rel=2e-3)
    group = inside.leiden.iloc[0]
    figure.locator(".linked select").select_option(group)
    wanted = (inside.leiden == group).sum()
    until(page, f"document.querySelector('#trajectory-linked').dataset.selected === '{wanted}'")
    figure.get_by_text("Clear").click()
    until(page, "document.querySelector('#trajectory-linked').dataset.selected === '600'")
    assert page_offline.errors == []


def test_hostile_names_stay_text(page_offline: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 90
    xy = pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "y"])
    values = pd.DataFrame({name: rng.random(n) for name in HOSTILE})
    values["group"] = rng.choice(HOSTILE, n)
    bad = " ".join(HOSTILE)
    run = RunFolder(tmp_path / "r <img src=x onerror=window.owned=9>")
    alert = {"level": "error", "title": bad, "cause": bad, "remedy": bad}
    chart, data = embedding.menu_scatter(xy, values, default="group", title=bad)
    inline = pd.DataFrame({"name": HOSTILE, "v": range(len(HOSTILE))})
    bars = alt.Chart(inline, title=bad).mark_bar().encode(x="v:Q", y="name:N", tooltip=["name:N", "v:Q"])
    run.stage(
        "joint", title=bad, purpose=bad, methods=f"{bad} [@lynch2022mira; @{HOSTILE[1]}]", alerts=[alert],
        metrics=[{"name": bad, "value": bad, "unit": bad, "help": bad, "key": key} for key in (True, False)],
        parameters=[{"name": bad, "value": bad, "default": [bad], "changed": True, "unit": bad, "help": bad}],
        files=[{"path": bad, "description": bad, "bytes": 1}],
    ).figure("a", chart, data=data, title=bad, caption=bad, alt=bad, section=bad).figure(
        "b", bars, title=bad, caption=bad, alt=bad
    ).table("t", pd.DataFrame({name: HOSTILE for name in HOSTILE}), title=bad, caption=bad).save()  # fmt: skip
    run.states["motifs"] = {"status": "failed", "error": {"type": bad, "message": bad, "traceback": bad}}
    run.states["drivers"] = {"status": "skipped", "reason": bad}
    root = run.finish(
        command=bad, inputs=[{"role": bad, "name": bad, "sha256": bad, "shape": [1, 2], "bytes": 1}], findings=[alert]
    )
    page = page_offline.open(build_report(root))
    page_offline.see_everything()
    for mark in page.locator("#joint-b .chart svg [aria-roledescription='bar']").all()[1:4]:
        mark.hover(force=True)
        page.wait_for_timeout(50)
    page.locator("#joint-a .vega-bind select").select_option(HOSTILE[1])
    assert page.evaluate("window.owned") is None
    assert page_offline.errors == []
    assert page_offline.requests == []
    assert page.locator("main img").count() == 0
    assert HOSTILE[1] in page.locator("#joint-title").inner_text()
    cells = page.locator("#joint-t-view tbody td").all_inner_texts()
    assert HOSTILE[0] in cells
    text = saved(page, lambda: page.locator("#joint-t-view").get_by_text("Save all").click()).decode()
    # a spreadsheet takes a cell that begins so for a formula
    expected = [f"'{name}" if name.startswith(("=", "+", "-", "@")) else name for name in HOSTILE]
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:] == expected


def test_a_chart_that_cannot_be_drawn_does_not_break_the_page(page_offline: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "r")
    good = alt.Chart(pd.DataFrame({"v": [1, 2]})).mark_bar().encode(x="v:O")
    run.stage("joint").figure("bad", {"mark": "nonsense", "encoding": {"x": 1}}).figure("worse", {}).figure(
        "good", good
    ).save()
    page = page_offline.open(build_report(run.finish()))
    page.locator("#joint-good").scroll_into_view_if_needed()
    page.locator("#joint-good .chart.drawn").wait_for()
    assert page.locator("#joint-bad .problem").inner_text().startswith("This chart cannot be drawn")


def test_inline_code_is_refused_by_the_policy(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.owned = 1';"
        " document.body.append(s);"
        " const i = document.createElement('div'); i.innerHTML = '<img src=x onerror=\"window.owned=2\">';"
        " document.body.append(i); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in error for error in page_offline.errors)
    policy = page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert "unsafe" not in policy
    assert re.search(r"default-src 'none'", policy)


def test_keyboard_reaches_contents_and_deep_links_open_folds(page_offline: Any, example: Path) -> None:
    page = page_offline.open(example / "report.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.goto(f"{(example / 'report.html').resolve().as_uri()}#joint-clusters")
    page.wait_for_timeout(700)
    assert page.locator("#joint-clusters").is_visible()
    until(page, "document.querySelector('#contents a[aria-current]')?.hash.startsWith('#joint')")


def test_large_run_is_quick(page_offline: Any, tmp_path: Path) -> None:
    report = build_report(example_run(tmp_path / "big", n_cells=20_000, n_topics=15))
    start = time.perf_counter()
    page = page_offline.open(report)
    page.locator(".chart.drawn").first.wait_for(state="attached", timeout=60_000)
    first = time.perf_counter() - start
    page.evaluate("document.querySelector('#joint-umap').scrollIntoView({behavior: 'instant'})")
    page.locator("#joint-umap .chart.drawn").wait_for(timeout=60_000)
    assert report.stat().st_size < 6e6
    assert first < 20  # five seconds on a quiet machine
    assert page_offline.errors == []


def folded_run(root: Path) -> Path:
    """Report of a stage with a main figure, a detail, a table of genes and an alert."""
    alert = {"level": "warning", "title": "Only 300 cells", "cause": "c", "remedy": "r"}
    rows = {"values": [{"x": 1, "y": 2}]}
    spec = {"data": rows, "mark": "bar", "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    genes = pd.DataFrame({"gene": [f"GENE{i}" for i in range(300)], "nite": [i % 2 == 0 for i in range(300)]})
    run = RunFolder(root)
    stage = run.stage("regulation", alerts=[alert])
    stage.figure("shown", spec, title="Shown at once").figure("hidden", spec, title="Hidden scatter")
    stage.table("genes", genes, title="Genes of the test")
    stage.save()
    record_path = root / "stages" / "regulation" / "stage.json"
    record = json.loads(record_path.read_text(encoding="utf-8"))
    record["figures"][1]["prominence"] = record["tables"][0]["prominence"] = "detail"
    record_path.write_text(json.dumps(record), encoding="utf-8")
    return build_report(run.finish())


def test_details_are_folded_until_asked_for(page_offline: Any, tmp_path: Path) -> None:
    page = page_offline.open(folded_run(tmp_path / "run"))
    assert page.locator("#regulation-shown").is_visible()
    assert not page.locator("#regulation-hidden").is_visible()
    page.locator("button[data-unfold='regulation']").click()
    assert page.locator("#regulation-hidden").is_visible()
    assert page.locator("#regulation-genes").is_visible()
    page.locator("button[data-unfold='regulation']").click()
    assert not page.locator("#regulation-genes").is_visible()
    page.locator("#everything").click()
    assert page.locator("#everything").get_attribute("aria-pressed") == "true"
    assert page.locator("main details.folded:not([open])").count() == 0
    page.locator("#regulation-hidden .chart.drawn").wait_for()
    page.locator("#everything").click()
    assert not page.locator("#regulation-hidden").is_visible()
    assert page_offline.errors == []


def test_search_finds_figures_tables_genes_and_alerts(page_offline: Any, tmp_path: Path) -> None:
    page = page_offline.open(folded_run(tmp_path / "run"))
    page.locator("#find").fill("hidden scat")
    page.locator("#found a").first.wait_for()
    assert page.locator("#found a").all_inner_texts() == ["figure Hidden scatter"]
    page.locator("#found a").first.click()
    until(page, "document.querySelector('#regulation-hidden').offsetHeight > 0")
    for text, wanted in (("genes of", "table Genes of the test"), ("300 cells", "alert"), ("no such thing", "")):
        page.locator("#find").fill(text)
        until(page, "!document.querySelector('#found').hidden")
        page.wait_for_timeout(150)
        shown = page.locator("#found").inner_text()
        assert wanted in shown if wanted else "Nothing found" in shown
    page.locator("#find").fill("gene299")
    page.wait_for_timeout(150)
    page.locator("#found a").first.click()
    until(page, "document.querySelectorAll('#regulation-genes-view tbody tr').length === 1")
    assert "GENE299" in page.locator("#regulation-genes-view tbody").inner_text()
    assert page_offline.errors == []


def test_first_screen_holds_both_pictures_and_the_findings(page_offline: Any, example: Path) -> None:
    page_offline.page.set_viewport_size({"width": 1440, "height": 900})
    page = page_offline.open(example / "report.html")
    for name in ("result-map", "result-tree", "result-topics"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["y"] + min(box["height"], 150) <= 900
        assert box["width"] > 150
    assert page.locator(".findings li").count() >= 5
    for light in page.locator(".light").all():
        assert light.inner_text().split()[0] in {"✓", "!", "✕", "–"}
        assert light.inner_text().split(maxsplit=1)[1] in {"good", "caution", "bad", "not tested"}
