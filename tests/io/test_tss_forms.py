"""Start sites of forms that hold exons, count from 1 without saying so, or name genes by identifiers alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.tss import TssTable, read_tss
from mira_nb.io.tss_genes import name_sites
from tests.messages import refused

N = 12
GENES = [(f"Gene{n}", f"ENSG{n:011d}", f"chr{n % 5 + 1}", 10_000 * (n + 1), "+-"[n % 2]) for n in range(N)]
"""Symbol, identifier, chromosome, 0-based start and strand; each gene is 5,000 bp long and has three exons."""
SITES = {(symbol, chrom, start if strand == "+" else start + 4999, strand) for symbol, _, chrom, start, strand in GENES}
EXONS = ((0, 300), (2000, 2200), (4600, 5000))


def table(header: str, row: Callable[..., list[str]]) -> str:
    """Return a table with a row per gene."""
    return header + "\n" + "".join("".join(row(*gene)) for gene in GENES)


def exons(form: str) -> Callable[..., list[str]]:
    def rows(symbol: str, identifier: str, chrom: str, start: int, strand: str) -> list[str]:
        names = {"g": symbol, "i": identifier, "c": chrom, "s": strand}
        return [form.format(**names, zero=start + a, one=start + a + 1, end=start + b) for a, b in EXONS]

    return rows


def whole(form: str) -> Callable[..., list[str]]:
    def rows(symbol: str, identifier: str, chrom: str, start: int, strand: str) -> list[str]:
        sign, word = (1, "plus") if strand == "+" else (-1, "minus")
        site = start + 1 if strand == "+" else start + 5000
        names = {"g": symbol, "i": identifier, "c": chrom, "n": chrom[3:], "s": strand, "sign": sign, "word": word}
        return [form.format(**names, zero=start, one=start + 1, end=start + 5000, site=site)]

    return rows


def both(first: str, form: str) -> Callable[..., list[str]]:
    return lambda *gene: [*whole(first)(*gene), *exons(form)(*gene)]


GTF_BED = '{{c}}\t{{zero}}\t{{end}}\t{{i}}\t.\t{{s}}\tHAVANA\t{0}\t.\tgene_id "{{i}}"; gene_name "{{g}}";{1}\n'
TRANSCRIPT = ' transcript_id "T{i}";'
FORMS = {
    "saf": table("GeneID\tChr\tStart\tEnd\tStrand", exons("{g}\t{c}\t{one}\t{end}\t{s}\n")),
    "gtf as bed": table(
        "#from gtf",
        both(GTF_BED.format("transcript", TRANSCRIPT), GTF_BED.format("exon", TRANSCRIPT)),
    ),
    "genes and exons of gtf as bed": table("#from gtf", both(GTF_BED.format("gene", ""), GTF_BED.format("exon", ""))),
    "genes and exons of gtf as a table": table(
        "seqname,source,feature,start,end,score,strand,frame,gene_id,gene_name",
        both("{c},H,gene,{one},{end},,{s},0,{i},{g}\n", "{c},H,exon,{one},{end},,{s},0,{i},{g}\n"),
    ),
    "exons of gtf as a table": table(
        "seqname,source,feature,start,end,score,strand,frame,gene_id,gene_name",
        exons("{c},H,exon,{one},{end},,{s},0,{i},{g}\n"),
    ),
    "ranges without width": table("seqnames,start,end,strand,gene_name", whole("{c},{one},{end},{s},{g}\n")),
    "ranges with width and start site": table(
        "seqnames,start,end,width,strand,gene_name,tss", whole("{c},{one},{end},5000,{s},{g},{site}\n")
    ),
    "widths of intervals from 0": table(
        "seqnames,start,end,width,strand,gene_name", whole("{c},{zero},{end},5000,{s},{g}\n")
    ),
    "ensembldb": table(
        "symbol\tseq_name\tgene_seq_start\tgene_seq_end\tseq_strand", whole("{g}\t{c}\t{one}\t{end}\t{sign}\n")
    ),
    "annotables": table(
        "ensgene,entrez,symbol,chr,start,end,strand,biotype", whole("{i},1,{g},{c},{one},{end},{sign},protein_coding\n")
    ),
    "ncbi datasets": table(
        "Accession\tBegin\tEnd\tChromosome\tOrientation\tSymbol", whole("NC_1\t{one}\t{end}\t{c}\t{word}\t{g}\n")
    ),
    "biomart with versions": table(
        "Gene stable ID version\tChromosome/scaffold name\tGene start (bp)\tGene end (bp)\tStrand\tGene name",
        whole("{i}.3\t{c}\t{one}\t{end}\t{sign}\t{g}\n"),
    ),
}


def sites(found: TssTable) -> set[tuple[str, str, int, str]]:
    return set(found.frame[["gene", "chrom", "tss", "strand"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_sites(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.txt").write_text(FORMS[name])
    found = read_tss(tmp_path / "t.txt")
    assert sites(found) == SITES
    assert [item.code for item in found.findings if item.level == "warning"] == []


def test_exons_without_a_word_of_what_they_are_are_doubted(tmp_path: Path) -> None:
    bed = table("#chrom", exons("{c}\t{zero}\t{end}\t{g}\t0\t{s}\n"))
    (tmp_path / "exons.bed").write_text(bed)
    found = read_tss(tmp_path / "exons.bed")
    warning = next(item for item in found.findings if item.code == "input.tss_like_exons")
    assert (warning.values["n_genes"], warning.values["n_rows"]) == (N, 3 * N)
    transcripts = table("#chrom", whole("{c}\t{zero}\t{end}\t{g}\t0\t{s}\n" * 3))
    (tmp_path / "transcripts.bed").write_text(transcripts)
    assert not read_tss(tmp_path / "transcripts.bed").findings
    peaks = table(
        "#chrom",
        lambda *gene: [
            f"{gene[2]}\t{gene[3] + 400 * n}\t{gene[3] + 400 * n + 12 + n}\t{gene[0]}\t0\t{gene[4]}\n" for n in range(4)
        ],
    )
    (tmp_path / "cage.bed").write_text(peaks)
    assert not read_tss(tmp_path / "cage.bed").findings, "clusters of start sites are short"


def test_genes_without_a_symbol_keep_their_identifier(tmp_path: Path) -> None:
    rows = whole("{i}\t{n}\t{site}\t{sign}\t{g}\n")
    text = table("Gene stable ID\tChromosome/scaffold name\tTranscription start site (TSS)\tStrand\tGene name", rows)
    (tmp_path / "t.txt").write_text(text.replace("\tGene3\n", "\t\n").replace("\tGene5\n", "\tNA\n"))
    names = set(read_tss(tmp_path / "t.txt").frame["gene"])
    assert names == {gene[0] for gene in GENES} - {"Gene3", "Gene5"} | {GENES[3][1], GENES[5][1]}


def test_mature_mirnas_are_parts_of_their_transcript(tmp_path: Path) -> None:
    lines = []
    for symbol, _, chrom, start, strand in GENES:
        place = f"{chrom}\tBestRefSeq\t{{0}}\t{{1}}\t{{2}}\t.\t{strand}\t.\t"
        lines += [
            place.format("gene", start + 1, start + 5000) + f"ID=gene-{symbol};Name={symbol};gene={symbol}",
            place.format("primary_transcript", start + 1, start + 5000)
            + f"ID=rna-{symbol}.1;Parent=gene-{symbol};gene={symbol}",
            *(
                place.format("miRNA", start + at, start + at + 21)
                + f"ID=rna-{symbol}-{at};Parent=rna-{symbol}.1;gene={symbol}"
                for at in (1001, 1051)
            ),
        ]
    (tmp_path / "t.gff3").write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    assert sites(read_tss(tmp_path / "t.gff3")) == SITES


def test_a_table_of_unknown_columns_is_not_read_as_bed(tmp_path: Path) -> None:
    text = table("identifier\tfrom\tto\tmolecule\tside\tsign", whole("{i}\t{zero}\t{end}\t{g}\t0\t{s}\n"))
    (tmp_path / "t.txt").write_text(text)
    with refused("tss_columns_missing", ResourceError):
        read_tss(tmp_path / "t.txt")
    (tmp_path / "t.bed").write_text(table("a\tb\tc\td\te\tf", whole("{c}\t{zero}\t{end}\t{g}\t0\t{s}\n")))
    assert sites(read_tss(tmp_path / "t.bed")) == SITES, "over chromosomes any header is left out"


@pytest.mark.parametrize("form", ["{g}|{i}", "{i};{g}", "p1@{g}", "{g}_1", "{g},LOC1", "STRG.1|{g}", "{g}_{i}"])
def test_names_that_hold_the_gene_and_more_are_taken_apart(tmp_path: Path, form: str) -> None:
    (tmp_path / "t.bed").write_text(table("#chrom", whole("{c}\t{zero}\t{end}\t" + form + "\t0\t{s}\n")))
    var = pd.DataFrame(index=[gene[0] for gene in GENES])
    named = name_sites(read_tss(tmp_path / "t.bed"), var)
    assert named.n_genes == N
    assert set(named.frame["gene"]) == set(var.index)
    assert "parts" in named.how
    other = pd.DataFrame(index=[f"Other{n}" for n in range(N)])
    assert name_sites(read_tss(tmp_path / "t.bed"), other).n_genes == 0
