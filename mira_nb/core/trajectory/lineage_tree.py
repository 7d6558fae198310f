"""Bifurcating lineage tree from fate probabilities and pseudotime (Extended Methods, Lineage tree inference).

With p(z | i) the probability that cell i reaches terminal state z and O the start cell:

    lineage      l_Oz = { i : p(z | i) >= p(z | O) }
    divergence   F_i  = log [ (p(a | i) / p(b | i)) / (p(a | O) / p(b | O)) ]
    branch time  s*   = pseudotime at which |F| leaves the start's over l_Oa or l_Ob (:mod:`.branching`)

The pair that branches latest is merged, its probabilities are added, and the branch times are computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.errors import InputError
from mira_nb.typing import Floats

from .branching import CUT, BranchRule, parting_time

ROOT = "root"
JOIN = ", "
FLOAT_GUARD = 1e-12
"""Smallest probability that enters a logarithm; far below what a sparse solve resolves."""


@dataclass(frozen=True)
class LineageTree:
    """A rooted binary tree over lineages.

    Attributes
    ----------
    nodes
        One row per node: ``node, parent, branch_time, n_cells``; parents before children. ``branch_time`` is the
        pseudotime at which the node splits into its children (NaN for a lineage's end). The first node is ``root``.
    states
        (n,) the node every cell belongs to; empty text for a cell without pseudotime.
    lineages
        Names of the lineages (leaves), in the order of the columns of the fate probabilities.
    threshold
        eps used.
    shared
        Pairs of nodes that never diverge by more than eps: they share their whole path.
    rule
        How branch times were estimated.
    cut
        Log ratios beyond this many thresholds counted as this in the fit of a ramp.
    """

    nodes: pd.DataFrame
    states: NDArray[np.object_]
    lineages: tuple[str, ...]
    threshold: float
    shared: tuple[tuple[str, str], ...] = ()
    rule: BranchRule = "ramp"
    cut: float = CUT

    def topology(self) -> frozenset[frozenset[str]]:
        """Set of the leaf sets below every inner node: equal for equal topologies whatever the order of names."""
        inner = self.nodes.loc[self.nodes["node"].isin(set(self.nodes["parent"])), "node"]
        return frozenset(frozenset(self.leaves(name)) for name in inner)

    def children(self, node: str) -> list[str]:
        """Return the names of the nodes directly below `node`."""
        return self.nodes.loc[self.nodes["parent"] == node, "node"].tolist()

    def leaves(self, node: str) -> list[str]:
        """Return the names of the lineages below `node` (itself, when it is a lineage)."""
        below = self.children(node)
        return [node] if not below else [leaf for child in below for leaf in self.leaves(child)]

    def path(self, lineage: str) -> list[str]:
        """Return the nodes from the root to a lineage's end."""
        parent = dict(zip(self.nodes["node"], self.nodes["parent"], strict=True))
        out = [lineage]
        while parent[out[0]]:
            out.insert(0, parent[out[0]])
        return out


def divergence(prob_a: Floats, prob_b: Floats, start: int) -> Floats:
    """Return the log ratio of two fate probabilities relative to that at the start cell, F (n,).

    Zero where the balance is that of the start; positive towards a.
    """
    ratio = np.log(np.maximum(prob_a, FLOAT_GUARD)) - np.log(np.maximum(prob_b, FLOAT_GUARD))
    return np.asarray(ratio - ratio[start])


def _members(prob: Floats, start: int) -> NDArray[np.bool_]:
    """Return the cells of a lineage: at least as likely to reach its end as the start cell."""
    # The random walk of trunk cells equals the start's up to the precision of the solve.
    return np.asarray(prob >= prob[start] - 1e-9)


def branch_time(
    pseudotime: Floats,
    prob_a: Floats,
    prob_b: Floats,
    start: int,
    threshold: float,
    rule: BranchRule = "ramp",
    cut: float = CUT,
) -> float:
    """Return the pseudotime at which two lineages part, by the cells of either; infinite when they never do."""
    union = _members(prob_a, start) | _members(prob_b, start)
    return parting_time(pseudotime[union], divergence(prob_a, prob_b, start)[union], threshold, rule, cut)


def lineage_tree(
    pseudotime: Floats,
    fates: Floats,
    lineages: Sequence[str],
    *,
    start: int,
    threshold: float,
    rule: BranchRule = "ramp",
    cut: float = CUT,
) -> LineageTree:
    """Build the tree.

    Parameters
    ----------
    pseudotime
        (n,) finite values.
    fates
        (n, Z) probabilities of reaching each lineage's end, rows sum to 1.
    lineages
        Z unique names.
    start
        Row of the start cell O.
    threshold
        eps, in natural-log units.
    rule
        How a branch time is estimated, see :func:`.branching.parting_time`.
    cut
        Log ratios beyond this many thresholds count as this in the fit of a ramp.

    Raises
    ------
    InputError
        For shapes that do not fit, names that are not unique or values that are not finite.
    """
    pseudotime, fates = np.asarray(pseudotime, dtype=np.float64), np.asarray(fates, dtype=np.float64)
    names = [str(name) for name in lineages]
    _check(pseudotime, fates, names)
    last = float(pseudotime.max())
    active: dict[tuple[int, ...], Floats] = {(k,): fates[:, k] for k in range(len(names))}
    label: dict[tuple[int, ...], str] = {key: names[key[0]] for key in active}
    parents: dict[tuple[int, ...], tuple[int, ...]] = {}
    times: dict[tuple[int, ...], float] = {}
    shared: list[tuple[str, str]] = []
    while len(active) > 1:
        keys = sorted(active)
        pairs = [(a, b) for i, a in enumerate(keys) for b in keys[i + 1 :]]
        found = {(a, b): branch_time(pseudotime, active[a], active[b], start, threshold, rule, cut) for a, b in pairs}
        first, second = max(pairs, key=lambda pair: found[pair])
        time = found[first, second]
        if not np.isfinite(time):
            shared.append((label[first], label[second]))
            time = last
        merged = tuple(sorted(first + second))
        # A later merge lies upstream: its branch time cannot exceed those below it.
        below = [times[key] for key in (first, second) if key in times]
        times[merged] = min([time, *below])
        parents[first] = parents[second] = merged
        label[merged] = node_name(names[k] for k in merged)
        active[merged] = active.pop(first) + active.pop(second)
    top = next(iter(active))
    if len(names) > 1:
        label[top] = _unused_root(names)
    states = _assign(pseudotime, fates, start, top, parents, times, label)
    return LineageTree(
        nodes=_node_table(top, parents, times, label, states),
        states=states,
        lineages=tuple(names),
        threshold=float(threshold),
        shared=tuple(shared),
        rule=rule,
        cut=cut,
    )


def node_name(lineages: Iterable[str]) -> str:
    """Return the name of the node that some lineages share: theirs, in one order."""
    return JOIN.join(sorted(lineages))


def split_name(sides: Iterable[Iterable[str]]) -> str:
    """Return the name of a split from the lineages of its sides."""
    return " / ".join(sorted(node_name(side) for side in sides))


def _check(pseudotime: Floats, fates: Floats, names: list[str]) -> None:
    if fates.ndim != 2 or fates.shape != (len(pseudotime), len(names)) or not names:
        raise InputError(
            f"fate probabilities of shape {fates.shape} for {len(pseudotime)} cells and {len(names)} lineages",
            expected="one row per cell and one column per lineage",
        )
    if len(set(names)) != len(names):
        raise InputError(f"lineage names are not unique: {', '.join(names)}")
    if not (np.isfinite(pseudotime).all() and np.isfinite(fates).all()):
        raise InputError(
            "pseudotime or fate probabilities hold missing or infinite values",
            remedy="leave out cells without a pseudotime before building the tree",
        )


def _unused_root(names: list[str]) -> str:
    return ROOT if ROOT not in names else f"{ROOT} of all lineages"


def _assign(
    pseudotime: Floats,
    fates: Floats,
    start: int,
    top: tuple[int, ...],
    parents: dict[tuple[int, ...], tuple[int, ...]],
    times: dict[tuple[int, ...], float],
    label: dict[tuple[int, ...], str],
) -> NDArray[np.object_]:
    """Send every cell down the tree: past a node's branch time, to the child the sign of F points to."""
    states = np.full(len(pseudotime), label[top], dtype=object)
    stack = [(top, np.ones(len(pseudotime), dtype=bool))]
    while stack:
        node, here = stack.pop()
        states[here] = label[node]
        children = sorted(child for child, parent in parents.items() if parent == node)
        if not children:
            continue
        left, right = children
        force = divergence(fates[:, list(left)].sum(axis=1), fates[:, list(right)].sum(axis=1), start)
        past = here & (pseudotime > times[node])
        stack += [(left, past & (force >= 0)), (right, past & (force < 0))]
    return states


def _node_table(
    top: tuple[int, ...],
    parents: dict[tuple[int, ...], tuple[int, ...]],
    times: dict[tuple[int, ...], float],
    label: dict[tuple[int, ...], str],
    states: NDArray[np.object_],
) -> pd.DataFrame:
    rows, queue = [], [top]
    while queue:
        node = queue.pop(0)
        parent = label[parents[node]] if node in parents else ""
        rows.append((label[node], parent, times.get(node, np.nan), int((states == label[node]).sum())))
        queue += sorted(child for child, above in parents.items() if above == node)
    return pd.DataFrame(rows, columns=["node", "parent", "branch_time", "n_cells"])


def threshold_sweep(
    pseudotime: Floats,
    fates: Floats,
    lineages: Sequence[str],
    *,
    start: int,
    thresholds: Sequence[float],
    rule: BranchRule = "ramp",
    cut: float = CUT,
) -> pd.DataFrame:
    """Return trees by threshold: ``threshold, topology, split, branch_time, n_trunk``, one row per split."""
    rows = []
    for value in thresholds:
        tree = lineage_tree(pseudotime, fates, lineages, start=start, threshold=value, rule=rule, cut=cut)
        topology = " | ".join(sorted(f"({node_name(group)})" for group in tree.topology()))
        trunk = int(tree.nodes["n_cells"].iloc[0])
        for node, time in zip(tree.nodes["node"], tree.nodes["branch_time"], strict=True):
            if np.isfinite(time):
                split = split_name(tree.leaves(child) for child in tree.children(node))
                rows.append((float(value), topology, split, float(time), trunk))
    return pd.DataFrame(rows, columns=["threshold", "topology", "split", "branch_time", "n_trunk"])
