"""Columns of tables: what a header says, its unit and its help, from ``columns.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

import yaml

from .environment import FOLDER


@dataclass(frozen=True)
class ColumnText:
    """What is said of a column.

    Attributes
    ----------
    header
        Words of the header; empty where the column's own name serves.
    unit, help
        Unit of the values, and one sentence on them.
    first
        Filter that a long table begins with, such as ``< 0.05``.
    """

    header: str = ""
    unit: str = ""
    help: str = ""
    first: str = ""

    def record(self) -> dict[str, str]:
        """Return what the page's script needs: everything that is not empty."""
        return {name: value for name, value in vars(self).items() if value}


def column_text(table: str, column: str) -> ColumnText:
    """Return what is said of a column of a table, by the names of both; nothing of a column that is not known."""
    own, shared = _texts()
    return _find(own.get(table, {}), column) or _find(shared, column) or ColumnText()


def _find(texts: Mapping[str, ColumnText], column: str) -> ColumnText | None:
    if column in texts:
        return texts[column]
    return next((text for name, text in texts.items() if "*" in name and fnmatchcase(column, name)), None)


@cache
def _texts() -> tuple[dict[str, dict[str, ColumnText]], dict[str, ColumnText]]:
    """Return the columns of each table, and those of all tables."""
    found = yaml.safe_load((FOLDER / "columns.yaml").read_text(encoding="utf-8"))
    own = {table: _read(columns) for table, columns in found["tables"].items()}
    return own, _read(found["shared"])


def _read(columns: Mapping[str, Mapping[str, str]]) -> dict[str, ColumnText]:
    return {str(name): ColumnText(**text) for name, text in columns.items()}
