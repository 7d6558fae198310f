"""What a parameter model's fields are: type, words, bounds, unit, help, default and the value in use.

One description feeds the function's docstring, the template's parameter cell, the form, the command line and the table
of parameters in the report.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

from mira_nb.keys import Source

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Kind = Literal["flag", "choice", "annotation", "list", "mapping", "text"]

_BOUNDS: Final = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
_COLUMNS: Final = frozenset({"obs", "numeric obs", "obsm"})
_SEVERAL: Final = (list, tuple, set, frozenset, Sequence)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a stage.

    Attributes
    ----------
    kind
        ``flag`` (yes or no), ``choice`` (one of ``words``), ``annotation`` (a column of the cells), ``list``
        (several values), ``mapping`` (named lists) or ``text`` (a number, a word or free text).
    words
        Words that are values by themselves, such as ``auto``.
    types
        Scalar types that are accepted besides the words (for a list: of its items).
    bounds
        ``ge``, ``gt``, ``le``, ``lt`` where the model sets them.
    optional
        Whether an empty entry means "none".
    changes
        Keys of the stage's values that it can change; None: all. One that only changes tables and figures has ``()``.
    choices_from
        What it names, so that a form can offer the names of the run and mark those that it does not have.
    title
        What a form calls it, from ``texts/parameters.yaml`` beside the model's module.
    """

    name: str
    help: str
    unit: str
    advanced: bool
    kind: Kind
    default: Any
    annotation: Any = None
    words: tuple[str, ...] = ()
    types: tuple[type, ...] = ()
    bounds: tuple[tuple[str, float], ...] = ()
    optional: bool = False
    changes: tuple[str, ...] | None = None
    choices_from: Source = ""
    title: str = ""

    @property
    def label(self) -> str:
        """The title; of a parameter without one (of a plug-in), the name as words."""
        return self.title or self.name.replace("_", " ")

    @property
    def type_text(self) -> str:
        """Readable type: ``int``, ``{'a', 'b'}`` for a Literal, alternatives joined by ``or``."""
        return type_text(self.annotation)

    @property
    def help_with_unit(self) -> str:
        """The help text with the unit in square brackets."""
        return f"{self.help} [{self.unit}]" if self.unit else self.help

    @property
    def expects(self) -> str:
        """What an entry must be, in a few words."""
        if self.kind == "mapping":
            return "one list per line, as name: item, item"
        several = self.kind == "list"
        noun = "names" if several else ""
        if self.choices_from:
            noun = "names" if several else "a name"
        elif int in self.types and float not in self.types:
            noun = "whole numbers" if several else "a whole number"
        elif float in self.types:
            noun = "numbers" if several else "a number"
        limits = dict(self.bounds)
        if noun and {"ge", "le"} <= set(limits):
            noun += f" from {format_value(limits.pop('ge'))} to {format_value(limits.pop('le'))}"
        if noun and limits:
            noun += ", " + " and ".join(_BOUNDS[name].format(format_value(value)) for name, value in limits.items())
        parts = [noun] if noun else []
        parts += [f"“{word}”" for word in self.words if self.kind != "choice"]
        text = " or ".join(parts)
        if self.kind == "list":
            text += ", separated by commas or lines"
        return text + ("; empty for none" if self.optional and text else "")


@dataclass
class _Found:
    """What the walk through an annotation has met so far."""

    words: list[str]
    types: list[type]
    bounds: dict[str, float]
    several: bool = False
    mapping: bool = False
    optional: bool = False


def describe(model: type[BaseModel]) -> tuple[Parameter, ...]:
    """Return the description of every field of a parameter model, in order."""
    titles = _titles(model.__module__)
    return tuple(_parameter(name, info, titles.get(name, "")) for name, info in model.model_fields.items())


@cache
def _titles(module: str) -> dict[str, str]:
    """Return the titles of parameters that stand beside a module; none where there is no such file."""
    import yaml

    path = Path(getattr(sys.modules.get(module), "__file__", None) or "").parent / "texts" / "parameters.yaml"
    if not path.is_file():
        return {}
    return {str(name): str(title) for name, title in yaml.safe_load(path.read_text(encoding="utf-8")).items()}


def _parameter(name: str, info: FieldInfo, title: str) -> Parameter:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    found = _Found([], [], {})
    _walk(info.annotation, found)
    for item in info.metadata:
        _bounds(item, found)
    kind: Kind = "text"
    if found.mapping:
        kind = "mapping"
    elif found.several:
        kind = "list"
    elif extra.get("choices_from") in _COLUMNS:
        kind = "annotation"
    elif found.types == [bool] and not found.words:
        kind = "flag"
    elif found.words and not found.types:
        kind = "choice"
    return Parameter(
        name=name,
        annotation=info.annotation,
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        advanced=bool(extra.get("advanced", False)),
        kind=kind,
        default=info.get_default(call_default_factory=True),
        words=tuple(found.words),
        types=tuple(found.types),
        bounds=tuple((key, found.bounds[key]) for key in _BOUNDS if key in found.bounds),
        optional=found.optional,
        changes=_keys(extra.get("changes")),
        choices_from=cast("Source", extra.get("choices_from") or ""),
        title=title,
    )


def _keys(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(str, value))


def _walk(annotation: Any, found: _Found) -> None:
    """Collect literal words, scalar types and bounds from a type annotation."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        found.optional = True
    elif origin is Annotated:
        _walk(args[0], found)
        for part in (part for item in args[1:] for part in getattr(item, "metadata", [item])):
            _bounds(part, found)
    elif origin is dict:
        found.mapping = True
    elif origin is Literal:
        found.words += [str(arg) for arg in args if arg is not None and str(arg) not in found.words]
        found.optional = found.optional or None in args
    elif origin in (Union, types.UnionType) or origin in _SEVERAL or annotation in _SEVERAL:
        found.several = found.several or origin in _SEVERAL or annotation in _SEVERAL
        for arg in args:
            _walk(arg, found)
    elif annotation in (bool, int, float, str) and annotation not in found.types:
        found.types.append(annotation)


def _bounds(item: Any, found: _Found) -> None:
    for name in _BOUNDS:
        value = getattr(item, name, None)
        if value is not None:
            found.bounds[name] = value


def type_text(annotation: Any) -> str:
    """Return a readable type: ``int``, ``{'a', 'b'}`` for a Literal, alternatives joined by ``or``."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return "{" + ", ".join(map(repr, arguments)) + "}"
    if annotation is types.NoneType:
        return "None"
    if get_origin(annotation) in {Union, types.UnionType}:
        return " or ".join(type_text(item) for item in arguments)
    return str(annotation) if arguments else getattr(annotation, "__name__", str(annotation))


def format_value(value: Any) -> str:
    """Write a value the way a person types it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dict):
        return "\n".join(f"{name}: {format_value(items)}" for name, items in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(format_value(item) for item in value)
    return str(value)
