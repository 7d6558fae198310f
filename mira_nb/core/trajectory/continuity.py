"""Test whether a lineage is continuously populated along pseudotime or jumps between disconnected populations.

A shortest path runs from any population to any other, and both assays agree on the order of types that are merely
different. What a differentiation has, and a set of mature types has not, are cells in transit. They are counted along
the committor of transition path theory: the probability q that a random walk on the neighbour graph that leaves from
a cell reaches the lineage's last cells before its first. q rises from 0 to 1 along the path, by the resistance that the
walk meets: where populations are joined by a few cells only, most of the rise happens over these few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from mira_nb.errors import ConvergenceError
from mira_nb.typing import Floats, Ints

from .lineage_tree import LineageTree

Verdict = Literal["continuous", "gap", "too few cells"]

STRETCH: Final = 0.3
"""Width of the committor's stretch that is searched. On 3,000 planted cells along a fork the emptiest 0.3 holds 0.70 to
0.74 of the cells expected; with one cell in twenty in transit between distinct types, none of them on one lineage."""
END_CELLS: Final = 20
"""Cells at either end of a path between which the committor is solved: the smallest lineage that is accepted."""
MIN_JUDGED: Final = 1000
"""Fewest cells on a path for a verdict: a tenth of the 0.3 expected are 30 cells; fewer may be missing by chance."""
_STEP: Final = 0.01
"""Distance between the stretches tried: a thirtieth of their width."""
COLUMNS: Final = (
    "lineage",
    "n_cells",
    "n_in_gap",
    "n_expected",
    "continuity",
    "pseudotime_before",
    "pseudotime_after",
    "verdict",
)


@dataclass(frozen=True)
class GapRules:
    """Numbers of the test for gaps; defaults and their sources are the constants of this module.

    Attributes
    ----------
    min_continuity
        A path whose emptiest stretch holds less than this fraction of the cells expected crosses a gap.
    stretch
        Width of the committor's stretch that is searched.
    end_cells
        Cells at either end of a path between which the committor is solved.
    min_judged
        Fewest cells on a path for a verdict; with fewer, a stretch may be empty by chance.
    """

    min_continuity: float = 0.1
    stretch: float = STRETCH
    end_cells: int = END_CELLS
    min_judged: int = MIN_JUDGED


@dataclass(frozen=True)
class Continuity:
    """Continuity of the paths of all lineages.

    Attributes
    ----------
    table
        ``lineage, n_cells, n_in_gap, n_expected, continuity, pseudotime_before, pseudotime_after, verdict``, one row
        per lineage: cells of its path between the first and the last; those in the emptiest stretch of the committor
        (see :attr:`GapRules.stretch`); those expected there if the path met the same resistance everywhere; their
        ratio; the median pseudotime of the cells next to the stretch on either side.
    sides
        (before, after) rows of the cells next to the emptiest stretch, one pair per lineage.
    """

    table: pd.DataFrame
    sides: tuple[tuple[Ints, Ints], ...]

    @property
    def gapped(self) -> tuple[str, ...]:
        """Return the lineages whose path crosses a gap."""
        return tuple(self.table.loc[self.table["verdict"] == "gap", "lineage"])


def judge_continuity(
    graph: sparse.csr_matrix, pseudotime: Floats, tree: LineageTree, *, rules: GapRules | None = None
) -> Continuity:
    """Count the cells in transit along the path from the root to each lineage's end.

    Parameters
    ----------
    graph
        (n, n) symmetric neighbour graph; every edge counts the same.
    pseudotime
        (n,) values.
    tree
        Lineage tree of the same cells.
    rules
        Numbers of the test; None: the defaults.
    """
    rules = rules or GapRules()
    states = tree.states.astype(str)
    edges = sparse.csr_matrix((np.ones(graph.nnz), graph.indices, graph.indptr), shape=graph.shape)
    rows: list[tuple[object, ...]] = []
    sides = []
    for lineage in tree.lineages:
        on_path = np.flatnonzero(np.isin(states, tree.path(lineage)))
        order = on_path[np.argsort(pseudotime[on_path], kind="stable")]
        n_ends = min(rules.end_cells, len(on_path) // 4)
        inner = order[n_ends : len(order) - n_ends]
        if not n_ends:
            rows.append((lineage, len(inner), 0, np.nan, np.nan, np.nan, np.nan, "too few cells"))
            sides.append((order[:0], order[:0]))
            continue
        place = np.searchsorted(on_path, order)
        values = committor(edges[on_path][:, on_path], place[:n_ends], place[-n_ends:])[np.searchsorted(on_path, inner)]
        n_gap, begin = emptiest_stretch(values, stretch=rules.stretch)
        expected = rules.stretch * len(inner)
        ranked = inner[np.argsort(values, kind="stable")]
        cut, end = (int(np.searchsorted(np.sort(values), at)) for at in (begin, begin + rules.stretch))
        before, after = ranked[max(cut - rules.end_cells, 0) : cut], ranked[end : end + rules.end_cells]
        verdict: Verdict = "continuous"
        if n_gap < rules.min_continuity * expected:
            verdict = "gap" if len(inner) >= rules.min_judged else "too few cells"
        times = [float(np.median(pseudotime[side])) if len(side) else np.nan for side in (before, after)]
        rows.append((lineage, len(inner), n_gap, expected, n_gap / expected, *times, verdict))
        sides.append((before, after))
    return Continuity(pd.DataFrame(rows, columns=list(COLUMNS)), tuple(sides))


def committor(graph: sparse.csr_matrix, first: Ints, last: Ints) -> Floats:
    """Compute the probability, for every cell, that a random walk reaches `last` before `first`, (n,).

    Solves the graph's Laplace equation, 0 at `first` and 1 at `last`, by conjugate gradients. Cells connected to
    only one of the two get its value; cells connected to neither get NaN.

    Parameters
    ----------
    graph
        (n, n) symmetric, non-negative weights.
    first, last
        Disjoint rows.

    Raises
    ------
    ConvergenceError
        The equation could not be solved.
    """
    from scipy.sparse.linalg import cg

    n = graph.shape[0]
    _, labels = csgraph.connected_components(graph, directed=False)
    from_first, to_last = np.isin(labels, labels[first]), np.isin(labels, labels[last])
    out = np.where(to_last, np.where(from_first, 0.5, 1.0), np.where(from_first, 0.0, np.nan))
    out[first], out[last] = 0.0, 1.0
    fixed = np.zeros(n, dtype=bool)
    fixed[first] = fixed[last] = True
    free = np.flatnonzero(from_first & to_last & ~fixed)
    if not len(free):
        return np.asarray(out)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    laplacian = (sparse.diags(degree) - graph).tocsr()[free]
    system = sparse.csr_matrix(laplacian[:, free])
    target = -np.asarray(laplacian[:, last].sum(axis=1)).ravel()
    solution, failed = cg(system, target, rtol=1e-8, maxiter=20_000, M=sparse.diags(1 / system.diagonal()))
    if failed:
        raise ConvergenceError("the committor of a lineage did not converge", remedy="raise n_neighbors")
    out[free] = np.clip(solution, 0.0, 1.0)
    return np.asarray(out)


def emptiest_stretch(values: Floats, *, stretch: float = STRETCH) -> tuple[int, float]:
    """Count the cells in the emptiest stretch of the committor, `stretch` wide, and find where it begins.

    Only stretches between the lowest and the highest value count: the first and last cells of a path are joined to
    it by few edges themselves. Without room for one, all cells are in transit.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered) or ordered[-1] - ordered[0] < stretch:
        return len(ordered), float(ordered[0]) if len(ordered) else 0.0
    begins = np.arange(ordered[0], ordered[-1] - stretch + 1e-9, _STEP)
    counts = np.searchsorted(ordered, begins + stretch) - np.searchsorted(ordered, begins, side="right")
    emptiest = np.flatnonzero(counts == counts.min())
    chosen = int(emptiest[len(emptiest) // 2])
    return int(counts[chosen]), float(begins[chosen])
