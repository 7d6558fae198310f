"""Coherence and diversity of topics, by one rule for every method.

Methods rank the features of a topic in ways that cannot be compared (activations, factor loadings). Here the features
of a topic are read from its proportions and the counts: with s the share of a feature among the counts of all cells,
and s_k the same share with every cell weighted by its proportion of topic k, they are those of largest
s_k log(s_k / s), the terms of the Kullback-Leibler divergence of topic from pool.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

N_COHERENCE, N_DIVERSITY = 10, 25


def top_features(topics: np.ndarray, counts: sparse.csr_matrix, n: int) -> np.ndarray:
    """Return the n features of each topic, (K, n), most characteristic first."""
    pooled = np.asarray(counts.sum(axis=0), dtype=float).ravel()
    pooled = pooled / pooled.sum()
    shares = np.asarray(counts.T @ topics, dtype=float).T
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares > 0, shares * np.log(shares / pooled), 0.0)
    return np.argsort(-terms, axis=1, kind="stable")[:, :n]


def npmi(features: np.ndarray, counts: sparse.csr_matrix) -> float:
    """Return the mean normalised pointwise mutual information over the pairs of a topic's features.

    log(p(i, j) / (p(i) p(j))) / -log p(i, j), with p the fraction of cells in which a feature, or both, have a count
    (Bouma 2009); -1 for a pair that never occurs together, 1 for one that always does.
    """
    has = sparse.csc_matrix(counts[:, features] > 0, dtype=float)
    together = (has.T @ has).toarray() / has.shape[0]
    alone = np.diag(together)
    first, second = np.triu_indices(len(features), 1)
    both, apart = together[first, second], alone[first] * alone[second]
    out = np.full(len(both), -1.0)
    out[both >= 1] = 1.0
    some = (both > 0) & (both < 1)
    out[some] = np.log(both[some] / apart[some]) / -np.log(both[some])
    return float(out.mean())


def coherence(topics: np.ndarray, counts: sparse.csr_matrix) -> float:
    """Return the mean over topics of the NPMI of their ten features."""
    return float(np.mean([npmi(row, counts) for row in top_features(topics, counts, N_COHERENCE)]))


def diversity(topics: np.ndarray, counts: sparse.csr_matrix) -> float:
    """Return the fraction of different features among the 25 of every topic (Dieng et al. 2020)."""
    found = top_features(topics, counts, N_DIVERSITY)
    return len(np.unique(found)) / found.size
