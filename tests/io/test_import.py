"""Matrices of Cell Ranger in folders, Zarr stores and tables of cells: the same pair must come out."""

from __future__ import annotations

import gzip
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy import sparse

from mira_nb.io.annotations import check_annotations
from mira_nb.io.cell_table import read_cell_table
from mira_nb.io.read import check_pair, read_input
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.run.files import HashCache
from tests.io.test_read import assert_same
from tests.messages import codes, refused, values


def write_mtx(folder: Path, rna: ad.AnnData | None, atac: ad.AnnData | None, *, packed: bool, prefix: str = "") -> Path:
    """Write a folder as Cell Ranger does; scipy writes the matrix."""
    folder.mkdir()
    parts = [part for part in (rna, atac) if part is not None]
    scipy.io.mmwrite(folder / f"{prefix}matrix.mtx", sparse.vstack([part.X.T for part in parts]).astype(int))
    (folder / f"{prefix}barcodes.tsv").write_text("\n".join(parts[0].obs_names) + "\n")
    rows = (
        [f"ENSG{i:05d}\t{name}\tGene Expression\tchr1\t{i}\t{i + 1}" for i, name in enumerate(rna.var_names)]
        if rna
        else []
    )
    if atac is not None:
        for name in atac.var_names:
            chrom, _, span = name.partition(":")
            rows.append(f"{name}\t{name}\tPeaks\t{chrom}\t" + span.replace("-", "\t"))
    (folder / f"{prefix}features.tsv").write_text("\n".join(rows) + "\n")
    if packed:
        for path in list(folder.iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return folder


@pytest.mark.parametrize(("packed", "prefix"), [(True, ""), (False, ""), (True, "GSM123_")])
def test_mtx_folder(rna, atac, tmp_path, packed, prefix):
    folder = write_mtx(tmp_path / "m", rna, atac, packed=packed, prefix=prefix)
    pair = read_input(InputSpec(tenx=folder))
    assert_same(pair, rna, atac)
    assert pair.data["rna"].var_names.tolist() == rna.var_names.tolist()
    assert pair.data["atac"].var["start"].tolist() == [1000 * i for i in range(atac.n_vars)]
    matrix = next(folder.glob("*matrix.mtx*"))
    assert_same(read_input(InputSpec(tenx=matrix)), rna, atac)  # the file itself names the folder


def test_mtx_folder_agrees_with_scanpy(rna, atac, tmp_path):
    import scanpy as sc

    folder = write_mtx(tmp_path / "m", rna, atac, packed=True)
    theirs = sc.read_10x_mtx(folder, gex_only=False)
    ours = read_input(InputSpec(tenx=folder)).data
    assert (theirs[:, theirs.var["feature_types"] == "Gene Expression"].X != ours["rna"].X).nnz == 0
    assert (theirs[:, theirs.var["feature_types"] == "Peaks"].X != ours["atac"].X).nnz == 0


def test_two_mtx_folders_of_old_versions(rna, atac, tmp_path):
    """Cell Ranger 2 (genes.tsv of two columns) and Cell Ranger ATAC (peaks.bed)."""
    genes = write_mtx(tmp_path / "genes", rna, None, packed=False)
    (genes / "features.tsv").unlink()
    (genes / "genes.tsv").write_text("".join(f"ENSG{i:05d}\t{name}\n" for i, name in enumerate(rna.var_names)))
    peaks = write_mtx(tmp_path / "peaks", None, atac, packed=False)
    (peaks / "features.tsv").unlink()
    (peaks / "peaks.bed").write_text(
        "".join(name.replace(":", "\t").replace("-", "\t") + "\n" for name in atac.var_names)
    )
    assert_same(read_input(InputSpec(rna=genes, atac=peaks)), rna, atac)
    with refused("inputs_swapped"):
        read_input(InputSpec(rna=peaks, atac=genes))
    with refused("feature_type_missing", lacking=["Peaks"]):
        read_input(InputSpec(tenx=genes))


def test_joint_folder_with_each_option(rna, atac, tmp_path, write):
    folder = write_mtx(tmp_path / "m", rna, atac, packed=True)
    assert_same(read_input(InputSpec(rna=folder, atac=folder)), rna, atac)
    assert_same(read_input(InputSpec(rna=folder, atac=write(rna, atac).atac)), rna, atac)


def _retyped(folder: Path, one_type: str | None) -> Path:
    rows = [line.split("\t")[:3] for line in (folder / "features.tsv").read_text().splitlines()]
    (folder / "features.tsv").write_text("".join("\t".join([*row[:2], one_type or row[2]]) + "\n" for row in rows))
    if one_type is None:
        (folder / "features.tsv").unlink()
        (folder / "genes.tsv").write_text("".join("\t".join(row[:2]) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("one_type", ["Gene Expression", "Peaks", None])
def test_genes_and_peaks_of_one_type_are_told_apart_by_their_names(rna, atac, tmp_path, one_type):
    """write10xCounts of DropletUtils types everything as Gene Expression; tables of two columns type nothing."""
    folder = _retyped(write_mtx(tmp_path / "m", rna, atac, packed=False), one_type)
    for spec in (InputSpec(tenx=folder), InputSpec(rna=folder, atac=folder)):
        pair = read_input(spec)
        assert_same(pair, rna, atac)
        for said in (item.values for item in pair.findings if item.code == "input.features_by_names"):
            assert (said["n_genes"], said["n_peaks"]) == (rna.n_vars, atac.n_vars)
            assert said["given"] == ([one_type] if one_type else [])
        assert "features_by_names" in codes(pair.findings, "warning")


def test_joint_annotated_matrix_of_one_type(rna, atac, tmp_path):
    var = pd.DataFrame({"feature_types": "Gene Expression"}, index=[*rna.var_names, *atac.var_names])
    joint = ad.AnnData(sparse.csr_matrix(sparse.hstack([rna.X, atac.X])), obs=rna.obs[[]], var=var)
    joint.write_h5ad(tmp_path / "j.h5ad")
    pair = read_input(InputSpec(rna=tmp_path / "j.h5ad", atac=tmp_path / "j.h5ad"))
    assert_same(pair, rna, atac)
    assert codes(pair.findings, "warning").count("features_by_names") == 2


def test_matrix_with_cells_in_rows(rna, atac, tmp_path):
    folder = write_mtx(tmp_path / "m", rna, atac, packed=False)
    scipy.io.mmwrite(folder / "matrix.mtx", sparse.hstack([rna.X, atac.X]).astype(int))
    assert_same(read_input(InputSpec(tenx=folder)), rna, atac)


TABLES = ["features.tsv", "genes.tsv", "peaks.bed"]
FEW_CELLS = {"n_features": 640, "n_barcodes": 2}


@pytest.mark.parametrize(
    ("damage", "code", "expected"),
    [
        (lambda folder: (folder / "barcodes.tsv").unlink(), "tenx_file_missing", {"lacking": ["barcodes.tsv"]}),
        (lambda folder: (folder / "features.tsv").unlink(), "tenx_file_missing", {"lacking": TABLES}),
        (lambda folder: (folder / "barcodes.tsv").write_text("a\nb\n"), "matrix_does_not_fit", FEW_CELLS),
        (lambda folder: os.truncate(folder / "matrix.mtx", 5000), "tenx_damaged", {}),
        (lambda folder: (folder / "matrix.mtx").write_text("x"), "tenx_damaged", {}),
        (lambda folder: (folder / "barcodes.tsv").write_bytes(b""), "path_empty", {}),
    ],
)  # fmt: skip
def test_damaged_folders(rna, atac, tmp_path, damage, code, expected):
    folder = write_mtx(tmp_path / "m", rna, atac, packed=False)
    damage(folder)
    with refused(code, **expected):
        read_input(InputSpec(tenx=folder))


def test_folder_around_the_matrix_is_named(rna, atac, tmp_path):
    (tmp_path / "outs").mkdir()
    write_mtx(tmp_path / "outs" / "raw_feature_bc_matrix", rna, atac, packed=True)
    write_mtx(tmp_path / "outs" / "filtered_feature_bc_matrix", rna, atac, packed=True)
    with refused("path_is_folder", inside=["filtered_feature_bc_matrix", "raw_feature_bc_matrix"]):
        read_input(InputSpec(tenx=tmp_path / "outs"))


def test_genes_of_cell_ranger_2(rna, atac, write, tmp_path):
    with h5py.File(tmp_path / "genes.h5", "w") as file:
        group = file.create_group("GRCh38")
        csr = rna.X.astype(np.int32)
        group["data"], group["indices"], group["indptr"] = csr.data, csr.indices, csr.indptr
        group["shape"] = np.array(csr.shape[::-1])
        group["barcodes"] = np.array(rna.obs_names, dtype="S")
        group["genes"] = np.array([f"ENSG{i}" for i in range(rna.n_vars)], dtype="S")
        group["gene_names"] = np.array(rna.var_names, dtype="S")
    pair = read_input(InputSpec(rna=tmp_path / "genes.h5", atac=write(rna, atac).atac))
    assert_same(pair, rna, atac)
    with refused("feature_type_missing", lacking=["Peaks"]):
        read_input(InputSpec(tenx=tmp_path / "genes.h5"))


# ---------------------------------------------------------------- Zarr
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore")  # of the writer
def test_zarr_stores(rna, atac, tmp_path, version):
    rna.obs["cell_type"] = rna.obs["cell_type"].astype("category")
    if hasattr(ad.settings, "zarr_write_format"):
        choice = ad.settings.override(zarr_write_format=version)
    elif version == 2:
        choice = nullcontext()  # an anndata from before format 3 writes format 2
    else:
        pytest.skip("this anndata writes no Zarr of format 3")
    with choice:
        rna.write_zarr(tmp_path / "rna.zarr")
        atac.write_zarr(tmp_path / "atac.zarr")
        mudata.MuData({"gex": rna, "acc": atac}).write_zarr(tmp_path / "both.zarr")
    pair = read_input(InputSpec(rna=tmp_path / "rna.zarr", atac=tmp_path / "atac.zarr"))
    assert_same(pair, rna, atac)
    assert pair.data.obs["cell_type"].tolist() == rna.obs["cell_type"].tolist()
    assert_same(read_input(InputSpec(mudata=tmp_path / "both.zarr")), rna, atac)
    shutil.make_archive(str(tmp_path / "rna.zarr"), "zip", tmp_path / "rna.zarr")
    assert_same(read_input(InputSpec(rna=tmp_path / "rna.zarr.zip", atac=tmp_path / "atac.zarr")), rna, atac)
    chunk = max(
        (item for item in (tmp_path / "rna.zarr" / "X").rglob("*") if item.is_file()), key=lambda f: f.stat().st_size
    )
    chunk.write_bytes(b"no chunk")
    with refused("file_damaged"):
        read_input(InputSpec(rna=tmp_path / "rna.zarr", atac=tmp_path / "atac.zarr"))


def test_folders_are_identified_by_their_content(rna, atac, tmp_path):
    folder = write_mtx(tmp_path / "m", rna, atac, packed=False)
    cache = HashCache(tmp_path / "hashes.json")
    before = cache.sha256(folder)
    assert cache.sha256(folder) == before
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert HashCache(tmp_path / "other.json").sha256(copied) == before
    (copied / "barcodes.tsv").write_text((copied / "barcodes.tsv").read_text().lower())
    assert HashCache(tmp_path / "other.json").sha256(copied) != before


# ---------------------------------------------------------------- MuData
def test_modalities_by_content_where_names_contradict(rna, atac, tmp_path):
    mudata.MuData({"rna": atac, "atac": rna}).write_h5mu(tmp_path / "swapped.h5mu")
    pair = read_input(InputSpec(mudata=tmp_path / "swapped.h5mu"))
    assert_same(pair, rna, atac)
    assert "modality_names_contradict" in codes(pair.findings)


def test_modalities_by_content_among_others(rna, atac, tmp_path):
    proteins = ad.AnnData(sparse.csr_matrix(np.ones((rna.n_obs, 30), np.float32)), obs=rna.obs[[]])
    proteins.var["feature_types"] = "Antibody Capture"
    mudata.MuData({"A": rna, "B": proteins, "C": atac}).write_h5mu(tmp_path / "three.h5mu")
    assert_same(read_input(InputSpec(mudata=tmp_path / "three.h5mu")), rna, atac)


# ---------------------------------------------------------------- --obs
LABELS = ["T, naive", "B cell", "007"]


def table(names: list[str]) -> pd.DataFrame:
    rows = np.arange(len(names))
    frame = pd.DataFrame({"barcode": names, "cell_type": [LABELS[i % 3] for i in rows], "batch": rows % 2 + 1})
    return frame.sample(frac=1, random_state=0)  # the order must not matter


WRITERS = {
    "comma": lambda frame, path: frame.to_csv(path, index=False),
    "tab": lambda frame, path: frame.to_csv(path, sep="\t", index=False),
    "semicolon": lambda frame, path: frame.to_csv(path, sep=";", index=False),
    "bar": lambda frame, path: frame.to_csv(path, sep="|", index=False),
    "R write.csv": lambda frame, path: frame.set_index("barcode").rename_axis("").to_csv(path, quoting=2),
    "R write.table": lambda frame, path: path.write_text(
        '"cell_type" "batch"\n' + "".join(f'"{a}" "{b}" {c}\n' for a, b, c in frame.itertuples(index=False))
    ),
    "barcode last": lambda frame, path: frame[["cell_type", "batch", "barcode"]].to_csv(path, index=False),
    "gzip": lambda frame, path: frame.to_csv(path, index=False, compression="gzip"),
    "mark": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig"),
    "Windows": lambda frame, path: frame.to_csv(path, index=False, lineterminator="\r\n"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_obs_table_of_any_format(rna, atac, tmp_path, write_tenx, writer):
    write_tenx(tmp_path / "m.h5", rna, atac)
    WRITERS[writer](table(rna.obs_names.tolist()), tmp_path / "cells.txt")
    obs = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "cells.txt")).data.obs
    assert obs["cell_type"].tolist() == [LABELS[i % 3] for i in range(rna.n_obs)]
    assert obs["batch"].tolist() == [i % 2 + 1 for i in range(rna.n_obs)]


@pytest.mark.parametrize(
    ("form", "spelling"), [("{0},{1:02d}", "decimal"), ("{2:,}", "thousands"), ("{0}.{1:02d}%", "percent")]
)
def test_numbers_of_another_spelling_are_numbers_and_said(rna, atac, tmp_path, write_tenx, form, spelling):
    write_tenx(tmp_path / "m.h5", rna, atac)
    n = rna.n_obs
    texts = [form.format(i // 100, i % 100, 900 + i) for i in range(n)]
    merged = ["1,2" if i % 3 else "3" for i in range(n)]
    frame = pd.DataFrame({"barcode": rna.obs_names, "value": texts, "cluster": merged})
    frame.to_csv(tmp_path / "cells.csv", sep=";" if spelling == "decimal" else "\t", index=False)
    found = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "cells.csv"))
    wanted = [900 + i for i in range(n)] if spelling == "thousands" else [i / 100 for i in range(n)]
    np.testing.assert_allclose(found.data.obs["value"].to_numpy(float), wanted)
    assert found.data.obs["cluster"].astype(str).tolist() == merged, "names of merged clusters stay"
    said = next(item for item in found.findings if item.code == "input.table_numbers_read")
    assert said.values["form"] == spelling


def test_obs_table_of_excel_and_anndata(rna, atac, tmp_path, write_tenx):
    write_tenx(tmp_path / "m.h5", rna, atac)
    frame = table(rna.obs_names.tolist())
    frame.to_excel(tmp_path / "cells.xlsx", index=False)
    ad.AnnData(obs=frame.set_index("barcode").astype({"cell_type": "category"})).write_h5ad(tmp_path / "cells.h5ad")
    for name in ("cells.xlsx", "cells.h5ad"):
        obs = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / name)).data.obs
        assert obs["cell_type"].tolist() == [LABELS[i % 3] for i in range(rna.n_obs)]


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.removesuffix("-1"),
        lambda name: f"sampleA#{name}",
        lambda name: f"{name}_1",
        lambda name: f"s_{name}",
    ],
    ids=["bare", "ArchR", "Seurat", "prefix"],
)
def test_obs_table_with_other_forms_of_names(rna, atac, tmp_path, write, rename):
    table([rename(name) for name in rna.obs_names]).to_csv(tmp_path / "cells.csv", index=False)
    spec = write(rna, atac)
    pair = read_input(InputSpec(rna=spec.rna, atac=spec.atac, obs=tmp_path / "cells.csv"))
    assert pair.data.obs["cell_type"].tolist() == [LABELS[i % 3] for i in range(rna.n_obs)]
    assert "annotations_replaced" in codes(pair.findings)


