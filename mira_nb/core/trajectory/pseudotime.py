"""Pseudotime and transport map of the Palantir algorithm on the joint neighbour graph.

Extended Methods, Pseudotime Trajectory Inference: the diffusion map of the joint graph gives a multiscale space
[Setty et al. 2019]; pseudotime is the shortest-path distance from the start cell on a neighbour graph in that space,
refined from the perspectives of waypoints; edges that lead back in pseudotime are pruned, which turns the graph into
a Markov chain. No array of cells x cells is dense.

Diffusion map and multiscale space are computed by the package ``palantir``. Waypoints, shortest paths and transport
map are ours where the package draws at random, connects a graph that falls apart at its farthest cell, or returns
pseudotime without its unit; each function says which. ``docs/decisions/palantir.md`` holds the measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from mira_nb.core.representation.neighbors import Neighbors, nearest_neighbors
from mira_nb.errors import ConvergenceError, InputError
from mira_nb.typing import Floats, Ints

Progress = Callable[[float], None]

_MAX_REFINEMENTS = 25
"""Palantir's default (``max_iterations``)."""
_CONVERGED = 0.9999
"""Correlation of successive pseudotimes at which Palantir stops, too."""
_BLOCK = 2048
"""Cells refined at a time: 500 waypoints x 2,048 cells are 8 MB in double precision, within the cache."""


@dataclass(frozen=True)
class DiffusionMap:
    """Diffusion components of a graph and the multiscale space made from them.

    Attributes
    ----------
    eigenvalues
        (C,) in falling order; the first is 1.
    space
        (n, c) multiscale coordinates: component times eigenvalue / (1 - eigenvalue), as many as stand before the
        largest gap between eigenvalues.
    """

    eigenvalues: Floats
    space: Floats


@dataclass(frozen=True)
class Component:
    """A connected component of the graph other than that of the start cell."""

    label: str
    cells: Ints


def split_components(graph: sparse.csr_matrix, start: int) -> tuple[Ints, tuple[Component, ...]]:
    """Return the cells connected to the start cell, and the other components, largest first.

    Parameters
    ----------
    graph
        (n, n) stored distances; zeros between duplicates count as edges.
    start
        Row of the start cell.
    """
    ones = sparse.csr_matrix((np.ones(graph.nnz, dtype=np.int8), graph.indices, graph.indptr), shape=graph.shape)
    _, labels = csgraph.connected_components(ones, directed=False)
    inside = np.flatnonzero(labels == labels[start])
    others = [np.flatnonzero(labels == label) for label in np.unique(labels) if label != labels[start]]
    others.sort(key=lambda cells: (-len(cells), int(cells[0])))
    return inside, tuple(Component(f"component {i + 2}", cells) for i, cells in enumerate(others))


