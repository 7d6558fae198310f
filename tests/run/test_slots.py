"""What stages read of each other: hashes of values, what is loaded, and which results a change makes out of date."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.io.resources import Resources
from mira_nb.run.dependents import renewal
from mira_nb.run.identity import values_read
from mira_nb.run.slots import PLACE, content_hash, read_slots, stored_slots, write_slots
from mira_nb.stages.base import Stage
from mira_nb.stages.registry import BUILT_IN, get_stage
from mira_nb.stages.result import Deferred, Slot

CLUSTERS, MAP = Slot("joint", "obs", "leiden"), Slot("joint", "obsm", "X_umap")
STATES = Slot("joint", "obs", "lineage_state")
VALUES: dict[str, Any] = {
    "array": np.arange(6.0).reshape(2, 3),
    "words": np.array(["a", "b"], dtype=object),
    "categories": pd.Series(pd.Categorical(["x", "y", "x"])),
    "sparse": sparse.csr_matrix(np.eye(3)),
    "frame": pd.DataFrame({"n": [1, 2], "text": ["p", "q"]}),
    "mapping": {"one": 1.5, "list": np.array([1, 2]), "nested": {"word": "w"}},
}
OTHERS: dict[str, Any] = {
    "array": np.arange(6.0).reshape(3, 2),
    "words": np.array(["a", "c"], dtype=object),
    "categories": pd.Series(pd.Categorical(["x", "y", "y"])),
    "sparse": sparse.csr_matrix(np.eye(3)[:, ::-1]),
    "frame": pd.DataFrame({"n": [1, 3], "text": ["p", "q"]}),
    "mapping": {"one": 1.5, "list": np.array([1, 2]), "nested": {"word": "v"}},
}


def hashes(path: Path, values: dict[str, Any]) -> dict[str, str]:
    facts = write_slots(path, {Slot("joint", "uns", name): value for name, value in values.items()})
    return {slot.key: sha256 for slot, sha256 in stored_slots({"slots": facts}).items()}


def test_the_hash_of_a_value_follows_its_content_alone(tmp_path: Path) -> None:
    one = hashes(tmp_path / "one.h5", VALUES)
    again = hashes(tmp_path / "again.h5", dict(reversed(VALUES.items())))
    assert one == again
    assert len(set(one.values())) == len(VALUES)
    other = hashes(tmp_path / "other.h5", OTHERS)
    assert not set(one.values()) & set(other.values())
    with h5py.File(tmp_path / "laid.h5", "w") as file:  # chunks and compression are not content
        file.create_dataset("plain", data=np.arange(100))
        file.create_dataset("packed", data=np.arange(100), chunks=(10,), compression="gzip")
        file.create_dataset("narrow", data=np.arange(100, dtype=np.int32))
        assert content_hash(file["plain"]) == content_hash(file["packed"]) != content_hash(file["narrow"])


def test_only_wanted_values_are_read(tmp_path: Path) -> None:
    hashes(tmp_path / "one.h5", VALUES)
    assert [slot.key for slot in read_slots(tmp_path / "one.h5", lambda slot: slot.key == "words")] == ["words"]


def reads(stage: str, slot: Slot, present: set[Slot], resources: Resources | None = None, **values: Any) -> bool:
    chosen = get_stage(stage)
    return chosen.reads(slot, chosen.Params.parse(stage, values), resources or Resources(), present)


def test_clusters_are_read_where_they_are_the_groups() -> None:
    with_states, without = {CLUSTERS, STATES}, {CLUSTERS}
    for name in ("enrichment", "motifs", "trajectory"):
        assert not reads(name, CLUSTERS, without)
        assert reads(name, MAP, without)
    for name in ("regulation", "drivers"):
        assert not reads(name, CLUSTERS, with_states)
        assert reads(name, CLUSTERS, without)
        assert not reads(name, CLUSTERS, without, Resources(groups="cell_type"))
        assert reads(name, CLUSTERS, with_states, Resources(groups="leiden"))
    assert reads("comparisons", CLUSTERS, with_states)
    assert reads("regulation", CLUSTERS, with_states, branches=["1 | 2"])
    assert reads("trajectory", CLUSTERS, with_states, stream_columns=["leiden"])


@pytest.mark.parametrize(
    "name", [name for name in BUILT_IN if "joint" in (*get_stage(name).needs, *get_stage(name).uses)]
)
def test_labels_of_clusters_are_read_where_the_run_gives_them(name: str) -> None:
    labels = Slot("joint", "obs", "cell_label")
    given = Resources(labels=Path("labels.csv"))
    assert reads(name, labels, {labels, STATES}, given) == ("labels" in get_stage(name).optional_resources)


def records(clusters: str = "1", place: str = "1") -> dict[str, dict[str, Any]]:
    """Stored stages with a value each; those of the joint representation are given."""
    out: dict[str, dict[str, Any]] = {
        name: {"seconds": 2.0, "parameters": [], "slots": [{"slot": ["joint", "uns", name], "sha256": "0"}]}
        for name in BUILT_IN
    }
    values = ((CLUSTERS, clusters), (MAP, place))
    out["joint"]["slots"] = [{"slot": [s.modality, s.element, s.key], "sha256": value} for s, value in values]
    out["trajectory"]["slots"] = [{"slot": ["joint", "obs", "lineage_state"], "sha256": "0"}]
    return out


def test_a_key_holds_what_is_read_and_the_whole_key_of_a_stage_without_hashes() -> None:
    stage = get_stage("trajectory")
    params = stage.Params()
    before = {name: records()[name] for name in ("joint", "prepare")}
    found = values_read(stage, params, Resources(), before)
    assert found == {"joint": {"joint/obsm/X_umap": "1"}, "prepare": {"joint/uns/prepare": "0"}}
    moved = {name: records(clusters="2")[name] for name in ("joint", "prepare")}
    assert values_read(stage, params, Resources(), moved) == found
    moved = {name: records(place="2")[name] for name in ("joint", "prepare")}
    assert values_read(stage, params, Resources(), moved) != found
    assert values_read(stage, params, Resources(), {"joint": {"key": "k"}}) == {"joint": "k"}


def test_renewal_names_the_stages_that_read_what_changes() -> None:
    done = list(BUILT_IN)

    def stale(*changed: str, stage: str = "joint", **options: Any) -> tuple[str, ...]:
        return renewal(stage, done, records(), changed=changed, **options)[0]

    every = ("enrichment", "motifs", "trajectory", "regulation", "drivers", "comparisons")
    assert set(stale()) == set(stale("n_neighbors")) == set(stale("resolution", "min_dist")) == set(every)
    assert stale("resolution") == ("comparisons",)
    assert stale("markers") == stale("compare_cells", "n_markers") == ()
    assert stale(stage="comparisons") == ()
    assert renewal("joint", ["joint", "comparisons"], records(), changed=["resolution"])[1] == pytest.approx(3.5)
    one = renewal("joint", ["joint", "regulation"], records(), changed=["resolution"])[0]
    assert one == ("regulation",)  # without states of a tree, clusters are its groups
    old = {**records(), "joint": {"seconds": 1.0, "parameters": []}}
    assert set(renewal("joint", done, old, changed=["resolution"])[0]) == set(every)


def test_values_are_made_one_after_the_other(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str) -> np.ndarray:
        made.append(name)
        return np.full((4, 2), len(made), dtype=np.float32)

    slots = {Slot("rna", "layers", name): Deferred(partial(make, name)) for name in ("a", "b")}
    assert made == []
    write_slots(tmp_path / "slots.h5", slots)
    assert made == ["a", "b"]
    back = read_slots(tmp_path / "slots.h5")
    np.testing.assert_array_equal(back[Slot("rna", "layers", "b")], np.full((4, 2), 2))


def test_hash_does_not_depend_on_how_much_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = {
        "wide": rng.normal(size=(37, 5)), "long": rng.integers(0, 9, 100), "none": np.empty((0, 3)),
        "one": np.float64(3), "text": np.array(["a", "bc"]), "flag": rng.random(11) > 0.5, "empty": np.empty((4, 0)),
    }  # fmt: skip
    slots = {Slot("rna", "uns", name): value for name, value in values.items()}
    whole = write_slots(tmp_path / "whole.h5", slots)
    monkeypatch.setattr("mira_nb.run.slots._HASHED", 50)
    assert write_slots(tmp_path / "parts.h5", slots) == whole
    # the bytes of a plain array, in order, whatever was read at once
    total = hashlib.sha256()
    with h5py.File(tmp_path / "parts.h5") as file:
        item = file["slot0000"]
        attributes = {key: str(np.asarray(value).tolist()) for key, value in item.attrs.items() if key != PLACE}
        total.update(json.dumps(["", sorted(attributes.items())]).encode())
        total.update(f"{item.dtype.str}{item.shape}".encode())
        total.update(values["wide"].tobytes())
    assert whole[0]["sha256"] == total.hexdigest()


@pytest.mark.parametrize("name", ["drivers", "comparisons"])
def test_layers_are_loaded_only_where_a_stage_reads_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = get_stage(name)
    layer, topics = Slot("rna", "layers", "lite_prediction"), Slot("rna", "obsm", "X_topics")

    def reads(slot: Slot) -> bool:
        return stage.reads(slot, stage.Params(), Resources(), frozenset({layer, topics}))

    assert (reads(layer), reads(topics)) == (False, True)
    monkeypatch.setattr(type(stage), "reads_layers", Stage.reads_layers)  # what a stage of another package has
    assert reads(layer)
