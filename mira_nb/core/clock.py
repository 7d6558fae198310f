"""One clock for all lineages of a tree.

Shortest-path pseudotime measures how far a cell's molecules have moved, and lineages move at different speeds; a
lineage that has arrived early stands still while the others go on. What all lineages share is the sampling of cells,
so here time is counted in cells, along each way from the root to an end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lineage_tree import LineageTree

Floats = NDArray[np.float64]

_RIDGE = 10.0


def refine_ends(pseudotime: Floats, tree: LineageTree, topics: Floats, *, weight: float = 0.5) -> Floats:
    """Order the cells inside each lineage's own stretch also by what their topics predict.

    Where a lineage has nearly arrived, the shortest-path distance follows whatever varies most, noise included. The
    topic proportions along the whole way of the lineage predict pseudotime by ridge regression (standardised
    proportions, penalty 10); inside the lineage's own node, pseudotime and its prediction are averaged.

    Parameters
    ----------
    pseudotime
        (n,) values.
    tree
        Tree on the same cells.
    topics
        (n, K) proportions.
    weight
        Share of the prediction, 0 to 1.
    """
    out = np.array(pseudotime, dtype=np.float64)
    states = tree.states.astype(str)
    for lineage in tree.lineages:
        way, own = np.isin(states, tree.path(lineage)), states == lineage
        if own.sum() < 2:
            continue
        spread = topics[way].std(axis=0)
        used = spread > 1e-12
        centre = topics[way][:, used].mean(axis=0)
        design = (topics[:, used] - centre) / spread[used]
        target = pseudotime[way] - pseudotime[way].mean()
        moments = design[way].T @ design[way] + _RIDGE * np.eye(int(used.sum()))
        slope = np.linalg.solve(moments, design[way].T @ target)
        predicted = design[own] @ slope + pseudotime[way].mean()
        out[own] = (1 - weight) * pseudotime[own] + weight * predicted
    return out


def synchronise(pseudotime: Floats, tree: LineageTree, *, resolution: float = 0.05) -> Floats:
    """Let all lineages run by one clock, keeping the order of cells inside every node.

    Distances in a low-dimensional space give lineages with larger molecular changes longer pseudotimes. Here each
    node of the tree lasts a share of the time in proportion to its cells: if its subtree begins at u and holds N
    cells, n of them in the node itself, the node lasts from u to u + (1 - u) n / N, and every lineage ends at 1.
    Inside a node, a cell stands at the share of the node's cells before it; cells closer than the resolution count
    as simultaneous (the share is averaged over that window), so that a plateau is not stretched by noise. The result is
    scaled to run from 0 to 1.

    Parameters
    ----------
    pseudotime
        (n,) values.
    tree
        Tree on the same cells.
    resolution
        Half width of the window, as a share of the pseudotime range.
    """
    pseudotime = np.asarray(pseudotime, dtype=np.float64)
    counts = dict(zip(tree.nodes["node"], tree.nodes["n_cells"], strict=True))
    clock = np.zeros(len(pseudotime))
    window = resolution * float(np.ptp(pseudotime))

    def size(node: str) -> int:
        return int(counts[node]) + sum(size(child) for child in tree.children(node))

    queue = [(str(tree.nodes["node"].iloc[0]), 0.0)]
    while queue:
        node, begin = queue.pop()
        inside = np.flatnonzero(tree.states == node)
        length = (1 - begin) * len(inside) / max(size(node), 1)
        clock[inside] = begin + length * _share_before(pseudotime[inside], window)
        queue += [(child, begin + length) for child in tree.children(node)]
    return (clock - clock.min()) / (float(np.ptp(clock)) or 1.0)


def _share_before(values: Floats, window: float) -> Floats:
    """Share of the values below each value, averaged over +- window around it."""
    if not len(values):
        return values
    if window <= 0:
        below = np.searchsorted(np.sort(values), values, side="left") + np.searchsorted(
            np.sort(values), values, "right"
        )
        return np.asarray(below / (2 * len(values)))
    ordered = np.sort(values)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])

    def integral(at: Floats) -> Floats:
        """Integral of the number of values below x, for x up to `at`."""
        below = np.searchsorted(ordered, at)
        return np.asarray(below * at - sums[below])

    return (integral(values + window) - integral(values - window)) / (2 * window * len(values))
