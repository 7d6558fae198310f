"""Quick search: factorisations of a sample over a coarse, then a fine grid of K; few short fits for K and for J.

The number of topics is read from the held-out likelihood of Kullback-Leibler factorisations, the start of every fit
(:mod:`mira_nb.core.topics.nmf`), which cost a small fraction of a fit. On sparse data they overfit before the topic
model does, elsewhere later: short fits of the model itself compare their choice with its neighbours, and climb. J,
which does not matter to factorisations of expression, is compared by such fits at the chosen K.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.nmf import Factorisation
from mira_nb.core.topics.settings import Modality, TopicSettings
from mira_nb.core.topics.warmstart import by_reproducibility
from mira_nb.typing import Progress

from .baselines import baseline_table, model_score
from .factorise import SCOUT_UPDATES, STARTS, UPDATES, Factoriser, reference, refit, score_topics, start_of_fit, timed
from .held_out import completion_score, make_split
from .learning_curve import FactorisedRefit, learning_curve
from .result import LearningCurve, Map
from .rule import LEAST_GAIN, LEAST_GAIN_OF_FITS, Curve
from .sample import Sample, draw_sample
from .short_fit import ShortFit, short_fit
from .stability import Stability, assess

GRID = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100)
"""Coarse grid of the number of topics: steps of about a quarter."""

SINGLY = 10
"""Number of topics up to which short fits look downwards one by one, beyond it by the grid (chosen)."""

PATIENCE = 2
"""Coarse grid points without a worthwhile gain after which the grid is not followed further (chosen)."""

SHORT_STEPS = 150
"""Optimiser steps of a short fit (chosen: held-out likelihoods of several J then differ by more than their error)."""

LOOK_AHEAD = 2
"""Larger numbers of the grid with which short fits compare a choice that further topics must be worth (chosen)."""

SHARP_START = 2.0
"""Power of the proportions at the start that is compared with 1 (chosen: higher ones were not likelier)."""

REFERENCES = 2
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
        Trials at most: factorisations, and short fits for numbers of topics and values of J.
    n_seeds
        Refits of the stability check.
    seed, n_threads, progress
        As for a fit.
    run_all, n_workers
        As for :func:`.tune.tune`.
    with_curve
        Whether a learning curve is made after the stability check.
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
    with_curve: bool = False
    learning_curve: LearningCurve | None = None
    starts: dict[int, Factorisation] = field(default_factory=dict)
    improved: set[int] = field(default_factory=set)
    fits: dict[tuple[int, float, float], ShortFit] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    n_steps: int = 0

    def __post_init__(self) -> None:
        """Choose between the threads of this process, which serve one factorisation well, and more workers."""
        if self.n_workers <= self.n_threads:
            self.run_all, self.n_workers = map, 1
        self.factoriser = Factoriser(self.modality, self.seed, self.n_threads if self.n_workers == 1 else 1)

    def run(self) -> tuple[Curve, Curve, int, dict[str, float], Stability | None, Sample]:
        """Return both curves over K (factorisations, fits), the chosen K, J and shrinkage, stability, and sample."""
        rng = np.random.default_rng(self.seed)
        sample = draw_sample(self.counts, rng)
        self.split = make_split(sample.counts, rng)
        low, high = self.bounds
        high = min(high, min(self.split.training.shape) - 1)
        self.progress(
            0.0,
            f"up to {self.n_trials} trials and {self.n_seeds} refits on {len(sample.cells):,} cells x "
            f"{len(sample.features):,} features, about {self._work(sample):.1g} updates of topic weights",
        )
        curve = self._search(min(low, high), high)
        encoder = self.encoder[sample.features]
        fitted = self._climb(curve, encoder, min(low, high), high)
        chosen = fitted.choice() if fitted.tried else curve.choice()
        stability = self._stability(sample, chosen)
        settings = self._prior(chosen, encoder)
        return curve, fitted, chosen, settings, stability, sample

    def _work(self, sample: Sample) -> float:
        """Return the largest number of updates of single weights: counts x topics x updates of all factorisations."""
        tried = [k for k in GRID if self.bounds[0] <= k <= self.bounds[1]]
        return (
            float(sample.counts.nnz)
            * (UPDATES + STARTS * SCOUT_UPDATES)
            * (sum(tried[: self.n_trials]) + (REFERENCES + self.n_seeds) * max(tried, default=2))
        )

    # ---------------------------------------------------------------- K
    def _search(self, low: int, high: int) -> Curve:
        curve = Curve({}, self.split.profile_score(), self.split.n_scored, LEAST_GAIN)
        coarse = [k for k in GRID if low <= k <= high] or [low]
        waves = [coarse[i : i + self.n_workers] for i in range(0, len(coarse), self.n_workers)]
        for k in chain.from_iterable(self._factorised(wave, "coarse", curve) for wave in waves):
            place = coarse.index(k)
            if place >= PATIENCE and curve.choice() <= coarse[place - PATIENCE]:
                break
        # fine: all whole numbers around the choice, which may move
        for _ in range(3):
            chosen, tried = curve.choice(), curve.tried
            place = tried.index(chosen)
            first = tried[place - 1] + 1 if place else max(low, chosen - 1)
            last = tried[place + 1] - 1 if place + 1 < len(tried) else min(high, chosen + 1)
            gaps = [k for k in range(first, last + 1) if k not in curve.scores]
            if not gaps:
                break
            list(self._factorised(gaps, "fine", curve))
        return curve

    def _factorised(self, numbers: Sequence[int], phase: str, curve: Curve) -> Iterator[int]:
        """Try numbers of topics, as long as the caller wants more of them, and add their scores to the curve."""
        function = partial(timed, partial(score_topics, self.factoriser, self.split))
        new = [k for k in numbers if k not in curve.scores][: max(0, self.n_trials - len(self.rows))]
        results = self.run_all(function, self._announced(new))
        for k, ((found, start, n_steps), seconds) in zip(new, results, strict=False):
            curve.scores[k], self.starts[k] = found, start
            self.n_steps += n_steps
            each = found.sum() / curve.n_counts
            error = float(found.std(ddof=1)) * np.sqrt(len(found)) / curve.n_counts
            self._row("complete", phase, k, -each, error, seconds=seconds)
            yield k

    def _announced(self, numbers: Sequence[int]) -> Iterator[int]:
        """Yield numbers of topics, telling that each is tried."""
        for k in numbers:
            self._report(0.6, f"{k} topics")
            yield k

    # ---------------------------------------------------------------- fits
    def _climb(self, factorised: Curve, encoder: NDArray[np.bool_], low: int, high: int) -> Curve:
        """Compare the choice with its neighbours by short fits, and so on from the choice among these.

        Where the highest likelihood decides, neighbours are the next smaller and the next larger number. Where further
        topics must be worth it, they are the next two larger ones: fits of few steps tell programmes apart less
        sharply than factorisations, and would always take fewer.
        """
        curve = Curve({}, factorised.profile, factorised.n_counts, LEAST_GAIN_OF_FITS[self.modality])

        def near(k: int) -> list[int]:
            larger = [n for n in GRID if k < n <= high]
            return [*below(k, low), *larger[:1]] if curve.least_gain is None else larger[:LOOK_AHEAD]

        k = factorised.choice()
        wave = [k, *near(k)]
        while wave:
            list(self._factorised(wave, "fine", factorised))
            tried = [n for n in wave if n in self.starts][: max(0, self.n_trials - len(self.rows))]
            for (n, _), fit in self._fitted([(n, float(n)) for n in tried], encoder).items():
                curve.scores[n] = fit.scores
            if not tried:
                break
            wave = [n for n in near(curve.choice()) if n not in curve.scores]
        return curve

    def _prior(self, k: int, encoder: NDArray[np.bool_]) -> dict[str, float]:
        """Compare J = K with K / 2 by short fits, and with the default where K / 2 is worse.

        Of equally good ones the smallest is taken. The likelihood has one maximum over J: where a smaller J costs
        nothing, a larger one is not tried. The power of the shrinkage is that under which the cells held out of that
        fit are most likely: the fit of all cells has none to choose it by.
        """
        default = self.settings.initial_pseudocounts
        fits: dict[tuple[int, float], ShortFit] = {}
        for values in ((float(k), k / 2), (default,)):
            new = sum((k, value, 1.0) not in self.fits for value in values)
            if new > self.n_trials - len(self.rows):
                break
            fits |= self._fitted([(k, value) for value in values], encoder, phase="prior")
            if fits[k, k / 2].within_error_of(fits[k, float(k)]):
                break
        if not fits:
            return {"initial_pseudocounts": default}
        best = max(fits.values(), key=lambda fit: fit.per_count)
        value = min(value for (_, value), fit in fits.items() if fit.within_error_of(best))
        fit, power = self._start(k, value, encoder)
        taken = {"initial_pseudocounts": value, "start_power": power}
        if self.settings.shrinkage != "none":
            taken["shrinkage_power"] = fit.shrinkage_power
        return taken

    def _start(self, k: int, pseudocounts: float, encoder: NDArray[np.bool_]) -> tuple[ShortFit, float]:
        """Compare a start from squared proportions with the plain one; it is taken where it holds out better.

        Only for expression: factorisations of peaks have priors of their own, and squares were never likelier there.
        """
        plain = self.fits[k, pseudocounts, 1.0]
        if self.modality != "expression" or len(self.rows) >= self.n_trials:
            return plain, 1.0
        sharp = self._fitted([(k, pseudocounts)], encoder, phase="start", power=SHARP_START)[k, pseudocounts]
        return (plain, 1.0) if plain.within_error_of(sharp) else (sharp, SHARP_START)

    def baselines(self, k: int, taken: Mapping[str, Any], encoder: NDArray[np.bool_]) -> pd.DataFrame:
        """Fit the training cells of the split at the choice, and compare the fit with simpler models on the others.

        A short fit would not do: it can be worse than the factorisation it starts from and is compared with.
        """
        if len(self.split.scored.indptr) < 3:
            return pd.DataFrame()
        if not encoder.any():
            encoder = np.ones_like(encoder)
        n_threads = self.factoriser.n_threads
        settings = replace(self.settings, n_topics=k, holdout_fraction=0.0, engine="auto", **taken)
        fit = fit_topic_model(
            self.split.training, modality=self.modality, settings=settings, encoder_features=encoder, seed=self.seed,
            n_threads=n_threads, start=self.starts[k],
        )  # fmt: skip
        with Workers(n_threads) as workers:
            nmf = completion_score(
                self.starts[k].features, self.split, workers, topic_pseudocounts=self.factoriser.cell_pseudocounts
            )
        return baseline_table(self.split, k, model=model_score(fit, self.split, n_threads=n_threads), nmf=nmf)

    def _fitted(
        self,
        pairs: Sequence[tuple[int, float]],
        encoder: NDArray[np.bool_],
        *,
        phase: str = "model",
        power: float = 1.0,
    ) -> dict[tuple[int, float], ShortFit]:
        """Return short fits by (K, J), each from the factorisation with its K; each is made once by power."""
        base = replace(self.settings, holdout_fraction=0.0, engine="auto", start_power=power)
        new = [pair for pair in pairs if (*pair, power) not in self.fits]
        if self.modality == "accessibility":
            self._better_starts({k: replace(base, n_topics=k, initial_pseudocounts=float(k)) for k, _ in new})
        tried = [(replace(base, n_topics=k, initial_pseudocounts=j), self.starts[k]) for k, j in new]
        function = partial(
            short_fit, self.split, encoder, self.modality, n_steps=SHORT_STEPS, seed=self.seed,
            n_threads=self.factoriser.n_threads,
        )  # fmt: skip
        if new:
            sharper = "" if power == 1 else ", from a sharper start"
            self._report(0.8, ", ".join(f"fit of {k} topics, J = {j:g}{sharper}" for k, j in new))
        results = self.run_all(partial(timed, function), tried)
        for pair, (settings, _), (fit, seconds) in zip(new, tried, results, strict=True):
            self.fits[*pair, power] = fit
            self.n_steps += fit.n_steps
            self._row(
                "complete", phase, pair[0], -fit.per_count, fit.error, seconds=seconds,
                initial_pseudocounts=pair[1], start_power=power, n_epochs=fit.n_epochs, batch_size=settings.batch_size,
                dropout=settings.dropout, adam_epsilon=settings.adam_epsilon,
            )  # fmt: skip
            self._report(0.8, f"{pair[0]} topics, J = {pair[1]:g} is done")
        return {pair: self.fits[*pair, power] for pair in pairs}

    def _better_starts(self, settings: dict[int, TopicSettings]) -> None:
        """Replace the factorisations that fits start from by such as a whole fit would make, each once."""
        new = [k for k in settings if k not in self.improved]
        function = partial(start_of_fit, self.split, self.modality, seed=self.seed, n_threads=self.factoriser.n_threads)
        self.starts |= zip(new, self.run_all(function, [settings[k] for k in new]), strict=True)
        self.improved |= set(new)

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
        if self.with_curve:
            self._learn(counts, best.topics[:, order])
        return assess(best.topics[:, order], best.features[:, order], pooled, refits)

    def _learn(self, counts: sparse.csr_matrix, reference: NDArray[np.float32]) -> None:
        """Factorise parts of the sampled cells."""
        started = time.monotonic()
        self.learning_curve = learning_curve(
            FactorisedRefit(self.factoriser, counts, reference.shape[1]), counts, reference, seed=self.seed,
            run_all=self.run_all, report=lambda done, n: self._report(0.95, f"learning curve, {done} of {n} refits"),
        )  # fmt: skip
        self.seconds["learning_curve"] = time.monotonic() - started

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


def below(k: int, low: int) -> list[int]:
    """Return the next smaller number of topics that fits try: one less, or that of the grid beyond :data:`SINGLY`."""
    smaller = k - 1 if k <= SINGLY else max(n for n in GRID if n < k)
    return [smaller] if smaller >= low else []


def quick_trials(low: int, high: int) -> int:
    """Return how many trials a quick search takes at most: coarse grid, gaps of the fine one, fits of K and of J.

    Fits may follow the grid upwards or go down one by one, and J takes two more, the start one.
    """
    coarse = [k for k in GRID if low <= k <= high]
    widest = max((b - a - 1 for a, b in pairwise(coarse)), default=0)
    return len(coarse) + 2 * min(widest, 8) + 1 + max(len(coarse), min(high, SINGLY)) + 3
