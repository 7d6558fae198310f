"""The zip of figures: three files for each, that open, in the report's colours, with no text beyond their edges."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert
from PIL import Image
from typer.testing import CliRunner

from mira_nb.cli import app
from mira_nb.errors import ParameterError
from mira_nb.export import figures
from mira_nb.export.figures import SLIDE, draw_chart, on_slide
from mira_nb.export.run import ExportOptions, export_run
from tests.messages import refused
from tests.report.synthetic import RunFolder, example_run

LONG = "Correlation of the accessibility of all peaks near a gene with its expression"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with charts of packed and of plain rows and pictures; one chart has a long legend title, one is damaged."""
    root = example_run(tmp_path_factory.mktemp("figures") / "run", n_cells=300)
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "value": [0.1, 0.5, 0.9], "name": ["a long name of a gene set"] * 3})
    chart = alt.Chart(frame).mark_circle().encode(x="x", y="name", color=alt.Color("value", title=LONG))
    folder = root / "stages" / "prepare"
    (folder / "figures" / "long.vl.json").write_text(chart.properties(width="container").to_json())
    (folder / "figures" / "damaged.vl.json").write_text("{")
    record = json.loads((folder / "stage.json").read_text())
    record["figures"] += [
        {"name": name, "file": f"figures/{name}.vl.json", "title": "=1+1", "caption": 'two, "three"'}
        for name in ("long", "damaged")
    ]
    (folder / "stage.json").write_text(json.dumps(record))
    return root


@pytest.fixture(scope="module")
def both(run, tmp_path_factory):
    """Files of the zip and notes by size."""
    out = tmp_path_factory.mktemp("out")
    found = {}
    for size in ("page", "slide"):
        done = export_run(run, to="figures", out=out, options=ExportOptions(size=size))
        assert [path.name for path in done.files] == [f"figures_{size}.zip"]
        with zipfile.ZipFile(done.files[0]) as archive:
            found[size] = {name: archive.read(name) for name in archive.namelist()}, done.notes
    return found


@pytest.fixture(params=["page", "slide"])
def exported(request, both):
    return request.param, *both[request.param]


def drawn(run: Path) -> list[str]:
    kept = [path for path in sorted(run.glob("stages/*/figures/*")) if path.name != "damaged.vl.json"]
    return [f"{path.parts[-3]}/{path.name.partition('.')[0]}" for path in kept]


def box(svg: bytes) -> tuple[float, float]:
    root = ElementTree.fromstring(svg)
    return float(root.get("width")), float(root.get("height"))


def test_three_files_for_every_figure(run, exported):
    _, files, notes = exported
    names = drawn(run)
    assert len(names) == 11
    expected = [f"{name}.{kind}" for name in names for kind in ("svg", "png", "pdf")]
    assert sorted(files) == sorted(["index.csv", *expected])
    for name in names:
        assert files[f"{name}.pdf"].startswith(b"%PDF")
        width, height = box(files[f"{name}.svg"])
        with Image.open(io.BytesIO(files[f"{name}.png"])) as picture:
            assert picture.width / picture.height == pytest.approx(width / height, rel=0.02)
            assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert len(notes) == 1
    assert "prepare/figures/damaged.vl.json" in notes[0]


def test_index(run, exported):
    _, files, _ = exported
    rows = list(csv.DictReader(io.StringIO(files["index.csv"].decode())))
    assert sorted(row["file"] for row in rows) == drawn(run)
    first = rows[0]
    assert (first["figure"], first["file"], first["title"]) == ("1", "prepare/depth", "Counts per cell")
    assert first["caption"] == "Most cells should lie in one hump."
    long = next(row for row in rows if row["file"] == "prepare/long")
    assert (long["title"], long["caption"]) == ("'=1+1", 'two, "three"')
    # the damaged figure has a number in the report too
    assert int(rows[-1]["figure"]) == len(rows) + 1


def test_sizes(exported):
    size, files, _ = exported
    sizes = {box(content) for name, content in files.items() if name.endswith(".svg")}
    assert sizes == {SLIDE} if size == "slide" else len(sizes) > 5


