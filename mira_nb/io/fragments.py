"""Reading of fragment files: chromosome, start, end, barcode and, where it is given, the number of read pairs.

The whole file is read once, in parts, so that neither an index nor bgzip is needed.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
import pandas as pd

from mira_nb.chromosomes import plain_name
from mira_nb.errors import ResourceError

from .files import check_file, is_gzipped
from .fragment_cells import FragmentCells
from .intervals import whole
from .messages import refusal

OPTION: Final = "--fragments"
_COLUMNS: Final = ("chrom", "start", "end", "barcode")
_ROWS: Final = 1_000_000
_ENOUGH: Final = 100_000
"""Rows from which a part of a file says what the file is."""
_MOST_LEFT_OUT: Final = 0.01
_BLOCK: Final = 1 << 18
_COMMENT: Final = re.compile(rb"^#.*(?:\n|$)", re.MULTILINE)
Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class LeftOut:
    """Rows of a fragment file that are no fragments, while it is read.

    Attributes
    ----------
    n_rows, n
        Rows read (lines that begin with ``#`` do not count), and those left out.
    row, shown
        Number of the first one left out, from 1, and what it holds.
    cut
        Whether the last row read has no barcode: a file that ends with it is incomplete.
    """

    n_rows: int = 0
    n: int = 0
    row: int = 0
    shown: str = ""
    cut: bool = False

    def values(self) -> dict[str, Any]:
        """Return what messages say of them."""
        return {"n_bad": self.n, "n_rows": self.n_rows, "row": self.row, "shown": self.shown, "cut": self.cut}


@dataclass(frozen=True)
class FragmentHead:
    """What the beginning of a fragment file says.

    Attributes
    ----------
    n_rows
        Rows that were looked at.
    chroms
        Chromosomes in them.
    n_cells
        Cells of the data with a fragment among them.
    rule
        How barcodes and names of cells were compared: ``names``, ``suffix``, ``prefix`` or ``prefix and suffix``.
    barcodes
        The first few barcodes.
    absent
        Samples of the data whose cells are not in the file -> their number of cells.
    unclear
        Samples of the data that the barcodes of the file do not tell apart.
    left_out
        Rows that are no fragments.
    """

    n_rows: int
    chroms: tuple[str, ...]
    n_cells: int
    rule: str
    barcodes: tuple[str, ...]
    absent: Mapping[str, int]
    unclear: tuple[str, ...]
    left_out: LeftOut


def read_fragments(
    path: Path, cells: Sequence[str], chroms: Sequence[str], *, rows: int = _ROWS, left_out: LeftOut | None = None
) -> Iterator[Part]:
    """Yield the fragments of a file in parts: numbers of chromosomes, starts, ends, numbers of cells; -1 for others.

    Parameters
    ----------
    cells
        Names of the cells; what tools add to barcodes may differ. Where it marks samples of which the file holds one,
        its fragments are those of this sample's cells alone.
    chroms
        Names of the chromosomes, in whatever spelling.
    rows
        Fragments per part.
    left_out
        Takes the rows that are no fragments (a start below 0, no base between start and end), of which a file may
        have few.

    Raises
    ------
    ResourceError
        For a missing or damaged file, and for many rows that are no fragments.
    """
    finder: FragmentCells | None = None
    for table in _tables(path, rows, LeftOut() if left_out is None else left_out):
        finder = finder or FragmentCells.of_file(cells, table["barcode"])
        start, end = (table[name].to_numpy(dtype=np.int64) for name in ("start", "end"))
        yield chromosome_numbers(table["chrom"], chroms), start, end, finder.find(table["barcode"])


def chromosome_numbers(names: pd.Series, chroms: Sequence[str]) -> np.ndarray:
    """Return the number of every chromosome, in whatever spelling; -1 for others."""
    numbers = {plain_name(str(name)): number for number, name in enumerate(chroms)}
    codes, distinct = pd.factorize(names.astype(str))
    return np.array([numbers.get(plain_name(name), -1) for name in distinct], dtype=np.int64)[codes]


def look_at_fragments(path: Path, cells: Sequence[str]) -> FragmentHead:
    """Read the first million rows and compare their barcodes with the cells."""
    left_out = LeftOut()
    with contextlib.closing(_tables(path, _ROWS, left_out)) as tables:
        table = next(tables)
    finder = FragmentCells.of_file(cells, table["barcode"])
    found = finder.find(table["barcode"])
    return FragmentHead(
        n_rows=left_out.n_rows,
        chroms=tuple(map(str, table["chrom"].unique())),
        n_cells=len(np.unique(found[found >= 0])),
        rule=finder.rule,
        barcodes=tuple(map(str, table["barcode"].iloc[:3])),
        absent=finder.absent,
        unclear=finder.unclear,
        left_out=left_out,
    )


def _tables(path: Path, rows: int, left_out: LeftOut) -> Generator[pd.DataFrame]:
    """Yield the fragments of a file in parts."""
    path = Path(path)
    check_file(path, option=OPTION, error=ResourceError)
    try:
        with _without_comments(path) as text, pd.read_csv(
            text, sep="\t", header=None, usecols=range(4), names=_COLUMNS, chunksize=rows,
            dtype={"chrom": str, "barcode": str}, keep_default_na=False, quoting=3,
        ) as reader:  # fmt: skip
            for table in reader:
                ended = len(table) < rows
                table = _fragments(table, left_out)
                if ended or left_out.n_rows >= _ENOUGH:
                    _check_few(path, left_out)
                if len(table):
                    yield table
    except pd.errors.EmptyDataError:
        pass  # said below
    except (EOFError, OSError, zlib.error) as error:
        raise refusal(
            ResourceError, "fragments_damaged", path=path, option=OPTION, n_rows=left_out.n_rows, detail=error
        ) from error
    except ValueError as error:
        detail = str(error).splitlines()[0]
        raise refusal(ResourceError, "fragments_not_read", path=path, option=OPTION, detail=detail) from error
    _check_few(path, left_out)
    if not left_out.n_rows:
        raise refusal(ResourceError, "fragments_none", path=path, option=OPTION)


class _Uncommented(io.RawIOBase):
    """The bytes of a stream without the lines that begin with ``#`` (barcodes of ArchR hold one: ``sample#BC-1``)."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._kept = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._kept:
            block = self._source.read(_BLOCK) + self._source.readline()
            if not block:
                return 0
            commented = block.startswith(b"#") or b"\n#" in block
            self._kept = memoryview(_COMMENT.sub(b"", block) if commented else block)
        n = min(len(target), len(self._kept))
        target[:n], self._kept = self._kept[:n], self._kept[n:]
        return n


@contextlib.contextmanager
def _without_comments(path: Path) -> Iterator[io.TextIOWrapper]:
    with gzip.open(path) if is_gzipped(path) else path.open("rb") as source:
        kept = io.BufferedReader(_Uncommented(cast("IO[bytes]", source)), _BLOCK)
        yield io.TextIOWrapper(kept, encoding="utf-8", newline="")


def _fragments(table: pd.DataFrame, left_out: LeftOut) -> pd.DataFrame:
    """Return the rows with whole positions (R writes 100000 as 1e+05), bases between them and a barcode."""
    positions = {name: table[name] for name in ("start", "end")}
    for name, column in positions.items():
        if not pd.api.types.is_integer_dtype(column):
            positions[name] = whole(pd.to_numeric(column, errors="coerce"))
    barcode = table["barcode"]
    valid = (positions["start"] >= 0) & (positions["end"] > positions["start"])
    good = valid.fillna(False).to_numpy(dtype=bool) & (barcode != "").to_numpy(dtype=bool)
    bad = np.flatnonzero(~good)
    if len(bad) and not left_out.n:
        left_out.row = left_out.n_rows + int(bad[0]) + 1
        left_out.shown = repr("\t".join(str(value) for value in table.iloc[bad[0]]).rstrip("\t"))
    left_out.cut = bool(len(table)) and barcode.iloc[-1] == "" and not good[-1]
    left_out.n += len(bad)
    left_out.n_rows += len(table)
    table = table.assign(**positions)
    table = table if good.all() else table[good]
    return table.astype({"start": np.int64, "end": np.int64})


def _check_few(path: Path, left_out: LeftOut) -> None:
    """Refuse a file with many rows that are no fragments."""
    if left_out.n > _MOST_LEFT_OUT * left_out.n_rows:
        raise refusal(ResourceError, "fragments_row", path=path, option=OPTION, **left_out.values())
