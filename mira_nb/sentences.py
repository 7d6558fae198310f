"""Sentences for readers, made from templates: jinja2 in YAML files beside the code that gives the values.

Code gives values by name; wording is the templates' alone. A name that a template uses and code does not give is an
error, so that no sentence is shown with a hole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .errors import MiraError
from .text import listed

if TYPE_CHECKING:
    import jinja2

Refusal = TypeVar("Refusal", bound=MiraError)

FILTERS: Final[dict[str, Callable[..., str]]] = {
    "n": lambda value: f"{int(value):,}",
    "g": lambda value, digits=6: f"{value:.{digits}g}",
    "fixed": lambda value, digits=2: f"{value:,.{digits}f}",
    "percent": lambda value, digits=0: f"{value:.{digits}%}",
    "listed": listed,
    "plural": lambda value, one, many: one if value == 1 else many,
    "repr": repr,
}
"""Filters of every template that makes sentences of values."""


def entries(package: str, file: str) -> dict[str, Any]:
    """Return what a YAML file of texts holds.

    Parameters
    ----------
    package
        Package whose folder ``texts`` holds the file.
    file
        Name of the file.
    """
    return parse(read(package, file))


@cache
def read(package: str, file: str) -> str:
    """Return a file of a package's folder ``texts``."""
    return resources.files(package).joinpath("texts", file).read_text(encoding="utf-8")


@cache
def parse(text: str) -> dict[str, Any]:
    """Return the entries of YAML; empty for an empty text."""
    import yaml

    return yaml.safe_load(text) or {}


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return a template filled with values; blanks and line ends are kept as they are."""
    return template(text).render(values)


def refuse(kind: type[Refusal], package: str, topic: str, code: str, values: Mapping[str, Any]) -> Refusal:
    """Return an error whose sentences are an entry of a package's ``texts/errors.yaml``, to be raised.

    Parameters
    ----------
    kind
        Class of the error.
    package
        Package whose folder ``texts`` holds ``errors.yaml``.
    topic, code
        First part of the error's code, and the entry: message, and where there are any, expected and remedy.
    values
        Values of the templates. A part that they leave empty is left out.
    """
    words = {name: fill(text, values) for name, text in entries(package, "errors.yaml")[code].items()}
    return kind(
        words["message"],
        expected=words.get("expected") or None,
        remedy=words.get("remedy") or None,
        code=f"{topic}.{code}",
        values=plain_values(values),
    )


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON has them."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """Return a value of JSON: numbers of numpy as Python's, collections as lists, everything else as text."""
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_plain(item) for item in value]
    return str(value)


def squeezed(text: str) -> str:
    """Join lines to one: a template may break its lines where it likes."""
    return re.sub(r"\s+", " ", text).strip()


@cache
def template(text: str) -> jinja2.Template:
    """Return the template of a text."""
    return environment().from_string(text)


@cache
def environment() -> jinja2.Environment:
    """Return the environment of sentences: plain text, filters for numbers and lists, no name may be missing."""
    import jinja2

    made = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)
    made.filters |= FILTERS
    return made
