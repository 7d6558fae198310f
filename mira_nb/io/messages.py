"""What is said of an input: findings, which are reported, and refusals, which are raised. Each has a stable code.

The words are in ``texts/findings.yaml`` and ``texts/errors.yaml``; code names an entry and gives its values.

>>> finding("few_cells", n_cells=120, few_cells=200)  # doctest: +SKIP
>>> raise refusal(InputError, "subset_not_understood", text="cell_type")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from mira_nb.errors import MiraError
from mira_nb.sentences import entries, fill

FindingLevel = Literal["warning", "info"]
Refusal = TypeVar("Refusal", bound=MiraError)

TOPIC: Final = "input"
"""First part of every code."""


@dataclass(frozen=True)
class Finding:
    """Something the reader must know about the input.

    Attributes
    ----------
    level
        ``warning`` or ``info``.
    title, cause, remedy
        What, why it matters, what to do.
    code
        Stable name for programs, ``input.NAME``.
    values
        What the sentences were made of, as plain values of JSON.
    """

    level: FindingLevel
    title: str
    cause: str = ""
    remedy: str = ""
    code: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def finding(code: str, /, **values: Any) -> Finding:
    """Return the finding `code` of ``findings.yaml`` with its values filled in."""
    words = _words("findings", code, values)
    return Finding(
        words["level"],  # type: ignore[arg-type]
        words["title"],
        words.get("cause", ""),
        words.get("remedy", ""),
        code=f"{TOPIC}.{code}",
        values=_plain_values(values),
    )


def refusal(kind: type[Refusal], code: str, /, **values: Any) -> Refusal:
    """Return the error `code` of ``errors.yaml`` with its values filled in, to be raised."""
    words = _words("errors", code, values)
    return kind(
        words["message"],
        expected=words.get("expected"),
        remedy=words.get("remedy"),
        code=f"{TOPIC}.{code}",
        values=_plain_values(values),
    )


def _words(kind: str, code: str, values: Mapping[str, Any]) -> dict[str, str]:
    entry = entries(__package__, f"{kind}.yaml")[code]
    return {name: fill(text, values) for name, text in entry.items()}


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
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
