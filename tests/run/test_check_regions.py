"""What `check` says of assemblies, of where peaks lie and of the depth of the cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData, set_options
from scipy import sparse
from typer.testing import CliRunner

from mira_nb.cli import app
from mira_nb.errors import ResourceError
from mira_nb.io.genome import sequence_lengths
from mira_nb.io.resources import Resources
from mira_nb.run.check_regions import check_genome_lengths, compare_assemblies, describe_depth, describe_regions
from tests.messages import codes, refused, values

N = 800
PLACES = np.random.default_rng(0).permutation(4 * N)[:N] * 20_000 + 200_000


def pair(chrom: list[str] | None = None, names: list[str] | None = None) -> MuData:
    """Every gene has a peak at its start site; every cell has one count per feature it holds."""
    start = PLACES if chrom is None else np.arange(len(chrom)) * 100
    var = pd.DataFrame({"chrom": chrom or "chr1", "start": start, "end": start + 50}, dtype=None)
    var.index = [f"p{i}" for i in range(len(var))]
    genes = names or [f"G{i}" for i in range(N)]
    cells = [f"c{i}" for i in range(4)]
    with set_options(pull_on_update=False):
        return MuData(
            {
                name: ad.AnnData(
                    sparse.csr_matrix(np.ones((4, len(table)), np.float32)), pd.DataFrame(index=cells), table
                )
                for name, table in (("rna", pd.DataFrame(index=genes)), ("atac", var))
            }
        )


def write_tss(path: Path, shift: int) -> Resources:
    rows = [f"chr1\t{place + shift}\t{place + shift + 900}\tG{i}\t0\t+" for i, place in enumerate(PLACES)]
    path.write_text("\n".join(rows))
    return Resources(tss=path)


def test_start_sites_of_another_assembly_do_not_coincide_with_peaks(tmp_path):
    data = pair()
    assert compare_assemblies(write_tss(tmp_path / "right.bed", 0), data) == []
    # 200 kb further: every place is again a multiple of 20 kb, so that peaks are met as often as by chance
    found = compare_assemblies(write_tss(tmp_path / "wrong.bed", 200_000), data)
    assert codes(found, "warning") == ["tss_not_in_peaks"]


def test_positions_beyond_an_end_are_counted(tmp_path):
    data = pair()
    last = int(PLACES.max())
    peaks = data["atac"].var
    assert check_genome_lengths([("1", last + 50)], peaks) == []
    found = check_genome_lengths([("1", last + 49)], peaks)
    beyond = values(found, "beyond_chromosome")
    assert (beyond["n_outside"], beyond["n_peaks"], beyond["what"], beyond["length"]) == (1, 800, "peaks", last + 49)
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 100_000 + "\n")
    resources = replace(write_tss(tmp_path / "t.bed", 0), genome=tmp_path / "g.fa")
    n = int((PLACES >= 400_000).sum())
    beyond = values(compare_assemblies(resources, data), "beyond_chromosome")
    assert (beyond["n_outside"], beyond["n_peaks"], beyond["what"]) == (n, 800, "start sites")


def test_assembly_of_the_genome_is_told_by_its_length():
    peaks = pair()["atac"].var.assign(genome="GRCh38")
    assert check_genome_lengths([("chr1", 248_956_422)], peaks) == []
    found = check_genome_lengths([("chr1", 249_250_621)], peaks)
    assert values(found, "genome_of_other_assembly") == {"ours": "hg38", "theirs": "hg19"}


def test_a_name_twice_and_letters_that_are_none(tmp_path):
    found = check_genome_lengths([("chr1", 10**9), ("chr1", 4)], pair()["atac"].var)
    assert values(found, "genome_repeated_names") == {"n_sequences": 1, "example": "chr1"}
    (tmp_path / "g.fa").write_text(">chr1\nACGUUGCA\n")
    with refused("genome_not_dna", ResourceError, sequence="chr1"):
        sequence_lengths(tmp_path / "g.fa")


def test_peaks_are_counted_by_kind_of_chromosome():
    data = pair(["chr1", "chr2", "chrX", "chrY", "chrM", "chrUn_KI270742v1", "GL000194.1", "chrX"])
    found = describe_regions(data)
    assert codes(found, "warning") == ["peaks_by_chromosome"]
    assert values(found, "peaks_by_chromosome")["places"] == [
        {"where": "x", "n": 2, "fraction": 0.25},
        {"where": "y", "n": 1, "fraction": 0.125},
        {"where": "mitochondrion", "n": 1, "fraction": 0.125},
        {"where": "contigs", "n": 2, "fraction": 0.25},
    ]
    assert describe_regions(pair()) == []


def test_cells_that_thresholds_would_keep():
    data = pair(names=[*(f"MT-{i}" for i in range(200)), *(f"G{i}" for i in range(600))])
    genes = np.zeros((4, 800), dtype=np.float32)
    for row, filled in enumerate((slice(0, 200), slice(0, 800), slice(200, 600), slice(199, 200))):
        genes[row, filled] = 1
    data["rna"].X = sparse.csr_matrix(genes)
    found = values(describe_depth(data), "cells_by_depth")
    assert found["n_cells"] == 4
    assert found["genes"] == [{"least": 200, "n": 3}, {"least": 500, "n": 1}]
    assert found["peaks"] == [{"least": 200, "n": 4}, {"least": 1000, "n": 0}]
    assert (found["n_mitochondrial"], found["most_mitochondrial"]) == (1, 0.2)


def test_blacklist_counts_peaks(small_demo, tmp_path):
    peaks = ad.read_h5ad(small_demo.spec.atac).var_names[:3]
    places = [name.replace(":", "-").split("-") for name in peaks]
    (tmp_path / "b.bed").write_text("".join(f"{c}\t{int(s) + 1}\t{int(s) + 2}\n" for c, s, _ in places))
    given = ["check", "--rna", str(small_demo.spec.rna), "--atac", str(small_demo.spec.atac)]
    result = CliRunner().invoke(app, [*given, "--blacklist", str(tmp_path / "b.bed")])
    text = " ".join(result.stdout.split())
    assert "--blacklist b.bed: 3 regions; 3 of 1,200 peaks" in text
    assert "warning: Peaks lie in blacklisted regions" in text
    assert result.exit_code == 0
