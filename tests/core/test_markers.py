"""Marker tables and spreads against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from mira_nb.core.statistics.markers import centre, marker_table, spread


def test_marker_table_is_scipys_test_gene_by_gene() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.log1p(rng.poisson(rate, (n, 6)).astype(float)) for rate, n in ((0.8, 40), (0.8, 55)))
    first[:, 2] += rng.random(40)
    second[:, 4] += 1
    first[:, 5] = second[:, 5] = 0
    names = [f"g{i}" for i in range(6)]
    found = marker_table(sparse.csc_matrix(first), sparse.csc_matrix(second), names)
    assert "g5" not in set(found["feature"])  # no cell of either set has it
    assert found["feature"].iloc[0] == "g2"
    assert found["feature"].iloc[-1] == "g4"
    pvalues = []
    for row in found.itertuples():
        i = names.index(row.feature)
        test = stats.mannwhitneyu(first[:, i], second[:, i], method="asymptotic")
        assert row.pvalue == pytest.approx(test.pvalue)
        assert row.effect_size == pytest.approx(2 * test.statistic / (40 * 55) - 1)
        assert row.fraction_1 == pytest.approx((first[:, i] > 0).mean())
        expected = np.log2(np.expm1(first[:, i].mean()) / np.expm1(second[:, i].mean()))
        assert row.log2_fold_change == pytest.approx(expected, abs=1e-6)
        pvalues.append(test.pvalue)
    assert found["adj_pvalue"].to_numpy() == pytest.approx(stats.false_discovery_control(pvalues))


def test_spread_of_a_normal_sample() -> None:
    values = np.append(np.random.default_rng(0).normal(2, 0.5, 4000), np.nan)
    found = spread(values)
    assert found is not None
    assert found.n == 4000
    assert found.quartiles[1] == pytest.approx(2, abs=0.03)
    assert found.quartiles[2] - found.quartiles[0] == pytest.approx(2 * 0.6745 * 0.5, abs=0.03)
    assert found.density == pytest.approx(stats.norm(2, 0.5).pdf(found.grid), abs=0.08)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1, abs=0.02)


def test_spread_of_equal_values_of_none_and_of_many() -> None:
    same = spread(np.full(10, 3.0))
    assert same is not None
    assert (same.grid.tolist(), same.n) == ([3.0], 10)
    assert spread(np.array([np.nan])) is None
    rare = np.zeros(20_000)
    rare[7] = 1  # a sample holds zeros alone
    found = spread(rare, max_cells=100)
    assert found is not None
    assert np.isfinite(found.density).all()


def test_the_centre_is_a_point_of_the_cloud_and_not_of_its_outliers() -> None:
    points = np.array([[0.0, 0], [1, 0], [0, 1], [0.4, 0.4], [100, 100]])
    assert centre(points) == 3
