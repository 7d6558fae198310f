"""Tests of many features between groups of cells, and which groups share a topic.

Wilcoxon rank-sum tests with tie correction; Benjamini-Hochberg over everything that was tested together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.errors import InputError

from .rank_tests import benjamini_hochberg, rank_sum

REST: Final = "rest"
COLUMNS: Final = (
    "quantity", "group_1", "group_2", "n_1", "n_2", "median_1", "median_2", "effect_size", "pvalue", "adj_pvalue",
)  # fmt: skip


def contrasts(groups: Sequence[str], *, pairs: bool) -> list[tuple[str, str]]:
    """List the pairs of groups to compare: every two groups, or every group with all other cells."""
    if pairs:
        return list(combinations(groups, 2))
    return [(group, REST) for group in groups]


def compare_groups(
    values: Any,
    names: Sequence[str],
    labels: NDArray,
    compared: Sequence[tuple[str, str]],
    *,
    min_cells: int = 3,
) -> pd.DataFrame:
    """Test every feature in every contrast by the Wilcoxon rank-sum test.

    Parameters
    ----------
    values
        (n, F) features of the cells, dense or sparse; NaN are left out.
    names
        F names of the features.
    labels
        (n,) group of every cell; None or NaN: in no group (such cells are not part of the rest either).
    compared
        Contrasts (group_1, group_2); group_2 may be :data:`REST`.
    min_cells
        Contrasts with fewer cells on a side are left out.

    Returns
    -------
    DataFrame
        The columns :data:`COLUMNS` without ``adj_pvalue``; effect_size is the rank-biserial correlation (Cliff's
        delta), positive where group_1 is larger.

    Raises
    ------
    InputError
        When a contrast names a group that no cell has.
    """
    parts = []
    for first, second in compared:
        one, two = map(np.flatnonzero, sides(labels, first, second))
        if min(len(one), len(two)) < min_cells:
            continue
        test = rank_sum(values[one], values[two])
        parts.append(
            pd.DataFrame(
                {
                    "quantity": list(names),
                    "group_1": first,
                    "group_2": second,
                    "n_1": test.n_1.astype(int),
                    "n_2": test.n_2.astype(int),
                    "median_1": test.median_1,
                    "median_2": test.median_2,
                    "effect_size": test.effect_size,
                    "pvalue": test.pvalue,
                }
            )
        )
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS[:-1]})
    return pd.concat(parts, ignore_index=True)


def sides(labels: NDArray, first: str, second: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the cells on either side of a contrast; the rest are all other cells that are in a group.

    Raises
    ------
    InputError
        When no cell is in a group that is named.
    """
    known = pd.notna(labels)
    text = np.where(known, np.asarray(labels, dtype=object), "")
    one = text == first
    two = (text == second) if second != REST else (known & ~one)
    for name, side in ((first, one), (second, two)):
        if name != REST and not side.any():
            present = sorted(set(map(str, text[known])))
            raise InputError(f"no cell is in group {name!r}", expected=f"one of {', '.join(present)}")
    return one, two


def adjust(tests: pd.DataFrame, *, within: str, pvalue: str = "pvalue", into: str = "adj_pvalue") -> pd.DataFrame:
    """Add the column `into`: Benjamini-Hochberg over all tests of the same value of the column `within`."""
    out = tests.copy()
    out[into] = np.nan
    for _, rows in out.groupby(within, sort=False).groups.items():
        out.loc[rows, into] = benjamini_hochberg(out.loc[rows, pvalue].to_numpy(dtype=np.float64))
    return out


def share_topics(topics: pd.DataFrame, labels: NDArray, *, fraction: float = 0.5) -> pd.DataFrame:
    """List the groups of cells that share a topic.

    A topic belongs to every group whose mean proportion is at least `fraction` of the highest group's. One group:
    the topic is specific; all groups: ubiquitous; else shared.

    Parameters
    ----------
    topics
        (n, K) topic proportions.
    labels
        (n,) group of every cell; cells without a group are left out.

    Returns
    -------
    DataFrame
        One row per topic: topic, sharing, groups, n_groups, highest_group, highest_mean, and one column ``mean in G``
        per group; sparsity (Gini index over cells, 0 equal to 1 in one cell); most_similar topic and its correlation.
    """
    known = pd.notna(labels)
    means = topics[known].groupby(np.asarray(labels, dtype=object)[known], sort=True).mean()
    correlation = np.corrcoef(topics.to_numpy().T) if topics.shape[1] > 1 else np.ones((1, 1))
    correlation = np.nan_to_num(correlation) - 2 * np.eye(len(correlation))
    rows = []
    for k, topic in enumerate(topics.columns):
        column = means[topic]
        inside = column[column >= fraction * column.max()].sort_values(ascending=False, kind="stable")
        sharing = "specific" if len(inside) == 1 else "ubiquitous" if len(inside) == len(column) else "shared"
        nearest = int(correlation[k].argmax())
        rows.append(
            {
                "topic": topic,
                "sharing": sharing,
                "groups": ", ".join(map(str, inside.index)),
                "n_groups": len(inside),
                "highest_group": str(inside.index[0]),
                "highest_mean": float(column.max()),
                "sparsity": gini(topics[topic].to_numpy()),
                "most_similar": topics.columns[nearest] if nearest != k else "",
                "correlation": float(correlation[k, nearest]) if nearest != k else np.nan,
                **{f"mean in {group}": float(value) for group, value in column.items()},
            }
        )
    return pd.DataFrame(rows)


def gini(values: NDArray[np.floating]) -> float:
    """Return the Gini index of non-negative values: 0 when all are equal, 1 - 1/n when one has everything."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    total = ordered.sum()
    if total <= 0:
        return 0.0
    n = len(ordered)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
