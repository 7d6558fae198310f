"""The environment of the templates of pages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

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
