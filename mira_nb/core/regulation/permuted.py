"""Places of permuted correlations among the observed ones, and the p-values that follow from them."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mira_nb.typing import Floats, Ints


class OpenPeaks(NamedTuple):
    """In which cells each peak is open, and what the read depths explain of it, for compiled code.

    Attributes
    ----------
    indptr, indices
        Cells of each peak, as a sparse matrix by columns has them.
    by_depth
        (P, Q) products of peaks and basis.
    length
        (P,) length of what the basis leaves of a peak.
    """

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    by_depth: Floats
    length: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def places(
    residual: Floats,
    permuted: NDArray[np.int32],
    explained: Floats,
    peaks: Ints,
    strata: Ints,
    cells: OpenPeaks,
    ordered: Floats,
    bounds: Ints,
) -> Ints:
    """Return for each peak and permutation the place of the correlation among the ordered ones of its stratum.

    Strata have one place more than observed correlations: before the first, and after each.

    Parameters
    ----------
    residual
        (N,) of the gene.
    permuted
        (N, B) cell whose residual stands at each cell.
    explained
        (B, Q) products of the permuted residuals and the basis.
    cells
        In which cells each peak is open, and what the read depths explain of it.
    """
    indptr, indices, by_depth, length = cells
    n_permutations, n_basis = explained.shape
    out = np.zeros(len(peaks) * n_permutations, dtype=np.int64)
    total = np.zeros(n_permutations)
    filled = 0
    for k in range(len(peaks)):
        if strata[k] < 0:
            continue
        peak = peaks[k]
        total[:] = 0.0
        for at in range(indptr[peak], indptr[peak + 1]):
            row = permuted[indices[at]]
            for b in range(n_permutations):
                total[b] += residual[row[b]]
        low, high = bounds[strata[k]], bounds[strata[k] + 1]
        part = ordered[low:high]
        for b in range(n_permutations):
            value = total[b]
            for q in range(n_basis):
                value -= explained[b, q] * by_depth[peak, q]
            out[filled] = low + strata[k] + np.searchsorted(part, value / length[peak], side="right")
            filled += 1
    return out[:filled]


def tails(above: Ints, order: Ints, bounds: Ints, n_permutations: int) -> tuple[Floats, Ints]:
    """Turn counts of permuted correlations between the observed ones of their stratum into p-values."""
    pvalue = np.full(len(order), np.nan)
    n_permuted = np.zeros(len(order), dtype=np.int64)
    for stratum, (low, high) in enumerate(pairwise(bounds)):
        total = (high - low) * n_permutations
        # counts[k]: permuted correlations that exactly k of the stratum's observed ones do not exceed
        counts = above[low + stratum : high + stratum + 1]
        at_least = np.cumsum(counts[:0:-1])[::-1]
        pvalue[order[low:high]] = (1 + at_least) / (1 + total)
        n_permuted[order[low:high]] = total
    return pvalue, n_permuted