def spilt(svg: str, margin: int = 30) -> int:
    """Count dark pixels beyond the edges of a drawing."""
    head = re.search(r"<svg[^>]*>", svg)[0]
    width, height = box(svg.encode())
    wide = re.sub(r'\bwidth="[^"]*"', f'width="{width + 2 * margin}"', head, count=1)
    wide = re.sub(r'\bheight="[^"]*"', f'height="{height + 2 * margin}"', wide, count=1)
    frame = f'viewBox="{-margin} {-margin} {width + 2 * margin} {height + 2 * margin}"'
    wide = re.sub(r'viewBox="[^"]*"', frame, wide, count=1)
    with Image.open(io.BytesIO(vl_convert.svg_to_png(svg.replace(head, wide, 1), scale=1))) as picture:
        pixels = np.asarray(picture.convert("RGBA")).astype(int)
    ink = (pixels[..., 3] > 60) & (pixels[..., :3].min(axis=-1) < 200)
    ink[margin:-margin, margin:-margin] = False
    return int(ink.sum())


def test_no_text_is_cut(exported):
    _, files, _ = exported
    for name, content in files.items():
        if name.endswith(".svg"):
            assert spilt(content.decode()) == 0, name
            assert "…" not in content.decode(), name
    assert LONG in files["prepare/long.svg"].decode()


def test_spilt_text_is_noticed():
    text = '<text x="80" y="50" font-family="Arial, Liberation Sans" font-size="14px">beyond the edge</text>'
    plain = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100" viewBox="0 0 100 100">'
    assert spilt(f"{plain}{text}</svg>") > 0


def test_a_long_title_fits_on_a_slide():
    plain = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200" viewBox="0 0 300 200"></svg>'
    for title in ("Short", LONG * 2, "MWQ" * 40, "細胞" * 40):
        assert spilt(on_slide(plain, title)) == 0


def test_type_is_larger_on_slides(both):
    letters = {}
    for size, (files, _) in both.items():
        svg = files["prepare/depth.svg"].decode()
        factor = 1.0
        if size == "slide":
            inner = ElementTree.fromstring(svg).find("{http://www.w3.org/2000/svg}svg")
            factor = float(inner.get("width")) / float(inner.get("viewBox").split()[2])
        letters[size] = factor * min(float(found) for found in re.findall(r'font-size="([\d.]+)px"', svg))
    assert letters["page"] == 11
    assert letters["slide"] > 20


def test_colours_of_the_report(tmp_path):
    """A group has the colour that the run gives it, whatever the chart's file says."""
    run = RunFolder(tmp_path / "run")
    frame = pd.DataFrame({"group": ["B", "C"], "n": [1, 2]})
    scale = alt.Scale(domain=["B", "C"], range=["#123456", "#654321"])
    chart = alt.Chart(frame).mark_bar().encode(x="n", y="group", color=alt.Color("group", scale=scale))
    run.stage("prepare").figure("bars", chart).save()
    stage = run.stage("joint")
    cells = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0], "cell type": ["A", "B", "C"]})
    dots = alt.Chart(alt.NamedData("cells")).mark_circle().encode(x="x:Q", y="y:Q")
    stage.figure("umap_joint", dots, data={"cells": cells}).save()
    export_run(run.finish(), to="figures", out=tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "figures_page.zip") as archive:
        svg = archive.read("prepare/bars.svg").decode()
    assert "#123456" not in svg
    assert "#E69F00" in svg
    assert "#009E73" in svg


def test_many_points_are_sampled_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "POINT_LIMIT", 40)
    run = RunFolder(tmp_path / "run")
    cells = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0)})
    dots = alt.Chart(alt.NamedData("cells")).mark_circle().encode(x="x:Q", y="y:Q")
    run.stage("joint").figure("dots", dots, data={"cells": cells}).save()
    export_run(run.finish(), to="figures", out=tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "figures_page.zip") as archive:
        assert archive.read("joint/dots.svg").decode().count('aria-roledescription="circle"') == 40
        assert "40 of 100 points" in archive.read("index.csv").decode()


def test_the_same_chart_gives_the_same_text(run):
    """Vega counts the clips and gradients of a process; the drawing does not show it."""
    chart = json.loads((run / "stages" / "joint" / "figures" / "umap.vl.json").read_text())
    first, second = (draw_chart(chart, recolor=dict, names={}, size="page")[0] for _ in range(2))
    assert first == second
    assert 'clip-path="url(#' in first


def test_refusals(run, tmp_path):
    with refused("export.size_unknown", ParameterError, known=["page", "slide"], size="poster"):
        export_run(run, to="figures", out=tmp_path, options=ExportOptions(size="poster"))
    with refused("export.no_figures", ParameterError):
        export_run(RunFolder(tmp_path / "empty").finish(), to="figures", out=tmp_path / "x")
    assert not list((tmp_path / "x").iterdir())


def test_command(run, tmp_path):
    arguments = ["export", str(run), "--to", "figures", "--size", "slide", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [str(tmp_path / "figures_slide.zip")]
    assert done.stderr.startswith("warning: ")
