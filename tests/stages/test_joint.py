from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from mira_nb.charts import theme
from mira_nb.core.representation.projections import ilr
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.errors import StoreError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.joint.compute import Markers, choose_markers, compute
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.joint.stage import JointStage
from mira_nb.stages.joint.weights import Weights, modality_weights
from mira_nb.stages.prepare.params import PrepareParams
from mira_nb.stages.prepare.stage import PrepareStage
from mira_nb.stages.result import Slot, apply_slots
from tests.stages.multiome import add_topics, planted_multiome

CONTEXT = Context(resources=Resources(groups="state", batch="sample"))


@pytest.fixture(scope="module")
def prepared():
    data = planted_multiome()
    apply_slots(data, PrepareStage().run(data, PrepareParams(), CONTEXT).slots)
    return add_topics(data)


@pytest.fixture(scope="module")
def result(prepared):
    return JointStage().run(prepared, JointParams(resolution=0.3), CONTEXT)


def slot(result, key, modality="joint"):
    return next(value for item, value in result.slots.items() if item.key == key and item.modality == modality)


def choose_markers_of(data, params):
    return choose_markers(compute(data, params, CONTEXT))


def codes(result):
    return {alert.code for alert in result.alerts}


def by_name(items, name):
    return next(item for item in items if item.name == name)


def test_joint_space_is_both_ilr_spaces(prepared, result):
    joint = slot(result, "X_joint")
    assert joint.shape == (210, 3 + 3 - 2)
    np.testing.assert_allclose(joint[:, :2], ilr(prepared.mod["rna"].obsm["X_topics"]))
    np.testing.assert_allclose(joint[:, 2:], ilr(prepared.mod["atac"].obsm["X_topics"]))


def test_graph_holds_the_manhattan_neighbours(result):
    joint, distances = slot(result, "X_joint"), slot(result, "joint_distances")
    assert (np.diff(distances.indptr) == 15).all()
    brute = cdist(joint, joint, "cityblock")
    np.fill_diagonal(brute, np.inf)
    np.testing.assert_allclose(np.sort(distances.data.reshape(210, 15)), np.sort(brute)[:, :15], rtol=1e-5)
    connectivities = slot(result, "joint_connectivities")
    assert abs(connectivities - connectivities.T).max() < 1e-6


def test_clusters_are_the_planted_states(prepared, result):
    leiden = slot(result, "leiden")
    assert adjusted_rand_score(prepared.mod["rna"].obs["state"], np.asarray(leiden)) == 1
    table = by_name(result.tables, "clusters").frame
    assert list(table["n_cells"]) == [70, 70, 70]
    assert table["fraction"].sum() == pytest.approx(1)
    assert (table["top_group_fraction"] == 1).all()
    assert table["top_rna_topics"].str.match(r"e\d 0\.\d\d").all()


def test_slots_can_be_written_and_read(prepared, result, tmp_path):
    import mudata

    copy = prepared.copy()
    apply_slots(copy, result.slots)
    copy.write(tmp_path / "x.h5mu")
    back = mudata.read_h5mu(tmp_path / "x.h5mu")
    assert list(back.obs["leiden"].cat.categories) == ["0", "1", "2"]
    assert (back.obsp["joint_distances"] != slot(result, "joint_distances")).nnz == 0
    assert back.mod["rna"].obsm["X_umap_topics"].shape == (210, 2)


@pytest.fixture(scope="module")
def written(prepared, result, tmp_path_factory):
    """The result as a user reads it back."""
    import mudata

    copy = prepared.copy()
    apply_slots(copy, result.slots)
    path = tmp_path_factory.mktemp("joint") / "results.h5mu"
    copy.write(path)
    return mudata.read_h5mu(path)


def test_scanpy_draws_the_joint_map_of_a_modality(written):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    rna = written["rna"]
    gene = str(rna.var_names[5])
    axes = sc.pl.umap(rna, color=["leiden", "state", gene], show=False)
    expected = np.asarray(written.obsm["X_umap"])
    rows = expected[np.lexsort(expected.T)]
    for axis, title in zip(axes, ("leiden", "state", gene), strict=True):
        assert axis.get_title() == title
        drawn = np.vstack([np.asarray(points.get_offsets()) for points in axis.collections])
        assert drawn.shape == (written.n_obs, 2)
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], rows, rtol=1e-6)
    values = np.sort(np.asarray(axes[2].collections[0].get_array()))
    np.testing.assert_array_equal(values, np.sort(rna[:, gene].X.toarray().ravel()))
    plt.close("all")


