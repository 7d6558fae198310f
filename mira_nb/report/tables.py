"""Tables for the page: CSV in, columns as compact JSON out, cut where they are too long and said so."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from mira_nb.text import from_spreadsheet_cell

from .columns import column_text
from .names import named_table


class Limit(NamedTuple):
    """Rows of a table, and bytes of it as JSON."""

    rows: int
    bytes: int


WHOLE: Final = Limit(40_000, 1_500_000)
"""A table within this limit is shown with all its rows; compressed, it takes a third of the bytes."""
CUT: Final = Limit(5_000, 450_000)
"""What is shown of a longer one."""
READ_LIMIT: Final = 100_000
"""Rows of a file that are read; of what comes after, only the number counts."""
GROUP_LIMIT: Final = 200
"""A first column with at most this many different values, each repeated, counts as the table's grouping."""

ColumnKind = Literal["integer", "number", "pvalue", "text"]
_PVALUE: Final = re.compile(r"^(?!(?:neg_|minus_)?log)(?:.*_)?(p|pval|p_?value|padj|fdr|q_?value)($|_)", re.IGNORECASE)
_SPECIAL: Final = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


@dataclass(frozen=True)
class TableView:
    """One table of the page; ``payload`` goes to the script, ``note`` says what was cut."""

    payload: dict[str, Any]
    n_rows: int
    n_shown: int
    note: str


def read_table(
    path: Path, *, whole: Limit = WHOLE, cut: Limit = CUT, names: Mapping[str, str] | None = None
) -> TableView:
    """Read a CSV as text (so that a gene called ``NA`` stays a name) and prepare it for the page.

    A table that is longer than `whole` is cut to the limit `cut`. `names` are those of topics, which then stand beside
    their numbers. Headers and help of columns go by the file's name.

    Raises
    ------
    OSError, ValueError
        When the file is missing or not a CSV.
    """
    frame, n_rows = _read_text(path)
    frame = named_table(frame, names or {})
    shown, rule, payload = frame, "", {}
    if n_rows <= whole.rows:
        payload = _payload(frame)
    if n_rows > whole.rows or _weight(payload) > whole.bytes:
        shown, rule, payload = _shortened(frame, cut)
    for column in payload["columns"]:
        column.update(column_text(path.stem, column["name"]).record())
    note = ""
    if len(shown) != n_rows:
        payload["total"] = n_rows
        note = f"Shown: {len(shown):,} of {n_rows:,} rows ({rule})."
    return TableView(payload=payload, n_rows=n_rows, n_shown=len(shown), note=note)


def _shortened(frame: pd.DataFrame, limit: Limit) -> tuple[pd.DataFrame, str, dict[str, Any]]:
    """Return the rows of a table that stay within a limit, the rule they were chosen by, and their payload."""
    shown, rule = cut_rows(frame, limit.rows)
    payload = _payload(shown)
    size = _weight(payload)
    while size > limit.bytes and len(shown) > 50:
        shown, rule = cut_rows(frame, max(50, int(len(shown) * 0.95 * limit.bytes / size)))
        payload = _payload(shown)
        size = _weight(payload)
    return shown, rule, payload


def cut_rows(frame: pd.DataFrame, limit: int) -> tuple[pd.DataFrame, str]:
    """Return the first rows of a long table: of every group of its first column where it has one, else of the whole."""
    if len(frame) <= limit:
        return frame, ""
    if frame.shape[1]:
        first = frame.columns[0]
        groups = frame.iloc[:, 0]
        n_groups = groups.nunique(dropna=False)
        if 1 < n_groups <= min(GROUP_LIMIT, limit // 5) and n_groups * 5 <= len(frame):
            # the largest equal number of rows per group that still fits
            sizes = groups.value_counts(dropna=False).to_numpy()
            each = max(n for n in _row_counts(limit, n_groups, int(sizes.max())) if np.minimum(sizes, n).sum() <= limit)
            rank = frame.groupby(groups.to_numpy(), sort=False, dropna=False).cumcount().to_numpy()
            return frame[rank < each], f"the first {each:,} of every {first}"
    return frame.iloc[:limit], "the first ones of the file"


def _row_counts(limit: int, n_groups: int, largest: int) -> range:
    return range(limit // n_groups, min(limit, largest) + 1)


def column_kind(name: str, text: pd.Series) -> tuple[ColumnKind, np.ndarray | None]:
    """Return the kind of a text column and its numbers (None for text)."""
    filled = text[text != ""]
    if filled.empty:
        return "text", None
    numbers = pd.to_numeric(filled.map(lambda value: _SPECIAL.get(value.casefold(), value)), errors="coerce")
    bad = numbers.isna() & ~filled.str.casefold().eq("nan")
    if bad.any() or filled.str.casefold().isin(list(_SPECIAL)).all():
        return "text", None
    values = np.full(len(text), np.nan)
    values[(text != "").to_numpy()] = numbers.to_numpy(dtype=np.float64)
    if _PVALUE.search(name):
        return "pvalue", values
    finite = values[np.isfinite(values)]
    whole = bool(finite.size) and bool(np.all(finite == np.rint(finite))) and not filled.str.contains(r"[.eE]").any()
    return ("integer" if whole else "number"), values


def _read_text(path: Path, most: int = READ_LIMIT) -> tuple[pd.DataFrame, int]:
    """Return the first rows of a CSV as text, at most `most`, and the number of all its rows."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        header = [from_spreadsheet_cell(name) for name in next(reader, [])]
        filled = (row for row in reader if row)
        rows = [[from_spreadsheet_cell(value) for value in row] for row in islice(filled, most)]
        n_rows = len(rows) + sum(1 for _ in filled)
    wrong = next((i for i, row in enumerate(rows, start=2) if len(row) != len(header)), None)
    if wrong is not None:
        raise ValueError(f"row {wrong} of {path.name} has another number of columns than its header")
    return pd.DataFrame(rows, columns=header, dtype="object"), n_rows


def _payload(frame: pd.DataFrame) -> dict[str, Any]:
    columns = []
    for i, name in enumerate(map(str, frame.columns)):
        text = frame.iloc[:, i].astype("object")
        kind, values = column_kind(name, text)
        column: dict[str, Any] = {"name": name, "kind": kind}
        if values is None:
            column.update(_text_values(text))
        else:
            column["values"] = [_number(value, kind) for value in values]
        columns.append(column)
    return {"n": len(frame), "columns": columns}


def table_payload(frame: pd.DataFrame) -> dict[str, Any]:
    """Return all rows of a table in memory for the page's script; missing values become empty."""
    return _payload(frame.astype(object).where(frame.notna(), "").astype(str))


def _text_values(text: pd.Series) -> dict[str, Any]:
    """Encode a text column: repeated values once, rows by their number."""
    levels = list(dict.fromkeys(text))
    if len(levels) * 2 > len(text):
        return {"values": list(text)}
    position = {value: i for i, value in enumerate(levels)}
    return {"levels": levels, "codes": [position[value] for value in text]}


def _number(value: float, kind: ColumnKind) -> float | int | str | None:
    if np.isnan(value):
        return None
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    if kind == "integer":
        return int(value)
    short = float(f"{value:.4g}" if kind == "pvalue" else f"{value:.6g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def _weight(payload: Mapping[str, Any]) -> int:
    """Estimate the bytes of the payload as JSON."""
    total = 0
    for column in payload["columns"]:
        for part in ("values", "levels", "codes"):
            total += sum(len(str(value)) + (3 if isinstance(value, str) else 1) for value in column.get(part, ()))
    return total
