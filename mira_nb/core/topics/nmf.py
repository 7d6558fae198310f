"""Kullback-Leibler factorisation of counts, X ~ n * theta phi, as a start for the topic model.

Multiplicative updates (Lee and Seung), which for normalised factors are the EM steps of probabilistic latent
semantic analysis; only non-zero counts are visited. Steps are over-relaxed as long as the likelihood rises
(Salakhutdinov and Roweis 2003), which takes several times fewer of them. scikit-learn's solvers are slower:
``docs/decisions/factorisation.md``.

Pseudocounts turn it into a posterior mode under Dirichlet priors: without them a weak topic, for which every cell and
feature has few counts, is fitted to noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers

CHUNKS = 4
"""Parts with sums of their own, added in order; fixed, so that results do not depend on the threads."""

GROWTH, MAX_POWER = 1.1, 8.0
"""Growth per step, and limit, of the exponent of a step (adaptive over-relaxation, Salakhutdinov and Roweis 2003)."""

CACHE = 2_000_000
"""Bytes of feature proportions beyond which they leave the cache when read in the order of a cell's counts."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Factorisation:
    """Topic proportions of cells and feature proportions of topics.

    Attributes
    ----------
    topics
        (cells, K), rows sum to 1.
    features
        (features, K), columns sum to 1.
    log_likelihood
        Mean log-probability per count under the factorisation, plus log priors per count with pseudocounts.
    n_iterations
        Updates made.
    """

    topics: Floats
    features: Floats
    log_likelihood: float
    n_iterations: int


@dataclass(frozen=True)
class Pseudocounts:
    """Dirichlet priors of a factorisation, as counts that are added.

    Attributes
    ----------
    topics
        Counts added to every topic of every cell.
    features
        Counts added to every topic in the pooled proportions, so many per feature on average.
    """

    topics: float = 0.0
    features: float = 0.0


@dataclass(frozen=True)
class Steps:
    """How far a factorisation goes, and how fast.

    Attributes
    ----------
    most
        Updates at most.
    tolerance
        It ends when the mean log-probability per count rises by less than this times the exponent of the step.
    growth, max_power
        Growth per step, and limit, of the exponent of a step.
    """

    most: int = 300
    tolerance: float = 1e-6
    growth: float = GROWTH
    max_power: float = MAX_POWER


NO_PRIORS: Final = Pseudocounts()
TO_THE_END: Final = Steps()


class Stored(NamedTuple):
    """Arrays of a sparse matrix by rows."""

    indptr: Any
    columns: Any
    counts: Any

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> Stored:
        """Return the arrays of a matrix."""
        return cls(matrix.indptr, matrix.indices, matrix.data)


