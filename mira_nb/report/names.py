"""Names that a user gave to topics: the report shows them beside the topics' numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from mira_nb.text import from_spreadsheet_cell

FILE: Final = Path("explorer") / "topics.csv"
"""Table of a run folder with the columns topic, name."""
COLUMNS: Final = ("topic", "query", "match")
"""Columns of tables that name topics."""
_SET: Final = "topic "
"""What stands before a topic's name where it names a set of genes."""


def topic_names(root: Path) -> dict[str, str]:
    """Return the name of each topic that has one."""
    try:
        with (Path(root) / FILE).open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except FileNotFoundError:
        return {}
    return {
        from_spreadsheet_cell(row["topic"]): from_spreadsheet_cell(row["name"])
        for row in rows
        if row.get("topic") and row.get("name")
    }


def named(topic: str, names: Mapping[str, str]) -> str:
    """Return a topic with its name, ``e1: Cell cycle``, or as it is."""
    plain = topic.removeprefix(_SET)
    return f"{topic}: {names[plain]}" if plain in names else topic


def named_table(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of texts whose columns of topics carry the names."""
    columns = [column for column in COLUMNS if names and column in frame]
    return frame.assign(**{name: frame[name].map(lambda text: named(str(text), names)) for name in columns})
