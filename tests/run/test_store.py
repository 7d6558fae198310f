"""Round trips of everything a stage can leave."""

from __future__ import annotations

import json
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from mira_nb.charts import packed
from mira_nb.errors import StoreError
from mira_nb.run.slots import read_slots, write_slots
from mira_nb.run.store import RunStore, figure_spec, read_h5mu, write_h5mu
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params, param
from mira_nb.stages.result import SUBSET_SLOT, ExportFile, Figure, Metric, Result, Slot, Table


class SomeParams(Params):
    k: int = param(3, "Neighbours.", unit="cells", ge=1)


class SomeStage(Stage[SomeParams]):
    name = "joint"
    title = "Some"
    purpose = "Tests."
    Params = SomeParams

    def run(self, data: object, params: SomeParams, context: Context) -> Result:  # pragma: no cover
        return Result()


def save(store: RunStore, result: Result) -> dict[str, object]:
    store.save_stage(SomeStage(), result, params=SomeParams(k=5), key="abc", seed=1, seconds=1.5, peak_rss_mb=10)
    record = store.stage_record("joint")
    assert record is not None
    return record


def test_slots_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    slots = {
        Slot("rna", "obsm", "X_topics"): rng.random((4, 3)),
        Slot("rna", "var", "modelled"): np.array([True, False]),
        Slot("joint", "obs", "leiden"): pd.Series(pd.Categorical(["1", "2", "1", "2"])),
        Slot("joint", "obs", "name"): pd.Series(["a", "b", "c", "d"]),
        Slot("joint", "obsp", "g"): sparse.random(4, 4, 0.5, format="csr", random_state=0),
        Slot("joint", "obsm", "fate"): pd.DataFrame({"A": [0.1, 1.0], "B": [0.9, 0.0]}, index=["x", "y"]),
        Slot("atac", "uns", "topic_model"): {"beta": rng.random((2, 2)), "config": '{"a": 1}', "eps": 1e-5},
    }
    write_slots(tmp_path / "s.h5", slots)
    back = read_slots(tmp_path / "s.h5")
    assert list(back) == list(slots)
    np.testing.assert_array_equal(back[Slot("rna", "obsm", "X_topics")], slots[Slot("rna", "obsm", "X_topics")])
    assert list(back[Slot("joint", "obs", "leiden")]) == ["1", "2", "1", "2"]
    assert list(back[Slot("joint", "obs", "name")]) == ["a", "b", "c", "d"]
    assert (back[Slot("joint", "obsp", "g")] != slots[Slot("joint", "obsp", "g")]).nnz == 0
    pd.testing.assert_frame_equal(back[Slot("joint", "obsm", "fate")], slots[Slot("joint", "obsm", "fate")])
    assert back[Slot("atac", "uns", "topic_model")]["config"] == '{"a": 1}'


def test_a_result_round_trips(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, np.nan], "y": [1.0, 2.0, 3.0], "g": ["a", "b", "a"]})
    cloud = alt.Chart(alt.NamedData("cells")).mark_point().encode(x="x:Q", y="y:Q")
    result = Result(
        tables=[Table("clusters", "Clusters", "One row a cluster.", frame)],
        figures=[
            Figure("umap", "UMAP", "Cells.", chart=cloud, packed={"cells": frame}),
            Figure("raster", "Raster", "Cells.", image=b"\x89PNG"),
            Figure("drawing", "Drawing", "A model.", svg="<svg>α</svg>"),
        ],
        metrics=[Metric("a", np.float32(0.5)), Metric("b", float("nan")), Metric("c", np.int64(3))],
        files=[ExportFile("tables/x.xlsx", b"123", "Excel")],
        methods="As in [@lynch2022mira].",
    )
    store = RunStore(tmp_path)
    record = save(store, result)
    assert [item["value"] for item in record["metrics"]] == [0.5, "not available", 3]  # type: ignore[attr-defined]
    assert record["parameters"] == [
        {"name": "k", "value": 5, "default": 3, "changed": True, "used": 5, "unit": "cells", "help": "Neighbours."}
    ]
    pd.testing.assert_frame_equal(store.table("joint", "clusters"), frame)
    spec = json.loads((tmp_path / "stages/joint/figures/umap.vl.json").read_text())
    back = packed.unpack(spec["usermeta"]["mira_nb"]["packed"]["cells"])
    np.testing.assert_allclose(back["x"], frame["x"], atol=1e-4)
    assert list(back["g"]) == ["a", "b", "a"]
    assert (tmp_path / "stages/joint/figures/raster.png").read_bytes() == b"\x89PNG"
    assert (tmp_path / "stages/joint/figures/drawing.svg").read_text(encoding="utf-8") == "<svg>α</svg>"
    assert (tmp_path / "stages/joint/tables/x.xlsx").read_bytes() == b"123"


