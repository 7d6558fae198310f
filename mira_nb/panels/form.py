"""A form made from a stage's parameter model: one entry per parameter, checked while typing."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from mira_nb.errors import ParameterError
from mira_nb.explorer.run_names import RunNames
from mira_nb.stages.describe import Parameter, format_value
from mira_nb.stages.params import Params

from .fields import check, parse_text
from .fold import Fold
from .name_entry import NameEntry
from .texts import phrase, words

NONE_CHOICE = "(none)"


class Field:
    """One parameter's entry with unit, help and the mistake in it."""

    def __init__(
        self, spec: Parameter, *, annotations: Sequence[str], names: RunNames | None, on_change: Callable[[], None]
    ) -> None:
        self.spec, self._names = spec, names
        self.entry = _entry(spec, annotations, names)
        self.entry.add_class("mn-entry")
        if spec.kind == "list" or (spec.kind == "text" and str in spec.types):
            self.entry.add_class("mn-wide")  # names need more room than numbers
        self.note = widgets.HTML()
        self.note.add_class("mn-note")
        unit = widgets.HTML(f'<span class="mn-unit">{html.escape(spec.unit)}</span>' if spec.unit else "")
        self.widget = widgets.VBox([widgets.HBox([self.entry, unit]), self.note])
        self.widget.add_class("mn-field")
        self.show("")
        self.entry.observe(lambda _: on_change(), names="value")

    @property
    def value(self) -> Any:
        """Plain value of the entry (text where it cannot be read)."""
        raw = self.entry.value
        return raw if self.spec.kind in {"flag", "choice", "annotation"} else parse_text(self.spec, raw)

    @value.setter
    def value(self, value: Any) -> None:
        if self.spec.kind == "flag":
            self.entry.value = bool(value)
        elif self.spec.kind in {"choice", "annotation"}:
            known = [choice for _, choice in self.entry.options]
            if value not in known:
                self.entry.options = [*self.entry.options, (f"{value} (not in this data set)", value)]
            self.entry.value = value
        else:
            self.entry.value = format_value(value)

    def wrong_names(self) -> dict[str, list[str]]:
        """Return the names in the entry that the run does not have, each with the nearest ones."""
        value = self.value
        if self._names is None or not self.spec.choices_from or value is None or value in self.spec.words:
            return {}
        return self._names.wrong(self.spec.choices_from, value if isinstance(value, list) else [value])

    def take(self, cell: str) -> None:
        """Put in a cell that was picked on the map, beside others where there can be several; an empty name is none."""
        if cell and self.spec.kind == "list":
            self.value = list(dict.fromkeys([*self.value, cell]))
        elif cell:
            self.value = cell
        self.entry.returned = True

    def show(self, mistake: str) -> None:
        """Show the help text, with the mistake above it."""
        spec = self.spec
        parts = [f'<div class="mn-mistake" role="alert">{html.escape(mistake)}</div>'] if mistake else []
        doubts = {} if mistake else self.wrong_names()
        parts += [f'<div class="mn-doubt" role="status">{html.escape(_doubt(*item))}</div>' for item in doubts.items()]
        if isinstance(self.entry, NameEntry):
            self.entry.wrong = list(doubts)
        default = format_value(spec.default) or "none"
        changed = self.value != _plain(spec.default)
        mark = '<b class="mn-changed">Changed.</b> ' if changed else ""
        expects = f" Takes {html.escape(spec.expects)}." if spec.expects else ""
        parts.append(
            f'<div class="mn-help">{html.escape(spec.help)}{expects} '
            f'{mark}<span class="mn-default">Default: {html.escape(_short(default))}.</span></div>'
        )
        self.note.value = "".join(parts)
        (self.widget.add_class if mistake else self.widget.remove_class)("mn-wrong")


