"""Tests over samples against scipy and brute force, and their calibration where tests over cells have none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import kstest, t, ttest_rel

from mira_nb.core.statistics.group_tests import REST, adjust, compare_groups
from mira_nb.core.statistics.sample_tests import MIN_SAMPLES, compare_samples, paired_t, sample_means
from mira_nb.errors import InputError

NAMES = list("vwxyz")
CONTRASTS = [("a", "b"), ("b", "c"), ("a", REST)]


@pytest.fixture
def example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 5 quantities, groups and samples of 600 cells, some in no group or no sample."""
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array(["a", "b", "c", None], dtype=object), 600, p=[0.4, 0.3, 0.2, 0.1])
    samples = rng.choice(np.array(["s1", "s2", "s3", "s4", "s5", None], dtype=object), 600)
    values = rng.poisson(0.8, (600, 5)).astype(float)
    values[labels == "b", 0] += 2
    return values, labels, samples


def brute_means(
    column: np.ndarray, labels: np.ndarray, samples: np.ndarray, contrast: tuple[str, str], min_cells: int
) -> tuple[list[float], list[float]]:
    pairs = []
    for name in ["s1", "s2", "s3", "s4", "s5"]:
        sides: list[list[float]] = [[], []]
        for value, label, sample in zip(column, labels, samples, strict=True):
            if sample != name or label is None or np.isnan(value):
                continue
            if label == contrast[0]:
                sides[0].append(value)
            elif contrast[1] in (label, REST):
                sides[1].append(value)
        if min(map(len, sides)) >= min_cells:
            pairs.append((float(np.mean(sides[0])), float(np.mean(sides[1]))))
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize("with_missing", [False, True])
@pytest.mark.parametrize("min_cells", [2, 22])
def test_every_test_equals_scipy_on_brute_force_means(
    example: tuple[np.ndarray, np.ndarray, np.ndarray], as_sparse: bool, with_missing: bool, min_cells: int
) -> None:
    values, labels, samples = example
    if with_missing:
        rng = np.random.default_rng(1)
        values[:, 1:3][(values[:, 1:3] > 0) & (rng.random((600, 2)) < 0.3)] = np.nan
        values[samples == "s2", 3] = np.nan
        values[:, 4] = np.nan
    given = sparse.csr_matrix(values) if as_sparse else values
    tests = compare_samples(given, NAMES, labels, samples, CONTRASTS, min_cells=min_cells)
    assert list(tests["quantity"]) == NAMES * 3
    numbers = set()
    for row in tests.itertuples():
        one, two = brute_means(
            values[:, NAMES.index(row.quantity)], labels, samples, (row.group_1, row.group_2), min_cells
        )
        assert row.n_samples == len(one)
        numbers.add(len(one))
        if len(one) < MIN_SAMPLES:
            assert np.isnan([row.sample_difference, row.sample_low, row.sample_high, row.sample_pvalue]).all()
            assert pd.isna(row.n_samples_agreeing)
            continue
        expected = ttest_rel(one, two)
        interval = expected.confidence_interval(0.95)
        difference = np.subtract(one, two)
        assert row.sample_difference == pytest.approx(difference.mean())
        assert row.sample_pvalue == pytest.approx(expected.pvalue, rel=1e-9)
        assert (row.sample_low, row.sample_high) == pytest.approx((interval.low, interval.high))
        assert row.n_samples_agreeing == (np.sign(difference) == np.sign(difference.mean())).sum()
    # the cases cover quantities with all samples and, with NaN or a high bound, some with fewer
    assert len(numbers) > (1 if with_missing or min_cells > 2 else 0)


