"""Benchmark of representations: agreement with a cell annotation and with each other, by nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.typing import Floats

from .neighbors import Neighbors, nearest_neighbors


def neighbor_purity(neighbors: Neighbors, labels: NDArray) -> Floats:
    """Return the fraction of each cell's neighbours that carry the cell's own label, (n,)."""
    labels = np.asarray(labels)
    return (labels[neighbors.indices] == labels[:, None]).mean(axis=1)


def chance_purity(labels: NDArray) -> float:
    """Return the purity expected when neighbours are drawn at random from the other cells."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    n = counts.sum()
    return float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else float("nan")


def knn_accuracy(points: Floats, labels: NDArray, *, k: int = 30, n_folds: int = 5, seed: int = 0) -> float:
    """Return the cross-validated accuracy with which the k nearest cells (Euclidean, majority vote) predict the label.

    Stratified folds. Labels with fewer cells than folds stay in; when no split is possible the result is NaN.
    """
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier

    labels = np.asarray(labels).astype(str)
    points = np.asarray(points, dtype=np.float32)
    n_folds = min(n_folds, len(labels))
    counts = np.unique(labels, return_counts=True)[1]
    if n_folds < 2 or len(counts) < 2:
        return float("nan")
    if counts.min() >= n_folds:
        split = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(points, labels)
    else:
        split = KFold(n_folds, shuffle=True, random_state=seed).split(points)
    correct = 0
    for train, test in split:
        model = KNeighborsClassifier(min(k, len(train)), algorithm="brute").fit(points[train], labels[train])
        correct += int((model.predict(points[test]) == labels[test]).sum())
    return correct / len(labels)


def neighborhood_overlap(first: Neighbors, second: Neighbors) -> Floats:
    """Return the fraction of each cell's neighbours in one representation that are neighbours in the other, (n,)."""
    n, k = first.indices.shape
    offsets = np.arange(n)[:, None] * n
    shared = np.isin(first.indices + offsets, second.indices + offsets, assume_unique=True)
    return shared.sum(axis=1) / k


def overlap_matrix(neighbors: Mapping[str, Neighbors]) -> pd.DataFrame:
    """Return the mean fraction of neighbours shared by every pair of representations, a square table."""
    names = list(neighbors)
    out = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            value = float(neighborhood_overlap(neighbors[first], neighbors[second]).mean())
            out.loc[first, second] = out.loc[second, first] = value
    return out


def compare_representations(
    representations: Mapping[str, Floats], labels: NDArray | None, *, k: int = 30, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score representations of the same cells.

    Parameters
    ----------
    representations
        Name -> (n, d) coordinates; neighbours are Euclidean.
    labels
        (n,) annotation, or None when there is none; cells without label (NaN) must be left out by the caller.

    Returns
    -------
    scores, overlap
        `scores`: representation, n_dimensions, n_cells, k, neighbor_purity, chance_purity, knn_accuracy, majority
        (the last four NaN without labels). `overlap`: :func:`overlap_matrix`.
    """
    neighbors = {
        name: nearest_neighbors(points, k=k, metric="euclidean", seed=seed) for name, points in representations.items()
    }
    rows = []
    for name, points in representations.items():
        row = {"representation": name, "n_dimensions": points.shape[1], "n_cells": len(points), "k": neighbors[name].k}
        if labels is None:
            row |= dict.fromkeys(("neighbor_purity", "chance_purity", "knn_accuracy", "majority"), float("nan"))
        else:
            counts = np.unique(np.asarray(labels).astype(str), return_counts=True)[1]
            row |= {
                "neighbor_purity": float(neighbor_purity(neighbors[name], labels).mean()),
                "chance_purity": chance_purity(labels),
                "knn_accuracy": knn_accuracy(points, labels, k=k, seed=seed),
                "majority": float(counts.max() / counts.sum()),
            }
        rows.append(row)
    return pd.DataFrame(rows), overlap_matrix(neighbors)
