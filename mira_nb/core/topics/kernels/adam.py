"""Compiled updates of Adam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

BLOCK = 1024
"""Entries updated at a time: four arrays of them fit the first cache."""


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def update(
    first: int, last: int, parameter: Any, gradient: Any, mean: Any, square: Any,
    beta1: float, beta2: float, rate: float, epsilon: float,
) -> None:  # fmt: skip
    """Update entries ``first`` to ``last`` of a flat parameter and its moments.

    ``rate`` and ``epsilon`` are those of Adam with the corrections of both moments drawn in.
    """
    kind = parameter.dtype.type
    b1, b2, r, e = kind(1 - beta1), kind(1 - beta2), kind(rate), kind(epsilon)
    # three loops over few arrays that start at zero: what compilers vectorise
    for lo in range(first, last, BLOCK):
        hi = min(lo + BLOCK, last)
        x, g, m, v = parameter[lo:hi], gradient[lo:hi], mean[lo:hi], square[lo:hi]
        for i in range(hi - lo):
            m[i] += b1 * (g[i] - m[i])
        for i in range(hi - lo):
            v[i] += b2 * (g[i] * g[i] - v[i])
        for i in range(hi - lo):
            x[i] -= r * m[i] / (math.sqrt(v[i]) + e)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def update_embeddings(
    part: int, n_parts: int, upstream: Any, colptr: Any, cells: Any, weights: Any, table: Any, mean: Any, square: Any,
    beta1: float, beta2: float, rate: float, epsilon: float,
) -> None:  # fmt: skip
    """Update one part of the peaks' embeddings, (peaks, width), given the gradient in the cells' means.

    ``upstream`` is (cells, width); ``colptr, cells, weights`` hold by peak in which cells' means an embedding is, and
    with what weight. The gradient of a row exists only while the row is updated.
    """
    n_peaks, width = table.shape
    gradient = np.empty(width, table.dtype)
    for j in range(n_peaks * part // n_parts, n_peaks * (part + 1) // n_parts):
        gradient[:] = 0
        for p in range(colptr[j], colptr[j + 1]):
            w = weights[p]
            if w != 0:
                source = upstream[cells[p]]
                for h in range(width):
                    gradient[h] += w * source[h]
        update(0, width, table[j], gradient, mean[j], square[j], beta1, beta2, rate, epsilon)
