"""Confidence intervals of branch times: the trajectory inferred again from random halves of the cells.

A branch time depends on the cells through the neighbour graph, the pseudotime, the random walk and its alignment.
Cells resampled with all these held fixed show the last step alone, and their fates, made smooth by the walk, are not
independent of each other. So each sample draws m of n cells without replacement and repeats every step from the
joint space on. With a standard error that falls as one over the square root of the cells, estimates of such samples
scatter about the estimate by the fraction sqrt(n / m - 1) of its standard error, which is 1 for halves (Politis and
Romano 1994, Annals of Statistics 22:2031; Shao and Wu 1989, Annals of Statistics 17:1176).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.errors import InputError
from mira_nb.typing import Floats, Ints

from .infer import Differentiation, Settings, build_manifold, differentiate
from .lineage_tree import branch_time, split_name

COLUMNS = ("node", "split", "branch_time", "low", "high", "n_resamples")
LARGEST_SAMPLE = 1000
"""Cells of a sample at most, so that a sample takes about a second whatever the number of cells."""
LEAST_FRACTION = 0.5
"""Least fraction of samples in which a branch is found, for an interval to be reported."""


@dataclass(frozen=True)
class Space:
    """The component's joint space, from which a sample's graph is made.

    Attributes
    ----------
    joint
        (m, d) coordinates whose Manhattan distances make the joint graph.
    k
        Neighbours per cell of that graph.
    topics
        (m, K) topic proportions of both assays, for the alignment; None: not aligned.
    """

    joint: Floats
    k: int
    topics: Floats | None


def resampled_branch_times(
    found: Differentiation,
    start: int,
    space: Space,
    settings: Settings,
    *,
    rng: np.random.Generator,
    n_resamples: int = 50,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return normal intervals of branch times from trajectories of random halves of the cells.

    Start and terminal cells belong to every sample, so the interval does not speak of their choice, nor of the topic
    models.

    Parameters
    ----------
    found
        The trajectory of all m cells.
    start
        Position of the start cell.
    space
        Coordinates of the m cells.
    settings
        Those of `found`.
    rng
        Draws the samples.
    n_resamples
        Number of samples.
    level
        Coverage of the interval.

    Returns
    -------
    pandas.DataFrame
        ``node, split, branch_time, low, high, n_resamples``, one row per branch; ``low`` and ``high`` are NaN where too
        few samples have the branch, and ``n_resamples`` is the number of those that do.
    """
    tree, n_cells = found.tree, len(found.pseudotime)
    branches = [
        (node, float(time), [[tree.lineages.index(leaf) for leaf in tree.leaves(child)] for child in children])
        for node, time in zip(tree.nodes["node"], tree.nodes["branch_time"], strict=True)
        if np.isfinite(time) and len(children := tree.children(node)) == 2
    ]
    size = min(n_cells // 2, LARGEST_SAMPLE)
    groups = [pair for _, _, pair in branches]
    drawn = np.full((n_resamples, len(branches)), np.nan)
    for i in range(n_resamples):
        cells = np.union1d(rng.choice(n_cells, size, replace=False), [start, *found.ends])
        drawn[i] = _times_of_sample(cells, found, start, space, settings, groups)
    rows = []
    for (node, time, pair), sample in zip(branches, drawn.T, strict=True):
        finite = sample[np.isfinite(sample)]
        low, high = np.nan, np.nan
        if len(finite) >= max(2, LEAST_FRACTION * n_resamples):
            error = finite.std(ddof=1) / np.sqrt(n_cells / size - 1)
            reach = float(ndtri(0.5 + level / 2) * error)
            low, high = max(time - reach, 0.0), min(time + reach, 1.0)
        split = split_name([tree.lineages[k] for k in group] for group in pair)
        rows.append((node, split, time, low, high, len(finite)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _times_of_sample(
    cells: Ints,
    found: Differentiation,
    start: int,
    space: Space,
    settings: Settings,
    groups: list[list[list[int]]],
) -> Floats:
    """Return the time of each branch in the trajectory of some cells; NaN where the branch is not there."""
    graph = nearest_neighbors(space.joint[cells], k=space.k, metric="manhattan").to_sparse()
    ends = np.searchsorted(cells, found.ends)
    out = np.full(len(groups), np.nan)
    manifold = build_manifold(graph, int(np.searchsorted(cells, start)), settings)
    inside = np.searchsorted(manifold.cells, ends)
    if not np.array_equal(manifold.cells[np.minimum(inside, len(manifold.cells) - 1)], ends):
        return out  # an end is not connected to the start in this sample
    topics = None if space.topics is None else space.topics[cells][manifold.cells]
    try:
        again = differentiate(manifold, settings, terminal_cells=[int(cell) for cell in inside], topics=topics)
    except InputError:
        return out
    for k, (first, second) in enumerate(groups):
        one, two = (again.fates[:, group].sum(axis=1) for group in (first, second))
        rule, cap = settings.branch_rule, settings.branch_cap
        time = branch_time(again.pseudotime, one, two, manifold.start, settings.branch_threshold, rule, cap)
        out[k] = time if np.isfinite(time) else np.nan
    return out
