"""Diagnostics of a topic model: predictive checks, held-out baselines, and correlation with technical columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import cell_depths

from .compute import TopicsOutput

if TYPE_CHECKING:
    from mudata import MuData
    from scipy import sparse

    from mira_nb.core.topics.diagnostics import Predictive

MAX_COLUMNS = 10
"""Numeric annotations of the cells, beyond depth, that topics are correlated with at most."""


@dataclass(frozen=True)
class Diagnostics:
    """What tells whether a fit describes its data.

    Attributes
    ----------
    predictive
        Observed and expected moments.
    baselines
        method, log_likelihood, model_gain, standard_error, n_cells; those of the tuning when this fit held out no cell,
        empty without both.
    technical
        topic, column, spearman.
    expected_effective
        Median effective number of topics per cell that the fitted prior expects.
    """

    predictive: Predictive
    baselines: pd.DataFrame
    technical: pd.DataFrame
    expected_effective: float

    def checks(self, kind: str) -> pd.DataFrame:
        """Return a summary of the predictive checks: check, observed, expected, correlation, n.

        Parameters
        ----------
        kind
            Kind of feature, which names the checks.
        """
        p = self.predictive
        pairs = {
            f"mean per {kind}": p.mean,
            f"variance per {kind}": p.variance,
            f"fraction of zeros per {kind}": p.zeros,
            f"{kind}s detected per cell": p.detected,
        }
        if p.depth_sd.any():
            pairs["depth per cell"] = p.depth
        rows = [(name, *(float(v) for v in values.mean(0)), _correlation(values), len(values))
                for name, values in pairs.items()]  # fmt: skip
        return pd.DataFrame(rows, columns=["check", "observed", "expected", "correlation", "n"])


def _correlation(values: np.ndarray) -> float:
    return float(np.corrcoef(values.T)[0, 1]) if (values.std(0) > 0).all() else float("nan")


def diagnose(fitted: TopicsOutput, data: MuData, context: Context) -> Diagnostics:
    """Compute the diagnostics of a fit; draws come from generators of their own, so that the fit stays as it is."""
    from mira_nb.core.topics.data import check_counts
    from mira_nb.core.topics.diagnostics import expected_effective_number, predictive

    fit = fitted.fit
    counts = check_counts(fitted.counts, fit.modality)
    return Diagnostics(
        predictive(counts, fit.decoder, fit.topics, fit.read_depth),
        _baselines(fitted, counts, context),
        technical_correlation(fitted.topics, technical_columns(data, fitted.modality)),
        expected_effective_number(fit.alpha, np.random.default_rng([context.seed, 22])),
    )


def _baselines(fitted: TopicsOutput, counts: sparse.csr_matrix, context: Context) -> pd.DataFrame:
    from mira_nb.core.topics.data import part_of_cells
    from mira_nb.core.tuning.baselines import COLUMNS, MAX_VALUES, compare_baselines

    fit = fitted.fit
    if fitted.n_held_out:
        rng = np.random.default_rng([context.seed, 21])
        training, held_out = np.flatnonzero(~fit.held_out), np.flatnonzero(fit.held_out)
        # a copy of all of them would be the largest array there is
        part = counts[part_of_cells(counts, training, MAX_VALUES, rng)]
        return compare_baselines(
            fit, part, counts[held_out], rng, n_threads=context.n_threads, n_training=len(training)
        )  # fmt: skip
    known = fitted.tuned.baselines
    return known if len(known) else pd.DataFrame(columns=COLUMNS)


def technical_columns(data: MuData, modality: str) -> pd.DataFrame:
    """Return depth and the numeric annotations of the cells as the user gave them, those that vary."""
    depths = cell_depths(data)
    chosen = ["n_counts", "n_genes"] if modality == "rna" else ["n_peaks"]
    frame = depths[chosen].copy()
    given = data.mod[modality].obs.select_dtypes("number")
    for name in given.columns[:MAX_COLUMNS]:
        if name not in frame:
            frame[str(name)] = given[name].to_numpy(float)
    return frame.loc[:, [frame[name].nunique(dropna=True) > 1 for name in frame]]


def technical_correlation(topics: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation over cells of every topic with every column: topic, column, spearman."""
    ranks, others = topics.rank().to_numpy(), columns.rank()
    rows = []
    for t, name in enumerate(topics.columns):
        for column in others:
            values = others[column].to_numpy()
            known = np.isfinite(values)
            pair = np.column_stack([ranks[known, t], values[known]])
            rows.append((name, column, _correlation(pair)))
    return pd.DataFrame(rows, columns=["topic", "column", "spearman"])
