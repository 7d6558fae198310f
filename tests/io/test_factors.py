from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mira_nb.io.factors import find_factors, other_names, say_factors
from mira_nb.io.motif_hits import read_motif_hits
from mira_nb.io.read import read_input
from mira_nb.run.check import check_input
from tests.messages import codes, values

FACTORS = ["CTCF", "GATA1", "SPI1"]
GENES = [*FACTORS, "CD34", "IL6", "DISC1", "TF", "SET"]


def planted(n: int = 60):
    """Peaks, and sites in the middle of them whose factors repeat; every fourth peak has no site."""
    start = np.arange(n) * 100
    peaks = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 50}).set_axis([f"p{s}" for s in start])
    truth = np.array([[row % 4 == place for place in range(3)] for row in range(n)])
    sites = [(s + 20, s + 30, FACTORS[row % 4], row) for row, s in enumerate(start) if row % 4 < 3]
    return peaks, truth, sites


def write(path, sites, form):
    path.write_text("".join(f"chr1\t{s}\t{e}\t{form(factor, row)}\t0\t.\n" for s, e, factor, row in sites))
    return path


FORMS = {
    "plain": lambda f, i: f,
    "remap": lambda f, i: f"GSE{100 + i % 5}.{f}.K562_IL6",
    "remap of encode": lambda f, i: f"ENCSR000AA{i % 5}.{f}.CD34",
    "remap, not redundant": lambda f, i: f"{f}:K562,CD34" if i % 2 else f"{f}:GM12878",
    "chip-atlas": lambda f, i: (
        f"ID=SRX{i % 4};Name={f}%20(@%20CD34%20+);Title=GSM1:%20{FACTORS[i % 3]};Cell%20group=Blood"
    ),
    "unibind": lambda f, i: f"EXP{i % 4}_CD34--IL6_{f}_MA0139.1",
    "jaspar at ucsc": lambda f, i: f"MA0139.1_{f}",
    "homer": lambda f, i: f"{f}(Zf),DR1/CD34-{FACTORS[i % 3]}-ChIP-Seq(GSE{i % 3})/Homer",
    "replicates": lambda f, i: f"{f}_rep{i % 2}_peak_{i}",
    "factor and cell": lambda f, i: f"{f}_{'CD34' if i % 3 else 'K562'}",
    "cell and factor": lambda f, i: f"{'CD34' if i % 3 else 'K562'}|{f}",
    "word and factor": lambda f, i: f"TF.{f}.{i % 3}",
    "numbered sites": lambda f, i: f"site{i}:{f}",
}


@pytest.mark.parametrize("form", FORMS)
def test_sites_of_every_collection_give_the_same_hits(tmp_path, form):
    peaks, truth, sites = planted()
    found = read_motif_hits(write(tmp_path / "h.bed", sites, FORMS[form]), peaks, GENES)
    assert found.factors["name"].tolist() == found.factors["id"].tolist() == FACTORS
    np.testing.assert_array_equal(found.hits.toarray() > 0, truth)
    assert found.hits.max() == 1  # sites of several experiments are one hit
    assert codes(found.findings, "warning") == (["hits_of_called_peaks"] if form == "replicates" else [])
    assert ("factors_read" in codes(found.findings)) == (form != "plain")


def test_names_that_were_read_are_counted(tmp_path):
    peaks, _, sites = planted()
    form = FORMS["remap"]
    sites += [(5, 6, "H3K27ac", 0), (7, 8, "H3K4me1", 0)]
    found = read_motif_hits(write(tmp_path / "h.bed", sites, form), peaks, GENES)
    assert values(found.findings, "factors_read")["n_names"] == len({form(f, i) for _, _, f, i in sites})
    assert found.factors["name"].tolist() == [*FACTORS, "H3K27ac", "H3K4me1"]


def test_sites_of_factors_that_are_no_genes_are_merged_where_the_others_are(tmp_path):
    peaks, truth, sites = planted()
    path = write(tmp_path / "h.bed", sites, lambda f, i: f"{f}:K562,cell{i}")
    found = read_motif_hits(path, peaks, ["CTCF", "GATA1"])  # SPI1 is not expressed
    assert found.factors["name"].tolist() == FACTORS
    np.testing.assert_array_equal(found.hits.toarray() > 0, truth)


def test_no_gene_no_guess():
    found = find_factors([("a", "ZZZ_CD34"), ("b", "set_1"), ("c", "TF.9")], ["CTCF", "SET", "TF"])
    assert found.names == ["ZZZ_CD34", "set_1", "TF.9"]
    assert found.known == [False] * 3
    assert say_factors(found.read) == []
    assert find_factors([("x", "GSE1.CTCF.K562")]).names == ["CTCF"]
    many = [("", f"name_{number}") for number in range(100)]
    assert find_factors([*many, ("", "SPI1_7")], GENES).known == [False] * 101  # one by chance


@pytest.mark.parametrize("own", [True, False])
def test_check_says_how_many_factors_are_genes(small_demo, tmp_path, own):
    text = ["chr1\t0\t200000000\tOddity\n"]
    gene = read_input(small_demo.spec).data["rna"].var_names[0]
    if own:
        text += [f"chr1\t0\t200000000\tGSE{number}.{gene}.K562\n" for number in range(3)]
    (tmp_path / "h.bed").write_text("".join(text))
    resources = replace(small_demo.resources, genome=None, motifs=None, motif_hits=tmp_path / "h.bed")
    report = check_input(small_demo.spec, resources, requirements={})
    said = re.sub(r"\s+", " ", report.render())
    said_of = "2 factors; 1 of these is a gene" if own else "1 factor; 0 of these are genes"
    assert f"hits of {said_of} of the data" in said
    assert ("No factor of the hits is a gene of the data" in said) == (not own)
    assert ("The factors of 1 of 2 motifs are no genes of the data" in said) == own


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("ANDR", "AR"), ("hxa9", "HOXA9"), ("PO2F1", "POU2F1"), ("NKX25", "NKX2-5"), ("ZN143", "ZNF143"), ("ITF2", "TCF4"),
     ("NFAC2", "NFATC2"), ("PU.1", "SPI1"), ("Kaiso", "ZBTB33")],
)  # fmt: skip
def test_other_names_of_genes(name, symbol):
    assert other_names(name) == [symbol]


def test_other_names_only_where_the_name_is_no_gene():
    texts = [("", "ITF2_HUMAN.H11MO.0.A"), ("", "BMAL1_HUMAN.H11MO.0.A"), ("", "P53_HUMAN.H11MO.0.A")]
    assert find_factors(texts, ["TCF4", "ARNTL", "RELA"]).names == ["TCF4", "ARNTL", "P53"]
    assert find_factors(texts, ["ITF2", "TCF4", "BMAL1", "TP53"]).names == ["ITF2", "BMAL1", "TP53"]
    assert find_factors([("", "NRF2::MAFK")], ["NFE2L2"]).names == ["NFE2L2::MAFK"]
