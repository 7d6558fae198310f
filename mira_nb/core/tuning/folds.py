"""One trial of the published search: a fit per fold, ended early by :mod:`.halving`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import Modality, TopicSettings

from .halving import survives
from .held_out import thin
from .short_fit import decoder_scores


@dataclass(frozen=True)
class TrialData:
    """What all trials of a search have in common.

    Attributes
    ----------
    counts, encoder, modality
        (cells, features) training counts, mask of encoder features, kind of model.
    n_folds, seed, n_threads
        Folds, seed of split and fits, threads.
    """

    counts: sparse.csr_matrix
    encoder: NDArray[np.bool_]
    modality: Modality
    n_folds: int
    seed: int
    n_threads: int


@dataclass(frozen=True)
class TrialTask:
    """What makes a trial; small, so that it can be sent to another process.

    Attributes
    ----------
    settings
        Settings of the trial.
    earlier
        Losses by fold of the trials of finished batches.
    """

    settings: TopicSettings
    earlier: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class TrialResult:
    """Losses of the folds that were made, optimiser steps, seconds."""

    losses: tuple[float, ...]
    pruned: bool
    n_steps: int
    seconds: float


def fold_of_cells(n_cells: int, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of every cell, (cells,); folds differ by at most one cell."""
    return np.random.default_rng([seed, 11]).permutation(n_cells) % n_folds


def run_trial(data: TrialData, task: TrialTask) -> TrialResult:
    """Cross-validate one specification of the model, fold by fold."""
    started = time.monotonic()
    folds = fold_of_cells(data.counts.shape[0], data.n_folds, data.seed)
    losses: list[float] = []
    n_steps = 0
    for fold in range(data.n_folds):
        loss, steps = held_out_loss(
            data.counts[folds != fold], data.counts[folds == fold], data.encoder, data.modality, task.settings,
            seed=data.seed + fold, n_threads=data.n_threads,
        )  # fmt: skip
        losses.append(loss)
        n_steps += steps
        if fold + 1 < data.n_folds and not survives(losses, task.earlier):
            return TrialResult(tuple(losses), True, n_steps, time.monotonic() - started)
    return TrialResult(tuple(losses), False, n_steps, time.monotonic() - started)


def held_out_loss(
    training: sparse.csr_matrix, held_out: sparse.csr_matrix, encoder: NDArray[np.bool_], modality: Modality,
    settings: TopicSettings, *, seed: int, n_threads: int,
) -> tuple[float, int]:  # fmt: skip
    """Return negative log-likelihood per held-out count, nats, of a fit to `training`, and its optimiser steps.

    Topics of held-out cells come from one half of their counts, the score from the other (:mod:`.held_out`).
    """
    fit = fit_topic_model(
        training, modality=modality, settings=replace(settings, holdout_fraction=0.0), encoder_features=encoder,
        seed=seed, n_threads=n_threads,
    )  # fmt: skip
    observed, scored = thin(held_out, np.random.default_rng([seed, 5]))
    topics = fit.encode(observed, n_threads=n_threads)
    loss = -float(decoder_scores(scored, fit.decoder, topics).sum()) / float(scored.data.sum(dtype=np.float64))
    epochs = len(fit.history) + int(fit.settings.warmup_epochs)
    return loss, epochs * max(1, -(-training.shape[0] // settings.batch_size))