def test_scanpy_repeats_the_clusters_on_the_joint_object(written):
    import scanpy as sc

    found = written.uns["leiden"]["params"]
    sc.tl.leiden(
        written,
        key_added="again",
        flavor="igraph",
        directed=False,
        n_iterations=int(found["n_iterations"]),
        resolution=float(found["resolution"]),
        random_state=int(found["random_state"]),
    )
    assert adjusted_rand_score(written.obs["leiden"], written.obs["again"]) == 1
    before = np.array(written.obsm["X_umap"])
    sc.tl.umap(written, min_dist=float(written.uns["umap"]["params"]["min_dist"]), random_state=0)
    np.testing.assert_array_equal(np.asarray(written.obsm["X_umap"]), before)


def test_an_annotation_named_leiden_stays(prepared):
    copy = prepared.copy()
    copy.mod["rna"].obs["leiden"] = "mine"
    slots = JointStage().run(copy, JointParams(resolution=0.3), CONTEXT).slots
    assert Slot("rna", "obs", "leiden") not in slots
    apply_slots(copy, slots)
    assert set(copy.mod["rna"].obs["leiden"]) == {"mine"}
    assert copy.obs["leiden"].nunique() == copy.mod["atac"].obs["leiden"].nunique() == 3
    # the stage's own column of an earlier run is replaced
    again = JointStage().run(copy, JointParams(resolution=3.0), CONTEXT).slots
    assert Slot("atac", "obs", "leiden") in again
    assert Slot("rna", "obs", "leiden") not in again


def test_scores_favour_signal_and_are_reported(result):
    scores = by_name(result.tables, "representations").frame.set_index("representation")
    assert list(scores.index) == ["PCA", "RNA topics", "LSI", "ATAC topics", "joint"]
    assert scores.loc["joint", "knn_accuracy"] > 0.95
    assert scores.loc["joint", "majority"] == pytest.approx(1 / 3)
    (metric,) = [m for m in result.metrics if m.name.startswith("Label accuracy")]
    assert metric.name == "Label accuracy, joint"
    assert metric.value == pytest.approx(scores.loc["joint", "knn_accuracy"], abs=1e-4)
    # single numbers have one home: the key figure, and the table for all representations
    assert not any("purity" in m.name for m in result.metrics)
    figure = by_name(result.figures, "representation_scores")
    number = f"{scores.loc['joint', 'knn_accuracy']:.3f}"
    assert number not in figure.caption
    assert all(layer["mark"]["type"] != "text" for part in figure.chart.to_dict()["hconcat"] for layer in part["layer"])
    overlap = by_name(result.tables, "neighborhood_overlap").frame
    assert overlap.shape == (5, 6)
    shared = next(m for m in result.metrics if m.name == "Neighbours shared by RNA and ATAC topics")
    assert f"{shared.value:.2f}" not in by_name(result.tables, "neighborhood_overlap").caption


def test_partners_are_mutual_best_matches_over_cells(prepared, result):
    table = by_name(result.tables, "partners").frame
    rna, atac = (np.asarray(prepared.mod[name].obsm["X_topics"]) for name in ("rna", "atac"))
    between = np.corrcoef(rna.T, atac.T)[: rna.shape[1], rna.shape[1] :]
    assert len(table) == between.size
    for row in table.itertuples():
        i, j = int(row.topic[1:]) - 1, int(row.match[1:]) - 1
        assert row.correlation == pytest.approx(between[i, j])
        assert row.mutual == (between[i].argmax() == j and between[:, j].argmax() == i)
    figure = by_name(result.figures, "partners")
    tiles = figure.chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert tiles == theme.diverging(1)
    assert (tiles["domain"], tiles["range"][2]) == ([-1, 0, 1], "#c05a00")  # 1 is orange
    assert "framed orange pair" in figure.caption


def test_figures(result):
    names = [figure.name for figure in result.figures]
    assert names[:3] == ["umap_joint", "umap_rna_topics", "umap_atac_topics"]
    assert {"topics_rna", "topics_atac", "markers", "representation_scores"} <= set(names)
    assert "neighborhood_overlap" not in names  # the table has the numbers
    assert {"cluster_topics", "cluster_groups", "cluster_batch"} <= set(names)
    assert "partners" in names
    cells = by_name(result.figures, "umap_joint").packed["cells"]
    assert {"state", "sample", "cluster (leiden)", "e1", "e3", "a1", "a3"} <= set(cells.columns)
    for figure in result.figures:
        if figure.image is None:
            assert len(json.dumps(figure.chart.to_dict())) < 100_000
        else:
            assert figure.image.startswith(b"\x89PNG")


def test_repeats_exactly(prepared, result):
    again = JointStage().run(prepared, JointParams(resolution=0.3), CONTEXT)
    for key in ("X_umap", "X_joint"):
        np.testing.assert_array_equal(slot(result, key), slot(again, key))
    np.testing.assert_array_equal(np.asarray(slot(result, "leiden")), np.asarray(slot(again, "leiden")))


