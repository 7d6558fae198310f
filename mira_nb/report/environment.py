"""The two environments of the templates: pages of HTML, and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2

FOLDER: Final = Path(__file__).parent
"""Folder of the templates of pages."""


def page_environment() -> jinja2.Environment:
    """Return the environment of pages: templates beside this module, all values escaped, no name may be missing."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


@cache
def sentence_environment() -> jinja2.Environment:
    """Return the environment of sentences: plain text, filters for numbers and lists, no name may be missing."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters |= {
        "n": lambda value: f"{int(value):,}",
        "g": lambda value, digits=6: f"{value:.{digits}g}",
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
