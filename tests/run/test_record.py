"""run.json: one writer, one entry per stage whether it ran or not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import mira_nb
from mira_nb.errors import InputError, StoreError
from mira_nb.report.reader import existing_record
from mira_nb.run.history import keep
from mira_nb.run.record import RUNNING, STOPPED, RunRecord
from mira_nb.stages.registry import BUILT_IN, get_stage

PACKAGE = Path(mira_nb.__file__).parent


def test_every_stage_has_an_entry_with_its_title(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    assert record.read() == {}
    written = record.begin({"seed": 3}, keep_stages=True)
    assert record.read() == written
    assert list(written["stages"])[: len(BUILT_IN)] == list(BUILT_IN)
    for name in BUILT_IN:
        assert written["stages"][name]["title"] == get_stage(name).title
        assert written["stages"][name]["status"] == "pending"


def test_entries_stand_only_for_the_same_input(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    record.begin({"input_key": "a"}, keep_stages=True)
    record.note(get_stage("prepare"), "failed", reason="", error={"message": "no"})
    assert record.begin({"input_key": "a"}, keep_stages=True)["stages"]["prepare"]["status"] == "failed"
    assert record.begin({"input_key": "b"}, keep_stages=False)["stages"]["prepare"]["status"] == "pending"


def test_values_of_the_stored_result_win(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    stored = {
        "key": "k", "seconds": 1.5, "peak_rss_mb": 20.0, "alerts": [{"code": "x"}],
        "parameters": [{"name": "n_pcs", "value": 30}],
    }  # fmt: skip
    entry = record.note(get_stage("prepare"), "done", parameters={"n_pcs": 50}, stored=stored)
    assert (entry["parameters"], entry["key"], entry["alerts"]) == ({"n_pcs": 30}, "k", [{"code": "x"}])
    assert record.read()["stages"]["prepare"] == entry


def test_the_mark_of_a_terminated_stage_is_cleared(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    record.begin({}, keep_stages=True)
    record.note(get_stage("joint"), "pending", reason=RUNNING)
    assert record.running() == "joint"
    record.clear_running()
    assert record.running() == ""
    assert record.read()["stages"]["joint"]["reason"] == STOPPED


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not readable JSON"), ("[" * 100_000, "too deeply"), ("[]", "JSON object"), ('{"schema": 0}', "schema 0")],
)
def test_a_damaged_record_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        RunRecord(tmp_path).read()


def test_one_function_refuses_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no run\.json[\s\S]*make a run first"):
        existing_record(tmp_path)
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    said = [path.name for path, text in sources.items() if '} holds no run.json"' in text]
    assert said == ["reader.py"]


def test_one_function_reads_run_json() -> None:
    """No other module parses the file: a path that ends with run.json goes into no json.loads."""
    parsed = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for function in [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]:
            source = ast.get_source_segment(text, function) or ""
            if '"run.json"' in source and re.search(r"(json\.loads?|read_json\w*)\(", source):
                parsed.append(f"{path.name}: {function.name}")
    assert parsed == ["reader.py: read_record"]


def test_a_damaged_record_makes_no_version(tmp_path: Path) -> None:
    assert keep(tmp_path, "nothing there") is None
    (tmp_path / "run.json").write_text("{")
    assert keep(tmp_path, "it is damaged") is None
    assert not (tmp_path / "history").exists()
