"""Annotations in the exported tables: every value and every column of the user's is still there."""

from __future__ import annotations

import json
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from mira_nb.export.run import ExportOptions, export_run


def write_run(folder: Path, data: mudata.MuData, **columns: object) -> Path:
    """A run whose cells have further annotations."""
    data = data.copy()
    for name, values in columns.items():
        data.obs[name] = values
    folder.mkdir()
    with mudata.set_options(pull_on_update=False):
        data.write_h5mu(folder / "results.h5mu")
    (folder / "run.json").write_text(json.dumps({"schema": 1, "resources": {"groups": "cell_type"}, "stages": {}}))
    return folder


def same_groups(first: pd.Series, second: np.ndarray) -> bool:
    """Whether two columns part the cells alike."""
    pairs = {*zip(first, second, strict=True)}
    return len(pairs) == first.nunique() == len(set(second))


# ---------------------------------------------------------------- numbers
def test_loupe_keeps_long_numbers_apart(results, tmp_path):
    """Dates and ids of eight and more digits, fractions that differ late, large and small numbers, float32."""
    n = np.arange(results.n_obs)
    truth = {
        "library_date": 20230110 + n % 4,
        "date_float": 20230110.0 + n % 4,
        "id64": 2**53 + n % 3,
        "late": 0.12345678 + (n % 3) * 1e-8,
        "tiny": (n % 3) * 1e-12,
        "huge": 1e20 + (n % 3) * 1e17,
        "small_float": (np.float32(0.1) * (n % 5)).astype(np.float32),
    }
    run = write_run(tmp_path / "run", results, **truth)
    export_run(run, to="loupe", out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "categories.csv", dtype=str)
    for name, values in truth.items():
        assert same_groups(table[name], values), name
    assert table["library_date"].tolist() == table["date_float"].tolist() == [str(20230110 + i % 4) for i in n]
    assert set(table["id64"]) == {str(2**53 + i) for i in range(3)}
    assert sorted(set(table["small_float"]))[:2] == ["0", "0.1"]


def test_loupe_ranges_are_told_apart(results, tmp_path):
    """Ranges of many long numbers have bounds that differ; infinite numbers fall into a range."""
    n = np.arange(results.n_obs)
    infinite = np.where(n % 8 == 0, np.inf, n / 7)
    missing = pd.array([None if i % 5 == 0 else i for i in n], dtype="Int64")
    run = write_run(
        tmp_path / "run", results, date=20230100 + n, late=1000 + n * 1e-4, infinite=infinite, missing=missing
    )
    export_run(run, to="loupe", out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "categories.csv", dtype=str)
    for name, values in (("date", 20230100 + n), ("late", 1000 + n * 1e-4)):
        for text, found in pd.Series(values).groupby(table[name]):
            least, _, most = text.partition(": ")[2].partition(" to ")
            assert float(least) <= found.min() + 1e-9
            assert float(least) < float(most)
        assert table[name].nunique() == 10
    assert table["date"].iloc[0] == "01: 20230100 to 20230103"
    assert table["infinite"].nunique() >= 8
    assert (table.loc[np.isinf(infinite), "infinite"].str.endswith(" to inf")).all()
    assert (table["missing"] == "none").tolist() == (n % 5 == 0).tolist()


@pytest.mark.parametrize("label", ["none", "other"])
def test_cells_without_a_label_are_apart_from_a_label_of_that_name(results, tmp_path, label):
    values = pd.Categorical([None if i % 4 == 0 else label for i in range(results.n_obs)])
    run = write_run(tmp_path / "run", results, state=values)
    export_run(run, to="loupe", out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "categories.csv", dtype=str)
    expected = {"none": {"none": 30, "none-2": 10}, "other": {"other": 30, "none": 10}}[label]
    assert table["state"].value_counts().to_dict() == expected


# ---------------------------------------------------------------- names
STAGES = [f"E{i % 3}.5" for i in range(40)]


@pytest.mark.parametrize("to", ["scanpy", "seurat", "loupe", "cellxgene"])
def test_an_annotation_called_like_a_topic_stands_beside_it(results, tmp_path, to):
    """The topic and the fate keep their names, the user's columns get others, which is said."""
    both = {"e1": STAGES, "fate_A": STAGES, "e1_annotation": [name.lower() for name in STAGES]}
    run = write_run(tmp_path / "run", results, **both)
    done = export_run(run, to=to, out=tmp_path / "out")
    assert "e1 is e1_annotation-2, fate_A is fate_A_annotation in the files" in " ".join(done.notes)
    table = table_of(tmp_path / "out", to)
    assert table["e1_annotation-2"].tolist() == table["fate_A_annotation"].tolist() == STAGES
    assert table["e1_annotation"].tolist() == [name.lower() for name in STAGES]
    if to != "loupe":
        np.testing.assert_allclose(table["e1"], results["rna"].obsm["X_topics"][:, 0])
        np.testing.assert_allclose(table["fate_A"], results.obsm["fate_probabilities"]["A"])
    else:
        assert table["e1"].nunique() == table["fate_A"].nunique() == 10


