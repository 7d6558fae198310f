"""Which matrix is taken as the counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.io import candidates
from mira_nb.io.pairing import Counted, Log
from mira_nb.io.read import read_input
from tests.messages import codes, refused, values


def rounded(x: sparse.csr_matrix) -> sparse.csr_matrix:
    dense = x.toarray()
    return sparse.csr_matrix(np.rint(dense / dense.sum(axis=1, keepdims=True) * 300).astype(np.float32))


@pytest.mark.parametrize("layer", ["counts", "rawcounts", "Raw_Counts", "UMI"])
def test_layer_named_for_counts_wins_over_other_whole_numbers(rna, atac, write, layer):
    raw = rna.X.copy()
    rna.layers[layer] = raw
    rna.X = rounded(raw)
    spec = write(rna, atac)
    pair = read_input(spec)
    assert (raw != pair.data["rna"].X).nnz == 0
    found = values(pair.findings, "two_counts")
    assert found["chosen"] == f"layers['{layer}']"
    assert f"{raw.sum():,.0f} counts" in found["totals"]
    assert f"{rna.X.sum():,.0f} counts" in found["x_totals"]
    assert (read_input(replace(spec, layer="X")).data["rna"].X != rna.X).nnz == 0


def test_raw_with_more_genes_and_other_counts_wins(rna, atac, write):
    whole = rna.copy()
    part = rna[:, :80].copy()
    part.X = rounded(part.X)
    part.raw = whole
    pair = read_input(write(part, atac))
    assert pair.data["rna"].var_names.tolist() == whole.var_names.tolist()
    assert (pair.data["rna"].X != whole.X).nnz == 0
    assert values(pair.findings, "two_counts")["chosen"] == "raw.X"


def test_genes_chosen_from_equal_counts_stay_chosen(rna, atac, write):
    whole = rna.copy()
    part = rna[:, :80].copy()
    part.raw = whole
    pair = read_input(write(part, atac))
    assert pair.data["rna"].n_vars == 80
    assert "two_counts" not in codes(pair.findings)


@pytest.mark.parametrize("layer", ["soupX", "cellbender", "decontXcounts"])
def test_counts_in_any_layer_are_found_and_named(rna, atac, write, layer):
    raw = rna.X.copy()
    rna.layers["scaled"] = raw * 0.3
    rna.layers[layer] = raw
    rna.X = sparse.csr_matrix(np.log1p(raw.toarray()))
    pair = read_input(write(rna, atac))
    assert (raw != pair.data["rna"].X).nnz == 0
    assert values(pair.findings, "layer_by_values")["matrix"] == f"layers['{layer}']"


def test_parts_of_the_counts_are_not_taken_for_them(rna, atac, write):
    raw = rna.X.copy()
    rna.layers["spliced"] = raw
    rna.X = sparse.csr_matrix(np.log1p(raw.toarray()))
    spec = write(rna, atac)
    with refused("partial_layers", layers=["spliced"], layer="spliced"):
        read_input(spec)
    assert (raw != read_input(replace(spec, layer="spliced")).data["rna"].X).nnz == 0


def test_layer_that_does_not_exist_or_holds_no_counts(rna, atac, write):
    rna.layers["scaled"] = rna.X * 0.3
    spec = write(rna, atac)
    with refused("layer_unknown", layer="nothing"):
        read_input(replace(spec, layer="nothing"))
    with refused("counts_fractions", source="rna.h5ad: layers['scaled']"):
        read_input(replace(spec, layer="scaled"))


def test_fractions_of_multi_mapping_reads_get_advice(rna, atac, write):
    x = rna.X.copy()
    chosen = np.random.default_rng(0).random(x.nnz) < 0.05
    x.data[chosen] += 1 / 3
    rna.X = x
    with pytest.raises(InputError, match="match several genes"):
        read_input(write(rna, atac))


def test_half_precision_is_read(rna, atac, write):
    raw = rna.X.copy()
    rna.X = raw.toarray().astype(np.float16)
    assert (raw != read_input(write(rna, atac)).data["rna"].X).nnz == 0


def test_droplets_are_recognised(rna):
    n = 25_000
    counts = sparse.random(n, 50, density=0.02, format="csr", dtype=np.float32, random_state=0)
    counts.data[:] = 1
    log = Log()
    obs = rna.obs.iloc[:0].reindex([f"c{i}" for i in range(n)])
    candidates.check_droplets(Counted("raw.h5ad", counts, obs, rna.var.iloc[:50]), log)
    assert codes(log.findings, "warning") == ["droplets"]


def log_rounded(x: sparse.csr_matrix) -> sparse.csr_matrix:
    dense = x.toarray()
    return sparse.csr_matrix(np.rint(np.log1p(dense / dense.sum(axis=1, keepdims=True) * 1e4)).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "why"), [(rounded, "all cells have nearly the same total (300"), (log_rounded, "the smallest value")]
)
def test_rounded_values_without_counts_beside_them_are_suspicious(rna, atac, write, change, why):
    # depths as different as those of real cells
    rng = np.random.default_rng(0)
    depth = rng.gamma(6.0, 0.5, (len(rna), 1))
    rna.X = sparse.csr_matrix(rng.poisson(depth * np.ones((1, rna.n_vars))).astype(np.float32))
    assert "rounded_counts" not in codes(read_input(write(rna, atac)).findings)
    rna.X = change(rna.X)
    assert values(read_input(write(rna, atac)).findings, "rounded_counts")["why"].startswith(why)
