"""Pairing of cells: by names, by the rule that was given, and never against the barcodes in the files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mira_nb.errors import InputError
from mira_nb.io.read import check_pair, read_input
from mira_nb.io.spec import CheckedPair
from tests.messages import codes, refused, values


def paired_by_row(pair: CheckedPair, rna, atac, order) -> None:
    """Row i of the pair holds the counts of row i of `rna` and row order[i] of `atac`."""
    assert (pair.data["rna"].X != rna.X).nnz == 0
    assert (atac.X[order] != pair.data["atac"].X).nnz == 0


@pytest.mark.parametrize(
    ("rename", "rule"),
    [
        (lambda name: f"pbmc#{name}", "prefix"),
        (lambda name: f"s1_{name}", "prefix"),
        (lambda name: name.removesuffix("-1"), "suffix"),
        (lambda name: f"{name}_3", "suffix"),
        (lambda name: name.replace("-1", "_atac"), "suffix"),
    ],
)
def test_rule_is_offered_and_pairs(rna, atac, write, rename, rule):
    order = np.random.default_rng(0).permutation(len(rna))
    atac = atac[np.argsort(order)].copy()
    wanted = atac.copy()
    atac.obs_names = [rename(name) for name in atac.obs_names]
    spec = write(rna, atac)
    with pytest.raises(InputError) as told:
        read_input(spec)
    assert f"--pair-by {rule} pairs 220 cells" in str(told.value)
    assert atac.obs_names[order[0]] in str(told.value)
    paired_by_row(read_input(replace(spec, pair_by=rule)), rna, wanted, order)


def test_samples_that_share_barcodes_are_told_apart_by_the_last_number(rna, atac, write):
    bare = [name.split("-")[0] for name in rna.obs_names]
    bare[110:140] = bare[:30]
    sample = np.repeat([1, 2], 110)
    rna.obs_names = [f"{name}-1_{k}" for name, k in zip(bare, sample, strict=True)]
    atac.obs_names = [f"{name}-{k}" for name, k in zip(bare, sample, strict=True)]
    spec = write(rna, atac)
    with pytest.raises(InputError, match="--pair-by suffix pairs 220 cells"):
        read_input(spec)
    paired_by_row(read_input(replace(spec, pair_by="suffix")), rna, atac, np.arange(220))


def test_row_numbers_of_equal_length_are_paired_with_a_warning(rna, atac, write):
    for part in (rna, atac):
        part.obs_names = [str(i) for i in range(len(part))]
    pair = read_input(write(rna, atac))
    paired_by_row(pair, rna, atac, np.arange(220))
    assert "numbered_cells" in codes(pair.findings, "warning")


def test_row_numbers_of_modalities_filtered_apart_are_refused(rna, atac, write):
    rna, atac = rna[:200].copy(), atac[10:].copy()
    for part in (rna, atac):
        part.obs_names = [str(i) for i in range(len(part))]
    with refused("cells_are_row_numbers", n_rna=200, n_atac=210):
        read_input(write(rna, atac))


def test_column_of_barcodes_pairs_what_row_numbers_cannot(rna, atac, write):
    rna, atac = rna[:200].copy(), atac[10:][::-1].copy()
    for part, column in ((rna, "barcode"), (atac, "barcode")):
        part.obs[column] = part.obs_names.to_numpy()
        part.obs_names = [str(i) for i in range(len(part))]
    spec = write(rna, atac)
    with pytest.raises(InputError, match="--pair-by barcode pairs"):
        read_input(spec)
    pair = read_input(replace(spec, pair_by="barcode"))
    assert pair.data.n_obs == 190
    wanted = atac.X[[atac.obs["barcode"].tolist().index(name) for name in pair.data["rna"].obs["barcode"]]]
    assert (wanted != pair.data["atac"].X).nnz == 0


def test_equal_row_numbers_against_the_barcodes_stop(rna, atac, write):
    atac = atac[::-1].copy()
    for part in (rna, atac):
        part.obs["barcode"] = part.obs_names.to_numpy()
        part.obs_names = [str(i) for i in range(len(part))]
    with refused("pairing_contradicts_barcodes", n_wrong=220, n_pairs=220, barcodes=["barcode"]):
        read_input(write(rna, atac))


def test_order_against_the_names_stops(rna, atac, write):
    spec = write(rna, atac[::-1].copy())
    with refused("pairing_contradicts_barcodes", rule="order"):
        read_input(replace(spec, pair_by="order"))


def test_order_pairs_cells_of_two_whitelists(rna, atac, write):
    letters = np.random.default_rng(5).choice(list("ACGT"), (len(atac), 16))
    atac.obs_names = ["".join(row) + "-1" for row in letters]
    spec = write(rna, atac)
    with refused("no_shared_cell", problem="whitelists"):
        read_input(spec)
    pair = read_input(replace(spec, pair_by="order"))
    paired_by_row(pair, rna, atac, np.arange(220))
    assert values(pair.findings, "paired_by_rule")["pair_by"] == "order"


def test_reverse_complement_is_recognised(rna, atac, write):
    turn = str.maketrans("ACGT", "TGCA")
    atac.obs_names = [name.split("-")[0][::-1].translate(turn) + "-1" for name in atac.obs_names]
    with refused("no_shared_cell", problem="reversed"):
        read_input(write(rna, atac))


def test_unknown_column_names_those_that_would_do(rna, atac, write):
    rna.obs["gex_barcode"] = rna.obs_names.to_numpy()
    spec = write(rna, atac)
    with refused("pairing_column_unknown", column="barcode", columns=["gex_barcode"]):
        read_input(replace(spec, pair_by="barcode"))


def test_text_that_was_bytes_is_repaired(rna, atac):
    wanted = rna.copy()
    rna.obs_names = [f"b'{name}'" for name in rna.obs_names]
    rna.obs["cell_type"] = pd.Categorical([f"b'{text}'" for text in rna.obs["cell_type"]])
    rna.var_names = [f"b'{name}'" for name in rna.var_names]
    pair = check_pair(rna, atac)
    assert pair.data.obs_names.tolist() == wanted.obs_names.tolist()
    assert pair.data["rna"].var_names.tolist() == wanted.var_names.tolist()
    assert pair.data.obs["cell_type"].tolist() == wanted.obs["cell_type"].tolist()
    assert "bytes_repaired" in codes(pair.findings)


@pytest.mark.parametrize("which", ["rna", "atac"])
def test_transposed_matrices_are_named(rna, atac, which):
    parts = {"rna": rna, "atac": atac}
    parts[which] = parts[which].T.copy()
    with refused("transposed"):
        check_pair(parts["rna"], parts["atac"])


@pytest.mark.parametrize(
    ("ours", "theirs", "rule"),
    [
        ("{bc}-1-{k0}", "{bc}-{k}", "suffix"),  # scanpy's concatenation against cellranger aggr
        ("{letter}_{bc}-1", "{letter}#{bc}-1", "prefix"),  # Seurat's merge against ArchR
        ("{letter}_{bc}-1", "{bc}-{k}", "suffix"),
        ("{bc}-{k}", "{bc}-{other}", "suffix"),  # samples in another order: equal names are other cells
        ("{bc}-1_{k}", "{low}-1_{k}", "suffix"),
    ],
)
def test_samples_named_differently_correspond_by_their_barcodes(rna, atac, write, ours, theirs, rule):
    bare = [name.split("-")[0] for name in rna.obs_names]
    bare[110:140] = bare[:30]
    forms = [
        {"bc": bc, "low": bc.lower(), "k": k, "k0": k - 1, "other": 3 - k, "letter": "AB"[k - 1]}
        for bc, k in zip(bare, np.repeat([1, 2], 110), strict=True)
    ]
    rna.obs_names, atac.obs_names = ([text.format(**form) for form in forms] for text in (ours, theirs))
    spec = write(rna, atac)
    with pytest.raises(InputError, match=f"--pair-by {rule} pairs 220 cells"):
        read_input(spec)
    paired_by_row(read_input(replace(spec, pair_by=rule)), rna, atac, np.arange(220))


@pytest.mark.parametrize("name", ["{}", "Cell_{}", "obs.{}"])
def test_numbered_names_are_confirmed_by_nothing(rna, atac, write, name):
    rna.obs_names = [name.format(i) for i in range(len(rna))]
    atac.obs_names = rna.obs_names
    assert "numbered_cells" in codes(read_input(write(rna, atac)).findings, "warning")


def renumbered(*parts) -> None:
    """Give the cells the numbers of their rows as names, and keep their names as text identifiers."""
    for part in parts:
        part.obs_names = [str(i) for i in range(len(part))]


def identified(rna, atac, form: str) -> tuple:
    """Both modalities, of which each lost other cells, in other orders, with identifiers of the cells."""
    ids = np.array([form.format(i // 20, i % 20) for i in range(len(rna))])
    rna.obs["cell"], atac.obs["cell"] = ids, ids
    order = np.random.default_rng(0).permutation(len(atac) - 15) + 15
    rna, atac = rna[:-15].copy(), atac[order].copy()
    renumbered(rna, atac)
    return rna, atac


@pytest.mark.parametrize("form", ["R1.{:02d},R2.{:02d}", "plate{}-well{}", "S{}_c{}"])
def test_identifiers_of_any_kind_contradict_row_numbers(rna, atac, write, form):
    rna, atac = identified(rna, atac, form)
    spec = write(rna, atac)
    with refused("annotation_of_other_cells", name="cell", same=False) as told:
        read_input(spec)
    assert "--pair-by cell pairs 190 cells" in str(told.value)
    assert "suffix" not in str(told.value)
    pair = read_input(replace(spec, pair_by="cell"))
    right = [atac.obs["cell"].tolist().index(name) for name in pair.data.obs["cell"]]
    assert (atac.X[right] != pair.data["atac"].X).nnz == 0
    assert "annotation_cells_differ" in codes(read_input(replace(spec, pair_by="names")).findings, "warning")


def test_identifiers_that_agree_confirm_row_numbers(rna, atac, write):
    for part in (rna, atac):
        part.obs["cell"] = [f"plate{i // 20}-well{i % 20}" for i in range(len(part))]
    renumbered(rna, atac)
    assert "numbered_cells" not in codes(read_input(write(rna, atac)).findings)


def test_identifiers_of_each_modality_do_not_stop_barcodes(rna, atac, write):
    atac = atac[::-1].copy()
    for part in (rna, atac):
        part.obs["row"] = [f"row_{i}" for i in range(len(part))]
        part.obs["own"] = [f"mouse1_cell{i}" for i in range(len(part))]
    atac.obs["own"] = ["mouse1_cell220", *atac.obs["own"][1:]]
    atac.obs["row"] = [f"row_{i}" for i in range(1, 221)]
    pair = read_input(write(rna, atac))
    paired_by_row(pair, rna, atac, np.arange(220)[::-1])
    assert values(pair.findings, "annotation_cells_differ")["name"] == "own"


@pytest.mark.parametrize(("groups", "stops"), [("AB", True), (("wild type", "mutant"), True), ("12", False)])
def test_groups_of_other_cells_contradict_row_numbers(rna, atac, write, groups, stops):
    rna.obs["sample"] = [groups[0]] * 90 + [groups[1]] * 130
    atac.obs["sample"] = [groups[1]] * 127 + [groups[0]] * 93
    renumbered(rna, atac)
    spec = write(rna, atac)
    if stops:
        with refused("annotation_of_other_cells", name="sample", n_wrong=183):
            read_input(spec)
    else:
        assert values(read_input(spec).findings, "numbered_cells")["differ"] == {"sample": 183}


def test_labels_of_each_modality_do_not_contradict_row_numbers(rna, atac, write):
    rng = np.random.default_rng(0)
    kinds = rng.choice(["T", "B", "NK"], 220)
    rna.obs["kind"], atac.obs["kind"] = kinds, np.where(rng.random(220) < 0.2, "T", kinds)
    rna.obs["doublet"] = np.where(rng.random(220) < 0.1, "doublet", "singlet")
    atac.obs["doublet"] = np.where(rng.random(220) < 0.1, "doublet", "singlet")
    renumbered(rna, atac)
    differ = values(read_input(write(rna, atac)).findings, "numbered_cells")["differ"]
    assert differ["kind"] == (rna.obs["kind"].to_numpy() != atac.obs["kind"].to_numpy()).sum()
    assert set(differ) == {"kind", "doublet"}


@pytest.mark.parametrize("name", ["{}", "Cell_{}"])
def test_row_numbers_from_one_and_from_zero_stop(rna, atac, write, name):
    rna.obs_names = [name.format(i + 1) for i in range(220)]
    atac.obs_names = [name.format(i) for i in range(220)]
    spec = write(rna, atac)
    with refused("row_numbers_shifted", starts=[1, 0]):
        read_input(spec)
    paired_by_row(read_input(replace(spec, pair_by="order")), rna, atac, np.arange(220))
    assert read_input(replace(spec, pair_by="names")).data.n_obs == 219
