"""Learning curve of a topic model: how well fewer cells find its topics again, and predict cells that none has seen.

The chosen model is fitted again to random parts of the cells. Its topics of all cells are matched to those of the model
of all cells; refits of all cells from other seeds say how far correlations can rise, since they differ by the random
start alone. A fifth of the cells is kept out of every part: what a larger part gains on these does not depend on how
many cells it shares with the model of all cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.nmf import project
from mira_nb.core.topics.settings import Modality, TopicSettings

from .factorise import Factoriser
from .held_out import SMOOTHING, Split, completion_score, difference, split_cells, thin
from .result import LearningCurve, Map
from .short_fit import decoder_scores
from .stability import match

HELD_OUT = 0.2
"""Fraction of the cells that no part has (chosen, as in the search)."""

FRACTIONS = (0.25, 0.5, 1 - HELD_OUT)
"""Parts of the cells that are fitted; the last has all cells that are not kept out."""

WHOLE = 1.0
"""Refits of all cells from other seeds."""

N_REPEATS = 3
"""Refits of each size, of different random parts from different seeds (chosen)."""

LEAST_CELLS, CELLS_PER_TOPIC = 100, 5
"""Cells that the smallest part must have, in all and per topic (chosen: a tenth of that is too few for a fit)."""

SHORTFALL = 0.05
"""Correlation by which half of the cells must stay below all cells from other seeds to count as too few (chosen)."""


def fewest_cells(n_topics: int) -> int:
    """Return the number of cells from which a learning curve is made."""
    return round(max(LEAST_CELLS, CELLS_PER_TOPIC * n_topics) / FRACTIONS[0])


@dataclass(frozen=True)
class KeptOut:
    """Cells that no part has, with their counts in two halves, and those that parts are drawn from.

    Attributes
    ----------
    others
        Positions of the cells that parts are drawn from, sorted.
    observed, scored
        (cells kept out, features) halves of the counts: topics come from the first, scores from the second.
    """

    others: NDArray[np.intp]
    observed: sparse.csr_matrix
    scored: sparse.csr_matrix

    @classmethod
    def draw(cls, counts: sparse.csr_matrix, seed: int) -> KeptOut:
        """Draw the cells that are kept out; those with an empty half are not scored."""
        rng = np.random.default_rng([seed, 31])
        others, out = split_cells(counts, rng, fraction=HELD_OUT)
        observed, scored = thin(counts[out], rng)
        usable = np.flatnonzero((np.diff(observed.indptr) > 0) & (np.diff(scored.indptr) > 0))
        return cls(others, observed[usable], scored[usable])

    @property
    def n_scored(self) -> float:
        """Number of counts that are scored."""
        return float(self.scored.data.sum(dtype=np.float64))


class Refit(Protocol):
    """Fits some cells; returns topics of all cells, (cells, K), and log-likelihoods of the cells kept out, nats."""

    def __call__(
        self, cells: NDArray[np.intp], key: int, kept_out: KeptOut
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Fit `cells` from a random start drawn by `key`."""
        ...


