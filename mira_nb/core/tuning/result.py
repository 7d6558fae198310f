"""What a tuning returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .stability import Stability

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Applies a function to independent items, as ``map`` does; results come in the order of the items."""

Mode = Literal["paper", "quick", "none"]


@dataclass(frozen=True)
class SearchPlan:
    """What a tuning tries.

    Attributes
    ----------
    mode
        ``"paper"``, ``"quick"`` or ``"none"`` (the size rule).
    bounds
        Smallest and largest number of topics.
    n_trials
        Trials at most; None takes the mode's own number.
    n_folds, n_seeds
        Folds of the cross-validation (``paper``); refits of the stability check, 0 for none.
    learning_curve
        Whether parts of the cells are fitted as well; for that the stability check must be made.
    """

    mode: Mode = "quick"
    bounds: tuple[int, int] = (2, 40)
    n_trials: int | None = None
    n_folds: int = 5
    n_seeds: int = 5
    learning_curve: bool = False


@dataclass(frozen=True)
class Processors:
    """Over what the work is spread; results do not depend on it.

    Attributes
    ----------
    n_threads
        Threads of the compiled loops.
    run_all
        Applies a function to independent trials and refits, as ``map`` does.
    n_workers
        Processes that `run_all` spreads its work over; with more than one, each task takes one thread. The mode
        ``quick`` uses them when they are more than `n_threads`.
    """

    n_threads: int = 1
    run_all: Map = map
    n_workers: int = 1


@dataclass(frozen=True)
class LearningCurve:
    """Topics of models of fewer cells, compared with those of all cells (:mod:`.learning_curve`).

    Attributes
    ----------
    table
        One row per refit and topic of the model of all cells: fraction (of the cells), n_cells, repeat, topic (from 1),
        correlation (over all cells, with its match). Fraction 1: other seeds.
    summary
        One row per fraction: fraction, n_cells, n_refits; correlation (mean over topics, of the median refit),
        correlation_low and correlation_high (lowest and highest refit); log_likelihood (nats per count of cells that no
        part has, mean over refits); gain and gain_se (over the row before, paired over these cells). NaN for the
        fraction 1.
    n_kept_out
        Cells that no part has.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    n_kept_out: int

    def at(self, fraction: float) -> pd.Series:
        """Return the row of the summary of a fraction of the cells."""
        return self.summary.iloc[int((self.summary["fraction"] - fraction).abs().to_numpy().argmin())]

    def shortfall(self, fraction: float = 0.5) -> float:
        """Return by how much the correlation of a part stays below that of all cells from other seeds."""
        return float(self.at(1.0)["correlation"] - self.at(fraction)["correlation"])

    def lost(self, least: float, fraction: float = 0.5) -> list[int]:
        """Return the topics found from a correlation on by the median refit of all cells, but not by that of a part."""
        found = self.table.pivot_table(index="topic", columns="fraction", values="correlation", aggfunc="median")
        part = found.columns[int(np.abs(found.columns.to_numpy(float) - fraction).argmin())]
        return [int(topic) for topic in found.index[(found[part] < least) & (found[1.0] >= least)]]


TRIAL_COLUMNS = (
    "trial", "state", "phase", "n_topics", "initial_pseudocounts", "start_power", "adam_epsilon", "dropout",
    "batch_size", "n_epochs",
    "loss", "loss_se", "penalty", "folds", "fold_losses", "reason",
)  # fmt: skip
"""Columns of the table of trials; what a mode does not vary stays empty."""


@dataclass(frozen=True)
class Tuning:
    """Result of a tuning.

    Attributes
    ----------
    mode
        How it was searched.
    n_topics
        The choice.
    settings
        Other settings of the topic model that were chosen, by name.
    size_rule
        What the size rule would have taken.
    best_n_topics
        Number of topics of the lowest loss.
    one_standard_error
        Smallest number of topics within one standard error of it.
    runner_up
        Next best number of topics, None when one was tried.
    runner_up_gap
        By how much its loss is higher, nats per count (negative: lower, but not by enough).
    profile_loss
        Loss of the mean profile, nats per count.
    trials
        One row per trial, :data:`TRIAL_COLUMNS`; loss: negative held-out log-likelihood per count, nats.
    curve
        One row per number of topics: n_topics, loss, loss_low, loss_high (one standard error of the difference from the
        best), gain (per count over the mean profile).
    fitted
        The same by short fits of the topic model (``quick``): the choice of the curve and its neighbours; else empty.
    stability
        Refits of the choice; None without.
    cells, n_features
        Positions of the cells, and number of features, that the search read.
    n_steps
        Optimiser steps and updates of factorisations that it took.
    importances
        By parameter, fraction of the loss's variance it explains (empty where too few trials vary it).
    seconds
        Seconds by phase and trial.
    baselines
        Held-out likelihood of a fit at the choice and of simpler models of the same rank, as from
        :func:`.baselines.baseline_table`; empty without such a fit.
    learning_curve
        Refits of parts of the cells; None where none were asked for or the cells are too few.
    """

    mode: Mode
    n_topics: int
    settings: Mapping[str, Any]
    size_rule: int
    best_n_topics: int
    one_standard_error: int
    runner_up: int | None
    runner_up_gap: float
    profile_loss: float
    trials: pd.DataFrame
    curve: pd.DataFrame
    stability: Stability | None
    cells: NDArray[np.intp]
    n_features: int
    n_steps: int
    importances: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    fitted: pd.DataFrame = field(default_factory=pd.DataFrame)
    baselines: pd.DataFrame = field(default_factory=pd.DataFrame)
    learning_curve: LearningCurve | None = None


def trial_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the trials with all columns, by number."""
    frame = pd.DataFrame(rows, columns=list(TRIAL_COLUMNS))
    return frame.sort_values("trial", kind="stable").reset_index(drop=True)
