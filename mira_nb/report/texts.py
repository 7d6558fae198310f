"""Sentences of the report that belong to no stage, from ``texts.yaml``."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from mira_nb.sentences import fill, squeezed

from .environment import FOLDER


@cache
def _sentences() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((FOLDER / "texts.yaml").read_text(encoding="utf-8"))
    return found


def phrase(key: str, /, **values: Any) -> str:
    """Return a sentence with its values filled in, on one line."""
    return squeezed(fill(_sentences()[key], values))
