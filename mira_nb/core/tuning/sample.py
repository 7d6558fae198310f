"""The part of the data that the quick search reads, and what the search will cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.topics.data import blocks
from mira_nb.counts import positive_per_column

MAX_NONZEROS = 2_500_000
"""Stored counts that the quick search reads at most (chosen: a factorisation then takes a few seconds)."""

MAX_FEATURES = 20_000
"""Features that the quick search reads at most, drawn at random from those of the model (chosen)."""

MIN_CELLS_WITH = 5
"""Cells in which a feature must be seen to be read: rarer ones say nothing about held-out cells (chosen)."""

MIN_SAMPLED_CELLS = 500
"""Cells that the quick search reads at least, whatever their counts (chosen)."""


@dataclass(frozen=True)
class Sample:
    """Cells and features that are read.

    Attributes
    ----------
    counts
        (sampled cells, sampled features); no row is empty.
    cells, features
        Their positions in the data, sorted.
    """

    counts: sparse.csr_matrix
    cells: NDArray[np.intp]
    features: NDArray[np.intp]


def draw_sample(counts: sparse.csr_matrix, rng: np.random.Generator) -> Sample:
    """Draw features, then cells, until at most :data:`MAX_NONZEROS` counts are left."""
    seen = positive_per_column(counts)
    features = np.flatnonzero(seen >= min(MIN_CELLS_WITH, max(1, counts.shape[0] // 20)))
    if len(features) > MAX_FEATURES:
        features = np.sort(rng.choice(features, MAX_FEATURES, replace=False))
    stored = _stored(counts, features)
    cells = np.flatnonzero(stored > 1)
    total = int(stored[cells].sum())
    if total > MAX_NONZEROS:
        n = max(MIN_SAMPLED_CELLS, int(len(cells) * MAX_NONZEROS / total))
        if n < len(cells):
            cells = np.sort(rng.choice(cells, n, replace=False))
    part = counts[cells]
    if len(features) < counts.shape[1]:
        part = part[:, features]
    return Sample(sparse.csr_matrix(part, dtype=np.float32), cells, features)


def _stored(counts: sparse.csr_matrix, features: NDArray[np.intp]) -> NDArray[np.int64]:
    """Count the stored values of every cell among the given features, (cells,), without copying the counts."""
    parts = [np.diff(counts[rows][:, features].indptr) for rows in blocks(counts.shape[0])]
    return np.concatenate(parts).astype(np.int64)
