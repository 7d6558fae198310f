"""Quick search: factorisations of a sample over a coarse, then a fine grid of K; few short fits for J.

The number of topics is read from the held-out likelihood of Kullback-Leibler factorisations, the start of every fit
(:mod:`mira_nb.core.topics.nmf`), which cost a small fraction of a fit. J does not matter to them in expression; it is
compared by short fits of the topic model itself at the chosen K.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.topics.settings import RATE_BOUNDS, Modality, TopicSettings
from mira_nb.core.topics.warmstart import by_reproducibility
from mira_nb.typing import Progress

from .factorise import SCOUT_UPDATES, STARTS, UPDATES, Factoriser, reference, refit, score_topics, timed
from .held_out import Split, make_split
from .result import Map
from .rule import Curve
from .sample import Sample, draw_sample
from .short_fit import ShortFit, short_fit
from .stability import Stability, assess

GRID = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100)
"""Coarse grid of the number of topics: steps of about a quarter."""

PATIENCE = 2
"""Coarse grid points without a worthwhile gain after which the grid is not followed further (chosen)."""

SHORT_STEPS = 150
"""Optimiser steps of a short fit (chosen: held-out likelihoods of several J then differ by more than their error)."""

REFERENCES = 3
"""Factorisations of all sampled cells; refits are compared with the likeliest of those found again (chosen)."""


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
    run_all, n_workers
        As for :func:`.tune.tune`.
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
    run_all: Map = map
    n_workers: int = 1
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    n_steps: int = 0

    def __post_init__(self) -> None:
        """Choose between the threads of this process, which serve one factorisation well, and more workers."""
        if self.n_workers <= self.n_threads:
            self.run_all, self.n_workers = map, 1
        self.factoriser = Factoriser(self.modality, self.seed, self.n_threads if self.n_workers == 1 else 1)

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
        curve = self._search(split, min(low, high), high)
        chosen = curve.choice()
        stability = self._stability(sample, chosen)
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
    def _search(self, split: Split, low: int, high: int) -> Curve:
        scores: dict[int, NDArray[np.float64]] = {}
        curve = Curve(scores, split.profile_score(), split.n_scored)
        function = partial(timed, partial(score_topics, self.factoriser, split))

        def visit(numbers: Sequence[int], phase: str) -> Iterator[int]:
            """Try numbers of topics as long as the caller wants more of them."""
            new = [k for k in numbers if k not in scores][: max(0, self.n_trials - len(self.rows))]
            for k, ((found, n_steps), seconds) in zip(new, self.run_all(function, self._announced(new)), strict=False):
                scores[k] = found
                self.n_steps += n_steps
                each = found.sum() / curve.n_counts
                error = float(found.std(ddof=1)) * np.sqrt(len(found)) / curve.n_counts
                self._row("complete", phase, k, -each, error, seconds=seconds)
                yield k

        coarse = [k for k in GRID if low <= k <= high] or [low]
        waves = [coarse[i : i + self.n_workers] for i in range(0, len(coarse), self.n_workers)]
        for k in chain.from_iterable(visit(wave, "coarse") for wave in waves):
            place = coarse.index(k)
            if place >= PATIENCE and curve.choice() <= coarse[place - PATIENCE]:
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
            list(visit(gaps, "fine"))
        return curve

    def _announced(self, numbers: Sequence[int]) -> Iterator[int]:
        """Yield numbers of topics, telling that each is tried."""
        for k in numbers:
            self._report(0.6, f"{k} topics")
            yield k

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
        fits: dict[float, ShortFit] = {}
        function = partial(
            short_fit, sample.counts, self.encoder[sample.features], self.modality, n_steps=SHORT_STEPS,
            seed=self.seed, n_threads=self.factoriser.n_threads,
        )  # fmt: skip
        tried = [replace(base, initial_pseudocounts=value) for value in values]
        self._report(0.8, f"{k} topics, J = {', '.join(f'{value:g}' for value in values)}")
        for value, (fit, seconds) in zip(values, self.run_all(partial(timed, function), tried), strict=True):
            fits[value] = fit
            self.n_steps += fit.n_steps
            self._row(
                "complete", "prior", k, -fit.per_count, fit.error, seconds=seconds,
                initial_pseudocounts=value, n_epochs=fit.n_epochs, batch_size=base.batch_size, dropout=base.dropout,
                adam_epsilon=base.adam_epsilon,
            )  # fmt: skip
            self._report(0.8, f"{k} topics, J = {value:g} is done")
        best = max(fits.values(), key=lambda fit: fit.per_count)
        value = min(value for value, fit in fits.items() if fit.within_error_of(best))
        taken = {"initial_pseudocounts": value}
        if self.settings.shrinkage != "none":
            started = time.monotonic()
            fit = function(replace(base, initial_pseudocounts=value, shrinkage=self.settings.shrinkage))
            self.n_steps += fit.n_steps
            taken["shrinkage_power"] = fit.shrinkage_power
            self.seconds["shrinkage"] = time.monotonic() - started
        return taken

    # ---------------------------------------------------------------- stability
    def _stability(self, sample: Sample, k: int) -> Stability | None:
        if not self.n_seeds:
            return None
        started = time.monotonic()
        counts = sample.counts
        made = list(self.run_all(partial(reference, self.factoriser, counts, k), range(REFERENCES)))
        found = [item for item, _ in made]
        best = found[by_reproducibility(found)[0]]
        order = np.argsort(-best.topics.mean(0), kind="stable")
        pooled = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel() + 0.5
        pooled /= pooled.sum()
        refits = []
        for topics, n_steps in self.run_all(partial(refit, self.factoriser, counts, k), range(self.n_seeds)):
            refits.append(topics)
            self.n_steps += n_steps
            self._report(0.95, f"stability, {len(refits)} of {self.n_seeds} refits")
        self.n_steps += sum(n_steps for _, n_steps in made)
        self.seconds["stability"] = time.monotonic() - started
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
