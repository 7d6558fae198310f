"""Pseudotime alignment: one time scale for all lineages of a tree.

Shortest-path pseudotime measures how far a cell's molecules have moved, and lineages move at different speeds; a
lineage that has arrived early stands still while the others go on. What all lineages share is the sampling of cells,
so here time is counted in cells, along each path from the root to an end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mira_nb.typing import Floats

from .lineage_tree import LineageTree

_RIDGE = 10.0
"""Penalty per standardised proportion: ten cells' worth, negligible beside hundreds of cells on a path."""


def refine_ends(pseudotime: Floats, tree: LineageTree, topics: Floats, *, weight: float = 0.5) -> Floats:
    """Order the cells inside each lineage's own stretch also by what their topics predict.

    Where a lineage has nearly arrived, the shortest-path distance follows whatever varies most, noise included. The
    topic proportions along the whole path of the lineage predict pseudotime by ridge regression (standardised
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
        Fraction of the prediction, 0 to 1.
    """
    out = np.array(pseudotime, dtype=np.float64)
    states = tree.states.astype(str)
    for lineage in tree.lineages:
        on_path, own = np.isin(states, tree.path(lineage)), states == lineage
        if own.sum() < 2:
            continue
        spread = topics[on_path].std(axis=0)
        used = spread > 1e-12
        centre = topics[on_path][:, used].mean(axis=0)
        design = (topics[:, used] - centre) / spread[used]
        target = pseudotime[on_path] - pseudotime[on_path].mean()
        moments = design[on_path].T @ design[on_path] + _RIDGE * np.eye(int(used.sum()))
        slope = np.linalg.solve(moments, design[on_path].T @ target)
        predicted = design[own] @ slope + pseudotime[on_path].mean()
        out[own] = (1 - weight) * pseudotime[own] + weight * predicted
    return out


def align_pseudotime(pseudotime: Floats, tree: LineageTree, *, resolution: float = 0.07) -> Floats:
    """Align pseudotime across lineages: rescale each tree node to its fraction of cells, keeping the order within.

    Distances in a low-dimensional space give lineages with larger molecular changes longer pseudotimes. Here each
    node of the tree lasts a fraction of the time in proportion to its cells: if its subtree begins at u and holds N
    cells, n of them in the node itself, the node lasts from u to u + (1 - u) n / N, and every lineage ends at 1.
    Inside a node, a cell stands at the fraction of the node's cells before it; cells closer than the resolution count
    as simultaneous (the number of cells before is averaged over that window, along the whole path of which the node
    is a part), so that a plateau is not stretched by noise. The first cell is put at 0, the last at 1.

    Parameters
    ----------
    pseudotime
        (n,) values.
    tree
        Tree on the same cells.
    resolution
        Half width of the window, as a fraction of the pseudotime range.
    """
    pseudotime = np.asarray(pseudotime, dtype=np.float64)
    aligned = np.zeros(len(pseudotime))
    window = resolution * float(np.ptp(pseudotime))
    states = tree.states.astype(str)
    cells = {str(node): np.flatnonzero(states == str(node)) for node in tree.nodes["node"]}
    sizes = {node: _size(node, tree, cells) for node in cells}
    queue = [(str(tree.nodes["node"].iloc[0]), 0.0, np.empty(0), np.empty(0), -np.inf)]
    while queue:
        node, begin, before, weights, bottom = queue.pop()
        own, children = cells[node], tree.children(node)
        after = np.concatenate([np.empty(0, dtype=np.int64), *(cells[name] for name in _below(node, tree))])
        ends = np.concatenate([before, pseudotime[own], pseudotime[after.astype(np.int64)]])
        counts = np.concatenate([weights, np.ones(len(own) + len(after))])
        # A node reaches up to the branch where it splits; a lineage, to the last of its cells.
        top = float(pseudotime[own].max()) if children and len(own) else np.inf
        length = (1 - begin) * len(own) / max(sizes[node], 1)
        aligned[own] = begin + length * _share_before(pseudotime[own], ends, counts, bottom, top, window)
        total = sum(sizes[child] for child in children)
        for child in children:
            share = sizes[child] / max(total, 1)
            passed = np.concatenate([weights, np.ones(len(own))]) * share
            passed_times = np.concatenate([before, pseudotime[own]])
            queue.append((child, begin + length, passed_times, passed, top if len(own) else bottom))
    # Averaging over the window leaves the last cells a little short of the end.
    return aligned / (float(aligned.max()) or 1.0)


def _below(node: str, tree: LineageTree) -> list[str]:
    """List all nodes downstream of a node."""
    return [name for child in tree.children(node) for name in [child, *_below(child, tree)]]


def _size(node: str, tree: LineageTree, cells: dict[str, NDArray[np.int64]]) -> int:
    """Count the cells of a node and of all nodes downstream."""
    return sum(len(cells[name]) for name in [node, *_below(node, tree)])


def _share_before(
    values: Floats, all_values: Floats, weights: Floats, bottom: float, top: float, window: float
) -> Floats:
    """Return the fraction of the (weighted) cells between `bottom` and `top` before each value, in a sliding window."""
    if not len(values):
        return values
    order = np.argsort(all_values, kind="stable")
    ordered, cumulated = all_values[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    moments = np.concatenate([[0.0], np.cumsum(weights[order] * ordered)])

    def before(at: Floats) -> Floats:
        """Return the weight of the cells before each point, averaged over +- window."""
        if window <= 0:
            sides = [cumulated[np.searchsorted(ordered, at, side=side)] for side in ("left", "right")]
            return np.asarray((sides[0] + sides[1]) / 2)
        low, high = (np.searchsorted(ordered, at + step) for step in (-window, window))
        area = cumulated[high] * (at + window) - moments[high] - cumulated[low] * (at - window) + moments[low]
        return np.asarray(area / (2 * window))

    # The root begins with its first cell, any other node where its parent ends.
    first = float(values.min()) if bottom == -np.inf else bottom
    start = float(before(np.array([first]))[0])
    end = float(cumulated[-1]) if top == np.inf else float(before(np.array([top]))[0])
    # A node's cells stand after the branch they come from, and so past its branch time, even by a hair.
    lowest = 0.0 if bottom == -np.inf else 1e-6
    return np.asarray(np.clip((before(values) - start) / max(end - start, 1e-300), lowest, 1.0))
