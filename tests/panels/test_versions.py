"""What a new result makes out of date, renewing it, and versions on the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

import mira_nb.panels
from mira_nb.errors import StoreError
from mira_nb.panels.app import Dashboard
from mira_nb.panels.job import JobController, JobRequest, JobState
from mira_nb.panels.panel import report_reply
from mira_nb.panels.single import SinglePanel
from mira_nb.panels.texts import phrase
from mira_nb.run.lock import locked
from mira_nb.run.outputs import REPORT
from mira_nb.run.store import RunStore
from tests.panels.test_app import settle, texts


def test_the_page_says_what_becomes_out_of_date_renews_it_and_restores(store: RunStore, jobs: JobController) -> None:
    jobs.start(JobRequest(stage="trajectory", upto=True))
    page = Dashboard(store.root, jobs=jobs)
    settle(page)
    assert texts(page.versions.widget) == ""
    page.stages.selected = "joint"
    panel = page.panels["joint"]
    assert panel.form is not None
    panel.form.fields["scale"].entry.value = "7"
    assert phrase("stage", "outdates", titles=["Stage trajectory"], time="TIME").split("TIME")[0] in panel.changes.value
    panel.run_button.click()
    settle(page)
    status = {item["name"]: item["status"] for item in page.stages.items}
    assert (status["joint"], status["trajectory"], status["topics_rna"]) == ("done", "outdated", "done")
    page.stages.selected = "trajectory"
    assert page.panels["trajectory"].results.children  # the earlier result is still there
    assert phrase("stage", "outdated") in page.panels["trajectory"].notice.value
    assert "Version 1" in texts(page.versions.widget)

    page.stages.selected = "topics_rna"
    assert "No other result" not in page.panels["topics_rna"].changes.value
    page.panels["topics_rna"].renew_button.click()
    settle(page)
    status = {item["name"]: item["status"] for item in page.stages.items}
    assert (status["joint"], status["trajectory"]) == ("done", "outdated")  # what was out of date before stays so

    page.versions.restore(1)
    assert "is the present state" in page.versions.said.value
    status = {item["name"]: item["status"] for item in page.stages.items}
    assert (status["joint"], status["trajectory"]) == ("done", "done")
    stored = store.stage_record("joint")
    assert stored is not None
    assert stored["parameters"][0]["value"] == 1.0
    page.versions.restore(99)
    assert "has no version 99" in page.versions.said.value


@contextmanager
def restoring(root: Path, seconds: float) -> Iterator[None]:
    """Write to a run folder for some seconds, as another click does that restores a version."""
    held = threading.Event()

    def restore() -> None:
        with locked(root):
            held.set()
            time.sleep(seconds)

    thread = threading.Thread(target=restore)
    thread.start()
    assert held.wait(30)
    yield
    thread.join()


def test_a_job_waits_for_a_version_that_is_restored(store: RunStore, jobs: JobController) -> None:
    with restoring(store.root, 4):  # longer than a worker needs to begin
        jobs.start(JobRequest(stage="prepare"))
        assert jobs.wait(90).status == "done"


def test_the_report_waits_for_a_version_that_is_restored(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A click while the folder is being written to is answered, except while a stage computes."""
    jobs.start(JobRequest(stage="prepare"))
    jobs.wait(60)
    (store.root / REPORT).unlink()
    with restoring(store.root, 0.5):
        assert report_reply(store.root).name == REPORT

    (store.root / REPORT).unlink()
    active = JobState(**{**asdict(jobs.state()), "status": "running"})
    monkeypatch.setattr(JobController, "state", lambda _: active)
    with locked(store.root), pytest.raises(StoreError) as refusal:
        report_reply(store.root)
    assert refusal.value.code == "run.folder_in_use"


def test_one_panel_in_a_notebook(store: RunStore, jobs: JobController) -> None:
    single = SinglePanel("prepare", store.root, jobs=jobs)
    assert single.panel.form is not None
    single.panel.form.fields["scale"].entry.value = "2"
    single.panel.run_button.click()
    jobs.wait(60)
    single.refresh()
    assert "finished in" in texts(single.widget)
    assert "2" in single.panel.summary.value
    shown = mira_nb.panels.prepare(store.root)
    assert "Stage prepare" in texts(shown)
    with pytest.raises(AttributeError, match="shows the stages prepare"):
        mira_nb.panels.nothing  # noqa: B018
    assert "topics_rna" in dir(mira_nb.panels)
