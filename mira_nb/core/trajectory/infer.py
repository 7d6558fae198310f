"""Inference of a differentiation in one call, from the joint graph to the lineage tree.

Steps: component of the start cell, diffusion map, pseudotime, terminal states, transport map, fate probabilities,
pseudotime alignment, lineage tree. Values given from outside (pseudotime, fate probabilities, terminal cells)
replace the step they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from mira_nb.core.representation.neighbors import Neighbors
from mira_nb.errors import InputError
from mira_nb.typing import Floats, Ints, Progress

from .alignment import align_pseudotime, refine_ends
from .branching import CUT, BranchRule
from .lineage_tree import LineageTree, lineage_tree
from .pseudotime import (
    Component,
    DiffusionMap,
    choose_waypoints,
    diffusion_map,
    fill_sinks,
    local_scale,
    neighbor_graph,
    shortest_path_pseudotime,
    split_components,
    transport_map,
)
from .terminal_states import (
    TerminalStates,
    absorbing_sets,
    fate_probabilities,
    find_terminal_states,
    reaches,
    recurrent_states,
    select_terminal_cells,
)

END_CELLS = 10
"""Cells around a terminal cell that absorb the walk, so that a walk that arrives beside that cell has arrived."""


TELEPORTATION = 0.01
"""Fraction of the steps of a cell without a path to any end that lead anywhere along its edges: enough to leave, too
little to blur the fates of others."""
TerminalChoice = Literal["refined", "path"]
"""How the terminal cell of a region is chosen: by the order refined from topics, or by shortest paths alone."""


@dataclass(frozen=True)
class Settings:
    """Numbers of the inference; see the stage's parameters for their meaning."""

    n_neighbors: int = 30
    n_components: int = 10
    n_used: int | None = None
    n_waypoints: int = 500
    min_prominence: float = 0.1
    min_cells: int = 20
    min_eigenvalue: float = 0.9
    backstep: float = 1.5
    branch_threshold: float = 0.5
    branch_rule: BranchRule = "ramp"
    branch_cap: float = CUT
    absorbing_cells: int = END_CELLS
    terminal_choice: TerminalChoice = "refined"
    sinks: bool = True
    teleportation: float = TELEPORTATION
    aligned: bool = True
    resolution: float = 0.07
    topic_weight: float = 0.5


@dataclass(frozen=True)
class Manifold:
    """The start cell's component of the joint graph and its multiscale space.

    Attributes
    ----------
    cells
        (m,) rows of the component among all n cells; everything else here counts within these m.
    start
        Position of the start cell within `cells`.
    others
        The other components (rows among all n cells).
    diffusion
        Diffusion map.
    neighbors, graph
        Neighbours in the multiscale space; symmetric connected graph.
    """

    cells: Ints
    start: int
    others: tuple[Component, ...]
    diffusion: DiffusionMap
    neighbors: Neighbors
    graph: sparse.csr_matrix


@dataclass(frozen=True)
class Differentiation:
    """Result of the inference within the start cell's component (m cells).

    Attributes
    ----------
    pseudotime
        (m,) 0 to 1, aligned across lineages when `Settings.aligned`.
    path_pseudotime
        (m,) 0 to 1, shortest-path pseudotime before alignment.
    chain
        (m, m) transport map.
    terminal
        Terminal states and rejected candidates; None when fate probabilities were given.
    ends
        (Z,) terminal cells.
    fates
        (m, Z) fate probabilities, rows sum to 1.
    lineages
        Z names.
    tree
        Lineage tree.
    n_recurrent
        Number of recurrent states of the transport map: its number of eigenvalues of exactly one.
    """

    pseudotime: Floats
    path_pseudotime: Floats
    chain: sparse.csr_matrix
    terminal: TerminalStates | None
    ends: Ints
    fates: Floats
    lineages: tuple[str, ...]
    tree: LineageTree
    n_recurrent: int


def _silent(fraction: float, message: str) -> None:
    """Ignore progress."""


def build_manifold(joint: sparse.csr_matrix, start: int, settings: Settings, *, seed: int = 0) -> Manifold:
    """Compute diffusion map and neighbours of the component that holds the start cell.

    Parameters
    ----------
    joint
        (n, n) distances of the joint k-nearest-neighbour graph.
    start
        Row of the start cell, or of any cell of the component wanted.
    """
    cells, others = split_components(joint, start)
    part = joint if len(cells) == joint.shape[0] else joint[cells][:, cells]
    part = sparse.csr_matrix(part)
    k = min(settings.n_neighbors, len(cells) - 1)
    diffusion = diffusion_map(part, n_components=settings.n_components, n_used=settings.n_used)
    neighbors, graph = neighbor_graph(diffusion.space, part, k=k, seed=seed)
    return Manifold(cells, int(np.searchsorted(cells, start)), others, diffusion, neighbors, graph)


