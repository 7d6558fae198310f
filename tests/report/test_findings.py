"""Findings: rules against closed cases, the first screen of the example, planted truth of the embedded data."""

from __future__ import annotations

import csv
import json
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest
import yaml

from mira_nb.charts.theme import category_colors
from mira_nb.core.regulation.fit import AT_BOUND, OK
from mira_nb.report.build import build_report
from mira_nb.report.colors import STATE_COLUMN, Palette, make_palette
from mira_nb.report.figures import Archive
from mira_nb.report.findings import rules
from mira_nb.report.findings.cards import Card, highest_in, partners
from mira_nb.report.findings.collect import Findings, collect
from mira_nb.report.findings.facts import FITTED, Facts
from mira_nb.report.findings.limits import limits, outside
from mira_nb.report.findings.page import first_screen
from mira_nb.report.findings.pictures import joint_map
from mira_nb.report.findings.texts import entries, sentence
from mira_nb.report.reader import RunView, StageView
from mira_nb.report.texts import phrase
from tests.report.synthetic import RunFolder


def facts(tmp_path: Path, stage: str, tables: dict[str, list[dict[str, object]]], metrics: dict[str, object]) -> Facts:
    """Return a run of one finished stage."""
    folder = tmp_path / "stages" / stage
    (folder / "tables").mkdir(parents=True)
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / "tables" / f"{name}.csv", index=False)
    record = {"metrics": [{"name": name, "value": value} for name, value in metrics.items()]}
    return Facts(RunView(tmp_path, {}, (StageView(stage, stage, "done", folder, record=record),)))


GENES = [
    {"gene": "A", "nite": True, "status": "ok"},
    {"gene": "B", "nite": False, "status": "ok"},
    {"gene": "C", "nite": True, "status": "too few cells"},
]


@pytest.mark.parametrize(
    ("wrong", "error", "verdict"),
    [(0.03, 0.05, "good"), (0.03, 0.2, "caution"), (0.3, 0.05, "caution"), (0.3, 0.2, "bad"), (None, None, "caution")],
)
def test_nite_verdict_follows_both_checks(
    tmp_path: Path, wrong: float | None, error: float | None, verdict: str
) -> None:
    metrics = {"False positives of the NITE test": wrong, "Unexplained fraction by error alone": error}
    found = rules.nite(facts(tmp_path, "regulation", {"genes": GENES}, metrics), [])
    assert (found.verdict, found.value, found.n) == (verdict, 1, 2)


def test_drivers_of_a_lineage_are_the_called_ones(tmp_path: Path) -> None:
    rows = [
        {"query": "markers of A", "factor": "X", "adj_pvalue": 1e-9, "effect_size": 0.5, "called": True},
        {"query": "topic e2", "factor": "Y", "adj_pvalue": 1e-9, "effect_size": 0.6, "called": True},
        {"query": "topic e2", "factor": "WEAK", "adj_pvalue": 0.04, "effect_size": 0.2, "called": True},
        {"query": "markers of A", "factor": "NOT", "adj_pvalue": 1e-9, "effect_size": 0.9, "called": False},
    ]
    run = facts(tmp_path, "drivers", {"driver_factors": rows}, {})
    values = [{"name": "level", "used": 0.05}, {"name": "min_effect", "used": 0.147}, {"name": "n_decoys", "used": 120}]
    run.run.stages[0].record["parameters"] = values  # type: ignore[index]
    ends = facts(tmp_path, "trajectory", {"terminal_states": [{"lineage": "A", "accepted": True}]}, {})
    both = Facts(RunView(tmp_path, {}, (*run.run.stages, *ends.run.stages)))
    cards = [Card("e2", "rna", state="A"), Card("a1", "atac", state="A")]
    assert rules.lineage_drivers(both, cards) == {"A": ["Y", "X", "WEAK"]}
    found = rules.drivers(both, cards)
    assert found.verdict == "good"
    text = sentence("drivers", "found", found.words)
    assert text == "A: Y, X, WEAK (adjusted p < 0.05, effect above decoys of at least 0.147)."
    values[2]["used"] = 0
    assert sentence("drivers", "found", rules.drivers(both, cards).words).endswith("WEAK (adjusted p < 0.05).")


