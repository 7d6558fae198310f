"""The whole dashboard of one run folder: facts of the data, the stages with their status, the chosen stage's panel."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.explorer.run_names import RunNames
from mira_nb.report.names import FILE as TOPIC_NAMES
from mira_nb.run.outputs import REPORT
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import stage_names

from . import markup
from .browser_widgets import FileButtons, Reply, StageList, stylesheet, vega_bundle
from .explorer_tab import NAME, ExplorerTab
from .fold import Fold
from .follow import Follower
from .form import ParamsForm
from .job import JobController, JobRequest, JobState
from .panel import StagePanel, report_reply
from .picking import Picking
from .stage_forms import StageForms
from .state import LABELS, RunState, read_run
from .texts import words
from .versions import VersionList


class JobBar:
    """Progress, stop button and log of the job of the run folder."""

    def __init__(self, jobs: JobController) -> None:
        self.jobs = jobs
        self.line = widgets.HTML()
        self.stop = widgets.Button(description=words("stage")["stop"], tooltip=words("stage")["stop_help"])
        self.stop.add_class("mn-stop")
        self.stop.on_click(lambda _: self._stop())
        self.log = widgets.HTML()
        fold = Fold(words("stage")["log"], [self.log]).widget
        self._controls = widgets.HBox([self.stop])
        self.widget = widgets.VBox([])
        self.widget.add_class("mn-jobbar")
        self._parts = {"active": [self.line, self._controls, fold], "ended": [self.line, fold], "idle": []}
        self._log_text = ""

    def update(self, job: JobState, titles: Mapping[str, str]) -> None:
        """Show a job."""
        _set(self.line, markup.job_line(job, titles))
        self.stop.disabled = job.status == "stopping"
        wanted = self._parts["active" if job.active else "idle" if job.status == "idle" else "ended"]
        if list(self.widget.children) != wanted:
            self.widget.children = wanted
        text = self.jobs.folder.log_tail() if job.status != "idle" else ""
        if text != self._log_text:
            self._log_text = text
            self.log.value = f'<pre class="mn-log" tabindex="0" aria-label="Log">{markup.text(text)}</pre>'

    def _stop(self) -> None:
        self.stop.disabled = True
        self.jobs.cancel()


class Dashboard:
    """All panels of one run folder.

    Parameters
    ----------
    run_dir
        The run folder, with run.json.
    jobs
        Starts the workers (for tests).
    message
        A sentence for the reader on top of the page.
    demonstration
        Whether the run is the one on the embedded data set.

    Attributes
    ----------
    widget
        The page.

    Raises
    ------
    InputError
        When the folder holds no run.
    StoreError
        When its record cannot be read.
    """

    def __init__(
        self, run_dir: Path, *, jobs: JobController | None = None, message: str = "", demonstration: bool = False
    ) -> None:
        self.store = RunStore(Path(run_dir))
        self.jobs = jobs or JobController(self.store.root)
        self.demonstration = demonstration
        self._lock = threading.RLock()
        self._follower = Follower(self._look, self._complain)
        self._seen: Any = None
        self._job = JobState()
        self.run: RunState = read_run(self.store)
        self.panels: dict[str, StagePanel] = {}
        self.names = RunNames(self.store.root)
        self.explorer = ExplorerTab(self.store, self.propose)
        self.picking = Picking(self.explorer, self.form, self.show)
        self.job_bar = JobBar(self.jobs)
        self._build(message)
        self.refresh(force=True)

    def _build(self, message: str) -> None:
        self.header = widgets.HTML()
        self.report = FileButtons(self._report)
        head = widgets.HBox([self.header, self.report])
        head.add_class("mn-header")
        self.message = widgets.HTML(markup.alert("warning", message) if message else "")
        self.check = widgets.HTML()
        fold = Fold(words("check")["heading"], [self.check]).widget
        self.stages = StageList(selected=self._first_stage())
        self.stages.observe(lambda _: self._select(), names="selected")
        side = widgets.VBox([self.stages])
        side.add_class("mn-side")
        self.main = widgets.VBox([])
        self.versions = VersionList(self.store.root, lambda: self.refresh(force=True))
        main = widgets.VBox([self.job_bar.widget, self.main, self.versions.widget])
        main.add_class("mn-main")
        body = widgets.Box([side, main])
        body.add_class("mn-body")
        style = widgets.HTML(f"<style>{stylesheet()}</style>")
        self.widget = widgets.VBox([style, head, self.message, fold, body])
        self.widget.add_class("mn-app")

    def _first_stage(self) -> str:
        """Return the first unfinished stage, selected when the dashboard opens."""
        open_stages = [
            name for name, state in self.run.stages.items() if state.status not in {"done", "blocked", "unavailable"}
        ]
        return next(iter(open_stages), stage_names()[0])

    # ------------------------------------------------------------------ follow the run folder
    def watch(self) -> Dashboard:
        """Follow the run folder until :meth:`close`."""
        threading.Thread(target=vega_bundle, daemon=True).start()
        self._follower.start()
        return self

    def close(self) -> None:
        """Stop following."""
        self._follower.close()

    def _look(self) -> None:
        self.refresh()
        self.jobs.enforce()

    def _complain(self, html: str) -> None:
        self.message.value = html

    def refresh(self, *, force: bool = False) -> None:
        """Update the page from the run folder."""
        with self._lock:
            job, before = self.jobs.state(), self._job
            self._job = job
            seen = (job.active, job.current, job.status, self._fingerprint())
            if force or seen != self._seen:
                self._seen = seen
                self.run = read_run(self.store, running=job.current if job.active else "")
                self._show_run(job)
            if force or job != before:
                self.job_bar.update(job, self._titles())

    def _fingerprint(self) -> tuple[int, ...]:
        """Return the times of the files that a page depends on."""
        paths = [self.store.record.path, self.store.root / REPORT, self.store.root / TOPIC_NAMES]
        paths += [self.store.stage_dir(name) / "stage.json" for name in stage_names()]
        return tuple(_mtime(path) for path in paths)

    def _titles(self) -> dict[str, str]:
        return {name: state.title for name, state in self.run.stages.items()}

    def _show_run(self, job: JobState) -> None:
        _set(self.header, markup.header(self.run, demonstration=self.demonstration))
        _set(self.check, markup.input_check(self.run))
        report = self.store.root / REPORT
        label = {"label": words("stage")["report"], "description": words("stage")["report_help"], "open": True}
        self.report.items = [
            {"id": "report", **label, "disabled": job.active, "bytes": report.stat().st_size if report.exists() else -1}
        ]
        self.stages.items = [
            *(
                {"name": name, "title": state.title, "status": state.status, "label": LABELS[state.status]}
                for name, state in self.run.stages.items()
            ),
            *self.explorer.items(),
        ]
        self.versions.update(busy=job.active)
        for panel in self.panels.values():
            panel.update(self.run, busy=job.active)
        self._select()

    def _select(self) -> None:
        """Show the panel of the chosen stage; it is made when it is first looked at."""
        with self._lock:
            name = self.stages.selected
            wanted = self.explorer.widget() if name == NAME else self._panel(name).widget
            if list(self.main.children) != [wanted]:
                self.main.children = [wanted]

    def _panel(self, name: str) -> StagePanel:
        if name not in self.panels:
            forms = StageForms(name, self.form, stages=list(self.run.stages), titles=self._titles())
            panel = StagePanel(
                name,
                self.store,
                start=self.start,
                gather=self._parameters,
                forms=forms,
                names=self.names,
                picking=self.picking,
            )
            panel.update(self.run, busy=self._job.active)
            self.panels[name] = panel
        return self.panels[name]

    def form(self, stage: str) -> ParamsForm | None:
        """Return the form of a stage; None where it has none in this installation."""
        return self._panel(stage).form

    # ------------------------------------------------------------------ act
    def show(self, name: str) -> None:
        """Show a stage, or the explorer."""
        self.stages.selected = name

    def propose(self, stage: str, values: Mapping[str, Any]) -> None:
        """Put values into the form of a stage, for the reader to run it."""
        form = self.form(stage)
        if form is not None:
            form.set_values({**form.raw(), **values})
            self.panels[stage].fold.open = True

    def start(self, request: JobRequest) -> None:
        """Start a job and show it."""
        self.jobs.start(request)
        self.refresh()

    def _parameters(self) -> dict[str, Mapping[str, Any]]:
        """Return the parameters of all stages whose form was opened; the others keep those of run.json."""
        return {name: panel.form.values() for name, panel in self.panels.items() if panel.form is not None}

    def _report(self, _: str) -> Reply:
        return report_reply(self.store.root)


def _set(widget: Any, value: str) -> None:
    if widget.value != value:
        widget.value = value


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
