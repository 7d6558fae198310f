"""LITE and NITE models of some cells with the null distribution of their test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from mira_nb.core.regulation.explained import constant_log_likelihood, unexplained_share
from mira_nb.core.regulation.fit import RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.model import Cells, Priors
from mira_nb.core.regulation.null_distribution import NullDistribution, fit_null
from mira_nb.core.regulation.scores import NullDraw, simulate_null
from mira_nb.core.regulation.search import FitOptions
from mira_nb.typing import Floats, Progress

if TYPE_CHECKING:
    from .params import RegulationParams

FEW_NULL = 40
"""Simulated genes below which there is no null distribution."""

LITE_LIKE = (1 / 3, 1 / 2)
"""Smallest and largest fraction of the genes, those with least unexplained, from which the null is learned."""


@dataclass(frozen=True)
class Fitted:
    """A fit with its null distribution.

    Attributes
    ----------
    fit
        LITE and NITE of the genes.
    share
        (G,) fraction of the gain in log-likelihood of NITE over a constant rate that LITE does not reach.
    null
        Null distribution of the NITE test; None with too few simulated genes.
    error_share
        `share` that 5 % of the simulated genes exceed; NaN without a null distribution.
    """

    fit: RegulationFit
    share: Floats
    null: NullDistribution | None
    error_share: float


def fit_with_null(
    cells: Cells, sets: PeakSets, draw: NullDraw, params: RegulationParams, *, posterior: bool = True,
    n_threads: int, progress: Progress,
) -> Fitted:  # fmt: skip
    """Fit the genes, then genes simulated under LITE.

    Genes are simulated from the LITE models of genes with an unexplained fraction too small to be called NITE, within
    the limits of `LITE_LIKE` (in the place of `draw.among`): the LITE model of a gene that does not follow its
    chromatin says nothing about genes that do. If fewer genes than these follow LITE, the test becomes conservative.
    """
    priors = _priors(params)
    options = FitOptions(
        tolerance=params.tolerance,
        max_iterations=params.max_iterations,
        min_cells=params.min_cells,
        nearest_weight=params.nearest_weight,
    )
    part = len(sets.genes) / (len(sets.genes) + draw.n_genes)
    fit = fit_regulation(
        cells,
        sets,
        priors=priors,
        options=options,
        posterior=posterior,
        n_threads=n_threads,
        progress=lambda fraction, message: progress(part * fraction, message),
    )
    constant = constant_log_likelihood(cells.counts, cells.offset, fit.lite.theta)
    share = unexplained_share(constant, fit.lite.log_likelihood, fit.nite.log_likelihood)
    known = share[np.isfinite(share)]
    among = None
    if len(known):
        among = ~(share > np.quantile(known, np.clip(np.mean(known < params.min_share), *LITE_LIKE)))
    simulated = simulate_null(
        fit,
        cells,
        sets,
        draw=replace(draw, among=among),
        priors=priors,
        options=options,
        n_threads=n_threads,
        progress=lambda fraction, _: progress(part + (1 - part) * fraction, "null distribution of the NITE test"),
    )
    if len(simulated.statistic) < FEW_NULL:
        return Fitted(fit, share, None, float("nan"))
    null = fit_null(simulated.statistic, n_topics=cells.topics.shape[1])
    return Fitted(fit, share, null, float(np.nanquantile(simulated.unexplained, 0.95)))


def nite_pvalue(statistic: Floats, null: NullDistribution | None, params: RegulationParams, n_topics: int) -> Floats:
    """Return p-values of the NITE test under the chosen null distribution, (G,)."""
    if null is not None and params.null == "bootstrap":
        return null.pvalue(statistic)
    return np.asarray(stats.chi2.sf(np.maximum(statistic, 0), max(n_topics - 1, 1)))


def _priors(params: RegulationParams) -> Priors:
    return Priors(
        decay_median_kb=params.decay_median_kb,
        decay_log_sd=params.decay_log_variance**0.5,
        gamma_log_sd=params.gamma_log_variance**0.5,
        bias_sd=params.bias_variance**0.5,
        theta_shape=params.theta_shape,
        theta_rate=params.theta_rate,
    )
