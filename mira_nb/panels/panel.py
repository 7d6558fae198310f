"""One panel that serves every stage: purpose, form, run buttons, and everything the result holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.errors import MiraError, ParameterError
from mira_nb.explorer.run_names import RunNames
from mira_nb.io.resources import Resources
from mira_nb.report.names import topic_names
from mira_nb.run.dependents import renewal
from mira_nb.run.lock import RESTORE_SECONDS
from mira_nb.run.outputs import REPORT, report_is_current, write_report
from mira_nb.run.presets import Presets
from mira_nb.run.store import RunStore
from mira_nb.stages.params import Params

from . import markup
from .browser_widgets import FigureGallery, FileButtons, Reply, TableDeck, inside
from .choices import Choices, questions
from .fold import Fold
from .form import ParamsForm
from .job import JobController, JobRequest
from .picking import Picking
from .preset_bar import PresetBar, preset_folder
from .stage_forms import StageForms
from .state import RunState, StageState, load_stage
from .texts import phrase, words

Start = Callable[[JobRequest], None]


class StagePanel:
    """Form and result of one stage.

    Parameters
    ----------
    name
        The stage.
    store
        The run folder.
    start
        Called with what to run when a button is clicked; raises :class:`MiraError` when it cannot start.
    gather
        Returns the parameters of all stages as their forms have them, for "run everything up to here".
    forms
        The forms that presets can set; None: that of this stage.
    names
        Names of the run, shared by all its panels.
    picking
        Opens the map to pick a cell; None: the page has no map.

    Attributes
    ----------
    widget
        The panel.
    """

    def __init__(
        self,
        name: str,
        store: RunStore,
        *,
        start: Start,
        gather: Callable[[], dict[str, Mapping[str, Any]]] = dict,
        forms: StageForms | None = None,
        names: RunNames | None = None,
        picking: Picking | None = None,
    ) -> None:
        self.name, self.store = name, store
        self._start, self._gather = start, gather
        self.stage = load_stage(name)
        self.state: StageState | None = None
        self._busy = False
        self._shown_key: str | None = None
        self._run_state: RunState | None = None
        self.head = widgets.HTML()
        self.head.add_class("mn-head")
        self.notice = widgets.HTML()
        self.choices = Choices(self._choose)
        self.form: ParamsForm | None = None
        self.presets: PresetBar | None = None
        self._forms = forms or StageForms(name, lambda _: self.form)
        self._names = names or RunNames(store.root)
        self._picking = picking
        self.run_button = _button("run", "mn-primary")
        self.upto_button = _button("upto")
        self.run_button.on_click(lambda _: self._run(upto=False))
        self.upto_button.on_click(lambda _: self._run(upto=True))
        self.renew_button = _button("renew")
        self.renew_button.on_click(lambda _: self._run(upto=False, renew=self._stale))
        self.renew_button.layout.display = "none"
        self.changes = widgets.HTML()
        self._stale: tuple[str, ...] = ()
        actions = widgets.HBox([self.run_button, self.renew_button, self.upto_button, self.changes])
        actions.add_class("mn-actions")
        self.fold = Fold(phrase("stage", "parameters"), [], open=True)
        self.card = widgets.VBox([self.fold.widget, actions])
        self.card.add_class("mn-card")
        self.summary = widgets.HTML()
        self.figures = FigureGallery()
        self.tables = TableDeck()
        self.files = FileButtons(self._file)
        self.report = FileButtons(self._file)
        self.results = widgets.VBox([])
        self.widget = widgets.VBox([self.head, self.notice, self.choices.widget, self.card, self.results])

    # ------------------------------------------------------------------ show
    def update(self, run: RunState, *, busy: bool) -> None:
        """Show the state of the run folder; what the reader has typed stays."""
        state = run.stages[self.name]
        first = self.state is None
        self.state, self._busy = state, busy
        self._run_state = run
        if first:
            self._make_form(run)
        if self.form is not None and self._picking is not None:
            ask = partial(self._picking.ask, self.name)
            self.form.offer_map(ask if self._picking.possible else None)
        purpose = self.stage.purpose if self.stage else ""
        self.head.value = markup.stage_head(state, purpose, self.stage.look if self.stage else "")
        self.notice.value = self._notice(state)
        self._buttons()
        shown = f"{state.key} {sorted(topic_names(self.store.root).items())}"
        if shown != self._shown_key:
            self._shown_key = shown
            self._show_result(state)

    def _make_form(self, run: RunState) -> None:
        if self.stage is None or self.state is None:
            return
        self.form = ParamsForm(
            self.stage.Params,
            values=_still_valid(self.stage.Params, self.state.parameters),
            annotations=run.annotations,
            names=self._names,
            on_change=self._buttons,
        )
        tune = widgets.HTML(f'<p class="mn-help">{markup.text(self.stage.tune)}</p>')
        self.presets = PresetBar(Presets(preset_folder()), self._forms)
        self.fold.body.children = [tune, self.presets.widget, self.form.widget]
        self._buttons()

    def _notice(self, state: StageState) -> str:
        if state.status == "failed":
            return markup.error_box(state.error)
        if state.status == "outdated":
            return markup.alert("warning", phrase("stage", "outdated"), state.reason)
        return markup.alert("info", state.reason) if state.reason else ""

    def _buttons(self) -> None:
        state, form = self.state, self.form
        if state is None:
            return
        possible = form is not None and form.valid and not self._busy and state.status not in {"blocked", "unavailable"}
        self.run_button.disabled = not possible or bool(state.waits_for)
        self.renew_button.disabled = self.run_button.disabled
        self.upto_button.disabled = not possible
        self.choices.lock(self.run_button.disabled)
        self.run_button.description = phrase("stage", "run_again" if state.stored else "run")
        if form is not None:
            n, wrong = len(form.changed), len(form.mistakes)
            self.fold.title = phrase("stage", "parameters_folded", n=n, wrong=wrong)
        self.changes.value = f'<span class="mn-help">{markup.text(self._changes_text())}</span>'

    def _note_dependents(self, changed: list[str]) -> str:
        """Note which results a new one of this stage makes out of date; return that, with the time to renew them."""
        run, state = self._run_state, self.state
        if run is None or state is None:
            return ""
        stored = {name: other.stored for name, other in run.stages.items() if other.stored}
        done = [name for name in stored if run.stages[name].status == "done"]
        resources = Resources.from_json(run.record.get("resource_paths", {}))
        self._stale, seconds = renewal(self.name, done, stored, changed=changed, resources=resources)
        same = not changed and state.status == "done"
        self.renew_button.layout.display = None if self._stale and not same else "none"
        titles = [run.stages[name].title for name in self._stale]
        key = "same" if same else "outdates" if self._stale else "alone"
        return phrase("stage", key, titles=titles, time=markup.duration(seconds))

    def _changes_text(self) -> str:
        if self.form is None or self.state is None:
            return ""
        if not self.form.valid:
            return phrase("stage", "mistakes", n=len(self.form.mistakes))
        if self._busy:
            return phrase("stage", "busy")
        if self.state.stored is None:
            return ""
        stored = {row["name"]: row["value"] for row in self.state.stored["parameters"]}
        values = self.form.values()
        changed = {spec.name: spec.label for spec in self.form.specs if stored.get(spec.name) != values[spec.name]}
        dependents = self._note_dependents(list(changed))
        labels = list(changed.values())
        return phrase("stage", "changed" if changed else "unchanged", labels=labels, dependents=dependents)

    def _edited(self, stored: Mapping[str, Any]) -> bool:
        """Return whether the form has other values than the result was made with, or wrong ones."""
        if self.form is None or not self.form.valid:
            return self.form is not None
        values = self.form.values()
        return any(values.get(row["name"]) != row["value"] for row in stored["parameters"] if row["name"] in values)

    def _show_result(self, state: StageState) -> None:
        stored = state.stored
        self.choices.show([] if stored is None else questions(self.store, self.name))
        self.choices.lock(self.run_button.disabled)
        if stored is None:
            self.summary.value = ""
            self.results.children = []
            return
        if not self._edited(stored):
            self.fold.open = False  # results come first; what is being changed stays in view
        folder = self.store.stage_dir(self.name)
        link = {"label": words("stage")["open_in_report"], "description": words("stage")["open_in_report_help"]}
        self.report.items = [{"id": "report", **link, "open": True, "hash": self.name, "bytes": -1}]
        self.summary.value = markup.alerts(stored["alerts"]) + markup.metrics(stored["metrics"])
        self.figures.show(folder, stored["figures"], key=state.key)
        self.tables.show(folder, stored["tables"], key=state.key)
        self.files.items = self._file_items(stored, folder)
        parts: list[Any] = [self.report, self.summary, self.figures]
        if stored["tables"]:
            parts += [widgets.HTML(f"<h3>{phrase('stage', 'tables')}</h3>"), self.tables]
        parts += [widgets.HTML(f"<h3>{phrase('stage', 'files')}</h3>"), self.files]
        self.results.children = parts

    # ------------------------------------------------------------------ files
    def _file_items(self, stored: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
        items = [
            {
                "id": f"file:{i}",
                "label": Path(item["path"]).name,
                "description": item["description"],
                "bytes": item["bytes"],
            }
            for i, item in enumerate(stored["files"])
        ]
        notebook = folder / "notebook.ipynb"
        if notebook.exists():
            label = {"label": "notebook.ipynb", "description": phrase("stage", "notebook")}
            items.append({"id": "notebook", **label, "bytes": notebook.stat().st_size})
        return items

    def _file(self, name: str) -> Reply:
        if name == "report":
            return report_reply(self.store.root)
        folder = self.store.stage_dir(self.name)
        if name == "notebook":
            path = inside(folder, "notebook.ipynb")
        else:
            stored = self.store.stage_record(self.name) or {"files": []}
            path = inside(folder, stored["files"][int(name.partition(":")[2])]["path"])
        return Reply(path.read_bytes(), path.name)

    # ------------------------------------------------------------------ run
    def _choose(self, values: Mapping[str, Any]) -> None:
        """Set parameters and run with them."""
        if self.form is not None:
            self.form.set_values({**self.form.raw(), **values})
            self._run(upto=False)

    def _run(self, *, upto: bool, renew: tuple[str, ...] = ()) -> None:
        try:
            parameters = {**(self._gather() if upto else {}), self.name: self._values()}
            # a run that was asked for by a click is done even if nothing has changed
            force = not upto and self.state is not None and self.state.status == "done"
            self._start(JobRequest(stage=self.name, upto=upto, force=force, parameters=parameters, renew=renew))
        except MiraError as error:
            self.notice.value = markup.error_box({"message": str(error)})

    def _values(self) -> dict[str, Any]:
        if self.form is None:
            raise ParameterError(phrase("stage", "not_part", name=self.name))
        return self.form.values()


def report_reply(root: Path) -> Reply:
    """Return the report of a run, built first where it does not fit the results and names that there are.

    A version that is being restored is waited for; a running job is not, since it takes long.
    """
    if not report_is_current(root):
        write_report(root, patience=0.0 if JobController(root).state().active else RESTORE_SECONDS)
    return Reply(inside(root, REPORT).read_bytes(), "report.html", "text/html;charset=utf-8")


def _button(key: str, *classes: str) -> Any:
    text = words("stage")
    button = widgets.Button(description=text[key], tooltip=text[f"{key}_help"], disabled=True)
    for name in classes:
        button.add_class(name)
    return button


def _still_valid(model: type[Params], values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the stored values that the model of this version still accepts."""
    known = {name: value for name, value in values.items() if name in model.model_fields}
    try:
        return model.parse("stored", known).model_dump(mode="json")
    except ParameterError:
        return {}
