"""Words and thresholds of the findings, from ``texts.yaml`` and ``thresholds.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from mira_nb.sentences import fill

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
    text = fill(entries()[finding][key], {**thresholds(), **words})
    return re.sub(r"\s+", " ", text).strip()
