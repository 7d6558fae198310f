"""A name has one colour in report, explorer and panels."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from mira_nb.charts import embedding, theme
from mira_nb.explorer.cells import LABELLED, CellData, Feature
from mira_nb.panels import drawings
from mira_nb.panels.browser_widgets import FigureGallery
from mira_nb.panels.cell_map import colour_message
from mira_nb.report.build import build_report
from mira_nb.report.palette import read_palette
from mira_nb.run.slots import write_slots
from mira_nb.run.store import write_h5mu
from mira_nb.stages.result import Slot
from tests.report.synthetic import RunFolder, write_results

KINDS, STATES, TOPICS = ("mid", "top"), ("A", "A, B", "B"), ("a1", "a2", "a3")
N = 60


@pytest.fixture
def coloured_run(tmp_path: Path) -> Path:
    """Run folder with groups, lineage states and topics, of which a1 is the partner of e2."""
    rng = np.random.default_rng(0)
    xy = pd.DataFrame(rng.normal(size=(N, 2)), columns=["x", "y"])
    kind, state = np.array(KINDS)[np.arange(N) % 2], np.array(STATES)[np.arange(N) % 3]
    leiden = pd.Categorical((np.arange(N) % 4).astype(str))
    run = RunFolder(tmp_path / "run")
    chart, data = embedding.menu_scatter(xy, pd.DataFrame({"kind": kind, "cluster (leiden)": leiden}), default="kind")
    partners = pd.DataFrame({"topic": ["a1"], "match": ["e2"], "correlation": [0.9], "mutual": [True]})
    run.stage("joint").figure("umap_joint", chart, data=data).table("partners", partners).save()
    run.stage("trajectory").table("lineage_tree", pd.DataFrame({"node": STATES})).save()
    run.stage("topics_rna").table("topics", pd.DataFrame({"topic": ["e1", "e2"]})).save()
    scale = {"domain": list(TOPICS), "range": list(theme.topic_colors(TOPICS).values())}
    rows = [{"topic": name, "n": 1} for name in TOPICS]
    color = {"field": "topic", "type": "nominal", "scale": scale}
    bars = {"data": {"values": rows}, "mark": "bar", "encoding": {"x": {"field": "n"}, "color": color}}
    run.stage("topics_atac").figure("shares", bars).table("topics", pd.DataFrame({"topic": TOPICS})).save()
    root = run.finish(resources={"groups": "kind"})
    obs = {"leiden": leiden, "lineage_state": state, "kind": kind}
    names = [f"c{i}" for i in range(N)]
    write_results(root, xy, rng.poisson(1, (N, 4)), [f"G{i}" for i in range(4)], obs=obs, barcodes=names)
    write_slots(root / "stages" / "joint" / "slots.h5", {
        Slot("joint", "obsm", "X_umap"): xy.to_numpy(), Slot("joint", "obs", "leiden"): leiden,
    })  # fmt: skip
    write_slots(root / "stages" / "trajectory" / "slots.h5", {
        Slot("joint", "obs", "lineage_state"): pd.Categorical(state),
    })  # fmt: skip
    parts = {}
    for assay in ("rna", "atac"):
        parts[assay] = AnnData(sparse.csr_matrix((N, 4), dtype=np.float32), obs=pd.DataFrame(index=names))
        parts[assay].var_names = [f"{assay}{i}" for i in range(4)]
    parts["rna"].obs["kind"] = pd.Categorical(kind)
    (root / "cache").mkdir()
    write_h5mu(MuData(parts), root / "cache" / "input.h5mu")
    return root


def block(page: str, name: str) -> Any:
    """Return a JSON block of a report."""
    found = re.search(rf'<script[^>]*id="{name}"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def scale_of(spec: Any) -> dict[str, str]:
    scale = spec["encoding"]["color"]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_names_have_one_colour_in_report_explorer_and_panels(coloured_run: Path) -> None:
    page = build_report(coloured_run).read_text(encoding="utf-8")
    reported = block(page, "explore-data")["colors"]
    data = CellData(coloured_run)
    for column, wanted in (("kind", KINDS), ("lineage_state", STATES), ("leiden", ("0", "1", "2", "3"))):
        facts, _ = colour_message(data.values(Feature("column", column)), data.palette)
        mapped = dict(zip(facts["names"], facts["colours"], strict=True))
        assert tuple(mapped) == wanted
        assert mapped == reported[column]
        assert drawings.set_colours(wanted, data.palette) == mapped
    states = reported["lineage_state"]
    assert states != theme.category_colors(STATES)  # the groups come first
    assert not set(states.values()) & set(reported["kind"].values())


def test_clusters_keep_their_colours_beside_labels(coloured_run: Path) -> None:
    data = CellData(coloured_run)
    before = data.palette.of(["0", "1", "2", "3"])
    for cluster, label in (("1", "Late"), ("3", "Late"), ("2", "A")):
        data.kept.label(cluster, label)
    values = data.values(Feature("column", LABELLED))
    found = data.palette.of(values.categories)
    assert found == {"0": before["0"], "A": data.palette.names["A"], "Late": before["1"]}
    assert found["A"] == read_palette(coloured_run).names["A"]  # a state of this name


def test_panels_give_topics_the_colours_of_the_report(coloured_run: Path) -> None:
    page = build_report(coloured_run).read_text(encoding="utf-8")
    report = scale_of(block(page, "spec-topics_atac-shares")["spec"])
    folder = coloured_run / "stages" / "topics_atac"
    gallery = FigureGallery()
    gallery.show(folder, json.loads((folder / "stage.json").read_text())["figures"], key="k")
    panel = scale_of(json.loads(gallery.answer("figure", "shares").content))
    assert panel == report == dict(read_palette(coloured_run).topics.items() & panel.items())
    assert panel["a1"] == read_palette(coloured_run).topics["e2"] != theme.topic_colors(TOPICS)["a1"]


def test_colours_follow_the_run(coloured_run: Path) -> None:
    """Panels draw figures anew when a stage has changed what is known; a folder without a run has no names."""
    gallery, folder = FigureGallery(), coloured_run / "stages" / "topics_atac"
    figures = [{"name": "shares", "file": "figures/shares.vl.json"}]
    gallery.show(folder, figures, key="k")
    before = gallery.items[0]["key"]
    gallery.show(folder, figures, key="k")
    assert gallery.items[0]["key"] == before
    (coloured_run / "stages" / "joint" / "tables" / "partners.csv").write_text("topic,match,correlation,mutual\n")
    os.utime(coloured_run / "run.json", ns=(1, 1))
    gallery.show(folder, figures, key="k")
    assert gallery.items[0]["key"] != before
    assert read_palette(coloured_run / "nowhere").names == {}
