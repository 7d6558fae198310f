"""Bodies of genes that the stage regulation keeps, and coverage that the stage comparisons keeps."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import mira_nb
from mira_nb.core.regulation.geometry import gene_peaks
from mira_nb.io.fragments import read_fragments
from mira_nb.stages.comparisons.coverage import REACH, fragment_coverage
from mira_nb.stages.comparisons.stage import ComparisonsStage
from mira_nb.stages.regulation.gene_models import gene_models

SITES = pd.DataFrame(
    [
        ("Aa", "1", 1_000, "+", 1, "", 1_000, 9_000, "1000-1200,8000-9000"),
        ("Aa", "1", 400, "+", 5, "", 400, 9_000, "400-500,8000-9000"),
        ("Bb", "1", 7_999, "-", 1, "", 7_000, 8_000, ""),
        ("Bb", "1", 7_499, "-", 2, "", 7_000, 7_500, ""),
        ("NoBody", "1", 60, "+", 1, "", -1, -1, ""),
        ("Far", "1", 1_010_000, "+", 1, "", 1_010_000, 1_011_000, ""),
        ("Elsewhere", "9", 60, "+", 1, "", 60, 90, ""),
    ],
    columns=["gene", "chrom", "tss", "strand", "n_transcripts", "gene_id", "body_start", "body_end", "exons"],
)
PEAKS = pd.DataFrame({"chrom": ["chr1"] * 2, "start": [900, 5_000], "end": [1_100, 5_200]})


def test_the_transcript_of_the_site_in_use_is_kept() -> None:
    """With the open promoter another site of Aa is used than most transcripts share; Bb is not modelled."""
    sets = gene_peaks(PEAKS, SITES, ["Aa"], promoter=150, openness=np.array([1.0, 0.0]))
    assert sets.tss.tolist() == [1_000]
    found = gene_models(SITES, sets, PEAKS["chrom"])
    assert found["genes"].tolist() == ["Aa", "Bb"]
    assert found["chrom"].tolist() == ["chr1", "chr1"]
    assert found["tss"].tolist() == [1_000, 7_499]
    assert (found["start"].tolist(), found["end"].tolist()) == ([1_000, 7_000], [9_000, 7_500])
    assert found["indptr"].tolist() == [0, 2, 2]
    assert found["exon_start"].tolist() == [1_000, 8_000]
    assert found["exon_end"].tolist() == [1_200, 9_000]


def test_without_bodies_nothing_is_kept() -> None:
    sites = SITES.drop(columns=["body_start", "body_end", "exons"])
    assert gene_models(sites, gene_peaks(PEAKS, sites, ["Aa"]), PEAKS["chrom"]) == {}


def grouped(data: MuData) -> MuData:
    """Return cells with clusters and one modelled gene per chromosome of the peaks."""
    n = data.n_obs
    data.obs["leiden"] = pd.Categorical(np.where(np.arange(n) % 3, "0", "1"))
    data.obs["lineage_state"] = "root"
    var = data["atac"].var
    first = var.groupby(var["chrom"].astype(str), sort=True)["start"].first()
    data["rna"].uns["peak_sets"] = {
        "chrom": np.array([*first.index, "chr1"]), "tss": np.array([*first, -1]),
        "indptr": np.array([*range(len(first) + 1), len(first)]),
    }  # fmt: skip
    return data


def test_coverage_of_a_real_file_against_a_count_line_by_line(shared_data: Path) -> None:
    folder = shared_data / "data" / "pbmc_muon"
    data = grouped(mira_nb.read(mudata=folder / "test_rna_atac.h5mu"))
    path = folder / "test_rna_atac_fragments.tsv.gz"
    found = fragment_coverage(data, mira_nb.Resources(fragments=path))
    assert [item["name"] for item in found["groupings"].values()] == ["leiden"]  # one state is no grouping
    item, width = found["groupings"]["0"], found["width"]
    group_of = dict(zip(data.obs_names, data.obs["leiden"], strict=True))
    sets = data["rna"].uns["peak_sets"]
    sites = dict(zip(sets["chrom"][:-1], sets["tss"][:-1], strict=True))
    cuts: dict[tuple[str, str, int], int] = {}
    totals = {"0": 0, "1": 0}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            chrom, start, end, cell = line.split("\t")[:4]
            if cell not in group_of:
                continue
            totals[group_of[cell]] += 1
            for cut in (int(start), int(end) - 1):
                if chrom in sites and abs(cut - sites[chrom]) <= REACH:
                    key = group_of[cell], chrom, cut // width
                    cuts[key] = cuts.get(key, 0) + 1
    assert dict(zip(item["groups"], item["fragments"].tolist(), strict=True)) == totals
    assert sum(cuts.values()) > 100
    counted = item["cuts"].toarray()
    first = np.concatenate([[0], np.cumsum(found["n_bins"])])
    chroms = found["chrom"].tolist()
    for (group, chrom, place), n in cuts.items():
        region = chroms.index(chrom)
        column = first[region] + place - found["start"][region] // width
        inner = abs(place * width - sites[chrom]) < REACH - width  # bins at the ends reach beyond the window
        assert counted[item["groups"].tolist().index(group), column] >= n
        assert not inner or counted[item["groups"].tolist().index(group), column] == n


def test_nothing_is_kept_without_fragments_groups_or_peak_sets(tmp_path: Path) -> None:
    parts = {
        name: AnnData(sparse.csr_matrix(np.ones((4, 2), np.float32)), obs=pd.DataFrame(index=list("abcd")))
        for name in ("rna", "atac")
    }
    for name, part in parts.items():
        part.var_names = [f"{name}1", f"{name}2"]
    parts["atac"].var = pd.DataFrame({"chrom": "chr1", "start": [5, 90], "end": [20, 99]}, index=["p", "q"])
    data = MuData(parts)
    path = tmp_path / "f.tsv"
    path.write_text("chr1\t5\t15\ta\t1\nchr1\t8\t12\tb\t1\n")
    given = mira_nb.Resources(fragments=path)
    assert fragment_coverage(data, given) == {}  # no peak sets, no groups
    assert sum(len(part[0]) for part in read_fragments(path, list("abcd"), ["chr1"])) == 2
    grouped(data)
    assert fragment_coverage(data, mira_nb.Resources()) == {}
    assert fragment_coverage(data, given)["groupings"]["0"]["fragments"].tolist() == [1, 1]
    data.obs["leiden"] = pd.Categorical(["0"] * 4)
    assert fragment_coverage(data, given) == {}
    assert "fragments" in ComparisonsStage().used_resources(given)
