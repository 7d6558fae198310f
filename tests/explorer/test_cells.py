"""Values by name, the search over them, and what follows from selections."""

from __future__ import annotations

import json
from pathlib import Path

import mudata
import numpy as np
import pytest

from mira_nb.errors import ParameterError, StoreError
from mira_nb.explorer import compare
from mira_nb.explorer.cells import LABELLED, CellData, Feature
from mira_nb.explorer.pages import page
from mira_nb.explorer.search import Search
from tests.messages import refused


def test_columns_are_those_of_the_input(run_folder: Path) -> None:
    data = CellData(run_folder)
    counts = mudata.read_h5mu(run_folder / "cache" / "input.h5mu")
    rna, atac = (counts.mod[name].X.toarray() for name in ("rna", "atac"))
    expected = np.log1p(rna / rna.sum(axis=1, keepdims=True) * 1e4)
    assert data.values(Feature("gene", "G5")).numbers == pytest.approx(expected[:, 5])
    assert data.values(Feature("peak", "chr1:300-350")).numbers == pytest.approx(atac[:, 3])
    some = np.array([3, 40, 7])
    assert data.columns["rna"].rows(some).toarray() == pytest.approx(expected[some])
    assert data.columns["atac"].rows(some).toarray() == pytest.approx(atac[some])


def test_columns_are_written_again_for_another_input(run_folder: Path) -> None:
    data = CellData(run_folder)
    data.values(Feature("gene", "G5"))
    assert data.columns["rna"].ready()
    record = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps({**record, "input_key": "other"}))
    assert not data.columns["rna"].ready()


def test_every_kind_has_values(run_folder: Path) -> None:
    data = CellData(run_folder)
    for key in ("topic:e2", "motif:GATA1", "nite:GATA1", "column:pseudotime"):
        kind, _, name = key.partition(":")
        found = data.values(Feature(kind, name))  # type: ignore[arg-type]
        assert found.numbers is not None
        assert np.isfinite(found.numbers).all()
    clusters = data.values(Feature("column", "leiden"))
    assert clusters.categories == ("0", "1", "10")
    assert clusters.codes is not None
    assert np.bincount(clusters.codes).tolist() == [20, 20, 20]
    for key in ("gene:none", "topic:e9", "column:none", "selection:none", "motif:none", "peak:none"):
        kind, _, name = key.partition(":")
        with refused("explorer.feature_unknown", StoreError):
            data.values(Feature(kind, name))  # type: ignore[arg-type]


def test_labels_merge_and_name_clusters(run_folder: Path) -> None:
    data = CellData(run_folder)
    with pytest.raises(StoreError):
        data.values(Feature("column", LABELLED))
    data.kept.label("0", "HSC")
    data.kept.label("10", "HSC")
    found = data.values(Feature("column", LABELLED))
    assert found.categories == ("1", "HSC")
    assert found.codes is not None
    assert np.bincount(found.codes).tolist() == [20, 40]


def test_search_finds_by_name_label_and_kind(run_folder: Path) -> None:
    data = CellData(run_folder)
    search = Search(data)
    assert [item.key for item in search.find("gata1")][:3] == ["gene:GATA1", "nite:GATA1", "motif:GATA1"]
    assert next(item.key for item in search.find("gata")) == "gene:GATA1"
    assert [item.key for item in search.find("chr1:300")] == ["peak:chr1:300-350"]
    assert [item.key for item in search.find("topic e2")] == ["topic:e2"]
    data.kept.name_topic("e2", "Cell cycle")
    assert [item.shown for item in search.find("cycle")] == ["e2: Cell cycle"]
    data.kept.keep_selection("mine", ["c1"])
    assert [item.key for item in search.find("mine")] == ["selection:mine"]
    assert {item.kind for item in search.find("")} <= {"column", "topic", "selection"}
    assert search.find("nothing of this name") == []
    feature = search.feature("topic:e2")
    assert feature is not None
    assert feature.shown == "e2: Cell cycle"
    assert search.feature("other:x") is None


def test_markers_of_two_selections(run_folder: Path) -> None:
    data = CellData(run_folder)
    data.kept.keep_selection("one", [f"c{i}" for i in range(20)])
    data.kept.keep_selection("two", [f"c{i}" for i in range(10, 40)])
    data.kept.keep_selection("few", ["c50"])
    found = compare.markers(data, "one", compare.REST)
    assert found.n == found.tested == (20, 40)
    assert len(found.table) == 12
    with refused("explorer.cells_shared", ParameterError, n_cells=10):
        compare.markers(data, "one", "two")
    with refused("explorer.few_cells", ParameterError, name="few", n_cells=1):
        compare.markers(data, "one", "few")
    with refused("explorer.selection_unknown", ParameterError, name="three"):
        compare.markers(data, "three", "one")


def test_large_selections_are_sampled(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "MOST_CELLS", 15)
    data = CellData(run_folder)
    data.kept.keep_selection("one", [f"c{i}" for i in range(20)])
    found = compare.markers(data, "one", compare.REST)
    assert (found.n, found.tested) == ((20, 40), (15, 15))


def test_curves_follow_a_straight_line(run_folder: Path) -> None:
    data = CellData(run_folder)
    values = 3 * np.linspace(0, 1, 60) + 1
    found = compare.curves(data, values, {"all": np.arange(60), "none": np.array([], dtype=int)})
    assert set(found) == {"all"}
    assert found["all"].value == pytest.approx(3 * found["all"].time + 1)


def test_the_central_cell_is_one_of_the_selection(run_folder: Path) -> None:
    data = CellData(run_folder)
    assert compare.central_cell(data, ["c4", "c5", "c6", "elsewhere"]) in {"c4", "c5", "c6"}
    with refused("explorer.no_cell_of_run", ParameterError):
        compare.central_cell(data, ["elsewhere"])


def test_pages_tell_what_the_tables_hold(run_folder: Path) -> None:
    data = CellData(run_folder)
    gene = {part.heading: part for part in page(data, Feature("gene", "GATA1"))}
    assert gene["Regulation"].table is not None
    assert dict(gene["Regulation"].table.to_numpy()) == {"NITE score": 12.5, "called NITE": True, "peaks": 9}
    assert gene["Topics"].table is not None
    assert page(data, Feature("gene", "G5"))[0].text == "The run has no model of this gene."
    data.kept.name_topic("e1", "Erythroid")
    named = {part.heading: part for part in page(data, Feature("gene", "GATA1"))}["Topics"].table
    assert named is not None
    assert "e1: Erythroid" in set(named["topic"])
    topic = {part.heading: part for part in page(data, Feature("topic", "e1"))}
    assert topic["Top genes"].table is not None
    assert topic["Top genes"].table["feature"].tolist() == ["GATA1"]
    assert page(data, Feature("column", "leiden")) == []


def test_a_run_without_a_map_says_so(run_folder: Path) -> None:
    record = json.loads((run_folder / "run.json").read_text())
    record["stages"]["joint"]["status"] = "pending"
    (run_folder / "run.json").write_text(json.dumps(record))
    with refused("explorer.no_map", StoreError):
        CellData(run_folder)
