"""A small clean pair of count matrices, and ways to write and break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.io.spec import InputSpec

N_CELLS, N_GENES, N_PEAKS = 220, 120, 520


def make_rna() -> ad.AnnData:
    rng = np.random.default_rng(1)
    counts = sparse.csr_matrix(rng.poisson(1.0, (N_CELLS, N_GENES)).astype(np.float32))
    obs = pd.DataFrame({"cell_type": np.where(np.arange(N_CELLS) % 2, "a", "b")}, index=barcodes())
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"Gene{i}" for i in range(N_GENES)]))


def make_atac() -> ad.AnnData:
    rng = np.random.default_rng(2)
    counts = sparse.csr_matrix((rng.random((N_CELLS, N_PEAKS)) < 0.2).astype(np.float32))
    names = [f"chr{1 + i % 3}:{1000 * i}-{1000 * i + 500}" for i in range(N_PEAKS)]
    return ad.AnnData(counts, obs=pd.DataFrame(index=barcodes()), var=pd.DataFrame(index=names))


def barcodes() -> list[str]:
    letters = np.array(list("ACGT"))
    rows = np.random.default_rng(3).integers(0, 4, (N_CELLS, 16))
    return ["".join(letters[row]) + "-1" for row in rows]


@pytest.fixture
def rna() -> ad.AnnData:
    return make_rna()


@pytest.fixture
def atac() -> ad.AnnData:
    return make_atac()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[ad.AnnData, ad.AnnData], InputSpec]:
    def write_pair(rna: ad.AnnData, atac: ad.AnnData) -> InputSpec:
        spec = InputSpec(rna=tmp_path / "rna.h5ad", atac=tmp_path / "atac.h5ad")
        rna.write_h5ad(spec.rna)
        atac.write_h5ad(spec.atac)
        return spec

    return write_pair


@pytest.fixture
def write_tenx() -> Callable[..., None]:
    def write(
        path: Path, rna: ad.AnnData, atac: ad.AnnData, kinds: tuple[str, str] = ("Gene Expression", "Peaks")
    ) -> None:
        """Write the layout of Cell Ranger ARC."""
        matrix = sparse.hstack([rna.X, atac.X]).tocsr().astype(np.int32)
        with h5py.File(path, "w") as file:
            group = file.create_group("matrix")
            group["barcodes"] = np.array(rna.obs_names, dtype="S")
            group["data"], group["indices"], group["indptr"] = (
                matrix.data,
                matrix.indices.astype(np.int64),
                matrix.indptr,
            )
            group["shape"] = np.array(matrix.shape[::-1])
            features = group.create_group("features")
            features["_all_tag_keys"] = np.array([b"genome", b"interval"])
            ids = [f"ENSG{i:05d}" for i in range(rna.n_vars)] + list(atac.var_names)
            features["id"] = np.array(ids, dtype="S")
            features["name"] = np.array([*rna.var_names, *atac.var_names], dtype="S")
            features["feature_type"] = np.array([kinds[0]] * rna.n_vars + [kinds[1]] * atac.n_vars, dtype="S")
            features["interval"] = np.array(["NA"] * rna.n_vars + list(atac.var_names), dtype="S")
            features["genome"] = np.array(["GRCh38"] * len(ids), dtype="S")

    return write
