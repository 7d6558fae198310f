"""Methods beside this package: each makes a representation of the cells from the same two count matrices."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from scipy import sparse

from mira_nb.core.representation.features import log_normalize, select_genes
from mira_nb.core.representation.neighbors import Neighbors, connectivities, nearest_neighbors
from mira_nb.core.representation.projections import ilr, lsi, pca

from .scores import K_NEIGHBORS, Representation
from .sets import CellSet

N_COMPONENTS = 30
N_PEAKS = 5000
"""Peaks that MOFA+ reads: those open in most cells."""
N_GENES = 2000
TOPICS = {"cortex": 15, "embedded": 7}
"""Topics per assay where a method cannot choose: labels of the real set, planted programmes of the simulation."""


def _found(points: np.ndarray, name: str, *, metric: str = "euclidean", **other: object) -> Representation:
    near = nearest_neighbors(points, k=K_NEIGHBORS, metric=metric)  # type: ignore[arg-type]
    topics = other.get("topics", {})
    return Representation(near, points, topics, name, {})  # type: ignore[arg-type]


def _standard(cells: CellSet) -> tuple[np.ndarray, np.ndarray]:
    """Return principal components and LSI components, without the one of depth.

    The components are of all genes that topic models read, not of the few highly variable ones of a panel: on the
    cortex the published rule gives a weaker baseline (docs/decisions/37-feature-selection.md).
    """
    genes = select_genes(cells.rna)
    components = pca(log_normalize(cells.rna)[:, np.flatnonzero(genes.encoder)], n_components=N_COMPONENTS)
    accessibility = lsi(cells.atac, n_components=N_COMPONENTS + 1)
    return components.coordinates, accessibility.coordinates[:, 1:]


def pca_lsi(cells: CellSet) -> Representation:
    """Join PCA of expression and LSI of accessibility, each scaled to a total variance of 1."""
    parts = [part / np.sqrt(part.var(axis=0).sum()) for part in _standard(cells)]
    return _found(np.hstack(parts), f"scanpy {version('scanpy')}, scikit-learn {version('scikit-learn')}")


def kl_nmf(cells: CellSet) -> Representation:
    """Factorise both counts under Kullback-Leibler divergence; join the proportions by isometric log ratios."""
    from sklearn.decomposition import NMF

    topics = {}
    for name, counts in (("rna", cells.rna), ("atac", cells.atac)):
        model = NMF(
            TOPICS[cells.name], beta_loss="kullback-leibler", solver="mu", init="nndsvda", max_iter=200,
            tol=1e-3, random_state=cells.seed,
        )  # fmt: skip
        weights = model.fit_transform(sparse.csr_matrix(counts, dtype=np.float64))
        weights = weights * model.components_.sum(axis=1)
        total = weights.sum(axis=1, keepdims=True)
        topics[name] = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / weights.shape[1])
    points = np.hstack([np.asarray(ilr(np.maximum(part, 1e-4))) for part in topics.values()])
    return _found(points, f"scikit-learn {version('scikit-learn')}", metric="manhattan", topics=topics)


def mofa(cells: CellSet) -> Representation:
    """Fit MOFA+ to log-normalised highly variable genes and to TF-IDF of the peaks open in most cells."""
    import contextlib
    import io

    from mofapy2.run.entry_point import entry_point
    from sklearn.feature_extraction.text import TfidfTransformer

    genes = select_genes(cells.rna, encoder_min_genes=0)
    order = np.argsort(-genes.table["normalised_dispersion"].fillna(-np.inf).to_numpy(), kind="stable")[:N_GENES]
    opened = np.argsort(-np.asarray(cells.atac.sum(axis=0)).ravel(), kind="stable")[:N_PEAKS]
    views = [
        log_normalize(cells.rna)[:, order].toarray(),
        TfidfTransformer().fit_transform(cells.atac[:, opened].astype(np.float64)).toarray(),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        entry = entry_point()
        entry.set_data_options(scale_views=True, use_float32=True)
        entry.set_data_matrix([[view] for view in views], likelihoods=["gaussian", "gaussian"])
        entry.set_model_options(factors=15, ard_factors=True)
        entry.set_train_options(iter=100, convergence_mode="fast", seed=cells.seed, quiet=True)
        entry.build()
        entry.run()
        points = np.asarray(entry.model.nodes["Z"].getExpectation(), dtype=np.float64)
    return _found(points, f"mofapy2 {version('mofapy2')}")


def wnn(cells: CellSet) -> Representation:
    """Weigh the neighbours of PCA and LSI cell by cell (muon's weighted nearest neighbours)."""
    import muon
    from anndata import AnnData
    from mudata import MuData

    parts = {}
    for name, points in zip(("rna", "atac"), _standard(cells), strict=True):
        parts[name] = AnnData(sparse.csr_matrix((len(points), 1)), obsm={"X": points.astype(np.float64)})
        # as scanpy.pp.neighbors stores them, which cannot read the sparse arrays of this scikit-learn
        near = nearest_neighbors(points, k=19)
        parts[name].obsp["distances"] = near.to_sparse()
        parts[name].obsp["connectivities"] = connectivities(near)
        parts[name].uns["neighbors"] = {
            "distances_key": "distances",
            "connectivities_key": "connectivities",
            "params": {"n_neighbors": 20, "use_rep": "X", "metric": "euclidean", "method": "umap"},
        }
    data = MuData(parts)
    muon.pp.neighbors(data, n_neighbors=K_NEIGHBORS, key_added="wnn", random_state=cells.seed)
    return Representation(from_graph(data.obsp["wnn_distances"]), None, {}, f"muon {version('muon')}", {})


def from_graph(distances: sparse.csr_matrix) -> Neighbors:
    """Return the neighbours that a sparse matrix of distances stores, as many per cell as the poorest row has."""
    matrix = sparse.csr_matrix(distances)
    k = int(np.diff(matrix.indptr).min())
    shape = (matrix.shape[0], k)
    indices, values = np.empty(shape, dtype=np.int64), np.empty(shape)
    for cell in range(matrix.shape[0]):
        row = slice(matrix.indptr[cell], matrix.indptr[cell + 1])
        order = np.argsort(matrix.data[row], kind="stable")[:k]
        indices[cell], values[cell] = matrix.indices[row][order], matrix.data[row][order]
    return Neighbors(indices, values, "euclidean", True)


OTHERS = {"PCA and LSI": pca_lsi, "KL-NMF": kl_nmf, "MOFA+": mofa, "WNN": wnn}
"""By the name in the table."""
