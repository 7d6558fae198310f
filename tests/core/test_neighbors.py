from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from mira_nb.core.representation.neighbors import (
    Neighbors,
    connectivities,
    embed,
    leiden,
    nearest_neighbors,
    umap_layout,
)
from mira_nb.errors import InputError


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [80, 60, 40, 30])
    return rng.normal(size=(210, 5)) * 0.3 + np.eye(5)[labels] * 6, labels


@pytest.mark.parametrize(("metric", "scipy_metric"), [("manhattan", "cityblock"), ("euclidean", "euclidean")])
def test_exact_neighbors_equal_brute_force(blobs, metric, scipy_metric):
    points = blobs[0].astype(np.float32)
    found = nearest_neighbors(points, k=7, metric=metric)
    distance = cdist(points, points, scipy_metric)
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :7]
    np.testing.assert_allclose(found.distances, np.take_along_axis(distance, order, axis=1), rtol=1e-4)
    assert (found.indices == order).mean() > 0.999
    assert found.exact


@pytest.mark.slow
def test_approximate_neighbors_are_nearly_right_and_repeatable(blobs):
    exact = nearest_neighbors(blobs[0], k=10, metric="manhattan")
    first = nearest_neighbors(blobs[0], k=10, metric="manhattan", seed=3, exact_limit=10)
    second = nearest_neighbors(blobs[0], k=10, metric="manhattan", seed=3, exact_limit=10)
    np.testing.assert_array_equal(first.indices, second.indices)
    assert not first.exact
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(first.indices, exact.indices, strict=True)])
    assert recall > 0.97


def test_duplicates_keep_k_neighbours_and_never_the_cell_itself():
    points = np.zeros((30, 3))
    points[20:] = 1
    found = nearest_neighbors(points, k=5)
    assert found.indices.shape == (30, 5)
    assert not (found.indices == np.arange(30)[:, None]).any()
    matrix = found.to_sparse()
    assert (np.diff(matrix.indptr) == 5).all()


def test_sparse_distances_hold_the_same_values(blobs):
    found = nearest_neighbors(blobs[0], k=6)
    matrix = found.to_sparse()
    assert matrix.shape == (210, 210)
    for cell in (0, 57, 209):
        np.testing.assert_allclose(matrix[cell, found.indices[cell]].toarray().ravel(), found.distances[cell])
    assert matrix.has_sorted_indices


def test_k_is_cut_for_few_cells_and_bad_input_refused():
    assert nearest_neighbors(np.eye(4), k=15).k == 3
    with pytest.raises(InputError, match="two cells"):
        nearest_neighbors(np.ones((1, 3)))
    with pytest.raises(InputError, match="finite"):
        nearest_neighbors(np.array([[0.0, np.nan], [1, 2], [3, 4]]))


def test_leiden_finds_blobs_ordered_by_size_without_touching_global_state(blobs):
    points, labels = blobs
    graph = connectivities(nearest_neighbors(points, k=15, metric="manhattan"))
    random.seed(1)
    state = random.getstate()
    found = leiden(graph, resolution=0.2, seed=5)
    assert random.getstate() == state
    assert adjusted_rand_score(labels, found) == 1
    assert (np.diff(np.bincount(found)) <= 0).all()
    np.testing.assert_array_equal(found, leiden(graph, resolution=0.2, seed=5))
    assert leiden(graph, resolution=5, seed=5).max() > found.max()


def test_connectivities_are_symmetric_weights(blobs):
    graph = connectivities(nearest_neighbors(blobs[0], k=15))
    assert abs(graph - graph.T).max() < 1e-6
    assert graph.data.min() > 0
    assert graph.data.max() <= 1 + 1e-6


def test_umap_keeps_blobs_apart_and_repeats(blobs):
    points, labels = blobs
    layout = embed(points, k=15, seed=2)
    near = nearest_neighbors(layout, k=10)
    assert (labels[near.indices] == labels[:, None]).mean() > 0.98
    np.testing.assert_array_equal(layout, embed(points, k=15, seed=2))


@pytest.mark.parametrize("n", [3, 8, 25])
def test_few_cells_get_a_layout(n):
    points = np.random.default_rng(n).normal(size=(n, 4))
    layout = umap_layout(connectivities(nearest_neighbors(points)), points)
    assert layout.shape == (n, 2)
    assert np.isfinite(layout).all()


def test_neighbors_report_k():
    empty = Neighbors(np.zeros((3, 2), int), np.zeros((3, 2)), "euclidean", True)
    assert empty.k == 2
