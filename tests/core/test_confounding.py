"""Variance explained: closed forms, an analysis of variance, and no bias where the factor says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mira_nb.core.statistics.confounding import variance_explained


def test_one_factor_is_the_epsilon_squared_of_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    level = rng.integers(0, 4, 80)
    value = rng.normal(size=80) + 0.5 * level
    between = sum((level == k).sum() * (value[level == k].mean() - value.mean()) ** 2 for k in range(4))
    total = ((value - value.mean()) ** 2).sum()
    within = (total - between) / (80 - 4)
    assert variance_explained(value[:, None], level)[0] == pytest.approx((between - 3 * within) / total)
    f = stats.f_oneway(*(value[level == k] for k in range(4))).statistic
    assert variance_explained(value[:, None], level)[0] == pytest.approx((f - 1) / (f + (80 - 4) / 3))


def test_a_feature_of_the_levels_alone_is_explained_whole() -> None:
    level = np.repeat(["a", "b", "c"], 5)
    value = np.repeat([1.0, 5.0, 2.0], 5)
    np.testing.assert_allclose(variance_explained(np.column_stack([value, -value]), level), 1)


def test_two_factors_explain_an_additive_feature_whole_though_neither_does() -> None:
    first, second = np.repeat([0, 1], 20), np.tile([0, 1, 2, 3], 10)
    value = (2.0 * first + second)[:, None]
    assert variance_explained(value, first, second)[0] == pytest.approx(1)
    assert variance_explained(value, first)[0] < 1
    # a factor that repeats another adds nothing
    assert variance_explained(value, first, first + 5)[0] == pytest.approx(variance_explained(value, first)[0])


def test_nothing_is_explained_on_average_where_the_factor_says_nothing() -> None:
    rng = np.random.default_rng(1)
    found = variance_explained(rng.normal(size=(60, 4000)), rng.integers(0, 12, 60))
    assert abs(found.mean()) < 0.01


def test_constant_columns_and_too_few_cells_are_undefined() -> None:
    assert np.isnan(variance_explained(np.ones((6, 1)), np.arange(6) % 2)).all()
    assert np.isnan(variance_explained(np.arange(3.0)[:, None], np.arange(3))).all()
