from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact, hypergeom
from scipy.stats.contingency import odds_ratio

from mira_nb.core.statistics.contingency import association, log_hypergeom_pmf, log_hypergeom_sf


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000), st.data())
def test_tail_equals_scipy(population, data):
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(0, population))
    k = data.draw(st.integers(max(0, marked + drawn - population), min(marked, drawn)))
    expected = hypergeom.sf(k - 1, population, marked, drawn)
    found = float(np.exp(log_hypergeom_sf(k, population, marked, drawn)))
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-290)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=4, max_size=4))
def test_equals_fisher_exact_and_scipys_odds_ratio(cells):
    a, b, c, d = cells
    if sum(cells) == 0:
        return
    found = association(a, a + b + c + d, a + c, a + b)
    test = fisher_exact([[a, b], [c, d]], alternative="greater")
    assert float(found.pvalue) == pytest.approx(test.pvalue, rel=1e-8)
    if min(cells) > 0:
        sample = odds_ratio([[a, b], [c, d]], kind="sample")
        interval = sample.confidence_interval(0.95)
        assert float(found.odds_ratio) == pytest.approx(sample.statistic)
        assert float(found.odds_low) == pytest.approx(interval.low)
        assert float(found.odds_high) == pytest.approx(interval.high)


def test_large_tables_do_not_underflow():
    found = association(15_000, 100_000, 20_000, 20_000)
    assert float(found.pvalue) == 0
    assert -1e5 < float(found.log10_pvalue) < -1000
    # the first term is a lower bound of the tail, the first term times the number of terms an upper one
    first = float(log_hypergeom_pmf(15_000, 100_000, 20_000, 20_000)) / np.log(10)
    assert first <= float(found.log10_pvalue) <= first + np.log10(5001)


def test_moderate_tails_of_large_tables_equal_scipy():
    k = np.array([3900, 4000, 4100, 4400])
    expected = hypergeom.logsf(k - 1, 100_000, 20_000, 20_000)
    np.testing.assert_allclose(log_hypergeom_sf(k, 100_000, 20_000, 20_000), expected, rtol=1e-6)


def test_degenerate_tables():
    assert float(log_hypergeom_sf(0, 10, 3, 4)) == 0
    assert float(log_hypergeom_sf(4, 10, 3, 4)) == -np.inf
    certain = association(5, 10, 10, 5)
    assert float(certain.pvalue) == 1
    assert np.isinf(association(3, 10, 3, 3).odds_ratio)
    assert np.isfinite(association(3, 10, 3, 3).odds_high)


def test_shapes_broadcast():
    assert log_hypergeom_sf(np.ones((3, 1)), 50, np.array([5, 6]), 10).shape == (3, 2)
