"""Split-half reliability of a representation of counts: the fraction of its variation that resequencing would repeat.

The counts of every cell are split at random into two halves (binomial thinning, under which halves of Poisson counts
are independent given the cell), both are represented by the same model, and the coordinates are correlated. The
Spearman-Brown formula carries the correlation of halves over to the full counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.errors import InputError


def split_counts(counts: sparse.csr_matrix, rng: np.random.Generator) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Split counts (cells x features) into two halves that add up to them; every single count falls to either."""
    whole = sparse.csr_matrix(counts)
    first = whole.copy()
    drawn = rng.binomial(np.rint(whole.data).astype(np.int64), 0.5)
    first.data = drawn.astype(whole.data.dtype)
    second = whole.copy()
    second.data = whole.data - first.data
    first.eliminate_zeros()
    second.eliminate_zeros()
    return first, second


def split_half_reliability(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Compute the reliability of the coordinates of full counts from those of both halves.

    Parameters
    ----------
    first, second
        (cells, dimensions) coordinates of the halves, of cells that have counts in both.

    Returns
    -------
    float
        2 r / (1 + r) with r = tr cov(first, second) / sqrt(tr var(first) tr var(second)), between 0 and 1: the fraction
        of the variance that is not sequencing noise.
    """
    if first.shape != second.shape or len(first) < 2:
        raise InputError(
            f"halves of {len(first)} and {len(second)} cells", expected="the same cells, at least two, in both"
        )
    a, b = first - first.mean(0), second - second.mean(0)
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    if scale == 0:
        return 0.0
    r = max(0.0, float((a * b).sum()) / scale)
    return 2 * r / (1 + r)
