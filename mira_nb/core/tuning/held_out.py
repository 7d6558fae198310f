"""Held-out likelihood per count: splitting of cells and counts, scores of factorisations and of topic models.

A held-out cell must not be scored on the counts its topics were estimated from: more topics always describe those
better. So its counts are thinned into two halves; topics come from the first, the score from the second (document
completion, Wallach et al. 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.data import blocks
from mira_nb.core.topics.nmf import project

SMOOTHING = 0.02
"""Weight of the pooled profile in the features of a factorisation: no held-out count has probability zero (chosen)."""


@dataclass(frozen=True)
class Split:
    """Training cells, and held-out cells with their counts in two halves.

    Attributes
    ----------
    training
        (training cells, features) counts.
    observed, scored
        (held-out cells, features) halves of the counts: topics come from the first, scores from the second.
    pooled
        (features,) smoothed proportions of the training counts.
    """

    training: sparse.csr_matrix
    observed: sparse.csr_matrix
    scored: sparse.csr_matrix
    pooled: NDArray[np.float64]

    @property
    def n_scored(self) -> float:
        """Number of counts that are scored."""
        return float(self.scored.data.sum(dtype=np.float64))

    def profile_score(self) -> NDArray[np.float64]:
        """Return the log-likelihood of the scored counts under the pooled profile, (held-out cells,), nats."""
        return np.asarray(self.scored.astype(np.float64) @ np.log(self.pooled)).ravel()


def thin(
    counts: sparse.csr_matrix, rng: np.random.Generator, fraction: float = 0.5
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Deal every count to the first part with probability `fraction`, else to the second; their sum is `counts`."""
    kept = rng.binomial(counts.data.astype(np.int64), fraction).astype(np.float32)
    parts = []
    for values in (kept, counts.data.astype(np.float32) - kept):
        part = sparse.csr_matrix((values, counts.indices.copy(), counts.indptr.copy()), counts.shape)
        part.eliminate_zeros()
        parts.append(part)
    return parts[0], parts[1]


def split_cells(
    counts: sparse.csr_matrix, rng: np.random.Generator, *, fraction: float = 0.2
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return positions of training and held-out cells, both sorted; at least one cell is held out."""
    order = rng.permutation(counts.shape[0])
    n_out = max(1, round(fraction * len(order)))
    return np.sort(order[n_out:]), np.sort(order[:n_out])


def make_split(counts: sparse.csr_matrix, rng: np.random.Generator, *, fraction: float = 0.2) -> Split:
    """Split cells into training and held out, thin the held-out ones, leave out cells with an empty half."""
    training, held_out = split_cells(counts, rng, fraction=fraction)
    observed, scored = thin(counts[held_out], rng)
    usable = np.flatnonzero((np.diff(observed.indptr) > 0) & (np.diff(scored.indptr) > 0))
    train = counts[training]
    pooled = np.asarray(train.sum(axis=0, dtype=np.float64)).ravel() + 0.5
    return Split(train, observed[usable], scored[usable], pooled / pooled.sum())


def completion_score(
    features: NDArray[np.float32], split: Split, workers: Workers, *, topic_pseudocounts: float
) -> NDArray[np.float64]:
    """Score a factorisation on the held-out cells.

    Parameters
    ----------
    features
        (features, K) proportions of a factorisation; columns sum to 1.
    split
        Cells and counts.
    topic_pseudocounts
        Counts added to every topic of a cell when its topics are estimated.

    Returns
    -------
    numpy.ndarray
        (held-out cells,) log-likelihood of the scored counts, nats.
    """
    smooth = ((1 - SMOOTHING) * features + SMOOTHING * split.pooled[:, None]).astype(np.float32)
    topics = project(split.observed, smooth, workers, topic_pseudocounts=topic_pseudocounts)
    return cell_scores(split.scored, smooth, topics)


def cell_scores(
    counts: sparse.csr_matrix, features: NDArray[np.float32], topics: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return sum_j x_ij log(theta_i . phi_j) per cell, (cells,), nats; only stored counts are visited."""
    out = np.zeros(counts.shape[0])
    for rows in blocks(counts.shape[0], 64):
        part = counts[rows]
        cell = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        share = np.einsum("pt,pt->p", features[part.indices], topics[rows][cell], dtype=np.float64)
        out[rows] = np.bincount(cell, part.data * np.log(np.maximum(share, 1e-30)), minlength=part.shape[0])
    return out


def difference(better: NDArray[np.float64], worse: NDArray[np.float64], n_counts: float) -> tuple[float, float]:
    """Return mean and standard error per count of the difference of two scores of the same cells.

    The scores are paired, so what cells differ in (depth, kind) cancels: the error is that of sums of independent
    differences, sqrt(cells) times their standard deviation.
    """
    gap = better - worse
    spread = float(gap.std(ddof=1)) * np.sqrt(len(gap)) if len(gap) > 1 else 0.0
    return float(gap.sum()) / n_counts, float(spread) / n_counts
