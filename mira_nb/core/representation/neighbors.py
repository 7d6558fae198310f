"""Nearest-neighbour graphs, UMAP layouts and Leiden clusters, all deterministic for a seed.

Neighbours are searched exactly by scikit-learn up to :data:`EXACT_LIMIT` cells, the graph's weights are umap-learn's,
layout and clusters are scanpy's.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.typing import Floats, Ints

if TYPE_CHECKING:
    from anndata import AnnData

Metric = Literal["euclidean", "manhattan"]

EXACT_LIMIT = 40_000
"""Most cells whose neighbours are searched exactly: brute force grows with the square (10,000 x 30: 1.6 s)."""
SPECTRAL_LIMIT = 20
"""Most cells that start at random places: a spectral start needs more cells than eigenvectors and their margin."""
LEIDEN_ITERATIONS = 2
"""Passes of the Leiden algorithm: scanpy's advice for igraph's implementation."""
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
        """Return distances as a sparse matrix of exactly k stored values per row (zeros of duplicates are stored)."""
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
    """Import umap-learn's functions; the import warns about an absent tensorflow that nobody here needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap.umap_
    for function in (umap.umap_.smooth_knn_dist, umap.umap_.compute_membership_strengths):
        if hasattr(function, "enable_caching"):  # else compiled anew in every process, 4 s each time
            function.enable_caching()
    return umap.umap_


def connectivities(neighbors: Neighbors) -> sparse.csr_matrix:
    """Return symmetric weights in (0, 1] of the neighbour graph: UMAP's fuzzy simplicial set."""
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
    """Lay the graph out in two dimensions by ``scanpy.tl.umap``: umap-learn's defaults, single-threaded and seeded.

    Parameters
    ----------
    graph
        (n, n) connectivities.
    points
        (n, d) coordinates behind the graph (they place unconnected parts).
    metric
        Distance between points.
    min_dist
        How tightly points may be packed, 0 to 1.
    seed
        Seed of the layout.

    Returns
    -------
    (n, 2), float32.
    """
    import scanpy as sc

    data = _graph_data(graph)
    data.obsm["X"] = np.asarray(points, dtype=np.float32)
    data.uns["neighbors"]["params"] |= {"metric": metric, "use_rep": "X"}
    with warnings.catch_warnings():
        # spectral initialisation falls back by itself and says so; the layout is valid either way
        warnings.simplefilter("ignore")
        sc.tl.umap(
            data,
            min_dist=min_dist,
            init_pos="spectral" if data.n_obs > SPECTRAL_LIMIT else "random",
            random_state=seed,
        )
    return np.asarray(data.obsm["X_umap"], dtype=np.float32)


def _graph_data(graph: sparse.csr_matrix) -> AnnData:
    """Wrap a graph of n cells as scanpy's functions expect it, without a matrix of features."""
    from anndata import AnnData

    data = AnnData(obs=pd.DataFrame(index=pd.RangeIndex(graph.shape[0]).astype(str)))
    # a copy: umap-learn sets the weakest edges to zero in place
    data.obsp["connectivities"] = sparse.csr_matrix(graph, copy=True)
    data.uns["neighbors"] = {"connectivities_key": "connectivities", "params": {"method": "umap"}}
    return data


def embed(points: Floats, *, k: int = 15, metric: Metric = "euclidean", min_dist: float = 0.1, seed: int = 0) -> Floats:
    """Compute the UMAP of a representation: neighbours, connectivities, layout; (n, 2)."""
    neighbors = nearest_neighbors(points, k=k, metric=metric, seed=seed)
    return umap_layout(connectivities(neighbors), points, metric=metric, min_dist=min_dist, seed=seed)


def leiden(
    graph: sparse.csr_matrix, *, resolution: float = 1.0, seed: int = 0, n_iterations: int = LEIDEN_ITERATIONS
) -> Ints:
    """Find Leiden communities of a weighted undirected graph by ``scanpy.tl.leiden`` (igraph's implementation).

    Parameters
    ----------
    graph
        (n, n) symmetric connectivities.
    resolution
        Higher gives more and smaller clusters (modularity with this resolution).
    seed
        Seed of the search; neither Python's nor igraph's own generator is left changed.
    n_iterations
        Passes of the algorithm.

    Returns
    -------
    (n,) cluster of every cell, numbered by decreasing size.
    """
    import scanpy as sc

    data = _graph_data(graph)
    # scanpy exchanges igraph's generator, which the whole process shares, for the time of the call
    with _IGRAPH_LOCK:
        sc.tl.leiden(
            data,
            flavor="igraph",
            directed=False,
            resolution=resolution,
            random_state=seed,
            n_iterations=n_iterations,
        )
    labels = data.obs["leiden"].to_numpy().astype(np.int64)
    first = np.unique(labels, return_index=True)[1]
    order = np.lexsort([first, -np.bincount(labels)])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[labels]
