from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.tss import TssTable, read_tss
from mira_nb.io.tss_genes import name_sites
from tests.messages import codes, refused, values

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
    "refFlat": "Aa\tNM_1\tchr1\t+\t100\t200\t110\t190\t1\t100,\t200,\n"
    "Bb\tNM_2\tchr2\t-\t300\t400\t310\t390\t1\t300,\t400,\n",
    "table browser": "#hg38.knownGene.name\thg38.knownGene.chrom\thg38.knownGene.strand\thg38.knownGene.txStart\t"
    "hg38.knownGene.txEnd\thg38.knownGene.exonCount\thg38.knownGene.exonStarts\thg38.knownGene.exonEnds\t"
    "hg38.kgXref.geneSymbol\nENST1.1\tchr1\t+\t100\t200\t1\t100,\t200,\tAa\n"
    "ENST2.1\tchr2\t-\t300\t400\t1\t300,\t400,\tBb\n",
    "granges": '"seqnames","start","end","width","strand","gene_name"\n"chr1",101,200,100,"+","Aa"\n'
    '"chr2",301,400,100,"-","Bb"\n',
    "bed with numbers for strands": "chr1\t100\t200\tAa\t0\t1\nchr2\t300\t400\tBb\t0\t-1\n",
    "gtf of exons": GTF.format("chr1", 101, 120, "+", "Aa", "exon").replace("T101", "T1")
    + "\n"
    + GTF.format("chr1", 150, 200, "+", "Aa", "exon").replace("T150", "T1")
    + "\n"
    + GTF.format("chr2", 390, 400, "-", "Bb", "exon").replace("T390", "T2")
    + "\n"
    + GTF.format("chr2", 301, 310, "-", "Bb", "exon").replace("T301", "T2")
    + "\n",
    "ensembl gff3": "##gff-version 3\n"
    "chr1\te\tchromosome\t1\t900\t.\t.\t.\tID=chromosome:1\n"
    "chr1\te\tgene\t101\t200\t.\t+\t.\tID=gene:ENSG1;Name=Aa;gene_id=ENSG1\n"
    "chr1\te\tmRNA\t101\t200\t.\t+\t.\tID=transcript:T1;Parent=gene:ENSG1;Name=Aa-201;transcript_id=T1\n"
    "chr1\te\texon\t101\t120\t.\t+\t.\tParent=transcript:T1;Name=E1\n"
    "chr2\te\tncRNA_gene\t301\t400\t.\t-\t.\tID=gene:ENSG2;Name=Bb;gene_id=ENSG2\n"
    "chr2\te\tmiRNA\t301\t400\t.\t-\t.\tID=transcript:T2;Parent=gene:ENSG2;Name=Bb-201\n",
    "gff3 whose transcripts are missing": "chr1\te\tgene\t101\t200\t.\t+\t.\tID=g1;gene_name=Aa\n"
    "chr1\te\tmRNA\t101\t200\t.\t+\t.\tID=t1;Parent=g1;gene_name=Aa\n"
    "chr2\te\tpseudogene\t301\t400\t.\t-\t.\tID=g2;gene_name=Bb\n",
    "genePred without a bin": "".join(
        REFGENE.format(*row).removeprefix("585\t") + "\n"
        for row in ((1, "chr1", "+", 100, 200, "Aa"), (2, "chr2", "-", 300, 400, "Bb"))
    ),
    "biomart of transcripts": "Gene stable ID\tGene name\tChromosome/scaffold name\tTranscript start (bp)\t"
    "Transcript end (bp)\tStrand\nENSG1\tAa\tchr1\t101\t200\t1\nENSG2\tBb\tchr2\t301\t400\t-1\n",
    "biomart in R": "ensembl_gene_id,external_gene_name,chromosome_name,start_position,end_position,strand\n"
    "ENSG1,Aa,chr1,101,200,1\nENSG2,Bb,chr2,301,400,-1\n",
    "row names without a column name": '"seqnames"\t"start"\t"end"\t"width"\t"strand"\t"gene_name"\n'
    '"1"\t"chr1"\t101\t200\t100\t"+"\t"Aa"\n"2"\t"chr2"\t301\t400\t100\t"-"\t"Bb"\n',
    "bed with five columns": "chr1\t100\t200\tAa\t+\nchr2\t300\t400\tBb\t-\n",
    "bed with blanks": "chr1 100 200 Aa 0 +\nchr2 300 400 Bb 0 -\n",
    "semicolons and words": "chrom;start;end;gene;strand\nchr1;100;200;Aa;forward\nchr2;300;400;Bb;reverse\n",
    "gff3 with sequences": GFF3.format("chr1", 101, 200, "+", "Aa")
    + "\n"
    + GFF3.format("chr2", 301, 400, "-", "Bb")
    + "\n##FASTA\n>chr1\nACGT\n",
    "old mac lines": "chrom\tstart\tend\tstrand\tgene\rchr1\t100\t200\t+\tAa\rchr2\t300\t400\t-\tBb\r",
    "biomart through R": '"Gene.stable.ID","Gene.name","Chromosome.scaffold.name","Gene.start..bp.",'
    '"Gene.end..bp.","Strand"\n'
    '"ENSG1","Aa","chr1",101,200,1\n"ENSG2","Bb","chr2",301,400,-1\n',
    "start sites through R": "Gene.name\tChromosome.scaffold.name\tTranscription.start.site..TSS.\tStrand\n"
    "Aa\tchr1\t101\t1\nBb\tchr2\t400\t-1\n",
    "quoted commas before": '"","hgnc_symbol","description","chromosome_name","start_position",'
    '"end_position","strand"\n'
    '"1","Aa","kinase, alpha, beta","chr1",101,200,1\n"2","Bb","one","chr2",301,400,-1\n',
    "one quoted comma in every row": "hgnc_symbol,description,chromosome_name,start_position,end_position,strand\n"
    'Aa,"kinase, alpha",chr1,101,200,1\nBb,"two, parts",chr2,301,400,-1\n',
    "quoted commas behind": "hgnc_symbol,chromosome_name,start_position,end_position,strand,description\n"
    'Aa,chr1,101,200,1,"kinase, alpha"\nBb,chr2,301,400,-1,"a, b, c"\n',
    "commas without quotes behind": "hgnc_symbol,chromosome_name,start_position,end_position,strand,description\n"
    "Aa,chr1,101,200,1,kinase, alpha\nBb,chr2,301,400,-1,beta, gamma\n",
    "quotes of R inside": 'gene;text;chrom;start;end;strand\n"Aa";"the \\"x\\"; gene";chr1;100;200;+\n'
    '"Bb";"a ""y""; gene";chr2;300;400;-\n',
    "an inch and no quote": "gene\ttext\tchrom\tstart\tend\tstrand\n"
    'Aa\t5" long\tchr1\t100\t200\t+\nBb\t"odd\tchr2\t300\t400\t-\n',
    "blanks and quotes": '"gene" "text" "chrom" "start" "end" "strand"\n'
    '"1" "Aa" "kinase alpha" "chr1" 1e+02 200 "+"\n"2" "Bb" "x" "chr2" 300 4e+02 "-"\n',
    "trailing separators": "chrom,start,end,strand,gene\nchr1,100,200,+,Aa,\nchr2,300,400,-,Bb,\n",
    "granges with exponents": '"seqnames","start","end","width","strand","gene_name"\n'
    '"chr1",101,2e+02,1e+02,"+","Aa"\n"chr2",301,4e+02,1e+02,"-","Bb"\n',
    "bed with exponents": "chr1\t1e+02\t200\tAa\t0\t+\nchr2\t3e+02\t4e+02\tBb\t0\t-\n",
    "gtf with exponents": GTF.format("chr1", 101, "2e+02", "+", "Aa", "transcript")
    + "\n"
    + GTF.format("chr2", 301, "4e+02", "-", "Bb", "transcript")
    + "\n",
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


