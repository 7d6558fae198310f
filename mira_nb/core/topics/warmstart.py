"""Start of training: from a factorisation of the counts, or from simple moments of the data.

The factorisation (:mod:`.nmf`) gives topics of cells and features. The decoder starts as the log-linear model closest
to it, and the encoder first learns to predict the factorisation's topics; then the ELBO takes over for everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mira_nb.core.numerics.threads import Workers

from .adam import Adam
from .data import Batch, CellData, blocks, column_totals, equal_batches
from .embedding import PeakAverage
from .network import Network, Posterior
from .nmf import Factorisation, kl_nmf, project
from .settings import FEATURE_PSEUDOCOUNTS
from .shrinkage import shrinkage_factors

START_SCALE = 0.2
"""Posterior standard deviation that training starts from (chosen; training changes it)."""

MAX_START_NONZEROS, MAX_START_WORK = 6_000_000, 150_000_000
"""Stored counts, and counts x topics over all restarts, that a start may take: about ten epochs of training."""

UPDATES, TOLERANCE = {False: 300, True: 100}, {False: 1e-6, True: 1e-5}
"""Most updates of a factorisation and the gain at which it stops, with all cells (False) and part of them (True).

On large data the start shall cost no more than about ten epochs of the training that refines it with every cell.
"""

MIN_WARM_STEPS, WARM_RATE = 300, 5e-3
"""Least steps of the encoder's warm-up, and its first learning rate (chosen on planted topics)."""

REPRODUCIBLE = 0.03
"""Distance in similarity from the most reproducible factorisation within which the likelihood decides (chosen)."""

SMOOTHING = 0.02
"""Fraction of the pooled profile mixed into every topic's: no log of zero."""

START_CONTRAST, RANDOM_CONTRAST = 0.5, 0.1
"""Scale of the decoder's contrasts at a start from a factorisation, and from noise (chosen on planted topics)."""

SCALE_CELLS = 1000
"""Cells that scale the embeddings and compare factorisations: enough for means and correlations."""

Encode = Callable[[Batch, torch.Generator | None], Posterior]


def softplus_inverse(value: float) -> float:
    """Return the number whose softplus is ``value``."""
    return math.log(math.expm1(value))


@torch.no_grad()
def start_from_moments(network: Network, data: CellData, cells: NDArray[np.intp]) -> None:
    """Set decoder offsets at the mean composition, read depth at the observed one, narrow posteriors."""
    total = column_totals(data.counts, cells) + 0.5
    share = np.log(total / total.sum())
    network.bias.copy_(torch.from_numpy(share - share.mean()))
    network.gamma.fill_(RANDOM_CONTRAST)
    norm, k = network.encoder.output.norm, network.n_topics
    norm.bias[k : 2 * k] = softplus_inverse(0.5)
    if network.modality == "expression":
        log_depth = np.log(data.depth[cells])
        norm.weight[2 * k] = max(float(log_depth.std()), 0.01)
        norm.bias[2 * k] = float(log_depth.mean())
        norm.weight[2 * k + 1] = 0.1
        norm.bias[2 * k + 1] = softplus_inverse(START_SCALE)
    else:
        scale_embeddings(network, data, cells)


