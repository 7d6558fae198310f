"""The form that starts a run: files with guessed roles, an input check while choosing, menus filled from the data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets

from mira_nb.errors import InputError, MiraError
from mira_nb.io.catalogue import JASPAR_TAXA
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.run.check import CheckReport
from mira_nb.run.estimate import estimate
from mira_nb.run.memory import Size, available_mb

from . import markup
from .job import JobController, JobRequest
from .library import FILE_ROLES, INPUT_ROLES, candidates, free_folder, guess_roles
from .subset_choice import SubsetChoice
from .texts import words
from .upload import Upload

CATALOGUE: Final[Mapping[str, tuple[str, ...]]] = {
    "genome": ("ucsc:hg38", "ucsc:mm10", "ucsc:mm39"),
    "motifs": tuple(f"jaspar:{taxon}" for taxon in JASPAR_TAXA),
}
"""Names that stand for a download."""


class NewRun:
    """Form of a run to be.

    Parameters
    ----------
    root
        Folder whose files are offered, and below which the run folder is made.
    started
        Called with the run folder when the run has started.
    controller
        Makes the controller of a folder's jobs (for tests).

    Attributes
    ----------
    widget
        The form.
    report
        The latest input check, None before one or when the input cannot be read.
    """

    def __init__(
        self,
        root: Path,
        *,
        started: Callable[[Path], None],
        controller: Callable[[Path], JobController] = JobController,
    ) -> None:
        self.root, self._started, self._controller = Path(root), started, controller
        self.report: CheckReport | None = None
        self._files: list[Path] = []
        self._lock = threading.Lock()
        self._wanted: tuple[InputSpec, Resources] | None = None
        self._quiet = False
        self.roles: dict[str, Any] = {role: self._role(role) for role in FILE_ROLES}
        self.upload = Upload(self.root, self._uploaded)
        self.annotations = {name: _menu(words("start")["labels"][name]) for name in ("groups", "batch")}
        label = words("start")["labels"]
        self.subset = SubsetChoice(self._changed)
        self.start_cell = widgets.Combobox(description=label["start_cell"], placeholder="name of a cell", **_style())
        self.title = widgets.Text(description=label["title"], continuous_update=True, **_style())
        for entry in (*self.annotations.values(), self.start_cell, self.title):
            entry.add_class("mn-entry")
            entry.add_class("mn-wide")
        self.check = widgets.HTML()
        self.cost = widgets.HTML()
        self.problem = widgets.HTML()
        self.button = widgets.Button(description="Start the run", disabled=True)
        self.button.add_class("mn-primary")
        self.button.on_click(lambda _: self.start())
        for entry in (*self.annotations.values(), self.start_cell):
            entry.observe(lambda _: self._changed(), names="value")
        self.widget = self._layout()
        self._show(words("start")["nothing"])

    def _role(self, role: str) -> Any:
        label = words("start")["roles"][role]
        if role == "gene_sets":
            entry: Any = widgets.SelectMultiple(description=label, rows=3, **_style())
        else:
            entry = _menu(label)
        entry.add_class("mn-entry")
        entry.add_class("mn-wide")
        entry.observe(lambda _: self._changed(), names="value")
        return entry

    def _layout(self) -> Any:
        text = words("start")["sections"]
        counts = [self.roles[role] for role in INPUT_ROLES]
        others = [self.roles[role] for role in FILE_ROLES if role not in {*INPUT_ROLES, "labels"}]
        cells = [self.roles["labels"], self.subset.column, self.subset.values]
        named = [*self.annotations.values(), self.start_cell]
        parts: list[Any] = [_section(text["counts"], text["counts_help"], counts), self.upload]
        parts += [_section(text["resources"], text["resources_help"], others)]
        parts += [_section(text["annotations"], text["annotations_help"], named)]
        parts += [_section(text["cells"], text["cells_help"], cells), self.check]
        actions = widgets.HBox([self.button, self.cost])
        actions.add_class("mn-actions")
        parts += [_section(text["start"], "", [self.title]), self.problem, actions]
        box = widgets.VBox(parts)
        box.add_class("mn-card")
        return box

    # ------------------------------------------------------------------ files
    def offer(self, files: list[Path]) -> None:
        """Offer these files; roles are guessed as long as none was chosen."""
        if files == self._files:
            return
        self._files = list(files)
        chosen = {role: _value(entry) for role, entry in self.roles.items()}
        guessed = {} if any(chosen.values()) else guess_roles(files)
        self._quiet = True
        try:
            for role, entry in self.roles.items():
                self._fill(role, entry, guessed.get(role, chosen[role]))
        finally:
            self._quiet = False
        self._changed()

    def _fill(self, role: str, entry: Any, chosen: list[Path]) -> None:
        options = [(self._name(path), str(path)) for path in candidates(role, self._files)]
        options += [(f"{name} (downloaded once)", name) for name in CATALOGUE.get(role, ())]
        known = [value for _, value in options]
        values = [str(path) for path in chosen if str(path) in known]
        if role == "gene_sets":
            entry.options = options
            entry.value = tuple(values)
        else:
            entry.options = [(words("start")["none"], ""), *options]
            entry.value = values[0] if values else ""

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def _uploaded(self, path: Path) -> None:
        self.offer(sorted({*self._files, path}))

    # ------------------------------------------------------------------ check
    def spec(self) -> InputSpec:
        """Return the chosen input."""
        chosen = {role: _value(self.roles[role]) for role in INPUT_ROLES}
        return InputSpec.from_json({role: str(paths[0]) for role, paths in chosen.items() if paths})

    def resources(self, *, local: bool = False) -> Resources:
        """Return the chosen resources; with `local`, without those that would be downloaded."""
        chosen = {role: _value(self.roles[role]) for role in FILE_ROLES if role not in INPUT_ROLES}
        if local:
            chosen = {role: [path for path in paths if str(path) not in _NAMED] for role, paths in chosen.items()}
        values: dict[str, Any] = {"gene_sets": chosen.pop("gene_sets")}
        values |= {role: paths[0] for role, paths in chosen.items() if paths}
        values |= {name: menu.value or None for name, menu in self.annotations.items()}
        values |= {"start_cell": self.start_cell.value.strip() or None, "subset": self.subset.text()}
        return Resources.from_json(values)

    def _changed(self) -> None:
        """Check what is chosen now in a thread; of several changes meanwhile the last counts."""
        if self._quiet:
            return
        self.button.disabled = True
        self.report = None
        try:
            spec = self.spec()
            spec.kind()
        except InputError as error:
            chosen = any(_value(self.roles[role]) for role in INPUT_ROLES)
            self._wanted = None
            self._show(markup.alert("warning", str(error)) if chosen else words("start")["nothing"])
            return
        if self.subset.incomplete:
            self._wanted = None
            self._show(markup.alert("warning", words("start")["incomplete"]))
            return
        with self._lock:
            idle, self._wanted = self._wanted is None, (spec, self.resources(local=True))
        self._show(words("start")["checking"])
        if idle:
            threading.Thread(target=self._check_until_still, daemon=True).start()

    def _check_until_still(self) -> None:
        from mira_nb.run.inputs import check_run

        done: tuple[InputSpec, Resources] | None = None
        while True:
            with self._lock:
                wanted = self._wanted
                if wanted is None or wanted == done:
                    self._wanted = None
                    return
            done, found = wanted, None
            try:
                found = check_run(*wanted)
            except Exception as error:  # a thread that ended here would leave the page checking for good
                message = str(error) if isinstance(error, MiraError | OSError) else f"{type(error).__name__}: {error}"
            if wanted == self._wanted:
                self._checked(found) if found else self._show(markup.error_box({"message": message}))
                with self._lock:
                    if wanted == self._wanted:  # menus were filled anew, and what was chosen may be gone
                        self._wanted = wanted[0], self.resources(local=True)

    def _checked(self, found: CheckReport) -> None:
        """Show an input check, and fill the menus with what the data hold."""
        self._quiet = True
        try:
            options = [(words("start")["none"], "")]
            options += [(f"{name}: {content}"[:90], name) for name, content in found.annotations.items()]
            for menu in self.annotations.values():
                kept = menu.value if menu.value in found.annotations else ""
                menu.options, menu.value = options, kept
            self.start_cell.options = found.cells
            self.subset.fill(found.values, next(iter(_value(self.roles["labels"])), None))
        finally:
            self._quiet = False
        self.report = found
        self._show(markup.check_report(found))
        ready = [stage.name for stage in found.stages if stage.state == "can run"]
        size = Size(found.shape[0], found.shape[1], found.stored)
        self.cost.value = f'<span class="mn-help">{markup.text(_cost(size, ready))}</span>'
        self.button.disabled = bool(found.problems)

    def _show(self, content: str) -> None:
        self.check.value = f'<div class="mn-check" role="status">{content}</div>'
        named = sorted(_NAMED & {str(path) for role in CATALOGUE for path in _value(self.roles[role])})
        if named:
            self.check.value += markup.alert("info", words("start")["downloads"].format(names=" and ".join(named)))
        self.cost.value = ""

    # ------------------------------------------------------------------ start
    def start(self) -> None:
        """Start the run in a new folder below the root; it goes on without the page."""
        try:
            title = self.title.value.strip()
            folder = free_folder(self.root, title or self.spec().files()[0].parent.name)
            (folder / "cache").mkdir(parents=True)
            resources = self.resources().to_json()
            resources |= {name: str(_value(self.roles[name])[0]) for name in CATALOGUE if self._is_named(name)}
            new = {"spec": self.spec().to_json(), "resources": resources, "title": title or folder.name, "seed": 0}
            self._controller(folder).start(JobRequest(stage="", upto=True, new=new))
        except (MiraError, OSError) as error:
            self.problem.value = markup.error_box({"message": str(error)})
            return
        self._started(folder)

    def _is_named(self, role: str) -> bool:
        return bool(_NAMED & {str(path) for path in _value(self.roles[role])})


_NAMED: Final = frozenset(name for names in CATALOGUE.values() for name in names)


def _value(entry: Any) -> list[Path]:
    values = entry.value if isinstance(entry.value, tuple) else (entry.value,)
    return [Path(value) for value in values if value]


def _style() -> dict[str, Any]:
    return {"style": {"description_width": "13em"}}


def _menu(label: str) -> Any:
    return widgets.Dropdown(options=[(words("start")["none"], "")], value="", description=label, **_style())


def _section(title: str, help_text: str, entries: list[Any]) -> Any:
    head = f"<h3>{markup.text(title)}</h3>" + (f'<p class="mn-help">{markup.text(help_text)}</p>' if help_text else "")
    grid = widgets.VBox(entries)
    grid.add_class("mn-fields")
    return widgets.VBox([widgets.HTML(head), grid])


def _cost(size: Size, stages: list[str]) -> str:
    cost, free = estimate(size, stages), available_mb()
    text = "free memory not known" if free is None else f"{free / 1000:.1f} GB are free"
    return str(
        words("start")["estimate"].format(time=markup.duration(cost.seconds), memory=cost.memory_mb / 1000, free=text)
    )
