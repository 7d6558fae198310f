from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mira_nb.charts.theme import natural_sort
from mira_nb.core.trajectory.branching import CUT
from mira_nb.errors import ParameterError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.result import apply_slots
from mira_nb.stages.texts import Texts
from mira_nb.stages.trajectory.params import TrajectoryParams
from mira_nb.stages.trajectory.stage import TrajectoryStage
from tests.messages import refused
from tests.stages.differentiation import differentiating
from tests.stages.wording import coded

GROUPS = Context(resources=Resources(groups="lineage", start_cell="cell0"))
FAST = {"n_waypoints": 60, "n_resamples": 10, "branch_resamples": 2}


def run(data, context=GROUPS, **values):
    return TrajectoryStage().run(data, TrajectoryParams.parse("trajectory", {**FAST, **values}), context)


def slot(result, key):
    return next(value for item, value in result.slots.items() if item.key == key)


def table(result, name):
    return next(item.frame for item in result.tables if item.name == name)


@pytest.fixture(scope="module")
def data():
    return differentiating()


@pytest.fixture(scope="module")
def result(data):
    return run(data)


def test_planted_differentiation_is_recovered(data, result):
    time = data.mod["rna"].obs["time"].to_numpy()
    assert spearmanr(slot(result, "pseudotime"), time)[0] > 0.95
    tree = table(result, "lineage_tree")
    assert list(tree.columns) == ["node", "parent", "branch_time", "n_cells"]
    assert set(tree["node"]) == {"root", "A", "B"}
    assert tree["n_cells"].sum() == data.n_obs
    split = tree["branch_time"].dropna().to_numpy()
    assert len(split) == 1
    assert abs(split[0] - 0.45) < 0.1
    fates = slot(result, "fate_probabilities")
    assert set(fates.columns) == {"A", "B"}
    np.testing.assert_allclose(fates.sum(axis=1), 1)
    late = time > 0.7
    assert (fates.idxmax(axis=1)[late] == data.mod["rna"].obs["lineage"][late]).mean() > 0.97
    chain = slot(result, "transport_map")
    np.testing.assert_allclose(np.asarray(chain.sum(axis=1)).ravel(), 1)
    assert not [alert for alert in result.alerts if alert.level in {"error", "warning"}]


def test_every_figure_and_table_can_be_stored_and_read(data, result, tmp_path):
    from mira_nb.run.slots import read_slots, write_slots

    names = [figure.name for figure in result.figures]
    assert len(set(names)) == len(names)
    assert {"stream_topics_rna", "heatmap_topics_atac", "lines_genes", "scatter_topics", "swarm_topics"} <= set(names)
    assert {"branch_view", "lineage_tree", "threshold_sweep", "landmarks", "linked_cells"} <= set(names)
    panels = result.figure("lines_topics").chart.to_dict()["facet"]["sort"]
    assert panels == [name for letter in "ea" for name in natural_sort(panels) if name[0] == letter]
    for figure in result.figures:
        text = json.dumps(figure.chart if isinstance(figure.chart, dict) else figure.chart.to_dict())
        for name in figure.packed:
            assert json.dumps(name) in text
        assert len(text) < 60_000
        assert "n = " in figure.caption or figure.name in {"diffusion_spectrum", "threshold_sweep"}
    write_slots(tmp_path / "slots.h5", result.slots)
    back = read_slots(tmp_path / "slots.h5")
    apply_slots(data.copy(), back)
    assert len(back) == len(result.slots)


def test_same_input_gives_the_same_bytes_and_the_seed_changes_no_tree(data, result):
    again = run(data)
    for first, second in zip(result.tables, again.tables, strict=True):
        assert first.frame.to_csv() == second.frame.to_csv()
    other = run(data, Context(seed=7, resources=GROUPS.resources))
    assert table(other, "lineage_tree").equals(table(result, "lineage_tree"))


def test_one_cell_type_yields_an_alert_and_no_tree():
    result = run(differentiating(500, one_type=True))
    alert = coded(result.alerts, "trajectory.no_evidence")
    assert alert.level == "error"
    agreement = next(metric.value for metric in result.metrics if metric.name.startswith("Agreement"))
    assert f"{agreement:.2f} (n = 500 cells" in alert.cause
    tree = table(result, "lineage_tree")
    assert tree["node"].tolist() == ["root"]
    assert not table(result, "terminal_states")["accepted"].any()
    assert list(slot(result, "fate_probabilities").columns) == ["root"]
    assert "lineage_tree" not in [figure.name for figure in result.figures]


