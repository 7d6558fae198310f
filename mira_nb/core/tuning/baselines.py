"""Held-out log-likelihood per count of a topic model and of simpler models of the same rank.

Topics or coordinates of a held-out cell come from one half of its counts, the score from the other half (document
completion, Wallach et al. 2009), for every method alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.data import blocks, pooled_shares
from mira_nb.core.topics.fitted import TopicFit
from mira_nb.core.topics.nmf import Pseudocounts, Steps, kl_nmf
from mira_nb.core.topics.settings import FEATURE_PSEUDOCOUNTS

from .held_out import SMOOTHING, Split, completion_score, difference, thin

COLUMNS = ["method", "log_likelihood", "model_gain", "standard_error", "n_cells", "n_training_cells"]

MAX_VALUES = 10_000_000
"""Stored counts that the simpler models are fitted to; of more, cells are drawn (chosen: some 20 s)."""
UPDATES = 100
"""Updates of the factorisation at most (as in a quick tuning it has levelled off long before)."""


def compare_baselines(
    fit: TopicFit,
    counts: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    rng: np.random.Generator,
    *,
    n_threads: int = 1,
    n_training: int | None = None,
) -> pd.DataFrame:
    """Score the fitted model, the mean profile, NMF and SVD on cells that none of them was fitted to.

    Parameters
    ----------
    fit
        The model.
    counts
        (training cells, features) counts that the simpler models are fitted to: those of the model, or a part of
        them.
    held_out
        (held-out cells, features) counts.
    n_training
        Cells that the model was fitted to, where these are more.

    Returns
    -------
    pandas.DataFrame
        As from :func:`baseline_table`; empty with fewer than two held-out cells.
    """
    observed, scored = thin(sparse.csr_matrix(held_out), rng)
    usable = np.flatnonzero((np.diff(observed.indptr) > 0) & (np.diff(scored.indptr) > 0))
    if len(usable) < 2:
        return pd.DataFrame(columns=COLUMNS)
    train = sparse.csr_matrix(counts[np.flatnonzero(np.diff(counts.indptr))]).astype(np.float32)
    pooled = pooled_shares(train, np.arange(train.shape[0])) * float(train.sum(dtype=np.float64)) + 0.5
    split = Split(train, observed[usable], scored[usable], pooled / pooled.sum())
    # the priors under which a fit starts and a quick tuning compares: sparse peaks need them
    priors = Pseudocounts(1.0, FEATURE_PSEUDOCOUNTS) if fit.modality == "accessibility" else Pseudocounts()
    with Workers(n_threads) as workers:
        found = kl_nmf(train, fit.n_topics, rng, workers, priors=priors, steps=Steps(UPDATES))
        nmf = completion_score(found.features, split, workers, topic_pseudocounts=priors.topics)
    table = baseline_table(split, fit.n_topics, model=model_score(fit, split, n_threads=n_threads), nmf=nmf)
    table.loc[table["method"] == "model", "n_training_cells"] = counts.shape[0] if n_training is None else n_training
    return table


def baseline_table(
    split: Split, rank: int, *, model: NDArray[np.float64], nmf: NDArray[np.float64]
) -> pd.DataFrame:  # fmt: skip
    """Compare the scores of a model with those of simpler models of the same rank on one split.

    Parameters
    ----------
    split
        Training cells, and held-out cells in two halves.
    rank
        Number of topics.
    model, nmf
        (held-out cells,) log-likelihood of the scored halves, nats, under the model and under a factorisation.

    Returns
    -------
    pandas.DataFrame
        method (model, profile, nmf, svd), log_likelihood (nats per count), model_gain (of the model over the method),
        standard_error (of that difference, over cells), n_cells, n_training_cells (that the method was fitted to).
    """
    scores = {"model": model, "profile": split.profile_score(), "nmf": nmf, "svd": svd_score(split, rank)}
    rows = []
    for name, score in scores.items():
        gain, error = difference(model, score, split.n_scored)
        rows.append((name, score.sum() / split.n_scored, gain, error, len(model), split.training.shape[0]))
    return pd.DataFrame(rows, columns=COLUMNS)


def model_score(fit: TopicFit, split: Split, *, n_threads: int = 1) -> NDArray[np.float64]:
    """Return the log-likelihood of the scored halves under topics encoded from the observed halves, (cells,), nats."""
    topics = fit.encode(split.observed, n_threads=n_threads)
    return _scores(split.scored, lambda rows: fit.decoder.log_composition(topics[rows]).astype(np.float64))


def svd_score(split: Split, rank: int) -> NDArray[np.float64]:
    """Return the log-likelihood of the scored halves under a truncated SVD of the cells' proportions, (cells,), nats.

    The reconstruction of a cell is its observed proportions projected on the leading right singular vectors, cut at
    zero, and mixed with the pooled profile as the factorisation is, so that no count has probability zero.
    """
    rank = min(rank, min(split.training.shape) - 1)
    _, _, axes = svds(_proportions(split.training), k=rank, v0=np.ones(min(split.training.shape)))
    coordinates = _proportions(split.observed) @ axes.T

    def log_composition(rows: slice) -> NDArray[np.float64]:
        values = np.maximum(coordinates[rows] @ axes, 0)
        values /= np.maximum(values.sum(1, keepdims=True), 1e-300)
        return np.asarray(np.log((1 - SMOOTHING) * values + SMOOTHING * split.pooled))

    return _scores(split.scored, log_composition)


def _proportions(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(total, 1)) @ counts.astype(np.float64))


def _scores(counts: sparse.csr_matrix, log_composition: Callable[[slice], NDArray[np.float64]]) -> NDArray[np.float64]:
    out = np.zeros(counts.shape[0])
    for rows in blocks(counts.shape[0], 64):
        out[rows] = np.asarray(counts[rows].multiply(log_composition(rows)).sum(axis=1)).ravel()
    return out
