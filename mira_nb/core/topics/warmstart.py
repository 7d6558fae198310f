"""Start of training: from a factorisation of the counts, or from simple moments of the data.

The factorisation (:mod:`.nmf`) gives topics of cells and features. The decoder starts as the log-linear model closest
to it, and the encoder first learns to predict the factorisation's topics; then the ELBO takes over for everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mira_nb.core.numerics.threads import Workers

from .adam import Adam
from .data import Batch, CellData, blocks, column_totals, equal_batches, part_of_cells
from .embedding import PeakAverage
from .network import Network, Posterior
from .nmf import Factorisation, Pseudocounts, Steps, kl_nmf, project
from .settings import FEATURE_PSEUDOCOUNTS
from .shrinkage import shrinkage_factors

START_SCALE = 0.2
"""Posterior standard deviation that training starts from (chosen; training changes it)."""

SCOUT_CELLS, SCOUT_COUNTS = 1000, 2_000_000
"""Cells, and stored counts of them, on which the random starts of the factorisation are compared (chosen)."""

SCOUT_UPDATES, SCOUT_TOLERANCE = 25, 1e-4
"""Most updates of such a start, and the gain at which it stops: enough to tell arrangements apart (chosen)."""

FINALISTS = {("expression", False): 1, ("expression", True): 1, ("accessibility", False): 3, ("accessibility", True): 2}
"""Most starts that are continued, by modality and whether on part of the cells; the likeliest is kept.

Of expression one: there the likeliest of several tends to split one programme and to drop another (measured on planted
topics, as is that the weakest programme of accessibility only shows after some 50 updates with all cells).
"""

FAST_GROWTH, FAST_POWER = 1.5, 30.0
"""Growth and limit of the exponent of their steps: they are past the phase in which long steps lose topics (chosen)."""

MAX_START_NONZEROS = 3_000_000
"""Stored counts with which starts are continued; topics of more cells are projected onto the features found."""

UPDATES, TOLERANCE = {False: 300, True: 100}, {False: 2e-7, True: 2e-6}
"""Most updates of a start that is continued, and the gain that ends it, with all cells (False) or part of them (True).

Training refines it with every cell; on large data the start shall cost less than that.
"""

WARM_STEPS, WARM_RATE = 300, 5e-3
"""Steps of the encoder's warm-up where its epochs are not given, and its first learning rate (chosen)."""

REPRODUCIBLE = 0.03
"""Distance in similarity from the most reproducible factorisation within which the likelihood decides (chosen)."""

SMOOTHING = 0.02
"""Fraction of the pooled profile mixed into every topic's: no log of zero."""

START_CONTRAST, RANDOM_CONTRAST = 0.5, 0.1
"""Scale of the decoder's contrasts at a start from a factorisation, and from noise (chosen on planted topics)."""

SCALE_CELLS = 1000
"""Cells that scale the embeddings and compare factorisations: enough for means and correlations."""


class EncoderEngine(Protocol):
    """What trains a network's encoder."""

    network: Network

    def encode(self, batch: Batch, generator: torch.Generator | None) -> Posterior:
        """Return the posterior of a batch; with a generator, dropout is on."""

    def encoder_optimiser(self) -> Adam:
        """Return an optimiser of the encoder alone."""


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
) -> Factorisation:
    """Factorise the training cells from the best of several random starts.

    The starts are compared on at most 1000 cells after a few updates. The likeliest of the reproducible ones are
    continued with all cells, or with a random part that has three million counts (the others are then projected onto
    the features found), and the likeliest of those is returned.

    Peaks are factorised under Dirichlet priors: with at most one count per peak and cell, a weak topic would be fitted
    to noise. ``pseudocounts`` J of a cell, split over its topics, are those of the model's prior.
    """
    priors = Pseudocounts()
    if data.modality == "accessibility":
        priors = Pseudocounts(pseudocounts / n_topics, FEATURE_PSEUDOCOUNTS)
    fit = partial(kl_nmf, priors=priors)
    few = part_of_cells(data.counts, cells, SCOUT_COUNTS, rng, least=10 * n_topics, most=SCOUT_CELLS)
    sample = data.counts[few]
    trials = [
        fit(
            sample, n_topics, rng, workers, steps=Steps(SCOUT_UPDATES, SCOUT_TOLERANCE),
            progress=_part(progress, start, 2 * restarts),
        )
        for start in range(restarts)
    ]  # fmt: skip
    picked = part_of_cells(data.counts, cells, MAX_START_NONZEROS, rng, least=len(few))
    sampled = len(picked) < len(cells)
    counts = data.counts[picked]
    best = by_reproducibility(trials)[: FINALISTS[data.modality, sampled]]
    ended = [
        fit(
            counts, n_topics, rng, workers,
            steps=Steps(UPDATES[sampled], TOLERANCE[sampled], FAST_GROWTH, FAST_POWER),
            start=(project(counts, trials[i].features, workers, topic_pseudocounts=priors.topics), trials[i].features),
            progress=_part(progress, len(best) + done, 2 * len(best)),
        )
        for done, i in enumerate(best)
    ]  # fmt: skip
    found = ended[int(np.argmax([one.log_likelihood for one in ended]))]
    if not sampled:
        return found
    # in blocks: a copy of all training cells would be the largest array there is
    topics = np.vstack(
        [
            project(data.counts[cells[rows]], found.features, workers, topic_pseudocounts=priors.topics)
            for rows in blocks(len(cells))
        ]
    )
    return Factorisation(topics, found.features, found.log_likelihood, found.n_iterations)


