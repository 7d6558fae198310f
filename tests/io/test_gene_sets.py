from __future__ import annotations

import pandas as pd
import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.gene_sets import match_gene_sets, name_gene_sets, read_gene_sets
from tests.messages import codes, refused, values


def write(tmp_path, text: str):
    path = tmp_path / "Some library.gmt"
    path.write_text(text)
    return path


def test_sets_duplicates_weights_and_empty_lines(tmp_path):
    sets = read_gene_sets(write(tmp_path, "one\t\tA\tB\tA\ntwo\tx\tC,1.0\tD,2\n\none\ty\tE\nbare\tx\nempty\tx\t\t\n"))
    assert sets.name == "Some library"
    assert dict(sets.sets) == {"one": ("A", "B", "E"), "two": ("C", "D")}
    assert codes(sets.findings) == ["sets_duplicate_terms", "sets_empty_lines", "sets_repeated_genes"]
    assert values(sets.findings, "sets_duplicate_terms")["n_terms"] == 1
    assert values(sets.findings, "sets_empty_lines")["n_lines"] == 2
    assert values(sets.findings, "sets_repeated_genes")["n_genes"] == 1


def test_plain_files_equal_gseapy(tmp_path):
    """gseapy reads the same sets where no term is repeated and no symbol has a weight."""
    from gseapy.parser import read_gmt

    path = write(tmp_path, "one\t\tA\tB\ntwo\tx\tC\tD\tE\n\nbare\tx\nthree four\ty\tf-1\n")
    assert {term: list(genes) for term, genes in read_gene_sets(path).sets.items()} == read_gmt(str(path))


def test_matching_ignores_case_and_says_so(tmp_path):
    sets = read_gene_sets(write(tmp_path, "s\tx\tSOX2\tPAX6\tABSENT\n"))
    matched = match_gene_sets(sets, ["Gfap", "Sox2", "Pax6", "sox2"])
    assert matched.members["s"].tolist() == [1, 2, 3]
    assert (matched.n_symbols, matched.n_matched) == (3, 2)
    assert values(matched.findings, "sets_other_case") == {
        "name": "Some library", "n_otherwise": 3, "n_matched": 3, "gene": "Pax6", "symbol": "PAX6",
    }  # fmt: skip


def test_exact_matching_says_nothing(tmp_path):
    sets = read_gene_sets(write(tmp_path, "s\tx\tA\tB\nt\tx\tZ\n"))
    matched = match_gene_sets(sets, ["B", "A"])
    assert matched.members["s"].tolist() == [0, 1]
    assert matched.members["t"].tolist() == []
    assert matched.findings == ()


def test_other_identifiers_are_reported(tmp_path):
    sets = read_gene_sets(write(tmp_path, "s\tx\t" + "\t".join(f"G{i}" for i in range(30)) + "\n"))
    found = values(match_gene_sets(sets, [f"ENSG{i}" for i in range(30)]).findings, "sets_of_other_genes")
    assert (found["n_matched"], found["n_symbols"], found["genes"][0]) == (0, 30, "ENSG0")


@pytest.mark.parametrize("text", ["", "a,b,c\n", "only\tdescription\n"])
def test_refused(tmp_path, text):
    path = write(tmp_path, text)
    with refused("sets_none" if text else "path_empty", ResourceError):
        read_gene_sets(path)


def test_ensembl_identifiers_match_without_versions_and_by_a_column(tmp_path):
    sets = read_gene_sets(write(tmp_path, "one\t\tENSG00000000001\tENSG00000000002\n"))
    versions = pd.DataFrame(index=["ENSG00000000001.4", "ENSG00000000002.1", "ENSG00000000003.1"])
    assert name_gene_sets(sets, versions).sets["one"] == ("ENSG00000000001.4", "ENSG00000000002.1")
    symbols = pd.DataFrame({"gene_ids": ["ENSG00000000002", "ENSG00000000001"]}, index=["B", "A"])
    named = name_gene_sets(sets, symbols)
    assert named.sets["one"] == ("A", "B")
    assert "gene_ids" in values(named.findings, "sets_identifiers_matched")["how"]