def test_an_export_cannot_leave_its_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="outside"):
        save(RunStore(tmp_path), Result(files=[ExportFile("../../x", b"")]))
    assert RunStore(tmp_path).stage_record("joint") is None


def test_a_missing_table_names_those_there_are(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    save(store, Result(tables=[Table("a", "A", "", pd.DataFrame({"x": [1]}))]))
    with pytest.raises(StoreError, match=r"one of \['a'\]"):
        store.table("joint", "b")


def test_a_figure_without_packed_data_is_its_chart() -> None:
    chart = alt.Chart(pd.DataFrame({"x": [1]})).mark_bar().encode(x="x:Q")
    assert figure_spec(Figure("f", "F", "", chart=chart)) == chart.to_dict()


def test_names_in_tables_are_no_formulas_and_read_back(tmp_path: Path) -> None:
    import csv

    frame = pd.DataFrame(
        {"gene": ["=1+1", "@x", "-Inf(x)", "GATA1"], "strand": list("+-+-"), "value": [-1.5, 2.0, -3e-9, 0.0]}
    )
    store = RunStore(tmp_path)
    save(store, Result(tables=[Table("t", "T", "A table.", frame)]))
    with (tmp_path / "stages/joint/tables/t.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    assert [row[0] for row in rows] == ["'=1+1", "'@x", "'-Inf(x)", "GATA1"]
    assert [row[1] for row in rows] == list("+-+-")
    assert [float(row[2]) for row in rows] == list(frame["value"])
    pd.testing.assert_frame_equal(store.table("joint", "t"), frame)


@pytest.mark.parametrize("subset", [False, True])
def test_results_hold_every_layer_of_the_cells_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subset: bool
) -> None:
    """Layers are appended one by one; they equal those of all values loaded at once."""
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(6)]
    pair = {
        key: AnnData(
            sparse.csr_matrix(rng.poisson(1, (6, n)).astype("f4")),
            obs=pd.DataFrame(index=names),
            var=pd.DataFrame(index=[f"{key}{i}" for i in range(n)]),
        )
        for key, n in (("rna", 3), ("atac", 4))
    }
    pair["rna"].layers["given"] = pair["rna"].X.copy()
    store = RunStore(tmp_path)
    write_h5mu(MuData(pair), store.input_path)
    slots = {
        Slot("rna", "layers", "dense"): rng.random((6, 3)).astype("f4"),
        Slot("atac", "layers", "sparse"): sparse.random(6, 4, 0.5, format="csr", random_state=0),
        Slot("rna", "obsm", "X_a"): rng.random((6, 2)),
    }
    if subset:
        slots[SUBSET_SLOT] = {"mask": np.array([1, 0, 1, 1, 0, 1], dtype=bool)}
    save(store, Result(slots=slots))
    monkeypatch.setattr(RunStore, "finished", lambda _self: ["joint"])
    found, wanted = read_h5mu(store.write_results()), store.load_data(["joint"])
    assert found.n_obs == (4 if subset else 6)
    for key, layers in (("rna", ["dense", "given"]), ("atac", ["sparse"])):
        assert sorted(found[key].layers) == layers
        for layer in layers:
            one, other = (sparse.csr_matrix(data[key].layers[layer]).toarray().astype("f4") for data in (found, wanted))
            np.testing.assert_array_equal(one, other)
