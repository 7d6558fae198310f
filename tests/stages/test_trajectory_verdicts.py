"""Verdicts advise: what is given is used whatever they say, and what they say is carried along."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.result import Figure, apply_slots
from mira_nb.stages.shared.verdicts import data_caveats, mark_lineage_figures, trajectory_caveats
from mira_nb.stages.trajectory.params import TrajectoryParams
from mira_nb.stages.trajectory.stage import TrajectoryStage
from tests.stages.differentiation import differentiating
from tests.stages.wording import coded

FAST = {"n_waypoints": 60, "n_resamples": 0, "branch_resamples": 0}


def run(data, start="", **values):
    context = Context(resources=Resources(groups="stage", start_cell=start or None))
    return TrajectoryStage().run(data, TrajectoryParams.parse("trajectory", {**FAST, **values}), context)


def slot(result, key):
    return next((value for item, value in result.slots.items() if item.key == key), None)


def table(result, name):
    return next(item for item in result.tables if item.name == name)


def verdicts(result):
    return table(result, "verdict").frame.set_index("subject")["verdict"].to_dict()


@pytest.fixture(scope="module")
def one_type():
    data = differentiating(400, one_type=True)
    rng = np.random.default_rng(3)
    data.mod["rna"].obs["theirs"] = rng.random(data.n_obs)
    x = rng.random(data.n_obs)
    data.mod["rna"].obsm["their_fates"] = pd.DataFrame({"x": x, "y": 1 - x}, index=data.obs_names)
    return data


def test_without_evidence_nothing_is_drawn_until_it_is_asked_for(one_type):
    plain = run(one_type, "cell0")
    assert verdicts(plain) == {"trajectory": "not supported", "lineages": "not drawn", "direction": "given"}
    assert table(plain, "lineage_tree").frame["node"].tolist() == ["root"]
    assert not data_caveats(with_slots(one_type, plain))
    ordered = [figure for figure in plain.figures if "pseudotime" in figure.title.lower()]
    assert ordered
    for figure in ordered:
        assert figure.title.endswith("(not supported)")
        assert "need not be an order of development" in figure.caption
        assert figure.chart["title"]["subtitle"] == "not supported"
    drawn = run(one_type, "cell0", draw_unsupported=True)
    assert verdicts(drawn)["lineages"] == "drawn"
    coded(drawn.alerts, "trajectory.drawn_unsupported")
    assert not slot(drawn, "lineage_tree")["supported"]
    assert [item.label for item in data_caveats(with_slots(one_type, drawn))] == ["not supported"]
    assert next(metric.value for metric in drawn.metrics if metric.name == "Lineages") == 0
    for figure in drawn.figures:
        if figure.name in {"stream_topics_rna", "linked_cells", "umap_trajectory"}:
            assert "not supported" in figure.title
            assert figure.chart["title"]["subtitle"] == "not supported"
    assert "not supported" in table(drawn, "lineage_tree").title
    accepted = table(drawn, "terminal_states").frame.query("accepted")
    assert accepted["reason"].str.contains("not supported").all()


@pytest.mark.parametrize(
    "given",
    [
        {"terminal_cells": ["one=cell7", "two=cell300"]},
        {"fate_key": "their_fates"},
        {"fate_key": "their_fates", "pseudotime_key": "theirs"},
    ],
    ids=["terminal cells", "fates", "fates and pseudotime"],
)
def test_what_is_given_is_used_whatever_the_verdict(one_type, given):
    result = run(one_type, "cell11", **given)
    assert verdicts(result)["trajectory"] == "not supported"
    assert slot(result, "lineage_tree")["start_cell"] == "cell11"
    assert verdicts(result)["lineages"] == "drawn"
    if "terminal_cells" in given:
        assert slot(result, "lineage_tree")["terminal_cells"].tolist() == ["cell7", "cell300"]
        assert list(slot(result, "fate_probabilities").columns) == ["one", "two"]
    else:
        np.testing.assert_allclose(slot(result, "fate_probabilities"), one_type.mod["rna"].obsm["their_fates"])
    if "pseudotime_key" in given:
        assert spearmanr(slot(result, "pseudotime"), one_type.mod["rna"].obs["theirs"])[0] == pytest.approx(1)


def test_rules_of_the_evidence_are_parameters(one_type):
    lenient = {"agreement_none": -1, "agreement_noise": -1, "agreement_supported": -1, "eigenvalue_round": 0.0}
    assert verdicts(run(one_type, "cell0", **lenient, eigenvalue_long=0.0))["trajectory"] == "supported"
    data = differentiating(400)
    assert verdicts(run(data, "cell0"))["trajectory"] == "supported"
    assert verdicts(run(data, "cell0", agreement_supported=0.9999))["trajectory"] == "weak"
    everywhere = {"min_continuity": 1.0, "gap_min_cells": 1, "gap_stretch": 0.05}
    assert verdicts(run(data, "cell0", **everywhere))["trajectory"] == "not supported"


@pytest.fixture(scope="module")
def leading():
    return differentiating(900, lead=0.05)


def test_direction_is_read_from_the_lead_of_accessibility(leading):
    only = {"direction_evidence": ["chromatin_lead"], "direction_agreeing": 1}
    result = run(leading, **only)
    candidates = table(result, "start_candidates").frame
    chosen = candidates[candidates["chosen"]].iloc[0]
    assert leading.mod["rna"].obs.loc[chosen["cell"], "time"] < 0.15
    assert chosen["is_tip"]
    assert chosen["score"] == candidates["score"].max()
    assert chosen["certainty_chromatin_lead"] == candidates["certainty_chromatin_lead"].max()
    assert verdicts(result)["direction"] == "established"
    coded(result.alerts, "trajectory.start_proposed")
    assert slot(result, "pseudotime_alternative") is None


def with_refits(data, change, n=5, cells=None):
    """Return the data with refits of a tuning, as its stages store them."""
    data, rng = data.copy(), np.random.default_rng(0)
    cells = np.arange(data.n_obs) if cells is None else cells
    for name in ("rna", "atac"):
        topics = np.asarray(data.mod[name].obsm["X_topics"])[cells]
        refits = np.stack([change(name, number, topics, rng) for number in range(n)]).astype(np.float32)
        data.mod[name].uns["tuning"] = {"cells": cells, "refits": refits}
    return data


def test_evidence_is_weighed_over_the_refits_of_the_tuning(leading):
    """Refits that agree leave the direction as it is; such in which accessibility follows expression undo it."""
    only = {"direction_evidence": ["chromatin_lead"], "direction_agreeing": 1}
    same = run(with_refits(leading, lambda name, number, topics, rng: topics), **only)
    plain = run(leading, **only)
    column = "certainty_chromatin_lead"
    found, expected = (table(one, "start_candidates") for one in (same, plain))
    np.testing.assert_allclose(found.frame[column], expected.frame[column], rtol=1e-3)
    assert "5 refits" in found.caption
    assert "refits" not in expected.caption
    assert verdicts(same)["direction"] == "established"

    late = differentiating(900, lead=-0.05)

    def follows(name, number, topics, rng):
        return np.asarray(late.mod[name].obsm["X_topics"]) if number % 2 else topics

    undone = run(with_refits(leading, follows), **only)
    assert table(undone, "start_candidates").frame[column].max() < expected.frame[column].max() / 2
    assert verdicts(undone)["direction"] == "not established"
    few = run(with_refits(leading, lambda name, number, topics, rng: topics, cells=np.arange(5)), **only)
    assert "refits" not in table(few, "start_candidates").caption, (
        "a sample with hardly a cell at the tips says nothing"
    )


def test_both_orientations_are_shown_where_the_direction_is_not_established(leading):
    result = run(leading, direction_z=100)
    assert verdicts(result)["direction"] == "not established"
    alert = coded(result.alerts, "trajectory.direction_not_established")
    both = table(result, "orientations").frame
    assert both["orientation"].tolist() == ["proposed", "alternative"]
    assert all(cell in alert.title and f"--start-cell {cell}" in alert.remedy for cell in both["start_cell"])
    first, second = slot(result, "pseudotime"), slot(result, "pseudotime_alternative")
    assert both["rank_correlation"].tolist() == pytest.approx([1, spearmanr(first, second)[0]])
    names = leading.obs_names.get_indexer(both["start_cell"])
    assert first[names[0]] < 0.1 < first[names[1]]
    assert second[names[1]] < 0.1 < second[names[0]]
    figures = {figure.name: figure for figure in result.figures}
    assert {"orientation_maps", "orientation_trees", "stream_topics_rna_alternative"} <= set(figures)
    assert "direction not established" in figures["stream_topics_atac"].title
    assert [item.alert.code for item in data_caveats(with_slots(leading, result))] == [
        "shared.direction_not_established"
    ]
    # Either start, given, settles it and gives the orientation that was shown.
    for cell, shown in zip(both["start_cell"], (first, second), strict=True):
        settled = run(leading, cell)
        assert verdicts(settled)["direction"] == "given"
        assert not data_caveats(with_slots(leading, settled))
        np.testing.assert_allclose(slot(settled, "pseudotime"), shown)


def test_caveats_mark_only_what_is_drawn_over_lineages():
    limits = trajectory_caveats({"drawn": True, "supported": False, "direction": "not established"})
    assert [item.label for item in limits] == ["not supported", "direction not established"]
    figures = [Figure("a", "A", "Caption.", chart={"mark": "bar", "title": "T"}), Figure("b", "B", "Caption.", svg="x")]
    marked = mark_lineage_figures(figures, limits, names=["a"])
    assert marked[0].chart["title"] == {"text": "T", "subtitle": "not supported, direction not established"}
    assert marked[0].caption.endswith("Caption.")
    assert marked[1] is figures[1]
    assert mark_lineage_figures(figures, trajectory_caveats({"supported": True})) == figures


def with_slots(data, result):
    out = data.copy()
    apply_slots(out, result.slots)
    return out
