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
    matrix: Any = given
    if sparse.issparse(given):
        csr: sparse.csr_matrix = sparse.csr_matrix(matrix)  # arrays become matrices
        if copy and np.shares_memory(csr.data, matrix.data):
            csr = csr.copy()
        csr.check_format(full_check=True)
        csr.sum_duplicates()
        if csr.dtype == object:
            csr = csr.astype(np.float64)
        if csr.dtype == bool:
            csr = csr.astype(np.float32)
        csr.eliminate_zeros()
        return csr
    if getattr(matrix, "ndim", 0) != 2:
        raise ValueError(f"the matrix has {getattr(matrix, 'ndim', 0)} dimensions instead of two")
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
