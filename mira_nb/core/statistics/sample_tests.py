"""Tests between groups of cells over samples: animals, donors or batches are the observations, not the cells.

Cells of one sample resemble each other, so that tests over cells give p values that are too small for a claim about
samples. Here every sample gives one number per feature: the difference of its means over the cells of either side.

A feature that is zero in nearly all cells, such as a rarely seen gene in a small group, has means of zero in sample
after sample: they agree by chance, and a t-test takes that for certainty. Such features are not tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import ttest_rel

from mira_nb.typing import Floats

from .group_tests import sides

SAMPLE_COLUMNS: Final = (
    "n_samples", "sample_difference", "sample_low", "sample_high", "n_samples_agreeing", "sample_pvalue",
)  # fmt: skip
MIN_SAMPLES: Final = 3
"""Fewest samples tested: with two, one degree of freedom is left, and hardly any difference reaches p < 0.05."""
MIN_ACTIVE: Final = 1.0
"""Fewest expected non-zero values; measured with shuffled groups, see :func:`compare_samples`."""
CONFIDENCE: Final = 0.95
_ROUNDING = 1e-12
"""Relative size below which a difference of two means in double precision is rounding."""


@dataclass(frozen=True)
class SampleMeans:
    """Means of F features over the cells of two sides in S samples.

    Attributes
    ----------
    samples
        S names, sorted: the samples with enough cells of both sides.
    first, second
        (S, F) means of either side; NaN in both where too few cells of a side have a value.
    active
        (F,) non-zero values expected on the smaller side, mean over samples, were both sides alike: its cells times the
        mean of both sides' fractions of non-zero values. Both sides weigh the same, lest a large one hides that a
        marker fills a small one. NaN without a sample.
    """

    samples: list[str]
    first: Floats
    second: Floats
    active: Floats


@dataclass(frozen=True)
class PairedTest:
    """Paired t-tests of F features over samples.

    Attributes
    ----------
    n
        (F,) samples with both means.
    difference, low, high
        (F,) mean of the differences first - second, and its confidence interval (:data:`CONFIDENCE`).
    agreeing
        (F,) samples whose difference has the sign of the mean difference.
    pvalue
        (F,) two-sided, Student's t with n - 1 degrees of freedom. 1 where no sample shows a difference; NaN where all
        show exactly the same one (no variance to test against) and where samples are too few, as are the others then.
    """

    n: NDArray[np.int64]
    difference: Floats
    low: Floats
    high: Floats
    agreeing: Floats
    pvalue: Floats


def compare_samples(
    values: Any,
    names: Sequence[str],
    labels: NDArray,
    samples: NDArray,
    compared: Sequence[tuple[str, str]],
    *,
    min_cells: int = 10,
    min_active: float = MIN_ACTIVE,
) -> pd.DataFrame:
    """Test every feature in every contrast by a paired t-test over samples.

    Parameters
    ----------
    values
        (n, F) features of the cells, dense or sparse (never made dense); NaN are left out.
    names
        F names of the features.
    labels
        (n,) group of every cell; None or NaN: in no group (such cells are not part of the rest either).
    samples
        (n,) sample of every cell; None or NaN: in no sample.
    compared
        Contrasts (group_1, group_2); group_2 may be :data:`mira_nb.core.statistics.group_tests.REST`.
    min_cells
        A sample takes part when both sides have this many cells with a value.
    min_active
        Features with fewer expected non-zero values (see :class:`SampleMeans`) are not tested. With cells whose
        groups are shuffled within samples, the t-test has its size from one such value on, and far from it below.

    Returns
    -------
    DataFrame
        quantity, group_1, group_2 and :data:`SAMPLE_COLUMNS`, in the order of
        :func:`mira_nb.core.statistics.group_tests.compare_groups`; see :class:`PairedTest`. Missing, but for
        n_samples, where not tested.

    Raises
    ------
    InputError
        When a contrast names a group that no cell has.
    """
    split = _split(values)
    parts = []
    for first, second in compared:
        means = _means(split, *sides(labels, first, second), samples, min_cells)
        test = paired_t(means.first, means.second)
        dense = means.active >= min_active
        parts.append(
            pd.DataFrame(
                {
                    "quantity": list(names),
                    "group_1": first,
                    "group_2": second,
                    "n_samples": test.n,
                    "sample_difference": np.where(dense, test.difference, np.nan),
                    "sample_low": np.where(dense, test.low, np.nan),
                    "sample_high": np.where(dense, test.high, np.nan),
                    "n_samples_agreeing": pd.Series(np.where(dense, test.agreeing, np.nan)).astype("Int64"),
                    "sample_pvalue": np.where(dense, test.pvalue, np.nan),
                }
            )
        )
    if not parts:
        return pd.DataFrame({name: [] for name in ("quantity", "group_1", "group_2", *SAMPLE_COLUMNS)})
    return pd.concat(parts, ignore_index=True)


def sample_means(
    values: Any,
    labels: NDArray,
    samples: NDArray,
    contrast: tuple[str, str],
    *,
    min_cells: int = 10,
) -> SampleMeans:
    """Compute means of every feature over the cells of either side of a contrast in every sample ("pseudo-bulk").

    Parameters are those of :func:`compare_samples`.
    """
    return _means(_split(values), *sides(labels, *contrast), samples, min_cells)


def paired_t(first: Floats, second: Floats, *, min_samples: int = MIN_SAMPLES) -> PairedTest:
    """Test whether the means of paired columns differ by :func:`scipy.stats.ttest_rel`, one t-test per column.

    Parameters
    ----------
    first, second
        (S, F) values; a row (sample) with a NaN on either side is left out of that column's test.
    min_samples
        Columns with fewer pairs are not tested.
    """
    # what remains of a subtraction of equal means is rounding, not a difference
    equal = np.abs(first - second) <= _ROUNDING * (np.abs(first) + np.abs(second))
    first = np.where(equal, second, first)
    present = ~np.isnan(first - second)
    differences = np.where(present, first - second, 0.0)
    n = present.sum(axis=0)
    enough = n >= min_samples
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(enough, differences.sum(axis=0) / n, np.nan)
        spread = np.sqrt((np.where(present, differences - mean, 0.0) ** 2).sum(axis=0) / (n - 1))
    testable = enough & (spread > _ROUNDING * np.abs(mean))
    low, high, pvalue = (np.full(len(n), np.nan) for _ in range(3))
    # scipy's own handling of NaN takes one column after the other: here columns with the same pairs go together
    patterns, members = np.unique(present[:, testable], axis=1, return_inverse=True)
    for number, rows in enumerate(patterns.T):
        columns = np.flatnonzero(testable)[members.ravel() == number]
        test = ttest_rel(first[np.ix_(rows, columns)], second[np.ix_(rows, columns)], axis=0)
        interval = test.confidence_interval(CONFIDENCE)
        low[columns], high[columns], pvalue[columns] = interval.low, interval.high, test.pvalue
    same = enough & ~differences.any(axis=0)
    low[same], high[same], pvalue[same] = 0.0, 0.0, 1.0
    agreeing = (present & (np.sign(differences) == np.sign(mean))).sum(axis=0)
    return PairedTest(
        n=n.astype(np.int64),
        difference=mean,
        low=low,
        high=high,
        agreeing=np.where(enough, agreeing, np.nan),
        pvalue=pvalue,
    )


@dataclass(frozen=True)
class _Split:
    """Values with 0 for NaN; where they are not zero; where they were NaN (None when there are none)."""

    filled: Any
    active: Any
    missing: Any


def _split(values: Any) -> _Split:
    """Separate values, zeros and missing values; a count of cells is exact in float32."""
    if not sparse.issparse(values):
        dense = np.asarray(values, dtype=np.float64)
        gone = np.isnan(dense)
        filled = np.where(gone, 0.0, dense)
        return _Split(filled, (filled != 0).astype(np.float32), gone.astype(np.float32) if gone.any() else None)
    matrix = sparse.csr_matrix(values)
    gone = np.isnan(matrix.data)

    def like(data: NDArray) -> sparse.csr_matrix:
        return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    filled = like(np.where(gone, 0.0, matrix.data)) if gone.any() else matrix
    return _Split(
        filled, like((filled.data != 0).astype(np.float32)), like(gone.astype(np.float32)) if gone.any() else None
    )


def _means(
    split: _Split, one: NDArray[np.bool_], two: NDArray[np.bool_], samples: NDArray, min_cells: int
) -> SampleMeans:
    """Divide sums, each a product with an indicator matrix of the samples, by the numbers of values."""
    codes, names = pd.factorize(np.asarray(samples, dtype=object), sort=True)
    # a missing sample has the code -1
    counts = np.array([np.bincount(codes[side & (codes >= 0)], minlength=len(names)) for side in (one, two)])
    enough = np.flatnonzero(counts.min(axis=0) >= min_cells)
    place = np.full(len(names) + 1, -1)
    place[enough] = np.arange(len(enough))
    sizes, means, shares = [], [], []
    for side, n_cells in zip((one, two), counts, strict=True):
        cells = np.flatnonzero(side & (place[codes] >= 0))
        indicator = sparse.csr_matrix(
            (np.ones(len(cells), np.float32), (place[codes[cells]], cells)), shape=(len(enough), len(codes))
        )
        n_values = n_cells[enough, None] - (0.0 if split.missing is None else _product(indicator, split.missing))
        n_values = np.where(n_values < min_cells, np.nan, n_values)
        sizes.append(n_values)
        means.append(_product(indicator, split.filled) / n_values)
        shares.append(_product(indicator, split.active) / n_values)
    first, second = means
    unpaired = np.isnan(first) | np.isnan(second)
    expected = np.minimum(*sizes) * (shares[0] + shares[1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        active = np.where(unpaired, 0.0, expected).sum(axis=0) / (~unpaired).sum(axis=0)
    return SampleMeans(
        samples=[str(names[sample]) for sample in enough],
        first=np.where(unpaired, np.nan, first),
        second=np.where(unpaired, np.nan, second),
        active=active,
    )


def _product(indicator: sparse.csr_matrix, values: Any) -> Floats:
    product: Any = indicator @ values
    return np.asarray(product.toarray() if sparse.issparse(product) else product, dtype=np.float64)
