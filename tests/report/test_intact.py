"""A report shows no file that was changed since it was written, and refuses a run.json that lacks what it shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from mira_nb.errors import StoreError
from mira_nb.report.intact import file_damage, shown_damage
from mira_nb.report.reader import read_run

BASE = {"schema": 1, "package_version": "1", "command": "mira-nb run", "seed": 0, "versions": {"numpy": "2"}}


def facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "stages" / "prepare"
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "t.csv").write_bytes(b"a,b\n1,2\n")
    lists = {name: [] for name in ("parameters", "alerts", "metrics", "tables", "figures", "files")}
    outputs = {"tables/t.csv": facts(b"a,b\n1,2\n"), "slots.h5": facts(b"never written here")}
    text = json.dumps({**lists, "key": "k", "outputs": outputs}).encode()
    (folder / "stage.json").write_bytes(text)
    stages = {"prepare": {"status": "done", "stage_json": facts(text)}}
    (tmp_path / "run.json").write_text(json.dumps({**BASE, "stages": stages}))
    return tmp_path


def test_a_whole_result_is_shown(run: Path) -> None:
    assert read_run(run, verify=True).stages[0].status == "done"


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("tables/t.csv", b"a,b\n1,3\n", "other content"),
        ("tables/t.csv", b"a,b\n", "4 bytes instead of 8"),
        ("tables/t.csv", None, "is missing"),
        ("stage.json", None, "is missing"),
    ],
)
def test_a_changed_result_is_named_and_not_shown(run: Path, file: str, content: bytes | None, problem: str) -> None:
    path = run / "stages" / "prepare" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    stage = read_run(run, verify=True).stages[0]
    assert stage.status == "failed"
    assert stage.error is not None
    assert problem in stage.error["message"]
    assert path.name in stage.error["message"]
    assert "What to do" in stage.error["message"]


def test_an_edited_stage_record_is_found_by_the_hash_in_the_run_record(run: Path) -> None:
    path = run / "stages" / "prepare" / "stage.json"
    path.write_text(path.read_text().replace('"k"', '"l"'))
    assert "other content" in str(read_run(run, verify=True).stages[0].error)
    assert read_run(run).stages[0].status == "done"  # the panels look every second, and do not read every file


def test_records_without_hashes_say_nothing(tmp_path: Path) -> None:
    assert file_damage(tmp_path / "none", None) == ""
    assert file_damage(tmp_path / "none", {"bytes": 3}) == ""
    assert shown_damage(tmp_path, {}, None) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"package_version": None},
        {"seed": "0"},
        {"versions": []},
        {"inputs": 5},
        {"findings": ["text"]},
        {"shape": [1]},
        {"stages": {"prepare": {"status": 5}}},
        {"stages": {"prepare": {"status": "finished"}}},
    ],
)
def test_a_record_in_another_form_is_refused_in_one_message(run: Path, change: dict[str, Any]) -> None:
    record = {**json.loads((run / "run.json").read_text()), **change}
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(StoreError, match=f"run\\.json is damaged.*{next(iter(change)).rstrip('s')}"):
        read_run(run, verify=True)


@pytest.mark.parametrize("key", ["package_version", "command", "seed", "versions"])
def test_a_record_that_lacks_what_the_report_shows_is_refused(run: Path, key: str) -> None:
    record = json.loads((run / "run.json").read_text())
    del record[key]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(StoreError, match=f"'{key}' is missing"):
        read_run(run, verify=True)
