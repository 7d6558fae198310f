"""Arrays of a file or store of which a part was lost: their readers give zeros in its place without a word."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from scipy import sparse

from mira_nb.errors import InputError

from .messages import refusal

_SPARSE: Final = ("data", "indices", "indptr")
_EXPECTED: Final = 100
"""Non-zero values that a block must be expected to have, by its rows and columns elsewhere, to count as lost."""

_REPEATS: Final = 10
"""Values of the first feature in excess from which its cells were not written so."""


def lost_chunks(array: Any) -> tuple[int, int]:
    """Return how many chunks of a Zarr array or an HDF5 data set are not stored, and how many there should be.

    Zarr stores no chunk that holds nothing but zeros, so one that is not there need not be lost; HDF5 stores each.
    """
    if hasattr(array, "nchunks_initialized"):
        return array.nchunks - array.nchunks_initialized, array.nchunks
    if not getattr(array, "chunks", None) or not hasattr(array.id, "get_num_chunks"):
        return 0, 1
    n_chunks = math.prod(-(-n // size) for n, size in zip(array.shape, array.chunks, strict=True))
    return n_chunks - array.id.get_num_chunks(), n_chunks


def check_sparse(group: Any, *, source: str) -> None:
    """Refuse a sparse matrix of a file of which a part is not stored.

    What stands in its place is read as zeros: counts of the first feature for the indices, no counts for the data.
    Only indptr may begin with a chunk of zeros, where the first cells have no counts.

    Raises
    ------
    InputError
        With the name of the array.
    """
    n_values = group["indices"].shape[0]
    for name in _SPARSE:
        n_lost, n_chunks = lost_chunks(group[name])
        if not n_lost or (name == "indptr" and (not n_values or _begins_with_zeros(group[name], n_lost))):
            continue
        raise _lost(group[name], n_lost, n_chunks, source)


def check_repeats(group: Any, columns: np.ndarray, *, source: str) -> None:
    """Refuse a matrix whose rows hold the first feature again and again, and no other twice: its indices were lost.

    So they are, too, where lost row pointers join the rows before them to one.

    Parameters
    ----------
    columns
        Columns that a row holds more than once, one per repeated value.
    """
    if not len(columns):
        return
    for name in _SPARSE:
        n_lost, n_chunks = lost_chunks(group[name])
        if n_lost:
            raise _lost(group[name], n_lost, n_chunks, source)
    if len(columns) >= _REPEATS and not columns.any():
        raise refusal(InputError, "indices_lost", source=source, array=_name(group["indices"]), n_values=len(columns))


def check_dense(array: Any, values: sparse.csr_matrix, *, source: str) -> None:
    """Refuse a dense matrix of a Zarr store with a chunk that is not stored though its cells and features have counts.

    Parameters
    ----------
    values
        What was read.
    """
    chunks: Any = getattr(array, "chunks", None)
    if chunks is None or len(chunks) != 2 or not hasattr(array, "nchunks_initialized") or not values.nnz:
        return
    n_rows, n_columns = (-(-n // size) for n, size in zip(array.shape, chunks, strict=True))
    if n_rows * n_columns == 1:
        return
    rows = np.repeat(np.arange(values.shape[0]) // chunks[0], np.diff(values.indptr))
    blocks = np.bincount(rows * n_columns + values.indices // chunks[1], minlength=n_rows * n_columns)
    blocks = blocks.reshape(n_rows, n_columns)
    expected = blocks.sum(axis=1, keepdims=True) * (blocks.sum(axis=0, keepdims=True) / values.nnz)
    n_empty = int(((blocks == 0) & (expected > _EXPECTED)).sum())
    if n_empty and lost_chunks(array)[0]:
        raise _lost(array, n_empty, n_rows * n_columns, source)


def check_table(group: Any, *, source: str) -> None:
    """Refuse a table whose names, or the codes of all whose labels, are not stored.

    Codes of the first label alone are not stored either, but then no other label is there.
    """
    index = group[str(group.attrs["_index"])] if "_index" in group.attrs else None
    if index is not None and hasattr(index, "shape"):
        n_lost, n_chunks = lost_chunks(index)
        if n_lost:
            raise _lost(index, n_lost, n_chunks, source)
    for name in group:
        column = group[name]
        if not hasattr(column, "keys") or "codes" not in column or "categories" not in column:
            continue
        n_lost, n_chunks = lost_chunks(column["codes"])
        if n_lost and n_lost == n_chunks and getattr(column["categories"], "shape", (0,))[0] > 1:
            raise _lost(column["codes"], n_lost, n_chunks, source)


def _begins_with_zeros(array: Any, n_chunks: int) -> bool:
    """Return whether as many chunks at the beginning are nothing but zeros, and no other value is zero."""
    n_zeros = n_chunks * array.chunks[0]
    values = np.asarray(array[:])
    return n_zeros < len(values) and not values[:n_zeros].any() and bool((np.diff(values) >= 0).all())


def _lost(array: Any, n_lost: int, n_chunks: int, source: str) -> InputError:
    return refusal(InputError, "chunks_lost", source=source, array=_name(array), n_lost=n_lost, n_chunks=n_chunks)


def _name(array: Any) -> str:
    return str(array.name).strip("/")
