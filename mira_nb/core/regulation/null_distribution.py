"""Null distribution of the NITE test: a chi-square whose scale differs between genes.

The statistic of one gene that follows LITE is about a chi-square, times a factor for the errors of accessibility that
it contains. That factor differs between genes: it is small for a weakly expressed gene beside well-measured peaks,
large for a strongly expressed one beside a few rare peaks. Over all genes the statistics therefore have a heavier tail
than a gamma distribution of the same body. Here log factors are normal over genes, so that p = E[ S(x / (m exp(s Z))) ]
with the upper tail S of the chi-square, Z standard normal, m the `scale` and s the `spread`. Without spread this is
the scaled chi-square itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from mira_nb.typing import Floats

OUTLIER: Final = 1e-3
"""Upper tail from which a simulated gene counts as an outlier."""

KNOWN: Final = 0.85
"""Fraction of the simulated statistics, the smallest, whose values are fitted; the others are only larger."""

WIDEST: Final = 4.0
"""Largest spread of the log factor (chosen, no source: 0.6 to 1 on the data seen)."""

LEAST: Final = 1e-6
"""Statistics below it count as it."""

FEWEST: Final = 20
"""Simulated statistics from which a distribution is fitted."""

_Z: Final = np.linspace(-10.0, 10.0, 201)
_WEIGHTS: Final = stats.norm.pdf(_Z) / stats.norm.pdf(_Z).sum()
"""Grid of Z; equal steps are exact for smooth functions that vanish at the ends."""


@dataclass(frozen=True)
class NullDistribution:
    """Distribution of Lambda for genes that follow LITE.

    Attributes
    ----------
    scale, spread
        Median factor of the chi-square and standard deviation of the log factor over genes.
    statistics
        Simulated statistics, one a simulated gene.
    chi2_df
        Degrees of freedom of the chi-square, K - 1.
    chi2_rate, null_rate
        Fraction of simulated genes with p < 0.05 under the textbook chi-square; the same under the fitted
        distribution, each half of the simulated genes judged by the one fitted to the other half, outliers left out.
    outliers
        Simulated genes far beyond the distribution (p < :data:`OUTLIER`). LITE had fitted errors of the accessibility
        estimates there, as it does for genes that do not follow their chromatin; the new estimates have other errors.
    """

    scale: float
    spread: float
    statistics: Floats
    chi2_df: int
    chi2_rate: float
    null_rate: float
    outliers: int = 0

    def pvalue(self, statistic: NDArray) -> Floats:
        """Return the upper tail of the fitted distribution; NaN stays NaN."""
        return upper_tail(statistic, scale=self.scale, spread=self.spread, df=self.chi2_df)


def upper_tail(statistic: NDArray, *, scale: float, spread: float, df: int) -> Floats:
    """Return P(Lambda > statistic) for a chi-square times a log-normal factor.

    Parameters
    ----------
    statistic
        Values of any shape; below 0 as 0, NaN stays NaN.
    scale
        Median of the factor.
    spread
        Standard deviation of the log factor; 0: the scaled chi-square.
    df
        Degrees of freedom of the chi-square.
    """
    values = np.maximum(np.asarray(statistic, dtype=np.float64), 0.0) / scale
    if spread == 0:
        return np.asarray(stats.chi2.sf(values, df), dtype=np.float64)
    return np.asarray(stats.chi2.sf(values[..., None] * np.exp(-spread * _Z), df) @ _WEIGHTS, dtype=np.float64)


def _most_likely(statistics: NDArray, df: int) -> tuple[float, float]:
    """Return the scale and the spread of highest likelihood, values above the quantile :data:`KNOWN` censored there.

    Censored because the genes to simulate cannot be chosen free of genes that do not follow LITE: a tenth of outliers
    ten times as large as the rest doubles the mean, and would make the test blind. By likelihood rather than by two
    quantiles because these vary twice as much from one simulation to the next.
    """
    values = np.maximum(np.asarray(statistics, dtype=np.float64), LEAST)
    limit = float(np.quantile(values, KNOWN))
    logs, n_above = np.log(values[values <= limit]), int((values > limit).sum())

    def loss(x: NDArray) -> float:
        log_scale, spread = x
        part = logs[:, None] - log_scale - spread * _Z
        density = np.exp(0.5 * (df * part - np.exp(part))) @ _WEIGHTS  # of the log statistic, up to a constant
        above = float(upper_tail(np.array(limit), scale=float(np.exp(log_scale)), spread=float(spread), df=df))
        return -float(np.log(density + 1e-300).sum() + n_above * np.log(above + 1e-300))

    middle = float(np.log(np.median(values) / stats.chi2.median(df)))
    bounds = [(middle - 10.0, middle + 10.0), (0.0, WIDEST)]
    log_scale, spread = optimize.minimize(loss, [middle, 0.5], method="Nelder-Mead", bounds=bounds).x
    return float(np.exp(log_scale)), float(spread)


def fit_null(statistics: NDArray, *, n_topics: int) -> NullDistribution:
    """Fit the null distribution to statistics of genes simulated under LITE.

    Parameters
    ----------
    statistics
        Lambda of the simulated genes; those that are not finite are left out.
    n_topics
        Number of accessibility topics K.

    Raises
    ------
    ValueError
        Fewer than :data:`FEWEST` finite statistics.
    """
    values = np.asarray(statistics, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < FEWEST:
        raise ValueError(f"{len(values)} simulated statistics; at least {FEWEST} are needed for a null distribution")
    df = max(n_topics - 1, 1)

    def tail(judged: NDArray, fitted: tuple[float, float]) -> Floats:
        return upper_tail(judged, scale=fitted[0], spread=fitted[1], df=df)

    found = _most_likely(values, df)
    inside = values[tail(values, found) >= OUTLIER]
    halves = inside[::2], inside[1::2]
    wrong = sum(int((tail(judged, _most_likely(other, df)) < 0.05).sum()) for judged, other in (halves, halves[::-1]))
    return NullDistribution(
        scale=found[0],
        spread=found[1],
        statistics=values,
        chi2_df=df,
        chi2_rate=float((stats.chi2.sf(values, df) < 0.05).mean()),
        null_rate=wrong / len(inside),
        outliers=len(values) - len(inside),
    )
