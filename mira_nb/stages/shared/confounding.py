"""Features of the cells that follow the batch: variance explained by it beside that by the groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.core.statistics.confounding import variance_explained

from .cells import MISSING_GROUP, CellAnnotations

COLUMNS = ("kind", "name", "by_batch", "by_groups", "beyond_groups", "follows_batch")


def confounding_table(
    features: dict[str, pd.DataFrame], annotations: CellAnnotations, *, least: float
) -> pd.DataFrame | None:
    """Return how much of each feature's variance the batch explains; None without a batch of at least two levels.

    Parameters
    ----------
    features
        By kind (``topic``, ``cluster``, ...): one row per cell, one column per feature; rows with missing values are
        left out.
    annotations
        Batch, and groups where they were given, of the same cells.
    least
        A feature follows the batch where the batch explains this fraction of its variance beyond the groups, or alone
        where no groups were given.

    Returns
    -------
    pandas.DataFrame or None
        ``kind, name, by_batch, by_groups, beyond_groups, follows_batch``: adjusted fractions of variance, see
        :func:`mira_nb.core.statistics.confounding.variance_explained`; ``beyond_groups`` is what batch and groups
        explain together less what the groups do. NaN without groups.
    """
    batch, groups = annotations.batch, annotations.groups
    if batch is None:
        return None
    known = np.asarray(batch != MISSING_GROUP)
    if groups is not None:
        known &= np.asarray(groups != MISSING_GROUP)
    rows: list[tuple[object, ...]] = []
    for kind, frame in features.items():
        used = known & np.isfinite(frame.to_numpy(dtype=np.float64)).all(axis=1)
        levels = batch.to_numpy()[used]
        if len(np.unique(levels)) < 2:
            return None
        values = frame.to_numpy(dtype=np.float64)[used]
        alone = variance_explained(values, levels)
        by_groups = beyond = np.full(len(alone), np.nan)
        if groups is not None:
            states = groups.to_numpy()[used]
            by_groups = variance_explained(values, states)
            beyond = variance_explained(values, states, levels) - by_groups
        follows = (alone if groups is None else beyond) >= least
        rows += zip([kind] * len(alone), map(str, frame.columns), alone, by_groups, beyond, follows, strict=True)
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None