def test_obs_table_of_some_cells(rna, atac, tmp_path, write):
    frame = table([*rna.obs_names[:200], "GGGGGGGGGGGGGGGG-9"]).rename(columns={"cell_type": "fine"})
    frame.to_csv(tmp_path / "cells.csv", index=False)
    spec = write(rna, atac)
    pair = read_input(InputSpec(rna=spec.rna, atac=spec.atac, obs=tmp_path / "cells.csv"))
    table_values = values(pair.findings, "table_of_cells")
    assert {name: table_values[name] for name in ("n_named", "n_cells", "n_other", "n_rows")} == {
        "n_named": 200, "n_cells": 220, "n_other": 1, "n_rows": 201,
    }  # fmt: skip
    assert pair.data.obs["fine"].isna().tolist() == [False] * 200 + [True] * 20
    assert pair.data.obs["batch"].isna().sum() == 20


@pytest.mark.parametrize(
    ("content", "code", "expected"),
    [
        ("barcode,cell_type\nxx-1,a\nyy-1,b\n", "table_of_other_cells", {"n_named": 0, "n_cells": 220}),
        ("barcode\nx\n", "table_too_small", {"n_rows": 1, "n_columns": 1}),
        ("a,b\n1,2,3,4\n", "table_unreadable", {"problem": "row 2 has 4 fields, the header 2"}),
        ("\n\n", "table_unreadable", {"problem": "it is empty"}),
    ],
)
def test_obs_tables_that_are_refused(rna, atac, tmp_path, write, content, code, expected):
    (tmp_path / "cells.csv").write_text(content)
    spec = write(rna, atac)
    with refused(code, **expected):
        read_input(InputSpec(rna=spec.rna, atac=spec.atac, obs=tmp_path / "cells.csv"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cells.xlsx", b"PK no zip"),
        ("cells.parquet", b"PAR1"),
        ("cells.csv.gz", gzip.compress(b"barcode,cell_type\nx,y\n" * 999, mtime=0)[:-20]),
        ("cells.h5ad", b"no HDF5"),
        ("cells.csv", bytes(range(256)) * 9),
    ],
    ids=["xlsx", "parquet", "csv.gz", "h5ad", "csv"],
)
def test_damaged_tables(rna, atac, tmp_path, write, name, content):
    (tmp_path / name).write_bytes(content)
    spec = write(rna, atac)
    with refused("not_hdf5" if name.endswith("h5ad") else "table_unreadable", option="--obs"):
        read_input(InputSpec(rna=spec.rna, atac=spec.atac, obs=tmp_path / name))


