"""Compiled updates of Adam."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

BLOCK = 1024
"""Entries updated at a time: four arrays of them fit the first cache."""


class Rates(NamedTuple):
    """Adam's constants at a step; ``rate`` and ``epsilon`` have the corrections of both moments drawn in."""

    beta1: float
    beta2: float
    rate: float
    epsilon: float


class Parameter(NamedTuple):
    """A parameter and its moments, arrays of one shape."""

    values: Any
    mean: Any
    square: Any


class Peaks(NamedTuple):
    """In which cells' means the embedding of each peak is, and with what weight: columns of a sparse matrix."""

    colptr: Any
    cells: Any
    weights: Any


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def update(first: int, last: int, parameter: Parameter, gradient: Any, rates: Rates) -> None:
    """Update entries ``first`` to ``last`` of a flat parameter and its moments."""
    values, mean, square = parameter.values, parameter.mean, parameter.square
    kind = values.dtype.type
    b1, b2, r, e = kind(1 - rates.beta1), kind(1 - rates.beta2), kind(rates.rate), kind(rates.epsilon)
    # three loops over few arrays that start at zero: what compilers vectorise
    for lo in range(first, last, BLOCK):
        hi = min(lo + BLOCK, last)
        x, g, m, v = values[lo:hi], gradient[lo:hi], mean[lo:hi], square[lo:hi]
        for i in range(hi - lo):
            m[i] += b1 * (g[i] - m[i])
        for i in range(hi - lo):
            v[i] += b2 * (g[i] * g[i] - v[i])
        for i in range(hi - lo):
            x[i] -= r * m[i] / (math.sqrt(v[i]) + e)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def update_embeddings(
    part: int, n_parts: int, upstream: Any, peaks: Peaks, embeddings: Parameter, rates: Rates
) -> None:
    """Update one part of the peaks' embeddings, (peaks, width), given the gradient in the cells' means.

    ``upstream`` is (cells, width). The gradient of a row exists only while the row is updated.
    """
    table, mean, square = embeddings.values, embeddings.mean, embeddings.square
    colptr, cells, weights = peaks.colptr, peaks.cells, peaks.weights
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
        update(0, width, Parameter(table[j], mean[j], square[j]), gradient, rates)