def test_the_tree_is_compared_over_all_thresholds(tmp_path: Path) -> None:
    tables = {
        "terminal_states": [{"lineage": name, "accepted": True} for name in "CBA"],
        "lineage_tree": [
            {"node": "root", "parent": "", "n_cells": 9},
            {"node": "C, B", "parent": "root", "n_cells": 3},
            *[{"node": n, "parent": p, "n_cells": 2} for n, p in (("A", "root"), ("C", "C, B"), ("B", "C, B"))],
        ],
        "threshold_sweep": [
            {"threshold": 0.1, "topology": "(A, B, C) | (B, C)"},
            {"threshold": 0.1, "topology": "(A, B, C) | (B, C)"},
            {"threshold": 0.5, "topology": "(A, B) | (A, B, C)"},
        ],
        "continuity": [{"lineage": name, "verdict": "continuous"} for name in "ABC"],
    }
    found = rules.lineages(facts(tmp_path, "trajectory", tables, {"Agreement of the assays on pseudotime": 0.95}), [])
    assert (found.words["n_same"], found.words["n_thresholds"]) == (1, 2)
    assert found.verdict == "caution"
    assert found.n == 18


def test_partners_are_those_of_the_joint_stage_above_the_threshold(tmp_path: Path) -> None:
    rows = [("e1", "a1", 0.97, True), ("e2", "a3", 0.2, True), ("e1", "a3", 0.9, False)]
    pairs = [dict(zip(("topic", "match", "correlation", "mutual"), row, strict=True)) for row in rows]
    assert partners(facts(tmp_path, "joint", {"partners": pairs}, {})) == {"e1": ("a1", 0.97), "a1": ("e1", 0.97)}
    assert partners(facts(tmp_path / "older", "joint", {}, {})) == {}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"name": "Peaks", "value": 846.0, "good_above": 1000}, "Peaks 846, below 1,000"),
        ({"name": "Peaks", "value": 1846.0, "good_above": 1000}, ""),
        ({"name": "Error", "value": 0.1119, "good_below": 0.1}, "Error 0.1119, above 0.1"),
        ({"name": "Topics", "value": "4 of 9", "good_above": 1.0}, "Topics 4 of 9, below 9"),
        ({"name": "Topics", "value": "9 of 9", "good_above": 1.0}, ""),
        ({"name": "Free", "value": 3}, ""),
        ({"name": "Hole", "value": None, "good_above": 1}, ""),
    ],
)
def test_figures_are_judged_by_their_range(item: dict[str, object], text: str) -> None:
    assert outside(item) == text


def test_limits_of_two_assays_are_told_apart_and_all_named(tmp_path: Path) -> None:
    record = {"metrics": [{"name": "Least stable topic", "value": 0.5, "good_above": 0.8}]}
    names = ("tuning_rna", "tuning_atac", "joint")
    stages = tuple(StageView(name, name, "done", tmp_path, record=record) for name in names)
    others = tuple(StageView(f"s{i}", f"Stage {i}", "failed", tmp_path, record={}) for i in range(4))
    found = limits(Facts(RunView(tmp_path, {}, (*stages, *others))))
    text = sentence("limits", "found", found.words)
    for part in (
        "topic (expression) 0.5",
        "topic (accessibility) 0.5",
        "topic 0.5, below 0.8",
        "Stage 0 failed",
        "Stage 3 failed",
    ):
        assert part in text
    assert "more" not in text


@pytest.mark.parametrize(("states", "where"), [(["root"] * 4, "two"), (["root", "A", "A", "A"], "A")])
def test_a_topic_is_highest_in_a_group_where_there_are_no_lineages(states: list[str], where: str) -> None:
    cells = pd.DataFrame({"group": ["one", "one", "two", "two"], "e1": [0.1, 0.2, 0.9, 0.8]})

    class Cells:
        def cells(self, stage: str, figure: str) -> pd.DataFrame:
            return pd.DataFrame({STATE_COLUMN: states})

    assert highest_in(Cells(), cells, ["e1"]) == {"e1": where}  # type: ignore[arg-type]


