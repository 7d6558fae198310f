"""Counts by column: one gene or peak is read from disk without the rest, whatever the number of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from filelock import FileLock
from scipy import sparse

from mira_nb.counts import PER_CELL, log_expression
from mira_nb.keys import ATAC, RNA
from mira_nb.run.store import RunStore
from mira_nb.typing import Floats

FILE: Final = Path("cache") / "columns.h5"


class Columns:
    """The columns of one assay's counts.

    Parameters
    ----------
    root
        The run folder.
    assay
        ``rna`` or ``atac``.

    Notes
    -----
    The checked input holds counts cell by cell. They are written once more, feature by feature, into ``cache``, for the
    input that is there: a column of 50,000 cells is then read in milliseconds.
    """

    def __init__(self, root: Path, assay: str) -> None:
        self.root, self.assay = Path(root), assay
        self.path = self.root / FILE.with_stem(f"{FILE.stem}-{assay}")

    def ready(self) -> bool:
        """Return whether the file belongs to the input that is there."""
        try:
            with h5py.File(self.path, "r") as file:
                return bool(file.attrs.get("input") == self._input())
        except OSError:
            return False

    def make(self) -> None:
        """Write the file, unless it is there; whoever comes second, from another page too, waits for the first."""
        if self.ready():
            return
        with FileLock(self.path.with_name(f".{self.path.stem}.lock")):
            if not self.ready():
                self._write()

    def _write(self) -> None:
        from anndata.io import read_elem

        with h5py.File(RunStore(self.root).input_path, "r") as source:
            rows: Any = read_elem(source[f"mod/{self.assay}/X"])
        totals = np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()
        columns = sparse.csc_matrix(rows)
        work = self.path.with_name(f".{self.path.name}.tmp")
        with h5py.File(work, "w") as file:
            file["data"], file["indices"], file["indptr"] = columns.data, columns.indices, columns.indptr
            file["totals"] = totals
            file.attrs["input"] = self._input()
        work.replace(self.path)

    def column(self, position: int) -> Floats:
        """Return the values of a column: log(1 + counts per 10,000) of a gene, 0 or 1 of a peak."""
        with h5py.File(self.path, "r") as file:
            start, end = (int(x) for x in file["indptr"][position : position + 2])
            totals = file["totals"][:]
            out = np.zeros(len(totals))
            out[file["indices"][start:end]] = file["data"][start:end]
        return np.log1p(out / np.maximum(totals, 1) * PER_CELL) if self.assay == RNA else out

    def rows(self, positions: Any) -> Any:
        """Return log-normalised expression, or peaks, of some cells as a sparse matrix in column order."""
        with h5py.File(self.path, "r") as file:
            totals = file["totals"][:]
            parts = [file[name][:] for name in ("data", "indices", "indptr")]
        matrix: Any = sparse.csc_matrix(tuple(parts), shape=(len(totals), len(parts[2]) - 1)).tocsr()[positions]
        return (matrix if self.assay == ATAC else log_expression(matrix, totals[positions])).tocsc()

    def _input(self) -> str:
        """Return what tells one checked input from another."""
        record = RunStore(self.root).read_record()
        return f"{record.get('input_key', '')} {(record.get('input_cache') or {}).get('sha256', '')}"