def test_markers_match_without_case_and_missing_ones_are_named(prepared):
    params = JointParams(markers=["GENE5", "nothere"], resolution=0.3)
    result = JointStage().run(prepared, params, CONTEXT)
    alert = next(alert for alert in result.alerts if alert.code == "joint.unknown_markers")
    assert "nothere" in alert.title
    assert "GENE5" not in alert.title
    assert by_name(result.figures, "markers").alt.startswith("1 gene ")
    assert choose_markers_of(prepared, params) == Markers(["Gene5"], ["nothere"], chosen_by="user")


def test_markers_are_a_top_gene_of_each_topic(prepared):
    """Planted: gene i has activation 3 in topic i mod 4."""
    markers = choose_markers_of(prepared, JointParams())
    assert [int(gene.removeprefix("Gene")) % 4 for gene in markers.genes] == [0, 1, 2]
    assert not markers.cut
    fewer = choose_markers_of(prepared, JointParams(n_markers=2))
    assert fewer == Markers(markers.genes[:2], [], cut=True)


def test_without_annotation_there_are_no_label_scores(prepared):
    result = JointStage().run(prepared, JointParams(), Context())
    assert not any(metric.name.startswith("Label accuracy") for metric in result.metrics)
    assert "representation_scores" not in {figure.name for figure in result.figures}
    assert "top_group" not in by_name(result.tables, "clusters").frame


def test_missing_topics_are_refused():
    with pytest.raises(StoreError, match="topics_rna"):
        JointStage().run(planted_multiome(n_cells=30), JointParams(), Context())


@pytest.fixture(scope="module")
def with_models():
    """Deep expression, accessibility of a few open peaks per cell, both with the models that gave their topics."""
    data = planted_multiome()
    peaks = data.mod["atac"].X
    peaks.data *= np.random.default_rng(0).random(peaks.nnz) < 0.15
    peaks.eliminate_zeros()
    settings = TopicSettings(n_topics=3, n_epochs=10, batch_size=64, restarts=1, warmup_epochs=5)
    apply_slots(data, PrepareStage().run(data, PrepareParams(), CONTEXT).slots)
    for name, modality in (("rna", "expression"), ("atac", "accessibility")):
        part = data.mod[name]
        modelled = part.var["modelled"].to_numpy(bool)
        fit = fit_topic_model(part.X[:, modelled], modality=modality, settings=settings)
        part.obsm["X_topics"] = fit.topics
        part.uns["topic_model"] = fit.to_arrays()
        part.varm["topic_activations"] = np.zeros((part.n_vars, 3))
    return data


def test_modalities_count_by_their_reliability(with_models):
    weights = modality_weights(with_models, "reliability", floor=1e-8, context=CONTEXT)
    assert weights.rna == 1
    assert weights.reliability["rna"] > 0.8
    assert 0 < weights.atac < 0.8
    result = JointStage().run(with_models, JointParams(), CONTEXT)
    joint = slot(result, "X_joint")
    np.testing.assert_allclose(joint[:, 2:], weights.atac * ilr(with_models.mod["atac"].obsm["X_topics"]))
    assert "@brown1910" in result.methods
    for value in (weights.atac, *weights.reliability.values()):
        assert f"{value:.2f}" in result.methods
    assert "joint.equal_weights" not in codes(result)
    assert ("joint.unequal_weights" in codes(result)) == (weights.atac < 0.5)
    shown = {metric.name: metric.value for metric in result.metrics}
    assert shown["Weight of ATAC in the joint space"] == pytest.approx(weights.atac, abs=1e-4)


def test_balanced_weights_are_the_published_space(with_models):
    result = JointStage().run(with_models, JointParams(weights="balanced"), CONTEXT)
    joint = slot(result, "X_joint")
    np.testing.assert_allclose(joint[:, 2:], ilr(with_models.mod["atac"].obsm["X_topics"]))
    assert "@brown1910" not in result.methods
    assert "joint.equal_weights" not in codes(result)


def test_topics_without_their_model_count_the_same_and_it_is_said(prepared, result):
    weights = modality_weights(prepared, "reliability", floor=1e-8, context=CONTEXT)
    assert weights == Weights(fallback="no_model", fallback_modality="RNA")
    alert = next(alert for alert in result.alerts if alert.code == "joint.equal_weights")
    assert "RNA" in alert.cause
    assert "@brown1910" not in result.methods


def test_too_few_counts_for_halves_give_equal_weights(with_models):
    weights = modality_weights(with_models[:40], "reliability", floor=1e-8, context=CONTEXT)
    assert (weights.rna, weights.atac) == (1, 1)
    assert weights.fallback == "few_cells"


def test_sampled_comparison_is_said(prepared):
    result = JointStage().run(prepared, JointParams(compare_cells=100), CONTEXT)
    alert = next(alert for alert in result.alerts if alert.code == "joint.sampled_benchmark")
    assert re.findall(r"\d+", alert.title) == ["100", "210"]
    assert set(by_name(result.tables, "representations").frame["n_cells"]) == {100}
