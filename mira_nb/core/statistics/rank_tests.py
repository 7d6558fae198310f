"""Rank tests, false discovery rates and effect sizes, over many features at once.

Everything takes samples in rows and features in columns and leaves missing values (NaN) out feature by feature, with
the numbers used in the result. Rank sums are ours: scipy's test makes sparse matrices dense and its p values underflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.stats import false_discovery_control, norm

from mira_nb.errors import InputError
from mira_nb.typing import Floats

Matrix = Any
"""Dense array, pandas values or scipy sparse matrix."""
Alternative = Literal["two-sided", "greater", "less"]
Method = Literal["asymptotic", "auto"]

_EXACT_LIMIT = 8
"""Values of the smaller group up to which ``method="auto"`` is exact, as in :func:`scipy.stats.mannwhitneyu`."""


@dataclass(frozen=True)
class RankSum:
    """Mann-Whitney (Wilcoxon rank-sum) tests of F features between two groups of samples.

    Attributes
    ----------
    statistic
        (F,) U of the first group: pairs in which the first group's value is larger, ties counted half.
    z
        (F,) standardised statistic, tie-corrected, with continuity correction.
    pvalue, log10_pvalue
        (F,) p value and its logarithm, which does not underflow. NaN where a group has no value.
    effect_size
        (F,) rank-biserial correlation = Cliff's delta, -1 to 1, positive where the first group is larger.
    n_1, n_2
        (F,) values used in either group.
    median_1, median_2
        (F,) medians.
    """

    statistic: Floats
    z: Floats
    pvalue: Floats
    log10_pvalue: Floats
    effect_size: Floats
    n_1: NDArray[np.int64]
    n_2: NDArray[np.int64]
    median_1: Floats
    median_2: Floats


def rank_sum(
    x: Matrix,
    y: Matrix,
    *,
    alternative: Alternative = "two-sided",
    method: Method = "asymptotic",
    block_values: int = 4_000_000,
) -> RankSum:
    """Test whether values of `x` and `y` differ, one Mann-Whitney test per feature.

    Parameters
    ----------
    x, y
        (n_1, F) and (n_2, F) values of the two groups, dense or sparse (one-dimensional: one feature). NaN is left out.
    alternative
        ``"greater"``: `x` tends to be larger than `y`.
    method
        ``"asymptotic"``: normal approximation with tie and continuity correction. ``"auto"``: exact null distribution
        for features without ties whose smaller group has at most 8 values, as :func:`scipy.stats.mannwhitneyu`.
    block_values
        Values ranked at a time; bounds the memory.

    Raises
    ------
    InputError
        Where numbers of features differ or a value is infinite.
    """
    first, second = _as_columns(x), _as_columns(y)
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"rank_sum: the groups have {first.shape[1]} and {second.shape[1]} features",
            expected="the same features in the same order",
        )
    n_features, n_rows = first.shape[1], first.shape[0] + second.shape[0]
    width = max(1, block_values // max(n_rows, 1))
    if _zeros_are_lowest(first) and _zeros_are_lowest(second):
        parts = [_rank_sparse(first, second)]
    else:
        parts = [
            _rank_block(_dense(first[:, start : start + width]), _dense(second[:, start : start + width]))
            for start in range(0, n_features, width)
        ] or [_rank_block(np.empty((0, 0)), np.empty((0, 0)))]
    rank_sums, ties, n_1, n_2, median_1, median_2 = (np.concatenate(column) for column in zip(*parts, strict=True))
    statistic = rank_sums - n_1 * (n_1 + 1) / 2
    z, log_p = _normal_test(statistic, ties, n_1, n_2, alternative)
    if method == "auto":
        exact = (ties == 0) & (np.minimum(n_1, n_2) <= _EXACT_LIMIT) & (np.minimum(n_1, n_2) > 0)
        for feature in np.flatnonzero(exact):
            log_p[feature] = np.log(_exact_pvalue(first[:, [feature]], second[:, [feature]], alternative))
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = 2 * statistic / (n_1 * n_2) - 1
    return RankSum(
        statistic=statistic,
        z=z,
        pvalue=np.exp(log_p),
        log10_pvalue=log_p / np.log(10),
        effect_size=effect,
        n_1=n_1.astype(np.int64),
        n_2=n_2.astype(np.int64),
        median_1=median_1,
        median_2=median_2,
    )


def benjamini_hochberg(pvalues: ArrayLike) -> Floats:
    """Adjust p values for the false discovery rate by :func:`scipy.stats.false_discovery_control`.

    Benjamini and Hochberg (1995). NaN stays NaN and does not count as a test. The shape is kept.

    Parameters
    ----------
    pvalues
        Of any shape, 0 to 1 or NaN; all together are one family of tests.
    """
    values = np.asarray(pvalues, dtype=np.float64)
    tested = ~np.isnan(values)
    adjusted = np.full(values.shape, np.nan)
    if tested.any():
        # sums of tail probabilities may pass 1 by rounding, which scipy refuses
        adjusted[tested] = false_discovery_control(np.minimum(values[tested], 1.0), method="bh")
    return adjusted


def log2_fold_change(x: Matrix, y: Matrix, *, pseudocount: float = 1e-9) -> Floats:
    """Return the log2 ratio of the groups' means per feature, for non-negative values on a linear scale.

    Parameters
    ----------
    x, y
        (n_1, F) and (n_2, F) values.
    pseudocount
        Added to both means, in the unit of the values.
    """
    means = []
    for group in (_as_columns(x), _as_columns(y)):
        if isinstance(group, np.ndarray):
            total, count = np.nansum(group, axis=0), (~np.isnan(group)).sum(axis=0)
        else:
            total, count = np.asarray(group.sum(axis=0)).ravel(), group.shape[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            means.append(total / count)
    return np.log2(means[0] + pseudocount) - np.log2(means[1] + pseudocount)


def log2_ratio_of_log_means(x: Matrix, y: Matrix, *, pseudocount: float = 1e-9) -> Floats:
    """Return log2 ((exp(mean x) - 1) / (exp(mean y) - 1)) per column of log1p values, as Scanpy defines fold changes.

    ``scanpy.tl.rank_genes_groups`` averages the logarithms, which weighs single cells with many counts less than the
    ratio of means (:func:`log2_fold_change`) does.

    Parameters
    ----------
    x, y
        (n, G) log(1 + value), sparse or dense.
    """
    means = [np.expm1(np.asarray(values.mean(axis=0), dtype=np.float64).ravel()) for values in (x, y)]
    return np.asarray(np.log2((means[0] + pseudocount) / (means[1] + pseudocount)))


def _as_columns(values: Matrix) -> Any:
    """Return two-dimensional values; sparse ones in column order."""
    if sparse.issparse(values):
        matrix: Any = values
        return matrix.tocsc()
    out = np.asarray(values, dtype=np.float64)
    return out[:, None] if out.ndim == 1 else out


def _dense(values: Matrix) -> Floats:
    dense = getattr(values, "toarray", None)
    return np.asarray(values if dense is None else dense(), dtype=np.float64)


def _rank_block(x: Floats, y: Floats) -> tuple[Any, ...]:
    """Return rank sums of `x`, tie terms sum(t^3 - t), group sizes and medians of a block of features."""
    values = np.vstack([x, y])
    if np.isinf(values).any():
        raise InputError("rank_sum: infinite values", expected="finite numbers or NaN (left out)")
    n_rows, n_columns = values.shape
    missing = np.isnan(values)
    n_1 = (~missing[: len(x)]).sum(axis=0).astype(np.float64)
    n_2 = (~missing[len(x) :]).sum(axis=0).astype(np.float64)
    if n_rows == 0 or n_columns == 0:
        empty = np.zeros(n_columns)
        return empty, empty, n_1, n_2, np.full(n_columns, np.nan), np.full(n_columns, np.nan)
    # One run of equal values = one tie; runs are numbered through all columns so that one bincount serves them all.
    values[missing] = np.inf
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    starts = np.ones(ordered.shape, dtype=bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    run = np.cumsum(starts.T.ravel()).reshape(n_columns, n_rows).T - 1
    length = np.bincount(run.T.ravel()).astype(np.float64)
    position = np.broadcast_to(np.arange(n_rows, dtype=np.float64)[:, None], run.shape)
    first = position[starts.nonzero()] if n_columns == 1 else position.T[starts.T]
    average = first + (length + 1) / 2
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, average[run], axis=0)
    ranks[missing] = 0.0
    real = np.isfinite(ordered.T[starts.T])
    column_of_run = np.broadcast_to(np.arange(n_columns), run.shape).T[starts.T]
    ties = np.bincount(column_of_run[real], weights=(length**3 - length)[real], minlength=n_columns)
    medians = [_median(group) for group in (x, y)]
    return ranks[: len(x)].sum(axis=0), ties, n_1, n_2, medians[0], medians[1]


def _zeros_are_lowest(values: Any) -> bool:
    """Return whether values are sparse and all finite and at least 0: zeros then share the lowest ranks."""
    return sparse.issparse(values) and bool((values.data >= 0).all() and np.isfinite(values.data).all())


def _rank_sparse(x: Any, y: Any) -> tuple[Any, ...]:
    """Return what :func:`_rank_block` returns of non-negative sparse columns; only stored values are sorted."""
    n_features = x.shape[1]
    rank_sums, ties, median_1, median_2 = (np.zeros(n_features) for _ in range(4))
    _rank_columns(
        (x.shape[0], x.indptr, x.data.astype(np.float64)), (y.shape[0], y.indptr, y.data.astype(np.float64)),
        rank_sums, ties, median_1, median_2,
    )  # fmt: skip
    n_1, n_2 = (np.full(n_features, float(group.shape[0])) for group in (x, y))
    return rank_sums, ties, n_1, n_2, median_1, median_2


@njit(cache=True, nogil=True)
def _rank_columns(first: Any, second: Any, rank_sums: Any, ties: Any, median_1: Any, median_2: Any) -> None:
    """Fill rank sums of the first group, tie terms and medians, column by column of both groups' CSC arrays."""
    (n_1, indptr_1, data_1), (n_2, indptr_2, data_2) = first, second
    for j in range(len(rank_sums)):
        one, two = data_1[indptr_1[j] : indptr_1[j + 1]], data_2[indptr_2[j] : indptr_2[j + 1]]
        median_1[j], median_2[j] = _median_with_zeros(one, n_1), _median_with_zeros(two, n_2)
        values = np.concatenate((one, two))
        order = np.argsort(values, kind="mergesort")
        # those that are not stored are zeros, as are some that are stored: one tie, the lowest ranks
        zeros, start = n_1 + n_2 - len(values), 0
        in_first = n_1 - len(one)
        while start < len(values) and values[order[start]] == 0.0:
            in_first += order[start] < len(one)
            start += 1
        zeros += start
        rank, tied = in_first * (zeros + 1) / 2.0, float(zeros) ** 3 - zeros
        while start < len(values):
            end, mine = start, 0
            while end < len(values) and values[order[end]] == values[order[start]]:
                mine += order[end] < len(one)
                end += 1
            length = float(end - start)
            rank += mine * (n_1 + n_2 - len(values) + (start + 1 + end) / 2.0)
            tied += length**3 - length
            start = end
        rank_sums[j], ties[j] = rank, tied