def test_distinct_populations_are_no_supported_trajectory():
    data = differentiating(1600, discrete=True)
    context = Context(resources=Resources(groups="stage", start_cell="cell0"))
    result = run(data, context)
    alert = coded(result.alerts, "trajectory.all_disconnected")
    assert alert.level == "error"
    continuity = table(result, "continuity")
    assert "early" in set(continuity["group_before"])
    for row in continuity.itertuples():
        for group, time in ((row.group_before, row.pseudotime_before), (row.group_after, row.pseudotime_after)):
            assert f"{group} (pseudotime {time:.2f})" in alert.cause
        assert f"{row.n_in_gap:,} of its {row.n_cells:,} cells" in alert.cause
    assert (continuity["verdict"] == "gap").all()
    assert table(result, "lineage_tree")["node"].tolist() == ["root"]
    assert not slot(result, "lineage_tree")["lineage_supported"].any()
    # Ends that the user names stand, but are marked.
    obs = data.mod["rna"].obs
    end = obs.index[(obs["lineage"] == "A") & (obs["time"] == 1)][0]
    named = run(data, context, terminal_cells=[f"A={end}"])
    alert = coded(named.alerts, "trajectory.disconnected_lineages")
    assert alert.level == "warning"
    assert "A" in alert.title.replace(",", " ").split()
    assert not slot(named, "lineage_tree")["lineage_supported"].any()
    assert next(metric.value for metric in named.metrics if metric.name == "Lineages") == 0
    off = run(data, context, min_continuity=0)
    assert slot(off, "lineage_tree")["lineage_supported"].all()


def test_continuous_branching_has_no_gap():
    result = run(differentiating(1500))
    frame = table(result, "continuity")
    assert frame["verdict"].tolist() == ["continuous", "continuous"]
    assert (frame["continuity"] > 0.2).all()
    assert slot(result, "lineage_tree")["lineage_supported"].tolist() == [True, True]
    assert not [alert for alert in result.alerts if alert.level in {"error", "warning"}]


def test_one_thinly_populated_transition_among_continuous_ones_is_a_warning(monkeypatch):
    from dataclasses import replace

    from mira_nb.stages.trajectory import compute

    judge = compute.judge_continuity

    def one_gap(*arguments, **options):
        found = judge(*arguments, **options)
        verdicts = np.where(found.table["lineage"] == "A", "gap", "continuous")
        return replace(found, table=found.table.assign(verdict=verdicts))

    monkeypatch.setattr(compute, "judge_continuity", one_gap)
    result = run(differentiating(1500))
    assert slot(result, "lineage_tree")["lineage_supported"].tolist() == [True, True]
    alert = coded(result.alerts, "trajectory.few_in_transit")
    assert [item.code for item in result.alerts if item.level in {"warning", "error"}] == [alert.code]
    assert re.search(r"\bA\b", alert.title)
    assert not re.search(r"\bB\b", alert.title)
    assert next(metric.value for metric in result.metrics if metric.name == "Lineages") == 2


def test_unbranched_differentiation_has_one_lineage():
    result = run(differentiating(500, branched=False))
    assert len(table(result, "lineage_tree")) == 1
    assert "branch_view" not in [figure.name for figure in result.figures]


@pytest.mark.parametrize("given", ["cell0", 0, np.int64(0)])
def test_start_cell_by_name_position_and_numpy_integer(data, result, given):
    again = run(data, Context(resources=Resources(groups="lineage")), start_cell=given)
    assert slot(again, "lineage_tree")["start_cell"] == "cell0"
    np.testing.assert_array_equal(slot(again, "pseudotime"), slot(result, "pseudotime"))


def test_unknown_start_cell_is_refused(data):
    with refused("trajectory.no_such_cell", ParameterError, cell="cell_of_nobody"):
        run(data, start_cell="cell_of_nobody")


def test_start_is_proposed_by_markers_and_shown(data):
    # The first topic is the root's; its genes are every fourth.
    result = run(data, Context(resources=Resources(groups="stage")), start_markers=["RNA0", "rna4", "absent"])
    candidates = table(result, "start_candidates")
    chosen = candidates[candidates["chosen"]]
    assert len(chosen) == 1
    assert data.mod["rna"].obs.loc[chosen["cell"], "time"].iloc[0] < 0.25
    assert chosen["group"].iloc[0] == "early"
    assert chosen["cell"].iloc[0] in coded(result.alerts, "trajectory.start_by_markers").title
    assert "absent" in coded(result.alerts, "trajectory.missing_start_markers").title
    assert "absent" not in result.methods
    with refused("trajectory.no_start_marker", markers=["absent"]):
        run(data, Context(), start_markers=["absent"])


