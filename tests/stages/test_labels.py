"""Labels given to clusters: written by the stage joint, the groups of every stage after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira_nb.io.resources import Resources
from mira_nb.keys import CELL_LABEL, LEIDEN
from mira_nb.stages.base import Context
from mira_nb.stages.comparisons.params import ComparisonsParams
from mira_nb.stages.comparisons.stage import ComparisonsStage
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.joint.stage import JointStage
from mira_nb.stages.prepare.params import PrepareParams
from mira_nb.stages.prepare.stage import PrepareStage
from mira_nb.stages.result import apply_slots
from mira_nb.stages.shared.cells import cell_groups
from tests.stages.multiome import add_topics, planted_multiome

PARAMS = JointParams(resolution=0.3)


@pytest.fixture(scope="module")
def prepared():
    data = planted_multiome()
    apply_slots(data, PrepareStage().run(data, PrepareParams(), Context()).slots)
    return add_topics(data)


@pytest.fixture(scope="module")
def table(prepared, tmp_path_factory) -> Path:
    """Names of the planted clusters, by the table of a first run: left and right become one, middle has no label."""
    clusters = JointStage().run(prepared, PARAMS, Context(resources=Resources(groups="state"))).table("clusters")
    label = {"left": "sides", "right": "sides", "middle": ""}
    path = tmp_path_factory.mktemp("labels") / "clusters.csv"
    clusters.assign(label=clusters["top_group"].map(label)).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def labelled(prepared, table):
    data = prepared.copy()
    result = JointStage().run(data, PARAMS, Context(resources=Resources(groups="state", labels=table)))
    apply_slots(data, result.slots)
    return data, result


def test_the_stage_joint_labels_the_cells(labelled):
    data, result = labelled
    state = data.mod["rna"].obs["state"]
    expected = np.where(state == "middle", "not annotated", "sides")
    np.testing.assert_array_equal(np.asarray(data.obs[CELL_LABEL]), expected)
    clusters = result.table("clusters")
    assert sorted(clusters["label"]) == ["not annotated", "sides", "sides"]
    assert result.metric("Labels") == 1
    unnamed = next(alert for alert in result.alerts if alert.code == "joint.unnamed_clusters")
    middle = clusters.loc[clusters["label"] == "not annotated", "cluster"].iloc[0]
    assert unnamed.title == f"1 cluster has no label: {middle}"
    assert "70 cells are" in unnamed.cause
    assert "named by the authors: sides." in result.methods


def test_labels_change_nothing_else(prepared, labelled):
    data, _ = labelled
    plain = JointStage().run(prepared, PARAMS, Context(resources=Resources(groups="state")))
    assert not any(slot.key == CELL_LABEL for slot in plain.slots)
    leiden = next(value for slot, value in plain.slots.items() if slot.key == LEIDEN)
    np.testing.assert_array_equal(np.asarray(data.obs[LEIDEN]), np.asarray(leiden))


def test_labels_are_the_groups_of_later_stages(labelled, table):
    data, _ = labelled
    given = Resources(groups="state", labels=table)
    groups = cell_groups(data, given)
    assert groups is not None
    pd.testing.assert_series_equal(groups, data.obs[CELL_LABEL].astype(str), check_names=False, check_dtype=False)
    assert list(cell_groups(data, Resources(groups="state")).unique()) == ["left", "middle", "right"]
    assert cell_groups(data, Resources()) is None
    done = ComparisonsStage().run(data, ComparisonsParams(), Context(resources=given))
    assert set(done.table("group_tests")["group_1"]) | set(done.table("group_tests")["group_2"]) == {
        "not annotated",
        "sides",
    }
