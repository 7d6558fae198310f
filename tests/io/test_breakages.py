"""Whatever may be wrong with the input is refused in one message: the file, what was found, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from tests.messages import codes, refused, values

Break = Callable[[ad.AnnData, ad.AnnData], tuple[ad.AnnData, ad.AnnData]]


def error_of(spec: InputSpec) -> InputError:
    with pytest.raises(InputError) as caught:
        read_input(spec)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "What to do:" in message
    assert len(message) < 1500
    return caught.value


def code_of(spec: InputSpec) -> str:
    return error_of(spec).code.removeprefix("input.")


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


BREAKAGES: dict[str, tuple[Break, str, dict[str, Any]]] = {
    "log-normalised": (set_x(lambda x: np.log1p(normalise(x))), "counts_fractions", {"source": "rna.h5ad: X"}),
    "normalised": (set_x(normalise), "counts_fractions", {}),
    "denoised": (set_x(lambda x: x + 0.37), "counts_fractions", {}),
    "scaled": (set_x(lambda x: (x - x.mean(0)) / x.std(0)), "counts_negative", {}),
    "one-fraction": (set_x(put(2.5)), "counts_fractions", {"n_values": 1, "examples": [2.5], "feature": "Gene3"}),
    "tiny-fraction": (set_x(put(1e-5)), "counts_fractions", {"n_values": 1, "examples": [1e-05]}),
    "negative": (set_x(put(-1)), "counts_negative", {"n_values": 1, "examples": [-1], "feature": "Gene3"}),
    "nan": (set_x(put(np.nan)), "counts_nan", {"n_values": 1, "feature": "Gene3"}),
    "infinite": (set_x(put(np.inf), which=1), "counts_nan", {"source": "atac.h5ad: X", "feature": "chr1:3000-3500"}),
    "tf-idf": (set_x(lambda x: x * 0.731, which=1), "counts_fractions", {"source": "atac.h5ad: X"}),
    "all-zero": (set_x(lambda x: x * 0), "counts_empty", {"n_cells": 220, "n_features": 120}),
    "no-cells": (lambda r, a: (r[:0].copy(), a), "empty_input", {"n_cells": 0, "n_features": 120, "noun": "genes"}),
    "no-peaks": (lambda r, a: (r, a[:, :0].copy()), "empty_input", {"n_cells": 220, "n_features": 0, "noun": "peaks"}),
    "no-overlap": (
        rename(1, lambda names: [f"cell{i}" for i in range(len(names))]),
        "no_shared_cell",
        {"atac_cells": "'cell0', 'cell1', 'cell2'", "n_rna": 220},
    ),
    "suffix": (
        rename(1, lambda names: [name.removesuffix("-1") for name in names]),
        "no_shared_cell",
        {"offer": "--pair-by suffix pairs 220 cells, e.g. TAAAATTGAACCGCCA-1 with TAAAATTGAACCGCCA"},
    ),
    "prefix": (
        rename(0, lambda names: [f"sample1#{name}" for name in names]),
        "no_shared_cell",
        {"offer": "--pair-by prefix pairs 220 cells, e.g. sample1#TAAAATTGAACCGCCA-1 with TAAAATTGAACCGCCA-1"},
    ),
    "few-cells": (
        lambda r, a: (r[:7].copy(), a),
        "too_few_cells",
        {"n_cells": 7, "min_cells": 20, "dropped": {"cells_only_in_atac": 213, "peaks_without_counts": 106}},
    ),
    "swapped": (lambda r, a: (a, r), "inputs_swapped", {}),
    "peaks-twice": (lambda r, a: (a, a.copy()), "peaks_as_genes", {"rna": "rna.h5ad"}),
    "genes-twice": (lambda r, a: (r, r.copy()), "genes_as_peaks", {"same_features": True}),
    "no-coordinates": (
        atac_names(lambda names: [f"peak_{i}" for i in range(len(names))]),
        "genes_as_peaks",
        {"atac": "atac.h5ad", "same_features": False},
    ),
    "half-coordinates": (
        atac_names(lambda names: [n if i % 3 else f"peak{i}" for i, n in enumerate(names)]),
        "no_coordinates",
        {"n_bad": 174, "n_peaks": 520},
    ),
    "one-gene": (lambda r, a: (r[:, :1].copy(), a), "too_few_features", {"n": 1, "noun": "genes"}),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_refused_in_one_message(name, rna, atac, write):
    change, code, expected = BREAKAGES[name]
    error = error_of(write(*change(rna, atac)))
    assert error.code == f"input.{code}"
    assert {key: error.values.get(key) for key in expected} == expected
    assert all(str(value) in str(error) for value in expected.values() if isinstance(value, str))


@pytest.mark.parametrize("name", ["log-normalised", "negative", "nan", "no-overlap", "swapped"])
def test_same_refusals_in_memory(name, rna, atac):
    change, code, _ = BREAKAGES[name]
    with refused(code):
        check_pair(*change(rna, atac))


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_duplicate_barcodes(rna, atac, write):
    rna.obs_names = [rna.obs_names[1], *rna.obs_names[1:]]
    error = error_of(write(rna, atac))
    assert error.code == "input.duplicate_barcodes"
    assert (error.values["source"], error.values["n"]) == ("rna.h5ad", 1)
    assert rna.obs_names[0] in error.values["names"]


def test_layer_is_tried_and_named(rna, atac, write):
    rna.layers["counts"] = rna.X * 0.5
    rna.X = rna.X * 0.25
    assert error_of(write(rna, atac)).values["tried"] == ["layers['counts']"]


def test_no_matrix_at_all(rna, atac, write):
    empty = ad.AnnData(obs=rna.obs, var=rna.var)
    assert code_of(write(empty, atac)) == "no_matrix"


def test_text_in_the_matrix(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        del file["X"]
        values = np.full(rna.shape, "x", dtype=object)
        file.create_dataset("X", data=values, dtype=h5py.string_dtype())
        file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "string-array", "0.2.0"
    assert code_of(spec) == "counts_text"


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
    with refused("counts_text"):
        check_pair(rna, atac)


def test_sparse_indices_out_of_range(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        file["X/indices"][5] = 10_000
    assert code_of(spec) == "matrix_malformed"


def test_matrix_of_another_shape(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "a") as file:
        file["X"].attrs["shape"] = [rna.n_obs, rna.n_vars + 3]
    assert code_of(spec) == "matrix_malformed"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_file(rna, atac, write, share):
    spec = write(rna, atac)
    content = spec.atac.read_bytes()
    spec.atac.write_bytes(content[: int(len(content) * share)])
    error = error_of(spec)
    assert error.code == "input.file_damaged"
    assert error.values["option"] == "--atac"
    assert "truncated" in error.values["problem"]


def test_damaged_inside(rna, atac, tmp_path):
    spec = InputSpec(rna=tmp_path / "rna.h5ad", atac=tmp_path / "atac.h5ad")
    rna.write_h5ad(spec.rna, compression="gzip")
    atac.write_h5ad(spec.atac)
    with h5py.File(spec.rna) as file:
        offset = file["X/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(spec.rna.read_bytes())
    content[offset : offset + 40] = b"\xff" * 40
    spec.rna.write_bytes(bytes(content))
    assert code_of(spec) == "file_damaged"


def test_truncated_gzip(rna, atac, write):
    import gzip

    spec = write(rna, atac)
    packed = Path(f"{spec.rna}.gz")
    packed.write_bytes(gzip.compress(spec.rna.read_bytes())[:-2000])
    assert code_of(InputSpec(rna=packed, atac=spec.atac)) == "gzip_damaged"


def test_missing_file_names_similar_ones(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    error = error_of(InputSpec(rna=tmp_path / "rna.h5a", atac=spec.atac))
    assert error.code == "input.path_missing"
    assert (error.values["option"], error.values["close"][0]) == ("--rna", "rna.h5ad")


def test_folder_empty_file_and_zarr(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    (tmp_path / "folder").mkdir()
    (tmp_path / "mtx").mkdir()
    (tmp_path / "mtx" / "matrix.mtx.gz").touch()
    assert error_of(InputSpec(tenx=tmp_path / "mtx")).values["lacking"] == ["barcodes.tsv"]
    assert code_of(InputSpec(rna=tmp_path / "folder", atac=spec.atac)) == "path_is_folder"
    (tmp_path / "store.zarr").mkdir()
    (tmp_path / "store.zarr" / ".zgroup").write_text("{}")
    assert "store.zarr (--rna" in str(error_of(InputSpec(rna=tmp_path / "store.zarr", atac=spec.atac)))
    (tmp_path / "nothing.h5ad").touch()
    assert code_of(InputSpec(rna=tmp_path / "nothing.h5ad", atac=spec.atac)) == "path_empty"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("counts.csv", b"cell,gene\n1,2\n", "not_hdf5"),
        ("matrix.mtx", b"%%MatrixMarket matrix", "tenx_file_missing"),
        ("object.rds", b"\x1f\x8b\x08", "gzip_damaged"),
        ("archive.h5ad", b"PK\x03\x04aaaaaaaaaa", "not_hdf5"),
        ("noise.h5ad", bytes(range(200, 250)), "not_hdf5"),
    ],
)
def test_other_kinds_of_files(rna, atac, write, tmp_path, name, content, expected):
    spec = write(rna, atac)
    (tmp_path / name).write_bytes(content)
    error = error_of(InputSpec(rna=tmp_path / name, atac=spec.atac))
    assert error.code == f"input.{expected}"
    assert name in str(error)


def test_content_decides_not_the_extension(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    other = spec.rna.rename(tmp_path / "rna.h5")
    assert read_input(InputSpec(rna=other, atac=spec.atac)).data.n_obs == 220


def test_formats_mixed_up(rna, atac, write, tmp_path):
    spec = write(rna, atac)
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"rna": rna, "atac": atac}).write(tmp_path / "pair.h5mu")
    error = error_of(InputSpec(rna=tmp_path / "pair.h5mu", atac=spec.atac))
    assert error.code == "input.other_format"
    assert "give it with --mudata instead" in str(error)
    assert "--rna or --atac" in str(error_of(InputSpec(mudata=spec.rna)))
    assert "AnnData" in error_of(InputSpec(tenx=spec.rna)).values["given"]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = [1, 2]
    assert error_of(InputSpec(tenx=tmp_path / "other.h5")).values["content"] == "values"


def proteins(rna: ad.AnnData) -> ad.AnnData:
    return ad.AnnData(rna.X[:, :3].copy(), obs=rna.obs.copy(), var=pd.DataFrame(index=["CD3", "CD4", "CD8"]))


def test_mudata_without_accessibility(rna, tmp_path):
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"rna": rna, "prot": proteins(rna)}, axis=0).write(tmp_path / "pair.h5mu")
    error = error_of(InputSpec(mudata=tmp_path / "pair.h5mu"))
    assert error.code == "input.modality_missing"
    assert error.values["lacking"] == "accessibility"
    assert "prot" in str(error.values["names"])


def test_tenx_without_peaks(rna, atac, tmp_path, write_tenx):
    write_tenx(tmp_path / "m.h5", rna, atac, ("Gene Expression", "Antibody Capture"))
    error = error_of(InputSpec(tenx=tmp_path / "m.h5"))
    assert error.code == "input.feature_type_missing"
    assert error.values["lacking"] == ["Peaks"]
    assert error.values["shown"] == "520 Antibody Capture, 120 Gene Expression"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"rna": Path("r")}, ["--rna"]),
        ({"atac": Path("a")}, ["--atac"]),
        ({"rna": Path("r"), "atac": Path("a"), "tenx": Path("t")}, ["--rna", "--atac", "--tenx"]),
    ],
)
def test_incomplete_input(given, expected):
    error = error_of(InputSpec(**given))
    assert error.code == "input.input_incomplete"
    assert error.values["given"] == expected


def test_genes_with_coordinates_are_still_genes(rna, atac, write):
    rna.var["chrom"], rna.var["start"], rna.var["end"] = "chr1", 5, 10
    assert read_input(write(rna, atac)).data.n_obs == 220


def test_reversed_intervals(rna, atac, write):
    atac.var = pd.DataFrame({"chrom": "chr1", "start": 10, "end": 5}, index=[f"p{i}" for i in range(atac.n_vars)])
    assert code_of(write(rna, atac)) == "no_coordinates"


def test_little_data_is_allowed_with_warnings(rna, atac, write):
    pair = read_input(write(rna[:50, :30].copy(), atac[:50, :40].copy()))
    assert values(pair.findings, "few_cells")["n_cells"] == 50
    few = [item.values for item in pair.findings if item.code == "input.few_features"]
    assert {(item["n"], item["noun"]) for item in few} == {(30, "genes"), (40, "peaks")}


def test_binary_expression_is_suspicious(rna, atac, write):
    rna.X = sparse.csr_matrix((rna.X > 0).astype(np.float32))
    pair = read_input(write(rna, atac))
    assert "no_count_above_one" in codes(pair.findings)


def test_half_of_the_barcodes_match(rna, atac, write):
    atac.obs_names = [name if i < 60 else f"x{i}" for i, name in enumerate(atac.obs_names)]
    pair = read_input(write(rna, atac))
    assert pair.data.n_obs == 60
    assert "cells_in_both" in codes(pair.findings, "warning")
    assert values(pair.findings, "cells_in_both")["n_shared"] == 60
