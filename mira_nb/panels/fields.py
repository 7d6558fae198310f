"""What a parameter model's fields look like to a person: kind of entry, words allowed, bounds, readable mistakes."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mira_nb.stages.params import Params

Kind = Literal["flag", "choice", "annotation", "list", "mapping", "text"]

_BOUNDS: Final = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
_SEVERAL: Final = (list, tuple, set, frozenset, Sequence)
_LIMITS: Final = frozenset({"greater_than_equal", "greater_than", "less_than_equal", "less_than"})
_MESSAGES: Final = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_too_short": "needs at least {min_length} character(s)",
    "too_short": "needs at least {min_length} value(s)",
    "too_long": "takes at most {max_length} value(s)",
}


@dataclass(frozen=True)
class FieldSpec:
    """One parameter as a form sees it.

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
    """

    name: str
    help: str
    unit: str
    advanced: bool
    kind: Kind
    default: Any
    words: tuple[str, ...] = ()
    types: tuple[type, ...] = ()
    bounds: tuple[tuple[str, float], ...] = ()
    optional: bool = False

    @property
    def label(self) -> str:
        """The name as words: ``n_topics`` becomes ``n topics``."""
        return self.name.replace("_", " ")

    @property
    def expects(self) -> str:
        """What an entry must be, in a few words."""
        if self.kind == "mapping":
            return "one list a line, as name: item, item"
        several = self.kind == "list"
        noun = "names" if several else ""
        if int in self.types and float not in self.types:
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


def field_specs(model: type[Params]) -> tuple[FieldSpec, ...]:
    """Describe every field of a parameter model, in order."""
    return tuple(_field_spec(name, info) for name, info in model.model_fields.items())


def _field_spec(name: str, info: FieldInfo) -> FieldSpec:
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
    elif extra.get("choices_from") == "obs":
        kind = "annotation"
    elif found.types == [bool] and not found.words:
        kind = "flag"
    elif found.words and not found.types:
        kind = "choice"
    return FieldSpec(
        name=name,
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        advanced=bool(extra.get("advanced", False)),
        kind=kind,
        default=info.get_default(call_default_factory=True),
        words=tuple(found.words),
        types=tuple(found.types),
        bounds=tuple((key, found.bounds[key]) for key in _BOUNDS if key in found.bounds),
        optional=found.optional,
    )


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


def parse_text(spec: FieldSpec, text: str) -> Any:
    """Turn an entry into a plain value; what cannot be read stays text, so that the model says what is wrong.

    Parameters
    ----------
    spec
        The field.
    text
        What was typed.
    """
    text = text.strip()
    by_case = {word.casefold(): word for word in spec.words}
    if text.casefold() in by_case:
        return by_case[text.casefold()]
    if not text and spec.optional:
        return None
    if spec.kind == "mapping":
        return _mapping(text)
    if spec.kind == "list":
        items = [item.strip() for item in text.replace("\n", ",").replace(";", ",").split(",")]
        return [_scalar(spec, item) for item in items if item]
    return _scalar(spec, text)


def _mapping(text: str) -> dict[str, list[str]] | str:
    """Read lines ``name: item, item``; a line without a name leaves the text as it is, for the model to refuse."""
    out: dict[str, list[str]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, colon, items = line.partition(":")
        if not colon or not name.strip():
            return text
        out[name.strip()] = [item.strip() for item in items.replace(";", ",").split(",") if item.strip()]
    return out


def _scalar(spec: FieldSpec, text: str) -> Any:
    plain = text.replace("\u2212", "-").replace("_", "") if {int, float} & set(spec.types) else text
    if int in spec.types:
        try:
            return int(plain)
        except ValueError:
            pass
        try:
            number = float(plain)
        except ValueError:
            return text
        return int(number) if number.is_integer() and float not in spec.types else number
    if float in spec.types:
        try:
            return float(plain)
        except ValueError:
            return text
    return text


def check(model: type[Params], specs: Sequence[FieldSpec], values: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """Validate plain values.

    Returns
    -------
    params
        The validated model, or None when something is wrong.
    mistakes
        One readable sentence per wrong field; the key ``""`` holds what concerns several fields.
    """
    try:
        return model.model_validate(dict(values)), {}
    except ValidationError as error:
        by_name = {spec.name: spec for spec in specs}
        mistakes: dict[str, str] = {}
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else ""
            message = _explain(item, by_name.get(name))
            # a union reports one mistake per member; a bound says more than a type does
            if name not in mistakes or item["type"] in _LIMITS:
                mistakes[name] = message
        return None, mistakes


def _explain(item: Mapping[str, Any], spec: FieldSpec | None) -> str:
    kind, given = str(item["type"]), item.get("input")
    if spec is not None and given == "" and kind not in {"string_too_short", "value_error"}:
        return f"is empty; expected {spec.expects or 'a value'}"
    if kind in _LIMITS:
        limits = {name: format_value(value) for name, value in item.get("ctx", {}).items()}
        return _MESSAGES[kind].format(**limits)
    if kind in {"value_error", "assertion_error"}:
        return str(item["msg"]).partition(", ")[2] or str(item["msg"])
    if spec is not None and spec.expects and (spec.words or kind in _MESSAGES):
        return f"“{format_value(given)}” does not fit; expected {spec.expects}"
    if kind in _MESSAGES:
        return _MESSAGES[kind].format(**item.get("ctx", {}))
    return str(item["msg"])
