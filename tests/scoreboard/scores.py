"""Scores of a representation: agreement with annotated cells and with planted truth.

All but the silhouette are computed from nearest neighbours, so that a method that gives only a graph (weighted nearest
neighbours) is scored by the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
from sklearn.model_selection import StratifiedKFold

from mira_nb.core.representation.neighbors import Neighbors, connectivities, leiden
from mira_nb.core.trajectory.infer import Settings, build_manifold, differentiate

K_NEIGHBORS = 90
"""Neighbours per cell, as scib takes them for LISI."""
K_ACCURACY, N_FOLDS = 30, 5
K_GRAPH = 15
PERPLEXITY = 30.0
RESOLUTIONS = tuple(np.round(np.geomspace(0.1, 4.0, 25), 4))


@dataclass(frozen=True)
class Representation:
    """What a method made of the cells.

    Attributes
    ----------
    neighbors
        Nearest others of every cell, nearest first.
    points
        (n, d) coordinates; None where the method gives a graph only.
    topics
        Proportions per assay, (n, K); empty where the method has none.
    version
        Version of the software.
    extra
        Scores that only the method's own run gives.
    """

    neighbors: Neighbors
    points: np.ndarray | None
    topics: dict[str, np.ndarray]
    version: str
    extra: dict[str, float]


def label_accuracy(neighbors: Neighbors, labels: np.ndarray, *, k: int = K_ACCURACY, n_folds: int = N_FOLDS) -> float:
    """Return the cross-validated accuracy of a majority vote among the k nearest cells of the other folds."""
    names, codes = np.unique(labels, return_inverse=True)
    right = np.zeros(len(labels), dtype=bool)
    folds = StratifiedKFold(min(n_folds, len(labels)), shuffle=True, random_state=0)
    for train, test in folds.split(codes, codes):
        known = np.zeros(len(labels), dtype=bool)
        known[train] = True
        for cell in test:
            near = neighbors.indices[cell]
            votes = np.bincount(codes[near[known[near]][:k]], minlength=len(names))
            right[cell] = votes.argmax() == codes[cell]
    return float(right.mean())


def clusters_like(neighbors: Neighbors, n_clusters: int, *, seed: int = 0) -> np.ndarray:
    """Return Leiden clusters at the resolution whose number is nearest to the one wanted (the lowest such one)."""
    k = min(K_GRAPH, neighbors.k)
    part = Neighbors(neighbors.indices[:, :k], neighbors.distances[:, :k], neighbors.metric, neighbors.exact)
    graph = connectivities(part)
    best, gap = np.zeros(len(neighbors.indices), dtype=np.int64), np.inf
    for resolution in RESOLUTIONS:
        found = leiden(graph, resolution=float(resolution), seed=seed)
        distance = abs(int(found.max()) + 1 - n_clusters)
        if distance < gap:
            best, gap = found, distance
        if found.max() + 1 > n_clusters + 3:
            break
    return best


def lisi(neighbors: Neighbors, labels: np.ndarray, *, perplexity: float = PERPLEXITY) -> np.ndarray:
    """Return the local inverse Simpson index of the labels per cell (Korsunsky et al. 2019).

    Neighbours weigh exp(-beta d) with beta of the given perplexity; the index is 1 / sum over labels of p squared.
    """
    codes = np.unique(labels, return_inverse=True)[1]
    out = np.empty(len(codes))
    wanted = np.log(min(perplexity, neighbors.k / 3))
    for cell, (near, distance) in enumerate(zip(neighbors.indices, neighbors.distances, strict=True)):
        weight = _weights(distance - distance.min(), wanted)
        out[cell] = 1 / (np.bincount(codes[near], weights=weight) ** 2).sum()
    return out


def _weights(distance: np.ndarray, wanted: float) -> np.ndarray:
    """Return weights exp(-beta d), scaled to 1, with the entropy wanted (bisection over beta)."""
    low, high, beta = 0.0, np.inf, 1.0
    weight = np.full(len(distance), 1 / len(distance))
    for _ in range(60):
        weight = np.exp(-beta * distance)
        weight /= weight.sum()
        entropy = float(-(weight * np.log(np.maximum(weight, 1e-300))).sum())
        if abs(entropy - wanted) < 1e-5:
            break
        low, high = (beta, high) if entropy > wanted else (low, beta)
        beta = beta * 2 if np.isinf(high) else (low + high) / 2
    return weight


def clisi(neighbors: Neighbors, labels: np.ndarray) -> float:
    """Return cLISI as scib scales it: (B - median LISI) / (B - 1) for B labels; 1 where neighbours share the label."""
    n_labels = len(np.unique(labels))
    return float((n_labels - np.median(lisi(neighbors, labels))) / (n_labels - 1))


def label_scores(found: Representation, labels: np.ndarray) -> dict[str, float]:
    """Return all scores against annotated cells."""
    clusters = clusters_like(found.neighbors, len(np.unique(labels)))
    out = {
        "label_accuracy": label_accuracy(found.neighbors, labels),
        "ari": float(adjusted_rand_score(labels, clusters)),
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "clisi": clisi(found.neighbors, labels),
    }
    if found.points is not None:
        sample = min(5000, len(labels))
        out["silhouette"] = float(silhouette_score(found.points, labels, sample_size=sample, random_state=0))
    return out


def topic_match(planted: np.ndarray, found: np.ndarray) -> float:
    """Return the mean correlation over cells of planted topics with the fitted ones matched to them."""
    n = planted.shape[1]
    table = np.corrcoef(np.asarray(planted, float).T, np.asarray(found, float).T)[:n, n:]
    return float(table[linear_sum_assignment(-table)].sum() / n)


def planted_trajectory(found: Representation, truth: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """Return Spearman's correlation with the planted time, and the branch times in order where the topology is right.

    The trajectory is what this package's method infers from the representation's graph; the start cell (row 0) is
    given. The topology is right where three lineages end in the three planted ones and join in the planted order; no
    branch times else.
    """
    k = min(K_GRAPH, found.neighbors.k)
    near = Neighbors(found.neighbors.indices[:, :k], found.neighbors.distances[:, :k], found.neighbors.metric, True)
    settings = Settings()
    manifold = build_manifold(near.to_sparse(), 0, settings)
    topics = np.hstack(list(found.topics.values())) if found.topics else None
    result = differentiate(manifold, settings, topics=None if topics is None else topics[manifold.cells])
    rho = float(spearmanr(result.pseudotime, truth["pseudotime"][manifold.cells]).statistic)
    ends = [int(truth["lineage"][manifold.cells[end]]) for end in result.ends]
    name_of = dict(zip(result.lineages, ends, strict=True))
    joined = {frozenset(name_of[leaf] for leaf in group) for group in result.tree.topology()}
    right = sorted(ends) == [0, 1, 2] and joined == {frozenset({0, 1, 2}), frozenset({1, 2})}
    return rho, np.sort(result.tree.nodes["branch_time"].dropna().to_numpy(dtype=float)) if right else np.empty(0)


def trajectory_scores(
    found: Representation, truth: dict[str, np.ndarray], branch_times: tuple[float, ...]
) -> dict[str, float]:
    """Return correlation, topology (1 where it is right) and, where it is, the mean absolute error of branch times."""
    rho, times = planted_trajectory(found, truth)
    out = {"spearman": rho, "topology": float(len(times) > 0)}
    if len(times):
        out["branch_error"] = float(np.abs(times - np.sort(branch_times)).mean())
    return out