def test_metrics_that_rules_read_exist() -> None:
    names = {
        "joint": ["Neighbours shared by RNA and ATAC topics"],
        "trajectory": ["Agreement of the assays on pseudotime"],
        "enrichment": ["Topics with a significant gene set"],
        "motifs": ["Topics with an enriched motif"],
        "regulation": ["False positives of the NITE test", "Unexplained fraction by error alone"],
    }
    for stage, wanted in names.items():
        text = resources.files(f"mira_nb.stages.{stage}").joinpath("texts", "metrics.yaml").read_text(encoding="utf-8")
        assert set(wanted) <= {entry["name"] for entry in yaml.safe_load(text).values()}


def test_one_colour_per_name() -> None:
    palette = make_palette(["A", "B", "Root"], ["B", "A", "A, B"], ["e1", "e2"], ["a1", "a2"], {"a2": "e1", "e1": "a2"})
    assert palette.topics["a2"] == palette.topics["e1"]
    assert len({palette.topics[name] for name in ("e1", "e2", "a1")}) == 3
    assert len(set(palette.names.values())) == 4
    spec = {"color": {"scale": {"domain": ["B", "A *", "A, B"], "range": ["x", "y", "z"]}}}
    wanted = [palette.names[name] for name in ("B", "A", "A, B")]
    assert palette.apply(spec)["color"]["scale"]["range"] == wanted
    assert spec["color"]["scale"]["range"] == ["x", "y", "z"]
    rest = {"domain": ["terminal in B", "other genes"], "range": ["x", "grey"]}
    assert palette.apply(rest)["range"] == [palette.names["B"], "grey"]
    menu = {"domain": ["|", "lineage state|A", "cluster (leiden)|B"], "range": ["transparent", "1", "2"]}
    assert palette.apply(menu)["range"] == ["transparent", palette.names["A"], "2"]
    other = {"domain": ["A", "unknown"], "range": ["1", "2"]}
    assert palette.apply(other) == other
    assert list(palette.of(["x", "B", "A", "y"])) == ["x", "B", "A", "y"]
    assert len(set(palette.of(["x", "B", "A", "y"]).values())) == 4  # unknown names take what is free
    assert palette.of(["0", "1"]) == category_colors(["0", "1"])
    numbered = make_palette([], [], [], [], {}, clusters=["10", "2", "0"])
    assert numbered.of(["2", "x"])["2"] == numbered.of(["0", "2", "10"])["2"] == category_colors(["0", "2", "10"])["2"]


def test_every_question_is_answered_and_what_is_missing_is_said(example: Path) -> None:
    records = json.loads((example / "findings.json").read_text(encoding="utf-8"))
    by_id = {record["id"]: record for record in records}
    assert list(by_id) == [name for name in entries() if name in by_id]
    assert {"states", "lineages", "topics", "drivers", "nite", "limits"} <= set(by_id)
    page = (example / "report.html").read_text(encoding="utf-8")
    markdown = (example / "findings.md").read_text(encoding="utf-8")
    for record in records:
        assert {"text", "value", "unit", "n", "test", "verdict", "link"} <= set(record)
        assert record["verdict"] in {"good", "caution", "bad", "untested"}
        assert f'id="{record["link"].partition("#")[2]}"' in page
        assert record["text"] in markdown
    assert by_id["drivers"]["verdict"] == "untested"
    assert "the stage regulation failed" in by_id["drivers"]["text"]
    assert "motifs not tested: give --genome with --motifs" in by_id["topics"]["text"]


def test_a_run_without_stages_has_nothing_tested(tmp_path: Path) -> None:
    root = RunFolder(tmp_path / "run").finish()
    build_report(root)
    records = json.loads((root / "findings.json").read_text(encoding="utf-8"))
    verdicts = {record["id"]: record["verdict"] for record in records}
    assert {verdicts[name] for name in ("states", "lineages", "topics", "drivers", "nite")} == {"untested"}


