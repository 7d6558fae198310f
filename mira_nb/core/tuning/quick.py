"""Quick search: factorisations of a sample over a coarse, then a fine grid of K; few short fits for J.

The number of topics is read from the held-out likelihood of Kullback-Leibler factorisations, the start of every fit
(:mod:`mira_nb.core.topics.nmf`), which cost a small fraction of a fit. J does not matter to them in expression; it is
compared by short fits of the topic model itself at the chosen K.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.nmf import Factorisation, kl_nmf, project
from mira_nb.core.topics.settings import FEATURE_PSEUDOCOUNTS, RATE_BOUNDS, Modality, TopicSettings
from mira_nb.core.topics.warmstart import FAST_GROWTH, FAST_POWER, by_reproducibility
from mira_nb.typing import Progress

from .held_out import Split, completion_score, make_split
from .rule import Curve
from .sample import Sample, draw_sample
from .short_fit import ShortFit, short_fit
from .stability import Stability, assess

GRID = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100)
"""Coarse grid of the number of topics: steps of about a quarter."""

STARTS, SCOUT_UPDATES = 4, 15
"""Random starts of a factorisation, and the updates after which the most likely one is gone on with (chosen)."""

UPDATES, TOLERANCE = 60, 2e-5
"""Updates of a factorisation at most, and the gain at which it stops (chosen)."""

PATIENCE = 2
"""Coarse grid points without a worthwhile gain after which the grid is not followed further (chosen)."""

SHORT_STEPS = 150
"""Optimiser steps of a short fit (chosen: held-out likelihoods of several J then differ by more than their error)."""

REFERENCES = 3
"""Factorisations of all sampled cells; refits are compared with the likeliest of those found again (chosen)."""

REFIT_FRACTION = 0.8
"""Fraction of the sampled cells that every refit of the stability check reads (chosen)."""


@dataclass
class QuickSearch:
    """One quick search; call :meth:`run`.

    Attributes
    ----------
    counts
        (cells, features) checked counts of the modelled features.
    encoder
        (features,) mask of features that the encoder reads.
    modality, settings
        Kind of model, and the settings that are not searched.
    bounds
        Smallest and largest number of topics.
    n_trials
        Trials at most: numbers of topics and values of J.
    n_seeds
        Refits of the stability check.
    seed, n_threads, progress
        As for a fit.
    """

    counts: sparse.csr_matrix
    encoder: NDArray[np.bool_]
    modality: Modality
    settings: TopicSettings
    bounds: tuple[int, int]
    n_trials: int
    n_seeds: int
    seed: int
    n_threads: int
    progress: Progress
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    n_steps: int = 0

    def run(self) -> tuple[Curve, int, dict[str, float], Stability | None, Sample]:
        """Return the curve over K, the chosen K, J and power of the shrinkage, the stability, and the sample."""
        rng = np.random.default_rng(self.seed)
        sample = draw_sample(self.counts, rng)
        split = make_split(sample.counts, rng)
        low, high = self.bounds
        high = min(high, min(split.training.shape) - 1)
        self.progress(
            0.0,
            f"up to {self.n_trials} trials and {self.n_seeds} refits on {len(sample.cells):,} cells x "
            f"{len(sample.features):,} features, about {self._work(sample):.1g} updates of topic weights",
        )
        with Workers(self.n_threads) as workers:
            curve = self._search(split, workers, min(low, high), high)
            chosen = curve.choice()
            stability = self._stability(sample, chosen, workers)
            settings = self._prior(sample, chosen)
        return curve, chosen, settings, stability, sample

    def _work(self, sample: Sample) -> float:
        """Largest number of updates of single weights: counts x topics x updates of all factorisations."""
        tried = [k for k in GRID if self.bounds[0] <= k <= self.bounds[1]]
        return (
            float(sample.counts.nnz)
            * (UPDATES + STARTS * SCOUT_UPDATES)
            * (sum(tried[: self.n_trials]) + (REFERENCES + self.n_seeds) * max(tried, default=2))
        )

    # ---------------------------------------------------------------- K
    def _search(self, split: Split, workers: Workers, low: int, high: int) -> Curve:
        scores: dict[int, NDArray[np.float64]] = {}
        curve = Curve(scores, split.profile_score(), split.n_scored)

        def visit(k: int, phase: str) -> None:
            if k not in scores and len(self.rows) < self.n_trials:
                self._report(0.6, f"{k} topics")
                scores[k] = self._trial(k, phase, split, workers, curve)

        coarse = [k for k in GRID if low <= k <= high] or [low]
        for place, k in enumerate(coarse):
            visit(k, "coarse")
            before = coarse[max(0, place - PATIENCE)]
            if place >= PATIENCE and curve.choice() <= before:
                break
        # fine: all whole numbers around the choice, which may move
        for _ in range(3):
            chosen, tried = curve.choice(), curve.tried
            place = tried.index(chosen)
            first = tried[place - 1] + 1 if place else max(low, chosen - 1)
            last = tried[place + 1] - 1 if place + 1 < len(tried) else min(high, chosen + 1)
            gaps = [k for k in range(first, last + 1) if k not in scores]
            if not gaps:
                break
            for k in gaps:
                visit(k, "fine")
        return curve

    def _trial(self, k: int, phase: str, split: Split, workers: Workers, curve: Curve) -> NDArray[np.float64]:
        started = time.monotonic()
        best = self._factorise(split.training, k, 0, workers)
        scores = completion_score(best.features, split, workers, topic_pseudocounts=self._cell_pseudocounts())
        each = scores.sum() / curve.n_counts
        error = float(scores.std(ddof=1)) * np.sqrt(len(scores)) / curve.n_counts
        self._row("complete", phase, k, -each, error, seconds=time.monotonic() - started)
        return scores

    def _factorise(self, counts: sparse.csr_matrix, k: int, key: int, workers: Workers) -> Factorisation:
        """Factorise from the most likely of several random starts, drawn by seed, `k` and `key`."""
        rng = np.random.default_rng([self.seed, k, key])
        fit = partial(
            kl_nmf,
            topic_pseudocounts=self._cell_pseudocounts(),
            feature_pseudocounts=FEATURE_PSEUDOCOUNTS if self.modality == "accessibility" else 0.0,
            growth=FAST_GROWTH,
            max_power=FAST_POWER,
        )
        scouts = [
            fit(counts, k, rng, workers, max_iterations=SCOUT_UPDATES, tolerance=TOLERANCE) for _ in range(STARTS)
        ]
        best = max(scouts, key=lambda item: item.log_likelihood)
        found = fit(
            counts, k, rng, workers, max_iterations=UPDATES, tolerance=TOLERANCE, start=(best.topics, best.features)
        )
        self.n_steps += sum(item.n_iterations for item in (*scouts, found))
        return found

    def _cell_pseudocounts(self) -> float:
        """Pseudocounts per topic and cell: J / K with J = K for accessibility, none for expression (as in a fit)."""
        return 1.0 if self.modality == "accessibility" else 0.0

    # ---------------------------------------------------------------- J
    def _prior(self, sample: Sample, k: int) -> dict[str, float]:
        """Compare J = K / 2, K and the default by short fits; take the smallest of the equally good ones.

        The power of the shrinkage is that under which the cells held out of one more short fit are most likely, which
        starts as the fit of all cells will: that one has no cells to choose it by.
        """
        default = self.settings.initial_pseudocounts
        values = sorted({float(k), k / 2, default})
        values = values[: max(0, self.n_trials - len(self.rows))]
        if len(values) < 2:
            return {"initial_pseudocounts": default}
        high = RATE_BOUNDS[self.modality][1]
        base = replace(
            self.settings, n_topics=k, restarts=1, holdout_fraction=0.0, shrinkage="none", engine="auto",
            learning_rate_min=high / 10, learning_rate_max=high,
        )  # fmt: skip

        def fitted(value: float, **changes: Any) -> ShortFit:
            fit = short_fit(
                sample.counts, self.encoder[sample.features], self.modality,
                replace(base, initial_pseudocounts=value, **changes), n_steps=SHORT_STEPS, seed=self.seed,
                n_threads=self.n_threads,
            )  # fmt: skip
            self.n_steps += fit.n_steps
            return fit

        fits: dict[float, ShortFit] = {}
        for value in values:
            started = time.monotonic()
            self._report(0.8, f"{k} topics, J = {value:g}")
            fit = fits[value] = fitted(value)
            self._row(
                "complete", "prior", k, -fit.per_count, fit.error, seconds=time.monotonic() - started,
                initial_pseudocounts=value, n_epochs=fit.n_epochs, batch_size=base.batch_size, dropout=base.dropout,
                adam_epsilon=base.adam_epsilon,
            )  # fmt: skip
        best = max(fits.values(), key=lambda fit: fit.per_count)
        value = min(value for value, fit in fits.items() if fit.within_error_of(best))
        taken = {"initial_pseudocounts": value}
        if self.settings.shrinkage != "none":
            started = time.monotonic()
            taken["shrinkage_power"] = fitted(value, shrinkage=self.settings.shrinkage).shrinkage_power
            self.seconds["shrinkage"] = time.monotonic() - started
        return taken

    # ---------------------------------------------------------------- stability
    def _stability(self, sample: Sample, k: int, workers: Workers) -> Stability | None:
        if not self.n_seeds:
            return None
        started = time.monotonic()
        counts, prior = sample.counts, self._cell_pseudocounts()
        found = [self._factorise(counts, k, 100 + number, workers) for number in range(REFERENCES)]
        best = found[by_reproducibility(found)[0]]
        order = np.argsort(-best.topics.mean(0), kind="stable")
        pooled = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel() + 0.5
        pooled /= pooled.sum()
        refits = []
        for number in range(self.n_seeds):
            self._report(0.95, f"stability, refit {number + 1} of {self.n_seeds}")
            rng = np.random.default_rng([self.seed, 7, number])
            n = max(k + 1, round(REFIT_FRACTION * counts.shape[0]))
            cells = np.sort(rng.choice(counts.shape[0], min(n, counts.shape[0]), replace=False))
            part = self._factorise(counts[cells], k, 200 + number, workers)
            refits.append(project(counts, part.features, workers, topic_pseudocounts=prior))
        self.seconds["stability"] = self.seconds.get("stability", 0.0) + time.monotonic() - started
        return assess(best.topics[:, order], best.features[:, order], pooled, refits)

    # ---------------------------------------------------------------- record
    def _row(
        self, state: str, phase: str, k: int, loss: float, error: float, *, seconds: float, **values: Any
    ) -> None:  # fmt: skip
        number = len(self.rows)
        self.rows.append(
            {"trial": number, "state": state, "phase": phase, "n_topics": k, "loss": loss, "loss_se": error, **values}
        )
        self.seconds[f"trial {number}"] = seconds

    def _report(self, end: float, message: str) -> None:
        done = len(self.rows) / max(self.n_trials, 1)
        losses = [row["loss"] for row in self.rows]
        best = f"; best loss so far {min(losses):.4f} nats per count" if losses else ""
        self.progress(min(end, done), f"trial {len(self.rows) + 1}: {message}{best}")


def quick_trials(low: int, high: int) -> int:
    """Return how many trials a quick search takes at most: the coarse grid, the gaps of the fine one, three J."""
    coarse = [k for k in GRID if low <= k <= high]
    widest = max((b - a - 1 for a, b in pairwise(coarse)), default=0)
    return len(coarse) + 2 * min(widest, 8) + 3
