"""The two environments of the templates: pages of HTML, and sentences."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import jinja2

from mira_nb.text import SENTENCE_FILTERS

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
    environment.filters |= SENTENCE_FILTERS
    return environment
