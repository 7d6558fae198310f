"""Further forms of inputs people have: gene sets, tables of cells, names of genes, evidence against a pairing."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.io.cell_table import read_cell_table
from mira_nb.io.evidence import permuted_annotations
from mira_nb.io.gene_sets import read_gene_sets
from mira_nb.io.identifiers import symbol_column
from mira_nb.io.motif_files import read_motifs
from mira_nb.io.read import check_pair
from mira_nb.io.tss import read_tss

SETS = {"T cells": ("CD3D", "CD3E", "CD8A"), "B cells": ("MS4A1", "CD79A")}
FORMS = {
    "msigdb.json": json.dumps({term: {"geneSymbols": list(genes)} for term, genes in SETS.items()}),
    "plain.json": json.dumps({term: list(genes) for term, genes in SETS.items()}),
    "s.gmx": "T cells\tB cells\nna\tna\nCD3D\tMS4A1\nCD3E\tCD79A\nCD8A\t\n",
    "long.csv": "term,gene\n" + "".join(f"{term},{gene}\n" for term, genes in SETS.items() for gene in genes),
    "long.tsv": "gs_name\tgene_symbol\n" + "".join(f"{t}\t{gene}\n" for t, genes in SETS.items() for gene in genes),
    "commas.csv": "T cells,na,CD3D,CD3E,CD8A\nB cells,na,MS4A1,CD79A\n",
    "lists.gmt": "T cells\tna\tCD3D, CD3E, CD8A\nB cells\tna\tMS4A1;CD79A\n",
    "header.gmt": "name\tdescription\tgenes\nT cells\tna\tCD3D\tCD3E\tCD8A\nB cells\tna\tMS4A1\tCD79A\n",
    "weights.gmt": "T cells\tna\tCD3D,1.0\tCD3E,0.5\tCD8A,1e-3\nB cells\tna\tMS4A1|2\tCD79A\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_gene_sets(tmp_path, name):
    (tmp_path / name).write_text(FORMS[name])
    found = read_gene_sets(tmp_path / name)
    assert {term: set(genes) for term, genes in found.sets.items()} == {term: set(g) for term, g in SETS.items()}
    if name not in {"lists.gmt", "weights.gmt"}:
        assert found.findings, "what the sets were made from is said"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_table_of_cells_with_comments_and_empty_lines(tmp_path, encoding):
    path = tmp_path / "o.csv"
    path.write_text("# exported today\nbarcode,ct\nAAAC-1,T\n\nAAAG-1,B\n", encoding=encoding)
    table = read_cell_table(path)
    assert table.values.tolist() == [["AAAC-1", "T"], ["AAAG-1", "B"]]
    assert list(table.columns) == ["barcode", "ct"]


def test_binary_table_is_refused(tmp_path):
    path = tmp_path / "o.pkl"
    path.write_bytes(b"\x80\x05\x00\x00ab")
    with pytest.raises(InputError, match="binary data"):
        read_cell_table(path)


@pytest.mark.parametrize("column", ["Symbol", "external_gene_name", "GeneName", "Gene name", "gene.name", "features"])
def test_columns_of_symbols(column):
    assert symbol_column(pd.DataFrame({"n": [1, 2], column: ["TP53", "SOX2"]})) == column


def test_annotation_of_other_cells_is_found():
    rna = pd.DataFrame({"sample": ["a"] * 30 + ["b"] * 30, "cluster": list("xy") * 30, "n": range(60)})
    atac = rna.assign(sample=rna["sample"][::-1].to_numpy(), cluster=["x"] * 20 + ["y"] * 40)
    found = dict(permuted_annotations(rna, atac))
    assert list(found) == ["sample"]
    assert len(found["sample"]) == 60
    assert not dict(permuted_annotations(rna, rna))


def pair(order: np.ndarray) -> tuple[ad.AnnData, ad.AnnData]:
    rng = np.random.default_rng(0)
    cells = pd.DataFrame({"sample": np.repeat(["a", "b"], 30)}, index=[f"{i}" for i in range(60)])
    genes = pd.DataFrame(index=[f"G{i}X" for i in range(120)])
    peaks = pd.DataFrame(index=[f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(600)])
    rna = ad.AnnData(sparse.csr_matrix(rng.poisson(0.8, (60, 120)).astype(np.float32)), obs=cells, var=genes)
    atac = ad.AnnData(sparse.csr_matrix(rng.poisson(0.3, (60, 600)).astype(np.float32)), obs=cells, var=peaks)
    return rna, ad.AnnData(atac.X[order], obs=cells.iloc[order].set_axis(cells.index), var=peaks)


def test_shuffled_cells_under_numbers_are_refused():
    assert check_pair(*pair(np.arange(60))).data.n_obs == 60
    with pytest.raises(InputError, match="'sample' has the same values in both modalities, but for other cells"):
        check_pair(*pair(np.arange(60)[::-1]))


def test_both_transposed():
    rna, atac = pair(np.arange(60))
    with pytest.raises(InputError, match="are transposed: the rows of"):
        check_pair(rna.T.copy(), atac.T.copy())


@pytest.mark.parametrize("form", ["{} (ENSG0000010000{})", "rna_{}", " {} ", "Gene Expression:{}"])
def test_names_of_genes_are_tidied(form):
    rna, atac = pair(np.arange(60))
    plain = list(rna.var_names)
    rna.var_names = [form.format(name, i) for i, name in enumerate(plain)]
    assert list(check_pair(rna, atac).data.mod["rna"].var_names) == plain


def test_bed_of_four_columns_and_windows(tmp_path):
    path = tmp_path / "t.bed"
    path.write_text("".join(f"chr1\t{1000 * i}\t{1000 * i + 1}\tG{i}\n" for i in range(1, 30)))
    table = read_tss(path)
    assert table.frame["tss"].tolist() == [1000 * i for i in range(1, 30)]
    assert any("no strand" in finding.title for finding in table.findings)
    path.write_text("".join(f"chr1\t{9000 * i}\t{9000 * i + 2000}\tG{i}\t0\t+\n" for i in range(1, 30)))
    assert any("promoters, not transcripts" in finding.title for finding in read_tss(path).findings)


def test_transfac_columns_in_another_order(tmp_path):
    path = tmp_path / "m.txt"
    path.write_text("AC M1\nID GATA1\nP0\tT\tG\tC\tA\n01\t1\t2\t3\t4\tN\n02\t9\t0\t0\t1\tT\nXX\n//\n")
    assert read_motifs(path)[0].counts.T.tolist() == [[4, 3, 2, 1], [1, 0, 0, 9]]