def test_text_that_excel_saves_is_read(tmp_path):
    (tmp_path / "t.txt").write_bytes(FORMATS["table"].encode("utf-16"))
    assert sites(tmp_path / "t.txt") == WANTED


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (
            # what Signac writes of its annotation: a row per part of a transcript, which are no start sites
            '"seqnames","start","end","width","strand","tx_id","gene_name","type"\n'
            '"chr1",101,120,20,"+","T1","Aa","utr"\n"chr1",150,200,51,"+","T1","Aa","exon"\n'
            '"chr2",390,400,11,"-","T2","Bb","exon"\n"chr2",301,310,10,"-","T2","Bb","cds"\n',
            "tss_parts_joined",
        ),
        (
            "chrom\tstart\tend\tstrand\tgene\nchr1\t100\t200\t+\tAa\nchr2\t400\t300\t-\tBb\n",
            "tss_turned",
        ),
        (
            "chrom\tstart\tend\tstrand\tgene\nchr1\t101\t101\t+\tAa\nchr2\t400\t400\t-\tBb\n",
            "tss_points",
        ),
    ],
)
def test_what_was_assumed_is_said(tmp_path, content, finding):
    (tmp_path / "t.txt").write_text(content)
    assert sites(tmp_path / "t.txt") == WANTED
    assert codes(read_tss(tmp_path / "t.txt").findings) == [finding]


