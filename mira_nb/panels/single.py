"""One stage's panel in a cell of one's own notebook: ``mira_nb.panels.topics_rna("my_run")``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.run.store import RunStore

from .app import JobBar
from .browser_widgets import stylesheet
from .explorer_tab import NAME, ExplorerTab
from .follow import Follower
from .job import JobController, JobRequest
from .panel import StagePanel
from .picking import Picking
from .state import read_run


class SinglePanel:
    """Form, progress and results of one stage of a run folder.

    Parameters
    ----------
    stage
        Name of the stage.
    run
        The run folder.
    jobs
        Starts the workers (for tests).

    Attributes
    ----------
    widget
        The panel.

    Raises
    ------
    InputError
        When the folder holds no run.
    """

    def __init__(self, stage: str, run: Path | str, *, jobs: JobController | None = None) -> None:
        self.store = RunStore(Path(run))
        self.jobs = jobs or JobController(self.store.root)
        self.bar = JobBar(self.jobs)
        self.explorer = ExplorerTab(self.store, lambda *_: None)
        picking = Picking(self.explorer, lambda _: self.panel.form, self._show)
        self.panel = StagePanel(stage, self.store, start=self._start, picking=picking)
        self.main = widgets.VBox([self.panel.widget])
        self.problem = widgets.HTML()
        style = widgets.HTML(f"<style>{stylesheet()}</style>")
        self.widget = widgets.VBox([style, self.problem, self.bar.widget, self.main])
        self.widget.add_class("mn-app")
        self._follower = Follower(self._look, self._complain)
        self._seen: Any = None
        self.refresh()

    def _start(self, request: JobRequest) -> None:
        self.jobs.start(request)
        self.refresh()

    def _show(self, name: str) -> None:
        """Show the map to pick a cell on, or the panel again."""
        self.main.children = [self.explorer.widget() if name == NAME else self.panel.widget]

    def refresh(self) -> None:
        """Update the panel from the run folder."""
        job = self.jobs.state()
        path = self.store.record.path
        seen = (job.active, job.current, path.stat().st_mtime_ns if path.exists() else 0)
        run = None
        if seen != self._seen:
            run = read_run(self.store, running=job.current if job.active else "")
            self._seen = seen
            self.panel.update(run, busy=job.active)
            self._titles = {name: state.title for name, state in run.stages.items()}
        self.bar.update(job, self._titles)

    def watch(self) -> SinglePanel:
        """Follow the run folder until :meth:`close`."""
        self._follower.start()
        return self

    def close(self) -> None:
        """Stop following."""
        self._follower.close()

    def _look(self) -> None:
        self.refresh()
        self.jobs.enforce()

    def _complain(self, html: str) -> None:
        self.problem.value = html


def show(stage: str, run: Path | str) -> Any:
    """Return the panel of a stage, which follows the run folder."""
    return SinglePanel(stage, run).watch().widget


def explore(run: Path | str) -> Any:
    """Return the explorer of a run folder: map, search, selections, names."""
    page = ExplorerTab(RunStore(Path(run)), lambda *_: None)
    shown = widgets.VBox([widgets.HTML(f"<style>{stylesheet()}</style>"), page.widget()])
    shown.add_class("mn-app")
    return shown
