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
from .result import Processors, SearchPlan, Tuning, trial_table
from .rule import Curve


def tune(
    counts: Any,
    *,
    modality: Modality,
    plan: SearchPlan | None = None,
    settings: TopicSettings | None = None,
    encoder_features: NDArray[np.bool_] | None = None,
    seed: int = 0,
    processors: Processors | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Choose the number of topics of one modality, and the settings that are chosen with it.

    Parameters
    ----------
    counts
        (cells, features) raw counts of the modelled features; binary for accessibility.
    modality
        ``"expression"`` or ``"accessibility"``.
    plan
        What is tried (default: the mode ``quick``).
    settings
        Settings that are not searched.
    encoder_features
        (features,) mask of features that the encoder reads (default: all).
    seed
        Fixes every random choice.
    processors
        Threads and processes (default: one).
    folder
        Where ``paper`` keeps its journal, by which a stopped search goes on and several processes, each with a call of
        its own, work on one search; None keeps none.
    progress
        Called with the fraction done and a message; may raise to stop.

    Raises
    ------
    InputError
        If the counts cannot be modelled.
    """
    settings, plan, processors = settings or TopicSettings(), plan or SearchPlan(), processors or Processors()
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
    if plan.mode == "none":
        return _by_rule(matrix, rule)
    shared: dict[str, Any] = {
        "counts": matrix,
        "encoder": encoder,
        "modality": modality,
        "settings": settings,
        "bounds": plan.bounds,
        "n_seeds": plan.n_seeds,
        "with_curve": plan.learning_curve,
        "seed": seed,
        "progress": report,
        "run_all": processors.run_all,
    }
    if plan.mode == "paper":
        from .paper import PaperSearch

        return PaperSearch(
            **shared,
            n_trials=plan.n_trials,
            n_folds=plan.n_folds,
            n_threads=processors.n_threads if processors.n_workers == 1 else 1,
            rule=rule,
            cells=filled,
            folder=folder,
        ).run()
    search = QuickSearch(
        **shared,
        n_trials=plan.n_trials or quick_trials(*plan.bounds),
        n_threads=processors.n_threads,
        n_workers=processors.n_workers,
    )
    return _quick(search, rule, filled)


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


def _quick(search: QuickSearch, rule: int, filled: NDArray[np.intp]) -> Tuning:
    """Search, and describe what was found; `filled` are the rows of the cells that have counts."""
    started = time.monotonic()
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
        baselines=search.baselines(chosen, taken, search.encoder[sample.features]),
        learning_curve=search.learning_curve,
    )


def runner_up(curve: Curve, chosen: int) -> int | None:
    """Return the neighbour of the choice, among the numbers tried, of the higher held-out likelihood."""
    tried = curve.tried
    place = tried.index(chosen)
    near = tried[max(0, place - 1) : place] + tried[place + 1 : place + 2]
    return max(near, key=curve.per_count) if near else None