def joined(rna, atac, tmp_path, write_tenx, frame: pd.DataFrame):
    write_tenx(tmp_path / "m.h5", rna, atac)
    frame.to_csv(tmp_path / "cells.csv", index=False)
    return read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "cells.csv"))


def test_obs_columns_that_name_other_cells_are_reported(rna, atac, tmp_path, write_tenx):
    names = rna.obs_names.to_numpy()
    frame = pd.DataFrame({"atac_barcode": names[::-1], "gex_barcode": names, "label": [f"L{i}" for i in range(220)]})
    pair = joined(rna, atac, tmp_path, write_tenx, frame)
    found = values(pair.findings, "table_columns_contradict")
    assert "table_columns_contradict" in codes(pair.findings, "warning")
    assert (found["column"], found["other"], found["n_differ"]) == ("atac_barcode", "gex_barcode", 220)
    pair = joined(rna, atac, tmp_path, write_tenx, frame.drop(columns="atac_barcode"))
    assert pair.data.obs["label"].tolist() == frame["label"].tolist()
    assert "table_columns_contradict" not in codes(pair.findings)


def test_obs_columns_that_agree_decide(rna, atac, tmp_path, write_tenx):
    names = rna.obs_names.to_numpy()
    frame = pd.DataFrame({"atac_barcode": names[::-1], "barcode": names, "gex_barcode": names, "label": np.arange(220)})
    pair = joined(rna, atac, tmp_path, write_tenx, frame)
    assert pair.data.obs["label"].tolist() == list(range(220))
    found = values(pair.findings, "table_columns_contradict")
    assert (found["column"], found["other"]) == ("barcode", "atac_barcode")


