"""Departures from the paper in the methods section: one table, of what the run used."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from mira_nb.report.build import build_report
from mira_nb.report.departures import departures, read_departures
from mira_nb.report.reader import read_run
from mira_nb.run.wheel import build_wheel
from mira_nb.stages.registry import BUILT_IN
from tests.report.synthetic import RunFolder
from tests.test_decisions import rows

ROOT = Path(__file__).resolve().parents[2]


def value(name: str, used: Any) -> dict[str, Any]:
    return {"name": name, "value": used, "default": used, "changed": False, "used": used}


def subjects(root: Path, stages: dict[str, list[dict[str, Any]]], **record: Any) -> set[str]:
    run = RunFolder(root)
    for stage, parameters in stages.items():
        run.stage(stage, parameters=parameters).save()
    return {item.subject for item in departures(read_run(run.finish(**record)))}


def test_rows_are_those_of_the_documentation_that_differ() -> None:
    table = rows("Departures and choices")
    differ = [cells for cells in table.values() if cells[2] != "The paper's." and cells[1] != "-"]
    assert [(item.paper, item.here, item.why, item.parameter) for item in read_departures()] == [
        tuple(cells[1:]) for cells in differ
    ]
    assert 40 < len(differ) < len(table)


def test_rows_concern_stages_that_there_are() -> None:
    patterns = {pattern for item in read_departures() for pattern in item.stages}
    groups = {"topics_*", "tuning_*"}
    assert patterns <= {*BUILT_IN, *groups}
    assert groups <= patterns


def test_only_what_was_done_is_told(tmp_path: Path) -> None:
    found = subjects(tmp_path / "joint", {"joint": []})
    assert "Weight of the assays in the joint space" in found
    assert "NITE score" not in found
    assert subjects(tmp_path / "none", {}) == set()


@pytest.mark.parametrize(
    ("stage", "name", "undone", "kept", "subject"),
    [
        ("regulation", "null", "chi2", "bootstrap", "NITE score"),
        ("regulation", "nearest_weight", 0.0, 0.01, "Bound of the decay distances"),
        ("tuning_rna", "mode", "paper", "quick", "Choice of the number of topics"),
    ],
)
def test_what_a_parameter_took_back_is_not_told(
    tmp_path: Path, stage: str, name: str, undone: Any, kept: Any, subject: str
) -> None:
    assert subject not in subjects(tmp_path / "undone", {stage: [value(name, undone)]})
    assert subject in subjects(tmp_path / "kept", {stage: [value(name, kept)]})


def test_a_rule_of_two_parameters_is_taken_back_by_both(tmp_path: Path) -> None:
    one, two = value("modelled_min_genes", 0), value("encoder_min_genes", 0)
    assert "Feature selection" in subjects(tmp_path / "one", {"prepare": [one]})
    assert "Feature selection" not in subjects(tmp_path / "two", {"prepare": [one, two]})


def test_options_of_the_run_decide_where_the_table_says_so(tmp_path: Path) -> None:
    stages: dict[str, list[dict[str, Any]]] = {"joint": [], "trajectory": []}
    plain = subjects(tmp_path / "plain", stages, resources={})
    assert "Direction of a differentiation" in plain
    assert not plain & {"Batches", "Subset of the cells"}
    given = {"batch": "animal", "subset": "leiden=1", "start_cell": "A-1"}
    found = subjects(tmp_path / "given", stages, resources=given)
    assert "Direction of a differentiation" not in found
    assert found >= {"Batches", "Subset of the cells"}


def test_the_report_and_the_methods_have_one_table(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "r")
    run.stage("regulation", methods="Models were fitted.").save()
    text = build_report(run.finish()).read_text(encoding="utf-8")
    assert text.count('id="departures"') == 1
    item = next(item for item in read_departures() if item.subject == "NITE score")
    assert item.why in text
    methods = (tmp_path / "r" / "methods.md").read_text(encoding="utf-8")
    assert f"| NITE score | {item.paper} | {item.here} | {item.why} | {item.parameter} |" in methods
    assert "Gene sets of a topic" not in methods


def test_a_wheel_of_the_package_holds_the_table(tmp_path: Path) -> None:
    archive = zipfile.ZipFile(build_wheel(tmp_path))
    table = archive.read("mira_nb/report/decisions.md").decode("utf-8")
    assert table == (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