@torch.no_grad()
def scale_embeddings(network: Network, data: CellData, cells: NDArray[np.intp]) -> None:
    """Scale the embeddings so that their mean has unit variance over cells.

    The mean over hundreds of peaks of unit-variance embeddings hardly varies, and the hidden layer would see little
    but the log depth beside it.
    """
    table = network.encoder.table
    some = cells[:: max(1, len(cells) // SCALE_CELLS)]
    with Workers(1) as workers:
        average = PeakAverage(table, workers)
        means = [average(data.batch(some[rows], by_columns=False), 0.0, None) for rows in blocks(len(some), 128)]
    table.div_(torch.cat(means).std(0).clamp_min(1e-6))


def factorise(
    data: CellData,
    cells: NDArray[np.intp],
    n_topics: int,
    restarts: int,
    rng: np.random.Generator,
    workers: Workers,
    progress: Callable[[float], None],
    *,
    pseudocounts: float = 0.0,
) -> tuple[Factorisation, int]:
    """Return the chosen one of several factorisations of the training cells, and how many were made.

    Peaks are factorised under Dirichlet priors: with at most one count per peak and cell, a weak topic would be fitted
    to noise. ``pseudocounts`` J of a cell, split over its topics, are those of the model's prior.

    With more than six million counts the features' proportions are learnt on a random part of the cells.
    """
    n_counts = int(np.diff(data.counts.indptr)[cells].sum())
    sampled = n_counts > MAX_START_NONZEROS
    picked = cells
    if sampled:
        n = max(10 * n_topics, int(len(cells) * MAX_START_NONZEROS / n_counts))
        picked = cells[np.sort(rng.choice(len(cells), min(n, len(cells)), replace=False))]
    sample = data.counts[picked]
    n_starts = int(max(1, min(restarts, MAX_START_WORK // max(sample.nnz * n_topics, 1))))
    share, a_feature = 0.0, 0.0
    if data.modality == "accessibility":
        share, a_feature = pseudocounts / n_topics, FEATURE_PSEUDOCOUNTS
    trials: list[Factorisation] = []
    for start in range(n_starts):
        trial = kl_nmf(
            sample, n_topics, rng, workers,
            max_iterations=UPDATES[sampled], tolerance=TOLERANCE[sampled], topic_pseudocounts=share,
            feature_pseudocounts=a_feature, progress=_part(progress, start, n_starts),
        )  # fmt: skip
        trials.append(trial)
    best = trials[most_reproducible(trials)]
    if not sampled:
        return best, n_starts
    # in blocks: a copy of all training cells would be the largest array there is
    topics = np.vstack(
        [
            project(data.counts[cells[rows]], best.features, workers, topic_pseudocounts=share)
            for rows in blocks(len(cells))
        ]
    )
    return Factorisation(topics, best.features, best.log_likelihood, best.n_iterations), n_starts


def most_reproducible(trials: list[Factorisation]) -> int:
    """Choose the most likely factorisation among those that other starts find again.

    The highest likelihood alone can belong to an arrangement that splits one programme and drops another. Similarity
    of two factorisations is the mean correlation of their best-matched topics; kept are those whose median similarity
    to the others is within 0.03 of the highest.
    """
    if len(trials) < 3:
        return int(np.argmax([trial.log_likelihood for trial in trials]))
    k = trials[0].topics.shape[1]
    step = max(1, len(trials[0].topics) // SCALE_CELLS)
    shares = [trial.topics[::step].T for trial in trials]
    similarity = np.empty((len(trials), len(trials)))
    for a, b in np.ndindex(*similarity.shape):
        correlation = np.nan_to_num(np.corrcoef(shares[a], shares[b])[:k, k:])
        rows, columns = linear_sum_assignment(-correlation)
        similarity[a, b] = correlation[rows, columns].mean()
    typical = np.array([np.median(np.delete(row, a)) for a, row in enumerate(similarity)])
    likely = np.array([trial.log_likelihood for trial in trials])
    return int(np.argmax(np.where(typical >= typical.max() - REPRODUCIBLE, likely, -np.inf)))


def _part(progress: Callable[[float], None], done: int, n: int) -> Callable[[float], None]:
    return lambda share: progress((done + share) / n)


def start_from_factorisation(
    network: Network, found: Factorisation, data: CellData, cells: NDArray[np.intp], encoder: NDArray[np.bool_],
    rng: np.random.Generator, *, shrink: bool,
) -> None:  # fmt: skip
    """Set the decoder to the log-linear model closest to the factorisation, and peak embeddings to its features.

    ``shrink`` takes off each feature's contrasts what its counts do not support: noise of the very cells that are
    trained on.
    """
    pooled = column_totals(data.counts, cells) + 0.5
    pooled /= pooled.sum()
    features = (1 - SMOOTHING) * found.features.astype(np.float64) + SMOOTHING * pooled[:, None]
    part = np.sort(rng.choice(len(cells), min(len(cells), 2000), replace=False))
    topics = found.topics[part].astype(np.float64)
    topics = 0.98 * topics + 0.02 / network.n_topics
    beta = log_linear_fit(topics, features)
    raw_mean, deviations = topics.mean(0) @ beta, topics - topics.mean(0)
    cov = deviations.T @ deviations / len(topics)
    sd = np.sqrt((beta * (cov @ beta)).sum(0) + 1e-5)
    supported = np.ones(len(pooled))
    if shrink:
        supported = shrinkage_factors(pooled * data.depth[cells].sum(), beta, topics, data.depth[cells][part])
    with torch.no_grad():
        network.beta.copy_(torch.from_numpy(beta - beta.mean(0)))
        network.gamma.copy_(torch.from_numpy(START_CONTRAST * supported * sd))
        network.bias.copy_(torch.from_numpy(raw_mean - raw_mean.mean()))
        network.topic_mean.copy_(torch.from_numpy(topics.mean(0)))
        network.topic_cov.copy_(torch.from_numpy(cov))
        if network.modality == "accessibility":
            table = network.encoder.table
            signal = np.log(features[encoder] / pooled[encoder, None])
            signal = (signal - signal.mean(0)) * supported[encoder, None]
            signal /= signal.std(0) + 1e-6
            mix = rng.normal(size=(network.n_topics, table.shape[1])) / math.sqrt(network.n_topics)
            for rows in blocks(len(table), 8192):
                noise = 0.3 * rng.normal(size=table[rows].shape)
                table[rows] = torch.from_numpy((signal[rows] @ mix + noise).astype(np.float32))
            scale_embeddings(network, data, cells)


def log_linear_fit(topics: NDArray[np.float64], features: NDArray[np.float64], *, block: int = 1024) -> NDArray:
    """Fit weights beta (K, features) with topics beta ~ log(topics features'), by least squares over the cells."""
    gram = topics.T @ topics + 1e-3 * len(topics) / topics.shape[1] * np.eye(topics.shape[1])
    solver = np.linalg.solve(gram, topics.T)
    out = np.empty((topics.shape[1], len(features)))
    for start in range(0, len(features), block):
        out[:, start : start + block] = solver @ np.log(topics @ features[start : start + block].T)
    return out


def warm_up(
    network: Network, found: Factorisation, data: CellData, cells: NDArray[np.intp], encode: Encode,
    optimiser: Adam, n_epochs: int, batch_size: int, rng: np.random.Generator,
    generator: torch.Generator, progress: Callable[[float], None],
) -> int:  # fmt: skip
    """Train the encoder alone to predict the factorisation's topics (cross-entropy) and the log depth.

    Returns the number of epochs: more than asked for where those would be fewer than 300 steps.
    """
    n_batches = sum(1 for _ in equal_batches(np.arange(len(cells)), batch_size))
    if n_epochs:
        n_epochs = max(n_epochs, -(-MIN_WARM_STEPS // n_batches))
    targets = torch.from_numpy(0.98 * found.topics + np.float32(0.02 / network.n_topics))
    norm, k = network.encoder.output.norm, network.n_topics
    with torch.no_grad():
        spread = torch.log(targets)
        norm.weight[:k] = (spread - spread.mean(1, keepdim=True)).std(0)
        norm.bias[:k] = (spread - spread.mean(1, keepdim=True)).mean(0)
    for epoch in range(n_epochs):
        rate = WARM_RATE * (1 - epoch / n_epochs)
        for picked in equal_batches(rng.permutation(len(cells)), batch_size):
            batch = data.batch(cells[picked])
            posterior = encode(batch, generator)
            target = targets[picked].to(posterior.mean.device)
            loss = -(target * posterior.mean.log_softmax(-1)).sum(1).mean()
            if posterior.depth_mean is not None:
                log_depth = torch.as_tensor(np.log(batch.depth), dtype=loss.dtype, device=loss.device)
                loss = loss + ((posterior.depth_mean - log_depth) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step(rate)
        progress((epoch + 1) / n_epochs)
    with torch.no_grad():
        norm.weight[k : 2 * k] = 0.1
        norm.bias[k : 2 * k] = softplus_inverse(START_SCALE)
    return n_epochs
