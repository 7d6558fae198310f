"""The published search (Extended Methods, Hyperparameter optimization).

A tree-structured Parzen estimator suggests number of topics, prior, Adam's epsilon, dropout, batch size and epochs;
each trial is cross-validated on the training cells and ended early by successive halving; the best five are retrained
on all training cells and compared on cells kept out of the search. J is searched too, so the loss is the negative
held-out log-likelihood per count: ELBOs under different priors cannot be compared. See ``docs/decisions/12-tuning.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import Modality, TopicSettings
from mira_nb.typing import Progress

from .baselines import compare_baselines
from .folds import TrialData, TrialResult, TrialTask, held_out_loss, run_trial
from .halving import penalty
from .held_out import split_cells
from .learning_curve import FittedRefit, learning_curve
from .result import LearningCurve, Map, Tuning, trial_table
from .shared import work_through
from .stability import Stability, assess
from .study import BATCH, TuningStudy, settings_of, study_name

LARGE = 5000
"""Cells above which data count as large (chosen; the paper names no number)."""

TRIALS_SMALL, TRIALS_LARGE = 75, 32
"""Trials for small and for large data (Extended Methods)."""

FINALISTS = 5
"""Best trials that are retrained and compared on held-out cells (Extended Methods)."""

SETTLED = 8
"""The search ends when so many suggestions in a row lie within one topic."""

TEST_FRACTION = 0.1
"""Fraction of the cells that only the finalists are compared on (chosen)."""

SEARCHED = ("initial_pseudocounts", "adam_epsilon", "dropout", "batch_size", "n_epochs")


def settled(numbers: Sequence[int]) -> bool:
    """Return whether the last eight suggestions lie within one topic of each other."""
    last = numbers[-SETTLED:]
    return len(last) == SETTLED and max(last) - min(last) <= 1


@dataclass
class PaperSearch:
    """One search; call :meth:`run`. The arguments are those of :func:`.tune.tune`, with checked counts."""

    counts: sparse.csr_matrix
    encoder: NDArray[np.bool_]
    modality: Modality
    settings: TopicSettings
    bounds: tuple[int, int]
    n_trials: int | None
    n_folds: int
    n_seeds: int
    seed: int
    n_threads: int
    progress: Progress
    rule: int
    cells: NDArray[np.intp]
    folder: Path | None = None
    run_all: Map = map
    with_curve: bool = False
    learning_curve: LearningCurve | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    n_steps: int = 0

    def __post_init__(self) -> None:
        """Split the cells and open the study."""
        self.n_trials = self.n_trials or (TRIALS_LARGE if self.counts.shape[0] > LARGE else TRIALS_SMALL)
        training, test = split_cells(self.counts, np.random.default_rng([self.seed, 13]), fraction=TEST_FRACTION)
        self.training, self.test = self.counts[training], self.counts[test]
        self.base = replace(self.settings, restarts=1, holdout_fraction=0.0, shrinkage="none")
        high = min(self.bounds[1], min(self.training.shape) * (self.n_folds - 1) // self.n_folds - 1)
        name = study_name(self.counts, self.modality, self.settings, self.bounds, self.n_folds, self.seed)
        low = min(self.bounds[0], high)
        self.study = TuningStudy(name, self.folder, (low, high), self.training.shape[0], self.seed)
        self.trial = partial(
            run_trial,
            TrialData(self.training, self.encoder, self.modality, self.n_folds, self.seed, self.n_threads),
        )
        pooled = np.asarray(self.training.sum(axis=0, dtype=np.float64)).ravel() + 0.5
        totals = np.asarray(self.test.sum(axis=0, dtype=np.float64)).ravel()
        self.profile_loss = -float(totals @ np.log(pooled / pooled.sum())) / float(totals.sum())

    def run(self) -> Tuning:
        """Search, compare the finalists, and refit the best."""
        started = time.monotonic()
        self._search()
        trials = self.study.trials()[: self.n_trials]
        done = [trial for trial in trials if trial.value is not None]
        compared = self._compare(done)
        best = min(compared, key=lambda number: compared[number])
        chosen = settings_of(self.study.trials()[best].params, self.base)
        stability = self._stability(chosen) if self.n_seeds else None
        others = [number for number in compared if self._topics(number) != self._topics(best)]
        second = min(others, key=lambda number: compared[number]) if others else None
        curve, one_se = fold_curve(done, self.profile_loss)
        self.seconds["total"] = time.monotonic() - started
        return Tuning(
            mode="paper",
            n_topics=int(chosen.n_topics),
            settings={name: getattr(chosen, name) for name in SEARCHED} | {"holdout_fraction": 0.0},
            size_rule=self.rule,
            best_n_topics=int(curve["n_topics"].to_numpy()[_lowest(curve)]),
            one_standard_error=one_se,
            runner_up=None if second is None else self._topics(second),
            runner_up_gap=float("nan") if second is None else compared[second] - compared[best],
            profile_loss=self.profile_loss,
            trials=trial_table([*(self._row(trial) for trial in done), *self._finalist_rows(compared, len(done))]),
            curve=curve,
            stability=stability,
            cells=self.cells,
            n_features=self.counts.shape[1],
            n_steps=self.n_steps,
            importances=self.study.importances(),
            seconds=self.seconds,
            baselines=self._baselines(chosen),
            learning_curve=self.learning_curve,
        )

    # ---------------------------------------------------------------- search
    def _search(self) -> None:
        total = int(self.n_trials or 0)
        for number in range(-(-total // BATCH)):
            before = [trial for trial in self.study.trials()[: number * BATCH] if trial.value is not None]
            if settled([int(trial.params["n_topics"]) for trial in before]):
                return
            batch = self.study.batch(number, min(BATCH, total - number * BATCH))
            earlier = tuple(tuple(trial.user_attrs["fold_losses"]) for trial in before)
            # workers end at about the same time when the longest trials start first
            tasks = {
                f"trial {trial.number}": TrialTask(settings_of(trial.params, self.base), earlier)
                for trial in sorted(batch, key=lambda trial: -trial.params["n_epochs"])
            }
            self._say(total)
            self._work_through(
                tasks, self.trial, self._has_value, partial(self._finish, total), partial(self._say, total)
            )

    def _work_through(
        self, tasks: Mapping[str, Any], function: Callable[[Any], Any], is_done: Callable[[str], bool],
        store: Callable[[str, Any], None], waiting: Callable[[], None],
    ) -> None:  # fmt: skip
        work_through(
            tasks, function, claims=self.study.claims, run_all=self.run_all, is_done=is_done, store=store,
            waiting=waiting,
        )  # fmt: skip

    def _trial(self, name: str) -> Any:
        return self.study.trials()[int(name.split()[1])]

    def _has_value(self, name: str) -> bool:
        return self._trial(name).value is not None

    def _finish(self, total: int, name: str, result: TrialResult) -> None:
        mean = sum(result.losses) / len(result.losses)
        value = mean + (penalty(len(result.losses)) if result.pruned else 0.0)
        self.study.finish(self._trial(name), result.losses, value, pruned=result.pruned, n_steps=result.n_steps)
        self.seconds[name] = result.seconds
        self._say(total)

    def _say(self, total: int) -> None:
        done = [trial for trial in self.study.trials() if trial.value is not None]
        best = min(done, key=lambda trial: trial.value, default=None)
        found = "" if best is None else f"; best {best.params['n_topics']} topics, loss {best.value:.4f} nats per count"
        self.progress(0.8 * len(done) / max(total, 1), f"trial {min(len(done) + 1, total)} of {total}{found}")

    # ---------------------------------------------------------------- finalists
    def _compare(self, done: Sequence[Any]) -> dict[int, float]:
        """Return the test loss of the best trials, retrained on all training cells, by number of the trial."""
        order = sorted(done, key=lambda trial: (bool(trial.user_attrs["pruned"]), trial.value, trial.number))
        best = {f"finalist {trial.number}": trial for trial in order[:FINALISTS]}

        def say() -> None:
            n = sum(self.study.kept(name) is not None for name in best)
            self.progress(0.8 + 0.1 * n / FINALISTS, f"{n} of {len(best)} finalists compared on held-out cells")

        def store(name: str, result: tuple[float, float]) -> None:
            self.study.keep(name, result[0])
            self.seconds[name] = result[1]
            say()

        say()
        tasks = {name: settings_of(trial.params, self.base) for name, trial in best.items()}
        function = partial(finalist_loss, self.trial.args[0], self.test)
        self._work_through(tasks, function, lambda name: self.study.kept(name) is not None, store, say)
        return {trial.number: float(self.study.kept(name)) for name, trial in best.items()}

    def _topics(self, number: int) -> int:
        return int(self.study.trials()[number].params["n_topics"])

    def _baselines(self, settings: TopicSettings) -> pd.DataFrame:
        """Fit the training cells at the choice, and compare it with simpler models on the cells kept out."""
        fit = fit_topic_model(
            self.training, modality=self.modality, settings=settings, encoder_features=self.encoder, seed=self.seed,
            n_threads=self.n_threads,
        )  # fmt: skip
        rng = np.random.default_rng([self.seed, 21])
        return compare_baselines(fit, self.training, self.test, rng, n_threads=self.n_threads)

    def _stability(self, settings: TopicSettings) -> Stability:
        started = time.monotonic()
        topics: list[NDArray[np.float32]] = []
        profiles: list[NDArray[np.float32]] = []
        function = partial(refit, self.counts, self.encoder, self.modality, settings, self.n_threads)
        n_fits = self.n_seeds + 1
        self.progress(0.9, f"stability, fit 1 of {n_fits}")
        for fitted, features in self.run_all(function, [self.seed + 1000 * number for number in range(n_fits)]):
            topics.append(fitted)
            profiles.append(features)
            self.progress(0.9 + 0.1 * len(topics) / n_fits, f"stability, {len(topics)} of {n_fits} fits")
        self.seconds["stability"] = time.monotonic() - started
        pooled = np.asarray(self.counts.sum(axis=0, dtype=np.float64)).ravel() + 0.5
        stability = assess(topics[0], profiles[0], pooled / pooled.sum(), topics[1:])
        if self.with_curve:
            self._learn(settings, stability)
        return stability

    def _learn(self, settings: TopicSettings, stability: Stability) -> None:
        """Fit parts of the cells; the refits of the stability check are those of all cells from other seeds."""
        started = time.monotonic()
        self.learning_curve = learning_curve(
            FittedRefit(self.counts, self.encoder, self.modality, settings, self.seed, self.n_threads), self.counts,
            stability.topics, seed=self.seed, run_all=self.run_all, whole=stability.matched,
            report=lambda done, total: self.progress(1.0, f"learning curve, {done} of {total} fits"),
        )  # fmt: skip
        self.seconds["learning_curve"] = time.monotonic() - started

    # ---------------------------------------------------------------- record
    def _row(self, trial: Any) -> dict[str, Any]:
        settings, losses = settings_of(trial.params, self.base), trial.user_attrs["fold_losses"]
        pruned, n = bool(trial.user_attrs["pruned"]), len(losses)
        self.n_steps += int(trial.user_attrs["n_steps"])
        reason = f"after fold {n} not among the best third of the earlier trials that reached it" if pruned else ""
        return {
            "trial": trial.number, "state": "pruned" if pruned else "complete", "phase": "search",
            "n_topics": settings.n_topics, **{name: getattr(settings, name) for name in SEARCHED},
            "loss": trial.value, "loss_se": _error(losses), "penalty": penalty(n) if pruned else 0.0, "folds": n,
            "fold_losses": " ".join(f"{loss:.6f}" for loss in losses), "reason": reason,
        }  # fmt: skip

    def _finalist_rows(self, compared: dict[int, float], first: int) -> list[dict[str, Any]]:
        trials, rows = self.study.trials(), []
        for place, (number, loss) in enumerate(compared.items()):
            settings = settings_of(trials[number].params, self.base)
            rows.append(
                {"trial": first + place, "state": "compared", "phase": "finalists", "n_topics": settings.n_topics,
                 **{name: getattr(settings, name) for name in SEARCHED}, "loss": loss, "reason": f"trial {number}"}
            )  # fmt: skip
        return rows


def finalist_loss(data: TrialData, test: sparse.csr_matrix, settings: TopicSettings) -> tuple[float, float]:
    """Return loss on the test cells of a fit to all training cells, nats per count, and the seconds it took."""
    started = time.monotonic()
    loss, _ = held_out_loss(
        data.counts, test, data.encoder, data.modality, settings, seed=data.seed, n_threads=data.n_threads
    )
    return loss, time.monotonic() - started


def refit(
    counts: sparse.csr_matrix, encoder: NDArray[np.bool_], modality: Modality, settings: TopicSettings, n_threads: int,
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Return topics (cells, K) and feature proportions (features, K) of a fit to all cells from one seed."""
    fit = fit_topic_model(
        counts, modality=modality, settings=settings, encoder_features=encoder, seed=seed, n_threads=n_threads
    )
    profiles = fit.decoder.composition(np.eye(fit.n_topics)).T
    return fit.topics.astype(np.float32), profiles.astype(np.float32)


