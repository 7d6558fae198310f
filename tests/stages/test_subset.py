"""A subset of the cells: its own joint space, and values of its cells only from the stage joint on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mira_nb.errors import InputError, ParameterError
from mira_nb.io.resources import Resources
from mira_nb.run.pipeline import _Run
from mira_nb.run.slots import write_slots
from mira_nb.run.store import RunStore, write_h5mu
from mira_nb.stages.base import Context
from mira_nb.stages.comparisons.params import ComparisonsParams
from mira_nb.stages.comparisons.stage import ComparisonsStage
from mira_nb.stages.function import stage_function
from mira_nb.stages.joint.compute import compute
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.joint.stage import JointStage
from mira_nb.stages.prepare.params import PrepareParams
from mira_nb.stages.prepare.stage import PrepareStage
from mira_nb.stages.registry import get_stage
from mira_nb.stages.result import SUBSET_SLOT, Result, Slot, apply_slots, cells_of_slots
from tests.messages import refused
from tests.stages.multiome import add_topics, planted_multiome

PARAMS = JointParams(resolution=0.3)
TEXT = "state=left,middle"


@pytest.fixture(scope="module")
def prepared():
    data = planted_multiome()
    data.obs["state"] = data.mod["rna"].obs["state"].to_numpy()
    apply_slots(data, PrepareStage().run(data, PrepareParams(), Context()).slots)
    return add_topics(data)


@pytest.fixture(scope="module")
def result(prepared) -> Result:
    return JointStage().run(prepared, PARAMS, Context(resources=Resources(groups="state", subset=TEXT)))


def slot(result: Result, key: str):
    elements = ("obs", "obsm", "obsp") if key != "subset" else ("uns",)
    (value,) = [
        v
        for item, v in result.slots.items()
        if (item.modality, item.key) == ("joint", key) and item.element in elements
    ]
    return value


def test_the_joint_space_is_that_of_the_cells_alone(prepared, result) -> None:
    mask = prepared.obs["state"].isin(["left", "middle"]).to_numpy()
    np.testing.assert_array_equal(slot(result, "subset")["mask"], mask)
    alone = prepared[mask].copy()
    expected = JointStage().run(alone, PARAMS, Context(resources=Resources(groups="state")))
    for key in ("X_joint", "X_umap"):
        np.testing.assert_array_equal(slot(result, key), slot(expected, key))
    assert (slot(result, "joint_distances") != slot(expected, "joint_distances")).nnz == 0
    np.testing.assert_array_equal(np.asarray(slot(result, "leiden")), np.asarray(slot(expected, "leiden")))
    assert result.table("clusters")["n_cells"].sum() == 140
    assert result.metric("Cells analysed") == 140
    assert "140 of 210 cells are analysed: state left, middle" in result.alerts[0].title
    assert "Topics were learned from all 210 cells; the 140 cells with state left, middle" in result.methods
    assert result.figure("subset").image


def test_a_subset_of_labels_is_one_of_clusters_of_all_cells(prepared, tmp_path: Path) -> None:
    whole = compute(prepared, PARAMS, Context(resources=Resources(groups="state")))
    clusters = JointStage().run(prepared, PARAMS, Context(resources=Resources(groups="state"))).table("clusters")
    clusters.assign(label=clusters["top_group"].map({"left": "L", "right": "", "middle": "M"})).to_csv(
        tmp_path / "labels.csv", index=False
    )
    given = Resources(groups="state", labels=tmp_path / "labels.csv", subset="cell_label=M,L")
    found = JointStage().run(prepared, PARAMS, Context(resources=given))
    state = prepared.obs["state"].to_numpy()
    np.testing.assert_array_equal(slot(found, "subset")["mask"], state != "right")
    np.testing.assert_array_equal(
        np.asarray(slot(found, "cell_label")), np.where(state == "left", "L", "M")[state != "right"]
    )
    table = found.table("all_clusters")
    assert list(table["n_cells"]) == [int((whole.leiden == name).sum()) for name in whole.leiden.categories]
    assert sorted(table["n_subset"]) == [0, 70, 70]
    assert "was clustered into 3 clusters, which were merged and named by the authors (" in found.methods
    one = str(table.loc[table["label"] == "L", "cluster"].iloc[0])
    found = JointStage().run(prepared, PARAMS, Context(resources=Resources(subset=f"leiden={one}")))
    np.testing.assert_array_equal(slot(found, "subset")["mask"], state == "left")
    with pytest.raises(InputError, match="no cell has the value '9'; there are: '0', '1', '2'"):
        JointStage().run(prepared, PARAMS, Context(resources=Resources(subset="leiden=9")))


def test_the_run_folder_gives_later_stages_the_subset(prepared, result, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    write_h5mu(prepared, store.input_path)
    everyone = {
        Slot("joint", "obs", "rank"): np.arange(210.0),
        Slot("rna", "layers", "double"): 2 * prepared.mod["rna"].X,
        Slot("joint", "obsp", "graph"): np.arange(210.0)[:, None] + np.arange(210.0),
        Slot("rna", "var", "length"): np.arange(120.0),
    }
    for name, slots in {"prepare": everyone, "joint": result.slots, "motifs": everyone}.items():
        store.stage_dir(name).mkdir(parents=True)
        write_slots(store.stage_dir(name) / "slots.h5", slots)
    mask = slot(result, "subset")["mask"]
    before = store.load_data(["prepare"])
    assert before.n_obs == 210
    for stages in (["prepare", "joint"], ["joint", "motifs"]):
        data = store.load_data(stages)
        assert list(data.obs_names) == list(prepared.obs_names[mask])
        assert list(data.mod["atac"].obs_names) == list(data.obs_names)
        np.testing.assert_array_equal(data.obs["rank"], np.flatnonzero(mask))
        np.testing.assert_array_equal(data.obsp["graph"], before.obsp["graph"][np.ix_(mask, mask)])
        np.testing.assert_array_equal(data.obsm["X_joint"], slot(result, "X_joint"))
        assert (data.mod["rna"].layers["double"] != 2 * data.mod["rna"].X).nnz == 0
        assert data.mod["rna"].uns.keys() >= before.mod["rna"].uns.keys()
        np.testing.assert_array_equal(
            data.mod["rna"].varm["topic_activations"], before["rna"].varm["topic_activations"]
        )
    done = ComparisonsStage().run(data, ComparisonsParams(), Context(resources=Resources(groups="state")))
    assert set(done.table("group_tests")["n_1"]) == {70}


def test_values_of_the_chosen_cells_stay_as_they_are() -> None:
    mask = np.array([True, False, True])
    slots = {Slot("joint", "obs", "own"): np.array([5, 6]), Slot("joint", "uns", "list"): np.arange(3)}
    found = cells_of_slots(slots, mask)
    np.testing.assert_array_equal(found[Slot("joint", "obs", "own")], [5, 6])
    np.testing.assert_array_equal(found[Slot("joint", "uns", "list")], [0, 1, 2])
    assert SUBSET_SLOT not in found


def test_without_the_stage_joint_nothing_runs_on_all_cells(tmp_path: Path) -> None:
    given = Resources(tss=tmp_path / "tss.bed", subset=TEXT)
    request = SimpleNamespace(resources=given, spec=None)
    run = _Run(request, RunStore(tmp_path), None, {"stages": {}}, {}, None)  # type: ignore[arg-type]
    run.keys = dict.fromkeys(("prepare", "topics_rna", "topics_atac"), "key")
    assert "--subset" in run._blocked(get_stage("regulation"))
    run.request = SimpleNamespace(resources=dataclasses.replace(given, subset=None))  # type: ignore[assignment]
    assert run._blocked(get_stage("regulation")) == ""


def test_a_function_says_how_to_take_a_subset(prepared) -> None:
    with refused("stages.subset_of_function", ParameterError) as error:
        stage_function("joint")(prepared, resources=Resources(subset=TEXT))
    assert "mdata[mdata.obs[COLUMN]" in str(error.value)