def adaptive_kernel(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """Compute Palantir's adaptive anisotropic kernel of a k-nearest-neighbour graph of distances.

    exp(-d_ij / sigma_i) with sigma_i the distance to the (k // 3)-th neighbour, made symmetric by adding its transpose.
    ``palantir.utils.compute_kernel`` searches Euclidean neighbours of its own; the paper's graph is the joint one.
    """
    n = graph.shape[0]
    degree = np.diff(graph.indptr)
    if (degree == 0).any():
        raise InputError("a cell of the neighbour graph has no neighbour", expected="a k-nearest-neighbour graph")
    rows = np.repeat(np.arange(n), degree)
    order = np.lexsort((graph.data, rows))
    position = graph.indptr[:-1] + np.maximum(degree // 3, 1) - 1
    sigma = graph.data[order][position].astype(np.float64)
    # Exact duplicates have distance zero; the smallest positive scale keeps their kernel at 1.
    positive = sigma[sigma > 0]
    sigma = np.maximum(sigma, positive.min() if len(positive) else 1.0)
    kernel = sparse.csr_matrix((np.exp(-graph.data / sigma[rows]), graph.indices, graph.indptr), shape=graph.shape)
    return sparse.csr_matrix(kernel + kernel.T)


def diffusion_map(graph: sparse.csr_matrix, *, n_components: int = 10, n_used: int | None = None) -> DiffusionMap:
    """Compute the diffusion map of a connected neighbour graph and its multiscale space, by ``palantir.utils``.

    Parameters
    ----------
    graph
        (n, n) distances to the nearest neighbours, connected.
    n_components
        Eigenvectors computed.
    n_used
        Eigenvectors used, the constant one included; None: by the largest gap between eigenvalues, at least three.

    Raises
    ------
    ConvergenceError
        The eigenvectors could not be computed.
    """
    from palantir.utils import determine_multiscale_space, diffusion_maps_from_kernel
    from scipy.sparse.linalg import ArpackError

    n_components = min(n_components, graph.shape[0] - 2)
    if n_components < 3:
        raise InputError(
            f"{graph.shape[0]} connected cells are too few for a trajectory", expected="at least 5 connected cells"
        )
    try:
        # A fixed start vector: neither the run's seed nor the state of a generator can change the components.
        result = diffusion_maps_from_kernel(adaptive_kernel(graph), n_components, seed=0)
    except ArpackError as error:
        raise ConvergenceError(
            f"the diffusion map did not converge ({error})", remedy="raise joint.n_neighbors or lower n_components"
        ) from None
    # An eigenvalue of exactly 1 beyond the first would divide by zero; a connected graph has none but for rounding.
    values = np.minimum(np.asarray(result["EigenValues"], dtype=np.float64), 1 - 1e-12)
    result["EigenValues"] = result["EigenValues"].clip(upper=1 - 1e-12)
    space = np.asarray(determine_multiscale_space(result, n_eigs=n_used), dtype=np.float64)
    return DiffusionMap(eigenvalues=values, space=_fix_signs(space))


def _fix_signs(space: Floats) -> Floats:
    """Flip components so that the largest absolute coordinate of each is positive."""
    leading = space[np.abs(space).argmax(axis=0), np.arange(space.shape[1])]
    return space * np.where(leading < 0, -1.0, 1.0)


def neighbor_graph(
    space: Floats, joint: sparse.csr_matrix, *, k: int = 30, seed: int = 0
) -> tuple[Neighbors, sparse.csr_matrix]:
    """Find neighbours in the multiscale space and build a connected symmetric graph of their Euclidean distances.

    Where the neighbours leave gaps, the shortest edges of the joint graph (which is connected) bridge them. Palantir
    joins the cell farthest from the start to the nearest cell beyond, wherever that lies: on distinct cell types
    joined by one cell in twenty, its pseudotime differs from that along the joint graph by up to 0.29 of the range.
    """
    neighbors = nearest_neighbors(space, k=k, seed=seed)
    directed = neighbors.to_sparse()
    # Distances of zero vanish from sparse arithmetic; a tiny length keeps duplicates connected.
    scale = float(np.median(neighbors.distances)) or 1.0
    directed.data = np.maximum(directed.data, scale * 1e-9)
    graph = directed.maximum(directed.T).tocsr()
    n_parts, labels = csgraph.connected_components(graph, directed=False)
    if n_parts > 1:
        edges = joint.tocoo()
        bridging = labels[edges.row] != labels[edges.col]
        rows, cols = edges.row[bridging], edges.col[bridging]
        lengths = np.maximum(np.linalg.norm(space[rows] - space[cols], axis=1), scale * 1e-9)
        chosen = _spanning_edges(labels[rows], labels[cols], lengths, n_parts)
        bridges = sparse.csr_matrix((lengths[chosen], (rows[chosen], cols[chosen])), shape=graph.shape)
        graph = sparse.csr_matrix(graph.maximum(bridges).maximum(bridges.T))
    return neighbors, graph


def _spanning_edges(first: Ints, second: Ints, lengths: Floats, n_parts: int) -> list[int]:
    """Choose the shortest edges that connect all parts (Kruskal)."""
    group = np.arange(n_parts)
    chosen: list[int] = []
    for edge in np.argsort(lengths, kind="stable"):
        one, two = group[first[edge]], group[second[edge]]
        if one != two:
            group[group == two] = one
            chosen.append(int(edge))
    return chosen


def choose_waypoints(space: Floats, *, start: int, n_waypoints: int) -> Ints:
    """Choose waypoints by max-min sampling along every component, from the start cell and the extremes; start first.

    Palantir's sampling begins at a random cell of every component, and its pseudotime changes with the seed (by up to
    0.04 of the range on 1,200 cells, rank correlation 0.99996). Here nothing is drawn.

    Parameters
    ----------
    space
        (n, c) multiscale coordinates.
    start
        Row of the start cell.
    n_waypoints
        At most this many.
    """
    per_component = max(n_waypoints // space.shape[1], 2)
    chosen = [start]
    for component in space.T:
        picked = [int(component.argmin()), int(component.argmax())]
        nearest = np.minimum.reduce([np.abs(component - component[cell]) for cell in [start, *picked]])
        while len(picked) < per_component:
            cell = int(nearest.argmax())
            if nearest[cell] <= 0:
                break
            picked.append(cell)
            nearest = np.minimum(nearest, np.abs(component - component[cell]))
        chosen += picked
    return np.asarray(list(dict.fromkeys(chosen))[: max(n_waypoints, 2)], dtype=np.int64)


def shortest_path_pseudotime(graph: sparse.csr_matrix, waypoints: Ints, *, progress: Progress | None = None) -> Floats:
    """Compute pseudotime from shortest paths, refined from the waypoints' perspectives as in Palantir.

    Equal to ``palantir.core._compute_pseudotime`` to 4e-8 of the range, given the same waypoints and where the
    neighbour graph is connected (a test compares them). It is ours because the package returns values scaled to 1,
    while the transport map compares steps back in pseudotime with distances; because it builds its own graph (see
    :func:`neighbor_graph`); and because it takes 1.5 times as long at 10,000 cells, with several arrays of
    waypoints x cells in double precision.

    Each waypoint's own estimate is its pseudotime plus (or, for earlier cells, minus) the distance from it; the
    estimates are averaged with Gaussian weights that fall with distance, until they stop changing.

    Parameters
    ----------
    graph
        (n, n) connected, symmetric, path lengths.
    waypoints
        Rows; the first is the start cell.

    Returns
    -------
    (n,) in the unit of the lengths, 0 at the earliest cell.
    """
    n = graph.shape[0]
    distances = np.empty((len(waypoints), n), dtype=np.float32)
    step = 32
    for begin in range(0, len(waypoints), step):
        part = slice(begin, begin + step)
        distances[part] = csgraph.dijkstra(graph, directed=False, indices=waypoints[part])
        if progress is not None:
            progress(min(begin + step, len(waypoints)) / len(waypoints))
    # Silverman's bandwidth over all distances, as Palantir's.
    mean = float(distances.mean(dtype=np.float64))
    variance = float(np.mean([np.mean((row.astype(np.float64) - mean) ** 2) for row in distances]))
    bandwidth = max(np.sqrt(variance) * 1.06 * distances.size ** (-1 / 5), np.finfo(np.float32).tiny)
    pseudotime = distances[0].astype(np.float64)
    for _ in range(_MAX_REFINEMENTS):
        refined = _perspectives(distances, pseudotime, waypoints, bandwidth)
        agreement = np.corrcoef(pseudotime, refined)[0, 1] if np.ptp(refined) > 0 else 1.0
        pseudotime = refined
        if agreement > _CONVERGED:
            break
    return np.asarray(pseudotime - pseudotime.min())


def _perspectives(distances: NDArray[np.float32], pseudotime: Floats, waypoints: Ints, bandwidth: float) -> Floats:
    """Return the weighted mean of all waypoints' estimates, in blocks of cells."""
    at_waypoint = pseudotime[waypoints][:, None].copy()
    at_waypoint[0] = 0.0
    out = np.empty(distances.shape[1])
    for begin in range(0, distances.shape[1], _BLOCK):
        block = distances[:, begin : begin + _BLOCK].astype(np.float64)
        weights = np.exp(-0.5 * ((block - block.min(axis=0)) / bandwidth) * ((block + block.min(axis=0)) / bandwidth))
        earlier = pseudotime[None, begin : begin + _BLOCK] < at_waypoint
        earlier[0] = False
        estimates = np.where(earlier, -block, block) + at_waypoint
        out[begin : begin + _BLOCK] = (estimates * weights).sum(axis=0) / weights.sum(axis=0)
    return out


def transport_map(
    graph: sparse.csr_matrix, sigma: Floats, pseudotime: Floats, *, backstep: float = 1.5
) -> sparse.csr_matrix:
    """Build the Markov chain of differentiation: the undirected graph without the edges that lead back in pseudotime.

    An edge i -> j is kept if s_j >= s_i - c sigma_i, with sigma_i the distance to the (k // 3)-th neighbour (so that
    noise may move a cell a little backwards); its weight is exp(-d^2 / (2 sigma_i^2) - d^2 / (2 sigma_j^2)) as in
    Palantir, and rows are scaled to sum to 1. Edges of both directions count, as in an undirected graph: where one
    lineage is sparser than another, the cells before the branch are not among each other's nearest. Palantir's chain
    keeps the directed edges of some hundred waypoints; the paper's is over all cells.

    Parameters
    ----------
    graph
        (n, n) symmetric, distances in the multiscale space.
    sigma
        (n,) local scale, from :func:`local_scale`.
    pseudotime
        (n,) in the unit of the distances.
    backstep
        c, how far back an edge may lead.
    """
    n = graph.shape[0]
    edges = graph.tocoo()
    rows, cols, lengths = edges.row, edges.col, edges.data.astype(np.float64)
    forward = pseudotime[cols] >= pseudotime[rows] - backstep * sigma[rows]
    rows, cols, lengths = rows[forward], cols[forward], lengths[forward]
    weights = np.exp(-(lengths**2) / (2 * sigma[rows] ** 2) - lengths**2 / (2 * sigma[cols] ** 2))
    # A far edge into a dense region underflows; it must stay open or its cell becomes a trap.
    weights = np.maximum(weights, 1e-100)
    chain = sparse.csr_matrix((weights, (rows, cols)), shape=(n, n))
    totals = np.asarray(chain.sum(axis=1)).ravel()
    stuck = np.flatnonzero(totals == 0)
    if len(stuck):
        chain = sparse.csr_matrix(chain + sparse.csr_matrix((np.ones(len(stuck)), (stuck, stuck)), shape=(n, n)))
        totals[stuck] = 1.0
    return sparse.csr_matrix(sparse.diags(1 / totals) @ chain)


def local_scale(neighbors: Neighbors) -> Floats:
    """Return the distance of every cell to its (k // 3)-th neighbour; duplicates get the smallest positive one."""
    sigma = neighbors.distances[:, max(neighbors.k // 3 - 1, 0)].astype(np.float64)
    positive = sigma[sigma > 0]
    return np.maximum(sigma, positive.min() if len(positive) else 1.0)


def fill_sinks(pseudotime: Floats, graph: sparse.csr_matrix, ends: Ints) -> Floats:
    """Fill sinks: level the local maxima of pseudotime that are not ends, so that the walk can leave them.

    Every cell's value is lowered to the highest level from which an end can be reached on the graph without ever
    stepping back (priority flood): min over the best path of the values on it.

    Parameters
    ----------
    pseudotime
        (n,) values.
    graph
        (n, n) symmetric neighbour graph.
    ends
        Terminal cells.
    """
    import heapq

    level = np.full(len(pseudotime), -np.inf)
    heap = []
    for end in ends:
        level[end] = pseudotime[end]
        heap.append((-float(pseudotime[end]), int(end)))
    heapq.heapify(heap)
    indptr, indices = graph.indptr, graph.indices
    while heap:
        height, cell = heapq.heappop(heap)
        if -height < level[cell]:
            continue
        for other in indices[indptr[cell] : indptr[cell + 1]]:
            reach = min(level[cell], float(pseudotime[other]))
            if reach > level[other]:
                level[other] = reach
                heapq.heappush(heap, (-reach, int(other)))
    return np.where(np.isfinite(level), level, pseudotime)