def test_given_terminal_cells_pseudotime_and_fates(data):
    obs = data.mod["rna"].obs
    ends = [obs.index[(obs["lineage"] == name) & (obs["time"] > 0.95)][0] for name in ("A", "B")]
    chosen = run(data, terminal_cells=[f"left={ends[0]}", f"right={ends[1]}"])
    states = table(chosen, "terminal_states")
    accepted = states[states["accepted"]]
    assert accepted["cell"].tolist() == ends
    assert accepted["lineage"].tolist() == ["left", "right"]
    with refused("trajectory.terminal_cells_repeated"):
        run(data, terminal_cells=[ends[0], ends[0]])
    other = data.copy()
    other.mod["rna"].obs["theirs"] = obs["time"].to_numpy() * 3
    other.mod["rna"].obsm["cellrank"] = pd.DataFrame(
        {"x": np.where(obs["lineage"] == "A", 0.9, 0.1), "y": np.where(obs["lineage"] == "A", 0.1, 0.9)},
        index=obs.index,
    )
    taken = run(other, pseudotime_key="theirs", fate_key="cellrank")
    assert spearmanr(slot(taken, "pseudotime"), obs["time"])[0] == pytest.approx(1)
    assert list(slot(taken, "fate_probabilities").columns) == ["x", "y"]
    with refused("trajectory.pseudotime_unknown", key="nothing"):
        run(data, pseudotime_key="nothing")


def test_other_components_are_named_counted_and_left_without_pseudotime(data):
    import mudata

    from mira_nb.core.representation.neighbors import nearest_neighbors

    other = data.copy()
    joint = np.array(other.obsm["X_joint"])
    joint[-60:] += 100
    other.obsm["X_joint"] = joint
    with mudata.set_options(pull_on_update=False):
        other.obsp["joint_distances"] = nearest_neighbors(joint, k=15, metric="manhattan").to_sparse()
    result = run(other)
    parts = table(result, "components")
    assert parts["n_cells"].tolist() == [60]
    assert parts["first_cell"].tolist() == ["cell640"]
    assert np.isnan(slot(result, "pseudotime")[-60:]).all()
    assert pd.isna(slot(result, "lineage_state")[-60:]).all()
    assert slot(result, "fate_probabilities").iloc[-60:].isna().all().all()
    assert slot(result, "transport_map")[-60:].nnz == 0
    alert = coded(result.alerts, "trajectory.disconnected_cells")
    assert alert.level == "warning"
    assert "60" in alert.title.split()


def test_only_some_groups(data):
    context = Context(resources=Resources(groups="stage", start_cell="cell0"))
    result = run(data, context, only_groups=["early", "A"])
    used = data.mod["rna"].obs["stage"].isin(["early", "A"]).to_numpy()
    np.testing.assert_array_equal(np.isfinite(slot(result, "pseudotime")), used)
    assert str((~used).sum()) in coded(result.alerts, "trajectory.excluded_cells").title.split()
    assert len(table(result, "lineage_tree")) == 1
    with refused("trajectory.groups_unknown", unknown=["nobody"]):
        run(data, context, only_groups=["nobody"])


def test_topics_that_say_nothing_of_the_differentiation_can_be_left_out():
    data = differentiating(500)
    rng = np.random.default_rng(5)
    # A programme that a third of the cells run, wherever they stand.
    cycle = np.where(rng.random(500) < 0.35, rng.uniform(0.3, 0.6, 500), 0.01)[:, None]
    for name in ("rna", "atac"):
        topics = data.mod[name].obsm["X_topics"]
        data.mod[name].obsm["X_topics"] = np.hstack([topics * (1 - cycle), cycle])
        data.mod[name].varm["topic_activations"] = np.zeros((40, 5))
    for handled, words in (("report", "take part in"), ("exclude", "were left out of")):
        named = coded(run(data, side_programmes=handled).alerts, "trajectory.side_programmes")
        assert words in named.title
        assert named.title.endswith("e5, a5")
    result = run(data, exclude_topics=["e5", "a5"])
    assert "trajectory.side_programmes" not in {alert.code for alert in result.alerts}
    excluded = run(data, side_programmes="exclude")
    np.testing.assert_array_equal(slot(excluded, "pseudotime"), slot(result, "pseudotime"))
    assert set(table(result, "lineage_tree")["node"]) == {"root", "A", "B"}
    assert "e5, a5" in coded(result.alerts, "trajectory.excluded_topics").title
    with refused("trajectory.topics_unknown", unknown=["e9"]):
        run(data, exclude_topics=["e9"])
    with refused("trajectory.few_topics_left", n_left=1):
        run(data, exclude_topics=["e1", "e2", "e3", "e4"])


def test_the_published_branch_time_is_an_option(data, result):
    published = run(data, branch_rule="first_cell")
    ours, theirs = (table(found, "lineage_tree")["branch_time"].dropna() for found in (result, published))
    assert abs(theirs.iloc[0] - ours.iloc[0]) < 0.15
    for found, rule in ((result, "ramp"), (published, "first_cell")):
        said = Texts("mira_nb.stages.trajectory").text("branch_time", rule=rule, threshold=0.5, cut=CUT * 0.5)
        captions = [item.caption for item in found.figures if item.name in {"branch_view", "lineage_tree"}]
        assert len(captions) == 2
        assert all(said in text for text in (found.methods, *captions))
    split = slot(published, "lineage_tree")["branch_time"]
    swept = table(published, "threshold_sweep").set_index("threshold").loc[0.5, "branch_time"]
    assert swept == pytest.approx(np.nanmax(split))