def test_genes_in_the_place_of_descriptions_belong_to_the_set(tmp_path):
    text = "".join(f"S{i}\tG{3 * i}\tG{3 * i + 1}\tG{3 * i + 2}\n" for i in range(4))
    var = pd.DataFrame(index=[f"G{i}" for i in range(12)])
    named = name_gene_sets(read_gene_sets(write(tmp_path, text)), var)
    assert named.sets["S1"] == ("G3", "G4", "G5")
    assert codes(named.findings, "warning") == ["sets_without_descriptions"]
    described = "".join(f"S{i}\tna\tG{3 * i + 1}\tG{3 * i + 2}\n" for i in range(4))
    assert name_gene_sets(read_gene_sets(write(tmp_path, described)), var).sets["S1"] == ("G4", "G5")


def test_other_line_ends_encodings_and_quotes_give_the_same_sets(tmp_path):
    text = "S1\tna\tA\tB\nM\u00e9ni\u00e8re\t\tC\tD\n"
    wanted = {"S1": ("A", "B"), "M\u00e9ni\u00e8re": ("C", "D")}
    quoted = "".join("\t".join(f'"{field}"' for field in line.split("\t")) + "\n" for line in text.splitlines())
    for content in (
        text.encode(),
        text.encode("utf-8-sig"),
        text.encode("utf-16"),
        text.encode("latin-1"),
        text.replace("\n", "\r").encode(),
        text.replace("\n", "\r\n").encode(),
        quoted.encode(),
    ):
        (tmp_path / "s.gmt").write_bytes(content)
        assert dict(read_gene_sets(tmp_path / "s.gmt").sets) == wanted


def test_a_set_per_column_is_read(tmp_path):
    (tmp_path / "s.gmt").write_text("S1\tS2\tS3\nna\tna\tna\nA\tB\tC\nD\tE\tF\n")
    found = read_gene_sets(tmp_path / "s.gmt")
    assert found.sets == {"S1": ("A", "D"), "S2": ("B", "E"), "S3": ("C", "F")}
    assert [item.code for item in found.findings] == ["input.sets_of_another_form"]


