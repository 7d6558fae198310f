"""Jobs: started, watched, stopped and found again; each test runs the real worker process with tiny stages."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from mira_nb.panels.job import BusyError, JobController, JobFolder, JobRequest, JobState, end_processes
from mira_nb.run.store import RunStore

PATIENCE = 60


def wait_until(done: Callable[[], bool], seconds: float = PATIENCE) -> None:
    until = time.time() + seconds
    while not done():
        assert time.time() < until, "it did not happen in time"
        time.sleep(0.05)


def test_a_job_runs_one_stage_and_ends(store: RunStore, jobs: JobController) -> None:
    assert jobs.state() == JobState()
    started = time.time()
    job = jobs.start(JobRequest(stage="prepare", parameters={"prepare": {"scale": 3.0}}))
    assert time.time() - started < 1.0
    assert jobs.state().active
    state = jobs.wait(PATIENCE)
    assert (state.status, state.id, state.stage) == ("done", job, "prepare"), jobs.folder.log_tail()
    assert store.finished() == ["prepare"]
    stored = store.stage_record("prepare")
    assert stored is not None
    assert stored["parameters"][0]["value"] == 3.0
    assert "prepare" in jobs.folder.log_tail()
    wait_until(lambda: not jobs.folder.locked())


def test_everything_up_to_a_stage(store: RunStore, jobs: JobController) -> None:
    jobs.start(JobRequest(stage="topics_rna", upto=True, parameters={"prepare": {"scale": 2.0}}))
    assert jobs.wait(PATIENCE).status == "done"
    assert store.finished() == ["prepare", "tuning_rna", "tuning_atac", "topics_rna"]
    # a later run of one stage leaves the parameters of the others as they were
    jobs.start(JobRequest(stage="topics_atac"))
    assert jobs.wait(PATIENCE).status == "done"
    assert store.read_record()["stages"]["prepare"]["parameters"]["scale"] == 2.0
    assert store.finished() == ["prepare", "tuning_rna", "tuning_atac", "topics_rna", "topics_atac"]


def test_only_one_job_at_a_time(store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "30")
    jobs.start(JobRequest(stage="prepare"))
    other_page = JobController(store.root, command=jobs.command)
    with pytest.raises(BusyError, match="prepare is being computed"):
        other_page.start(JobRequest(stage="prepare"))
    wait_until(lambda: other_page.state().current == "prepare")
    other_page.cancel()
    assert jobs.wait(PATIENCE).status == "cancelled"
    monkeypatch.setenv("FAKE_SECONDS", "0")
    jobs.start(JobRequest(stage="prepare"))
    assert jobs.wait(PATIENCE).status == "done"


def test_progress_and_stopping(store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "30")
    jobs.start(JobRequest(stage="prepare"))
    wait_until(lambda: jobs.state().fraction > 0.05)
    seen = jobs.state()
    assert (seen.status, seen.current, seen.message) == ("running", "prepare", "working")
    assert 15 < seen.remaining < 45
    jobs.cancel()
    assert jobs.state().status == "stopping"
    started = time.time()
    assert jobs.wait(PATIENCE).status == "cancelled"
    assert time.time() - started < 5
    assert store.finished() == []
    assert store.read_record()["stages"]["prepare"]["reason"] == "stopped on request"
    assert not list(jobs.folder.root.glob("*.cancel")) or not jobs.state().active


def test_a_stage_that_does_not_listen_is_ended(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "600")
    monkeypatch.setenv("FAKE_STUBBORN", "1")
    jobs.start(JobRequest(stage="prepare"))
    wait_until(lambda: jobs.state().current == "prepare")
    jobs.cancel()
    assert jobs.wait(PATIENCE).status == "cancelled"
    wait_until(lambda: not jobs.folder.locked())
    assert store.read_record()["stages"]["prepare"]["reason"] == "stopped on request"


def test_a_failure_is_told(store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_BROKEN", "prepare")
    jobs.start(JobRequest(stage="prepare"))
    state = jobs.wait(PATIENCE)
    assert state.status == "failed"
    assert state.error["message"] == "stage prepare failed: ValueError: prepare is <broken>"
    assert state.error["traceback"] == "Traceback of <stage>"
    assert store.read_record()["stages"]["prepare"]["status"] == "failed"


def test_a_stage_whose_upstream_is_missing_says_so(jobs: JobController) -> None:
    jobs.start(JobRequest(stage="joint"))
    state = jobs.wait(PATIENCE)
    assert state.status == "failed"
    assert "it needs stage topics_rna" in state.error["message"]


def test_a_killed_worker_is_noticed(jobs: JobController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    jobs.start(JobRequest(stage="prepare"))
    wait_until(lambda: jobs.state().current == "prepare")
    os.kill(int(jobs.folder.read()["pid"]), 9)
    wait_until(lambda: jobs.state().status == "lost")
    assert "ended without a word" in jobs.state().error["message"]
    monkeypatch.setenv("FAKE_SECONDS", "0")
    jobs.start(JobRequest(stage="prepare"))
    assert jobs.wait(PATIENCE).status == "done"


def test_a_new_page_finds_the_running_job(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    job = jobs.start(JobRequest(stage="prepare"))
    reloaded = JobController(store.root)
    assert reloaded.state().id == job
    assert reloaded.state().active


def test_a_worker_that_ignores_everything_is_ended_by_the_page(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "600")
    jobs.start(JobRequest(stage="prepare"))
    wait_until(lambda: jobs.state().current == "prepare")
    pid = int(jobs.folder.read()["pid"])
    os.kill(pid, 19)  # stopped: its own watcher sleeps too
    jobs.cancel()
    jobs.enforce()
    assert jobs.folder.locked()
    asked = json.loads(jobs.folder.cancel.read_text())["time"]
    jobs.folder.cancel.write_text(json.dumps({"time": asked - 100}))
    jobs.enforce()
    wait_until(lambda: not jobs.folder.locked())


def test_broken_files_are_no_reason_to_fail(store: RunStore) -> None:
    folder = JobFolder(store.root)
    folder.root.mkdir(exist_ok=True)
    folder.state.write_text("{")
    assert JobController(store.root).state() == JobState()
    assert folder.log_tail() == ""
    end_processes(2**22 + 1)
