"""Tune a topic model: one function for all modes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.topics.data import MIN_CELLS, check_counts, check_encoder
from mira_nb.core.topics.settings import Modality, TopicSettings, topics_for_size
from mira_nb.errors import InputError
from mira_nb.typing import Progress

from .quick import QuickSearch, quick_trials
from .result import Map, Mode, Tuning, trial_table
from .rule import Curve


def tune(
    counts: Any,
    *,
    modality: Modality,
    mode: Mode = "quick",
    settings: TopicSettings | None = None,
    encoder_features: NDArray[np.bool_] | None = None,
    bounds: tuple[int, int] = (2, 40),
    n_trials: int | None = None,
    n_folds: int = 5,
    n_seeds: int = 5,
    seed: int = 0,
    n_threads: int = 1,
    folder: Path | None = None,
    run_all: Map = map,
    n_workers: int = 1,
    progress: Progress | None = None,
) -> Tuning:
    """Choose the number of topics of one modality, and the settings that are chosen with it.

    Parameters
    ----------
    counts
        (cells, features) raw counts of the modelled features; binary for accessibility.
    modality
        ``"expression"`` or ``"accessibility"``.
    mode
        ``"paper"``, ``"quick"`` or ``"none"`` (the size rule).
    settings
        Settings that are not searched.
    encoder_features
        (features,) mask of features that the encoder reads (default: all).
    bounds
        Smallest and largest number of topics.
    n_trials
        Trials at most; None takes the mode's own number.
    n_folds, n_seeds
        Folds of the cross-validation (``paper``); refits of the stability check, 0 for none.
    seed
        Fixes every random choice.
    n_threads
        Threads of the compiled loops (the result does not depend on them).
    folder
        Where ``paper`` keeps its journal, by which a stopped search goes on and several processes, each with a call of
        its own, work on one search; None keeps none.
    run_all
        Applies a function to independent trials and refits, as ``map`` does; the result does not depend on how.
    n_workers
        Processes that `run_all` spreads its work over; with more than one, each task takes one thread. The mode
        ``quick`` uses them when they are more than `n_threads`.
    progress
        Called with the fraction done and a message; may raise to stop.

    Raises
    ------
    InputError
        If the counts cannot be modelled.
    """
    settings = settings or TopicSettings()
    report = progress or (lambda fraction, message: None)
    matrix = check_counts(counts, modality)
    encoder = check_encoder(encoder_features, matrix.shape[1], modality)
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if len(filled) < MIN_CELLS:
        raise InputError(
            f"{len(filled)} of {matrix.shape[0]} cells have {modality} counts in the modelled features",
            expected=f"at least {MIN_CELLS} cells",
        )
    matrix = matrix if len(filled) == matrix.shape[0] else matrix[filled]
    rule = size_rule(matrix, modality)
    if mode == "none":
        return _by_rule(matrix, rule)
    if mode == "paper":
        from .paper import PaperSearch

        return PaperSearch(
            matrix, encoder, modality, settings, bounds, n_trials, n_folds, n_seeds, seed,
            n_threads if n_workers == 1 else 1, report, rule, filled, folder, run_all,
        ).run()  # fmt: skip
    return _quick(
        matrix, encoder, modality, settings, bounds, n_trials, n_seeds, seed, n_threads, report, rule, filled, run_all,
        n_workers,
    )  # fmt: skip


EMPTY_CURVE = pd.DataFrame(columns=["n_topics", "loss", "loss_low", "loss_high", "gain"])
"""Curve of a tuning that tried nothing."""


def size_rule(counts: sparse.csr_matrix, modality: Modality) -> int:
    """Return the number of topics that a fit would take without tuning."""
    median = float(np.median(np.asarray(counts.sum(axis=1)).ravel()))
    return max(2, min(topics_for_size(counts.shape[0], median, modality), min(counts.shape) - 1))


def _by_rule(counts: sparse.csr_matrix, rule: int) -> Tuning:
    return Tuning(
        mode="none", n_topics=rule, settings={}, size_rule=rule, best_n_topics=rule, one_standard_error=rule,
        runner_up=None, runner_up_gap=float("nan"), profile_loss=float("nan"), trials=trial_table([]),
        curve=EMPTY_CURVE, stability=None, cells=np.arange(counts.shape[0]), n_features=counts.shape[1], n_steps=0,
    )  # fmt: skip


def _quick(
    counts: sparse.csr_matrix, encoder: NDArray[np.bool_], modality: Modality, settings: TopicSettings,
    bounds: tuple[int, int], n_trials: int | None, n_seeds: int, seed: int, n_threads: int, progress: Progress,
    rule: int, filled: NDArray[np.intp], run_all: Map, n_workers: int,
) -> Tuning:  # fmt: skip
    started = time.monotonic()
    budget = n_trials or quick_trials(*bounds)
    search = QuickSearch(
        counts, encoder, modality, settings, bounds, budget, n_seeds, seed, n_threads, progress, run_all, n_workers
    )
    curve, fitted, chosen, taken, stability, sample = search.run()
    judge = fitted if len(fitted.tried) > 1 else curve
    other = runner_up(judge, chosen)
    return Tuning(
        mode="quick",
        n_topics=chosen,
        settings={**taken, "holdout_fraction": 0.0},
        size_rule=rule,
        best_n_topics=curve.best,
        one_standard_error=curve.one_standard_error(),
        runner_up=other,
        runner_up_gap=float("nan") if other is None else judge.per_count(chosen) - judge.per_count(other),
        profile_loss=-float(curve.profile.sum()) / curve.n_counts,
        trials=trial_table(search.rows),
        curve=curve.table(),
        fitted=fitted.table() if fitted.tried else EMPTY_CURVE,
        stability=stability,
        cells=filled[sample.cells],
        n_features=len(sample.features),
        n_steps=search.n_steps,
        seconds={**search.seconds, "total": time.monotonic() - started},
        baselines=search.baselines(chosen, taken["initial_pseudocounts"]),
    )


def runner_up(curve: Curve, chosen: int) -> int | None:
    """Return the neighbour of the choice, among the numbers tried, of the higher held-out likelihood."""
    tried = curve.tried
    place = tried.index(chosen)
    near = tried[max(0, place - 1) : place] + tried[place + 1 : place + 2]
    return max(near, key=curve.per_count) if near else None
