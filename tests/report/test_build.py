"""The report as a file: what is in it, what a damaged run folder does to it."""

from __future__ import annotations

import base64
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira_nb.charts import packed
from mira_nb.errors import InputError, StoreError
from mira_nb.report import figures
from mira_nb.report.build import build_report, chart_bundle
from mira_nb.report.figures import Archive, read_figure
from mira_nb.report.licences import notices
from mira_nb.stages.registry import BUILT_IN
from tests.report.archive import read_archive
from tests.report.synthetic import RunFolder, cells, example_run


class Outline(HTMLParser):
    """Ids, links, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"]] if values.get("id") else []
        if tag == "a":
            self.links.append(values.get("href") or "")
        elif values.get("src") or values.get("href"):
            self.loads.append(values.get("src") or values.get("href") or "")
        self.inline += [name for name in values if name == "style" or name.startswith("on")]


@pytest.fixture(scope="module")
def outline(example: Path) -> Outline:
    return Outline((example / "report.html").read_text())


def test_ids_are_unique_and_links_lead_somewhere(outline: Outline) -> None:
    assert len(outline.ids) == len(set(outline.ids))
    shown = {link.removeprefix("#explore:") for link in outline.links if link.startswith("#explore:")}
    genes, topics = {f"gene/GENE{i}" for i in range(60)}, {f"topic/e{i}" for i in range(1, 8)}
    assert shown & genes
    assert topics <= shown <= genes | topics
    inside = {link[1:] for link in outline.links if link.startswith("#") and not link.startswith("#explore:")}
    assert inside <= set(outline.ids)
    assert set(BUILT_IN) <= set(outline.ids)
    assert {"joint-umap", "joint-clusters", "methods", "provenance", "alerts"} <= set(outline.ids)


def test_licences_of_embedded_scripts_stand_in_the_page(example: Path) -> None:
    page = html.unescape((example / "report.html").read_text(encoding="utf-8"))
    found = notices()
    assert {item["licence"] for item in found.packages} == set(found.texts)
    for item in found.packages:
        assert item["copyright"] in page
        assert item["name"] in page
    assert all(text in page for text in found.texts.values())
    versions = {item["name"]: item["version"] for item in found.packages}
    assert f'"{versions["Vega and its parts"]}"' in chart_bundle()
    assert f'"{versions["Vega-Lite"]}.' in chart_bundle()


def test_nothing_is_loaded_and_no_inline_code(outline: Outline) -> None:
    assert len(outline.loads) > 1
    assert all(item.startswith("data:") for item in outline.loads)
    assert not outline.inline


def test_alerts_come_first_and_gravest_first(example: Path) -> None:
    text = (example / "report.html").read_text()
    assert text.index('id="alerts"') < text.index('id="key-figures"') < text.index('id="prepare"')
    found = text[text.index('<section id="alerts"') : text.index('<section id="key-figures"')]
    assert re.findall(r'class="alert (\w+)"', found) == ["error", "warning", "info", "info", "info"]
    assert "raise n_iterations" in found
    assert 'href="#regulation"' in found


def test_stages_that_did_not_run_say_why(example: Path) -> None:
    text = (example / "report.html").read_text()
    part = {name: text[text.index(f'<section id="{name}"') :].split("</section>")[0] for name in BUILT_IN}
    assert "give --genome with --motifs or --motif-hits" in part["motifs"]
    assert "ConvergenceError" in part["regulation"]
    assert "Traceback (most recent call last)" in part["regulation"]
    assert "has not run" in part["comparisons"]


def test_methods_are_written_beside_the_report(example: Path) -> None:
    text = (example / "methods.md").read_text()
    assert "[@" not in text
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert text.count("Palantir") >= 2
    bib = (example / "references.bib").read_text()
    assert len(re.findall(r"^@", bib, re.MULTILINE)) == len(numbers)
    assert "setty2019palantir" in bib


def test_building_twice_gives_the_same_bytes_and_leaves_nothing(example: Path) -> None:
    before = (example / "report.html").read_bytes()
    assert build_report(example) == example / "report.html"
    assert (example / "report.html").read_bytes() == before
    assert not list(example.glob(".*"))


def test_twenty_thousand_cells_stay_below_six_megabytes(tmp_path: Path) -> None:
    report = build_report(example_run(tmp_path / "big", n_cells=20_000, n_topics=15))
    assert report.stat().st_size < 6e6


def test_equal_columns_are_kept_once(tmp_path: Path) -> None:
    xy, values = cells(500, 3)
    from mira_nb.charts.embedding import menu_scatter

    run = RunFolder(tmp_path / "r")
    stage = run.stage("joint")
    for name in ("one", "two"):
        chart, data = menu_scatter(xy, values)
        stage.figure(name, chart, data=data)
    stage.save()
    text = build_report(run.finish()).read_text()
    assert len(read_archive(text, "archive")) == 2 + 3 + 1
    assert text.count('id="spec-joint-') == 2


def test_many_points_are_sampled_and_shown_in_full_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mira_nb.charts.embedding import menu_scatter

    xy, values = cells(3000, 3)
    chart, data = menu_scatter(xy, values, default="leiden")
    path = tmp_path / "umap.vl.json"
    path.write_text(json.dumps(packed.attach(chart.to_dict(), data)))
    view = read_figure(path, Archive(), point_limit=1000)
    assert view.note.startswith("1,000 of 3,000 points, drawn at random")
    assert view.image.startswith("data:image/png")
    assert view.spec is not None
    assert view.spec["packed"]["cells"]["n"] == 1000
    kinds = {column["name"]: column["kind"] for column in view.spec["packed"]["cells"]["columns"]}
    assert kinds["e1"] == "u8"
    assert read_figure(path, Archive()).note == ""
    assert figures.POINT_LIMIT == 50_000


def test_a_drawing_is_a_picture_in_which_no_script_runs(tmp_path: Path) -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="300.4" height="200px"><script>window.owned=1</script></svg>'
    )
    run = RunFolder(tmp_path / "r")
    run.stage("topics_rna").figure("architecture", svg=drawing, title="The model").save()
    text = build_report(run.finish()).read_text()
    assert "window.owned" not in text
    (image,) = re.findall(r'<img class="picture drawing" ([^>]*)>', text)
    assert 'width="300" height="200" alt="The model"' in image
    (content,) = re.findall('src="data:image/svg[+]xml;base64,([^"]*)"', image)
    assert base64.b64decode(content).decode() == drawing
    assert 'data-picture="topics_rna-architecture.svg" aria-label="Save Figure 1 as SVG"' in text


@pytest.mark.parametrize("content", ["<svg", "<html/>", '<svg xmlns="http://www.w3.org/2000/svg" width="100%"/>'])
def test_what_is_no_drawing_is_said_in_its_place(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.svg").write_text(content)
    view = read_figure(tmp_path / "a.svg", Archive())
    assert view.error.startswith("a.svg cannot be shown: ValueError: not an SVG file")
    assert not view.image


def test_a_chart_cannot_set_the_options_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "c.vl.json"
    path.write_text(json.dumps({"mark": "bar", "usermeta": {"embedOptions": {"ast": False, "actions": True}}}))
    view = read_figure(path, Archive())
    assert view.spec is not None
    assert "embedOptions" not in json.dumps(view.spec)


def test_damaged_parts_are_shown_in_their_place(tmp_path: Path) -> None:
    root = example_run(tmp_path / "run", n_cells=200)
    (root / "stages/joint/figures/umap.vl.json").write_text("{")
    (root / "stages/joint/figures/multiples.png").write_bytes(b"not a picture")
    (root / "stages/joint/tables/clusters.csv").unlink()
    (root / "stages/enrichment/stage.json").write_text("nonsense")
    text = build_report(root).read_text()
    assert "umap.vl.json cannot be shown" in text
    assert "multiples.png cannot be shown" in text
    assert "This table cannot be shown" in text
    assert "stage.json is not readable JSON" in text
    assert 'id="spec-trajectory-linked"' in text


def test_a_caption_of_several_figures_stands_once(tmp_path: Path) -> None:
    spec = {"data": {"values": [{"x": 1}]}, "mark": "bar", "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    long = "Distribution of the expression per group. " * 4
    run = RunFolder(tmp_path / "r")
    stage = run.stage("comparisons")
    for name in ("one", "two"):
        stage.figure(name, spec, caption=long, section="Genes")
    stage.figure("short", spec, caption="n = 3", section="Genes").figure(
        "brief", spec, caption="n = 3", section="Genes"
    )
    stage.figure("elsewhere", spec, caption=long, section="Topics").save()
    text = build_report(run.finish()).read_text(encoding="utf-8")
    captions = [re.sub("<.*?>", "", found) for found in re.findall("<figcaption>(.*?)</figcaption>", text, re.DOTALL)]
    assert captions == [long.strip(), "As Figure 1.", "n = 3", "n = 3", long.strip()]


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        build_report(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(StoreError, match="JSON object"):
        build_report(tmp_path)


def test_an_empty_run_still_gives_a_report(tmp_path: Path) -> None:
    text = build_report(RunFolder(tmp_path / "r").finish()).read_text()
    assert text.count("This stage has not run") == len(BUILT_IN)
    assert "vegaEmbed=" not in text  # no charts, no chart library


def test_table_numbers_equal_the_file(example: Path) -> None:
    frame = pd.read_csv(example / "stages/joint/tables/clusters.csv")
    text = (example / "report.html").read_text()
    payload = json.loads(read_archive(text, "archive")["data-joint-clusters-view"])
    assert [column["name"] for column in payload["columns"]] == list(frame.columns)
    for column in payload["columns"]:
        assert np.allclose(column["values"], frame[column["name"]], rtol=1e-5)


def test_equal_alerts_are_merged_and_odd_small_figures_get_a_row(tmp_path: Path) -> None:
    alert = {"level": "warning", "title": "Only 300 cells", "cause": "c", "remedy": "r", "code": "topics.few_cells"}
    run = RunFolder(tmp_path / "r")
    for name in ("topics_rna", "topics_atac"):
        stage = run.stage(name, alerts=[alert])
        for i, width in enumerate((200, 200, 200, 800, 200)):
            stage.figure(f"f{i}", {"mark": "bar", "width": width})
        stage.save()
    text = build_report(run.finish()).read_text()
    found = text[text.index('<section id="alerts"') : text.index('<section id="key-figures"')]
    assert found.count("Only 300 cells") == 1
    assert found.count('data-code="topics.few_cells"') == 1
    assert found.count('<code class="code">topics.few_cells</code>') == 1
    assert 'href="#topics_rna"' in found
    assert 'href="#topics_atac"' in found
    assert re.findall(r'<figure id="topics_rna-(f\d)" class="small"', text) == ["f0", "f1"]


def test_a_finding_is_said_once(tmp_path: Path) -> None:
    """Another stage's alert of the same title, and a value that an alert names as a percentage, add no second one."""
    few = {"level": "warning", "title": "Only 300 cells", "cause": "c", "remedy": "r"}
    poor = {"level": "warning", "title": "Error alone 34%", "cause": "", "remedy": "", "code": "regulation.poor"}
    run = RunFolder(tmp_path / "r")
    run.stage("prepare", alerts=[{**few, "code": "prepare.few_cells"}]).save()
    run.stage("topics_rna", alerts=[{**few, "cause": "other", "code": "topics.few_cells"}]).save()
    share = [{"name": "Error share", "value": 0.337, "good_below": 0.1}]
    run.stage("regulation", alerts=[poor], metrics=share).save()
    run.stage("drivers", alerts=[{**poor, "title": "134% or 34.5 or 0.3371"}], metrics=share).save()
    text = build_report(run.finish()).read_text()
    assert codes(text) == ["prepare.few_cells", "regulation.poor", "regulation.poor", "report.value_out_of_range"]
    first, second = re.findall(
        r'<a href="#(?:prepare|topics_rna)">([^<]+)</a>', text[text.index('<section id="alerts"') :]
    )[:2]
    assert f"<strong>Cause:</strong> {first}: c {second}: other</p>" in text
    assert "<strong>What to do:</strong> r</p>" in text