def differentiate(
    manifold: Manifold,
    settings: Settings,
    *,
    terminal_cells: Sequence[int] | None = None,
    pseudotime: Floats | None = None,
    fates: pd.DataFrame | None = None,
    topics: Floats | None = None,
    name_lineages: Callable[[Ints], list[str]] | None = None,
    progress: Progress = _silent,
) -> Differentiation:
    """Infer pseudotime, fates and the lineage tree.

    Parameters
    ----------
    manifold
        From :func:`build_manifold`.
    terminal_cells
        Positions within the component that replace the terminal cells found.
    pseudotime
        (m,) from another method; replaces the shortest-path pseudotime and is not aligned.
    fates
        (m, Z) from another method, columns named; replaces terminal states and fate probabilities.
    topics
        (m, K) topic proportions of both assays, for :mod:`.alignment`; without them (or when
        `pseudotime` is given) pseudotime stays the shortest-path one.
    name_lineages
        Given the terminal cells, their unique names; default ``lineage 1``, ``lineage 2``, ...
    """
    path, given = _path_pseudotime(manifold, settings, pseudotime, progress)
    sigma = local_scale(manifold.neighbors)
    chain = transport_map(manifold.graph, sigma, path, backstep=settings.backstep)
    refine = topics if not given and settings.aligned else None
    terminal: TerminalStates | None = None
    if fates is not None:
        probabilities, ends, names = _given_fates(fates, path)
        steps = _Steps(path, refine, manifold.start, settings)
        tree, aligned, _ = steps.tree(probabilities, names)
    else:
        progress(0.7, "terminal states")
        terminal, ends, sets = _ends(manifold, settings, chain, path, terminal_cells)
        level = fill_sinks(path, manifold.graph, ends) if settings.sinks else path
        chain = transport_map(manifold.graph, sigma, level, backstep=settings.backstep)
        progress(0.8, "fate probabilities")
        probabilities = fate_probabilities(_opened(chain, manifold, sets, settings.teleportation), sets)
        steps = _Steps(path, refine, manifold.start, settings)
        tree, aligned, order = steps.tree(probabilities, _numbered(ends))
        if terminal_cells is None and len(ends) > 1 and settings.terminal_choice == "refined":
            # The ends were chosen by path length alone; now that the lineages are known, by their refined order.
            terminal = select_terminal_cells(terminal, chain, order)
            ends = terminal.cells
            sets = absorbing_sets(manifold.diffusion.space, terminal.regions, ends, n_cells=settings.absorbing_cells)
            probabilities = fate_probabilities(_opened(chain, manifold, sets, settings.teleportation), sets)
        names = (name_lineages or _numbered)(ends)
        tree, aligned, _ = steps.tree(probabilities, names)
    return Differentiation(
        pseudotime=aligned,
        path_pseudotime=path / max(float(path.max()), 1e-300),
        chain=chain,
        terminal=terminal,
        ends=ends,
        fates=probabilities,
        lineages=tuple(names),
        tree=tree,
        n_recurrent=len(recurrent_states(chain)),
    )


def _numbered(cells: Ints) -> list[str]:
    return [f"lineage {i + 1}" for i in range(len(cells))]


@dataclass(frozen=True)
class _Steps:
    """From fate probabilities to the tree and the aligned pseudotime, for one pseudotime."""

    path: Floats
    topics: Floats | None
    start: int
    settings: Settings

    def tree(self, fates: Floats, names: Sequence[str]) -> tuple[LineageTree, Floats, Floats]:
        """Return the tree, the aligned pseudotime, and the order of cells that it was made from."""
        settings = self.settings
        scaled = self.path / max(float(self.path.max()), 1e-300)
        tree = self._tree(scaled, fates, names)
        if self.topics is None or len(names) < 2:
            return tree, scaled, scaled
        order = refine_ends(scaled, tree, self.topics, weight=settings.topic_weight)
        aligned = align_pseudotime(order, tree, resolution=settings.resolution)
        return self._tree(aligned, fates, names), aligned, order

    def _tree(self, time: Floats, fates: Floats, names: Sequence[str]) -> LineageTree:
        settings = self.settings
        return lineage_tree(
            time,
            fates,
            names,
            start=self.start,
            threshold=settings.branch_threshold,
            rule=settings.branch_rule,
            cut=settings.branch_cap,
        )


