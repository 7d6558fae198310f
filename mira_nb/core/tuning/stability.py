"""Stability of topics over refits: matching, and topics that are unstable, duplicated or unused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

FOUND = 0.8
"""Correlation of a topic's proportions from which a refit counts as finding it again (chosen)."""

DUPLICATE = 0.9
"""Correlation of two topics' feature profiles above which they count as one programme (chosen)."""

DEAD = 0.1
"""Largest proportion in any cell up to which a topic counts as unused (chosen, as in the alert of the model)."""


@dataclass(frozen=True)
class Stability:
    """Agreement of refits with the chosen model.

    Attributes
    ----------
    matched
        (refits, K) correlation over cells of each topic with its match.
    table
        One row per topic: topic, mean_proportion, stability (mean over refits), lowest, found_in, n_seeds,
        interval (mean over cells of `high` - `low`), duplicate_of (0: none), duplicate_r, flag.
    topics
        (cells, K) proportions of the chosen model that the rows refer to.
    low, high
        (cells, K) smallest and largest proportion of each topic in each cell over the chosen model and the matched
        topics of all refits; equal to `topics` without refits.
    refits
        (refits, cells, K) proportions under each refit, topics in the order of those they match.
    """

    matched: NDArray[np.float64]
    table: pd.DataFrame
    topics: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    refits: NDArray[np.float32]

    def flagged(self, flag: str) -> list[int]:
        """Return the numbers of the topics with a flag, ``single``, ``duplicate`` or ``dead``."""
        return [int(number) for number in self.table.loc[self.table["flag"] == flag, "topic"]]


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Pearson correlations of columns, (columns of a, columns of b); 0 where a column is constant."""
    left, right = (x - x.mean(0, dtype=np.float64) for x in (a, b))
    size = np.outer(np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=0))
    return np.asarray(np.divide(left.T @ right, size, out=np.zeros_like(size), where=size > 1e-12))


def match(reference: NDArray[np.floating], other: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Match topics one to one so that the sum of correlations over cells is largest (Hungarian algorithm).

    Parameters
    ----------
    reference, other
        (cells, K) proportions of the same cells.

    Returns
    -------
    columns, correlations
        (K,) matched column of `other` and its correlation, by topic of the reference.
    """
    found = correlation(reference, other)
    rows, columns = linear_sum_assignment(-found)
    return columns, found[rows, columns]


def assess(
    reference: NDArray[np.float32], features: NDArray[np.float32], pooled: NDArray[np.float64],
    refits: Sequence[NDArray[np.float32]],
) -> Stability:  # fmt: skip
    """Compare refits with a reference model.

    Parameters
    ----------
    reference
        (cells, K) proportions, topics by decreasing mean.
    features
        (features, K) feature proportions of its topics.
    pooled
        (features,) mean profile, which profiles of topics are compared relative to.
    refits
        (cells, K) proportions of the same cells under each refit.
    """
    found = [match(reference, other) for other in refits]
    matched = np.array([r for _, r in found]).reshape(len(refits), reference.shape[1])
    ordered = np.stack([reference, *(other[:, columns] for other, (columns, _) in zip(refits, found, strict=True))])
    low, high = ordered.min(axis=0), ordered.max(axis=0)
    profiles = np.log(np.maximum(features, 1e-9) + 0.02 * pooled[:, None]) - np.log(1.02 * pooled)[:, None]
    alike = correlation(profiles, profiles)
    np.fill_diagonal(alike, -1.0)
    nearest = alike.argmax(1)
    rows = []
    for t in range(reference.shape[1]):
        found_in = int((matched[:, t] >= FOUND).sum())
        closest = float(alike[t, nearest[t]])
        duplicate = closest > DUPLICATE
        # the reference is a fit too: a topic that no refit finds was found from one seed only
        flags = {"dead": reference[:, t].max() <= DEAD, "duplicate": duplicate, "single": refits and found_in == 0}
        rows.append(
            {
                "topic": t + 1,
                "mean_proportion": float(reference[:, t].mean(dtype=np.float64)),
                "stability": float(matched[:, t].mean()) if len(refits) else np.nan,
                "lowest": float(matched[:, t].min()) if len(refits) else np.nan,
                "found_in": found_in,
                "n_seeds": len(refits),
                "interval": float((high[:, t] - low[:, t]).mean(dtype=np.float64)) if len(refits) else np.nan,
                "duplicate_of": int(nearest[t]) + 1 if duplicate else 0,
                "duplicate_r": closest,
                "flag": next((name for name, holds in flags.items() if holds), ""),
            }
        )
    return Stability(matched, pd.DataFrame(rows), reference, low, high, ordered[1:])
