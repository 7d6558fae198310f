"""Nearest-neighbour graphs, UMAP layouts and Leiden clusters, all deterministic for a seed."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.typing import Floats, Ints

Metric = Literal["euclidean", "manhattan"]

EXACT_LIMIT = 40_000
_IGRAPH_LOCK = threading.Lock()


@dataclass(frozen=True)
class Neighbors:
    """The k nearest other cells of every cell.

    Attributes
    ----------
    indices, distances
        (cells, k), nearest first; the cell itself is not among them.
    metric
        Distance used.
    exact
        False when found by approximate search.
    """

    indices: Ints
    distances: Floats
    metric: Metric
    exact: bool

    @property
    def k(self) -> int:
        """Number of neighbours."""
        return int(self.indices.shape[1])

    def to_sparse(self) -> sparse.csr_matrix:
        """Distances as a sparse matrix with exactly k stored values a row (zeros between duplicates are stored)."""
        n, k = self.indices.shape
        order = np.argsort(self.indices, axis=1, kind="stable")
        columns = np.take_along_axis(self.indices, order, axis=1).ravel()
        values = np.take_along_axis(self.distances, order, axis=1).ravel()
        return sparse.csr_matrix((values, columns, np.arange(0, n * k + 1, k)), shape=(n, n))


def _drop_self(indices: Ints, distances: Floats) -> tuple[Ints, Floats]:
    """Remove each row's own index (or, where duplicates hid it, the last entry)."""
    own = indices == np.arange(len(indices))[:, None]
    own[~own.any(axis=1), -1] = True
    keep = ~own
    shape = (len(indices), indices.shape[1] - 1)
    return indices[keep].reshape(shape), distances[keep].reshape(shape)


def nearest_neighbors(
    points: Floats, *, k: int = 15, metric: Metric = "euclidean", seed: int = 0, exact_limit: int = EXACT_LIMIT
) -> Neighbors:
    """Find the k nearest other points of each point.

    Exact up to `exact_limit` points, nearest-neighbour descent (pynndescent) above. k is cut to the number of other
    points.

    Raises
    ------
    InputError
        Fewer than two points, or values that are not finite.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    n = len(points)
    if n < 2:
        raise InputError(f"no neighbours among {n} cell(s)", expected="at least two cells")
    if not np.isfinite(points).all():
        raise InputError("the representation holds values that are not finite", remedy="run the stage before it again")
    k = min(k, n - 1)
    exact = n <= exact_limit
    if exact:
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=k + 1, metric=metric, algorithm="brute").fit(points)
        distances, indices = search.kneighbors(points)
    else:
        from pynndescent import NNDescent

        search = NNDescent(points, metric=metric, n_neighbors=max(30, k + 1), random_state=seed, n_jobs=1)
        indices, distances = (part[:, : k + 1] for part in search.neighbor_graph)
    indices, distances = _drop_self(np.asarray(indices, dtype=np.int64), np.asarray(distances, dtype=np.float64))
    return Neighbors(indices=indices, distances=distances, metric=metric, exact=exact)


def _umap() -> Any:
    """umap-learn's functions; its import warns about an absent tensorflow that nobody here needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap.umap_
    return umap.umap_


def connectivities(neighbors: Neighbors) -> sparse.csr_matrix:
    """Symmetric weights in (0, 1] of the neighbour graph: UMAP's fuzzy simplicial set."""
    n, k = neighbors.indices.shape
    indices = np.hstack([np.arange(n)[:, None], neighbors.indices]).astype(np.int32)
    distances = np.hstack([np.zeros((n, 1)), neighbors.distances]).astype(np.float32)
    graph, _, _ = _umap().fuzzy_simplicial_set(
        np.empty((n, 1), dtype=np.float32), k + 1, None, neighbors.metric, knn_indices=indices, knn_dists=distances
    )
    return sparse.csr_matrix(graph)


def umap_layout(
    graph: sparse.csr_matrix, points: Floats, *, metric: Metric = "euclidean", min_dist: float = 0.1, seed: int = 0
) -> Floats:
    """Lay the graph out in two dimensions with umap-learn's defaults, single-threaded and seeded.

    Parameters
    ----------
    graph
        (n, n) connectivities.
    points
        (n, d) coordinates behind the graph (they place unconnected parts).
    """
    from sklearn.utils import check_random_state

    umap = _umap()
    points = np.asarray(points, dtype=np.float32)
    n = len(points)
    a, b = umap.find_ab_params(1.0, min_dist)
    with warnings.catch_warnings():
        # spectral initialisation falls back by itself and says so; the layout is valid either way
        warnings.simplefilter("ignore")
        embedding, _ = umap.simplicial_set_embedding(
            points,
            sparse.coo_matrix(graph),
            2,
            1.0,
            a,
            b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=None,
            init="spectral" if n > 20 else "random",
            random_state=check_random_state(seed),
            metric=metric,
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            parallel=False,
            verbose=False,
        )
    return np.asarray(embedding, dtype=np.float32)


def embed(points: Floats, *, k: int = 15, metric: Metric = "euclidean", min_dist: float = 0.1, seed: int = 0) -> Floats:
    """UMAP of a representation: neighbours, connectivities, layout; (n, 2)."""
    neighbors = nearest_neighbors(points, k=k, metric=metric, seed=seed)
    return umap_layout(connectivities(neighbors), points, metric=metric, min_dist=min_dist, seed=seed)


@contextmanager
def _igraph_seed(seed: int) -> Iterator[None]:
    """Give igraph its own generator for a while: its default is Python's global one."""
    import igraph

    with _IGRAPH_LOCK:
        igraph.set_random_number_generator(random.Random(seed))
        try:
            yield
        finally:
            igraph.set_random_number_generator(random)


def leiden(graph: sparse.csr_matrix, *, resolution: float = 1.0, seed: int = 0, n_iterations: int = 2) -> Ints:
    """Leiden communities of a weighted undirected graph, numbered by decreasing size.

    Parameters
    ----------
    graph
        (n, n) symmetric connectivities.
    resolution
        Higher gives more and smaller clusters (modularity with this resolution).
    """
    import igraph

    upper = sparse.triu(graph, k=1).tocoo()
    network = igraph.Graph(n=graph.shape[0], edges=np.column_stack([upper.row, upper.col]))
    with _igraph_seed(seed):
        partition = network.community_leiden(
            objective_function="modularity",
            weights=upper.data.astype(float).tolist(),
            resolution=resolution,
            n_iterations=n_iterations,
        )
    labels = np.asarray(partition.membership, dtype=np.int64)
    first = np.unique(labels, return_index=True)[1]
    order = np.lexsort([first, -np.bincount(labels)])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[labels]