GENES = [f"Gen{number}" for number in range(40)]
PLANTED = {f"SET_{k}": tuple(GENES[10 * k : 10 * k + 10]) for k in range(4)}
ROWS = [
    (term, gene, number) for number, (term, gene) in enumerate((t, g) for t, names in PLANTED.items() for g in names)
]
TABLES = {
    "msigdbr with descriptions": '"","gs_cat","gs_name","gene_symbol","gs_description"\n'
    + "".join(f'"{n + 1}","H","{t}","{g}","Genes up, by x ({t})."\n' for t, g, n in ROWS),
    "descriptions before genes": '"gs_name","gs_description","gene_symbol"\n'
    + "".join(f'"{t}","Genes up, in ""x""","{g}"\n' for t, g, _ in ROWS),
    "factors and targets": "tf,confidence,target,mor\n"
    + "".join(f"{t},{'AB'[n % 2]},{g},{n % 2}\n" for t, g, n in ROWS),
    "targets that are factors": "regulator\tregulated\n" + "".join(f"{t}\t{g}\n" for t, g, _ in ROWS),
    "cell types": "cell_type,gene\n" + "".join(f"{t},{g}\n" for t, g, _ in ROWS),
    "markers": '"","p_val","pct.1","cluster","gene"\n' + "".join(f'"{g}",{n},0.5,"{t}","{g}"\n' for t, g, n in ROWS),
    "other words": "species\tofficial gene symbol\tPopulation\n"
    + "".join(f"Mm\t{g.upper()}\t{t}\n" for t, g, _ in ROWS),
    "unnamed columns": "a;b;c\n" + "".join(f"{n};{g};{t}\n" for t, g, n in ROWS),
    "without a header": "".join(f"{t}\t{g}\n" for t, g, _ in ROWS),
    "row names without a name": "term\tgene\n" + "".join(f"{n}\t{t}\t{g}\n" for t, g, n in ROWS),
    "a column per set": ",".join(PLANTED)
    + "\n"
    + "".join(",".join(names) + "\n" for names in zip(*PLANTED.values(), strict=True)),
    "numbered rows, a column per set": ',"'
    + '","'.join(PLANTED)
    + '"\n'
    + "".join(f"{n}," + ",".join(names) + "\n" for n, names in enumerate(zip(*PLANTED.values(), strict=True))),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read_by_their_names_and_by_what_they_hold(tmp_path, name):
    var = pd.DataFrame(index=[*GENES, "TF", "Set", *(f"Other{number}" for number in range(40))])
    (tmp_path / "s.csv").write_text(TABLES[name])
    sets = name_gene_sets(read_gene_sets(tmp_path / "s.csv", var), var)
    assert {term: tuple(g.upper() for g in names) for term, names in sets.sets.items()} == {
        term: tuple(g.upper() for g in names) for term, names in PLANTED.items()
    }
    assert codes(sets.findings, "warning") == []


def test_sets_whose_names_hold_the_delimiter(tmp_path):
    (tmp_path / "s.csv").write_text(
        'cell_type,gene\n"T cell, CD8",Gen1\n"T cell, CD8",Gen2\nB cell,Gen3\nB cell,Gen4\n'
    )
    assert read_gene_sets(tmp_path / "s.csv").sets == {"T cell, CD8": ("Gen1", "Gen2"), "B cell": ("Gen3", "Gen4")}


def test_a_gmt_file_of_sets_of_equal_size_stays_one(tmp_path):
    var = pd.DataFrame(index=GENES)
    text = "S0\tGO\tX1\tX2\tX3\tX4\n" + "".join(
        f"S{k}\t{'GO' if k % 2 else 'KEGG'}\t" + "\t".join(GENES[4 * k : 4 * k + 4]) + "\n" for k in range(1, 8)
    )
    found = read_gene_sets(write(tmp_path, text), var)
    assert list(found.sets) == [f"S{k}" for k in range(8)]
    assert found.sets["S2"] == tuple(GENES[8:12])


def test_what_looks_misread_is_a_warning(tmp_path):
    var = pd.DataFrame(index=GENES)
    single = "".join(f"S{k}\tna\t{GENES[k]}\n" for k in range(20))
    found = name_gene_sets(read_gene_sets(write(tmp_path, single), var), var)
    assert values(found.findings, "sets_of_one_gene")["n_single"] == 20
    numbers = "".join(f"S{k}\tna\t{GENES[k]}\t-1\n" for k in range(20))
    found = name_gene_sets(read_gene_sets(write(tmp_path, numbers), var), var)
    assert codes(found.findings, "warning") == ["sets_members_no_names"]


@pytest.mark.parametrize(
    "header", ["term\tDescription\tGene symbols", "set\tURL\tgene.1\tgene.2", '"ID"\t"desc"\tGENES']
)
def test_a_header_line_is_left_out_however_its_names_are_spelt(tmp_path, header):
    (tmp_path / "s.gmt").write_text(f"{header}\nS1\tx\tA\tB\tC\nS2\ty\tD\tE\n")
    found = read_gene_sets(tmp_path / "s.gmt")
    assert found.sets == {"S1": ("A", "B", "C"), "S2": ("D", "E")}
    assert "input.sets_of_another_form" in [item.code for item in found.findings]


@pytest.mark.parametrize("column", ["gene_ids", "Gene.IDs", "Ensembl ID"])
def test_identifiers_are_found_in_a_column_however_its_name_is_spelt(tmp_path, column):
    genes = [f"Gen{number}" for number in range(30)]
    identifiers = [f"ENSG{number:011d}.{number}" for number in range(30)]
    var = pd.DataFrame({column: identifiers}, index=genes)
    text = "".join(
        f"S{k}\tx\t" + "\t".join(f"ENSG{n:011d}" for n in range(10 * k, 10 * k + 10)) + "\n" for k in range(3)
    )
    (tmp_path / "s.gmt").write_text(text)
    sets = name_gene_sets(read_gene_sets(tmp_path / "s.gmt", var), var)
    assert sets.sets == {f"S{k}": tuple(genes[10 * k : 10 * k + 10]) for k in range(3)}
