"""Tables and other forms of gene sets: the planted sets come back, and what is odd about a table is said."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mira_nb.io.gene_sets import name_gene_sets, read_gene_sets
from tests.messages import codes, values

GENES = [f"Gen{number}" for number in range(60)]
IDS = [f"ENSG{number:011d}" for number in range(60)]
VAR = pd.DataFrame({"gene_ids": IDS}, index=GENES)
TYPES = {"T cell, CD8": GENES[:10], "B cell": GENES[10:20], "Mono": GENES[20:30], "NK cell": GENES[30:40]}
GO = {f"GO:{n:07d}": [GENES[(7 * n + k) % 60] for k in range(12)] for n in range(20)}
WORDS = {term: f"process {number} of cells" for number, term in enumerate(GO)}
NAMED = {WORDS[term]: genes for term, genes in GO.items()}
REGULONS = {GENES[n]: [GENES[20 + 2 * n + k] for k in range(5)] for n in range(15)}
PAIRS = sorted((gene, term) for term, genes in GO.items() for gene in genes)
MARKS = [(name, gene, number) for name, genes in TYPES.items() for number, gene in enumerate(genes)]
TARGETS = [(factor, gene, n) for factor, genes in REGULONS.items() for n, gene in enumerate(genes)]
IDENTIFIER = dict(zip(GENES, IDS, strict=True))
PAIRS_BY_GENE = {gene: [term for other, term in PAIRS if other == gene] for gene, _ in PAIRS}

TAIL = ["protein", "taxon:9606", "20240101", "UniProt", "", ""]


def read(tmp_path, name, text, var=VAR):
    (tmp_path / name).write_text(text)
    return name_gene_sets(read_gene_sets(tmp_path / name, var), var)


def same(found, wanted):
    return {term: set(genes) for term, genes in found.sets.items()} == {t: set(g) for t, g in wanted.items()}


def lines(rows, mark="\t"):
    return "".join(mark.join(map(str, row)) + "\n" for row in rows)


def quoted(rows):
    return lines([[f'"{field}"' for field in row] for row in rows], ",")


def gene_to_terms(mark, header=()):
    return lines([*header, *((gene, mark.join(terms)) for gene, terms in PAIRS_BY_GENE.items())])


TABLES = {
    "cell_type and cell_name.csv": (
        quoted(
            [["cell_type", "cell_name", "marker", "Symbol", "GeneID"]]
            + [["Normal cell" if n % 3 else "Cancer cell", t, g, g, n] for t, g, n in MARKS]
        ),
        TYPES,
    ),
    "cellType and cellName with lists.txt": (
        lines(
            [["cellType", "cellName", "cellMarker", "geneID"]]
            + [["Normal cell", t, ", ".join(g), "1, 2"] for t, g in TYPES.items()]
        ),
        TYPES,
    ),
    "cluster_name and cluster.csv": (
        quoted([["cluster", "cluster_name", "gene"], *([len(t) % 2, t, g] for t, g, _ in MARKS)]),
        TYPES,
    ),
    "cell types and their classes.csv": (
        quoted([["module", "cell type", "gene"], *([t in ("B cell", "Mono"), t, g] for t, g, _ in MARKS)]),
        TYPES,
    ),
    "gene2GO.map": (gene_to_terms(", "), GO),
    "gene2GO pipes.tsv": (gene_to_terms("|", [["query", "GOs"]]), GO),
    "gene2GO semicolons.tsv": (gene_to_terms(";"), GO),
    "a column per type.tsv": (lines([list(TYPES), *zip(*TYPES.values(), strict=True)]), TYPES),
    "factors with more columns.tsv": (
        lines([(f, g, ("Activation", "Unknown")[n % 2], 12340 + n) for f, g, n in TARGETS]),
        REGULONS,
    ),
    "regulons.gmt": (lines([(f, f, *g) for f, g in REGULONS.items()]), REGULONS),
    "regulons with signs.gmt": (
        lines([(f"{f}(+)", f, *g) for f, g in REGULONS.items()]),
        {f"{f}(+)": g for f, g in REGULONS.items()},
    ),
    "proteins and symbols.tsv": (
        lines(
            [["source", "target", "source_genesymbol", "target_genesymbol", "is_directed"]]
            + [["P" + f[3:].zfill(5), "Q" + g[3:].zfill(5), f, g, 1] for f, g, _ in TARGETS]
        ),
        REGULONS,
    ),
    "a target that is no gene of the data.tsv": (
        lines([["regulator", "target", "other"], *([f"F{f}", f"P{g}", g] for f, g, _ in TARGETS)]),
        {f"F{f}": g for f, g in REGULONS.items()},
    ),
    "BioMart with transcripts.csv": (
        quoted(
            [["Gene stable ID", "Transcript stable ID", "Gene name", "GO term accession", "GO term name", "Evidence"]]
            + [[IDENTIFIER[g], f"ENST{n:011d}", g, t, WORDS[t], "IEA"] for g, t in PAIRS for n in range(2)]
        ),
        NAMED,
    ),
    "BioMart without names of terms.tsv": (
        lines(
            [["Gene stable ID", "Gene name", "GO term accession", "GO domain"]]
            + [[IDENTIFIER[g], g, t, ("mf", "bp")[len(g) % 2]] for g, t in PAIRS]
        ),
        GO,
    ),
    "g Profiler.csv": (
        quoted(
            [["source", "term_name", "term_id", "adjusted_p_value", "intersections"]]
            + [["GO:BP", WORDS[t], t, 0.01, ",".join(g)] for t, g in GO.items()]
        ),
        NAMED,
    ),
    "annotations.gaf": (
        "!gaf-version: 2.2\n!\n"
        + lines(
            [
                ["UniProtKB", f"A{n}", g, q, t, "PMID:1", "IEA", "", "P", f"{g} protein", f"{g}|ALIAS{n}", *TAIL]
                for n, (g, t, q) in enumerate(
                    [*((g, t, "involved_in") for g, t in PAIRS), (GENES[59], "GO:0000000", "NOT|involved_in")]
                )
            ]
        ),
        GO,
    ),
    "two columns of genes.tsv": (
        lines(
            [["tissueType", "cellName", "geneSymbolmore1", "geneSymbolmore2", "shortName"]]
            + [["Immune", t, ",".join(g), ",".join(GENES[40:43]), t[:2]] for t, g in TYPES.items()]
        ),
        TYPES,
    ),
    "lists without a header.tsv": (lines([(t, ";".join(g)) for t, g in TYPES.items()]), TYPES),
    "lists of Python.csv": (quoted([["pathway", "genes"], *([t, list(g)] for t, g in TYPES.items())]), TYPES),
    "arrays of numpy.csv": (quoted([["pathway", "genes"], *([t, np.array(g)] for t, g in TYPES.items())]), TYPES),
    "leading edges.csv": (
        quoted([["pathway", "padj", "leadingEdge"], *([t, 0.01, " ".join(g)] for t, g in TYPES.items())]),
        TYPES,
    ),
    "leading edges of fwrite.csv": (
        quoted([["pathway", "padj", "leadingEdge"], *([t, 0.01, "|".join(g)] for t, g in TYPES.items())]),
        TYPES,
    ),
    "slashes.csv": (
        quoted(
            [["", "ID", "Description", "GeneRatio", "p.adjust", "geneID", "Count"]]
            + [[t, t, WORDS[t], "12/300", 0.01, "/".join(g), 12] for t, g in GO.items()]
        ),
        NAMED,
    ),
    "one set.tsv": (
        lines([("STANDARD_NAME", "HALL_X"), ("COLLECTION", "H"), ("GENE_SYMBOLS", ",".join(GENES[:9]))]),
        {"HALL_X": GENES[:9]},
    ),
    "one set.grp": (lines([["HALL_X"], ["# > about it"], *([gene] for gene in GENES[:9])]), {"HALL_X": GENES[:9]}),
    "plain list.txt": (lines([[gene] for gene in GENES[:9]]), {"plain list": GENES[:9]}),
    "MSigDB.xml": (
        '<?xml version="1.0"?>\n<MSIGDB>\n'
        + "".join(
            f'<GENESET STANDARD_NAME="{t}" ORGANISM="x" MEMBERS_SYMBOLIZED="{",".join(g)}"/>\n' for t, g in GO.items()
        )
        + "</MSIGDB>\n",
        GO,
    ),
    "objects.json": (json.dumps([{"name": t, "genes": list(g)} for t, g in TYPES.items()]), TYPES),
    "records.json": (json.dumps([{"term": t, "gene": g, "n": n} for t, g, n in MARKS]), TYPES),
}


@pytest.mark.parametrize("name", TABLES)
def test_planted_sets_come_back(tmp_path, name):
    text, wanted = TABLES[name]
    found = read(tmp_path, name, text)
    assert same(found, wanted)
    assert set(codes(found.findings, "warning")) <= {"sets_of_results"}


@pytest.mark.parametrize("mark", [",", "\t"])
@pytest.mark.parametrize("known", [(0.2,) * 4, (0.25,) * 4, (0.5, 0.5, 0.0, 0.5), (0.0, 0.5, 0.1, 0.5)])
def test_columns_with_few_genes_of_the_data_are_sets_too(tmp_path, known, mark):
    rng = np.random.default_rng(0)
    wide = {}
    for number, (name, share) in enumerate(zip(("B", "T-like", "NK cell", "Mono"), known, strict=True)):
        n = int(15 * share)
        names = [*GENES[15 * number : 15 * number + n], *(f"Other{number}_{k}" for k in range(15 - n))]
        wide[name] = [names[k] for k in rng.permutation(15)]
        wide[name].sort(key=lambda gene, name=name: name == "B" and gene in GENES)  # the first row has no gene
    text = lines([list(wide), *zip(*wide.values(), strict=True)], mark)
    assert same(read(tmp_path, "wide.txt", text), wide)


def test_regulons_whose_descriptions_are_their_factors_stay_as_they_are(tmp_path):
    text = lines([("Absent", "Absent", "X1", "X2", "X3"), *((f, f, *g[:3]) for f, g in REGULONS.items())])
    found = read(tmp_path, "r.gmt", text)
    assert same(found, {"Absent": ["X1", "X2", "X3"], **{f: g[:3] for f, g in REGULONS.items()}})
    assert codes(found.findings) == []


def test_rows_with_not_and_without_terms_are_left_out_and_counted(tmp_path):
    text, _ = TABLES["annotations.gaf"]
    assert "1 annotations with NOT" in values(read(tmp_path, "a.gaf", text).findings, "sets_of_another_form")["form"]
    text = gene_to_terms(", ") + "Other1\t\nOther2\t-\n"
    assert "2 rows without a term" in values(read(tmp_path, "g.map", text).findings, "sets_of_another_form")["form"]


def test_columns_that_were_not_used_are_named(tmp_path):
    form = values(read(tmp_path, "s.tsv", TABLES["two columns of genes.tsv"][0]).findings, "sets_of_another_form")[
        "form"
    ]
    assert "cellName" in form
    assert "not used: tissueType, geneSymbolmore2" in form


def test_a_row_for_every_gene_in_every_group_is_a_warning(tmp_path):
    rows = [(group, gene, 0.5 - n % 2, 0.01 if n < 10 else 0.5) for group in "0123" for n, gene in enumerate(GENES)]
    found = read(tmp_path, "r.csv", lines([("group", "names", "logfoldchanges", "pvals_adj"), *rows], ","))
    alike = values(found.findings, "sets_alike")
    assert (alike["n_equal"], alike["n_whole"], alike["n_sets"]) == (4, 4, 4)
    tests = values(found.findings, "sets_of_tests")
    assert (tests["n_negative"], tests["n_weak"], tests["n_rows"]) == (120, 200, 240)
    assert codes(found.findings, "warning") == ["sets_of_tests", "sets_alike"]


@pytest.mark.parametrize(
    ("fold", "adjusted"), [("avg_log2FC", "p_val_adj"), ("log2FoldChange", "padj"), ("logFC", "adj.P.Val")]
)
def test_markers_that_go_down_are_counted(tmp_path, fold, adjusted):
    rows = [(-1.2 if n % 3 == 0 else 1.2, 0.2 if n == 9 else 0.001, t, g) for t, g, n in MARKS]
    found = read(tmp_path, "m.csv", quoted([(fold, adjusted, "cluster", "gene"), *rows]))
    assert same(found, TYPES)
    tests = values(found.findings, "sets_of_tests")
    assert (tests["n_negative"], tests["negative_column"], tests["n_weak"]) == (16, fold, 4)


def test_results_of_an_enrichment_are_a_warning(tmp_path):
    found = read(tmp_path, "g.csv", TABLES["slashes.csv"][0])
    assert values(found.findings, "sets_of_results")["column"] == "geneID"


def test_lines_that_repeat_one_term_are_a_warning(tmp_path):
    rows = [("UniProt", f"x{n}", f"text {n}", f"y{n}", "z") for n in range(40)]
    found = read(tmp_path, "u.gmt", lines(rows))
    few = values(found.findings, "sets_of_few_terms")
    assert (few["n_lines"], few["n_sets"]) == (40, 1)


def test_gmt_files_of_equal_width_stay_as_they_are(tmp_path):
    """Sets of one and two genes, under a repeated or an own description, in lines of the same number of fields."""
    for description in ("na", "GO", "own"):
        for size in (1, 2, 6):
            sets = {f"S{k}": [GENES[(size * k + n) % 60] for n in range(size)] for k in range(12)}
            sets = {"S": [f"X{n}" for n in range(size)], **sets}
            text = lines([(t, f"about {t}" if description == "own" else description, *g) for t, g in sets.items()])
            assert same(read(tmp_path, "s.gmt", text), sets), (description, size)


def test_regulons_of_equal_width_with_addresses_are_not_a_set_per_column(tmp_path):
    sets = {"Absent": ["X1", "X2", "X3"], **{f: [g[0], f"V{f}", f"W{f}"] for f, g in REGULONS.items()}}
    for description in ("https://x.org/{}", "regulon of {}"):
        text = lines([(f, description.format(f), *g) for f, g in sets.items()])
        assert same(read(tmp_path, "r.gmt", text), sets)


def test_few_genes_of_the_data_tell_the_columns_of_a_table_of_all_genes(tmp_path):
    """The data have one of ten factors and targets, as after a choice of variable genes."""
    rows = [(f"All{n % 40}", f"All{(7 * n) % 400}", "Unknown", 100 + n) for n in range(400)]
    wanted = {}
    for factor, gene, *_ in rows:
        wanted.setdefault(factor, []).append(gene)
    var = pd.DataFrame(index=[f"All{n}" for n in range(0, 400, 10)])
    assert same(read(tmp_path, "t.tsv", lines(rows), var), wanted)


def test_other_marks_between_the_fields_than_in_the_lists(tmp_path):
    found = read(tmp_path, "g.csv", lines([(g, ";".join(t)) for g, t in PAIRS_BY_GENE.items()], ","))
    assert same(found, GO)


def test_cell_types_with_commas_are_no_lists_of_terms(tmp_path):
    types = {f"{cell}, {state}": GENES[10 * n : 10 * n + 10] for n, (cell, state) in enumerate(
        [("T cell", "CD4"), ("T cell", "CD8"), ("B cell", "naive"), ("B cell", "memory")]
    )}  # fmt: skip
    text = lines([("gene", "annotation"), *((g, t) for t, genes in types.items() for g in genes)])
    assert same(read(tmp_path, "a.tsv", text), types)
