"""Topics, clusters and lineages that follow the batch are named; those whose batches hold other cells are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.joint.stage import JointStage
from mira_nb.stages.prepare.params import PrepareParams
from mira_nb.stages.prepare.stage import PrepareStage
from mira_nb.stages.result import apply_slots
from mira_nb.stages.shared.cells import MISSING_GROUP, CellAnnotations
from mira_nb.stages.shared.confounding import confounding_table
from mira_nb.stages.trajectory.params import TrajectoryParams
from mira_nb.stages.trajectory.stage import TrajectoryStage
from tests.stages.differentiation import differentiating
from tests.stages.multiome import add_topics, planted_multiome

N = 600


def annotations(batch: np.ndarray, groups: np.ndarray | None = None) -> CellAnnotations:
    return CellAnnotations(
        groups=None if groups is None else pd.Series(groups, name="state"), batch=pd.Series(batch, name="donor")
    )


@pytest.fixture
def cells() -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    state = rng.choice(["x", "y"], N)
    # most cells of x come from the first donor
    batch = np.where(rng.random(N) < np.where(state == "x", 0.9, 0.1), "d1", "d2")
    return rng, state, batch


def test_a_feature_of_the_state_is_told_from_one_of_the_batch(cells) -> None:
    rng, state, batch = cells
    features = pd.DataFrame(
        {
            "state": (state == "x") + rng.normal(0, 0.3, N),
            "batch": (batch == "d1") + rng.normal(0, 0.3, N),
            "noise": rng.normal(size=N),
        }
    )
    alone = confounding_table({"topic": features}, annotations(batch), least=0.1).set_index("name")
    assert alone["follows_batch"].tolist() == [True, True, False]
    assert alone["by_groups"].isna().all()
    beside = confounding_table({"topic": features}, annotations(batch, state), least=0.1).set_index("name")
    assert beside["follows_batch"].tolist() == [False, True, False]
    assert beside.loc["state", "by_groups"] > beside.loc["state", "by_batch"] > 0.3


def test_no_table_without_two_batches_and_cells_without_values_are_left_out(cells) -> None:
    rng, state, batch = cells
    features = pd.DataFrame({"a": rng.normal(size=N)})
    assert confounding_table({"t": features}, CellAnnotations(None, None), least=0.1) is None
    assert confounding_table({"t": features}, annotations(np.full(N, "one")), least=0.1) is None
    missing = batch.astype(object)
    missing[:100] = MISSING_GROUP
    wild = features.copy()
    wild.iloc[:100] = 1e6
    wild.iloc[100] = np.nan
    kept = features[101:].reset_index(drop=True)
    expected = confounding_table({"t": kept}, annotations(batch[101:], state[101:]), least=0.1)
    pd.testing.assert_frame_equal(confounding_table({"t": wild}, annotations(missing, state), least=0.1), expected)


def stage_of(result, name: str):
    return {table.name: table for table in result.tables}.get(name)


def test_the_joint_stage_names_topics_and_clusters_that_follow_the_batch() -> None:
    data = planted_multiome()
    apply_slots(data, PrepareStage().run(data, PrepareParams(), Context()).slots)
    add_topics(data)
    for batch, wanted in (("sample", False), ("state", True)):
        context = Context(resources=Resources(batch=batch))
        result = JointStage().run(data, JointParams(resolution=0.3), context)
        table = stage_of(result, "confounding").frame
        assert set(table["kind"]) == {"RNA topic", "ATAC topic", "cluster"}
        assert table["follows_batch"].any() == wanted
        found = [alert for alert in result.alerts if alert.code == "joint.follow_batch"]
        assert bool(found) == wanted
    assert "state" in found[0].title
    assert stage_of(JointStage().run(data, JointParams(resolution=0.3), Context()), "confounding") is None


def test_the_trajectory_stage_names_lineages_that_follow_the_batch() -> None:
    data = differentiating()
    rng = np.random.default_rng(0)
    data.mod["rna"].obs["random"] = rng.choice(["d1", "d2"], data.n_obs)
    params = TrajectoryParams.parse("trajectory", {"n_waypoints": 60, "n_resamples": 0, "branch_resamples": 0})
    for batch, wanted in (("random", []), ("lineage", ["A", "B"])):
        result = TrajectoryStage().run(data, params, Context(resources=Resources(batch=batch, start_cell="cell0")))
        frame = stage_of(result, "confounding").frame
        assert set(frame["kind"]) == {"pseudotime", "lineage"}
        assert int(frame["follows_batch"].sum()) == len(wanted)
        assert bool([a for a in result.alerts if a.code == "trajectory.follow_batch"]) == bool(wanted)
