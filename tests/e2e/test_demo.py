"""The whole way once, through the command line and papermill, against the published contract."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import vl_convert
from scipy.sparse import issparse

from mira_nb.charts import packed, theme
from mira_nb.comparison import tables
from mira_nb.comparison.runs import read_runs
from mira_nb.report.atlas import read_atlas
from mira_nb.report.columns import column_text
from mira_nb.run.slots import read_slots
from mira_nb.run.store import read_h5mu
from mira_nb.stages.registry import BUILT_IN, get_stage
from tests.e2e.commands import mira_nb
from tests.embedded import embedded_run
from tests.report.test_findings import check_planted_truth

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

TABLES = {
    "prepare": {"qc": ["modality", "step", "n", "n_dropped", "rule"]},
    "tuning_rna": {
        "choice": ["setting", "value"],
        "curve": ["n_topics", "loss", "loss_low", "loss_high", "gain"],
        "stability": ["topic", "stability", "found_in"],
        "trials": ["trial", "n_topics", "loss"],
    },
    "tuning_atac": {"choice": ["setting", "value"], "curve": ["n_topics", "loss"], "stability": ["topic", "stability"]},
    "topics_rna": {"training": ["epoch", "loss"], "top_features": ["topic", "feature", "activation", "rank"]},
    "topics_atac": {"training": ["epoch", "loss"], "top_features": ["topic", "feature", "activation", "rank"]},
    "joint": {"clusters": ["cluster", "n_cells", "top_rna_topics", "top_atac_topics"]},
    "enrichment": {
        "enrichment": ["topic", "term", "ontology", "pvalue", "adj_pvalue", "odds_ratio", "overlap", "genes"]
    },
    "motifs": {
        "motif_enrichment": ["topic", "motif_id", "factor", "odds_ratio", "log10_pvalue", "pvalue", "adj_pvalue"]
    },
    "trajectory": {
        "lineage_tree": ["node", "parent", "branch_time", "n_cells"],
        "terminal_states": ["lineage", "cell", "pseudotime", "prominence", "accepted", "reason"],
    },
    "regulation": {
        "genes": [
            "gene", "nite_score", "a_upstream", "a_proximal", "a_downstream", "decay_upstream_kb",
            "decay_downstream_kb", "n_peaks", "status",
        ]
    },
    "drivers": {
        "driver_factors": [
            "query", "factor", "motif_id", "statistic", "pvalue", "adj_pvalue", "effect_size", "called", "n_query",
            "n_background",
        ]
    },
    "comparisons": {
        "group_tests": [
            "quantity", "group_1", "group_2", "n_1", "n_2", "median_1", "median_2", "effect_size", "pvalue",
            "adj_pvalue",
        ]
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def demo_run() -> Path:
    done = embedded_run()
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == str(done.run / "report.html")
    return done.run


def test_every_stage_is_done_and_recorded(demo_run: Path) -> None:
    record = json.loads((demo_run / "run.json").read_text())
    assert list(record["stages"]) == list(BUILT_IN)
    for name, entry in record["stages"].items():
        assert entry["status"] == "done", (name, entry["reason"], entry["error"])
        assert entry["key"]
        assert entry["seconds"] > 0
        assert entry["peak_rss_mb"] > 0
        assert isinstance(entry["parameters"], dict)
    assert {item["role"] for item in record["inputs"]} == {"rna", "atac"}
    for item in record["inputs"]:
        assert set(item) >= {"name", "sha256", "shape"}
    assert record["seed"] == 0
    assert record["versions"]["mira-nb"]
    # packages of the stages' own processes, and none that only are installed
    assert {"torch", "scanpy", "palantir", "MOODS-python", "papermill"} <= set(record["versions"])
    assert "optuna" not in record["versions"]


@pytest.mark.parametrize("stage", BUILT_IN)
def test_notebook_tables_and_figures_are_there(demo_run: Path, stage: str) -> None:
    folder = demo_run / "stages" / stage
    notebook = json.loads((folder / "notebook.ipynb").read_text())
    assert any(cell.get("outputs") for cell in notebook["cells"])
    assert any("injected-parameters" in cell["metadata"].get("tags", []) for cell in notebook["cells"])
    assert TABLES[stage]
    for name, columns in TABLES[stage].items():
        frame = pd.read_csv(folder / "tables" / f"{name}.csv")
        assert len(frame)
        assert columns
        assert set(columns) <= set(frame.columns), name
        for column in {"pvalue", "adj_pvalue"} & set(columns):
            assert frame[column].dropna().between(0, 1).all(), (name, column)
            assert frame[column].notna().any(), (name, column)
    listed = json.loads((folder / "stage.json").read_text())["figures"]
    assert {item["file"] for item in listed} == {f"figures/{path.name}" for path in folder.glob("figures/*")}
    assert listed
    for item in listed:
        content = (folder / item["file"]).read_bytes()
        if item["file"].endswith(".png"):
            assert content.startswith(b"\x89PNG")
        elif item["file"].endswith(".svg"):
            assert content.startswith(b"<svg")
        else:
            chart = json.loads(content)
            assert "$schema" in chart
            assert not chart.get("title"), f"the card of {item['name']} has the title already"


def test_results_hold_the_contract(demo_run: Path) -> None:
    data = read_h5mu(demo_run / "results.h5mu")
    rna, atac = data.mod["rna"], data.mod["atac"]
    n = data.n_obs
    for modality, decomposition in ((rna, "pca"), (atac, "lsi")):
        assert {"modelled", "encoder"} <= set(modality.var)
        assert {f"X_{decomposition}", f"X_umap_{decomposition}", "X_topics"} <= set(modality.obsm)
        topics = np.asarray(modality.obsm["X_topics"])
        np.testing.assert_allclose(topics.sum(axis=1), 1, atol=1e-5)
        activations = np.asarray(modality.varm["topic_activations"])
        assert activations.shape == (modality.n_vars, topics.shape[1])
        modelled = modality.var["modelled"].to_numpy(bool)
        assert np.isfinite(activations[modelled]).all()
        assert np.isnan(activations[~modelled]).all()
        assert "topic_model" in modality.uns
    n_rna, n_atac = rna.obsm["X_topics"].shape[1], atac.obsm["X_topics"].shape[1]
    assert data.obsm["X_joint"].shape == (n, n_rna + n_atac - 2)
    assert data.obsm["X_umap"].shape == (n, 2)
    assert {"joint_distances", "joint_connectivities", "transport_map"} <= set(data.obsp)
    assert {"leiden", "pseudotime", "lineage_state", "nite_score"} <= set(data.obs)
    assert "enrichment" in rna.uns
    assert atac.varm["motif_hits"].shape[0] == atac.n_vars
    assert data.obsm["motif_scores"].shape == (n, atac.varm["motif_hits"].shape[1])
    fates = data.obsm["fate_probabilities"]
    assert isinstance(fates, pd.DataFrame)
    np.testing.assert_allclose(fates.dropna().sum(axis=1), 1, atol=1e-6)
    assert "lineage_tree" in data.uns
    assert {"lite_prediction", "nite_prediction", "chromatin_differential"} <= set(rna.layers)
    assert {"nite_score", "nite_pvalue", "nite_fdr"} <= set(rna.var)
    assert {"rp_parameters", "isd_scores"} <= set(rna.varm)


@pytest.mark.parametrize(("stage", "name"), [("enrichment", "enrichment"), ("motifs", "motif_enrichment")])
def test_excel_has_one_sheet_per_topic(demo_run: Path, stage: str, name: str) -> None:
    folder = demo_run / "stages" / stage / "tables"
    topics = pd.read_csv(folder / f"{name}.csv")["topic"].unique()
    book = openpyxl.load_workbook(next(folder.glob("*.xlsx")), read_only=True)
    assert len(topics) > 1
    assert set(map(str, topics)) == set(book.sheetnames)


def test_a_second_run_does_nothing_quickly(demo_run: Path) -> None:
    stamp = (demo_run / "report.html").stat().st_mtime_ns
    started = time.perf_counter()
    done = mira_nb("demo", "--size", "small", "--out", demo_run)
    assert done.returncode == 0, done.stderr[-3000:]
    assert time.perf_counter() - started < 30
    assert "unchanged" in done.stderr
    assert (demo_run / "report.html").stat().st_mtime_ns == stamp


def test_every_panel_of_the_atlas_is_in_the_report(demo_run: Path) -> None:
    records = {name: json.loads((demo_run / "stages" / name / "stage.json").read_text()) for name in BUILT_IN}
    names = {(stage, kind, entry["name"]) for stage in BUILT_IN for kind in ("figures", "tables")
             for entry in records[stage][kind]}  # fmt: skip
    lacking = {(panel.label, item) for panel in read_atlas() for item in panel.items
               if (item.stage, item.kind, item.name) not in names}  # fmt: skip
    assert not lacking
    text = (demo_run / "report.html").read_text()
    part = text[text.index('<section id="atlas"') :].split("</section>")[0]
    assert f"{len(read_atlas())} of {len(read_atlas())} are in this report" in part


def test_every_column_of_every_table_is_explained(demo_run: Path) -> None:
    stages = [json.loads((demo_run / "stages" / name / "stage.json").read_text()) for name in BUILT_IN]
    columns = [(table["name"], column) for stage in stages for table in stage["tables"] for column in table["columns"]]
    assert len(columns) > 200
    assert [item for item in columns if not column_text(*item).help] == []


def test_every_key_is_declared_with_its_shape(demo_run: Path) -> None:
    """What the stages wrote against what their classes, and so the documentation, say of it."""
    data = read_h5mu(demo_run / "results.h5mu")
    sizes = {"cells": data.n_obs, "genes": data["rna"].n_vars, "peaks": data["atac"].n_vars, "2": 2}
    for name in BUILT_IN:
        stage = get_stage(name)
        declared = {slot: slot for slot in (*stage.writes, *stage.also_writes)}
        for slot, value in read_slots(demo_run / "stages" / name / "slots.h5").items():
            axes = declared[slot].shape.removesuffix(", sparse").split(" x ")
            assert issparse(value) == declared[slot].shape.endswith(", sparse"), slot
            if slot.element != "uns":
                assert len(np.shape(value)) == len(axes), slot
                for axis, size in zip(axes, np.shape(value), strict=True):
                    assert sizes.get(axis, size) == size, (slot, axis)


def test_the_report_can_be_built_again(demo_run: Path) -> None:
    before = (demo_run / "report.html").read_bytes()
    (demo_run / "report.html").unlink()
    done = mira_nb("report", demo_run)
    assert done.returncode == 0, done.stderr
    assert len((demo_run / "report.html").read_bytes()) == pytest.approx(len(before), rel=0.02)


def test_findings_equal_the_planted_truth_or_say_so(demo_run: Path) -> None:
    check_planted_truth(demo_run)


def test_a_run_equals_its_copy(demo_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(demo_run, copy)
    done = mira_nb("compare", demo_run, copy, "--out", tmp_path / "comparison.html")
    assert done.returncode == 0, done.stderr
    runs = read_runs([demo_run, copy])
    assert tables.parameters(runs).empty
    topics = tables.topics(runs)
    assert (topics["topic"] == topics["match"]).all()
    assert topics["correlation"].to_numpy() == pytest.approx(1)
    assert tables.cells(runs).iloc[0, 2:].to_numpy(float) == pytest.approx(1)
    summary, changed = tables.genes(runs)
    assert summary.loc[0, "jaccard"] == 1
    assert changed.empty
    assert "all agree" in (tmp_path / "comparison.html").read_text(encoding="utf-8")


def test_check_says_what_can_run(demo_run: Path) -> None:
    spec = json.loads((demo_run / "run.json").read_text())["input_spec"]
    done = mira_nb("check", *(part for role, path in spec.items() if path for part in (f"--{role}", path)))
    assert done.returncode == 0, done.stderr
    for word in ("--gene-sets", "--genome", "--tss", "enrichment", "motifs"):
        assert word in done.stdout


@pytest.mark.parametrize("stage", ["joint", "enrichment"])
def test_plain_papermill_equals_the_pipeline(demo_run: Path, tmp_path: Path, stage: str) -> None:
    """``papermill templates/NAME.ipynb`` on a run folder leaves the same tables, key and entry as ``mira-nb run``."""
    copy = tmp_path / "run"
    shutil.copytree(demo_run, copy)
    shutil.rmtree(copy / "stages" / stage)
    parameters = json.loads((demo_run / "run.json").read_text())["stages"][stage]["parameters"]
    arguments = ["-p", "run_dir", str(copy), "-y", json.dumps(parameters)]
    template = Path(__file__).resolve().parents[2] / "templates" / f"{stage}.ipynb"
    command = [
        sys.executable,
        "-m",
        "papermill",
        "--no-progress-bar",
        *arguments,
        str(template),
        str(tmp_path / "out.ipynb"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = demo_run / "stages" / stage, copy / "stages" / stage
    tables = sorted(path.name for path in (first / "tables").glob("*.csv"))
    assert tables
    assert tables == sorted(path.name for path in (second / "tables").glob("*.csv"))
    for name in tables:
        assert (first / "tables" / name).read_bytes() == (second / "tables" / name).read_bytes(), name
    entries = [json.loads((folder / "run.json").read_text())["stages"][stage] for folder in (demo_run, copy)]
    for entry in entries:
        # stage.json holds the seconds, a workbook the time it was written
        del entry["seconds"], entry["peak_rss_mb"], entry["stage_json"]
        entry["outputs"] = {name: None if name.endswith(".xlsx") else facts for name, facts in entry["outputs"].items()}
    assert entries[0] == entries[1]


@pytest.mark.browser
def test_first_pictures_fill_their_cards_on_a_phone(chromium: Any, demo_run: Path) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto((demo_run / "report.html").as_uri())
    for name in ("result-map", "result-tree"):
        page.wait_for_selector(f"#{name} .chart.drawn", timeout=60_000)
        drawn = page.locator(f"#{name} .chart").locator("canvas, svg").first.bounding_box()
        assert drawn["width"] > 0.8 * page.locator(f"#{name}").bounding_box()["width"]
    page.close()


def height_in_wide_font(chromium: Any, run: Path) -> int:
    """Height of the main view where the system's sans-serif font is wide, px."""
    # the page allows no style but its own
    with chromium.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True) as context:
        page = context.new_page()
        page.goto((run / "report.html").as_uri())
        page.add_style_tag(content="body,button,input,select{font-family:'DejaVu Sans'!important}")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        page.locator("#results .chart.drawn").first.wait_for(timeout=60_000)
        return int(page.evaluate("document.documentElement.scrollHeight"))


