"""The dashboard without a browser: what the widgets hold, what a click starts, what the page is answered."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mira_nb.panels import app as app_module
from mira_nb.panels.app import Dashboard
from mira_nb.panels.browser_widgets import FigureGallery, FileButtons, table_message
from mira_nb.panels.job import JobController
from mira_nb.panels.page import open_dashboard
from mira_nb.panels.start import Shell
from mira_nb.panels.state import ROOT_VARIABLE, RUN_VARIABLE
from mira_nb.panels.texts import phrase
from mira_nb.run.contents import REPORT_FILES
from mira_nb.run.store import RunStore
from tests.panels import fakes
from tests.panels.test_state import compute


def ask(widget: Any, kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[bytes]]:
    """Send a request the way the page does and return the answer."""
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append((content, buffers or [])))
    widget._handle_custom_msg({"kind": kind, "id": name}, [])
    assert len(sent) == 1
    return sent[0]


def settle(page: Dashboard) -> None:
    page.jobs.wait(60)
    page.refresh()


def test_a_click_runs_a_stage_and_shows_its_result(store: RunStore, jobs: JobController) -> None:
    page = Dashboard(store.root, jobs=jobs)
    panel = page.panels["prepare"]
    assert page.stages.selected == "prepare"
    assert panel.form is not None
    assert not panel.run_button.disabled
    panel.form.fields["scale"].entry.value = "2.5"
    started = time.time()
    panel.run_button.click()
    assert time.time() - started < 1.0
    assert panel.run_button.disabled
    assert page.stages.items[0]["status"] in {"running", "ready"}
    settle(page)
    assert page.stages.items[0]["status"] == "done"
    assert page.stages.items[1]["status"] == "ready"
    assert "finished in" in page.job_bar.line.value
    assert [item["name"] for item in panel.figures.items] == ["chart", "picture", "drawing"]
    assert "2.5" in panel.summary.value
    assert "look &lt;here&gt;" in panel.summary.value
    assert phrase("stage", "unchanged", dependents="").strip() in panel.changes.value
    panel.form.fields["scale"].entry.value = "3"
    assert phrase("stage", "changed", labels=["scale"], dependents="").strip() in panel.changes.value
    panel.form.fields["scale"].entry.value = "-1"
    assert panel.run_button.disabled
    assert phrase("stage", "mistakes", n=1) in panel.changes.value


def test_results_come_first_and_the_form_folds(store: RunStore, jobs: JobController) -> None:
    page = Dashboard(store.root, jobs=jobs)
    panel = page.panels["prepare"]
    assert panel.form is not None
    assert panel.fold.open  # nothing has run: the form is what there is
    panel.form.fields["scale"].entry.value = "2"
    assert panel.fold.title == phrase("stage", "parameters_folded", n=1, wrong=0)
    panel.run_button.click()
    settle(page)
    assert not panel.fold.open
    again = Dashboard(store.root)
    again.stages.selected = "prepare"
    assert not again.panels["prepare"].fold.open
    assert not again.panels["prepare"].run_button.disabled

    # what is being changed stays in view when a result comes
    panel.fold.open = True
    panel.run_button.click()
    panel.form.fields["scale"].entry.value = "7"
    settle(page)
    assert panel.fold.open
    again.propose("prepare", {"scale": 3.0})
    assert again.panels["prepare"].fold.open


def test_everything_up_to_here_uses_the_open_forms(store: RunStore, jobs: JobController) -> None:
    page = Dashboard(store.root, jobs=jobs)
    form = page.panels["prepare"].form
    assert form is not None
    form.fields["scale"].entry.value = "4"
    page.stages.selected = "topics_rna"
    panel = page.panels["topics_rna"]
    assert panel.run_button.disabled
    assert not panel.upto_button.disabled
    panel.upto_button.click()
    settle(page)
    assert {item["name"]: item["status"] for item in page.stages.items}["topics_rna"] == "done"
    assert "5" in panel.summary.value
    stored = store.stage_record("prepare")
    assert stored is not None
    assert stored["parameters"][0]["value"] == 4.0


def test_a_failure_shows_one_line_and_a_folded_traceback(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BROKEN", "prepare")
    page = Dashboard(store.root, jobs=jobs)
    page.panels["prepare"].run_button.click()
    settle(page)
    notice = page.panels["prepare"].notice.value
    assert "prepare is &lt;broken&gt;" in notice
    assert "<details><summary>Traceback</summary>" in notice
    assert page.stages.items[0]["status"] == "failed"
    assert not page.panels["prepare"].run_button.disabled


def test_stop_and_a_second_page(store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "30")
    page = Dashboard(store.root, jobs=jobs)
    page.panels["prepare"].run_button.click()
    until = time.time() + 30
    while jobs.state().fraction == 0 and time.time() < until:
        time.sleep(0.05)
    second = Dashboard(store.root)
    assert "<progress" in second.job_bar.line.value
    assert second.panels[second.stages.selected].run_button.disabled
    assert second.stages.items[0]["status"] == "running"
    second.job_bar.stop.click()
    settle(page)
    assert "stopped on request" in page.job_bar.line.value
    assert "started" in page.job_bar.log.value


def test_the_page_follows_the_run_folder_in_a_thread(store: RunStore, jobs: JobController) -> None:
    page = Dashboard(store.root, jobs=jobs).watch()
    try:
        compute(store, "prepare")
        until = time.time() + 20
        while page.stages.items[0]["status"] != "done" and time.time() < until:
            time.sleep(0.1)
        assert page.stages.items[0]["status"] == "done"
        # a form that was not touched stays; a stage that is done is not left behind
        compute(store, "prepare", scale=2.0)
        while "2" not in page.panels["prepare"].summary.value and time.time() < until:
            time.sleep(0.1)
        assert "another value of: scale" in page.panels["prepare"].changes.value
    finally:
        page.close()


def test_figures_tables_and_files_are_answered(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute(store, "prepare")
    page = Dashboard(store.root, jobs=jobs)
    page.stages.selected = "prepare"
    panel = page.panels["prepare"]
    answer, buffers = ask(panel.figures, "figure", "chart", monkeypatch)
    assert (answer["kind"], answer["mime"]) == ("figure", "application/json")
    assert json.loads(buffers[0])["mark"] == "point"
    assert ask(panel.figures, "figure", "picture", monkeypatch)[0]["mime"] == "image/png"
    answer, buffers = ask(panel.figures, "figure", "drawing", monkeypatch)
    assert (answer["mime"], buffers[0].decode()) == ("image/svg+xml", fakes.CIRCLE)
    answer, buffers = ask(panel.tables, "table", "t", monkeypatch)
    assert json.loads(buffers[0]) == {
        "n": 3,
        "columns": [
            {"name": "name", "kind": "text", "values": ["a", "b<i>", 'c,"d"']},
            {"name": "value", "kind": "number", "values": [1.5, None, "inf"]},
            {"name": "n", "kind": "integer", "values": [1, 2, 3]},
        ],
        "note": "",
    }
    answer, buffers = ask(panel.tables, "csv", "t", monkeypatch)
    assert answer["name"] == "t.csv"
    assert buffers[0] == (store.stage_dir("prepare") / "tables" / "t.csv").read_bytes()
    assert ask(panel.files, "file", panel.files.items[0]["id"], monkeypatch)[1] == [b"text"]
    answer, buffers = ask(panel.figures, "figure", "../../run.json", monkeypatch)
    assert (answer["kind"], buffers) == ("problem", [])
    (store.stage_dir("prepare") / "figures" / "chart.vl.json").unlink()
    assert ask(panel.figures, "figure", "chart", monkeypatch)[0]["kind"] == "problem"


def test_the_report_is_built_when_it_is_missing(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(root: Path) -> Path:
        for name in REPORT_FILES:
            (root / name).write_text("made")
        return root / "report.html"

    monkeypatch.setattr("mira_nb.report.build.build_report", build)
    page = Dashboard(store.root, jobs=jobs)
    assert page.report.items[0]["bytes"] == -1
    answer, buffers = ask(page.report, "file", "report", monkeypatch)
    assert (answer["mime"], buffers) == ("text/html;charset=utf-8", [b"made"])
    page.refresh()
    assert page.report.items[0]["bytes"] == 4


def test_large_things_are_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "\n".join(map(str, range(100))))
    message = json.loads(table_message(tmp_path / "t.csv", max_rows=10))
    assert (message["n"], message["columns"][0]["values"]) == (10, list(range(10)))
    assert message["note"] == "Shown: 10 of 100 rows (the first ones of the file)."
    monkeypatch.setattr("mira_nb.panels.browser_widgets.MAX_BYTES", 3)
    buttons = FileButtons(lambda name: app_module.Reply(b"four", name))
    assert "too large" in ask(buttons, "file", "x", monkeypatch)[0]["text"]


def test_the_vega_bundle_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    app_module.vega_bundle.cache_clear()
    answer, buffers = ask(FigureGallery(), "library", "", monkeypatch)
    assert answer["mime"] == "text/javascript"
    assert len(buffers[0]) > 500_000
    assert [path.stat().st_size for path in (tmp_path / "mira_nb").glob("vega-*.js")] == [len(buffers[0])]


def test_problems_are_said_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: RunStore) -> None:
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "nothing"))
    page = open_dashboard("run=%3Cscript%3E")
    assert "holds no run.json" in texts(page)
    monkeypatch.setattr(Dashboard, "watch", lambda self: self)
    monkeypatch.setattr(Shell, "watch", lambda self: self)
    monkeypatch.setenv(RUN_VARIABLE, str(store.root))
    for root in ("", str(store.root.parent)):
        monkeypatch.setenv(ROOT_VARIABLE, root)
        assert "There is no run called &#x27;&lt;script&gt;&#x27;" in texts(open_dashboard("run=%3Cscript%3E"))
    monkeypatch.setenv(RUN_VARIABLE, "")
    assert "MIRA analyses" in texts(open_dashboard(""))
    assert "MIRA analysis: run" in texts(open_dashboard("run=run"))


def texts(widget: Any) -> str:
    """Return the text of all HTML widgets of a page."""
    own = widget.value if isinstance(getattr(widget, "value", None), str) else ""
    return own + "".join(texts(child) for child in getattr(widget, "children", ()))
