"""What is said of an input: findings, which are reported, and refusals, which are raised. Each has a stable code.

The words are in ``texts/findings.yaml`` and ``texts/errors.yaml``; code names an entry and gives its values.

>>> finding("few_cells", n_cells=120, few_cells=200)  # doctest: +SKIP
>>> raise refusal(InputError, "subset_not_understood", text="cell_type")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mira_nb.sentences import Refusal, entries, fill, plain_values, refuse

FindingLevel = Literal["warning", "info"]

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
    entry = entries(__package__, "findings.yaml")[code]
    words = {name: fill(text, values) for name, text in entry.items()}
    return Finding(
        words["level"],  # type: ignore[arg-type]
        words["title"],
        words.get("cause", ""),
        words.get("remedy", ""),
        code=f"{TOPIC}.{code}",
        values=plain_values(values),
    )


def refusal(kind: type[Refusal], code: str, /, **values: Any) -> Refusal:
    """Return the error `code` of ``errors.yaml`` with its values filled in, to be raised."""
    return refuse(kind, __package__, TOPIC, code, values)