def test_means_of_the_samples_that_hold_both_sides(example: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    values, labels, samples = example
    labels = labels.copy()
    labels[(samples == "s3") & (labels == "b")] = "c"
    means = sample_means(values, labels, samples, ("a", "b"), min_cells=5)
    assert means.samples == ["s1", "s2", "s4", "s5"]
    one, two = brute_means(values[:, 2], labels, samples, ("a", "b"), 5)
    np.testing.assert_allclose(means.first[:, 2], one)
    np.testing.assert_allclose(means.second[:, 2], two)
    nothing = compare_samples(values, NAMES, labels, np.full(600, None, dtype=object), [("a", "b")])
    assert (nothing["n_samples"] == 0).all()
    assert nothing["sample_pvalue"].isna().all()
    with pytest.raises(InputError, match="'d'"):
        compare_samples(values, NAMES, labels, samples, [("a", "d")])


def test_closed_forms_and_no_variance() -> None:
    first = np.array([[1.0, 2.0, 0.3, 5.0], [2.0, 3.0, 0.1, np.nan], [3.0, 4.0, 0.2, 7.0]])
    second = np.array([[0.0, 1.0, np.nextafter(0.3, 1), 1.0], [0.0, 2.0, 0.1, 1.0], [0.0, 3.0, 0.2, 1.0]])
    test = paired_t(first, second)
    # differences 1, 2, 3: mean 2, standard error 1 / sqrt(3)
    assert test.difference[0] == pytest.approx(2)
    assert test.pvalue[0] == pytest.approx(2 * t.sf(2 * np.sqrt(3), 2))
    assert test.high[0] == pytest.approx(2 + t.ppf(0.975, 2) / np.sqrt(3))
    assert list(test.n) == [3, 3, 3, 2]
    assert list(test.agreeing[:3]) == [3, 3, 3]
    # the same difference in every sample: no variance to test against
    assert test.difference[1] == 1
    assert np.isnan([test.pvalue[1], test.low[1], test.high[1]]).all()
    # no difference in any sample, but for rounding
    assert (test.pvalue[2], test.difference[2], test.low[2], test.high[2]) == (1, 0, 0, 0)
    assert np.isnan([test.pvalue[3], test.difference[3], test.agreeing[3]]).all()


def test_constant_quantities_are_no_discoveries_of_rounding(
    example: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, labels, samples = example
    values = np.column_stack([np.full(600, 0.1), np.full(600, 1 / 3e6), np.zeros(600)])
    tests = compare_samples(values, list("abc"), labels, samples, [("a", "b")], min_cells=5)
    assert (tests["sample_pvalue"][:2] == 1).all()
    assert (tests["n_samples"] == 5).all()
    assert np.isnan(tests["sample_pvalue"][2])


@pytest.mark.parametrize("as_sparse", [False, True])
def test_rarely_seen_quantities_are_not_tested_for_the_zeros_they_share(as_sparse: bool) -> None:
    """Small groups of 15 cells among 500, counts without any effect of group or sample."""
    rng = np.random.default_rng(4)
    n_samples, small, large, rates = 8, 15, 485, np.repeat([0.005, 0.02, 0.15, 0.6], 400)
    labels = np.tile(["a"] * small + ["b"] * large, n_samples).astype(object)
    samples = np.repeat([f"s{i}" for i in range(n_samples)], small + large).astype(object)
    values = rng.poisson(rates, (len(labels), len(rates))).astype(float)
    given, names = sparse.csr_matrix(values) if as_sparse else values, [f"q{i}" for i in range(len(rates))]
    everything = compare_samples(given, names, labels, samples, [("a", "b")], min_active=0)["sample_pvalue"]
    assert (everything[rates == 0.005] < 0.05).mean() > 0.3
    tests = compare_samples(given, names, labels, samples, [("a", "b")])
    means = sample_means(given, labels, samples, ("a", "b"))
    share = ((values[labels == "a"] > 0).mean(axis=0) + (values[labels == "b"] > 0).mean(axis=0)) / 2
    np.testing.assert_allclose(means.active, small * share)
    np.testing.assert_array_equal(tests["sample_pvalue"].isna(), small * share < 1)
    assert tests["sample_pvalue"].isna()[rates < 0.1].all()
    done = tests["sample_pvalue"].dropna()
    assert len(done) == 800
    assert (done < 0.05).mean() == pytest.approx(0.05, abs=0.023)  # 3 binomial standard errors
    assert (tests.loc[tests["sample_pvalue"].isna(), "n_samples"] == n_samples).all()


def test_a_marker_of_a_rare_group_is_tested() -> None:
    rng = np.random.default_rng(5)
    labels = np.tile(["a"] * 12 + ["b"] * 600, 4).astype(object)
    samples = np.repeat(["s1", "s2", "s3", "s4"], 612).astype(object)
    values = rng.poisson(np.where(labels == "a", 1.0, 0.002))[:, None]
    (row,) = compare_samples(sparse.csr_matrix(values), ["m"], labels, samples, [("a", "b")]).itertuples()
    assert (row.n_samples, row.n_samples_agreeing) == (4, 4)
    assert row.sample_pvalue < 0.05


def test_sample_level_is_calibrated_where_cell_level_is_not() -> None:
    """No group effect, but every sample moves either group by an amount of its own."""
    rng = np.random.default_rng(2)
    n_samples, n_cells, n_quantities = 6, 30, 1500
    labels = np.tile(np.repeat(np.array(["a", "b"], dtype=object), n_cells), n_samples)
    samples = np.repeat([f"s{i}" for i in range(n_samples)], 2 * n_cells).astype(object)
    moved = rng.normal(0, 0.5, (n_samples * 2, n_quantities)).repeat(n_cells, axis=0)
    values = moved + rng.normal(size=(len(labels), n_quantities))
    names = [f"q{i}" for i in range(n_quantities)]
    over_samples = compare_samples(values, names, labels, samples, [("a", "b")])["sample_pvalue"]
    over_cells = compare_groups(values, names, labels, [("a", "b")])["pvalue"]
    assert kstest(over_samples, "uniform").pvalue > 0.01
    assert (over_samples < 0.05).mean() == pytest.approx(0.05, abs=0.017)  # 3 binomial standard errors
    assert kstest(over_cells, "uniform").pvalue < 1e-100
    assert (over_cells < 0.05).mean() > 0.3


def test_sample_level_is_calibrated_when_samples_hold_the_groups_in_unequal_shares() -> None:
    """One effect a sample on all its cells: it cancels in the pairs, but not between pooled cells."""
    rng = np.random.default_rng(3)
    shares = [(40, 12), (12, 40), (30, 20), (15, 35), (20, 20)]
    labels = np.concatenate([["a"] * a + ["b"] * b for a, b in shares]).astype(object)
    samples = np.repeat([f"s{i}" for i in range(len(shares))], [a + b for a, b in shares]).astype(object)
    effect = rng.normal(0, 1, (len(shares), 1500)).repeat([a + b for a, b in shares], axis=0)
    values = effect + rng.normal(size=(len(labels), 1500))
    names = [f"q{i}" for i in range(1500)]
    over_samples = compare_samples(values, names, labels, samples, [("a", "b")])["sample_pvalue"]
    over_cells = compare_groups(values, names, labels, [("a", "b")])["pvalue"]
    assert (over_samples < 0.05).mean() == pytest.approx(0.05, abs=0.017)
    assert (over_cells < 0.05).mean() > 0.2


def test_adjusts_either_p_value_within_its_kind() -> None:
    frame = pd.DataFrame({"p": [0.01, 0.02, np.nan, 0.5], "kind": ["x", "x", "x", "y"]})
    adjusted = adjust(frame, within="kind", pvalue="p", into="q")["q"]
    np.testing.assert_allclose(adjusted, [0.02, 0.02, np.nan, 0.5])
