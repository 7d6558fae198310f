"""Names that tools damage, and columns that are none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from mira_nb.io.read import read_input
from tests.messages import values


def test_identifier_and_symbol_in_one_name_are_taken_apart(rna, atac, write):
    symbols = list(rna.var_names)
    for form in ("{id}_{symbol}", "{symbol}|{id}"):
        rna.var_names = [form.format(id=f"ENSG{i:011d}", symbol=symbol) for i, symbol in enumerate(symbols)]
        var = read_input(write(rna, atac)).data["rna"].var
        assert list(var.index) == symbols
        assert var["gene_ids"].tolist() == [f"ENSG{i:011d}" for i in range(len(symbols))]


@pytest.mark.parametrize(
    "form",
    ["FBgn{0:07d}", "WBGene{0:08d}", "AT1G{0:05d}", "NM_{0:06d}.2", "HGNC:{0}", "ENST{0:011d}", "ENSMUSG{0:011d}"],
)
def test_identifiers_of_databases_give_way_to_symbols(rna, atac, write, form):
    symbols = rna.var_names.tolist()
    rna.var["about"] = [f"protein {number} of the cell" for number in range(rna.n_vars)]
    rna.var["name"] = rna.var["about"]
    rna.var["gene_name"] = symbols
    rna.var_names = [form.format(number) for number in range(1, rna.n_vars + 1)]
    var = read_input(write(rna, atac)).data["rna"].var
    assert list(var.index) == symbols
    assert var["gene_ids"].iloc[0] == form.format(1)


def test_dates_in_the_place_of_genes_are_reported(rna, atac, write):
    rna.var_names = ["1-Mar", "Sep-02", "2021-12-01", *rna.var_names[3:]]
    assert values(read_input(write(rna, atac)).findings, "dates_for_genes")["n_genes"] == 3


def test_labels_in_a_group_without_references_are_found(rna, atac, write):
    wanted = rna.obs["cell_type"].tolist()
    spec = write(rna, atac)
    with h5py.File(spec.rna, "r+") as file:
        obs = file["obs"]
        del obs["cell_type"]
        obs.create_dataset("cell_type", data=np.array([label == "b" for label in wanted], dtype=np.int32))
        obs.create_group("__categories")["cell_type"] = np.array([b"a", b"b"])
        obs.attrs["encoding-version"] = "0.1.0"
    assert read_input(spec).data.obs["cell_type"].tolist() == wanted


def test_column_of_two_dimensions_is_left_out_and_named(rna, atac, write):
    spec = write(rna, atac)
    with h5py.File(spec.rna, "r+") as file:
        column = file["obs"].create_dataset("wide", data=np.zeros((len(rna), 3)))
        column.attrs["encoding-type"], column.attrs["encoding-version"] = "array", "0.2.0"
        file["obs"].attrs["column-order"] = np.array(["cell_type", "wide"], dtype=h5py.string_dtype())
    pair = read_input(spec)
    assert list(pair.data.obs) == ["cell_type"]
    assert values(pair.findings, "other_matrices")["matrices"] == ["obs['wide']"]
