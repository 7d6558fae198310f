"""Intervals of BED files, and of tables with a header that are given in their place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from mira_nb.errors import ResourceError
from mira_nb.keys import CHROM, END, START

from .files import find_separator, read_lines, split_row
from .intervals import is_whole, whole_number
from .messages import refusal
from .peaks import find_column, from_columns, has_coordinate_columns

FACTOR_COLUMNS: Final = ("name", "factor", "tf", "target", "tf_name", "motif_name", "motif", "group_name", "id")
"""Columns that name the factor of a site, in the order in which they are preferred."""
_NAME_PLACE: Final = 3
_EMPTY: Final = ("", ".")


def read_bed(path: Path, *, option: str, named: bool = False) -> pd.DataFrame:
    """Read the intervals of a BED file, plain or gzipped: chrom, start, end and, when they are named, name.

    A first line that names columns of chromosomes, starts and ends says where they stand; starts that count from 1
    beside a column of widths, as in R, are moved by one.

    Raises
    ------
    ResourceError
        For a row that is no interval, or has no name.
    """
    first = ""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(read_lines(path, option=option), start=1):
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith(("track", "browser")):
            continue
        if not lines and _names_columns(text):
            first = text
        elif not text.startswith("#"):
            lines.append((number, text))
    frame = _by_place([split_row(text, "\t" if "\t" in text else None) for _, text in lines])
    # a comment may hold the same words
    if first and (not first.startswith("#") or frame[START].iloc[:1].isna().any()):
        frame = _by_name([text for _, text in lines], first)
    for place, part in enumerate(frame[[CHROM, START, END]].isna().any(axis=1)):
        number, text = lines[place]
        if part:
            raise refusal(ResourceError, "bed_malformed", path=path, option=option, line=number, content=text[:60])
        if named and not frame["name"].iloc[place]:
            raise refusal(ResourceError, "bed_without_names", path=path, option=option, line=number)
    frame = frame.astype({START: int, END: int})
    return frame if named else frame.drop(columns="name")


def _columns(header: str) -> list[str]:
    return split_row(header.lstrip("# "), find_separator(header))


def _names_columns(text: str) -> bool:
    """Return whether a line names columns of chromosomes, starts and ends, each once."""
    names = _columns(text)
    alone = len(set(names)) == len(names) and not any(map(is_whole, names))
    return alone and has_coordinate_columns(pd.DataFrame(columns=names))


def _by_place(rows: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return the first four columns; NA where a row is no interval."""
    out: list[tuple[str | None, int | None, int | None, str]] = []
    for fields in rows:
        name = fields[_NAME_PLACE] if len(fields) > _NAME_PLACE else ""
        good = len(fields) >= _NAME_PLACE and is_whole(fields[1]) and is_whole(fields[2])
        start, end = (whole_number(fields[1]), whole_number(fields[2])) if good else (0, 0)
        out.append((fields[0], start, end, name) if end > start else (None, None, None, name))
    return pd.DataFrame(out, columns=[CHROM, START, END, "name"], dtype=object)


def _by_name(lines: Sequence[str], first: str) -> pd.DataFrame:
    """Return the columns that the first line names; R's write.table gives its names of rows no column."""
    header, separator = _columns(first), find_separator(first)
    rows = [split_row(text, separator) for text in lines]
    shift = int(bool(rows) and all(len(fields) == len(header) + 1 for fields in rows))
    n = len(header)
    cells = [[*fields[shift : shift + n], *[""] * (n + shift - len(fields))] for fields in rows]
    table = pd.DataFrame(cells, columns=header, dtype=object)
    _, frame, _ = from_columns(table)
    labels = [label for label in (find_column(table, (name,)) for name in FACTOR_COLUMNS) if label]
    # peak callers fill their column of names with dots, beside one of factors that was added
    label = next((label for label in labels if not table[label].isin(_EMPTY).all()), labels[0] if labels else None)
    place = header.index(label) if label else _NAME_PLACE
    return frame.assign(name=[fields[place] if n > place else "" for fields in cells])