@dataclass(frozen=True)
class FactorisedRefit:
    """Refits by factorisations, as those of the stability check of the mode ``quick``.

    Attributes
    ----------
    factoriser
        How counts are factorised.
    counts
        (cells, features) counts.
    n_topics
        Number of topics K.
    """

    factoriser: Factoriser
    counts: sparse.csr_matrix
    n_topics: int

    def __call__(
        self, cells: NDArray[np.intp], key: int, kept_out: KeptOut
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Factorise `cells`; topics of all cells are projections on its features."""
        training = self.counts[cells]
        pooled = np.asarray(training.sum(axis=0, dtype=np.float64)).ravel() + 0.5
        pooled /= pooled.sum()
        prior = self.factoriser.cell_pseudocounts
        with Workers(self.factoriser.n_threads) as workers:
            part, _ = self.factoriser.factorise(training, self.n_topics, 300 + key, workers)
            # smoothed: a part of the cells may not have every feature
            smooth = ((1 - SMOOTHING) * part.features + SMOOTHING * pooled[:, None]).astype(np.float32)
            topics = project(self.counts, smooth, workers, topic_pseudocounts=prior)
            split = Split(training, kept_out.observed, kept_out.scored, pooled)
            return topics, completion_score(part.features, split, workers, topic_pseudocounts=prior)


@dataclass(frozen=True)
class FittedRefit:
    """Refits by the topic model itself, as those of the stability check of the mode ``paper``.

    Attributes
    ----------
    counts, encoder
        (cells, features) counts, and mask of the features that the encoder reads.
    modality, settings
        Kind of model, and its settings.
    seed, n_threads
        As for a fit.
    """

    counts: sparse.csr_matrix
    encoder: NDArray[np.bool_]
    modality: Modality
    settings: TopicSettings
    seed: int
    n_threads: int

    def __call__(
        self, cells: NDArray[np.intp], key: int, kept_out: KeptOut
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Fit `cells`; topics of all cells come from its encoder."""
        fit = fit_topic_model(
            self.counts[cells], modality=self.modality, settings=replace(self.settings, holdout_fraction=0.0),
            encoder_features=self.encoder, seed=int(np.random.SeedSequence([self.seed, 31, key]).generate_state(1)[0]),
            n_threads=self.n_threads,
        )  # fmt: skip
        topics = fit.encode(self.counts, n_threads=self.n_threads).astype(np.float32)
        observed = fit.encode(kept_out.observed, n_threads=self.n_threads)
        return topics, decoder_scores(kept_out.scored, fit.decoder, observed)


def part_of_cells(n_cells: int, kept_out: KeptOut, seed: int, fraction: float, repeat: int) -> NDArray[np.intp]:
    """Return the cells of a part, sorted: all for the fraction 1, else some of those that are not kept out."""
    if fraction == WHOLE:
        return np.arange(n_cells)
    size = min(round(fraction * n_cells), len(kept_out.others))
    rng = np.random.default_rng([seed, 32, round(1000 * fraction), repeat])
    return np.sort(rng.choice(kept_out.others, size, replace=False))


def _refit_part(
    refit: Refit, kept_out: KeptOut, n_cells: int, seed: int, part: tuple[int, float, int]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    key, fraction, repeat = part
    return refit(part_of_cells(n_cells, kept_out, seed, fraction, repeat), key, kept_out)


def learning_curve(
    refit: Refit, counts: sparse.csr_matrix, reference: NDArray[np.float32], *, seed: int, run_all: Map = map,
    whole: NDArray[np.float64] | None = None, fractions: Sequence[float] = FRACTIONS,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> LearningCurve | None:  # fmt: skip
    """Fit parts of the cells again and compare their topics with those of all cells.

    Parameters
    ----------
    refit
        Fits some cells; picklable where `run_all` uses processes.
    counts
        (cells, features) counts of the model.
    reference
        (cells, K) topics of the model of all cells.
    seed
        Draws the cells that are kept out, the parts and the random starts.
    run_all
        Applies a function to independent refits, as ``map`` does.
    whole
        (refits, K) correlations of refits of all cells from other seeds with the reference; None makes such refits.
    fractions
        Parts of the cells.
    report
        Called with the number of refits done and that of all.

    Returns
    -------
    The curve, or None with fewer cells than :func:`fewest_cells`.
    """
    n_cells, n_topics = reference.shape
    if n_cells < fewest_cells(n_topics):
        return None
    kept_out = KeptOut.draw(counts, seed)
    sizes = [*fractions, *([] if whole is not None else [WHOLE])]
    drawn = [(fraction, repeat) for fraction in sizes for repeat in range(N_REPEATS)]
    function = partial(_refit_part, refit, kept_out, n_cells, seed)
    frames, scores = [], {fraction: np.zeros(kept_out.scored.shape[0]) for fraction in sizes}
    for done, (topics, found) in enumerate(run_all(function, [(i, *part) for i, part in enumerate(drawn)])):
        fraction, repeat = drawn[done]
        size = len(part_of_cells(n_cells, kept_out, seed, fraction, repeat))
        frames.append(_rows(fraction, size, repeat, match(reference, topics)[1]))
        scores[fraction] += found / N_REPEATS
        report(done + 1, len(drawn))
    if whole is not None:
        frames += [_rows(WHOLE, n_cells, repeat, row) for repeat, row in enumerate(whole)]
    table = pd.concat(frames, ignore_index=True)
    scores.pop(WHOLE, None)  # those refits have seen the cells that are scored
    return LearningCurve(table, _summary(table, scores, kept_out.n_scored), kept_out.scored.shape[0])


def _rows(fraction: float, n_cells: int, repeat: int, correlations: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "fraction": fraction,
            "n_cells": n_cells,
            "repeat": repeat + 1,
            "topic": np.arange(1, len(correlations) + 1),
            "correlation": correlations,
        }
    )


def _summary(table: pd.DataFrame, scores: dict[float, NDArray[np.float64]], n_counts: float) -> pd.DataFrame:
    """Return one row per size; gains are of the mean score over refits, paired over the cells kept out.

    The median refit counts: one refit in a few ends in another optimum, whatever the number of cells.
    """
    rows, before = [], None
    for fraction in sorted(table["fraction"].unique().tolist()):
        part = table[table["fraction"] == fraction]
        by_refit = part.groupby("repeat")["correlation"].mean()
        row = {
            "fraction": fraction,
            "n_cells": int(part["n_cells"].iloc[0]),
            "n_refits": len(by_refit),
            "correlation": float(by_refit.median()),
            "correlation_low": float(by_refit.min()),
            "correlation_high": float(by_refit.max()),
            "log_likelihood": np.nan,
            "gain": np.nan,
            "gain_se": np.nan,
        }
        found = scores.get(fraction)
        if found is not None:
            row["log_likelihood"] = float(found.sum()) / n_counts
            if before is not None:
                row["gain"], row["gain_se"] = difference(found, before, n_counts)
            before = found
        rows.append(row)
    return pd.DataFrame(rows)
