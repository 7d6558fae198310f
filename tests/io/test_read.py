"""Good input in every shape it may come in: the same pair must come out."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.io.read import check_pair, read_input
from mira_nb.io.spec import CheckedPair, InputSpec
from tests.messages import codes, values


def assert_same(pair: CheckedPair, rna: ad.AnnData, atac: ad.AnnData) -> None:
    """The pair holds exactly these counts, as CSR float32."""
    for name, expected in (("rna", rna), ("atac", atac)):
        found = pair.data.mod[name].X
        assert sparse.isspmatrix_csr(found)
        assert found.dtype == np.float32
        assert found.has_sorted_indices
        assert (found != sparse.csr_matrix(expected.X)).nnz == 0
        assert pair.data.mod[name].obs_names.tolist() == rna.obs_names.tolist()
    assert pair.data.obs_names.tolist() == rna.obs_names.tolist()


def test_clean_pair_without_findings(rna, atac, write):
    pair = read_input(write(rna, atac))
    assert_same(pair, rna, atac)
    assert pair.findings == ()
    assert pair.dropped == {}
    var = pair.data["atac"].var
    assert var.columns[:3].tolist() == ["chrom", "start", "end"]
    assert (var["end"] > var["start"]).all()
    assert var["start"].dtype == np.int64
    assert pair.data.obs["cell_type"].tolist() == rna.obs["cell_type"].tolist()


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.toarray(),
        lambda x: x.tocsc(),
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.uint16),
        lambda x: x.astype(np.float64),
        lambda x: x.toarray().astype(np.int32),
        lambda x: sparse.csr_array(x),
        lambda x: np.asfortranarray(x.toarray()),
        lambda x: sparse.csr_matrix((x.data.astype(np.float32) + 1e-6, x.indices, x.indptr), x.shape),
    ],
    ids=["dense", "csc", "int64", "uint16", "float64", "dense-int", "sparse-array", "fortran", "nearly-integer"],
)
def test_storage_does_not_matter(rna, atac, write, convert):
    want = rna.copy(), atac.copy()
    for part in (rna, atac):
        part.X = convert(part.X)
    assert_same(read_input(write(rna, atac)), *want)


def test_explicit_zeros_and_bool(rna, atac, write):
    want = atac.copy()
    x = atac.X.tocoo()
    atac.X = sparse.csr_matrix(
        (np.r_[x.data, 0, 0], (np.r_[x.row, 0, 1], np.r_[x.col, np.flatnonzero(atac.X[0].toarray() == 0)[0], 1])),
        x.shape,
    )
    assert atac.X.nnz > want.X.nnz
    assert_same(read_input(write(rna, atac)), rna, want)
    atac.X = want.X.toarray().astype(bool)
    assert_same(read_input(write(rna, atac)), rna, want)


def test_order_of_the_expression_file_is_kept(rna, atac, write):
    order = np.random.default_rng(0).permutation(len(rna))
    pair = read_input(write(rna, atac[order].copy()))
    assert_same(pair, rna, atac)
    assert codes(pair.findings) == ["cell_order"]


def test_unshared_cells_are_dropped_and_counted(rna, atac, write):
    pair = read_input(write(rna[10:].copy(), atac[:215][::-1].copy()))
    assert_same(pair, rna[10:215], atac[10:215])
    assert pair.dropped == {"cells_only_in_rna": 5, "cells_only_in_atac": 10}
    assert values(pair.findings, "cells_in_both")["n_shared"] == 205


@pytest.mark.parametrize("layer", ["counts", "Counts", "raw_counts"])
def test_counts_from_a_layer(rna, atac, write, layer):
    want = rna.copy()
    rna.layers[layer] = rna.X.copy()
    rna.X = np.log1p(rna.X.toarray())
    pair = read_input(write(rna, atac))
    assert_same(pair, want, atac)
    taken = values(pair.findings, "layer_taken")
    assert (taken["matrix"], taken["x_missing"]) == (f"layers['{layer}']", False)


def test_counts_from_raw(rna, atac, write):
    want = rna.copy()
    rna.raw = rna.copy()
    rna = rna[:, :50].copy()
    rna.X = np.log1p(rna.X.toarray())
    pair = read_input(write(rna, atac))
    assert_same(pair, want, atac)
    assert values(pair.findings, "layer_taken")["matrix"] == "raw.X"


def test_missing_x_with_counts_layer(rna, atac, write):
    want = rna.copy()
    other = ad.AnnData(obs=rna.obs, var=rna.var, layers={"counts": rna.X})
    pair = read_input(write(other, atac))
    assert_same(pair, want, atac)
    assert values(pair.findings, "layer_taken")["x_missing"]


def test_equal_counts_are_taken_from_x_and_the_rest_is_named(rna, atac, write):
    rna.layers["counts"] = rna.X
    rna.layers["spliced"] = rna.X
    rna.obsm["X_umap"] = np.zeros((len(rna), 2))
    pair = read_input(write(rna, atac))
    assert_same(pair, rna, atac)
    unused = values(pair.findings, "other_matrices")["matrices"]
    assert {"layers['counts']", "layers['spliced']", "obsm['X_umap']"} <= set(unused)


def test_binarised_and_said(rna, atac, write):
    want = atac.copy()
    atac.X.data[:7] = 4
    pair = read_input(write(rna, atac))
    assert_same(pair, rna, want)
    assert values(pair.findings, "peaks_binarised") == {"n_above": 7, "n_values": want.X.nnz, "largest": 4.0}


def test_empty_cells_and_features(rna, atac, write):
    r, a = rna.X.toarray(), atac.X.toarray()
    r[[3, 4]], a[[4, 5, 6]] = 0, 0
    r[:, 10], a[:, [20, 21]] = 0, 0
    rna.X, atac.X = sparse.csr_matrix(r), sparse.csr_matrix(a)
    pair = read_input(write(rna, atac))
    keep = np.setdiff1d(np.arange(len(rna)), [3, 4, 5, 6])
    genes, peaks = np.setdiff1d(np.arange(120), 10), np.setdiff1d(np.arange(520), [20, 21])
    assert_same(pair, rna[keep][:, genes], atac[keep][:, peaks])
    assert pair.dropped == {"cells_without_counts": 4, "genes_without_counts": 1, "peaks_without_counts": 2}
    found = values(pair.findings, "empty_cells")
    assert (found["n_dropped"], found["n_rna"], found["n_atac"]) == (4, 2, 3)


def test_feature_empty_only_after_cells_are_dropped(rna, atac, write):
    r, a = rna.X.toarray(), atac.X.toarray()
    a[0] = 0
    r[:, 0] = 0
    r[0, 0] = 5
    rna.X, atac.X = sparse.csr_matrix(r), sparse.csr_matrix(a)
    pair = read_input(write(rna, atac))
    assert pair.dropped == {"cells_without_counts": 1, "genes_without_counts": 1}


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_features_become_unique(rna, atac, write):
    rna.var_names = ["Gene1-1", "Gene1", "Gene1", "Gene1", *rna.var_names[4:]]
    atac.var_names = [atac.var_names[0], atac.var_names[0], *atac.var_names[2:]]
    pair = read_input(write(rna, atac))
    assert pair.data["rna"].var_names[:4].tolist() == ["Gene1-1", "Gene1", "Gene1-2", "Gene1-3"]
    assert pair.data["rna"].var_names.is_unique
    assert pair.data["atac"].var_names.is_unique
    assert pair.data["atac"].var["start"].iloc[0] == pair.data["atac"].var["start"].iloc[1]
    assert [item.values["n_duplicated"] for item in pair.findings if item.values.get("noun") == "gene"] == [2]


def test_few_bad_peaks_are_dropped(rna, atac, write):
    atac.var_names = ["odd", *atac.var_names[1:]]
    pair = read_input(write(rna, atac))
    assert_same(pair, rna, atac[:, 1:])
    assert pair.dropped == {"peaks_without_coordinates": 1}


def test_annotations_of_both_rna_first(rna, atac, write):
    rna.obs["batch"] = "r"
    atac.obs["quality"] = np.arange(len(atac), dtype=float)
    atac.obs["batch"] = "other"
    atac.obs["cell_type"] = rna.obs["cell_type"].to_numpy()
    pair = read_input(write(rna, atac))
    obs = pair.data.obs
    assert obs.columns.tolist() == ["cell_type", "batch", "quality", "batch_atac"]
    assert set(obs["batch"]) == {"r"}
    assert set(obs["batch_atac"]) == {"other"}
    assert values(pair.findings, "annotation_differs")["name"] == "batch"


def test_10x_feature_types_in_both_files(rna, atac, write):
    both = ad.concat([rna, atac], axis=1, merge="first")
    both.var["feature_types"] = ["Gene Expression"] * rna.n_vars + ["Peaks"] * atac.n_vars
    pair = read_input(write(both, both))
    assert_same(pair, rna, atac)
    assert pair.dropped == {"rna_features_of_other_types": 520, "atac_features_of_other_types": 120}


@pytest.mark.parametrize("which", ["rna", "atac"])
def test_gzipped_file(rna, atac, write, tmp_path, which):
    spec = write(rna, atac)
    source = getattr(spec, which)
    packed = Path(f"{source}.gz")
    with source.open("rb") as raw, gzip.open(packed, "wb", compresslevel=1) as sink:
        shutil.copyfileobj(raw, sink)
    spec = InputSpec(**{"rna": spec.rna, "atac": spec.atac, which: packed})
    assert_same(read_input(spec), rna, atac)


@pytest.mark.parametrize(("first", "second"), [("rna", "atac"), ("gex", "peaks"), ("Gene Expression", "ATAC")])
def test_mudata(rna, atac, tmp_path, first, second):
    proteins = ad.AnnData(rna.X[:, :3].copy(), obs=rna.obs.copy(), var=pd.DataFrame(index=["CD3", "CD4", "CD8"]))
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData({first: rna, second: atac, "prot": proteins}, axis=0)
    data.obs["sample"] = ["s1"] * 100 + ["s2"] * 120
    data.write(tmp_path / "pair.h5mu")
    pair = read_input(InputSpec(mudata=tmp_path / "pair.h5mu"))
    assert_same(pair, rna, atac)
    assert pair.data.obs["sample"].tolist() == data.obs["sample"].tolist()
    assert values(pair.findings, "modalities_unused")["names"] == ["prot"]


def test_tenx(rna, atac, tmp_path, write_tenx):
    write_tenx(tmp_path / "filtered_feature_bc_matrix.h5", rna, atac)
    pair = read_input(InputSpec(tenx=tmp_path / "filtered_feature_bc_matrix.h5"))
    assert_same(pair, rna, atac)
    assert pair.data["rna"].var_names.tolist() == rna.var_names.tolist()
    assert pair.data["rna"].var["id"].iloc[0] == "ENSG00000"
    assert pair.data["atac"].var["chrom"].iloc[1] == "chr2"


def test_tenx_agrees_with_scanpy(rna, atac, tmp_path, write_tenx):
    scanpy = pytest.importorskip("scanpy")
    write_tenx(tmp_path / "m.h5", rna, atac)
    theirs = scanpy.read_10x_h5(tmp_path / "m.h5", gex_only=False)
    ours = read_input(InputSpec(tenx=tmp_path / "m.h5"))
    peaks = theirs[:, theirs.var["feature_types"] == "Peaks"]
    assert (ours.data["atac"].X != peaks.X).nnz == 0
    assert ours.data["atac"].obs_names.tolist() == theirs.obs_names.tolist()


def test_tenx_gzipped(rna, atac, tmp_path, write_tenx):
    write_tenx(tmp_path / "m.h5", rna, atac)
    packed = tmp_path / "m.h5.gz"
    packed.write_bytes(gzip.compress((tmp_path / "m.h5").read_bytes()))
    assert_same(read_input(InputSpec(tenx=packed)), rna, atac)


def test_objects_in_memory_are_not_changed(rna, atac):
    atac.X.data[:3] = 2
    before = rna.copy(), atac.copy()
    pair = check_pair(rna, atac[::-1])
    assert (pair.data["rna"].X != rna.X).nnz == 0
    assert pair.data["atac"].X.max() == 1
    for now, then in zip((rna, atac), before, strict=True):
        assert (now.X != then.X).nnz == 0
        assert now.obs.equals(then.obs)
        assert now.var.equals(then.var)


def test_backed_and_view(rna, atac, write):
    spec = write(rna, atac)
    backed = ad.read_h5ad(spec.rna, backed="r")
    assert_same(check_pair(backed, atac), rna, atac)
    backed.file.close()


def test_pair_can_be_written_whatever_the_annotations(rna, atac, write, tmp_path):
    rna.obs["mixed"] = pd.Series([1, "a", None, *[2.5] * (len(rna) - 3)], index=rna.obs_names, dtype=object)
    rna.obs["a/b"] = 1
    rna.var["index"] = 1
    pair = check_pair(rna, atac)
    assert ["a/b -> a|b"] in [item.values["columns"] for item in pair.findings if item.code == "input.columns_renamed"]
    pair.data.write(tmp_path / "out.h5mu")
    with mudata.set_options(pull_on_update=False):
        again = mudata.read_h5mu(tmp_path / "out.h5mu")
    assert again.obs["mixed"].tolist()[:3] == ["1", "a", ""]


def test_spec_round_trip(tmp_path):
    spec = InputSpec(rna=tmp_path / "a.h5ad", atac=tmp_path / "b.h5ad")
    assert InputSpec.from_json({**spec.to_json(), "later": 1}) == spec


def test_memory_of_a_dense_file_stays_below_a_dense_copy(atac, rna, tmp_path):
    """A dense matrix is read in blocks of rows: no dense copy of the whole is ever made."""
    import tracemalloc

    n_peaks = 60_000
    wide = sparse.random(400, n_peaks, density=0.01, format="csr", dtype=np.float32, random_state=0)
    wide.data[:] = 1
    names = [f"chr1:{10 * i}-{10 * i + 5}" for i in range(n_peaks)]
    cells = [f"c{i}" for i in range(400)]
    big = ad.AnnData(wide.toarray(), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=names))
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (400, 120)).astype(np.float32))
    small = ad.AnnData(counts, obs=pd.DataFrame(index=cells), var=rna.var)
    big.write_h5ad(tmp_path / "a.h5ad")
    small.write_h5ad(tmp_path / "r.h5ad")
    dense_bytes = 400 * n_peaks * 4
    del big
    from mira_nb.io import counts as counts_module

    block = counts_module._CHUNK_VALUES
    try:
        counts_module._CHUNK_VALUES = 1_000_000
        tracemalloc.start()
        pair = read_input(InputSpec(rna=tmp_path / "r.h5ad", atac=tmp_path / "a.h5ad"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        counts_module._CHUNK_VALUES = block
    assert pair.data["atac"].X.nnz == wide.nnz
    assert peak < 0.7 * dense_bytes
