from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.tss import read_tss

# gene on + from 100 to 200: TSS 100; gene on - from 300 to 400: TSS 399
WANTED = {("Aa", "chr1", 100, "+"), ("Bb", "chr2", 399, "-")}
REFGENE = "585\tNM_{0}\t{1}\t{2}\t{3}\t{4}\t0\t0\t1\t{3},\t{4},\t0\t{5}\tcmpl\tcmpl\t0,"
GTF = '{0}\tsrc\t{5}\t{1}\t{2}\t.\t{3}\t.\tgene_id "ENSG1"; gene_name "{4}"; transcript_id "T{1}";'
GFF3 = "{0}\tsrc\tmRNA\t{1}\t{2}\t.\t{3}\t.\tID=x;Parent=y;gene={4}"

FORMATS = {
    "bed": "chr1\t100\t200\tAa\t0\t+\nchr2\t300\t400\tBb\t0\t-\n",
    "bed with track line": "track name=x\n#a comment\nchr1\t100\t200\tAa\t0\t+\nchr2\t300\t400\tBb\t0\t-\n",
    "table": "chrom\tstart\tend\tstrand\tgene_symbol\nchr1\t100\t200\t+\tAa\nchr2\t300\t400\t-\tBb\n",
    "hashed header": "#chrom\tchromStart\tchromEnd\tgene\tstrand\nchr1\t100\t200\tAa\t+\nchr2\t300\t400\tBb\t-\n",
    "csv": '"Chr","Start","End","Strand","Symbol"\n"chr1",100,200,1,"Aa"\n"chr2",300,400,-1,"Bb"\n',
    "tss column": "gene\tchrom\ttss\tstrand\nAa\tchr1\t100\t+\nBb\tchr2\t399\t-\n",
    "biomart": "Gene name\tChromosome/scaffold name\tTranscription start site (TSS)\tStrand\n"
    "Aa\tchr1\t101\t1\nBb\tchr2\t400\t-1\n",
    "gtf": "#!genome\n"
    + GTF.format("chr1", 101, 200, "+", "Aa", "gene")
    + "\n"
    + GTF.format("chr1", 101, 200, "+", "Aa", "transcript")
    + "\n"
    + GTF.format("chr1", 150, 160, "+", "Aa", "exon")
    + "\n"
    + GTF.format("chr2", 301, 400, "-", "Bb", "transcript")
    + "\n",
    "gtf of genes only": GTF.format("chr1", 101, 200, "+", "Aa", "gene")
    + "\n"
    + GTF.format("chr2", 301, 400, "-", "Bb", "gene")
    + "\n",
    "gff3": GFF3.format("chr1", 101, 200, "+", "Aa") + "\n" + GFF3.format("chr2", 301, 400, "-", "Bb") + "\n",
    "refGene": REFGENE.format(1, "chr1", "+", 100, 200, "Aa") + "\n" + REFGENE.format(2, "chr2", "-", 300, 400, "Bb"),
    "lisa2": "NM_1\tchr1\t+\t100\t200\t100,\t200,\tAa\t1-2\nNM_2\tchr2\t-\t300\t400\t300,\t400,\tBb\t1-2\n",
    "windows lines": "\ufeffchrom\tstart\tend\tstrand\tgene\r\nchr1\t100\t200\t+\tAa\r\nchr2\t300\t400\t-\tBb\r\n",
}


def sites(path: Path) -> set[tuple[str, str, int, str]]:
    frame = read_tss(path).frame
    return set(zip(frame["gene"], frame["chrom"], frame["tss"].tolist(), frame["strand"], strict=True))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_layout_gives_the_same_sites(tmp_path, name, packed):
    content = FORMATS[name].encode()
    path = tmp_path / "tss.txt"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert sites(path) == WANTED
    assert read_tss(path).findings == ()


def test_all_sites_are_kept_and_one_is_chosen_by_the_rule(tmp_path):
    rows = ["chr1\t500\t900\tAa\t0\t+"] * 2 + [
        "chr1\t100\t900\tAa\t0\t+",  # upstream, but fewer transcripts
        "chr6_alt\t7\t900\tCc\t0\t+",
        "chr6\t90\t950\tCc\t0\t-",
        "chr6\t80\t960\tCc\t0\t-",  # upstream on -, as many transcripts
    ]
    (tmp_path / "t.bed").write_text("\n".join(rows))
    table = read_tss(tmp_path / "t.bed")
    assert len(table.frame) == 5
    assert table.frame["n_transcripts"].tolist() == [2, 1, 1, 1, 1]
    chosen = table.one_per_gene()
    assert chosen[["gene", "chrom", "tss"]].to_numpy().tolist() == [["Aa", "chr1", 500], ["Cc", "chr6", 959]]


def test_unusable_rows_are_counted(tmp_path):
    rows = [
        "chrom\tstart\tend\tstrand\tgene",
        "chr1\t1\t5\t+\tA",
        "chr1\tx\t5\t+\tB",
        "chr1\t9\t5\t+\tC",
        "chr1\t1\t5\t+\t",
    ]
    (tmp_path / "t.tsv").write_text("\n".join([*rows, "chr1\t5\t8\t.\tD", "chr1\t5"]))
    table = read_tss(tmp_path / "t.tsv")
    assert table.frame["gene"].tolist() == ["A", "D"]
    assert [finding.title for finding in table.findings] == [
        "4 of 6 TSS rows were left out",
        "1 TSS rows have no strand",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("chrom\tstart\tend\tgene\nchr1\t1\t2\tA\n", "lacks strand"),
        ("chr1\t100\t200\nchr2\t1\t2\n", "lacks chrom"),
        ("a\tb\n1\t2\n", "lacks chrom, gene_symbol, start and end (or tss), strand"),
        ("\n# nothing\n", "has no rows"),
        ("chrom\tstart\tend\tstrand\tgene\nchr1\tx\ty\t+\tA\n", "none of 1 rows"),
    ],
)
def test_refused(tmp_path, content, expected):
    (tmp_path / "t.tsv").write_text(content)
    with pytest.raises(ResourceError) as caught:
        read_tss(tmp_path / "t.tsv")
    assert expected in str(caught.value)
    assert "--tss" in str(caught.value)


def test_binary_and_missing_files(tmp_path):
    with pytest.raises(ResourceError, match="does not exist"):
        read_tss(tmp_path / "no.tsv")
    (tmp_path / "b.tsv").write_bytes(b"abc\x00def\n")
    with pytest.raises(ResourceError, match="not a text file"):
        read_tss(tmp_path / "b.tsv")
    (tmp_path / "t.gz").write_bytes(gzip.compress(FORMATS["bed"].encode() * 500)[:-9])
    with pytest.raises(ResourceError, match="damaged or truncated gzip"):
        read_tss(tmp_path / "t.gz")


def test_refseq_of_human_and_mouse(shared_data):
    for name, n_genes in (("lisa2_hg38", 28_278), ("lisa2_mm10", 26_202)):
        table = read_tss(shared_data / "data" / "tss" / f"{name}.refseq.gz")
        assert table.frame["gene"].nunique() == n_genes
        assert table.one_per_gene()["gene"].is_unique
