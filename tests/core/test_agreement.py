from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from mira_nb.core.representation.agreement import (
    chance_purity,
    compare_representations,
    knn_accuracy,
    neighbor_purity,
    neighborhood_overlap,
    overlap_matrix,
)
from mira_nb.core.representation.neighbors import nearest_neighbors


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    labels = np.repeat(["x", "y", "z"], [60, 50, 40])
    points = rng.normal(size=(150, 4)) + 2.0 * np.eye(4)[np.repeat([0, 1, 2], [60, 50, 40])]
    return points, labels


def test_purity_equals_a_loop(labelled):
    points, labels = labelled
    near = nearest_neighbors(points, k=9)
    expected = [np.mean([labels[j] == labels[i] for j in near.indices[i]]) for i in range(150)]
    np.testing.assert_allclose(neighbor_purity(near, labels), expected)


def test_chance_purity_is_what_shuffled_labels_give(labelled):
    points, labels = labelled
    near = nearest_neighbors(points, k=9)
    rng = np.random.default_rng(1)
    simulated = np.mean([neighbor_purity(near, rng.permutation(labels)).mean() for _ in range(300)])
    assert chance_purity(labels) == pytest.approx(simulated, abs=0.01)


def test_accuracy_equals_scikit_learn(labelled):
    points, labels = labelled
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    expected = cross_val_score(KNeighborsClassifier(30), points.astype(np.float32), labels, cv=folds).mean()
    assert knn_accuracy(points, labels) == pytest.approx(expected, abs=1e-9)


def test_accuracy_of_one_label_is_undefined_and_of_rare_labels_defined(labelled):
    points, labels = labelled
    assert np.isnan(knn_accuracy(points, np.repeat("x", 150)))
    rare = labels.copy()
    rare[0] = "lonely"
    assert 0.5 < knn_accuracy(points, rare) <= 1


def test_overlap_bounds_and_loop(labelled):
    points, _ = labelled
    near = nearest_neighbors(points, k=9)
    other = nearest_neighbors(np.random.default_rng(5).normal(size=(150, 4)), k=9)
    np.testing.assert_allclose(neighborhood_overlap(near, near), 1)
    expected = [len(set(a) & set(b)) / 9 for a, b in zip(near.indices, other.indices, strict=True)]
    np.testing.assert_allclose(neighborhood_overlap(near, other), expected)
    square = overlap_matrix({"one": near, "two": other})
    assert square.loc["one", "two"] == square.loc["two", "one"] == pytest.approx(np.mean(expected))


def test_comparison_ranks_signal_above_noise(labelled):
    points, labels = labelled
    noise = np.random.default_rng(2).normal(size=(150, 6))
    scores, overlap = compare_representations({"signal": points, "noise": noise}, labels, k=10)
    scores = scores.set_index("representation")
    assert scores.loc["signal", "neighbor_purity"] > 0.6 > scores.loc["noise", "neighbor_purity"]
    assert scores.loc["signal", "knn_accuracy"] > scores.loc["noise", "knn_accuracy"]
    assert overlap.loc["signal", "signal"] == 1
    unlabelled, _ = compare_representations({"signal": points}, None, k=10)
    assert unlabelled["knn_accuracy"].isna().all()
