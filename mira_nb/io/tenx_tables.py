"""Tables beside a matrix.mtx: barcodes, features and peaks, as Cell Ranger writes them and as R writes them again."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError

from .files import check_file, is_gzipped
from .intervals import is_whole
from .messages import refusal

KNOWN_TYPES: Final = (
    "Gene Expression", "Peaks", "Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture", "Custom",
    "Antigen Capture", "VDJ", "VDJ-T", "VDJ-B",
)  # fmt: skip
"""Types of features of Cell Ranger."""
_HEADERS: Final = {
    "barcode", "barcodes", "cell", "cells", "id", "gene_id", "gene", "feature", "features", "name", "x", "v1",
}  # fmt: skip
"""First words of tables that begin with the names of their columns, which Cell Ranger's do not."""
_COLUMNS: Final = ("id", "name", "feature_type", "chrom", "start", "end")
_COMMENTS: Final = ("#", "track ", "browser ")
_FIELD: Final = re.compile(r'"[^"]*"|[^\s"]+')
_BETWEEN_QUOTES: Final = r"^(?:\"(?P<double>.*)\"|'(?P<single>.*)')$"
_MISSING: Final = ("", "NA")


def read_barcodes(path: Path, option: str) -> pd.Series:
    """Return the cells of ``barcodes.tsv``.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    return _without_row_numbers(_table(path, option))[0]


def read_features(path: Path, option: str) -> pd.DataFrame:
    """Return the features of ``features.tsv``, ``genes.tsv`` or ``peaks.bed``.

    Returns
    -------
    DataFrame
        Columns id, name, feature_type and interval, as far as they are there.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    table = _table(path, option)
    if "peaks.bed" in path.name:
        return _peaks(table, path, option)
    table = _without_row_numbers(table)
    names = list(_COLUMNS[: table.shape[1]])
    if table.shape[1] > 1 and table[1].isin(KNOWN_TYPES).all():  # no symbols: identifier and type
        names = ["id", "feature_type", *(f"column_{number}" for number in range(2, table.shape[1]))]
    table = table.iloc[:, : len(names)].set_axis(names, axis=1)
    if "end" in table:
        given = (table["chrom"] != "") & (table["start"] != "") & (table["end"] != "")
        table["interval"] = (table["chrom"] + ":" + table["start"] + "-" + table["end"]).where(given, "")
    return table.drop(columns=["chrom", "start", "end"], errors="ignore")


def damaged(path: Path, option: str, error: BaseException | str) -> InputError:
    """Return the refusal of a file that cannot be read."""
    detail = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    if isinstance(error, EOFError | zlib.error):
        detail = f"the gzip file is truncated or damaged ({detail})"
    return refusal(InputError, "tenx_damaged", path=path, option=option, n_bytes=path.stat().st_size, detail=detail)


def _peaks(table: pd.DataFrame, path: Path, option: str) -> pd.DataFrame:
    """Return peaks by their names; a first row without positions names the columns."""
    table = _without_row_numbers(table)
    if table.shape[1] >= 3 and len(table) > 1 and not is_whole(table[1].iloc[0]) and is_whole(table[1].iloc[1]):
        table = table.iloc[1:].reset_index(drop=True)
    if table.shape[1] == 1:  # names such as chr1:100-200
        names = table[0]
    elif table.shape[1] == 2:
        raise damaged(path, option, "its rows have 2 fields instead of chromosome, start and end")
    else:
        names = table[0] + ":" + table[1] + "-" + table[2]
    return pd.DataFrame({"id": names, "name": names, "feature_type": "Peaks"})


def _table(path: Path, option: str) -> pd.DataFrame:
    """Read a table without its header and comments; fields that a row lacks are empty, quotes are taken off."""
    check_file(path, option=option)
    try:
        with gzip.open(path) if is_gzipped(path) else path.open("rb") as handle:
            text = handle.read().decode("utf-8-sig")
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise damaged(path, option, error) from error
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    first = next((number for number, line in enumerate(lines) if not line.startswith(_COMMENTS)), len(lines))
    rows = _fields(lines[first:])
    if rows and rows[0][0].strip("#\"' ").lower() in _HEADERS:
        rows = rows[1:]
    if not rows:
        raise damaged(path, option, "it has no rows")
    width = max(map(len, rows))
    table = pd.DataFrame([row + [""] * (width - len(row)) for row in rows], dtype=object)
    return table.apply(_unquoted)


def _fields(lines: list[str]) -> list[list[str]]:
    """Split lines at tabs, or at blanks where text stands in quotes (R's ``write.table`` with its defaults)."""
    if not any("\t" in line for line in lines) and all(line.startswith('"') for line in lines):
        return [_FIELD.findall(line) for line in lines]
    return [line.split("\t") for line in lines]


def _unquoted(column: pd.Series) -> pd.Series:
    """Take the quotes off a column in which every value that is there has them."""
    filled = ~column.isin(_MISSING)
    if not filled.any() or not str(column[filled].iloc[0]).startswith(('"', "'")):
        return column
    parts = column[filled].str.extract(_BETWEEN_QUOTES)
    inner = parts["double"].where(parts["double"].notna(), parts["single"])
    if inner.isna().any():
        return column
    out = column.copy()
    out[filled] = inner.str.replace('""', '"', regex=False).str.replace('\\"', '"', regex=False)
    return out


def _without_row_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out a first column that numbers the rows, as R writes it, where more columns follow."""
    if table.shape[1] < 2:
        return table
    first = table[0].to_numpy(dtype=object)
    for start in (0, 1):
        if first[0] == str(start) and (first == np.arange(start, start + len(first)).astype(str)).all():
            return table.iloc[:, 1:].set_axis(range(table.shape[1] - 1), axis=1)
    return table
