"""Peak sets against a brute-force count over all peaks and all start sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mira_nb.chromosomes import match_chromosomes
from mira_nb.core.regulation.geometry import NO_CHROMOSOME, NO_PEAKS, NO_TSS, gene_peaks
from mira_nb.errors import InputError


def random_genome(seed: int, n_peaks: int = 400, n_genes: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 900_000, n_peaks)
    peaks = pd.DataFrame(
        {"chrom": rng.choice(["chr1", "chr2"], n_peaks), "start": start, "end": start + rng.integers(101, 900, n_peaks)}
    )
    tss = pd.DataFrame(
        {
            "gene": [f"G{i}" for i in rng.integers(0, n_genes, 2 * n_genes)],
            "chrom": rng.choice(["chr1", "chr2"], 2 * n_genes),
            "tss": rng.integers(0, 900_000, 2 * n_genes),
            "strand": rng.choice(["+", "-"], 2 * n_genes),
        }
    )
    return peaks, tss


def brute_force(
    peaks: pd.DataFrame, tss: pd.DataFrame, gene: str, chosen: tuple, *, window: int, promoter: int, rule: str
) -> list[tuple[int, float, int]]:
    chrom, position, strand = chosen
    out = []
    for number, peak in enumerate(peaks.itertuples()):
        centre = (peak.start + peak.end) / 2
        distance = abs(centre - position)
        if peak.chrom != chrom or distance > window:
            continue
        own = distance <= promoter
        taken = any(
            row.gene != gene
            and row.chrom == chrom
            and abs(centre - row.tss) <= promoter
            and (row.tss, row.strand) != (position, strand)
            for row in tss.itertuples()
        )
        if taken and (rule == "mask" or (rule == "keep_own" and not own)):
            continue
        before = (centre < position) if strand == "+" else (centre > position)
        out.append((number, distance, 1 if own else (0 if before else 2)))
    return sorted(out, key=lambda item: (item[2], item[1], item[0]))


@pytest.mark.parametrize("rule", ["mask", "keep_own", "keep"])
@pytest.mark.parametrize("seed", [0, 1])
def test_sets_equal_brute_force(seed: int, rule: str) -> None:
    peaks, tss = random_genome(seed)
    genes = sorted(set(tss["gene"]))
    sets = gene_peaks(peaks, tss, genes, window=200_000, promoter=1500, other_promoters=rule)
    for g, gene in enumerate(genes):
        rows = tss[tss["gene"] == gene]
        chosen = (sets.chrom[g], sets.tss[g], sets.strand[g])
        assert chosen in set(zip(rows["chrom"], rows["tss"], rows["strand"], strict=True))
        expected = brute_force(peaks, tss, gene, chosen, window=200_000, promoter=1500, rule=rule)
        index, distance, region = sets.of(g)
        assert list(zip(index, distance, region, strict=True)) == expected
    assert np.array_equal(sets.counts().sum(axis=1), sets.n_peaks)


def one_gene(rows: list[tuple], **options: object) -> tuple[int, str]:
    peaks = pd.DataFrame({"chrom": "1", "start": [900, 4900, 8900], "end": [1100, 5100, 9100]})
    tss = pd.DataFrame(rows, columns=["gene", "chrom", "tss", "strand", "n_transcripts"])
    sets = gene_peaks(peaks, tss, ["A"], **options)
    return int(sets.tss[0]), str(sets.status[0])


def test_rule_for_several_start_sites() -> None:
    rows = [("A", "1", 1000, "+", 1), ("A", "1", 5000, "+", 3), ("A", "1", 9000, "+", 3), ("A", "1_alt", 1, "+", 9)]
    assert one_gene(rows)[0] == 5000, "most transcripts, then the most upstream; main chromosomes first"
    minus = [(a, b, c, "-", n) for a, b, c, _, n in rows]
    assert one_gene(minus)[0] == 9000, "upstream on the minus strand is the larger position"
    assert one_gene(rows, openness=np.array([0.5, 0.1, 0.2]))[0] == 1000, "the most open promoter"


def test_same_start_site_under_two_names_does_not_mask() -> None:
    peaks = pd.DataFrame({"chrom": "chr1", "start": [900], "end": [1100]})
    tss = pd.DataFrame({"gene": ["A", "B"], "chrom": "chr1", "tss": [1000, 1000], "strand": "+"})
    assert gene_peaks(peaks, tss, ["A"]).n_peaks[0] == 1
    tss.loc[1, "tss"] = 1001
    masked = gene_peaks(peaks, tss, ["a"])
    assert masked.n_peaks[0] == 0
    assert masked.own_promoter_masked[0]
    assert masked.status[0] == NO_PEAKS


def test_borders_belong_to_the_sets() -> None:
    peaks = pd.DataFrame({"chrom": "c", "start": [0, 98_500, 98_498, 201_500], "end": [0, 98_500, 98_498, 201_500]})
    tss = pd.DataFrame({"gene": ["A"], "chrom": ["c"], "tss": [100_000], "strand": ["-"]})
    index, distance, region = gene_peaks(peaks, tss, ["A"], window=101_500).of(0)
    assert dict(zip(index, region, strict=True)) == {0: 2, 1: 1, 2: 2, 3: 0}
    assert dict(zip(index, distance, strict=True)) == {0: 100_000, 1: 1500, 2: 1502, 3: 101_500}


def test_names_of_chromosomes_and_reasons() -> None:
    found = match_chromosomes(["1", "MT", "7"], ["chr1", "chr1", "chrM", "chrUn"])
    assert found.mapping == {"1": "chr1", "MT": "chrM"}
    assert found.renamed == found.mapping
    assert found.unmatched == {"chrUn": 1}
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10]})
    tss = pd.DataFrame({"gene": ["A", "B"], "chrom": ["1", "7"], "tss": [5_000_000, 5], "strand": "+"})
    assert list(gene_peaks(peaks, tss, ["A", "B", "C"]).status) == [NO_PEAKS, NO_CHROMOSOME, NO_TSS]


def test_bad_tables_are_refused() -> None:
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10]})
    tss = pd.DataFrame({"gene": ["A"], "chrom": ["1"], "tss": [5], "strand": ["?"]})
    with pytest.raises(InputError, match="strand"):
        gene_peaks(peaks, tss, ["A"])
    with pytest.raises(InputError, match="no column end"):
        gene_peaks(peaks.drop(columns="end"), tss, ["A"])