def test_genes_of_the_data_are_lost_for_a_reason(tmp_path):
    (tmp_path / "t.tsv").write_text(
        "chrom\tstart\tend\tstrand\tgene\nchr1\t1\t5\t+\tHLA-A\nchr1\t9\t5\t+\tLOST\nchr1\t9\t5\t+\tKEPT\n"
        "chr1\t5\t9\t+\tKEPT\n"
    )
    named = name_sites(read_tss(tmp_path / "t.tsv"), pd.DataFrame(index=["HLA.A", "LOST", "NONE", "NADA", "KEPT"]))
    assert named.n_genes == 2
    assert named.n_spelt == 1
    assert named.reasons() == {
        "not in the file": (2, "NONE"),
        "rows with an end that is not behind the start": (1, "LOST"),
    }


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


@pytest.mark.parametrize("last", [True, False])
def test_rows_with_a_separator_too_many_are_counted_and_not_shifted(tmp_path, last):
    path = tmp_path / "t.csv"
    head, rows = ("chrom,start,end,strand,text,gene", ["chr1,100,200,+,{},Aa", "chr2,300,400,-,{},Bb"])
    if not last:
        head, rows = ("gene,text,chrom,start,end,strand", ["Aa,{},chr1,100,200,+", "Bb,{},chr2,300,400,-"])
    path.write_text("\n".join([head, rows[0].format("x"), rows[1].format("kinase, alpha")]) + "\n")
    table = read_tss(path)
    assert table.frame["gene"].tolist() == ["Aa"]
    assert values(table.findings, "tss_rows_left_out")["n_bad"] == 1


