"""Scores against closed forms and brute force; the page says what is missing and why this package is not first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from mira_nb.core.regulation.fit import fit_regulation
from mira_nb.core.representation.neighbors import Neighbors, nearest_neighbors
from mira_nb.datasets.simulate_cells import make_cells
from tests.core.regulation_data import small_problem

from . import rows
from .coherence import coherence, diversity, npmi, top_features
from .held_out import compare, predicted
from .methods import from_graph
from .ours import f1, nite_auc
from .page import LOCI_TITLES, NONE, OURS, SUBSAMPLES, behind, leaders, page, table
from .reasons import REASONS
from .rows import Row
from .scores import (
    Representation,
    clisi,
    clusters_like,
    label_accuracy,
    lisi,
    topic_match,
    trajectory_scores,
)
from .sets import digest
from .subsamples import N_SUBSAMPLES, draw


def blobs(distance: float, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], n)
    return rng.normal(0, 1, (3 * n, 4)) + distance * np.repeat(np.eye(3, 4), n, axis=0), labels


def test_label_accuracy_is_that_of_scikit_learn() -> None:
    points, labels = blobs(2.0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    expected = cross_val_score(KNeighborsClassifier(30), points.astype(np.float32), labels, cv=folds).mean()
    near = nearest_neighbors(points, k=90)
    assert label_accuracy(near, labels) == pytest.approx(expected, abs=0.01)


def test_clisi_is_one_for_separate_labels_and_zero_for_mixed_ones() -> None:
    points, labels = blobs(50.0)
    near = nearest_neighbors(points, k=90)
    assert clisi(near, labels) == pytest.approx(1)
    np.testing.assert_allclose(lisi(near, labels), 1)
    mixed = np.tile(["a", "b", "c"], len(labels) // 3)
    assert clisi(near, mixed) < 0.2


def test_lisi_of_equal_distances_is_the_inverse_simpson_index() -> None:
    labels = np.array(["a"] * 10 + ["b"] * 30)
    indices = np.tile(np.arange(40), (40, 1))
    near = Neighbors(indices, np.ones(indices.shape), "euclidean", True)
    np.testing.assert_allclose(lisi(near, labels), 1 / (0.25**2 + 0.75**2))


def test_clusters_are_as_many_as_the_labels_where_they_can_be() -> None:
    points, labels = blobs(20.0)
    found = clusters_like(nearest_neighbors(points, k=30), 3)
    assert pd.crosstab(found, labels).gt(0).sum().sum() == 3


def test_topics_are_matched_whatever_their_order() -> None:
    planted = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    assert topic_match(planted, planted[:, [2, 0, 3, 1]]) == pytest.approx(1)
    assert topic_match(planted, planted[:, :2]) == pytest.approx(0.5)


def test_features_of_a_topic_are_those_that_set_it_apart() -> None:
    """Features 0 to 2 are planted in topic 0, 3 to 5 in topic 1; 6 is common everywhere and belongs to none."""
    topics = np.repeat(np.eye(2), 40, axis=0)
    rates = np.array([[4.0, 3, 2, 0.1, 0.1, 0.1, 50], [0.1, 0.1, 0.1, 4, 3, 2, 50]])
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(topics @ rates))
    assert top_features(topics, counts, 3).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_npmi_is_that_of_the_formula() -> None:
    """One for features always seen together, -1 for never, 0 for independent ones; brute force over random counts."""
    together = sparse.csr_matrix([[1, 1], [2, 1], [0, 0], [0, 0]])
    assert npmi(np.array([0, 1]), together) == pytest.approx(1)
    assert npmi(np.array([0, 1]), sparse.csr_matrix([[1, 0], [0, 3]])) == pytest.approx(-1)
    assert npmi(np.array([0, 1]), sparse.csr_matrix([[1, 1], [1, 0], [0, 1], [0, 0]])) == pytest.approx(0)
    assert npmi(np.array([0, 1]), sparse.csr_matrix([[1, 1], [2, 2]])) == pytest.approx(1)
    counts = np.random.default_rng(1).poisson(0.7, (60, 5))
    values = []
    for i in range(5):
        for j in range(i + 1, 5):
            both = ((counts[:, i] > 0) & (counts[:, j] > 0)).mean()
            values.append(np.log(both / ((counts[:, i] > 0).mean() * (counts[:, j] > 0).mean())) / -np.log(both))
    assert npmi(np.arange(5), sparse.csr_matrix(counts)) == pytest.approx(np.mean(values))


def test_planted_topics_are_more_coherent_and_diverse_than_mixed_ones() -> None:
    rng = np.random.default_rng(2)
    topics = np.repeat(np.eye(3), 60, axis=0)
    rates = np.full((3, 90), 0.05)
    for topic in range(3):
        rates[topic, 30 * topic : 30 * topic + 30] = 1.0
    counts = sparse.csr_matrix(rng.poisson(topics @ rates))
    mixed = rng.permutation(topics)
    assert coherence(topics, counts) > coherence(mixed, counts) + 0.1
    assert diversity(topics, counts) == 1
    assert diversity(np.full((180, 3), 1 / 3), counts) == pytest.approx(1 / 3)


def test_subsamples_keep_the_start_and_differ() -> None:
    drawn = list(draw(200, 3))
    assert len(drawn) == N_SUBSAMPLES
    for rows_of in drawn:
        assert rows_of[0] == 0
        assert len(rows_of) == len(set(rows_of)) == 190
        assert (np.diff(rows_of) > 0).all()
    assert len({tuple(rows_of) for rows_of in drawn}) == N_SUBSAMPLES


def test_page_shows_the_subsamples_and_what_they_do_not_have() -> None:
    some = {"n": 10, "spearman": 0.92, "spearman_sd": 0.004, "right": 9}
    branches = {"first_planted": 0.35, "first": 0.372, "first_sd": 0.011}
    text = page([Row(OURS, SUBSAMPLES, 0, "x", "h", some | branches), Row(OURS, SUBSAMPLES, 1, "x", "h", some)], {})
    assert "| pseudotime, Spearman | 0.920 ± 0.004 | 0.920 ± 0.004 |" in text
    assert "| topology right | 9 of 10 | 9 of 10 |" in text
    assert "| first branch time (planted: 0.35) | 0.372 ± 0.011 | – |" in text
    assert "second branch time" not in text


def test_trajectory_of_the_planted_proportions_is_right() -> None:
    cells = make_cells(600, lead=0.0, n_batches=1, trajectory=True, rng=np.random.default_rng(3))
    points = np.log(np.hstack([cells.theta_rna, cells.theta_atac]) + 1e-3)
    topics = {"rna": cells.theta_rna, "atac": cells.theta_atac}
    found = Representation(nearest_neighbors(points, k=30, metric="manhattan"), points, topics, "", {})
    scores = trajectory_scores(found, {"pseudotime": cells.pseudotime, "lineage": cells.lineage}, (0.35, 0.6))
    assert scores["spearman"] > 0.9
    assert scores["topology"] in (0.0, 1.0)
    assert ("branch_error" in scores) == bool(scores["topology"])


def test_graph_gives_its_nearest_neighbours_in_order() -> None:
    graph = sparse.csr_matrix([[0, 2.0, 1.0, 5.0], [2.0, 0, 0, 1.0], [1.0, 3.0, 0, 0], [5.0, 1.0, 2.0, 0]])
    near = from_graph(graph)
    assert near.indices.tolist() == [[2, 1], [3, 0], [0, 1], [1, 2]]
    assert near.distances.tolist() == [[1, 2], [1, 2], [1, 3], [1, 2]]


def test_regulation_scores() -> None:
    score = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0, "d": np.nan, "e": 9.0})
    kind = pd.Series({"a": "LITE", "b": "NITE", "c": "NITE", "d": "LITE", "e": "other"})
    assert nite_auc(score, kind) == 1
    assert f1({"A", "B", "X"}, {"A", "B", "C"}) == pytest.approx(2 / 3)
    assert f1({"X"}, {"A"}) == 0


def test_hash_does_not_depend_on_integer_width_but_on_values() -> None:
    counts = sparse.random(20, 10, 0.3, random_state=0, format="csr")
    wide = counts.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert digest(counts, ["a"]) == digest(wide, ["a"])
    changed = counts.copy()
    changed.data[0] += 1
    assert len({digest(counts, ["a"]), digest(changed, ["a"]), digest(counts, ["b"])}) == 3


def test_rows_are_kept_and_refused_for_other_data(tmp_path) -> None:
    row = Row("PCA and LSI", "embedded", 1, "x 1", "abc", {"ari": 0.51236})
    rows.write(row, tmp_path)
    assert rows.kept("PCA and LSI", "embedded", 1, "abc", tmp_path).scores == {"ari": 0.5124}
    assert rows.kept("PCA and LSI", "embedded", 1, "other", tmp_path) is None
    assert rows.kept("WNN", "embedded", 1, "abc", tmp_path) is None


def test_page_says_what_is_missing_and_where_others_are_first() -> None:
    made = [Row(OURS, "cortex", 0, "x", "h", {"ari": 0.5, "nmi": 0.7}), Row("WNN", "cortex", 0, "x", "h", {"ari": 0.6})]
    assert behind(made) == [("cortex", "ari")]
    assert leaders(made, "cortex", "nmi") == set(), "a row that stands alone is not first"
    made.append(Row("MOFA+", "cortex", 0, "x", "h", {"nmi": 0.7004}))
    assert leaders(made, "cortex", "nmi") == {OURS, "MOFA+"}, "equal as printed"
    assert f"| ARI | 0.500 | {NONE} |" in "\n".join(table(made, "cortex"))
    assert "**0.600**" in page(made, {})
    two = [Row(OURS, "embedded", s, "x", "h", {"branch_error": 0.1}) for s in (0, 1)]
    two.append(Row("WNN", "embedded", 0, "x", "h", {"branch_error": 0.01}))
    assert leaders(two, "embedded", "branch_error") == set(), "of fewer seeds"
    assert "0.010 (1 of 2 seeds)" in page(two, {})
    assert "because of x." in page(made, {("cortex", "ari"): "because of x."})


def test_prediction_of_cells_that_were_fitted_is_that_of_the_fit() -> None:
    cells, sets, *_ = small_problem(n_genes=4)
    fit = fit_regulation(cells, sets, posterior=False)
    for gene in np.flatnonzero(fit.fitted):
        assert np.allclose(predicted(fit, cells, sets, gene), fit.lite_log_rate[:, gene], atol=1e-4)


def test_held_out_cells_tell_the_planted_peaks_from_others() -> None:
    """Even genes follow their peaks; a constant gains nothing over itself, and foreign peaks gain less."""
    cells, sets, *_ = small_problem(n_cells=600)
    table = compare(cells, sets, seed=0)
    planted = table.iloc[::2].dropna()
    assert len(planted) >= 4
    assert (planted["gained"] > 0).all()
    assert (planted["gained"] > planted["permuted"]).all()


def test_page_shows_the_prediction_of_held_out_cells() -> None:
    scores = {"genes": 40.0, "above_permuted": 34.0, "above_constant": 39.0, "spearman_KLF4": 0.62}
    text = page([Row(OURS, "loci", 0, "x", "h", scores)], {})
    assert "above that of permuted peaks | 34 |" in text
    assert "KLF4 | 0.62 |" in text
    assert LOCI_TITLES["loci"] not in page([], {})


def test_every_place_where_this_package_is_not_first_has_its_sentence() -> None:
    late = behind(rows.read())
    assert [place for place in late if place not in REASONS] == []
    assert [place for place in REASONS if place not in late] == []
