"""Tables of cell annotations (``--obs``): barcodes in any column, any delimiter; joined to the cells by name."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError

from .cells import RULES, match_names, name_keys
from .evidence import TOLERATED
from .files import check_file, is_gzipped
from .messages import refusal
from .pairing import Log, examples

if TYPE_CHECKING:
    from mudata import MuData

_OPTION: Final = "--obs"
MISSING: Final = frozenset({"", "NA", "NaN", "nan", "<NA>", "#N/A"})
"""What tools write where there is no value."""
_KEYS: Final = frozenset({"barcode", "barcodes", "cell", "cells", "cell_id", "cellid", "cell_barcode", "cluster"})
_SAMPLE_COLUMNS: Final = ("sample_id", "library_id", "sample", "library")
_FEW: Final = 0.05
_MEASURED: Final = 10
"""Different values from which a column with commas holds measurements and not names."""
_MOST: Final = 0.5
_QUOTED: Final = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class _Match:
    """Rows of the cells and of the table that belong together, by which column and form of its names."""

    cells: np.ndarray
    rows: np.ndarray
    column: str
    form: str

    def of(self, cells: pd.Index) -> np.ndarray:
        """Return the row of every cell, -1 where there is none."""
        rows = np.full(len(cells), -1)
        rows[self.cells] = self.rows
        return rows


def read_cell_table(
    path: Path,
    *,
    option: str = _OPTION,
    rows: str = "one row per cell",
    columns: str = "a column of barcodes, and at least one annotation",
) -> pd.DataFrame:
    """Read a table as text: CSV, TSV or another delimiter (plain or gzipped), .xlsx, .parquet, or obs of an .h5ad.

    Row names become the first column, called ``row name``.

    Parameters
    ----------
    option
        Command line option of the table, for messages.
    rows, columns
        What its rows and columns are expected to be, for messages.

    Raises
    ------
    InputError
        For a missing file, or one that is no table.
    """
    path = Path(path)
    check_file(path, option=option)
    name = path.name.lower()
    try:
        if name.endswith((".xlsx", ".xlsm")):
            table = pd.read_excel(path, dtype=str, keep_default_na=False)
        elif name.endswith(".parquet"):
            table = pd.read_parquet(path).reset_index()
        elif name.endswith((".h5ad", ".h5ad.gz")):
            from .formats import open_store, read_obs

            with open_store(path, option=option) as file:
                table = read_obs(file).reset_index(names="row name")
        else:
            table = _read_text(path)
    except (ImportError, ValueError, OSError, EOFError, KeyError, csv.Error, zlib.error, zipfile.BadZipFile) as error:
        raise refusal(
            InputError,
            "table_unreadable",
            path=path,
            option=option,
            problem=(str(error) or type(error).__name__).splitlines()[0],
            rows=rows,
        ) from error
    if table.shape[1] < 2 or not len(table):
        raise refusal(
            InputError,
            "table_too_small",
            path=path,
            option=option,
            n_rows=len(table),
            n_columns=table.shape[1],
            wanted=columns,
        )
    table.columns = pd.Index([str(column).strip() or "row name" for column in table.columns])
    return table.loc[:, ~table.columns.duplicated()]


def _read_text(path: Path) -> pd.DataFrame:
    import gzip

    opener = gzip.open if is_gzipped(path) else open
    with opener(path, "rb") as handle:
        start = handle.read(1 << 12)
    wide = start[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    if b"\x00" in start and not wide:
        raise ValueError("it holds binary data")
    with opener(path, "rt", encoding="utf-16" if wide else "utf-8-sig", errors="replace", newline="") as handle:
        sample = handle.read(1 << 16)
        handle.seek(0)
        known = [line for line in sample.splitlines() if line.strip() and not line.startswith("##")]
        bare = [_QUOTED.sub("", line) for line in known[:20]]
        counts = {mark: sum(line.count(mark) for line in bare) for mark in "\t;,|"}
        delimiter = max(counts, key=lambda mark: counts[mark]) if any(counts.values()) else " "
        # comments stand before the header, whose first name may begin with '#'
        comments = itertools.takewhile(lambda line: line.startswith("#") and delimiter not in line, known)
        skipped = set(comments) if delimiter != " " else set()
        lines = (line for line in handle if not line.startswith("##") and line.rstrip("\r\n") not in skipped)
        rows = [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if any(row)]
    if not rows:
        raise ValueError("it is empty")
    header, body = rows[0], rows[1:]
    if body and len(header) == len(body[0]) - 1:  # write.table of R: no name above the row names
        _check_blanks(header, body, delimiter, quoted='"' in sample)
        header = ["row name", *header]
    bad = next((number for number, row in enumerate(body, 2) if len(row) != len(header)), None)
    if bad is not None:
        raise ValueError(f"row {bad} has {len(body[bad - 2])} fields, the header {len(header)}")
    return pd.DataFrame(body, columns=[name.removeprefix("\ufeff") for name in header], dtype=object)


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


def add_cell_table(data: MuData, path: Path, log: Log) -> None:
    """Write the columns of a table into ``data.obs``; what cannot be joined is counted.

    Cells are found by name in whichever column holds most of them: as they are, without what tools add before or after
    the barcode, or with the number of the sample. A table with one row per sample (that of cellranger aggr) is joined
    by the number after the barcodes.

    Raises
    ------
    InputError
        When (nearly) no cell is in the table, with names of both sides.
    """
    table = read_cell_table(path)
    rows = _sample_rows(table, data.obs_names)
    if rows is not None:
        names = table[next(name for name in _SAMPLE_COLUMNS if name in table.columns)]
        empty = names[~np.isin(np.arange(len(table)), rows)].tolist()
        log.add("table_of_samples", file=path.name, n_rows=len(table), empty=empty)
        _write(data, table, rows, "", path, log)
        return
    table = _one_row_per_cell(_with_header(table, path, data.obs_names), path, data.obs_names, log)
    found = _best(table, data.obs_names)
    n_cells = data.n_obs
    if found is None or len(found.cells) < min(_FEW * n_cells, 0.5 * len(table)):
        raise _no_match(path, table, data.obs_names, found)
    rows = found.of(data.obs_names)
    n_missing, n_other = n_cells - len(found.cells), len(table) - len(found.rows)
    log.add(
        "table_of_cells",
        file=path.name,
        n_named=len(found.cells),
        n_cells=n_cells,
        column=found.column,
        form=found.form,
        n_other=n_other,
        n_rows=len(table),
        n_missing=n_missing,
        missing=examples(data.obs_names[rows < 0]),
    )
    _report_other_columns(table, data.obs_names, found, path, log)
    _write(data, table, rows, found.column, path, log)


def _report_other_columns(table: pd.DataFrame, cells: pd.Index, found: _Match, path: Path, log: Log) -> None:
    """Warn where another column names the same cells in other rows."""
    rows = found.of(cells)
    against: dict[str, tuple[int, int]] = {}
    for other in _matches(table, cells, [found.form]):
        if other.column == found.column or len(other.cells) < _MOST * len(found.cells):
            continue
        theirs = other.of(cells)
        differ = np.flatnonzero((rows >= 0) & (theirs >= 0) & (rows != theirs))
        if len(differ) > TOLERATED * len(found.cells) and len(differ) > against.get(other.column, (0, 0))[0]:
            against[other.column] = (len(differ), int(differ[0]))
    for column, (n_differ, first) in against.items():
        log.add(
            "table_columns_contradict",
            file=path.name,
            option=_OPTION,
            column=found.column,
            other=column,
            n_differ=n_differ,
            n_named=len(found.cells),
            cell=str(cells[first]),
        )


def _with_header(table: pd.DataFrame, path: Path, cells: pd.Index) -> pd.DataFrame:
    """Refuse a table whose first row names a cell where the names of the columns belong."""
    named = table.columns.intersection(cells)
    if not len(named):
        return table
    raise refusal(InputError, "cell_table_without_header", path=path, option=_OPTION, cell=str(named[0]))


def _one_row_per_cell(table: pd.DataFrame, path: Path, cells: pd.Index, log: Log) -> pd.DataFrame:
    """Return the table with each cell once; equal rows of a cell are joined, rows that differ are refused."""
    inside = {name: float(table[name].astype(str).isin(cells).mean()) for name in table.columns}
    key = max(inside, key=lambda name: inside[name])
    again = table[key].duplicated()
    if inside[key] < _MOST or not again.any() or again.mean() > _MOST:
        return table
    shown = examples(table.loc[again, key].unique())
    kept = table.drop_duplicates()
    if kept[key].duplicated().any():
        example = kept.loc[kept[key].duplicated(keep=False), key].iloc[0]
        raise refusal(
            InputError, "cell_table_rows_differ", path=path, option=_OPTION, n_cells=int(again.sum()), cell=str(example)
        )
    log.add("cell_table_rows_repeated", file=path.name, option=_OPTION, n_rows=int(again.sum()), shown=shown)
    return kept.reset_index(drop=True)


def _sample_rows(table: pd.DataFrame, cells: pd.Index) -> np.ndarray | None:
    """Return the row of every cell's sample, when the table is one of samples in the order of aggr.

    Samples may have lost all their cells. Where those at the end have, a table of as many samples is known by its rows:
    each names another sample, and none names a cell.
    """
    named = [name for name in _SAMPLE_COLUMNS if name in table.columns]
    numbers = pd.Series(cells).str.extract(r"-(\d+)$", expand=False)
    if not named or numbers.isna().any():
        return None
    rows = numbers.astype(int).to_numpy() - 1
    if not 1 <= len(table) < len(cells) or rows.min() < 0 or rows.max() >= len(table):
        return None
    complete = rows.max() == len(table) - 1
    return rows if complete or (table[named[0]].is_unique and _best(table, cells) is None) else None


def _best(table: pd.DataFrame, cells: pd.Index) -> _Match | None:
    """Return the column and form that join most cells; the names as they are win where they join half of them.

    Of columns that join as many cells, the first of those on which most agree is taken.
    """
    named = list(_matches(table, cells, ["names"]))
    agree = [sum(np.array_equal(one.of(cells), other.of(cells)) for other in named) for one in named]
    order = sorted(range(len(named)), key=lambda i: (-len(named[i].cells), -agree[i]))
    best = named[order[0]] if named else None
    if best is not None and len(best.cells) >= _MOST * min(len(cells), len(table)):
        return best
    for found in _matches(table, cells, [rule for rule in RULES if rule not in {"names", "order"}]):
        if best is None or len(found.cells) > len(best.cells):
            best = found
    return best


def _matches(table: pd.DataFrame, cells: pd.Index, rules: Iterable[str]) -> Iterator[_Match]:
    # few columns of a wide table hold names, and all are looked at only where none holds them as they are
    holding = [column for column in table.columns if table[column].isin(cells).any()]
    for rule in rules:
        for column in holding if rule == "names" and holding else table.columns:
            values = table[column]
            if values.nunique() < 2 or pd.api.types.is_float_dtype(values):
                continue
            names = pd.Index(values.astype(str).str.strip())
            for left, right in name_keys(cells, names, rule):
                found = match_names(left, right, rule)
                if found is not None and len(found.rna):
                    yield _Match(found.rna, found.atac, str(column), rule)


def _write(data: MuData, table: pd.DataFrame, rows: np.ndarray, key: str, path: Path, log: Log) -> None:
    replaced: list[str] = []
    read: dict[str, list[str]] = {}
    for name in table.columns:
        if name in {key, "row name"}:
            continue
        values = table[name].to_numpy(dtype=object)[np.maximum(rows, 0)]
        values[rows < 0] = ""
        target = name.replace("/", "|")
        target = f"{target}_" if target in {"_index", "index"} else target
        if target in data.obs:
            replaced.append(target)
        data.obs[target], form = _typed(values)
        if form:
            read.setdefault(form, []).append(target)
    for form, names in read.items():
        log.add("table_numbers_read", file=path.name, option=_OPTION, columns=list(map(repr, names)), form=form)
    if replaced:
        log.add("annotations_replaced", file=path.name, columns=list(map(repr, replaced)))


_NUMBER: Final = r"(?i)[-+]?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[-+]?\d+)?|[-+]?inf"
_FORMS: Final = (
    ("thousands", r"[-+]?(?:0|[1-9]\d{0,2}(?:,\d{3})*)(?:\.\d+)?", (",", "")),
    ("decimal", r"[-+]?(?:0|[1-9]\d*)(?:,\d+)?", (",", ".")),
    ("percent", r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?\s*%", ("%", "")),
)
"""Other spellings of numbers: name, pattern of every value, what is replaced to read it."""


def _typed(values: np.ndarray) -> tuple[Any, str]:
    """Return numbers as numbers, where nothing is lost ('007' stays text), and everything else as labels.

    Numbers of another spelling are read as what they mean, and the name of the spelling is returned.
    """
    text = pd.Series([str(value).strip() for value in values], dtype=object)
    missing = text.isin(MISSING)
    filled = text[~missing]
    form = ""
    for name, pattern, (mark, other) in _FORMS:
        if name == "decimal" and filled.nunique() < _MEASURED:
            continue  # '1,2' may be the name of two clusters that were merged
        if filled.str.contains(mark, regex=False).any() and filled.str.fullmatch(pattern).all():
            filled, form = filled.str.replace(mark, other, regex=False).str.strip(), name
            break
    if len(filled) and filled.str.fullmatch(_NUMBER).all():
        numbers = pd.to_numeric(filled.reindex(text.index))
        whole = not missing.any() and filled.str.fullmatch(r"[-+]?\d{1,18}").all()
        return numbers.to_numpy(np.int64 if whole else np.float64), form
    return pd.Categorical(text.where(~missing, None)), ""


def _no_match(path: Path, table: pd.DataFrame, cells: pd.Index, found: _Match | None) -> InputError:
    column = found.column if found else str(table.columns[0])
    n = len(found.cells) if found else 0
    return refusal(
        InputError,
        "table_of_other_cells",
        path=path,
        n_named=n,
        n_cells=len(cells),
        column=column,
        values=examples(table[column]),
        cells=examples(cells),
    )
