"""Which features tell two sets of cells apart, and how the values of one feature are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mira_nb.typing import Floats

from .rank_tests import benjamini_hochberg, log2_ratio_of_log_means, rank_sum


def marker_table(first: Any, second: Any, names: Sequence[str]) -> pd.DataFrame:
    """Test every feature between two sets of cells by the Wilcoxon rank-sum test.

    Parameters
    ----------
    first, second
        (n_1, F) and (n_2, F) log(1 + value) of the cells, sparse or dense.
    names
        F names.

    Returns
    -------
    DataFrame
        feature, effect_size (rank-biserial correlation, positive where `first` is larger), log2_fold_change,
        fraction_1, fraction_2 (cells with a value above zero), pvalue, adj_pvalue (Benjamini-Hochberg over the features
        that either set has at all); the largest effects first.
    """
    present = [np.asarray((values > 0).sum(axis=0)).ravel() for values in (first, second)]
    kept = np.flatnonzero(present[0] + present[1])
    test = rank_sum(first[:, kept], second[:, kept])
    frame = pd.DataFrame(
        {
            "feature": np.asarray(names, dtype=object)[kept],
            "effect_size": test.effect_size,
            "log2_fold_change": log2_ratio_of_log_means(first[:, kept], second[:, kept]),
            "fraction_1": present[0][kept] / first.shape[0],
            "fraction_2": present[1][kept] / second.shape[0],
            "pvalue": test.pvalue,
            "adj_pvalue": benjamini_hochberg(test.pvalue),
        }
    )
    return frame.sort_values("effect_size", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Spread:
    """How the values of one set of cells are spread.

    Attributes
    ----------
    grid, density
        (G,) points and the estimated density there; a single point for a set of equal values.
    quartiles
        First quartile, median, third quartile.
    n
        Values used.
    """

    grid: Floats
    density: Floats
    quartiles: tuple[float, float, float]
    n: int


def spread(values: Floats, *, n_grid: int = 64, max_cells: int = 5000, seed: int = 0) -> Spread | None:
    """Estimate the density of values by a Gaussian kernel (Scott's rule), within their range.

    Parameters
    ----------
    values
        (n,) values; NaN is left out.
    n_grid
        Points of the grid.
    max_cells
        Values that the density is estimated from; of more, a sample is drawn. Quartiles come from all.
    seed
        Of the sample.

    Returns
    -------
    Spread or None
        None without a value.
    """
    from scipy.stats import gaussian_kde

    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    low, middle, high = (float(x) for x in np.percentile(known, (25, 50, 75)))
    if np.ptp(known) == 0:
        return Spread(known[:1], np.ones(1), (low, middle, high), len(known))
    sample = known
    if len(known) > max_cells:
        sample = np.random.default_rng(seed).choice(known, max_cells, replace=False)
    grid = np.linspace(known.min(), known.max(), n_grid)
    if np.ptp(sample) == 0:
        sample = np.append(sample, [known.min(), known.max()])
    return Spread(grid, np.asarray(gaussian_kde(sample)(grid)), (low, middle, high), len(known))


def centre(points: Floats) -> int:
    """Return the row of the point whose coordinates are nearest to the median of all, the first of equals."""
    middle = np.median(points, axis=0)
    return int(np.argmin(((points - middle) ** 2).sum(axis=1)))
