"""The atlas of figures: complete, true of the code, linked in the report, drawn in the documentation."""

from __future__ import annotations

import ast
import importlib
import io
import re
from functools import cache
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mira_nb.errors import InputError, MiraError
from mira_nb.report import atlas_docs
from mira_nb.report.atlas import FILE, Item, Panel, atlas_rows, drawn_items, picture_name, read_atlas
from mira_nb.report.build import build_report
from mira_nb.report.reader import read_run
from mira_nb.report.sections import Builder
from mira_nb.stages import registry
from tests.report.synthetic import RunFolder

ROOT = Path(__file__).resolve().parents[2]
STAGES = ROOT / "mira_nb" / "stages"
PAPER = (
    "1", "2a", "2b", "3a", "3b", "3c", "3d", "4a", "4b", "4c", "5a", "5b", "5c", "5d", "5e", "5f", "6a", "6b", "7",
    "8a", "8b", "8c", "8d", "8e", "8f", "9a", "9b", "9c", "9d", "9e", "10", "11", "12", "13a", "13b", "13c", "13d",
    "table 1", "table 2", "table 3", "table 4", "table 5", "table 6",
)  # fmt: skip
"""Panels of Extended Data Figs. 1 to 13 and Extended Data Tables 1 to 6 (Lynch et al. 2022)."""

ITEMS = sorted({item for panel in read_atlas() for item in panel.items}, key=str)
FUNCTIONS = sorted({name for panel in read_atlas() for name in panel.functions})


# ---------------------------------------------------------------- the list
def test_every_panel_of_the_paper_once_in_its_order() -> None:
    assert tuple(panel.panel for panel in read_atlas()) == PAPER
    for panel in read_atlas():
        assert panel.what
        assert panel.reading, f"{panel.label}: say how to read it on the embedded data"
        assert panel.needs
        assert panel.items[0].kind == ("tables" if panel.is_table else "figures")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_exist_and_are_public(name: str) -> None:
    module, _, function = name.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert not function.startswith("_")


def test_stages_of_the_atlas_exist() -> None:
    assert ITEMS
    assert {item.stage for item in ITEMS} <= set(registry.BUILT_IN)


@cache
def stage_texts(stage: str) -> frozenset[str]:
    """Every text constant in the modules of a stage's package and of ``shared``."""
    texts: set[str] = set()
    folder = STAGES / registry.BUILT_IN[stage].split(".")[2]
    for path in [*folder.glob("*.py"), *(STAGES / "shared").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                texts.add(re.sub(r"\{[^}]*\}", "*", ast.unparse(node).lstrip("f").strip("'\"")))
    return frozenset(texts)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.stage}-{item.name}")
def test_stages_make_what_the_atlas_names(item: Item) -> None:
    """A figure that is renamed in its stage has to be renamed here (the whole run is checked in tests/e2e)."""
    patterns = (re.escape(text).replace(r"\*", r"\w+") for text in stage_texts(item.stage) if text.strip("*"))
    assert any(re.fullmatch(pattern, item.name) for pattern in patterns)


def entry(item: str = "joint/figures/a", function: str = "a:b") -> str:
    return (
        f'[[panels]]\npanel = "1"\nwhat = "x"\nitems = ["{item}"]\nfunction = ["{function}"]\n'
        'needs = "y"\nreading = "z"\n'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[panels]]\npanel = "1"\nwhat = "x"\n', "has the fields"),
        (entry(item="joint/plots/a"), "items"),
        (entry(function="ab"), "names"),
        (entry() + entry(), "lists 1 twice"),
    ],
    ids=["incomplete", "unknown kind", "no function", "twice"],
)
def test_a_damaged_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "atlas.toml"
    path.write_text(text)
    with pytest.raises(MiraError, match=message):
        read_atlas(path)


