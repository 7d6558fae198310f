"""Factorisations of the quick search: a trial, a reference and a refit, each of which another process can compute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.data import CellData, pooled_shares
from mira_nb.core.topics.nmf import Factorisation, Pseudocounts, Steps, kl_nmf, project
from mira_nb.core.topics.settings import FEATURE_PSEUDOCOUNTS, Modality, TopicSettings
from mira_nb.core.topics.warmstart import FAST_GROWTH, FAST_POWER, factorise

from .held_out import Split, completion_score

STARTS, SCOUT_UPDATES = 4, 15
"""Random starts of a factorisation, and the updates after which the most likely one is gone on with (chosen)."""

UPDATES, TOLERANCE = 60, 2e-5
"""Updates of a factorisation at most, and the gain at which it stops (chosen)."""

REFIT_FRACTION = 0.8
"""Fraction of the sampled cells that every refit of the stability check reads (chosen)."""


def timed(function: Callable[[Any], Any], item: Any) -> tuple[Any, float]:
    """Return the result of a function and the seconds it took."""
    started = time.monotonic()
    result = function(item)
    return result, time.monotonic() - started


@dataclass(frozen=True)
class Factoriser:
    """How counts of one modality are factorised.

    Attributes
    ----------
    modality
        Kind of model.
    seed
        Seed of the random starts.
    n_threads
        Threads of the compiled loops (the result does not depend on them).
    """

    modality: Modality
    seed: int
    n_threads: int

    @property
    def cell_pseudocounts(self) -> float:
        """Pseudocounts per topic and cell: J / K with J = K for accessibility, none for expression (as in a fit)."""
        return 1.0 if self.modality == "accessibility" else 0.0

    def factorise(self, counts: sparse.csr_matrix, k: int, key: int, workers: Workers) -> tuple[Factorisation, int]:
        """Factorise from the most likely of several random starts, drawn by seed, `k` and `key`; also count updates."""
        rng = np.random.default_rng([self.seed, k, key])
        a_feature = FEATURE_PSEUDOCOUNTS if self.modality == "accessibility" else 0.0
        fit = partial(kl_nmf, counts, k, rng, workers, priors=Pseudocounts(self.cell_pseudocounts, a_feature))
        steps = Steps(UPDATES, TOLERANCE, FAST_GROWTH, FAST_POWER)
        scouts = [fit(steps=replace(steps, most=SCOUT_UPDATES)) for _ in range(STARTS)]
        best = max(scouts, key=lambda item: item.log_likelihood)
        found = fit(steps=steps, start=(best.topics, best.features))
        return found, sum(item.n_iterations for item in (*scouts, found))


def score_topics(factoriser: Factoriser, split: Split, k: int) -> tuple[NDArray[np.float64], Factorisation, int]:
    """Factorise the training cells: held-out log-likelihood by cell, nats, the factorisation, and its updates."""
    with Workers(factoriser.n_threads) as workers:
        best, n_steps = factoriser.factorise(split.training, k, 0, workers)
        scores = completion_score(best.features, split, workers, topic_pseudocounts=factoriser.cell_pseudocounts)
    return scores, best, n_steps


def start_of_fit(
    split: Split, modality: Modality, settings: TopicSettings, *, seed: int, n_threads: int
) -> Factorisation:
    """Factorise the training cells as a whole fit does for its start: several random starts are followed to the end.

    Factorisations of sparse peaks end in places of different worth, and the more so the more topics there are.
    """
    counts = split.training
    cells = np.arange(counts.shape[0])
    data = CellData(counts, modality, np.ones(counts.shape[1], dtype=bool), pooled_shares(counts, cells))
    with Workers(n_threads) as workers:
        return factorise(
            data, cells, int(settings.n_topics), settings.restarts, np.random.default_rng([seed, 9]), workers,
            lambda fraction: None, pseudocounts=settings.initial_pseudocounts,
        )  # fmt: skip


def reference(factoriser: Factoriser, counts: sparse.csr_matrix, k: int, number: int) -> tuple[Factorisation, int]:
    """Return a factorisation of all cells, and the updates it took."""
    with Workers(factoriser.n_threads) as workers:
        return factoriser.factorise(counts, k, 100 + number, workers)


def refit(
    factoriser: Factoriser, counts: sparse.csr_matrix, k: int, number: int
) -> tuple[NDArray[np.float32], int]:  # fmt: skip
    """Return proportions of all cells, (cells, k), under a factorisation of a part of them, and its updates."""
    rng = np.random.default_rng([factoriser.seed, 7, number])
    n = max(k + 1, round(REFIT_FRACTION * counts.shape[0]))
    cells = np.sort(rng.choice(counts.shape[0], min(n, counts.shape[0]), replace=False))
    with Workers(factoriser.n_threads) as workers:
        part, n_steps = factoriser.factorise(counts[cells], k, 200 + number, workers)
        return project(counts, part.features, workers, topic_pseudocounts=factoriser.cell_pseudocounts), n_steps
