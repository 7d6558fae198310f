"""The start page, and the page as a whole: it shows the list of runs with the form of a new one, or one run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.errors import MiraError
from mira_nb.run.store import RunStore

from . import markup
from .app import Dashboard, JobBar
from .browser_widgets import stylesheet, vega_bundle
from .follow import POLL_SECONDS, Follower
from .job import JobController
from .library import MOST_ENTRIES, RunSummary, kept_labels, listing, recent_runs
from .new_run import NewRun
from .run_manager import RunComparison, start_from
from .texts import words

LIST_SECONDS = 2.0


class StartPage:
    """Recent runs below a root, and the form of a new run.

    Parameters
    ----------
    root
        The served root.
    opened
        Called with the folder of the run that is to be shown.

    Attributes
    ----------
    widget
        The page.
    """

    def __init__(self, root: Path, opened: Any) -> None:
        self.root, self._opened = Path(root), opened
        self.new = NewRun(self.root, started=opened)
        self.runs = widgets.VBox([])
        self.runs.add_class("mn-runs")
        self.note = widgets.HTML()
        head = widgets.HTML(f"<h1>MIRA analyses</h1><p class='mn-help'>{markup.text(self.root)}</p>")
        head.add_class("mn-header")
        recent, new = (widgets.HTML(f"<h2>{title}</h2>") for title in ("Runs", "New run"))
        self.comparison = RunComparison(self.root)
        self.widget = widgets.VBox([head, recent, self.note, self.runs, self.comparison.widget, new, self.new.widget])
        self._shown: list[RunSummary] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Update the list of runs and the files that are offered."""
        folders, files, whole = listing(self.root)
        found = recent_runs(self.root, folders)
        text = words("start")
        note = "" if found else f'<p class="mn-help">{markup.text(text["empty"])}</p>'
        if not whole:
            note += markup.alert("warning", text["partial"].format(limit=MOST_ENTRIES))
        if self.note.value != note:
            self.note.value = note
        if found != self._shown:
            self._shown = found
            self.runs.children = [self._row(run) for run in found]
        self.new.offer([*files, *kept_labels(folders)])

    def _copy(self, run: Path) -> None:
        try:
            self._opened(start_from(self.root, run))
        except (MiraError, OSError) as error:
            self.comparison.note.value = markup.error_box({"message": str(error)})

    def _row(self, run: RunSummary) -> Any:
        button = widgets.Button(description="Open", tooltip=f"Open the run {run.title}")
        button.on_click(lambda _: self._opened(run.path))
        like = widgets.Button(description="New run like this", tooltip=words("start")["like"].format(title=run.title))
        like.on_click(lambda _: self._copy(run.path))
        chosen = run.path in self.comparison.chosen
        box = widgets.Checkbox(value=chosen, description="Compare", indent=False, layout={"width": "auto"})
        box.observe(lambda change: self.comparison.choose(run.path, bool(change["new"])), names="value")
        row = widgets.HBox([widgets.HTML(markup.run_card(run)), button, like, box])
        row.add_class("mn-run-row")
        return row


class Shell:
    """What a page shows: the start page of a root, or one of its runs.

    Parameters
    ----------
    root
        The served root; None: there is no start page to go back to.
    run
        The run to begin with; None: the start page.
    message
        A sentence for the reader on top of the run.

    Attributes
    ----------
    widget
        The page.
    """

    def __init__(self, root: Path | None, run: Path | None = None, *, message: str = "") -> None:
        self.root = Path(root) if root else None
        self.view: StartPage | Dashboard | Path | None = None
        self._bar: JobBar | None = None
        self._follower = Follower(self._look, self._complain, self._seconds)
        self.back = widgets.Button(description="All runs", tooltip="Back to the list of runs")
        self.back.add_class("mn-quiet")
        self.back.on_click(lambda _: self.show_start())
        self.body = widgets.VBox([])
        self.widget = widgets.VBox([widgets.HTML(f"<style>{stylesheet()}</style>"), self.body])
        self.widget.add_class("mn-app")
        if run is not None:
            self.show_run(run, message=message)
        else:
            self.show_start(message)

    def show_start(self, message: str = "") -> None:
        """Show the list of runs."""
        self._leave()
        if self.root is None:
            return
        self.view = StartPage(self.root, self.show_run)
        note = [widgets.HTML(markup.alert("warning", message))] if message else []
        self.body.children = [*note, self.view.widget]

    def show_run(self, folder: Path, *, message: str = "") -> None:
        """Show one run, or that its input is still being read."""
        self._leave()
        back = [self.back] if self.root is not None else []
        if not (folder / "run.json").exists():
            if not JobController(folder).folder.read():
                RunStore(folder).existing_record()
            self.view, self._bar = folder, JobBar(JobController(folder))
            head = widgets.HTML(f"<h1>{markup.text(folder.name)}</h1>")
            head.add_class("mn-header")
            self.body.children = [*back, head, self._bar.widget]
            self.follow()
            return
        self.view = Dashboard(folder, message=message).watch()
        self.body.children = [*back, self.view.widget]

    def _leave(self) -> None:
        if isinstance(self.view, Dashboard):
            self.view.close()
        self.view = self._bar = None

    # ------------------------------------------------------------------ follow
    def watch(self) -> Shell:
        """Keep the list of runs, and a run that is being read, up to date until :meth:`close`."""
        threading.Thread(target=vega_bundle, daemon=True).start()
        self._follower.start()
        return self

    def close(self) -> None:
        """Stop following."""
        self._follower.close()
        self._leave()

    def follow(self) -> None:
        """Update the page once."""
        self._follower.look()

    def _seconds(self) -> float:
        return LIST_SECONDS if isinstance(self.view, StartPage) else POLL_SECONDS

    def _look(self) -> None:
        view, bar = self.view, self._bar
        if isinstance(view, StartPage):
            view.refresh()
        elif isinstance(view, Path) and bar is not None:
            if (view / "run.json").exists():
                self.show_run(view)
            else:
                bar.update(bar.jobs.state(), {})

    def _complain(self, html: str) -> None:
        self.body.children = [self.back, widgets.HTML(html)]
