"""Compiled mean of peak embeddings (the deep averaging network's first layer).

It walks the peaks in order, so that the table of embeddings streams through the cache once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def to_columns(n_features: int, indptr: Any, features: Any, counts: Any, colptr: Any, cells: Any, values: Any) -> None:
    """Turn a batch stored by rows into one stored by columns (``colptr`` has n_features + 1 zeros on entry)."""
    for p in range(features.shape[0]):
        colptr[features[p] + 1] += 1
    for j in range(n_features):
        colptr[j + 1] += colptr[j]
    place = colptr[:-1].copy()
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = features[p]
            cells[place[j]] = i
            values[place[j]] = counts[p]
            place[j] += 1


@njit(cache=True, nogil=True, fastmath=True)
def add_embeddings(part: int, n_parts: int, table: Any, colptr: Any, cells: Any, weights: Any, out: Any) -> None:
    """Sum of ``weights`` times table rows of one part of the peaks, ``out`` (parts, cells, width)."""
    n_features, width = table.shape
    mine = out[part]
    mine[:] = 0
    for j in range(n_features * part // n_parts, n_features * (part + 1) // n_parts):
        row = table[j]
        for p in range(colptr[j], colptr[j + 1]):
            w = weights[p]
            if w != 0:
                target = mine[cells[p]]
                for h in range(width):
                    target[h] += w * row[h]


@njit(cache=True, nogil=True)
def mean_weights(n_cells: int, cells: Any, kept: Any, weights: Any) -> None:
    """Fill in weight 1 / |Omega_i| of every kept open peak and 0 of every dropped one."""
    size = np.zeros(n_cells, np.int64)
    for p in range(cells.shape[0]):
        size[cells[p]] += kept[p]
    for p in range(cells.shape[0]):
        weights[p] = kept[p] / max(size[cells[p]], 1)