@pytest.mark.parametrize("digits", [0, 1])
def test_positions_that_lost_digits_are_left_out_and_exact_ones_are_read(tmp_path, digits):
    path = tmp_path / "genes.gtf"
    starts = [1_000_001 + 200_000 * i for i in range(60)]
    shown = [f"{start:.{digits}e}" if i % 5 == 0 else str(start) for i, start in enumerate(starts)]
    both = enumerate(zip(shown, starts, strict=True))
    rows = [GTF.format("chr1", a, b + 5000, "+-"[i // 5 % 2], f"G{b}", "gene") for i, (a, b) in both]
    path.write_text("\n".join(rows) + "\n")
    table = read_tss(path)
    assert values(table.findings, "tss_rows_left_out")["n_bad"] == 12
    wanted = [start + 4999 if i // 5 % 2 else start - 1 for i, start in enumerate(starts) if i % 5]
    assert table.frame["tss"].tolist() == wanted
    # R writes only those so whose digits are all there
    exact = [GTF.format("chr1", f"{i}e+06", i * 10**6 + 5000, "+", f"G{i}", "gene") for i in range(1, 10)]
    path.write_text("\n".join(exact) + "\n")
    assert read_tss(path).frame["tss"].tolist() == [i * 10**6 - 1 for i in range(1, 10)]
    assert read_tss(path).findings == ()


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
    assert codes(table.findings) == ["tss_rows_left_out", "tss_without_strand"]
    left_out = values(table.findings, "tss_rows_left_out")
    assert (left_out["n_bad"], left_out["n_rows"]) == (4, 6)
    assert values(table.findings, "tss_without_strand")["n_unstranded"] == 1


COLUMNS = ["chrom", "gene_symbol", "start and end (or tss)", "strand"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("chrom\tstart\tend\tgene\nchr1\t1\t2\tA\n", ("tss_columns_missing", {"lacking": ["strand"]})),
        ("chr1\t100\t200\nchr2\t1\t2\n", ("tss_columns_missing", {})),
        (
            "a\tb\n1\t2\n",
            ("tss_columns_missing", {"lacking": ["chrom", "gene_symbol", "start and end (or tss)", "strand"]}),
        ),
        ("\n# nothing\n", ("tss_empty", {})),
        ("chrom\tstart\tend\tstrand\tgene\nchr1\tx\ty\t+\tA\n", ("tss_without_sites", {"n_rows": 1})),
        ("chrom\tstart\tend\tstrand\tgene\nchr1\t1\t2\t0\tA\nchr1\t1\t2\t1\tB\n", ("tss_strands_ambiguous", {})),
        ('chr1\tx\tCDS\t1\t5\t.\t+\t0\tgene_id "A"; transcript_id "B";\n', ("tss_without_genes", {})),
    ],
)
def test_refused(tmp_path, content, expected):
    (tmp_path / "t.tsv").write_text(content)
    code, wanted = expected
    with refused(code, ResourceError, **wanted):
        read_tss(tmp_path / "t.tsv")


def test_binary_and_missing_files(tmp_path):
    with refused("path_missing", ResourceError):
        read_tss(tmp_path / "no.tsv")
    (tmp_path / "b.tsv").write_bytes(b"abc\x00def\n")
    with refused("binary_file", ResourceError):
        read_tss(tmp_path / "b.tsv")
    (tmp_path / "t.gz").write_bytes(gzip.compress(FORMATS["bed"].encode() * 500)[:-9])
    with refused("gzip_damaged", ResourceError):
        read_tss(tmp_path / "t.gz")


def test_refseq_of_human_and_mouse(shared_data):
    for name, n_genes in (("lisa2_hg38", 28_278), ("lisa2_mm10", 26_202)):
        table = read_tss(shared_data / "data" / "tss" / f"{name}.refseq.gz")
        assert table.frame["gene"].nunique() == n_genes
        assert table.one_per_gene()["gene"].is_unique


GENES = (
    'chr1\tx\ttranscript\t{0}\t{1}\t.\t+\t.\tgene_id "ENSG0000000000{2}.7"; gene_name "S{2}"; transcript_id "T{2}";\n'
)


@pytest.mark.parametrize(
    ("var", "how"),
    [
        (pd.DataFrame(index=["S1", "S2", "S3"]), "gene names of the file with the names"),
        (pd.DataFrame(index=["s1", "s2", "s3"]), "gene names of the file with the names"),
        (pd.DataFrame(index=[f"ENSG0000000000{i}" for i in (1, 2, 3)]), "gene identifiers of the file with the names"),
        (pd.DataFrame(index=[f"ENSG0000000000{i}.2" for i in (1, 2, 3)]), "gene identifiers of the file"),
        (
            pd.DataFrame({"gene_ids": [f"ENSG0000000000{i}" for i in (1, 2, 3)]}, index=["old1", "old2", "old3"]),
            "gene identifiers of the file with var['gene_ids']",
        ),
    ],
)
def test_sites_take_the_names_of_the_data(tmp_path, var, how):
    path = tmp_path / "genes.gtf"
    path.write_text("".join(GENES.format(100 * i + 1, 100 * i + 50, i) for i in (1, 2, 3, 4)))
    named = name_sites(read_tss(path), var)
    assert named.n_genes == 3
    assert named.how.startswith(how)
    tss = named.frame.set_index("gene")["tss"]
    assert tss.loc[list(var.index)].tolist() == [100, 200, 300]


def _twice(path: Path) -> Path:
    """Write ten genes on chr1, of which the symbols of three occur again on chr9 with other identifiers."""
    rows = [GENES.format(100 * i + 1, 100 * i + 50, i) for i in range(10)]
    again = [
        GENES.format(1, 9, i).replace("chr1", "chr9").replace("ENSG", "ENSG9").replace('"T', '"Q') for i in (2, 4, 5)
    ]
    path.write_text("".join(again + rows))
    return path


def test_identifiers_choose_between_genes_of_one_symbol(tmp_path):
    table = read_tss(_twice(tmp_path / "genes.gtf"))
    var = pd.DataFrame({"Gene.IDs": [f"ENSG0000000000{i}.3" for i in range(10)]}, index=[f"S{i}" for i in range(10)])
    named = name_sites(table, var)
    assert named.how == "gene identifiers of the file with var['Gene.IDs'] of the data"
    one = replace(table, frame=named.frame).one_per_gene().set_index("gene")
    assert one.loc[var.index, "chrom"].tolist() == ["chr1"] * 10
    assert one.loc[var.index, "tss"].tolist() == [100 * i for i in range(10)]
    assert named.scattered == {}
    # genes whose identifier is not in the file are found by symbol, none twice
    named = name_sites(table, var.assign(**{"Gene.IDs": [*var["Gene.IDs"][:9], "ENSG00000000077"]}))
    assert named.n_genes == 10
    assert named.frame["gene"].tolist()[3:] == list(var.index)


def test_symbols_of_several_genes_are_counted_where_only_symbols_match(tmp_path):
    table = read_tss(_twice(tmp_path / "genes.gtf"))
    named = name_sites(table, pd.DataFrame(index=[f"S{i}" for i in range(10)]))
    assert named.scattered == {f"S{i}": ("chr9", "chr1") for i in (2, 4, 5)}
    # the regions that X and Y share, and contigs beside chromosomes, are no other genes
    frame = pd.DataFrame({"gene": ["A", "A", "B", "B", "C", "C"], "tss": 5, "strand": "+", "gene_id": ""})
    frame["chrom"] = ["chrX", "chrY", "6", "GL000194.1", "chr6", "chr6_alt"]
    assert name_sites(TssTable(frame.assign(n_transcripts=1), "bed"), pd.DataFrame(index=list("ABC"))).scattered == {}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("".join(f"chr1\t{i}00\t{i}50\tx_peak_{i}\t9\t.\t5\t9\t7\t10\n" for i in range(1, 9)), "peaks"),
        ("".join(f"chr1\t{i}00\t{i}50\tENST0000000000{i}.1\t0\t+\n" for i in range(1, 9)), "transcripts"),
        (
            "".join(
                f'chr1\tucsc\texon\t{i}00\t{i}50\t0.0\t+\t.\tgene_id "NM_{i}.1"; transcript_id "NM_{i}.1";\n'
                for i in range(1, 9)
            ),
            "transcripts",
        ),
    ],
)
def test_names_that_are_no_genes_are_reported(tmp_path, content, what):
    path = tmp_path / "tss.txt"
    path.write_text(content)
    assert values(read_tss(path).findings, "tss_names_not_genes")["what"] == what


def test_ncbi_chromosomes_are_named_by_their_region_rows(tmp_path):
    path = tmp_path / "ncbi.gff"
    path.write_text(
        "##gff-version 3\n"
        "NC_9.1\tRefSeq\tregion\t1\t900\t.\t+\t.\tID=NC_9.1:1..900;Dbxref=taxon:1;chromosome=4;genome=chromosome\n"
        "NC_9.1\tx\tgene\t101\t200\t.\t+\t.\tID=gene-Aa;Name=Aa;gene=Aa\n"
        "NC_9.1\tx\tmRNA\t101\t200\t.\t+\t.\tID=rna-NM_1;Parent=gene-Aa;Name=NM_1;gene=Aa\n"
    )
    assert sites(path) == {("Aa", "4", 100, "+")}


BODIES = {
    "gtf": "".join(
        f'chr1\tx\t{kind}\t{start}\t{end}\t.\t-\t.\tgene_id "G1"; gene_name "Aa"; transcript_id "{name}";\n'
        for kind, start, end, name in (
            ("transcript", 101, 900, "short"), ("exon", 101, 200, "short"), ("exon", 801, 900, "short"),
            ("transcript", 51, 900, "long"), ("exon", 51, 200, "long"), ("exon", 301, 400, "long"),
            ("exon", 801, 900, "long"),
        )
    ),
    "gff3": "chr1\tx\tgene\t51\t900\t.\t-\t.\tID=gene-Aa;Name=Aa\n"
    + "".join(
        f"chr1\tx\t{kind}\t{start}\t{end}\t.\t-\t.\t{values}\n"
        for kind, start, end, values in (
            ("mRNA", 51, 900, "ID=rna-1;Parent=gene-Aa"), ("exon", 801, 900, "Parent=rna-1;transcript_id=NM_1"),
            ("exon", 301, 400, "Parent=rna-1;transcript_id=NM_1"), ("exon", 51, 200, "Parent=rna-1;transcript_id=NM_1"),
        )
    ),
    "exons of gtf": "".join(
        f'chr1\tx\texon\t{start}\t{end}\t.\t-\t.\tgene_id "G1"; gene_name "Aa"; transcript_id "T";\n'
        for start, end in ((51, 200), (301, 400), (801, 900))
    ),
    "genepred": "585\tNM_1\tchr1\t-\t50\t900\t50\t900\t3\t50,300,800,\t200,400,900,\t0\tAa\tcmpl\tcmpl\t0,0,0,\n",
    "refflat": "Aa\tNM_1\tchr1\t-\t50\t900\t50\t900\t3\t50,300,800,\t200,400,900,\n",
    "lisa": "NM_1\tchr1\t-\t50\t900\t50,300,800,\t200,400,900,\tAa\t1-5\n",
    "table browser": "#bin\tname\tchrom\tstrand\ttxStart\ttxEnd\texonStarts\texonEnds\tname2\n"
    "1\tNM_1\tchr1\t-\t50\t900\t50,300,800,\t200,400,900,\tAa\n",
    "bed12": "chr1\t50\t900\tAa\t0\t-\t50\t900\t0\t3\t150,100,100,\t0,250,750,\n",
    "exons of ranges": "seqnames\tstart\tend\twidth\tstrand\ttype\tgene_name\ttranscript_id\n"
    + "".join(f"chr1\t{a}\t{b}\t{b - a + 1}\t-\texon\tAa\tT\n" for a, b in ((51, 200), (301, 400), (801, 900))),
}  # fmt: skip


@pytest.mark.parametrize("form", BODIES)
def test_the_longest_transcript_of_a_site_is_kept_with_its_exons(tmp_path, form):
    (tmp_path / "genes.txt").write_text(BODIES[form])
    frame = read_tss(tmp_path / "genes.txt").frame
    assert frame[["gene", "chrom", "tss", "strand"]].to_numpy().tolist() == [["Aa", "chr1", 899, "-"]]
    kept = frame[["body_start", "body_end", "exons"]].to_numpy().tolist()
    assert kept == [[50, 900, "50-200,300-400,800-900"]]


def test_bodies_without_exons_and_start_sites_without_bodies(tmp_path):
    path = tmp_path / "t.bed"
    path.write_text("chr1\t50\t900\tAa\t0\t-\nchr1\t7\t8\tBb\t0\t+\n")
    frame = read_tss(path).frame
    assert frame[["body_start", "body_end", "exons"]].to_numpy().tolist() == [[50, 900, ""], [-1, -1, ""]]
    path.write_text("chr1\t899\t900\tAa\t0\t-\nchr1\t7\t8\tBb\t0\t+\n")
    assert "body_end" not in read_tss(path).frame
    path.write_text("".join(f"chr1\t{1000 * i}\t{1000 * i + 1000}\tG{i}\t0\t+\n" for i in range(1, 40)))  # windows
    assert "body_end" not in read_tss(path).frame


def test_copies_of_a_transcript_keep_their_own_exons(tmp_path):
    rows = []
    for chrom, shift in (("chrX", 0), ("chrY", 5000)):
        for kind, start, end in (("transcript", 101, 900), ("exon", 101, 200), ("exon", 801, 900)):
            rows.append(
                f"{chrom}\tx\t{kind}\t{start + shift}\t{end + shift}\t.\t+\t.\t"
                'gene_id "G"; gene_name "Aa"; transcript_id "T";\n'
            )
    (tmp_path / "par.gtf").write_text("".join(rows))
    frame = read_tss(tmp_path / "par.gtf").frame
    assert frame["exons"].tolist() == ["100-200,800-900", "5100-5200,5800-5900"]