def _path_pseudotime(
    manifold: Manifold, settings: Settings, given: Floats | None, progress: Progress
) -> tuple[Floats, bool]:
    """Return pseudotime in the unit of distances in the multiscale space, and whether it was given."""
    if given is None:
        waypoints = choose_waypoints(
            manifold.diffusion.space, start=manifold.start, n_waypoints=min(settings.n_waypoints, len(manifold.cells))
        )
        found = shortest_path_pseudotime(
            manifold.graph, waypoints, progress=lambda done: progress(0.1 + 0.6 * done, "shortest paths")
        )
        return found, False
    values = np.asarray(given, dtype=np.float64)
    if values.shape != (len(manifold.cells),) or not np.isfinite(values).all():
        raise InputError(
            "the given pseudotime has missing values in the start cell's component",
            remedy="give a value for every cell of the component, or leave pseudotime_key out",
        )
    span = float(np.ptp(values))
    if span == 0:
        raise InputError("the given pseudotime is the same for all cells")
    # Steps back are judged by distances, so the given values are put on the scale of path lengths.
    length = float(csgraph.dijkstra(manifold.graph, directed=False, indices=int(values.argmin())).max())
    return (values - values.min()) / span * length, True


def _given_fates(fates: pd.DataFrame, pseudotime: Floats) -> tuple[Floats, Ints, list[str]]:
    """Read fate probabilities of another method: rows scaled to 1, terminal cell = latest of the most committed."""
    values = fates.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or (values.sum(axis=1) <= 0).any():
        raise InputError(
            "the given fate probabilities have missing, negative or all-zero rows in the start cell's component",
            expected="one column per lineage, values of at least 0, one row per cell with a positive sum",
        )
    values = values / values.sum(axis=1, keepdims=True)
    ends = []
    for column in values.T:
        committed = np.flatnonzero(column >= np.quantile(column, 0.99))
        ends.append(int(committed[pseudotime[committed].argmax()]))
    return values, np.asarray(ends, dtype=np.int64), [str(name) for name in fates.columns]


def _ends(
    manifold: Manifold,
    settings: Settings,
    chain: sparse.csr_matrix,
    pseudotime: Floats,
    chosen: Sequence[int] | None,
) -> tuple[TerminalStates, Ints, list[Ints]]:
    """Return terminal cells, found or given, and the cells around each that absorb the walk."""
    found = find_terminal_states(
        chain,
        manifold.graph,
        pseudotime,
        min_prominence=settings.min_prominence,
        min_cells=settings.min_cells,
        min_eigenvalue=settings.min_eigenvalue,
    )
    space = manifold.diffusion.space
    if chosen is None:
        return found, found.cells, absorbing_sets(space, found.regions, found.cells, n_cells=settings.absorbing_cells)
    cells = np.asarray(list(dict.fromkeys(int(cell) for cell in chosen)), dtype=np.int64)
    # A given cell absorbs alone with those of its neighbours that are nearest to it among the given cells.
    distance = np.stack([np.linalg.norm(space - space[cell], axis=1) for cell in cells])
    owner = distance.argmin(axis=0)
    owner[cells] = np.arange(len(cells))
    sets: list[Ints] = []
    for k, cell in enumerate(cells):
        near = np.union1d(manifold.neighbors.indices[cell][: settings.absorbing_cells - 1], [cell])
        sets.append(np.asarray(near[owner[near] == k], dtype=np.int64))
    return found, cells, sets


def _opened(
    chain: sparse.csr_matrix, manifold: Manifold, ends: Sequence[Ints], teleportation: float
) -> sparse.csr_matrix:
    """Add teleportation along graph edges for cells that cannot reach any terminal state."""
    goal = np.zeros(chain.shape[0], dtype=bool)
    for cells in ends:
        goal[cells] = True
    closed = np.flatnonzero(~reaches(chain, goal))
    if not len(closed):
        return chain
    steps = manifold.graph[closed].copy()
    steps.data = np.ones_like(steps.data)
    steps = sparse.diags(1 / np.asarray(steps.sum(axis=1)).ravel()) @ steps
    select = sparse.csr_matrix(
        (np.ones(len(closed)), (closed, np.arange(len(closed)))), shape=(chain.shape[0], len(closed))
    )
    keep = np.ones(chain.shape[0])
    keep[closed] = 1 - teleportation
    return sparse.csr_matrix(sparse.diags(keep) @ chain + teleportation * (select @ steps))