@pytest.mark.parametrize("kept", [(1, 2), (1, 3), (2, 3)])
def test_samples_of_aggr_without_cells_are_named(rna, atac, tmp_path, write_tenx, kept):
    numbers = np.repeat(kept, 110)
    for part in (rna, atac):
        part.obs_names = [f"{name[:-2]}-{k}" for name, k in zip(part.obs_names, numbers, strict=True)]
    labels = ["ctrl", "mid", "ko"]
    pair = joined(rna, atac, tmp_path, write_tenx, pd.DataFrame({"library_id": labels, "atac_fragments": list("abc")}))
    assert pair.data.obs["library_id"].tolist() == [labels[k - 1] for k in numbers]
    (empty,) = {1, 2, 3} - set(kept)
    assert values(pair.findings, "table_of_samples")["empty"] == [labels[empty - 1]]


def test_samples_of_aggr(rna, atac, tmp_path, write_tenx):
    """The number after the barcode is the row of the table that aggr was given."""
    names = [name[:-1] + str(1 + i % 2) for i, name in enumerate(rna.obs_names)]
    rna.obs_names = atac.obs_names = names
    write_tenx(tmp_path / "m.h5", rna, atac)
    (tmp_path / "aggr.csv").write_text(
        "library_id,atac_fragments,condition\nyoung,/x/1.tsv.gz,ctrl\nold,/x/2.tsv.gz,aged\n"
    )
    pair = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "aggr.csv"))
    assert pair.data.obs["library_id"].tolist() == ["young", "old"] * 110
    assert pair.data.obs["sample"].tolist() == ["1", "2"] * 110
    assert values(pair.findings, "samples_in_barcodes")["n_samples"] == 2