def _error(losses: Sequence[float]) -> float:
    return float(np.std(losses, ddof=1) / np.sqrt(len(losses))) if len(losses) > 1 else float("nan")


def _lowest(curve: pd.DataFrame) -> int:
    return int(curve["loss"].to_numpy().argmin())


def fold_curve(done: Sequence[Any], profile_loss: float) -> tuple[pd.DataFrame, int]:
    """Return the lowest loss by number of topics with its standard error over folds, and the one-standard-error choice.

    Trials ended early count only where none of their number of topics came to its end.
    """
    lowest: dict[int, Any] = {}
    for trial in sorted(done, key=lambda item: (bool(item.user_attrs["pruned"]), item.value)):
        lowest.setdefault(int(trial.params["n_topics"]), trial)
    rows = []
    for k in sorted(lowest):
        loss, error = float(lowest[k].value), np.nan_to_num(_error(lowest[k].user_attrs["fold_losses"]))
        rows.append((k, loss, loss - error, loss + error, profile_loss - loss))
    frame = pd.DataFrame(rows, columns=["n_topics", "loss", "loss_low", "loss_high", "gain"])
    limit = float(frame["loss_high"].to_numpy()[_lowest(frame)])
    return frame, int(frame.loc[frame["loss"] <= limit, "n_topics"].min())