def test_charts_repeat_no_title_and_have_no_dark_ink_on_dark_pages(demo_run: Path) -> None:
    unset = re.compile(r'(?:fill|stroke)="(?:black|#000|#000000|#22262a)"')  # what no theme reached, or the light one
    n_charts = 0
    for path in sorted((demo_run / "stages").glob("*/stage.json")):
        for figure in json.loads(path.read_text())["figures"]:
            if not figure["file"].endswith(".json"):
                continue
            n_charts += 1
            where = path.parent.name, figure["name"]
            spec, rows = packed.detach(json.loads((path.parent / figure["file"]).read_text()))
            few = {name: packed.unpack(dataset).head(300) for name, dataset in rows.items()}
            svg = vl_convert.vegalite_to_svg({**packed.inline(spec, few), "config": theme.config(dark=True)})
            texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
            assert figure["title"] not in texts, where
            # names of streams stand on their colours, not on the page
            assert where == ("regulation", "topic_nite_streams") or not unset.search(svg), where
    assert n_charts > 40


@pytest.mark.browser
def test_the_main_view_is_short_on_screen_and_paper_and_everything_can_be_printed(
    chromium: Any, demo_run: Path
) -> None:
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto((demo_run / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    page.locator("#results .chart.drawn").first.wait_for(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollHeight") <= 12_000
    assert height_in_wide_font(chromium, demo_run) <= 12_000
    page.evaluate("window.print = () => { window.printed = document.querySelectorAll('.chart.drawn').length; }")
    printed = []
    for _ in ("main figures", "everything"):
        page.click("#print")
        page.wait_for_function("window.printed", timeout=120_000)
        drawn = page.evaluate("window.printed")
        assert drawn == page.evaluate("[...document.querySelectorAll('.chart')].filter((c) => c.clientWidth).length")
        printed.append(len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4"))))
        page.evaluate("window.printed = 0")
        page.click("#everything")
    assert 4 <= printed[0] <= 15
    assert printed[1] > 2 * printed[0]
    page.close()


def test_changed_parameters_rerun_what_reads_their_values(demo_run: Path) -> None:
    """Other gene sets concern nobody else, and other clusters only the comparisons, which are over clusters."""
    keys = {name: entry["key"] for name, entry in json.loads((demo_run / "run.json").read_text())["stages"].items()}
    values = ("--set", "enrichment.n_top=50", "--set", "joint.resolution=3")
    done = mira_nb("demo", "--size", "small", "--out", demo_run, *values)
    assert done.returncode == 0, done.stderr[-3000:]
    after = json.loads((demo_run / "run.json").read_text())["stages"]
    assert after["enrichment"]["parameters"]["n_top"] == 50
    assert {name for name, entry in after.items() if entry["key"] != keys[name]} == {
        "enrichment",
        "joint",
        "comparisons",
    }
    assert {entry["status"] for entry in after.values()} == {"done"}
    assert (demo_run / "report.html").stat().st_size > 100_000
    assert mira_nb("demo", "--size", "small", "--out", demo_run).returncode == 0
    again = json.loads((demo_run / "run.json").read_text())["stages"]
    assert {name: entry["key"] for name, entry in again.items()} == keys
