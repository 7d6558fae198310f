"""What the dashboard makes of a run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mira_nb.errors import InputError
from mira_nb.panels import markup
from mira_nb.panels.job import JobState
from mira_nb.panels.state import annotation_names, choose_run, load_stage, read_run
from mira_nb.panels.texts import phrase
from mira_nb.run.session import Session
from mira_nb.run.store import RunStore
from mira_nb.stages.base import no_progress
from mira_nb.stages.registry import get_stage
from tests.panels.fakes import FakeParams


def compute(store: RunStore, name: str, **values: float) -> None:
    session = Session(get_stage(name), store, FakeParams(**values), seed=0, progress=no_progress)
    session.run()
    session.save()


def statuses(store: RunStore, running: str = "") -> dict[str, str]:
    return {name: state.status for name, state in read_run(store, running=running).stages.items()}


def test_statuses_of_a_new_run(store: RunStore) -> None:
    run = read_run(store)
    assert run.shape == {"cells": 30, "genes": 12, "peaks": 20}
    assert run.annotations == ("kind",)
    seen = statuses(store)
    assert seen["prepare"] == "ready"
    assert seen["topics_rna"] == "waiting"
    assert seen["enrichment"] == "blocked"
    assert "--gene-sets" in run.stages["enrichment"].reason
    assert run.stages["joint"].reason == phrase("stage", "waits", titles=["Stage topics_rna", "Stage topics_atac"])


def test_a_new_result_makes_what_depends_on_it_out_of_date(store: RunStore) -> None:
    for name in ("prepare", "topics_rna", "topics_atac", "joint", "motifs"):
        compute(store, name)
    seen = statuses(store)
    assert [name for name, status in seen.items() if status == "done"] == [
        "prepare", "topics_rna", "topics_atac", "joint", "motifs",
    ]  # fmt: skip
    compute(store, "topics_rna", scale=2.0)
    run = read_run(store)
    assert run.stages["topics_rna"].status == "done"
    assert run.stages["topics_rna"].parameters["scale"] == 2.0
    assert run.stages["joint"].status == "outdated"
    assert "has changed" in run.stages["joint"].reason
    assert run.stages["motifs"].status == "done"
    assert run.stages["trajectory"].waits_for == ("joint",)
    compute(store, "topics_rna")
    assert statuses(store)["joint"] == "done"


def test_running_failed_and_stopped(store: RunStore) -> None:
    assert statuses(store, running="prepare")["prepare"] == "running"
    record = store.read_record()
    record["stages"]["prepare"] = {"status": "failed", "error": {"message": "bad"}}
    store.record.update(**record)
    state = read_run(store).stages["prepare"]
    assert (state.status, state.error["message"]) == ("failed", "bad")
    record["stages"]["prepare"] = {"status": "pending", "reason": "running"}
    store.record.update(**record)
    assert read_run(store).stages["prepare"].reason == "It was stopped before it was done."


def test_a_damaged_result_counts_as_none(store: RunStore) -> None:
    compute(store, "prepare")
    (store.stage_dir("prepare") / "stage.json").write_text("{")
    assert statuses(store)["prepare"] == "ready"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no run\.json"):
        read_run(RunStore(tmp_path))
    assert annotation_names(tmp_path / "nothing.h5mu") == ()
    assert load_stage("prepare") is not None


@pytest.mark.parametrize("query", ["run=../other", "run=/etc", "run=nothing", "run=%00", "run=<script>", "run=a/b"])
def test_only_names_of_runs_beside_the_given_one_are_accepted(tmp_path: Path, query: str) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    folder, problem = choose_run(query, tmp_path / "first")
    assert folder == tmp_path / "first"
    wanted = query.removeprefix("run=").replace("%00", "\0")
    assert problem == phrase("stage", "no_run", name=wanted, beside=["first", "second"])


def test_the_query_chooses_a_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    assert choose_run("run=second&x=1", tmp_path / "first") == (tmp_path / "second", "")
    assert choose_run("", tmp_path / "first") == (tmp_path / "first", "")
    assert choose_run(None, None) == (None, "")
    assert choose_run("run=second", None)[0] is None


def test_markup_escapes_and_rounds(store: RunStore) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    pieces = [
        markup.alert("error", hostile, hostile, hostile),
        markup.metrics([{"name": hostile, "value": hostile, "unit": hostile, "help": hostile}]),
        markup.error_box({"message": hostile, "traceback": hostile}),
        markup.job_line(JobState(status="running", current="x", message=hostile), {"x": hostile}),
    ]
    assert not any("<img" in piece for piece in pieces)
    assert markup.number(1234567) == "1,234,567"
    assert markup.number(np.float64(0.000123456)) == "0.0001235"
    assert [markup.duration(value) for value in (5, 100, 3700 * 2)] == ["5 s", "1 min 40 s", "2 h 03 min"]
    ranked = markup.alerts([{"level": "info", "title": "second"}, {"level": "error", "title": "first"}])
    assert ranked.index("first") < ranked.index("second")