class ParamsForm:
    """Widgets for a parameter model.

    Parameters
    ----------
    model
        The stage's parameter model.
    values
        Values to begin with (defaults where a name is missing or its value is no longer valid).
    annotations
        Names of the cell annotations that parameters with ``choices_from="obs"`` offer.
    names
        Names of the run that parameters with other ``choices_from`` offer, and by which entries are checked.
    on_change
        Called after every change, also of a wrong entry.

    Attributes
    ----------
    widget
        The form.
    mistakes
        Parameter name to what is wrong with its entry; empty when all is well.
    """

    def __init__(
        self,
        model: type[Params],
        *,
        values: Mapping[str, Any] | None = None,
        annotations: Sequence[str] = (),
        names: RunNames | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.model = model
        self.specs = model.describe()
        self.mistakes: dict[str, str] = {}
        self._params: Any = None
        self.fold: Fold | None = None
        self._quiet = True
        self._on_change = on_change or (lambda: None)
        self.fields = {
            spec.name: Field(spec, annotations=annotations, names=names, on_change=self._changed) for spec in self.specs
        }
        self.reset_button = widgets.Button(description=words("stage")["reset"], tooltip=words("stage")["reset_help"])
        self.reset_button.add_class("mn-quiet")
        self.reset_button.on_click(lambda _: self.reset())
        self.general = widgets.HTML()
        self.widget = widgets.VBox(self._rows())
        self.widget.add_class("mn-form")
        self._quiet = False
        self.set_values(values or {})

    def _rows(self) -> list[Any]:
        plain = [self.fields[spec.name].widget for spec in self.specs if not spec.advanced]
        hidden = [self.fields[spec.name].widget for spec in self.specs if spec.advanced]
        grid = widgets.VBox(plain)
        grid.add_class("mn-fields")
        rows: list[Any] = [grid]
        if hidden:
            box = widgets.VBox(hidden)
            box.add_class("mn-fields")
            self.fold = Fold("", [box])
            rows.append(self.fold.widget)
        if not self.specs:
            rows = [widgets.HTML('<p class="mn-help">This stage has no parameters.</p>')]
        return [*rows, self.general, self.reset_button] if self.specs else rows

    def offer_map(self, pick: Callable[[str], None] | None) -> None:
        """Offer to pick cells on the map: `pick` is called with the parameter; None: there is no map."""
        for field in self.fields.values():
            if isinstance(field.entry, NameEntry) and field.spec.choices_from == "cells":
                field.entry.pick = pick or (lambda _: None)
                field.entry.pickable = pick is not None

    # ------------------------------------------------------------------ values
    @property
    def valid(self) -> bool:
        """Whether every entry is valid."""
        return not self.mistakes

    @property
    def changed(self) -> list[str]:
        """Names of the parameters that differ from their defaults (invalid entries included)."""
        return [spec.name for spec in self.specs if self.fields[spec.name].value != _plain(spec.default)]

    def raw(self) -> dict[str, Any]:
        """Return the entries as they stand, valid or not."""
        return {name: field.value for name, field in self.fields.items()}

    def values(self) -> dict[str, Any]:
        """Return all parameters as plain JSON values.

        Raises
        ------
        ParameterError
            Names every wrong entry and what is wrong with it.
        """
        if self.mistakes:
            wrong = [f"{name or 'the parameters together'}: {text}" for name, text in self.mistakes.items()]
            raise ParameterError("; ".join(wrong), remedy="correct the marked entries")
        return self._params.model_dump(mode="json")

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; names that the model does not know are ignored, missing ones get their default."""
        self._quiet = True
        try:
            for spec in self.specs:
                self.fields[spec.name].value = _plain(values.get(spec.name, spec.default))
        finally:
            self._quiet = False
        self._changed()

    def reset(self) -> None:
        """Set every parameter back to its default."""
        self.set_values({})

    def _show_changes(self) -> None:
        """Show at the fold and on the reset button how many parameters were changed."""
        changed = set(self.changed)
        hidden = {spec.name for spec in self.specs if spec.advanced}
        if self.fold is not None:
            inside = f", {len(changed & hidden)} changed" if changed & hidden else ""
            self.fold.title = f"{_noun(len(hidden), 'advanced parameter')}{inside}"
        many = f" ({len(changed)} changed)" if changed else ""
        self.reset_button.description = f"Reset to defaults{many}"

    def _changed(self) -> None:
        if self._quiet:
            return
        self._params, self.mistakes = check(self.model, self.specs, self.raw())
        for name, field in self.fields.items():
            field.show(self.mistakes.get(name, ""))
        self._show_changes()
        general = self.mistakes.get("", "")
        self.general.value = f'<div class="mn-mistake" role="alert">{html.escape(general)}</div>' if general else ""
        self._on_change()


def _noun(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _entry(spec: Parameter, annotations: Sequence[str], names: RunNames | None) -> Any:
    """Return the widget in which the parameter is entered."""
    common: dict[str, Any] = {"description": spec.label, "style": {"description_width": "13em"}}
    if spec.kind == "flag":
        return widgets.Checkbox(value=bool(spec.default), indent=False, description=spec.label)
    if spec.kind == "choice":
        options: list[tuple[str, Any]] = [(word, word) for word in spec.words]
        if spec.optional:
            options.insert(0, (NONE_CHOICE, None))
        return widgets.Dropdown(options=options, value=spec.default, **common)
    if spec.kind == "annotation":
        empty = None if spec.optional else ""
        annotations = names.known(spec.choices_from) if names else annotations
        options = [(NONE_CHOICE, empty), *((name, name) for name in annotations)]
        options += [(word, word) for word in spec.words if word not in annotations]
        if spec.default not in [value for _, value in options]:
            options.append((str(spec.default), spec.default))
        return widgets.Dropdown(options=options, value=spec.default, **common)
    text = format_value(spec.default)
    if names is not None and spec.choices_from:
        return NameEntry(spec, names, value=text)
    if spec.kind == "list":
        return widgets.Textarea(value=text, rows=2, continuous_update=True, **common)
    return widgets.Text(value=text, continuous_update=True, **common)


def _doubt(name: str, nearest: list[str]) -> str:
    """Return that the run does not have a name, and which names are like it."""
    return phrase("stage", "unknown_name", name=name, nearest=nearest)


def _plain(value: Any) -> Any:
    """Return a default as plain JSON values."""
    return [_plain(item) for item in value] if isinstance(value, tuple | set | frozenset) else value


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