def table_of(out: Path, to: str) -> pd.DataFrame:
    if to == "scanpy":
        return sc.read_h5ad(out / "rna.h5ad").obs
    if to == "cellxgene":
        return sc.read_h5ad(out / "cellxgene.h5ad").obs
    return pd.read_csv(out / ("cells.csv" if to == "seurat" else "categories.csv"))


@pytest.mark.parametrize(
    ("to", "name"),
    [("seurat", "cell"), ("scanpy", "cell"), ("loupe", "Barcode"), ("loupe", "largest_rna_topic")],
)
def test_names_of_the_format_stay_with_the_format(results, tmp_path, to, name):
    run = write_run(tmp_path / "run", results, **{name: STAGES})
    done = export_run(run, to=to, out=tmp_path / "out")
    assert f"{name} is {name}_annotation in the files" in " ".join(done.notes)
    table = table_of(tmp_path / "out", to)
    assert table[f"{name}_annotation"].tolist() == STAGES
    if to == "loupe":
        assert table["Barcode"].tolist() == results.obs_names.tolist()
        assert set(table["largest_rna_topic"]) == {"e1", "e2", "e3"}


def test_scanpy_keeps_what_differs_between_the_modalities(results, tmp_path):
    """A column, a map, or a peak's annotation of a name that is taken; what is the same stands once."""
    data = results.copy()
    data["rna"].obs["cell_type"] = results.obs["cell_type"].astype(str).to_numpy()
    data["rna"].obs["leiden"] = pd.Categorical([str(i % 5) for i in range(40)])
    data["rna"].obsm["X_umap"] = own = np.arange(80.0).reshape(40, 2)
    data["atac"].obsm["X_umap"] = results.obsm["X_umap"].copy()
    data["atac"].var["a2"] = region = [f"r{i % 2}" for i in range(30)]
    done = export_run(write_run(tmp_path / "run", data), to="scanpy", out=tmp_path / "out")
    assert "leiden is leiden_rna, X_umap is X_umap_rna, a2 is a2_annotation in" in " ".join(done.notes)
    rna, atac = (sc.read_h5ad(tmp_path / "out" / f"{name}.h5ad") for name in ("rna", "atac"))
    assert rna.obs["leiden"].tolist() == results.obs["leiden"].tolist()
    assert rna.obs["leiden_rna"].tolist() == [str(i % 5) for i in range(40)]
    assert "cell_type_rna" not in rna.obs
    assert (rna.obsm["X_umap"] == results.obsm["X_umap"]).all()
    assert (rna.obsm["X_umap_rna"] == own).all()
    assert "X_umap_atac" not in atac.obsm
    assert atac.var["a2_annotation"].tolist() == region
    np.testing.assert_array_equal(atac.var["a2"], results["atac"].varm["topic_activations"][:, 1])


def test_cellxgene_names(results, tmp_path):
    """Columns whose free names collide are all there; empty ones are named; whole numbers with gaps stay numbers."""
    gaps = pd.array([None if i % 4 == 0 else i for i in range(40)], dtype="Int64")
    columns = {"tissue": STAGES, "author_tissue": [name.lower() for name in STAGES], "_depth": 1.5, "depth": 2.5}
    run = write_run(tmp_path / "run", results, **columns, gaps=gaps, empty=np.nan)
    notes = " ".join(export_run(run, to="cellxgene", out=tmp_path / "out").notes)
    assert "tissue is author_tissue-2, _depth is depth-2 in the files" in notes
    assert "columns without any value were left out: empty" in notes
    obs = sc.read_h5ad(tmp_path / "out" / "cellxgene.h5ad").obs
    assert obs["author_tissue-2"].tolist() == STAGES
    assert obs["author_tissue"].tolist() == [name.lower() for name in STAGES]
    assert (set(obs["depth"]), set(obs["depth-2"])) == ({2.5}, {1.5})
    assert obs["gaps"].isna().tolist() == [i % 4 == 0 for i in range(40)]


def test_tracks_by_an_annotation_called_like_a_topic(results, tmp_path):
    run = write_run(tmp_path / "run", results, e1=STAGES)
    export_run(run, to="bigwig", out=tmp_path / "out", options=ExportOptions(by="e1"))
    assert {path.stem for path in (tmp_path / "out").glob("*.bw")} == {"E0_5", "E1_5", "E2_5"}
