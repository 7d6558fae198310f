"""Over-representation in two-by-two tables: hypergeometric tails in log space, odds ratios with intervals.

The one-sided Fisher exact test ("greater") of a two-by-two table is the upper tail of the hypergeometric
distribution. The tails are computed in logarithms, so that very small p values do not underflow to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln
from scipy.stats import norm

from mira_nb.typing import Floats

LN10 = float(np.log(10.0))


def _log_choose(n: Floats, k: Floats) -> Floats:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def log_hypergeom_pmf(k: ArrayLike, population: ArrayLike, marked: ArrayLike, drawn: ArrayLike) -> Floats:
    """Return the natural log of P(X = k) when `drawn` of `population` items are drawn, `marked` of which are marked."""
    k, population, marked, drawn = (np.asarray(item, dtype=np.float64) for item in (k, population, marked, drawn))
    out = _log_choose(marked, k) + _log_choose(population - marked, drawn - k) - _log_choose(population, drawn)
    return np.asarray(out)


def _log_sum(k: Floats, population: Floats, marked: Floats, drawn: Floats, *, step: int) -> Floats:
    """Sum the probabilities from k outwards (step +1: up, -1: down), where they fall that way; return the log."""
    total = np.ones_like(k)
    term = np.ones_like(k)
    position = k.copy()
    active = np.arange(len(k))
    while active.size:
        at, n, m, d = position[active], population[active], marked[active], drawn[active]
        if step > 0:
            ratio = (m - at) * (d - at) / ((at + 1) * (n - m - d + at + 1))
        else:
            ratio = at * (n - m - d + at) / ((m - at + 1) * (d - at + 1))
        term[active] *= np.maximum(ratio, 0)
        total[active] += term[active]
        position[active] += step
        active = active[term[active] > 1e-17 * total[active]]
    return np.log(total) + log_hypergeom_pmf(k, population, marked, drawn)


def log_hypergeom_sf(k: ArrayLike, population: ArrayLike, marked: ArrayLike, drawn: ArrayLike) -> Floats:
    """Return the natural log of P(X >= k): the one-sided Fisher test of an overlap of at least `k`.

    Parameters
    ----------
    k
        Overlap: marked items among those drawn.
    population, marked, drawn
        All items, marked items, drawn items. All arguments broadcast.

    Returns
    -------
    ndarray
        Log p values, 0 where the overlap is no larger than it must be.
    """
    arrays = np.broadcast_arrays(*(np.asarray(item, dtype=np.float64) for item in (k, population, marked, drawn)))
    shape = arrays[0].shape
    k, population, marked, drawn = (item.ravel() for item in arrays)
    out = np.zeros(len(k))
    lowest = np.maximum(0, marked + drawn - population)
    out[k > np.minimum(marked, drawn)] = -np.inf
    inside = (k > lowest) & (k <= np.minimum(marked, drawn))
    mode = np.floor((marked + 1) * (drawn + 1) / (population + 2))
    above, below = inside & (k > mode), inside & (k <= mode)
    out[above] = _log_sum(k[above], population[above], marked[above], drawn[above], step=1)
    # at or below the mode the other tail is the small one: P(X >= k) = 1 - P(X <= k - 1)
    lower = _log_sum(k[below] - 1, population[below], marked[below], drawn[below], step=-1)
    out[below] = np.log1p(-np.minimum(np.exp(lower), 1.0))
    return np.minimum(out, 0.0).reshape(shape)


@dataclass(frozen=True)
class Association:
    """Over-representation of marked items among drawn ones; arrays of one shape.

    Attributes
    ----------
    odds_ratio
        Sample odds ratio (a d)/(b c); inf when nothing contradicts, NaN when undefined (0/0).
    odds_low, odds_high
        95 % interval of the odds ratio (normal approximation of its log; 0.5 is added to every cell of a table that
        has an empty one).
    log10_pvalue
        log10 of the one-sided Fisher p value, never underflowing.
    """

    odds_ratio: Floats
    odds_low: Floats
    odds_high: Floats
    log10_pvalue: Floats

    @property
    def pvalue(self) -> Floats:
        """Return p values; 0 below about 1e-308."""
        return np.asarray(np.power(10.0, self.log10_pvalue))


def association(
    k: ArrayLike, population: ArrayLike, marked: ArrayLike, drawn: ArrayLike, *, level: float = 0.95
) -> Association:
    """Test over-representation by Fisher's exact test (one-sided, greater), with odds ratio and interval."""
    k, population, marked, drawn = np.broadcast_arrays(
        *(np.asarray(item, dtype=np.float64) for item in (k, population, marked, drawn))
    )
    a, b, c = k, drawn - k, marked - k
    d = population - marked - drawn + k
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = a * d / (b * c)
    correct = np.where((a == 0) | (b == 0) | (c == 0) | (d == 0), 0.5, 0.0)
    a, b, c, d = a + correct, b + correct, c + correct, d + correct
    center = np.log(a * d / (b * c))
    half = norm.ppf(0.5 + level / 2) * np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return Association(
        odds_ratio=odds,
        odds_low=np.exp(center - half),
        odds_high=np.exp(center + half),
        log10_pvalue=log_hypergeom_sf(k, population, marked, drawn) / LN10,
    )


def log10_benjamini_hochberg(log10_pvalues: ArrayLike) -> Floats:
    """Adjust p values of one family of tests by Benjamini and Hochberg, log10 in and out.

    :func:`scipy.stats.false_discovery_control` takes p values as they are, which are 0 below 1e-308.
    """
    values = np.asarray(log10_pvalues, dtype=np.float64)
    n = len(values)
    order = np.argsort(-values, kind="stable")
    adjusted = values[order] + np.log10(n / np.arange(n, 0, -1)) if n else values
    out = np.empty_like(values)
    out[order] = np.minimum(np.minimum.accumulate(adjusted), 0.0) if n else adjusted
    return out
