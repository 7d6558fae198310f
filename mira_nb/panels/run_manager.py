"""Runs side by side: compare those that are chosen, and start a run from another's parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets

from mira_nb.errors import MiraError, ParameterError
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import stage_names

from . import markup
from .browser_widgets import FileButtons, Reply, inside
from .job import JobController, JobRequest
from .library import free_folder
from .texts import words

PAGE: Final = "comparison.html"


class RunComparison:
    """Button that compares the chosen runs, and the page that it made.

    Parameters
    ----------
    root
        The served root, into which the page is written.

    Attributes
    ----------
    widget
        Button, page and problem.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.chosen: list[Path] = []
        self.button = widgets.Button(description="Compare the chosen runs", disabled=True)
        self.button.on_click(lambda _: self.compare())
        self.page = FileButtons(self._read)
        self.note = widgets.HTML()
        self.widget = widgets.VBox([self.button, self.page, self.note])

    def _read(self, name: str) -> Reply:
        return Reply(inside(self.root, name).read_bytes(), PAGE, "text/html;charset=utf-8")

    def choose(self, folder: Path, chosen: bool) -> None:
        """Take a run in, or leave it out."""
        others = [known for known in self.chosen if known != folder]
        self.chosen = [*others, folder] if chosen else others
        self.button.disabled = len(self.chosen) < 2

    def compare(self) -> None:
        """Write the page; the first run that was chosen is what the others are compared with."""
        from mira_nb.comparison.page import compare_runs

        try:
            path = compare_runs(self.chosen, self.root / PAGE)
        except (MiraError, OSError) as error:
            self.note.value = markup.error_box({"message": str(error)})
            return
        label = f"Open the comparison of {len(self.chosen)} runs"
        item: dict[str, Any] = {"id": PAGE, "label": label, "description": label, "open": True, "disabled": False}
        self.page.items = [{**item, "bytes": path.stat().st_size}]
        self.note.value = ""


def start_from(
    root: Path, run: Path, *, controller: Callable[[Path], JobController] = JobController, title: str = ""
) -> Path:
    """Start a run of the same input with another run's parameters, up to its first stage, and return its folder.

    The other stages have the parameters in their forms, to be changed before they run.

    Raises
    ------
    ParameterError
        The other run has no input to start from.
    """
    record = RunStore(run).read_record()
    if not record.get("input_spec"):
        raise ParameterError(f"{run} does not say where its input is", remedy="start a new run from the files")
    title = title or words("start")["copy"].format(title=record.get("title") or run.name)
    folder = free_folder(root, title)
    (folder / "cache").mkdir(parents=True)
    new = {
        "spec": record["input_spec"],
        "resources": record.get("resource_paths", {}),
        "title": title,
        "seed": record.get("seed", 0),
    }
    parameters = {name: dict(entry.get("parameters") or {}) for name, entry in record.get("stages", {}).items()}
    known = {name: values for name, values in parameters.items() if name in stage_names() and values}
    controller(folder).start(JobRequest(stage=stage_names()[0], upto=True, parameters=known, new=new))
    return folder
