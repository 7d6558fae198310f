"""run.json: one writer, one entry per stage whether it ran or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mira_nb.errors import StoreError
from mira_nb.run.record import RUNNING, STOPPED, RunRecord
from mira_nb.stages.registry import BUILT_IN, get_stage


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
    [("{", "not readable JSON"), ("[]", "JSON object"), (json.dumps({"schema": 0}), "schema 0")],
)
def test_a_damaged_record_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        RunRecord(tmp_path).read()
