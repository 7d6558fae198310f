"""A fit of few steps on training cells, scored on held-out ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.topics.decoder import Decoder
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.nmf import Factorisation
from mira_nb.core.topics.settings import Modality, TopicSettings
from mira_nb.core.topics.shrinkage import held_out_power, shrinkage_factors
from mira_nb.typing import Progress

from .held_out import Split, difference
from .rule import EQUIVALENT


@dataclass(frozen=True)
class ShortFit:
    """Scores of a short fit.

    Attributes
    ----------
    scores
        (held-out cells,) log-likelihood of the scored counts, nats.
    n_counts
        Number of counts scored.
    n_epochs, n_steps
        Passes over the training cells and optimiser steps taken.
    topics
        (training cells, K) proportions.
    shrinkage_power
        Power of the empirical-Bayes factors under which the scored counts are most likely; the scores are without
        shrinkage.
    """

    scores: NDArray[np.float64]
    n_counts: float
    n_epochs: int
    n_steps: int
    topics: NDArray[np.float64]
    shrinkage_power: float = 0.0

    @property
    def per_count(self) -> float:
        """Held-out log-likelihood per count, nats."""
        return float(self.scores.sum()) / self.n_counts

    @property
    def error(self) -> float:
        """Standard error of :attr:`per_count` over cells."""
        return float(self.scores.std(ddof=1)) * float(np.sqrt(len(self.scores))) / self.n_counts

    def within_error_of(self, best: ShortFit) -> bool:
        """Return whether this one is worse than `best` by no more than one (paired) standard error, or than matters."""
        gap, error = difference(best.scores, self.scores, self.n_counts)
        return gap <= max(error, EQUIVALENT)


def short_fit(
    split: Split,
    encoder: NDArray[np.bool_],
    modality: Modality,
    trial: tuple[TopicSettings, Factorisation],
    *,
    n_steps: int,
    seed: int,
    n_threads: int,
    progress: Progress | None = None,
) -> ShortFit:
    """Fit the training cells for about `n_steps` steps, and score the others.

    Contrasts are scored as trained, whatever the settings say of shrinkage.

    Parameters
    ----------
    split
        Training cells, and held-out cells in two halves.
    encoder
        (features,) mask of features that the encoder reads.
    modality
        Kind of model.
    trial
        Settings, and the factorisation of the training cells to start from.
    n_steps, seed, n_threads, progress
        As for a fit.
    """
    settings, start = trial
    if not encoder.any():
        encoder = np.ones_like(encoder)
    per_epoch = max(1, -(-split.training.shape[0] // settings.batch_size))
    n_epochs = max(2, -(-n_steps // per_epoch))
    fit = fit_topic_model(
        split.training, modality=modality, settings=replace(settings, n_epochs=n_epochs, shrinkage_power=0.0),
        encoder_features=encoder, seed=seed, n_threads=n_threads, start=start, progress=progress,
    )  # fmt: skip
    topics = fit.encode(split.observed, n_threads=n_threads)
    scores = decoder_scores(split.scored, fit.decoder, topics)
    warm = int(fit.settings.warmup_epochs)
    power = 0.0
    if settings.shrinkage != "none":
        depth = np.asarray(split.training.sum(axis=1), dtype=np.float64).ravel()
        totals = np.asarray(split.training.sum(axis=0), dtype=np.float64).ravel()
        factors = shrinkage_factors(totals, fit.decoder.affine()[0], fit.topics, depth, fit.decoder.dispersion)
        power = held_out_power(factors, fit.decoder, split.scored, topics)
    return ShortFit(scores, split.n_scored, n_epochs, (n_epochs + warm) * per_epoch, fit.topics, power)


def decoder_scores(
    counts: sparse.csr_matrix, decoder: Decoder, topics: NDArray[np.floating]
) -> NDArray[np.float64]:  # fmt: skip
    """Return sum_j x_ij log rho_ij per cell, (cells,), nats, without a cells x features array."""
    weights, offset = decoder.affine()
    wide = counts.astype(np.float64)
    depth = np.asarray(wide.sum(axis=1)).ravel()
    logits = (topics * (wide @ weights.T)).sum(1) + wide @ offset
    return np.asarray(logits - depth * decoder.log_normalizer(topics))
