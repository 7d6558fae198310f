"""Families of motifs by the similarity of their matrices: factors of a family cannot be told apart by their sites."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mira_nb.typing import Floats


def matrix_similarity(first: Floats, second: Floats) -> float:
    """Return the similarity of two count matrices (4 x width), at most 1: the best over all offsets and both strands.

    Letter frequencies minus 1/4 are multiplied where the motifs overlap and divided by the norms of the whole matrices,
    so that what hangs over counts against the pair.
    """
    one, two = (np.asarray(counts, dtype=np.float64) for counts in (first, second))
    one, two = one / one.sum(axis=0) - 0.25, two / two.sum(axis=0) - 0.25
    scale = float(np.linalg.norm(one) * np.linalg.norm(two))
    if scale == 0:
        return 0.0
    best = 0.0
    for other in (two, two[::-1, ::-1]):  # the reverse complement: A <-> T, C <-> G, read backwards
        products = one.T @ other
        best = max(best, *(np.trace(products, offset=k) for k in range(1 - len(products), products.shape[1])))
    return float(best) / scale


def matrix_families(counts: Sequence[Floats], *, min_similarity: float = 0.7) -> NDArray[np.int64]:
    """Group motifs by average linkage of the similarity of their matrices; numbered by first member.

    Parameters
    ----------
    counts
        Matrices 4 x width, rows A, C, G, T.
    min_similarity
        Smallest mean similarity of members, see :func:`matrix_similarity`.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    n = len(counts)
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    distance = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            distance[i, j] = distance[j, i] = max(1.0 - matrix_similarity(counts[i], counts[j]), 0.0)
    labels = fcluster(linkage(squareform(distance), method="average"), t=1.0 - min_similarity, criterion="distance")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.int64)
