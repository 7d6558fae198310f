"""Null distribution of the NITE test: closed forms, planted spread, and genes that do not belong to it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from mira_nb.core.regulation.null_distribution import fit_null, upper_tail

DF = 6


def drawn(n: int, *, scale: float, spread: float, seed: int) -> np.ndarray:
    """Return statistics of genes whose log factor is normal."""
    rng = np.random.default_rng(seed)
    return rng.chisquare(DF, n) * scale * np.exp(spread * rng.normal(size=n))


def test_tail_without_spread_is_the_scaled_chi_square() -> None:
    values = np.array([-1.0, 0.0, 3.0, 40.0, np.nan])
    wanted = np.array([1.0, 1.0, *stats.chi2.sf([1.5, 20.0], DF), np.nan])
    np.testing.assert_allclose(upper_tail(values, scale=2.0, spread=0.0, df=DF), wanted)


@pytest.mark.parametrize("value", [2.0, 15.0, 150.0])
@pytest.mark.parametrize("spread", [0.05, 0.8, 2.0])
def test_tail_is_the_integral_over_the_factor(value: float, spread: float) -> None:
    def integrand(z: float) -> float:
        return float(stats.norm.pdf(z) * stats.chi2.sf(value / (2.0 * np.exp(spread * z)), DF))

    wanted = integrate.quad(integrand, -12, 12, points=[0.0], limit=400)[0]
    assert upper_tail(np.array(value), scale=2.0, spread=spread, df=DF) == pytest.approx(wanted, rel=1e-6)


def test_fit_recovers_a_chi_square() -> None:
    null = fit_null(drawn(5000, scale=1.0, spread=0.0, seed=1), n_topics=DF + 1)
    assert null.scale == pytest.approx(1, rel=0.05)
    assert null.spread < 0.2
    assert null.chi2_rate == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("spread", [0.4, 0.9, 1.4])
def test_fit_recovers_a_planted_spread_and_its_tail(spread: float) -> None:
    """A gamma with the median and upper quartile of these statistics calls far more than a twentieth."""
    null = fit_null(drawn(5000, scale=2.0, spread=spread, seed=2), n_topics=DF + 1)
    assert null.scale == pytest.approx(2, rel=0.08)
    assert null.spread == pytest.approx(spread, abs=0.08)
    fresh = drawn(40_000, scale=2.0, spread=spread, seed=3)
    for level in (0.05, 0.01):
        assert (null.pvalue(fresh) < level).mean() == pytest.approx(level, rel=0.2)
    assert null.null_rate == pytest.approx(0.05, abs=0.012)


def test_null_stands_where_some_genes_do_not_follow_lite() -> None:
    """A tenth of statistics ten times as large; a gamma fitted by moments would triple the critical value."""
    values = drawn(1000, scale=1.0, spread=0.0, seed=4)
    values[::10] *= 10
    null = fit_null(values, n_topics=DF + 1)
    critical = stats.chi2.isf(0.05, DF)
    assert null.pvalue(np.array([critical]))[0] > 0.05 > null.pvalue(np.array([1.6 * critical]))[0]
    assert 50 < null.outliers <= 100
    mean, variance = values.mean(), values.var()
    assert stats.gamma.isf(0.05, mean**2 / variance, scale=variance / mean) > 3 * critical


def test_values_above_the_limit_count_only_as_larger() -> None:
    values = drawn(400, scale=2.0, spread=0.7, seed=5)
    larger = np.where(values > np.quantile(values, 0.95), 100 * values, values)
    one, other = (fit_null(part, n_topics=DF + 1) for part in (values, larger))
    assert (one.scale, one.spread) == (other.scale, other.spread)


@pytest.mark.parametrize("values", [np.zeros(40), np.full(40, 3.0), np.r_[np.zeros(30), np.full(30, 1e6)]])
def test_fit_bears_odd_statistics(values: np.ndarray) -> None:
    null = fit_null(values, n_topics=5)
    assert 0 < null.scale < np.inf
    assert 0 <= null.spread < np.inf
    p = null.pvalue(np.array([0.0, 1.0, 1e9]))
    assert ((p >= 0) & (p <= 1)).all()


def test_too_few_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match="19 simulated statistics"):
        fit_null(np.r_[np.ones(19), np.nan], n_topics=5)
