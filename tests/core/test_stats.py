from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control, mannwhitneyu, norm

from mira_nb.core.statistics.rank_tests import (
    benjamini_hochberg,
    log2_fold_change,
    log2_ratio_of_log_means,
    rank_sum,
)
from mira_nb.errors import InputError


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("seed", range(4))
def test_rank_sum_equals_scipy_with_ties(alternative: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.poisson(rng.uniform(0.2, 5, 17), (23, 17)).astype(float)
    y = rng.poisson(rng.uniform(0.2, 5, 17), (31, 17)).astype(float)
    ours = rank_sum(x, y, alternative=alternative, block_values=200)
    theirs = mannwhitneyu(x, y, alternative=alternative, method="asymptotic", axis=0)
    np.testing.assert_allclose(ours.statistic, theirs.statistic)
    np.testing.assert_allclose(ours.pvalue, theirs.pvalue, rtol=1e-9)
    np.testing.assert_allclose(ours.median_1, np.median(x, axis=0))
    sparse_input = rank_sum(sparse.csr_matrix(x), sparse.csr_matrix(y), alternative=alternative)
    np.testing.assert_allclose(sparse_input.pvalue, theirs.pvalue, rtol=1e-9)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 1.0])
def test_sparse_values_are_ranked_as_dense_ones(density: float) -> None:
    """Stored zeros, empty and full columns, groups of odd and even size; negative values are ranked densely."""
    rng = np.random.default_rng(3)
    x, y = (rng.integers(0, 6, (n, 40)) * (rng.random((n, 40)) < density) * 0.5 for n in (31, 50))
    x[:, 1], y[:, 2] = 1.5, 0.0
    stored = sparse.csc_matrix(np.where(x > 0, x, 7.0))  # the same pattern everywhere, then zeros among it
    stored.data = x.T.ravel()
    for first, second in ((x, y), (x - 1.0, y)):
        one = stored if first is x else sparse.csc_matrix(first)
        dense, found = rank_sum(first, second), rank_sum(one, sparse.csr_matrix(second))
        for name in ("statistic", "z", "pvalue", "effect_size", "n_1", "n_2", "median_1", "median_2"):
            np.testing.assert_array_equal(getattr(found, name), getattr(dense, name), err_msg=name)


def test_missing_values_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 3)), rng.normal(1, 1, size=(15, 3))
    x[:4, 0] = np.nan
    y[3, 1] = np.nan
    x[:, 2] = np.nan
    ours = rank_sum(x, y)
    for feature in (0, 1):
        one, two = x[:, feature], y[:, feature]
        expected = mannwhitneyu(one[~np.isnan(one)], two[~np.isnan(two)], method="asymptotic")
        assert ours.pvalue[feature] == pytest.approx(expected.pvalue, rel=1e-9)
    assert ours.n_1.tolist() == [8, 12, 0]
    assert ours.n_2.tolist() == [15, 14, 15]
    assert np.isnan(ours.pvalue[2])
    assert np.isnan(ours.median_1[2])


def test_exact_for_small_groups() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, 6)), rng.normal(1, 1, size=(30, 6))
    np.testing.assert_allclose(
        rank_sum(x, y, method="auto").pvalue, mannwhitneyu(x, y, method="exact", axis=0).pvalue, rtol=1e-9
    )


def test_constant_feature_has_p_of_one_and_far_tails_do_not_underflow() -> None:
    constant = rank_sum(np.zeros((5, 1)), np.zeros((6, 1)))
    assert constant.pvalue[0] == 1
    assert constant.effect_size[0] == 0
    far = rank_sum(np.arange(3000.0) + 1e6, np.arange(3000.0))
    assert far.pvalue[0] == 0  # 1e-979 is below the smallest double
    z = (3000**2 / 2 - 0.5) / np.sqrt(3000**2 * 6001 / 12)  # normal approximation with continuity correction
    assert far.log10_pvalue[0] == pytest.approx((norm.logsf(z) + np.log(2)) / np.log(10), rel=1e-9)


def test_effect_size_is_cliffs_delta_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 5, 14).astype(float), rng.integers(1, 7, 9).astype(float)
    pairs = np.sign(x[:, None] - y[None, :])
    assert rank_sum(x, y).effect_size[0] == pytest.approx(pairs.mean())


def test_benjamini_hochberg_equals_scipy_and_keeps_nan() -> None:
    rng = np.random.default_rng(4)
    p = rng.random(200) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    with_nan = np.insert(p, 7, np.nan)
    adjusted = benjamini_hochberg(with_nan)
    assert np.isnan(adjusted[7])
    np.testing.assert_allclose(np.delete(adjusted, 7), false_discovery_control(p))
    assert benjamini_hochberg([]).shape == (0,)


def test_log2_fold_change_of_means() -> None:
    x, y = np.array([[4.0, 0.0], [12.0, 2.0]]), np.array([[1.0, 8.0], [3.0, 8.0]])
    np.testing.assert_allclose(log2_fold_change(x, y), [2, -3], atol=1e-6)
    np.testing.assert_allclose(log2_fold_change(sparse.csr_matrix(x), sparse.csr_matrix(y)), [2, -3], atol=1e-6)


def test_refuses_different_features_and_infinite_values() -> None:
    with pytest.raises(InputError, match="2 and 3 features"):
        rank_sum(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(InputError, match="infinite"):
        rank_sum(np.array([np.inf, 1]), np.array([1.0, 2]))


def test_log_means_give_the_fold_changes_of_scanpy() -> None:
    import anndata as ad
    import scanpy as sc

    values = np.log1p(np.random.default_rng(0).poisson(1, (60, 5)).astype(float))
    data = ad.AnnData(
        values, obs=pd.DataFrame({"g": pd.Categorical(["a"] * 30 + ["b"] * 30)}, index=map(str, range(60)))
    )
    data.uns["log1p"] = {"base": None}
    sc.tl.rank_genes_groups(data, "g", groups=["a"], reference="b", method="wilcoxon")
    expected = sc.get.rank_genes_groups_df(data, "a").set_index("names").loc[data.var_names, "logfoldchanges"]
    found = log2_ratio_of_log_means(sparse.csr_matrix(values[:30]), values[30:])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
