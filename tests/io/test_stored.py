"""Stores and files of which a part was lost: refused by the array's name, instead of read as zeros."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from mira_nb.io.read import check_pair, read_input
from mira_nb.io.spec import InputSpec
from tests.io.test_read import assert_same
from tests.messages import codes, refused, values

zarr = pytest.importorskip("zarr")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the writer


def store(tmp_path: Path, rna: ad.AnnData, atac: ad.AnnData, *, chunk: int = 500) -> InputSpec:
    """Write two stores whose sparse matrices are in many chunks, as large ones are."""
    for name, data in (("rna", rna), ("atac", atac)):
        data.write_zarr(tmp_path / f"{name}.zarr")
        group = zarr.open_group(str(tmp_path / f"{name}.zarr"), mode="r+")
        for part in ("data", "indices", "indptr") if sparse.issparse(data.X) else ():
            array = group["X"][part]
            content, attrs, size = array[:], dict(array.attrs), 10 if part == "indptr" else chunk
            del group["X"][part]
            group["X"].create_array(part, data=content, chunks=(size,)).attrs.update(attrs)
        (tmp_path / f"{name}.zarr" / ".zmetadata").unlink(missing_ok=True)
    return InputSpec(rna=tmp_path / "rna.zarr", atac=tmp_path / "atac.zarr")


def chunks_of(folder: Path) -> list[Path]:
    found = [item for item in folder.rglob("*") if item.is_file() and item.name[0] != "." and item.name != "zarr.json"]
    return sorted(found, key=lambda item: [int(number) for number in item.name.split(".")])


@pytest.mark.parametrize("place", [0, 2, -1])
@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
@pytest.mark.parametrize("which", ["rna", "atac"])
def test_lost_chunks_of_sparse_matrices(rna, atac, tmp_path, which, part, place):
    spec = store(tmp_path, rna, atac)
    assert_same(read_input(spec), rna, atac)
    chunks = chunks_of(tmp_path / f"{which}.zarr" / "X" / part)
    chunks[place].unlink()
    with refused("chunks_lost", source=f"{which}.zarr", array=f"X/{part}", n_lost=1, n_chunks=len(chunks)):
        read_input(spec)


def test_first_cells_without_counts(rna, atac, tmp_path):
    keep = sparse.diags((np.arange(rna.n_obs) >= 25).astype(np.float32)).tocsr()
    rna.X = sparse.csr_matrix(keep @ rna.X)
    rna.X.eliminate_zeros()
    spec = store(tmp_path, rna, atac)
    assert len(chunks_of(tmp_path / "rna.zarr" / "X" / "indptr")) < -(-(rna.n_obs + 1) // 10)  # zeros are not stored
    assert read_input(spec).data["rna"].X.sum() == rna.X.sum()


def test_lost_chunk_of_a_dense_matrix(rna, atac, tmp_path):
    full = rna.X.toarray()
    rna.X = full
    rna.write_zarr(tmp_path / "rna.zarr")
    atac.write_zarr(tmp_path / "atac.zarr")
    group = zarr.open_group(str(tmp_path / "rna.zarr"), mode="r+")
    attrs = dict(group["X"].attrs)
    del group["X"]
    size = tuple(-(-n // 2) for n in full.shape)
    group.create_array("X", data=full, chunks=size).attrs.update(attrs)
    (tmp_path / "rna.zarr" / ".zmetadata").unlink(missing_ok=True)
    spec = InputSpec(rna=tmp_path / "rna.zarr", atac=tmp_path / "atac.zarr")
    assert read_input(spec).data["rna"].X.sum() == full.sum()
    next(
        item for item in (tmp_path / "rna.zarr" / "X").rglob("*") if item.is_file() and item.stat().st_size > 2000
    ).unlink()
    with refused("chunks_lost", array="X", n_lost=1, n_chunks=4):
        read_input(spec)


@pytest.mark.parametrize("part", ["obs/_index", "var/_index", "obs/cell_type/codes"])
def test_lost_names_and_labels(rna, atac, tmp_path, part):
    rna.obs["cell_type"] = rna.obs["cell_type"].astype("category")
    rna.obs["one"] = np.array(["same"] * rna.n_obs)  # its codes are all zero, and not stored
    spec = store(tmp_path, rna, atac)
    assert_same(read_input(spec), rna, atac)
    for chunk in [item for item in (tmp_path / "rna.zarr" / part).rglob("*") if item.is_file()]:
        if chunk.name[0] != "." and chunk.name != "zarr.json":
            chunk.unlink()
    with refused("chunks_lost", array=part):
        read_input(spec)


@pytest.mark.parametrize("part", ["data", "indices"])
def test_part_of_a_file_that_was_never_written(rna, atac, tmp_path, write, part):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "r+") as file:
        content, attrs = file["X"][part][:], dict(file["X"][part].attrs)
        del file["X"][part]
        array = file["X"].create_dataset(part, content.shape, content.dtype, chunks=(200,))
        array[:400] = content[:400]
        array.attrs.update(attrs)
    with refused("chunks_lost", array=f"X/{part}"):
        read_input(spec)


def test_indices_of_zeros(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "r+") as file:
        file["X/indices"][200:600] = 0
    with refused("indices_lost", array="X/indices"):
        read_input(spec)


def test_values_of_a_feature_in_parts_are_added_up_and_said(rna, atac, write):
    whole = rna.X.copy()
    n = 7
    joined = sparse.csr_matrix(
        (
            np.insert(whole.data, np.arange(1, n + 1), 1),
            np.insert(whole.indices, np.arange(1, n + 1), whole.indices[:n]),
            np.where(np.arange(len(whole.indptr)) > 0, whole.indptr + n, 0),
        ),
        shape=whole.shape,
    )
    assert whole.indptr[1] > n
    rna.X = joined
    for pair in (check_pair(rna, atac), read_input(write(rna, atac))):
        assert values(pair.findings, "values_added_up")["n_values"] == n
        assert pair.data["rna"].X.sum() == whole.sum() + n
    rna.X = whole
    assert "values_added_up" not in codes(check_pair(rna, atac).findings)
