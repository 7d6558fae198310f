"""Conversion of matrices in files to sparse rows; the rules for counts stand in :mod:`mira_nb.counts`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import sparse

_CHUNK_VALUES: Final = 20_000_000


def to_csr(given: Any, *, copy: bool = True) -> sparse.csr_matrix:
    """Convert a matrix (dense, CSC, COO, an HDF5 data set, bool, numbers as text) to CSR without stored zeros.

    Dense input is converted in blocks of rows, so that no second dense copy is made. ``copy=False`` allows changes to
    the given sparse matrix.

    Raises
    ------
    ValueError
        When values are not numbers, the matrix is not two-dimensional, or sparse indices are out of range.
    """
    return csr_and_repeats(given, copy=copy)[0]


def csr_and_repeats(given: Any, *, copy: bool = True) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Convert a matrix as :func:`to_csr` does, and return the columns that a row held twice, one per value added."""
    matrix: Any = given
    if sparse.issparse(given):
        csr: sparse.csr_matrix = sparse.csr_matrix(matrix)  # arrays become matrices
        if copy and np.shares_memory(csr.data, matrix.data):
            csr = csr.copy()
        csr.check_format(full_check=True)
        repeats = _repeats(csr)
        csr.sum_duplicates()
        if csr.dtype == object:
            csr = csr.astype(np.float64)
        if csr.dtype == bool:
            csr = csr.astype(np.float32)
        csr.eliminate_zeros()
        return csr, repeats
    if getattr(matrix, "ndim", 0) != 2:
        raise ValueError(f"the matrix has {getattr(matrix, 'ndim', 0)} dimensions instead of two")
    return _of_dense(matrix), np.zeros(0, dtype=np.int64)


def _repeats(csr: sparse.csr_matrix) -> np.ndarray:
    """Return the columns of the values of which a row has one already; sorts the columns of every row."""
    if csr.has_canonical_format:
        return np.zeros(0, dtype=np.int64)
    csr.sort_indices()
    same = csr.indices[1:] == csr.indices[:-1]
    ends = csr.indptr[1:-1]
    same[ends[(ends > 0) & (ends < csr.nnz)] - 1] = False  # the last of a row and the first of the next
    return csr.indices[1:][same]


def _of_dense(matrix: Any) -> sparse.csr_matrix:
    n_rows, n_columns = matrix.shape
    step = max(1, _CHUNK_VALUES // max(1, n_columns))
    blocks = [sparse.csr_matrix(_numeric(matrix[i : i + step])) for i in range(0, n_rows, step)]
    if not blocks:
        return sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)
    return blocks[0] if len(blocks) == 1 else sparse.vstack(blocks, format="csr")


def _numeric(block: Any) -> np.ndarray:
    values = np.asarray(block)
    if values.dtype == np.float16:  # unknown to sparse matrices
        return values.astype(np.float32)
    if values.dtype.kind in "iuf":
        return values
    return values.astype(np.float32 if values.dtype.kind == "b" else np.float64)
