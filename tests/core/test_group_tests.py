"""Tests between groups against scipy, and the sharing of topics on planted means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control, mannwhitneyu

from mira_nb.core.statistics.group_tests import REST, adjust, compare_groups, contrasts, gini, share_topics
from mira_nb.errors import InputError


@pytest.fixture
def example() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.array(["a"] * 30 + ["b"] * 40 + ["c"] * 20 + [None] * 10, dtype=object)
    values = rng.poisson(1.5, (100, 5)).astype(float)
    values[labels == "b", 0] += 2
    return values, labels


@pytest.mark.parametrize("as_sparse", [False, True])
def test_every_test_equals_scipy(example: tuple[np.ndarray, np.ndarray], as_sparse: bool) -> None:
    values, labels = example
    given = sparse.csr_matrix(values) if as_sparse else values
    compared = [*contrasts(["a", "b", "c"], pairs=True), *contrasts(["a", "b", "c"], pairs=False)]
    tests = compare_groups(given, list("vwxyz"), labels, compared)
    assert len(tests) == 6 * 5
    for row in tests.itertuples():
        column = values[:, "vwxyz".index(row.quantity)]
        one = column[labels == row.group_1]
        two = column[[x is not None and x != row.group_1 for x in labels]] if row.group_2 == REST else None
        two = column[labels == row.group_2] if two is None else two
        expected = mannwhitneyu(one, two, method="asymptotic")
        assert row.pvalue == pytest.approx(expected.pvalue, rel=1e-9)
        assert row.effect_size == pytest.approx(2 * expected.statistic / (len(one) * len(two)) - 1)
        assert (row.n_1, row.n_2) == (len(one), len(two))
        assert (row.median_1, row.median_2) == (np.median(one), np.median(two))


def test_adjustment_is_within_a_kind() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"pvalue": rng.random(20), "kind": ["x"] * 12 + ["y"] * 8})
    adjusted = adjust(frame, within="kind")["adj_pvalue"].to_numpy()
    np.testing.assert_allclose(adjusted[:12], false_discovery_control(frame["pvalue"][:12]))
    np.testing.assert_allclose(adjusted[12:], false_discovery_control(frame["pvalue"][12:]))


def test_small_contrasts_are_left_out_and_unknown_groups_refused(example: tuple[np.ndarray, np.ndarray]) -> None:
    values, labels = example
    assert compare_groups(values, list("vwxyz"), labels, [("a", "c")], min_cells=25).empty
    with pytest.raises(InputError, match="'d'"):
        compare_groups(values, list("vwxyz"), labels, [("a", "d")])


def test_topics_are_classified_by_their_group_means() -> None:
    labels = np.repeat(["A", "B", "C"], 10).astype(object)
    means = {"e1": (0.8, 0.1, 0.1), "e2": (0.1, 0.5, 0.4), "e3": (0.2, 0.2, 0.2)}
    topics = pd.DataFrame({name: np.repeat(value, 10) for name, value in means.items()})
    got = share_topics(topics, labels).set_index("topic")
    assert got["sharing"].to_dict() == {"e1": "specific", "e2": "shared", "e3": "ubiquitous"}
    assert got.loc["e1", "groups"] == "A"
    assert got.loc["e2", "groups"] == "B, C"
    assert got.loc["e2", "mean in C"] == pytest.approx(0.4)
    assert got.loc["e3", "sparsity"] == pytest.approx(0)


def test_gini_closed_forms() -> None:
    assert gini(np.ones(7)) == pytest.approx(0)
    assert gini(np.array([0.0, 0, 0, 1])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0
    values = np.random.default_rng(2).random(50)
    brute = np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())
    assert gini(values) == pytest.approx(brute)