def by_reproducibility(trials: list[Factorisation]) -> list[int]:
    """Order factorisations: those that other starts find again first, among them and the others by likelihood.

    The highest likelihood alone can belong to an arrangement that splits one programme and drops another. Similarity
    of two factorisations is the mean correlation of their best-matched topics; found again are those whose median
    similarity to the others is within 0.03 of the highest.
    """
    likely = np.array([trial.log_likelihood for trial in trials])
    if len(trials) < 3:
        return [int(i) for i in np.argsort(-likely, kind="stable")]
    k = trials[0].topics.shape[1]
    step = max(1, len(trials[0].topics) // SCALE_CELLS)
    shares = [trial.topics[::step].T for trial in trials]
    similarity = np.empty((len(trials), len(trials)))
    for a, b in np.ndindex(*similarity.shape):
        correlation = np.nan_to_num(np.corrcoef(shares[a], shares[b])[:k, k:])
        rows, columns = linear_sum_assignment(-correlation)
        similarity[a, b] = correlation[rows, columns].mean()
    typical = np.array([np.median(np.delete(row, a)) for a, row in enumerate(similarity)])
    odd = typical < typical.max() - REPRODUCIBLE
    return [int(i) for i in np.lexsort((-likely, odd))]


def sharpened(found: Factorisation, power: float) -> Factorisation:
    """Return the factorisation with proportions raised to a power, each cell's summing to 1 again.

    Training hardly moves small proportions.

    Parameters
    ----------
    found
        Factorisation; its topics, (cells, K), sum to 1 by cell.
    power
        1 changes nothing, more makes cells purer (``docs/decisions/12-tuning.md``).

    Returns
    -------
    Factorisation
        Raised proportions; the features are as they were.
    """
    if power == 1:
        return found
    raised = found.topics**power
    return replace(found, topics=raised / raised.sum(1, keepdims=True))


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


@dataclass(frozen=True)
class WarmUp:
    """How long the encoder is trained alone, and the random numbers of it.

    Attributes
    ----------
    n_epochs, batch_size
        Passes over the cells, and cells of a step.
    rng
        Order of the cells.
    generator
        Dropout.
    """

    n_epochs: int
    batch_size: int
    rng: np.random.Generator
    generator: torch.Generator


def warm_up(
    engine: EncoderEngine, found: Factorisation, data: CellData, cells: NDArray[np.intp], how: WarmUp,
    progress: Callable[[float], None],
) -> None:  # fmt: skip
    """Train the encoder alone to predict the factorisation's topics (cross-entropy) and the log depth."""
    network, optimiser = engine.network, engine.encoder_optimiser()
    targets = torch.from_numpy(0.98 * found.topics + np.float32(0.02 / network.n_topics))
    norm, k = network.encoder.output.norm, network.n_topics
    with torch.no_grad():
        spread = torch.log(targets)
        norm.weight[:k] = (spread - spread.mean(1, keepdim=True)).std(0)
        norm.bias[:k] = (spread - spread.mean(1, keepdim=True)).mean(0)
    for epoch in range(how.n_epochs):
        rate = WARM_RATE * (1 - epoch / how.n_epochs)
        for picked in equal_batches(how.rng.permutation(len(cells)), how.batch_size):
            batch = data.batch(cells[picked])
            posterior = engine.encode(batch, how.generator)
            target = targets[picked].to(posterior.mean.device)
            loss = -(target * posterior.mean.log_softmax(-1)).sum(1).mean()
            if posterior.depth_mean is not None:
                log_depth = torch.as_tensor(np.log(batch.depth), dtype=loss.dtype, device=loss.device)
                loss = loss + ((posterior.depth_mean - log_depth) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step(rate)
        progress((epoch + 1) / how.n_epochs)
    with torch.no_grad():
        norm.weight[k : 2 * k] = 0.1
        norm.bias[k : 2 * k] = softplus_inverse(START_SCALE)
