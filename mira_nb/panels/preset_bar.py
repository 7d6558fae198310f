"""Presets on the panel of a stage: save the changed parameters under a name, apply them, delete them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import ipywidgets as widgets

from mira_nb.errors import MiraError
from mira_nb.run.presets import FOLDER, Presets

from . import markup
from .fold import Fold
from .state import ROOT_VARIABLE, RUN_VARIABLE
from .texts import phrase, words

STAGE: Final = "stage"
RUN: Final = "run"
Values = Mapping[str, Mapping[str, Any]]


class Forms(Protocol):
    """The forms whose parameters presets hold."""

    stages: tuple[str, ...]

    def changed_parameters(self, scope: str) -> dict[str, dict[str, Any]]:
        """Return the values that differ from the defaults, of the stage of the panel or of all stages of the run."""

    def apply_parameters(self, values: Values) -> list[str]:
        """Put values into the forms, defaults where none is named; return what changed, one sentence each."""


def preset_folder() -> Path:
    """Return where presets are kept: in the served root; where one run is served, in the user's folder of settings."""
    root, run = (os.environ.get(name, "").strip() for name in (ROOT_VARIABLE, RUN_VARIABLE))
    if root and (not run or Path(run).parent != Path(root)):
        return Path(root) / FOLDER
    import platformdirs

    return Path(platformdirs.user_config_dir("mira_nb")) / FOLDER


class PresetBar:
    """Menu of presets with its buttons, in a fold.

    Parameters
    ----------
    presets
        Where they are kept.
    forms
        What is saved and set.

    Attributes
    ----------
    widget
        The fold.
    """

    def __init__(self, presets: Presets, forms: Forms) -> None:
        self.presets, self._forms = presets, forms
        self._answer: Callable[[], None] = lambda: None
        text = words("presets")
        self.menu = widgets.Dropdown(description=text["menu"], options=[])
        self.apply_button = self._button("apply", self._apply)
        self.delete_button = self._button("delete", self._ask_delete)
        self.name = widgets.Text(description=text["name"], placeholder=text["placeholder"])
        scopes = [(text["stage"], STAGE), *([(text["run"], RUN)] if len(forms.stages) > 1 else [])]
        self.scope = widgets.Dropdown(description=text["of"], options=scopes)
        self.save_button = self._button("save", self._ask_save)
        self.question = widgets.HTML()
        self.yes = self._button("yes", self._confirm)
        self.no = self._button("no", lambda: self._ask("", lambda: None))
        self._asked = _row(self.question, self.yes, self.no)
        self.note = widgets.HTML()
        known = _row(self.menu, self.apply_button, self.delete_button)
        kept = _row(self.name, self.scope, self.save_button)
        help_text = widgets.HTML()
        help_text.value = f'<p class="mn-help">{markup.text(phrase("presets", "help", folder=presets.folder))}</p>'
        self._fold = Fold(text["title"], [help_text, known, kept, self._asked, self.note])
        self._fold.head.observe(lambda _: self.refresh(), names="shown")
        self.widget = self._fold.widget
        self._ask("", lambda: None)
        self.refresh()

    def refresh(self, chosen: str = "") -> None:
        """List the presets that there are; other pages add to them too."""
        names = self.presets.names()
        chosen = chosen or str(self.menu.value or "")
        self.menu.options = [(name, name) for name in names] or [(words("presets")["none"], "")]
        self.menu.value = chosen if chosen in names else self.menu.options[0][1]
        for button in (self.apply_button, self.delete_button):
            button.disabled = not names
        many = f" ({len(names)})" if names else ""
        self._fold.title = f"{words('presets')['title']}{many}"

    # ------------------------------------------------------------------ act
    def _apply(self) -> None:
        name = str(self.menu.value)
        changes = self._forms.apply_parameters(self.presets.read(name))
        head = phrase("presets", "applied", name=name, n=len(changes))
        rows = "".join(f"<li>{markup.text(change)}</li>" for change in changes)
        self._say(f"{markup.text(head)}{f'<ul>{rows}</ul>' if rows else ''}")

    def _ask_save(self) -> None:
        name = self.presets.path(str(self.name.value)).stem
        if name in self.presets.names():
            self._ask(phrase("presets", "replace", name=name), lambda: self._save(name))
        else:
            self._save(name)

    def _save(self, name: str) -> None:
        values = self._forms.changed_parameters(str(self.scope.value))
        path = self.presets.save(name, values)
        self.name.value = ""
        self.refresh(name)
        n = sum(len(items) for items in values.values())
        self._say(markup.text(phrase("presets", "saved", name=name, n=n, path=path)))

    def _ask_delete(self) -> None:
        name = str(self.menu.value)
        self._ask(phrase("presets", "really", name=name), lambda: self._delete(name))

    def _delete(self, name: str) -> None:
        self.presets.delete(name)
        self.refresh()
        self._say(markup.text(phrase("presets", "deleted", name=name)))

    # ------------------------------------------------------------------ say and ask
    def _button(self, key: str, action: Callable[[], None]) -> Any:
        text = words("presets")
        button = widgets.Button(description=text[key], tooltip=text.get(f"{key}_help", ""))
        button.add_class("mn-quiet")
        button.on_click(lambda _: self._try(action))
        return button

    def _say(self, html: str) -> None:
        self.note.value = f'<div class="mn-help" role="status">{html}</div>'

    def _ask(self, question: str, answer: Callable[[], None]) -> None:
        """Ask before something is lost; an empty question takes it back."""
        self._answer = answer
        self.question.value = f'<b role="alert">{markup.text(question)}</b>' if question else ""
        self._asked.layout.display = "" if question else "none"

    def _confirm(self) -> None:
        answer = self._answer
        self._ask("", lambda: None)
        self._try(answer)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (MiraError, OSError) as error:
            self.note.value = markup.error_box({"message": str(error)})


def _row(*children: Any) -> Any:
    row = widgets.HBox(list(children))
    row.add_class("mn-row")
    return row