@njit(cache=True, nogil=True)
def _median_with_zeros(stored: Any, n: int) -> float:
    """Return the median of non-negative stored values and n - len(stored) zeros; NaN without values."""
    if n == 0:
        return np.nan
    ordered, zeros = np.sort(stored), n - len(stored)
    low, high = (n - 1) // 2, n // 2
    at_low = ordered[low - zeros] if low >= zeros else 0.0
    at_high = ordered[high - zeros] if high >= zeros else 0.0
    return (at_low + at_high) / 2.0


def _median(values: Floats) -> Floats:
    """Return column medians; NaN where there is no value."""
    out = np.full(values.shape[1], np.nan)
    present = (~np.isnan(values)).any(axis=0)
    if present.any():
        out[present] = np.nanmedian(values[:, present], axis=0)
    return out


def _normal_test(
    statistic: Floats, ties: Floats, n_1: Floats, n_2: Floats, alternative: Alternative
) -> tuple[Floats, Floats]:
    """Return the standardised U and the natural logarithm of its p value under the normal approximation."""
    n = n_1 + n_2
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(n_1 * n_2 / 12 * ((n + 1) - ties / (n * (n - 1))))
        deviation = statistic - n_1 * n_2 / 2
        if alternative == "greater":
            z = (deviation - 0.5) / spread
        elif alternative == "less":
            z = (deviation + 0.5) / spread
        else:
            z = np.sign(deviation) * np.maximum(np.abs(deviation) - 0.5, 0) / spread
    # All values equal: nothing speaks against the null hypothesis.
    z[(n_1 > 0) & (n_2 > 0) & ~(spread > 0)] = 0.0
    z[(n_1 == 0) | (n_2 == 0)] = np.nan
    if alternative == "greater":
        log_p = norm.logsf(z)
    elif alternative == "less":
        log_p = norm.logcdf(z)
    else:
        log_p = np.minimum(np.log(2) + norm.logsf(np.abs(z)), 0.0)
    constant = ~(spread > 0) & (n_1 > 0) & (n_2 > 0)
    log_p[constant] = 0.0
    return z, log_p


def _exact_pvalue(x: Any, y: Any, alternative: Alternative) -> float:
    from scipy.stats import mannwhitneyu

    one, two = _dense(x).ravel(), _dense(y).ravel()
    test = mannwhitneyu(one[~np.isnan(one)], two[~np.isnan(two)], alternative=alternative, method="exact")
    return float(test.pvalue)