def test_the_head_says_how_many_cells_a_subset_has(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.stage("joint", metrics=[{"name": "Cells analysed", "value": 398, "key": True}]).save()
    folder = run.finish(shape={"cells": 10309, "genes": 1677, "peaks": 25734})
    head = re.search(r'class="kicker">(.*?)</p>', build_report(folder).read_text(encoding="utf-8"), re.S)
    assert head is not None
    assert "<b>10,309</b> cells, 398 analysed</span>" in head[1]
    assert "<b>1,677</b> genes</span>" in head[1]


def codes(text: str) -> list[str]:
    """Codes of the alerts in the section of alerts, notes included, in their order."""
    section = text[text.index('<section id="alerts"') : text.index("</section>", text.index('<section id="alerts"'))]
    assert section.count('<li class="alert ') == section.count("data-code=")
    return re.findall(r'data-code="([^"]+)"', section)


def test_alerts_that_no_stage_makes_have_a_code(tmp_path: Path) -> None:
    """A failed and a skipped stage, a finding of the input, a value out of its range, a citation without reference."""
    run = RunFolder(tmp_path / "r")
    run.stage("prepare", metrics=[{"name": "Depth", "value": 1.0, "good_above": 2.0}], methods="So [@nobody].").save()
    run.states["topics_rna"] = {"status": "failed", "error": {"message": "no memory\nWhat to do: get more"}}
    run.states["topics_atac"] = {"status": "skipped", "reason": "not asked for"}
    finding = {"level": "warning", "title": "Two cells left out", "cause": "", "remedy": ""}
    found = codes(build_report(run.finish(findings=[finding])).read_text())
    assert found[0] == "run.stage_failed"
    assert set(found) == {
        "run.stage_failed",
        "run.stage_skipped",
        "input.finding",
        "report.value_out_of_range",
        "report.unknown_citation",
    }
