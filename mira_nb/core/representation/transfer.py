"""Place new cells among reference cells: nearest neighbours, labels by vote, positions on a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mira_nb.errors import InputError
from mira_nb.typing import Floats, Ints

from .neighbors import Metric, nearest_neighbors

OUTSIDE_QUANTILE = 0.99
"""Quantile of the reference cells' own distances beyond which a new cell counts as unlike them (chosen)."""
BLOCK = 2_000
"""New cells whose distances to all reference cells are held at once."""


@dataclass(frozen=True)
class Placement:
    """New cells among the reference cells.

    Attributes
    ----------
    indices, distances
        (new cells, k) positions of the nearest reference cells and distances to them, nearest first.
    outside
        (new cells,) whether the mean distance exceeds :data:`OUTSIDE_QUANTILE` of the same mean among reference cells.
    limit
        That quantile, in units of the space.
    """

    indices: Ints
    distances: Floats
    outside: np.ndarray
    limit: float

    @property
    def k(self) -> int:
        """Number of neighbours."""
        return int(self.indices.shape[1])


def place(reference: Floats, new: Floats, *, k: int = 15, metric: Metric = "manhattan", seed: int = 0) -> Placement:
    """Find the k nearest reference cells of every new cell, exactly.

    Parameters
    ----------
    reference, new
        (cells, d) and (new cells, d) coordinates in one space, finite.
    k
        Number of neighbours; cut to the number of reference cells less one.
    metric
        Distance between cells.
    seed
        Seed of the approximate search among very many reference cells, which gives only :attr:`Placement.limit`.

    Raises
    ------
    InputError
        The spaces have different dimensions, or there are fewer than two reference cells.
    """
    from sklearn.neighbors import NearestNeighbors

    if reference.shape[1] != new.shape[1]:
        raise InputError(
            f"the new cells have {new.shape[1]} coordinates", expected=f"the reference's {reference.shape[1]}"
        )
    own = nearest_neighbors(reference, k=k, metric=metric, seed=seed)
    search = NearestNeighbors(n_neighbors=own.k, metric=metric, algorithm="brute").fit(reference)
    indices = np.empty((len(new), own.k), np.int64)
    distances = np.empty((len(new), own.k))
    for first in range(0, len(new), BLOCK):
        rows = slice(first, first + BLOCK)
        distances[rows], indices[rows] = search.kneighbors(new[rows])
    limit = float(np.quantile(own.distances.mean(1), OUTSIDE_QUANTILE))
    return Placement(indices, distances, distances.mean(1) > limit, limit)


def vote(labels: np.ndarray, placement: Placement) -> tuple[np.ndarray, Floats]:
    """Return each new cell's most frequent label among its neighbours and its fraction among them.

    Of equally frequent labels the one whose neighbours are nearer on average wins, then the first by name.

    Parameters
    ----------
    labels
        (reference cells,) text.

    Returns
    -------
    label, confidence
        (new cells,) text, and fraction of the neighbours with that label, in (0, 1].
    """
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    near = codes[placement.indices]
    rows = np.repeat(np.arange(len(near)), placement.k)
    votes = np.zeros((len(near), len(names)))
    totals = np.zeros_like(votes)
    np.add.at(votes, (rows, near.ravel()), 1.0)
    np.add.at(totals, (rows, near.ravel()), placement.distances.ravel())
    mean = np.where(votes > 0, totals / np.maximum(votes, 1), np.inf)
    leading = votes == votes.max(1, keepdims=True)
    best = np.where(leading, mean, np.inf).argmin(1)
    return names[best], votes[np.arange(len(near)), best] / placement.k


def mean_position(coordinates: Floats, placement: Placement) -> Floats:
    """Return the mean position of each new cell's neighbours on a map, (new cells, 2)."""
    return np.asarray(coordinates, np.float64)[placement.indices].mean(1)
