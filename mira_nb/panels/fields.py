"""What is typed into a form, read into plain values; mistakes as readable sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from mira_nb.stages.describe import Parameter, format_value
from mira_nb.stages.params import Params

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


def parse_text(spec: Parameter, text: str) -> Any:
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


def _scalar(spec: Parameter, text: str) -> Any:
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


def check(model: type[Params], specs: Sequence[Parameter], values: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
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


def _explain(item: Mapping[str, Any], spec: Parameter | None) -> str:
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
