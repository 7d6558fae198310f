"""Which matrix is taken as the counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.io import candidates
from mira_nb.io.pairing import Counted, Log
from mira_nb.io.read import check_pair, read_input
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
    assert found["matrix"] == f"layers['{layer}']"
    assert f"{raw.sum():,.0f} counts" in found["totals"]
    (other,) = found["others"]
    assert other["matrix"] == "X"
    assert f"{rna.X.sum():,.0f} counts" in other["totals"]
    assert (read_input(replace(spec, layer="X")).data["rna"].X != rna.X).nnz == 0


def test_raw_with_more_genes_and_other_counts_wins(rna, atac, write):
    whole = rna.copy()
    part = rna[:, :80].copy()
    part.X = rounded(part.X)
    part.raw = whole
    pair = read_input(write(part, atac))
    assert pair.data["rna"].var_names.tolist() == whole.var_names.tolist()
    assert (pair.data["rna"].X != whole.X).nnz == 0
    assert values(pair.findings, "two_counts")["matrix"] == "raw.X"


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


def corrected(x: sparse.csr_matrix) -> sparse.csr_matrix:
    """One molecule less of every gene, as corrections for ambient molecules take some away altogether."""
    out = x.copy()
    out.data -= 1
    out.eliminate_zeros()
    return out


def logged(x: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.log1p(x.toarray()))


def shown(found) -> dict[str, str]:
    """Totals by matrix, of the matrix taken and of the others."""
    return {found["matrix"]: found["totals"]} | {other["matrix"]: other["totals"] for other in found["others"]}


@pytest.mark.parametrize("layer", ["cellranger", "original", "unfiltered", "counts_before_soupx"])
@pytest.mark.parametrize("again", [False, True])
def test_counts_before_a_correction_are_preferred_to_corrected_ones_in_x(rna, atac, write, layer, again):
    raw = rna.X.copy()
    rna.layers[layer] = raw
    rna.X = corrected(raw)
    if again:
        rna.layers["cellbender"] = rna.X.copy()
    spec = write(rna, atac)
    pair = read_input(spec)
    assert (raw != pair.data["rna"].X).nnz == 0
    assert "two_counts" in codes(pair.findings, "warning")
    found = shown(values(pair.findings, "two_counts"))
    assert found[f"layers['{layer}']"].startswith(f"{raw.sum():,.0f} counts")
    assert found["X"].startswith(f"{rna.X.sum():,.0f} counts")
    kept = read_input(replace(spec, layer="X"))
    assert kept.data["rna"].X.sum() == rna.X.sum()
    assert "two_counts" not in codes(kept.findings)


def test_counts_in_x_stay_and_corrected_ones_beside_them_are_named(rna, atac, write):
    raw = rna.X.copy()
    rna.layers["cellbender"] = corrected(raw)
    pair = read_input(write(rna, atac))
    assert (raw != pair.data["rna"].X).nnz == 0
    assert list(shown(values(pair.findings, "two_counts"))) == ["X", "layers['cellbender']"]


def test_layer_named_for_counts_wins_over_a_larger_one(rna, atac, write):
    raw = rna.X.copy()
    rna.layers["everything"] = raw
    rna.layers["counts"] = rna.X = corrected(raw)
    pair = read_input(write(rna, atac))
    assert pair.data["rna"].X.sum() == rna.X.sum()
    assert list(shown(values(pair.findings, "two_counts"))) == ["X", "layers['everything']"]


@pytest.mark.parametrize("derived", [corrected, rounded, lambda x: x.sign()], ids=["corrected", "rounded", "binary"])
def test_layer_that_others_derive_from_is_taken_in_whatever_order(rna, atac, write, derived):
    raw = rna.X.copy()
    for first, second in [("a_derived", "b_molecules"), ("b_derived", "a_molecules")]:
        part = rna.copy()
        part.layers[first], part.layers[second] = derived(raw), raw
        part.X = logged(raw)
        pair = read_input(write(part, atac))
        assert (raw != pair.data["rna"].X).nnz == 0
        assert values(pair.findings, "layer_by_values")["matrix"] == f"layers['{second}']"


def test_values_that_only_grow_do_not_replace_x(rna, atac, write):
    rna.layers["reads"] = rna.X * 3  # reads of the same molecules
    rna.layers["where"] = rna.X.sign()
    rna.layers["imputed"] = rna.X.toarray() + 0.1
    pair = read_input(write(rna, atac))
    assert (rna.X != pair.data["rna"].X).nnz == 0
    assert list(shown(values(pair.findings, "two_counts"))) == ["X", "layers['reads']"]


def test_accessibility_differs_only_where_other_peaks_are_open(rna, atac, write):
    atac.layers["fragments"] = atac.X * 2
    assert "two_counts" not in codes(read_input(write(rna, atac)).findings)
    more = atac.X.tolil()
    more[:, 0] = 1
    atac.layers["filled"] = more.tocsr()
    pair = read_input(write(rna, atac))
    assert (atac.X != pair.data["atac"].X).nnz == 0
    assert list(shown(values(pair.findings, "two_counts"))) == ["X", "layers['filled']"]


def split(rna, names: tuple[str, str]) -> None:
    """Add layers of two parts, two fifths and the rest of the molecules."""
    part = rna.X.copy()
    part.data = np.random.default_rng(0).binomial(part.data.astype(int), 0.4).astype(np.float32)
    rest = rna.X - part
    for matrix, name in zip((part, rest), names, strict=True):
        matrix.eliminate_zeros()
        rna.layers[name] = matrix.tocsr()


PARTS = [("spliced", "unspliced"), ("mature", "nascent"), ("exon", "intron"), ("spliced_counts", "unspliced_counts")]


@pytest.mark.parametrize("names", PARTS)
def test_part_of_the_counts_in_x_is_named_with_all_parts(rna, atac, write, names):
    whole = rna.X.copy()
    split(rna, names)
    assert "part_of_counts" not in codes(read_input(write(rna, atac)).findings)
    rna.X = rna.layers[names[0]].copy()
    spec = write(rna, atac)
    pair = read_input(spec)
    found = values(pair.findings, "part_of_counts")
    assert "part_of_counts" in codes(pair.findings, "warning")
    assert (found["equal"], found["taken"], found["together"]) == (
        f"layers['{names[0]}']",
        rna.X.sum(),
        whole.sum(),
    )
    assert [part["matrix"] for part in found["parts"]] == [f"layers['{name}']" for name in names]
    assert "part_of_counts" not in codes(read_input(replace(spec, layer="X")).findings)


@pytest.mark.parametrize("names", PARTS)
def test_parts_alone_are_refused_and_their_sum_is_taken(rna, atac, write, names):
    whole = rna.X.copy()
    split(rna, names)
    rna.X = logged(whole)
    with refused("partial_layers", layers=list(names)):
        read_input(write(rna, atac))
    rna.layers["_and_".join(names)] = whole
    pair = read_input(write(rna, atac))
    assert (whole != pair.data["rna"].X).nnz == 0
    assert "part_of_counts" not in codes(pair.findings)


def test_layer_that_cannot_be_read_stays_unused(rna, atac):
    rna.layers["words"] = np.full(rna.shape, "a", dtype=object)
    pair = check_pair(rna, atac)
    assert (rna.X != pair.data["rna"].X).nnz == 0
