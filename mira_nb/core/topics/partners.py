"""Topics of the two assays that are partners: each is the other's best match over cells."""

from __future__ import annotations

from typing import Final

import numpy as np

from mira_nb.typing import Floats

PARTNER: Final = 0.3
"""Least correlation over cells of two topics that count as partners where the direction of a trajectory is sought."""


def topic_correlation(rna: Floats, atac: Floats) -> Floats:
    """Return the correlation over cells of every expression topic with every accessibility topic.

    Parameters
    ----------
    rna, atac
        (n, K) and (n, M) topic proportions.

    Returns
    -------
    ndarray
        (K, M) Pearson correlations; NaN for a topic that is the same in all cells.
    """
    n = rna.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.corrcoef(rna.T, atac.T)[:n, n:])


def mutual_best(between: Floats) -> list[tuple[int, int]]:
    """Return the pairs of row and column that are each other's largest value; NaN is none."""
    filled = np.nan_to_num(between, nan=-1.0)
    best = filled.argmax(axis=1)
    return [
        (row, int(column))
        for row, column in enumerate(best)
        if filled[:, column].argmax() == row and np.isfinite(between[row, column])
    ]


def partner_topics(rna: Floats, atac: Floats, *, least: float = PARTNER) -> list[tuple[int, int]]:
    """Pair the topics of the two assays that are each other's best match and correlate by at least `least`."""
    between = topic_correlation(rna, atac)
    return [(row, column) for row, column in mutual_best(between) if between[row, column] >= least]
