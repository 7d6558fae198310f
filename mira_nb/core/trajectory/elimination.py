"""Elimination of the states of a Markov chain without a single subtraction.

Grassmann, Taksar and Heyman's idea (Operations Research 33, 1107, 1985): the probability of leaving a state is summed
from the transitions that lead out of it, never taken as 1 minus the probability of staying. Every number is a sum of
products and quotients of non-negative ones, so that each keeps its digits, however small: a group of cells that the
walk leaves once in 1e100 steps is solved as exactly as any other, where an LU factorisation of I - Q rounds the
transition out of it to zero.
The chain is sparse; its states are eliminated in an order that keeps it so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.typing import Floats, Ints


def absorption(chain: sparse.csr_matrix, exits: Floats) -> Floats:
    """Return the probabilities of being absorbed by each end.

    Parameters
    ----------
    chain
        (n, n) probabilities or rates of steps between transient states; the diagonal does not matter.
    exits
        (n, Z) of steps into each end, in the same unit.

    Returns
    -------
    (n, Z), rows sum to 1; NaN where all transitions out of a state are below the smallest number.
    """
    order = elimination_order(chain)
    moved = sparse.csr_matrix(chain, dtype=np.float64)[order][:, order]
    moved.sort_indices()
    both = sparse.csr_matrix(moved + moved.T)
    both.sort_indices()
    rates = np.array(exits, dtype=np.float64)[order]
    column_start, rows, row_start, columns = _structure(both.indptr, both.indices)
    upper = _eliminate(moved.indptr, moved.indices, moved.data, rates, column_start, rows, row_start, columns)
    _solve_back(upper, rates, column_start, rows)
    out = np.empty_like(rates)
    out[order] = rates
    return out


def elimination_order(chain: sparse.csr_matrix) -> Ints:
    """Return an order of states that keeps the factors sparse: minimum degree on the undirected graph, by SuperLU."""
    from scipy.sparse.linalg import splu

    graph = sparse.csc_matrix(abs(chain) + abs(chain).T)
    graph.data = np.full(graph.nnz, -1.0)
    degree = np.diff(graph.indptr).astype(np.float64)
    system = sparse.csc_matrix(graph + sparse.diags(degree + 2.0))
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.argsort(factors.perm_c)


@njit(cache=True)
def _structure(indptr: NDArray, indices: NDArray) -> Any:  # pragma: no cover - compiled
    """Return the places of the factors' entries by column and row, from a symmetric pattern (elimination tree)."""
    n = len(indptr) - 1
    parent = np.full(n, -1, dtype=np.int64)
    mark = np.full(n, -1, dtype=np.int64)
    count = np.zeros(n, dtype=np.int64)
    in_row = np.zeros(n, dtype=np.int64)
    for i in range(n):
        mark[i] = i
        for place in range(indptr[i], indptr[i + 1]):
            k = indices[place]
            while k < i and mark[k] != i:
                if parent[k] == -1:
                    parent[k] = i
                count[k] += 1
                in_row[i] += 1
                mark[k] = i
                k = parent[k]
    column_start = np.zeros(n + 1, dtype=np.int64)
    row_start = np.zeros(n + 1, dtype=np.int64)
    for i in range(n):
        column_start[i + 1] = column_start[i] + count[i]
        row_start[i + 1] = row_start[i] + in_row[i]
    rows = np.empty(column_start[n], dtype=np.int32)
    columns = np.empty(row_start[n], dtype=np.int32)
    filled = column_start[:-1].copy()
    mark[:] = -1
    for i in range(n):
        mark[i] = i
        for place in range(indptr[i], indptr[i + 1]):
            k = indices[place]
            while k < i and mark[k] != i:
                rows[filled[k]] = i
                filled[k] += 1
                mark[k] = i
                k = parent[k]
    filled = row_start[:-1].copy()
    for k in range(n):
        for place in range(column_start[k], column_start[k + 1]):
            i = rows[place]
            columns[filled[i]] = k
            filled[i] += 1
    return column_start, rows, row_start, columns


@njit(cache=True)
def _eliminate(
    indptr: NDArray,
    indices: NDArray,
    data: NDArray,
    rates: NDArray,
    column_start: NDArray,
    rows: NDArray,
    row_start: NDArray,
    columns: NDArray,
) -> NDArray:  # pragma: no cover - compiled
    """Replace every state's steps by those of the walk watched only in later states.

    ``upper[column_start[k] : column_start[k + 1]]``, which is returned, holds the steps of state k to the later states
    ``rows[...]`` as fractions of all its transitions, and ``rates[k]`` becomes those into the ends.
    """
    n = len(indptr) - 1
    upper = np.zeros(len(rows))
    work = np.zeros(n)
    for i in range(n):
        for place in range(indptr[i], indptr[i + 1]):
            work[indices[place]] += data[place]
        for slot in range(row_start[i], row_start[i + 1]):
            k = columns[slot]
            step = work[k]
            work[k] = 0.0
            if step > 0.0:
                for place in range(column_start[k], column_start[k + 1]):
                    work[rows[place]] += step * upper[place]
                _add(rates, i, k, step)
        work[i] = 0.0  # a step back to the state itself does not leave it
        total = rates[i].sum()
        for place in range(column_start[i], column_start[i + 1]):
            total += work[rows[place]]
        # without a transition above the smallest number there is no answer: NaN
        for place in range(column_start[i], column_start[i + 1]):
            upper[place] = work[rows[place]] / total if total > 0.0 else np.nan
            work[rows[place]] = 0.0
        _divide(rates, i, total)
    return upper


@njit(cache=True)
def _solve_back(upper: NDArray, rates: NDArray, column_start: NDArray, rows: NDArray) -> None:  # pragma: no cover
    """Turn every state's steps into the ends into its probabilities of absorption, from the last state to the first."""
    for i in range(len(rates) - 1, -1, -1):
        for place in range(column_start[i], column_start[i + 1]):
            _add(rates, i, rows[place], upper[place])
        _divide(rates, i, rates[i].sum())


@njit(cache=True)
def _add(rates: NDArray, to: int, of: int, weight: float) -> None:  # pragma: no cover - compiled
    for end in range(rates.shape[1]):
        rates[to, end] += weight * rates[of, end]


@njit(cache=True)
def _divide(rates: NDArray, row: int, total: float) -> None:  # pragma: no cover - compiled
    for end in range(rates.shape[1]):
        rates[row, end] = rates[row, end] / total if total > 0.0 else np.nan
