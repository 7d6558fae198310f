"""Names that a user gave to topics: the report shows them beside the topics' numbers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

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


_NO_TEXT: Final = frozenset({"$schema", "data", "field", "type", "format", "url"})
"""Keys of a chart whose texts are no words: names of columns and formats, and packed numbers."""


def named_text(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which every topic stands with its name: ``topic e1 *`` becomes ``topic e1: Cell cycle *``."""
    return _pattern(names).sub(lambda found: f"{found[0]}: {names[found[0]]}", text) if names else text


def named_spec(node: Any, names: Mapping[str, str]) -> Any:
    """Return a chart, or packed rows, whose topics carry their names in axes, legends, menus, titles and expressions.

    Every text is changed alike, values, domains and what expressions compare them with, so that they still agree.
    """
    if not names:
        return node
    pattern, quoted = _pattern(names), {key: json.dumps(name, ensure_ascii=False)[1:-1] for key, name in names.items()}

    def change(item: Any) -> Any:
        if isinstance(item, str):
            known = quoted if '"' in item else names
            return pattern.sub(lambda found: f"{found[0]}: {known[found[0]]}", item)
        if isinstance(item, list):
            return [change(part) for part in item]
        if isinstance(item, dict):
            return {
                key: part if key in _NO_TEXT and isinstance(part, str) else change(part) for key, part in item.items()
            }
        return item

    return change(node)


def _pattern(names: Mapping[str, str]) -> re.Pattern[str]:
    """Match the topics that have names, where they stand as words of their own."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<![\w.:-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")
