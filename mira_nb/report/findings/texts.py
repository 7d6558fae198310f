"""Words and thresholds of the findings, from ``texts.yaml`` and ``thresholds.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

FOLDER: Final = Path(__file__).parent


@cache
def thresholds() -> dict[str, float]:
    """Return the thresholds by name."""
    found: dict[str, float] = yaml.safe_load((FOLDER / "thresholds.yaml").read_text(encoding="utf-8"))
    return found


@cache
def entries() -> dict[str, dict[str, str]]:
    """Return question, test and sentences of every finding, in the order of the first screen."""
    found: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / "texts.yaml").read_text(encoding="utf-8"))
    return found


def sentence(finding: str, key: str, words: Mapping[str, Any]) -> str:
    """Return a text of a finding with its values and the thresholds filled in, on one line."""
    text = _environment().from_string(entries()[finding][key]).render({**thresholds(), **words})
    return re.sub(r"\s+", " ", text).strip()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters |= {
        "n": lambda value: f"{int(value):,}",
        "fixed": lambda value, digits=2: f"{value:.{digits}f}",
        "percent": lambda value, digits=0: f"{value:.{digits}%}".replace("%", " %"),
        "listed": _listed,
        "plural": lambda value, one, many: one if value == 1 else many,
    }
    return environment


def _listed(names: Iterable[Any], limit: int = 8, between: str = ", ") -> str:
    items = [str(name) for name in names]
    rest = len(items) - limit
    return between.join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")
