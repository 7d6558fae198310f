"""Tables of cell annotations (``--obs``): barcodes in any column, any delimiter; joined to the cells by name."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError

from .cells import RULES, match_names, name_keys
from .delimited import DELIMITER, read_delimited, typed
from .evidence import TOLERATED
from .files import check_file
from .labels import tidy_labels
from .messages import refusal
from .pairing import Log, examples

if TYPE_CHECKING:
    from mudata import MuData

_OPTION: Final = "--obs"
_SAMPLE_COLUMNS: Final = ("sample_id", "library_id", "sample", "library")
_FEW: Final = 0.05
_MOST: Final = 0.5


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
            table = pd.read_parquet(path)
            table = _as_text(table if isinstance(table.index, pd.RangeIndex) else table.reset_index())
        elif name.endswith((".h5ad", ".h5ad.gz")):
            from .formats import open_store, read_obs

            with open_store(path, option=option) as file:
                table = _as_text(read_obs(file).reset_index(names="row name"))
        else:
            table = read_delimited(path)
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


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with empty texts where there are no values."""
    return table.astype(object).where(table.notna(), "")


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
        log.add("table_of_samples", file=path.name, n_rows=len(table), empty=empty, column=_number_column(table) or "")
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
    if (column := _number_column(table)) is not None:
        places = np.argsort(table[column].astype(int).to_numpy())
        return places[rows] if rows.min() >= 0 and rows.max() < len(table) < len(cells) else None
    if not 1 <= len(table) < len(cells) or rows.min() < 0 or rows.max() >= len(table):
        return None
    complete = rows.max() == len(table) - 1
    return rows if complete or (table[named[0]].is_unique and _best(table, cells) is None) else None


def _number_column(table: pd.DataFrame) -> str | None:
    """Return the column that holds the numbers of the samples, 1 to n in any order, None without one."""
    wanted = {str(number) for number in range(1, len(table) + 1)}
    return next((str(name) for name in table.columns if set(table[name].astype(str).str.strip()) == wanted), None)


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
        column, form = typed(values, decimal_comma=table.attrs.get(DELIMITER) == ";")
        shown = tidy_labels(pd.DataFrame({target: column}, index=data.obs.index), path.name, log)
        data.obs[str(shown.columns[0])] = shown.iloc[:, 0]
        if form:
            read.setdefault(form, []).append(target)
    for form, names in read.items():
        log.add("table_numbers_read", file=path.name, option=_OPTION, columns=list(map(repr, names)), form=form)
    if replaced:
        log.add("annotations_replaced", file=path.name, columns=list(map(repr, replaced)))


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