def test_numbers_and_labels_of_a_table(tmp_path, rna, atac, write):
    names = rna.obs_names.tolist()
    frame = pd.DataFrame(
        {"cell": names, "id": [f"{i % 7:03d}" for i in range(220)], "age": [0.5 + i for i in range(220)]}
    )
    frame["batch"] = [["1", "", "2"][i % 3] for i in range(220)]
    frame["state"] = [["None", "True", "NA"][i % 3] for i in range(220)]
    frame.to_csv(tmp_path / "cells.csv", index=False)
    assert read_cell_table(tmp_path / "cells.csv").shape == (220, 5)
    spec = write(rna, atac)
    obs = read_input(InputSpec(rna=spec.rna, atac=spec.atac, obs=tmp_path / "cells.csv")).data.obs
    assert obs["id"].tolist()[:2] == ["000", "001"]
    assert obs["age"].tolist() == frame["age"].tolist()
    assert obs["batch"].isna().sum() == 73
    assert obs["state"].cat.categories.tolist() == ["None", "True"]


def test_labels_that_a_file_lost_come_from_the_table(rna, atac, write, tmp_path):
    """SeuratDisk writes factors as numbers without labels; the table of R brings them back."""
    labels = rna.obs["cell_type"].copy()
    rna.obs["cell_type"] = pd.Categorical(labels).codes
    labels.to_frame().rename_axis("").to_csv(tmp_path / "cells.csv", quoting=2)
    spec = write(rna, atac)
    lost = read_input(spec).data
    remedy = check_annotations(lost, Resources(groups="cell_type"))[0].remedy
    assert "--obs TABLE.csv" in remedy
    data = read_input(InputSpec(rna=spec.rna, atac=spec.atac, obs=tmp_path / "cells.csv")).data
    assert data.obs["cell_type"].tolist() == labels.tolist()
    assert check_annotations(data, Resources(groups="cell_type")) == ()