@njit(cache=True, nogil=True, fastmath=True)
def _chunk(
    chunk: int, n_chunks: int, stored: Stored, topics: Any, features: Any, new_topics: Any, new_features: Any,
    log_lik: Any, binary: bool,
) -> None:  # fmt: skip
    """Sum the expected counts of each cell and topic, and (per chunk) of each feature and topic.

    Those of cells are multiplied by the present proportions, those of features not yet. Cells and features may be
    exchanged.
    """
    indptr, columns, counts = stored
    n_cells, k = topics.shape
    mine = new_features[chunk]
    mine[:] = 0
    total = 0.0
    for i in range(n_cells * chunk // n_chunks, n_cells * (chunk + 1) // n_chunks):
        theta, out = topics[i], new_topics[i]
        out[:] = 0
        product, n_factors = 1.0, 0
        for p in range(indptr[i], indptr[i + 1]):
            j = columns[p]
            phi = features[j]
            share = np.float32(0)
            for t in range(k):
                share += theta[t] * phi[t]
            share = max(share, np.float32(1e-30))
            ratio = counts[p] / share
            if binary:
                # a logarithm takes as long as all else of a count: one of eight factors, above 1e-240
                product *= float(share)
                n_factors += 1
                if n_factors == 8:
                    total += np.log(product)
                    product, n_factors = 1.0, 0
            else:
                total += counts[p] * np.log(share)
            target = mine[j]
            for t in range(k):
                out[t] += ratio * phi[t]
                target[t] += ratio * theta[t]
        total += np.log(product)
        for t in range(k):
            out[t] *= theta[t]
    log_lik[chunk] = total


def kl_nmf(
    counts: sparse.csr_matrix,
    n_topics: int,
    rng: np.random.Generator,
    workers: Workers,
    *,
    priors: Pseudocounts = NO_PRIORS,
    steps: Steps = TO_THE_END,
    start: tuple[Floats, Floats] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Factorisation:
    """Factorise counts (cells x features).

    Parameters
    ----------
    counts
        Non-negative CSR; no row may be empty.
    n_topics
        Number of topics K.
    rng
        Draws the start.
    workers
        Threads.
    priors
        Pseudocounts of topics and features; without them the likelihood is maximised.
    steps
        When it ends, and how far a step goes.
    start
        Topics (cells, K) and features (features, K) to start from; None draws them.
    progress
        Called with the fraction of iterations done.
    """
    n_cells, n_features = counts.shape
    pooled = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel() + 1e-3
    topics, features = start if start is not None else _random_start(n_cells, n_topics, pooled, rng)
    total = float(counts.data.sum(dtype=np.float64))
    binary = bool((counts.data == 1).all())
    added = np.float32(priors.topics), priors.features * n_features * pooled[:, None] / pooled.sum()
    plain = topics, features
    before, power, done = -np.inf, 1.0, 0
    by_features = features.nbytes > CACHE and n_features > n_cells
    if by_features:
        counts = counts.T.tocsr()
    work = np.empty((CHUNKS, n_cells if by_features else n_features, n_topics), np.float32)
    for done in range(1, steps.most + 1):
        new_topics, new_features, now = _update(counts, topics, features, added, work, workers, binary)
        now /= total
        if now < before and power > 1:
            # the last stretch overshot: go back to the plain update it started from, which cannot be worse
            (topics, features), power = plain, 1.0
            continue
        if progress is not None:
            progress(done / steps.most)
        if now - before < steps.tolerance * power:
            before = max(before, now)
            break
        before = now
        plain = new_topics, new_features
        topics = _stretch(topics, new_topics, power, 1)
        features = _stretch(features, new_features, power, 0)
        power = min(power * steps.growth, steps.max_power)
    else:
        topics, features = plain
    return Factorisation(topics, features, before, done)


def _random_start(
    n_cells: int, n_topics: int, pooled: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw topics (cells, K), and features (features, K) around the pooled profile."""
    topics = rng.dirichlet(np.full(n_topics, 5.0), n_cells).astype(np.float32)
    drawn = rng.gamma(5.0, 0.2, (len(pooled), n_topics)) * pooled[:, None]
    return topics, (drawn / drawn.sum(0)).astype(np.float32)


def _update(
    counts: sparse.csr_matrix, topics: Floats, features: Floats, priors: tuple[np.float32, NDArray[np.float64]],
    work: Floats, workers: Workers, binary: bool,
) -> tuple[Floats, Floats, float]:  # fmt: skip
    """Make one EM step; also return the log-likelihood (with the log priors) before it.

    Counts by features (features x cells) give the same step, with the larger array read in order.
    """
    by_features = counts.shape[0] != len(topics)
    rows, columns = (features, topics) if by_features else (topics, features)
    row_counts = np.empty_like(rows)
    log_lik = np.empty(CHUNKS)
    workers.parts(
        CHUNKS, _chunk, Stored.of(counts), rows, columns, row_counts, work, log_lik, binary,
    )  # fmt: skip
    column_counts = columns * work.sum(0)
    new_topics, new_features = (column_counts, row_counts) if by_features else (row_counts, column_counts)
    value = float(log_lik.sum())
    if priors[0] > 0:
        value += float(priors[0]) * float(np.log(np.maximum(topics, 1e-30)).sum(dtype=np.float64))
    if priors[1].any():
        value += float((priors[1] * np.log(np.maximum(features, 1e-30))).sum())
    new_topics = new_topics + priors[0]
    new_features = (new_features + priors[1]).astype(np.float32)
    new_topics /= np.maximum(new_topics.sum(1, keepdims=True), 1e-30)
    new_features /= np.maximum(new_features.sum(0), 1e-30)
    return new_topics, new_features, value


def _stretch(old: Floats, new: Floats, power: float, axis: int) -> Floats:
    """Return the over-relaxed step old (new / old)^power, normalised along ``axis``."""
    if power == 1.0:
        return new
    with np.errstate(over="ignore"):  # in single precision a ratio of 1e6 to the eighth power is infinite
        factor = np.clip(new / np.maximum(old, 1e-30), 1e-6, 1e6) ** np.float32(power)
    out = old * np.minimum(factor, np.float32(1e30))
    out = np.maximum(out, 1e-12, dtype=np.float32)
    return out / out.sum(axis, keepdims=True)


@njit(cache=True, nogil=True, fastmath=True)
def _chunk_topics(
    chunk: int, n_chunks: int, stored: Stored, topics: Any, features: Any, prior: Any, new_topics: Any,
) -> None:  # fmt: skip
    """Make one EM update of the cell topics with the feature factors held fixed."""
    indptr, columns, counts = stored
    n_cells, k = topics.shape
    for i in range(n_cells * chunk // n_chunks, n_cells * (chunk + 1) // n_chunks):
        theta, out = topics[i], new_topics[i]
        out[:] = 0
        for p in range(indptr[i], indptr[i + 1]):
            phi = features[columns[p]]
            share = np.float32(0)
            for t in range(k):
                share += theta[t] * phi[t]
            ratio = counts[p] / max(share, np.float32(1e-30))
            for t in range(k):
                out[t] += ratio * phi[t]
        size = np.float32(0)
        for t in range(k):
            out[t] = out[t] * theta[t] + prior
            size += out[t]
        for t in range(k):
            out[t] /= max(size, np.float32(1e-30))


def project(
    counts: sparse.csr_matrix, features: Floats, workers: Workers, *, n_iterations: int = 50, tolerance: float = 1e-3,
    topic_pseudocounts: float = 0.0,
) -> Floats:  # fmt: skip
    """Fit topic proportions (cells, K) under fixed feature proportions (features, K).

    Stops after ``n_iterations`` EM steps, or when no proportion moves by ``tolerance`` in a step.
    """
    n_topics = features.shape[1]
    topics = np.full((counts.shape[0], n_topics), 1 / n_topics, np.float32)
    new_topics = np.empty_like(topics)
    for _ in range(n_iterations):
        workers.parts(
            CHUNKS, _chunk_topics, Stored.of(counts), topics, features, np.float32(topic_pseudocounts), new_topics,
        )  # fmt: skip
        moved = float(np.abs(new_topics - topics).max(initial=0.0))
        topics, new_topics = new_topics, topics
        if moved < tolerance:
            break
    return topics