# ---------------------------------------------------------------- the report
def bars() -> alt.Chart:
    return alt.Chart(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]})).mark_bar().encode(x="a:N", y="b:Q")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run with one figure and one table of the atlas (of the same name), one skipped, one failed, one empty stage."""
    folder = RunFolder(tmp_path_factory.mktemp("atlas") / "run")
    frame = pd.DataFrame({"topic": ["e1", "e2"], "term": ["A | B", "<b>C</b>"], "pvalue": [1.234567e-9, 0.5]})
    folder.stage("prepare").table("qc", frame).save()
    folder.stage("joint").figure("markers", bars(), title="Markers | of <all> maps").save()
    folder.stage("enrichment").figure("enrichment", bars()).table("enrichment", frame).save()
    folder.states["motifs"] = {"status": "skipped", "reason": "give --genome with --motifs"}
    folder.states["regulation"] = {"status": "failed", "error": {"type": "X", "message": "y", "traceback": ""}}
    root = folder.finish()
    build_report(root)
    return root


def test_rows_link_to_what_is_there_and_say_what_is_missing(run: Path) -> None:
    rows = {row["label"]: row for row in atlas_rows(Builder(read_run(run)).stages())}
    assert [link["href"] for link in rows["Fig. 3a"]["links"]] == ["#joint-markers"]
    assert rows["Fig. 3a"]["missing"] == ""
    assert rows["Table 1"]["links"] == [{"href": "#enrichment-enrichment-2", "text": "Table 2", "title": "enrichment"}]
    assert "give --genome with --motifs" in rows["Table 2"]["missing"]
    assert "failed" in rows["Fig. 5c"]["missing"]
    assert "has not run" in rows["Fig. 2a"]["missing"]
    needs = next(panel.needs for panel in read_atlas() if panel.panel == "12")
    assert needs in rows["Fig. 12"]["missing"]
    assert all(bool(row["links"]) != bool(row["missing"]) for row in rows.values())


def test_the_report_has_every_row_and_its_links_lead_somewhere(run: Path) -> None:
    text = (run / "report.html").read_text()
    part = text[text.index('<section id="atlas"') :].split("</section>")[0]
    assert re.findall(r'<tr id="([^"]+)"', part) == [panel.anchor for panel in read_atlas()]
    links = re.findall(r'href="#([^"]+)"', part)
    assert {"joint-markers", "enrichment-enrichment-2"} <= set(links)
    assert all(text.count(f'id="{name}"') == 1 for name in links)
    assert "Markers | of &lt;all&gt; maps" in part
    assert text.index('id="methods"') < text.index('id="atlas"')
    assert '<a href="#atlas">' in text


# ---------------------------------------------------------------- the documentation
def test_the_page_is_up_to_date_and_its_pictures_are_small() -> None:
    text = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\| <a id="([^"]+)"></a>(.*)$', text, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [panel.anchor for panel in read_atlas()], "run `make atlas`"
    for panel, (_, row) in zip(read_atlas(), rows, strict=True):
        assert panel.what in row
        assert panel.reading in row
        assert all(f"`{name}`" in row for name in panel.functions), f"{panel.label}: run `make atlas`"
    pictures = set(re.findall(r'src="(atlas/[^"]+\.png)"', text))
    named = {panel.items[0] for panel in read_atlas() if not panel.is_table}
    assert pictures == {f"atlas/{picture_name(item)}" for item in named}
    anchors = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(anchors) >= sum(panel.is_table for panel in read_atlas()) > 0
    for anchor in anchors:
        headings = [line.lstrip("# ").lower().replace(" ", "-") for line in text.splitlines() if line.startswith("###")]
        assert anchor in headings


def test_every_figure_of_the_atlas_has_a_small_picture() -> None:
    named = {item for panel in read_atlas() for item in panel.items if item.kind == "figures"}
    assert set(drawn_items()) == named
    files = {path.name: path for path in (ROOT / "docs" / "atlas").iterdir()}
    assert set(files) == {picture_name(item) for item in named}, "run `make atlas`"
    sizes = [path.stat().st_size for path in files.values()]
    assert max(sizes) <= atlas_docs.MAX_BYTES
    assert sum(sizes) < 2_500_000


def panel(name: str, *items: Item) -> Panel:
    return Panel(name, f"what {name} shows", items, ("mira_nb.charts.basic:bars",), "nothing", f"reading {name}")


def test_page_of_a_run(run: Path, tmp_path: Path) -> None:
    figure, table = Item("joint", "figures", "markers"), Item("enrichment", "tables", "enrichment")
    absent = Item("joint", "figures", "absent")
    (tmp_path / "atlas").mkdir()
    Image.new("RGB", (320, 100)).save(tmp_path / "atlas" / "joint-markers.png")
    panels = [panel("3a", figure), panel("3b", absent), panel("table 1", table)]
    text = atlas_docs.markdown(read_run(run), panels, docs=tmp_path)
    assert text.count("## Extended Data Fig. 3\n") == 1
    rows = [line for line in text.splitlines() if line.startswith("| <a id=")]
    assert len(rows) == 3
    for row in rows:
        assert len(re.split(r"(?<!\\)\|", row)) == 6, "four cells"
        assert "<all>" not in row
        assert "what" in row
        assert "reading" in row
    assert 'src="atlas/joint-markers.png" width="200"' in rows[0]
    assert rows[1].count("not in this run") == 2
    excerpt = text[text.index("### Table enrichment enrichment") :]
    assert r"A \| B" in excerpt
    assert "&lt;b>C&lt;/b>" in excerpt
    assert "1.235e-09" in excerpt
    assert "Most significant 2 of 2 rows" in excerpt


def test_an_incomplete_run_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"Fig\. 2a \(trajectory/figures/"):
        atlas_docs.write_docs(run, tmp_path)
    assert not list(tmp_path.iterdir())
    assert atlas_docs.main([str(run), str(tmp_path)]) == 2
    assert atlas_docs.main([]) == 2
    assert atlas_docs.main([str(run), str(tmp_path), "--partial"]) == 0
    assert [path.name for path in (tmp_path / "atlas").iterdir()] == ["joint-markers.png"]
    assert "(#table-enrichment-enrichment)" in (tmp_path / "atlas.md").read_text()
    assert "usage" in capsys.readouterr().err


def test_pages_and_pictures_replace_older_ones(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(atlas_docs, "read_atlas", lambda: (panel("3a", Item("joint", "figures", "markers")),))
    (tmp_path / "atlas").mkdir()
    (tmp_path / "atlas" / "joint-old.png").write_bytes(b"old")
    assert atlas_docs.main([str(run), str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "atlas.md")
    assert [path.name for path in (tmp_path / "atlas").iterdir()] == ["joint-markers.png"]
    with Image.open(tmp_path / "atlas" / "joint-markers.png") as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_pictures_of_noise_are_made_small_enough() -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(140, 180, 3), dtype=np.uint8)
    content = atlas_docs.shrink(Image.fromarray(noise), max_bytes=4_000)
    assert len(content) <= 4_000
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width / picture.height == pytest.approx(180 / 140, rel=0.05)


def test_few_bright_points_keep_their_colour() -> None:
    """Maps are mostly grey: a palette of the commonest colours would lose the cells that carry a topic."""
    grey = np.repeat(np.linspace(150, 230, 300, dtype=np.uint8), 300).reshape(300, 300, 1).repeat(3, axis=2)
    grey[100:104, 100:104] = (213, 94, 0)
    with Image.open(io.BytesIO(atlas_docs.shrink(Image.fromarray(grey)))) as picture:
        red, green, blue = np.asarray(picture.convert("RGB"), dtype=int)[101, 101]
    assert red - blue > 120
    assert red > green > blue


def test_only_clouds_of_points_are_sampled() -> None:
    points = alt.Chart(alt.NamedData("cells")).mark_circle().encode(x="x:Q", y="y:Q")
    area = alt.Chart(alt.NamedData("curves")).mark_area().encode(x="x:Q", y="y:Q")
    dots = alt.Chart(alt.NamedData("curves")).mark_point().encode(x="x:Q", y="y:Q")
    lines = alt.layer(alt.Chart().mark_line(), data=alt.NamedData("faceted")).facet(
        "g:N", data=alt.NamedData("faceted")
    )
    chart = alt.hconcat(points, alt.layer(area, dots), lines)
    assert atlas_docs.point_clouds(chart.to_dict()) == {"cells"}


def test_the_list_is_in_the_package() -> None:
    assert FILE.is_file()
    assert FILE.parent == ROOT / "mira_nb" / "report"
