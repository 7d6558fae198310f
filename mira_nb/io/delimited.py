"""Tables of text whose delimiter and encoding nobody has said, and their columns as numbers or labels."""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from .files import is_gzipped

DELIMITER: Final = "delimiter"
"""Key of a table's ``attrs``: the delimiter that was found."""
MISSING: Final = frozenset({"", "NA", "NaN", "nan", "<NA>", "#N/A", "N/A", "n/a", "null", "NULL", "#NV", "#NA", "NaT"})
"""What tools write where there is no value."""
_KEYS: Final = frozenset({"barcode", "barcodes", "cell", "cells", "cell_id", "cellid", "cell_barcode", "cluster"})
_MARKS: Final = "\t;,|"
_LINE_ENDS: Final = re.compile(r"\r\n|\n|\r")
_SEEN: Final = 200
_QUOTED: Final = re.compile(r'"[^"]*"')
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?')
_MEASURED: Final = 10
"""Different values from which a column with commas holds measurements and not names."""
_EXACT: Final = 15
"""Digits of whole numbers that floating-point numbers keep."""


def read_delimited(path: Path) -> pd.DataFrame:
    """Read a table as text: plain or gzipped, UTF-8, UTF-16 or Windows-1252, of any delimiter.

    Row names become the first column, called ``row name``; the delimiter stands in ``attrs``.

    Raises
    ------
    ValueError
        When the file is no table.
    """
    lines = [line for line in _LINE_ENDS.split(_text(path)) if line.strip() and not line.startswith("##")]
    if not lines:
        raise ValueError("it is empty")
    marked = _SEPARATOR_LINE.fullmatch(lines[0].strip())  # Excel is told the delimiter so
    lines = lines[1:] if marked else lines
    delimiter = marked[1] if marked else _delimiter([line for line in lines[:_SEEN] if not line.startswith("#")])
    # comments stand before the header, whose first name may begin with '#'
    if delimiter != " ":
        lines = list(itertools.dropwhile(lambda line: line.startswith("#") and delimiter not in line, lines))
    rows = [row for row in _fields(lines, delimiter) if any(row)]
    if not rows:
        raise ValueError("it is empty")
    header, body = rows[0], rows[1:]
    if body and len(header) == len(body[0]) - 1:
        if not any(row[-1] for row in body):  # a delimiter at the end of every row
            body = [row[:-1] for row in body]
        else:  # write.table of R: no name above the row names
            _check_blanks(header, body, delimiter, quoted=any('"' in line for line in lines[:_SEEN]))
            header = ["row name", *header]
    bad = next((number for number, row in enumerate(body, 2) if len(row) != len(header)), None)
    if bad is not None:
        raise ValueError(f"row {bad} has {len(body[bad - 2])} fields, the header {len(header)}")
    table = pd.DataFrame(body, columns=header, dtype=object)
    table.attrs[DELIMITER] = delimiter
    return table


def _text(path: Path) -> str:
    content = path.read_bytes()
    if is_gzipped(path):
        content = gzip.decompress(content)
    if content[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return content.decode("utf-16")
    if b"\x00" in content[: 1 << 12]:
        raise ValueError("it holds binary data")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _fields(lines: list[str], delimiter: str) -> list[list[str]]:
    return list(csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True))


def _delimiter(lines: list[str]) -> str:
    """Return the mark that splits the header and gives most rows the same number of fields; blanks without one."""
    best, chosen = (0.0, 0), " "
    bare = [_QUOTED.sub("", line) for line in lines]
    for mark in _MARKS:
        header, *widths = (line.count(mark) + 1 for line in bare)
        common, n_rows = Counter(widths).most_common(1)[0] if widths else (header, 1)
        fits = common > 1 and header in {common, common - 1}
        score = ((n_rows / max(len(widths), 1) if fits else 0.0) * (0.5 if header < 2 else 1.0), header - 1)
        if score > best:
            best, chosen = score, mark
    return chosen


def _check_blanks(header: list[str], body: list[list[str]], delimiter: str, *, quoted: bool) -> None:
    """Refuse a table whose fields are separated by blanks where values seem to hold blanks, too.

    One field more than the header has is a row name in R's files; above names of cells or clusters it is a second word.
    """
    numbered = [row[0] for row in body[:50]] == [str(number) for number in range(1, len(body[:50]) + 1)]
    if delimiter == " " and not quoted and header[0].lower() in _KEYS and not numbered:
        raise ValueError(
            f"its fields are separated by blanks, and values seem to hold blanks: {' '.join(body[0])!r} below "
            f"{' '.join(header)!r}; write it with tabs, or with quotes"
        )


_NUMBER: Final = r"(?i)[-+]?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[-+]?\d+)?|[-+]?inf"
_CODES: Final = r"(?i)\d+e\d+"
"""Names of plates and wells that would be read as numbers with an exponent."""
_FORMS: Final = {
    "thousands": (r"[-+]?(?:0|[1-9]\d{0,2}(?:,\d{3})*)(?:\.\d+)?", ",", ""),
    "decimal": (r"[-+]?(?:0|[1-9]\d*)(?:,\d+)?", ",", "."),
    "percent": (r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?\s*%", "%", ""),
}
"""Other spellings of numbers: pattern of every value, and what is replaced to read it."""


def typed(values: np.ndarray, *, decimal_comma: bool = False) -> tuple[Any, str]:
    """Return numbers as numbers, where nothing is lost ('007' and '1.10' beside '1.1' stay), and the rest as labels.

    Parameters
    ----------
    values
        Texts.
    decimal_comma
        Whether a comma stands before decimals, as in tables that are separated by semicolons; else between thousands,
        where it can.

    Returns
    -------
    tuple
        The values, and the name of another spelling of numbers that was read ('' for the usual one).
    """
    text = pd.Series([str(value).strip() for value in values], dtype=object)
    missing = text.isin(MISSING)
    filled = text[~missing]
    labels = pd.Categorical(text.where(~missing, None))
    spelling = _spelling(filled, decimal_comma)
    if spelling:
        _, mark, other = _FORMS[spelling]
        filled = filled.str.replace(mark, other, regex=False).str.strip()
    if not len(filled) or not filled.str.fullmatch(_NUMBER).all() or filled.str.fullmatch(_CODES).all():
        return labels, ""
    whole = bool(filled.str.fullmatch(r"[-+]?\d{1,18}").all())
    exact = whole and not missing.any()
    numbers = pd.to_numeric(filled.astype(np.int64) if exact else filled.astype(np.float64))
    rounded = whole and not exact and int(filled.str.len().max()) > _EXACT
    if rounded or numbers.nunique() < filled.str.replace(r"^-(?=[0.]+$)", "", regex=True).nunique():
        return labels, ""
    return numbers.reindex(text.index).to_numpy(np.int64 if exact else np.float64), spelling


def _spelling(filled: pd.Series, decimal_comma: bool) -> str:
    """Return the name of the spelling that all values follow and some show; '' for the usual one."""
    for name in ("decimal", "percent") if decimal_comma else _FORMS:
        pattern, mark, _ = _FORMS[name]
        # '1,2' may be the name of two clusters that were merged
        if name == "decimal" and filled.nunique() < _MEASURED:
            continue
        if filled.str.contains(mark, regex=False).any() and filled.str.fullmatch(pattern).all():
            return name
    return ""