# ---------------------------------------------------------------- tables beside a matrix that R or others wrote again
def quoted(text: str) -> str:
    fields = (line.split("\t") for line in text.splitlines())
    return "".join("\t".join(x if x.isdigit() else f'"{x}"' for x in row) + "\n" for row in fields)


def with_row_names(text: str, separator: str = "\t") -> str:
    fields = (line.split("\t") for line in text.splitlines())
    rows = [separator.join(f'"{x}"' for x in [str(number), *row]) for number, row in enumerate(fields, 1)]
    return '"x"\n' + "\n".join(rows) + "\n"


REWRITTEN = {
    "quotes": quoted,
    "byte order mark": lambda text: "\ufeff" + text,
    "quotes and row names": with_row_names,
    "row names and blanks": lambda text: with_row_names(text, " "),
    "comments": lambda text: "# id=x\n# version\n" + text,
    "lines of Windows": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("change", REWRITTEN)
def test_tables_that_were_written_again(rna, atac, tmp_path, change):
    rna.var_names = [f"5'{name}" if number == 3 else name for number, name in enumerate(rna.var_names)]
    folder = write_mtx(tmp_path / "m", rna, atac, packed=False)
    genes = write_mtx(tmp_path / "genes", rna, None, packed=False)
    peaks = write_mtx(tmp_path / "peaks", None, atac, packed=False)
    (peaks / "features.tsv").unlink()
    bed = "".join(name.replace(":", "\t").replace("-", "\t") + "\n" for name in atac.var_names)
    (peaks / "peaks.bed").write_text(bed)
    for table in [path for part in (folder, genes, peaks) for path in part.iterdir() if "matrix" not in path.name]:
        table.write_bytes(REWRITTEN[change](table.read_text()).encode())
    for spec in (InputSpec(tenx=folder), InputSpec(rna=genes, atac=peaks), InputSpec(rna=folder, atac=folder)):
        pair = read_input(spec)
        assert_same(pair, rna, atac)
        assert pair.data.obs_names.tolist() == rna.obs_names.tolist()
        assert pair.data["rna"].var_names.tolist() == rna.var_names.tolist()
        assert pair.data["atac"].var["chrom"].tolist() == [name.partition(":")[0] for name in atac.var_names]


def test_rows_of_different_lengths(rna, atac, tmp_path):
    """Positions for peaks alone: three fields for genes, six for peaks."""
    folder = write_mtx(tmp_path / "m", rna, atac, packed=True)
    table = folder / "features.tsv.gz"
    rows = [line.split("\t") for line in gzip.decompress(table.read_bytes()).decode().splitlines()]
    short = ["\t".join(row[:3] if row[2] == "Gene Expression" else row) for row in rows]
    table.write_bytes(gzip.compress("".join(row + "\n" for row in short).encode()))
    for spec in (InputSpec(tenx=folder), InputSpec(rna=folder, atac=folder)):
        pair = read_input(spec)
        assert_same(pair, rna, atac)
        assert "features_by_names" not in codes(pair.findings)


def test_header_of_peaks(rna, atac, tmp_path, write):
    peaks = write_mtx(tmp_path / "peaks", None, atac, packed=False)
    (peaks / "features.tsv").unlink()
    bed = "".join(name.replace(":", "\t").replace("-", "\t") + "\n" for name in atac.var_names)
    (peaks / "peaks.bed").write_text("# made by hand\nseqnames\tstart\tend\n" + bed)
    assert_same(read_input(InputSpec(rna=write(rna, atac).rna, atac=peaks)), rna, atac)


@pytest.mark.parametrize("missing", ["", "NA"])
def test_genes_without_a_symbol_are_named_by_identifier(rna, atac, tmp_path, missing):
    folder = write_mtx(tmp_path / "m", rna, atac, packed=False)
    rows = [line.split("\t") for line in (folder / "features.tsv").read_text().splitlines()]
    for row in rows[:5]:
        row[1] = missing
    (folder / "features.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    pair = read_input(InputSpec(tenx=folder))
    assert pair.data["rna"].var_names.tolist() == [f"ENSG{i:05d}" for i in range(5)] + rna.var_names[5:].tolist()
    assert values(pair.findings, "genes_named_by_identifier")["n_genes"] == 5
    assert "duplicate_features" not in codes(pair.findings)
    rna.var["gene_ids"] = [row[0] for row in rows[: rna.n_vars]]
    rna.var_names = [row[1] for row in rows[: rna.n_vars]]
    assert check_pair(rna, atac).data["rna"].var_names[:6].tolist() == pair.data["rna"].var_names[:6].tolist()


def test_genes_without_any_name_are_said(rna, atac):
    rna.var_names = ["", *rna.var_names[1:]]
    assert values(check_pair(rna, atac).findings, "genes_without_name")["n_genes"] == 1
