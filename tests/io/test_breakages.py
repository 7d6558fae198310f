"""Whatever may be wrong with the input is refused in one message: the file, what was found, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.io.read import check_pair, read_input
from mira_nb.io.spec import InputSpec

Break = Callable[[ad.AnnData, ad.AnnData], tuple[ad.AnnData, ad.AnnData]]


def refused(spec: InputSpec) -> str:
    with pytest.raises(InputError) as caught:
        read_input(spec)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "What to do:" in message
    assert len(message) < 1500
    return message


def set_x(change: Callable[[np.ndarray], np.ndarray], *, which: int = 0) -> Break:
    def apply(rna: ad.AnnData, atac: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
        part = (rna, atac)[which]
        part.X = change(part.X.toarray())
        return rna, atac

    return apply


def put(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float64)
        x[2, 3] = value
        return x

    return change


def normalise(x: np.ndarray) -> np.ndarray:
    return x / x.sum(axis=1, keepdims=True) * 1e4


def rename(which: int, names: Callable[[list[str]], list[str]]) -> Break:
    def apply(rna: ad.AnnData, atac: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
        part = (rna, atac)[which]
        part.obs_names = names(part.obs_names.tolist())
        return rna, atac

    return apply


def atac_names(names: Callable[[list[str]], list[str]]) -> Break:
    def apply(rna: ad.AnnData, atac: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
        atac.var_names = names(atac.var_names.tolist())
        return rna, atac

    return apply


BREAKAGES: dict[str, tuple[Break, list[str]]] = {
    "log-normalised": (
        set_x(lambda x: np.log1p(normalise(x))),
        [
            "rna.h5ad: X is not made of counts",
            "fractional",
            "log-normalised values: log(1 + x)",
            "e.g. ",
            "layers['counts']",
        ],
    ),
    "normalised": (set_x(normalise), ["fractional", "every cell has the same total"]),
    "denoised": (set_x(lambda x: x + 0.37), ["hardly any zeros", "0.37"]),
    "scaled": (set_x(lambda x: (x - x.mean(0)) / x.std(0)), ["negative values", "scaled (z-scored)"]),
    "one-fraction": (set_x(put(2.5)), ["1 fractional values, e.g. 2.5", "First at cell", "feature 'Gene3'"]),
    "tiny-fraction": (set_x(put(1e-5)), ["1 fractional values, e.g. 1e-05"]),
    "negative": (set_x(put(-1)), ["1 negative values, e.g. -1", "feature 'Gene3'"]),
    "nan": (set_x(put(np.nan)), ["1 missing or infinite values", "feature 'Gene3'"]),
    "infinite": (set_x(put(np.inf), which=1), ["atac.h5ad: X", "missing or infinite", "chr1:3000-3500"]),
    "tf-idf": (set_x(lambda x: x * 0.731, which=1), ["atac.h5ad: X is not made of counts", "0.731"]),
    "all-zero": (set_x(lambda x: x * 0), ["rna.h5ad: X is empty", "220 cells x 120 features"]),
    "no-cells": (lambda r, a: (r[:0].copy(), a), ["rna.h5ad is empty: 0 cells x 120 genes"]),
    "no-peaks": (lambda r, a: (r, a[:, :0].copy()), ["atac.h5ad is empty: 220 cells x 0 peaks"]),
    "no-overlap": (
        rename(1, lambda names: [f"cell{i}" for i in range(len(names))]),
        ["No cell is in both", "'cell0', 'cell1', 'cell2'", "rna.h5ad: 220 cells such as"],
    ),
    "suffix": (
        rename(1, lambda names: [name.removesuffix("-1") for name in names]),
        ["No cell is in both", "--pair-by suffix pairs 220 cells, e.g. TAAAATTGAACCGCCA-1 with TAAAATTGAACCGCCA."],
    ),
    "prefix": (
        rename(0, lambda names: [f"sample1#{name}" for name in names]),
        [
            "No cell is in both",
            "--pair-by prefix pairs 220 cells, e.g. sample1#TAAAATTGAACCGCCA-1 with TAAAATTGAACCGCCA-1.",
        ],
    ),
    "few-cells": (lambda r, a: (r[:7].copy(), a), ["Only 7 cells", "at least 20 cells", "cells only in atac: 213"]),
    "swapped": (lambda r, a: (a, r), ["swapped", "exchange the two", "'Gene0'", "chr1:0-500"]),
    "peaks-twice": (lambda r, a: (a, a.copy()), ["rna.h5ad: the expression input holds peaks", "--rna"]),
    "genes-twice": (lambda r, a: (r, r.copy()), ["no peak coordinates", "look like genes", "same features"]),
    "no-coordinates": (
        atac_names(lambda names: [f"peak_{i}" for i in range(len(names))]),
        ["atac.h5ad", "no peak coordinates", "'peak_0'", "chr1:1000-1500"],
    ),
    "half-coordinates": (
        atac_names(lambda names: [n if i % 3 else f"peak{i}" for i, n in enumerate(names)]),
        ["174 of 520 peaks have no coordinates", "'peak0'"],
    ),
    "one-gene": (lambda r, a: (r[:, :1].copy(), a), ["only 1 genes"]),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_refused_in_one_message(name, rna, atac, write):
    change, expected = BREAKAGES[name]
    message = refused(write(*change(rna, atac)))
    for text in expected:
        assert text in message


@pytest.mark.parametrize("name", ["log-normalised", "negative", "nan", "no-overlap", "swapped"])
def test_same_refusals_in_memory(name, rna, atac):
    change, expected = BREAKAGES[name]
    with pytest.raises(InputError) as caught:
        check_pair(*change(rna, atac))
    assert any(text in str(caught.value) for text in expected)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_duplicate_barcodes(rna, atac, write):
    rna.obs_names = [rna.obs_names[1], *rna.obs_names[1:]]
    message = refused(write(rna, atac))
    assert "rna.h5ad: 1 cell barcodes occur more than once" in message
    assert rna.obs_names[0] in message


def test_layer_is_tried_and_named(rna, atac, write):
    rna.layers["counts"] = rna.X * 0.5
    rna.X = rna.X * 0.25
    assert "No counts in layers['counts'] either" in refused(write(rna, atac))


def test_no_matrix_at_all(rna, atac, write):
    empty = ad.AnnData(obs=rna.obs, var=rna.var)
    assert "rna.h5ad has no matrix" in refused(write(empty, atac))


def test_text_in_the_matrix(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        del file["X"]
        values = np.full(rna.shape, "x", dtype=object)
        file.create_dataset("X", data=values, dtype=h5py.string_dtype())
        file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "string-array", "0.2.0"
    assert "rna.h5ad: X holds values that are not numbers" in refused(spec)


def test_numbers_stored_as_text_are_read(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        del file["X"]
        values = rna.X.toarray().astype(int).astype(str).astype(object)
        file.create_dataset("X", data=values, dtype=h5py.string_dtype())
        file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "string-array", "0.2.0"
    assert (read_input(spec).data["rna"].X != rna.X).nnz == 0


def test_object_dtype_in_memory(rna, atac):
    rna.X = rna.X.toarray().astype(object)
    assert check_pair(rna, atac).data["rna"].X.dtype == np.float32
    rna.X[0, 0] = "?"
    with pytest.raises(InputError, match="values that are not numbers"):
        check_pair(rna, atac)


def test_sparse_indices_out_of_range(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        file["X/indices"][5] = 10_000
    assert "rna.h5ad: X is malformed" in refused(spec)


def test_matrix_of_another_shape(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        file["X"].attrs["shape"] = [rna.n_obs, rna.n_vars + 3]
    assert "malformed" in refused(spec)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_file(rna, atac, write, share):
    spec = write(rna, atac)
    content = spec.atac.read_bytes()
    spec.atac.write_bytes(content[: int(len(content) * share)])
    message = refused(spec)
    assert "atac.h5ad (--atac" in message
    assert "truncated" in message


def test_damaged_inside(rna, atac, tmp_path):
    spec = InputSpec(rna=tmp_path / "rna.h5ad", atac=tmp_path / "atac.h5ad")
    rna.write_h5ad(spec.rna, compression="gzip")
    atac.write_h5ad(spec.atac)
    with h5py.File(spec.rna) as file:
        offset = file["X/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(spec.rna.read_bytes())
    content[offset : offset + 40] = b"\xff" * 40
    spec.rna.write_bytes(bytes(content))
    assert "cannot be read: damaged" in refused(spec)


def test_truncated_gzip(rna, atac, write):
    import gzip

    spec = write(rna, atac)
    packed = Path(f"{spec.rna}.gz")
    packed.write_bytes(gzip.compress(spec.rna.read_bytes())[:-2000])
    assert "damaged or truncated gzip file" in refused(InputSpec(rna=packed, atac=spec.atac))


def test_missing_file_names_similar_ones(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    message = refused(InputSpec(rna=tmp_path / "rna.h5a", atac=spec.atac))
    assert "rna.h5a (--rna) does not exist" in message
    assert "rna.h5ad" in message


def test_folder_empty_file_and_zarr(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    (tmp_path / "folder").mkdir()
    (tmp_path / "mtx").mkdir()
    (tmp_path / "mtx" / "matrix.mtx.gz").touch()
    assert "no barcodes.tsv" in refused(InputSpec(tenx=tmp_path / "mtx"))
    assert "is a folder, not a file" in refused(InputSpec(rna=tmp_path / "folder", atac=spec.atac))
    (tmp_path / "store.zarr").mkdir()
    (tmp_path / "store.zarr" / ".zgroup").write_text("{}")
    assert "store.zarr (--rna" in refused(InputSpec(rna=tmp_path / "store.zarr", atac=spec.atac))
    (tmp_path / "nothing.h5ad").touch()
    assert "is empty (0 bytes)" in refused(InputSpec(rna=tmp_path / "nothing.h5ad", atac=spec.atac))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("counts.csv", b"cell,gene\n1,2\n", "text file that begins with"),
        ("matrix.mtx", b"%%MatrixMarket matrix", "no barcodes.tsv"),
        ("object.rds", b"\x1f\x8b\x08", "damaged or truncated gzip"),
        ("archive.h5ad", b"PK\x03\x04aaaaaaaaaa", "zip archive"),
        ("noise.h5ad", bytes(range(200, 250)), "not an HDF5 file"),
    ],
)
def test_other_kinds_of_files(rna, atac, write, tmp_path, name, content, expected):
    spec = write(rna, atac)
    (tmp_path / name).write_bytes(content)
    message = refused(InputSpec(rna=tmp_path / name, atac=spec.atac))
    assert name in message
    assert expected in message


def test_content_decides_not_the_extension(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    other = spec.rna.rename(tmp_path / "rna.h5")
    assert read_input(InputSpec(rna=other, atac=spec.atac)).data.n_obs == 220


def test_formats_mixed_up(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"rna": rna, "atac": atac}).write(tmp_path / "pair.h5mu")
    message = refused(InputSpec(rna=tmp_path / "pair.h5mu", atac=spec.atac))
    assert "is a MuData file" in message
    assert "give it with --mudata instead" in message
    assert "--rna or --atac" in refused(InputSpec(mudata=spec.rna))
    assert "is an AnnData file" in refused(InputSpec(tenx=spec.rna))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = [1, 2]
    assert "HDF5 file of another kind (groups: values)" in refused(InputSpec(tenx=tmp_path / "other.h5"))


def proteins(rna: ad.AnnData) -> ad.AnnData:
    return ad.AnnData(rna.X[:, :3].copy(), obs=rna.obs.copy(), var=pd.DataFrame(index=["CD3", "CD4", "CD8"]))


def test_mudata_without_accessibility(rna, tmp_path):
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"rna": rna, "prot": proteins(rna)}, axis=0).write(tmp_path / "pair.h5mu")
    message = refused(InputSpec(mudata=tmp_path / "pair.h5mu"))
    assert "no accessibility modality; found: " in message
    assert "prot" in message


def test_tenx_without_peaks(rna, atac, tmp_path, write_tenx):
    write_tenx(tmp_path / "m.h5", rna, atac, ("Gene Expression", "Antibody Capture"))
    message = refused(InputSpec(tenx=tmp_path / "m.h5"))
    assert "no features of type Peaks; found: 520 Antibody Capture, 120 Gene Expression" in message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "no input file"),
        ({"rna": Path("r")}, "found --rna"),
        ({"atac": Path("a")}, "add the expression counts"),
        ({"rna": Path("r"), "atac": Path("a"), "tenx": Path("t")}, "--rna, --atac, --tenx"),
    ],
)
def test_incomplete_input(given, expected):
    assert expected in refused(InputSpec(**given))


def test_genes_with_coordinates_are_still_genes(rna, atac, write):
    rna.var["chrom"], rna.var["start"], rna.var["end"] = "chr1", 5, 10
    assert read_input(write(rna, atac)).data.n_obs == 220


def test_reversed_intervals(rna, atac, write):
    atac.var = pd.DataFrame({"chrom": "chr1", "start": 10, "end": 5}, index=[f"p{i}" for i in range(atac.n_vars)])
    assert "end > start" in refused(write(rna, atac))


def test_little_data_is_allowed_with_warnings(rna, atac, write):
    pair = read_input(write(rna[:50, :30].copy(), atac[:50, :40].copy()))
    warned = {finding.title for finding in pair.findings if finding.level == "warning"}
    assert {"Only 50 cells", "Only 30 genes", "Only 40 peaks"} <= warned


def test_binary_expression_is_suspicious(rna, atac, write):
    rna.X = sparse.csr_matrix((rna.X > 0).astype(np.float32))
    pair = read_input(write(rna, atac))
    assert any("No expression count is above 1" in finding.title for finding in pair.findings)


def test_half_of_the_barcodes_match(rna, atac, write):
    atac.obs_names = [name if i < 60 else f"x{i}" for i, name in enumerate(atac.obs_names)]
    pair = read_input(write(rna, atac))
    assert pair.data.n_obs == 60
    assert any(f.level == "warning" and "60 cells are in both" in f.title for f in pair.findings)