def check_planted_truth(run: Path) -> None:
    """Compare findings.json with the truth files by another path than the report's own comparison."""
    records = {r["id"]: r for r in json.loads((run / "findings.json").read_text(encoding="utf-8"))}
    truth = json.loads((run / "data" / "truth.json").read_text(encoding="utf-8"))
    said = records["truth"]
    found_lineages = records["lineages"]["text"].partition(": ")[2].partition(";")[0].partition(".")[0]
    same = set(found_lineages.split(", ")) == set(truth["lineages"])
    with (run / "data" / "truth_factors.tsv").open(encoding="utf-8", newline="") as stream:
        planted = {(r["lineage"], r["name"]) for r in csv.DictReader(stream, delimiter="\t") if r["planted"] == "True"}
    clauses = records["drivers"]["text"].partition(" (")[0].split("; ")
    named = {(c.partition(": ")[0], f) for c in clauses for f in c.partition(": ")[2].split(", ")}
    assert ("the drivers of every lineage are those planted" in said["text"]) == (named == planted)
    assert ("the lineages are those planted" in said["text"]) == same
    assert said["verdict"] != "good" or (same and named == planted)


def test_verdicts_on_the_trajectory_follow_the_sentence_on_lineages(tmp_path: Path) -> None:
    tables: dict[str, list[dict[str, object]]] = {
        "terminal_states": [{"lineage": "A", "accepted": True}],
        "lineage_tree": [{"node": "A", "parent": "", "n_cells": 9}],
        "continuity": [{"lineage": "A", "verdict": "continuous"}],
    }
    agreement = {"Agreement of the assays on pseudotime": 0.95}
    for number, (trajectory, direction, verdict, said) in enumerate(
        [
            ("supported", "given", "good", ()),
            ("supported", "not established", "caution", ("Direction not established",)),
            ("not supported", "not established", "bad", ("Not supported", "Direction not established")),
        ]
    ):
        rows: list[dict[str, object]] = [
            {"subject": "trajectory", "verdict": trajectory},
            {"subject": "lineages", "verdict": "drawn"},
            {"subject": "direction", "verdict": direction},
        ]
        run = facts(tmp_path / str(number), "trajectory", {**tables, "verdict": rows}, agreement)
        found = next(item for item in collect(run).items if item.id == "lineages")
        assert found.verdict == verdict
        assert [words in found.text for words in ("Not supported", "Direction not established")] == [
            words in said for words in ("Not supported", "Direction not established")
        ]


def test_fitted_genes_are_those_of_the_stage() -> None:
    assert set(FITTED) == {OK, AT_BOUND}


@pytest.mark.parametrize(("states", "shown"), [(["A", "B"], ["A", "B"]), (["root", "root"], ["L4", "L6"])])
def test_the_first_map_shows_groups_where_all_cells_are_in_one_state(states: list[str], shown: list[str]) -> None:
    places = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    cells = {
        ("trajectory", "umap_trajectory"): places.assign(**{STATE_COLUMN: states}),
        ("joint", "umap_joint"): places.assign(depth=[1.0, 2.0], layer=["L4", "L6"]),
    }
    known = SimpleNamespace(cells=lambda stage, figure: cells[stage, figure])
    spec = joint_map(cast("Facts", known), Palette({}, {}))
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == shown


def test_a_tree_that_is_not_drawn_is_not_called_damaged(tmp_path: Path) -> None:
    rows = [{"subject": "trajectory", "verdict": "not supported"}, {"subject": "lineages", "verdict": "not drawn"}]
    run = facts(tmp_path / "one", "trajectory", {"verdict": rows}, {})
    screen = first_screen(run, Findings((), ()), Palette({}, {}), Archive(), [])
    assert screen["pictures"][1]["reason"] == f"No lineage tree: {phrase('tree_not_drawn')}."
    broken = facts(tmp_path / "two", "trajectory", {}, {})
    screen = first_screen(broken, Findings((), ()), Palette({}, {}), Archive(), [])
    assert screen["pictures"][1]["reason"] == f"No lineage tree: {phrase('untested_damaged', stage='trajectory')}."


@pytest.mark.parametrize(
    ("n", "end"),
    [(8, "x7."), (9, "x7; and 1 further limit (see the alerts)."), (12, "and 4 further limits (see the alerts).")],
)
def test_limits_that_are_left_out_are_counted_as_limits(n: int, end: str) -> None:
    # the last item shown may itself end in "and 2 more"
    assert sentence("limits", "found", {"items": [f"x{i}" for i in range(n)]}).endswith(end)
