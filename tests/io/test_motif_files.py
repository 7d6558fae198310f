from __future__ import annotations

import gzip

import numpy as np
import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.motif_files import name_motifs, read_motifs
from mira_nb.io.motif_names import factor_name
from tests.messages import codes, refused, values

JASPAR = """>MA0004.1\tArnt
A  [ 4 19  0 ]
C  [16  0 20 ]
G  [ 0  1  0 ]
T  [ 0.5  0  0 ]

>MA0006.1 Ahr::Arnt
A [3 0]
C [8 0]
G [2 23]
T [11 1]
"""
RAW = ">X Y\n4 19 0\n16 0 20\n0 1 0\n0.5 0 0\n"
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

MOTIF MA0004.1 Arnt
letter-probability matrix: alength= 4 w= 2 nsites= 40 E= 0
 0.25 0.25 0.5 0
 1.0 0 0 0
URL http://somewhere

MOTIF second
letter-probability matrix: alength= 4 w= 1
 0.1 0.2 0.3 0.4
"""

TRANSFAC = """VV  TRANSFAC MATRIX TABLE
XX
//
AC MA0004.1
XX
ID Arnt
XX
DE MA0004.1 Arnt ; From JASPAR
PO\tA\tC\tG\tT
01\t4.0\t16.0\t0.0\t0.5
02\t19.0\t0.0\t1.0\t0.0
XX
CC tax_group:vertebrates
//
ID  V$MYOD_01
NA  MyoD
P0      A      C      G      T
01      1      2      2      0      S
XX
RN  not a reference that Biopython would take
//
"""


def write(tmp_path, text: str, packed: bool = False):
    path = tmp_path / "m.txt"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_jaspar(tmp_path, packed):
    first, second = read_motifs(write(tmp_path, JASPAR, packed))
    assert (first.id, first.name) == ("MA0004.1", "Arnt")
    np.testing.assert_array_equal(first.counts, [[4, 19, 0], [16, 0, 20], [0, 1, 0], [0.5, 0, 0]])
    assert (second.id, second.name) == ("MA0006.1", "Ahr::Arnt")
    assert second.counts.shape == (4, 2)


def test_rows_without_letters(tmp_path):
    (motif,) = read_motifs(write(tmp_path, RAW))
    np.testing.assert_array_equal(motif.counts[1], [16, 0, 20])


def test_rows_in_another_order(tmp_path):
    text = ">X\nT [4]\nG [3]\nC [2]\nA [1]\n"
    np.testing.assert_array_equal(read_motifs(write(tmp_path, text))[0].counts[:, 0], [1, 2, 3, 4])


def test_meme(tmp_path):
    first, second = read_motifs(write(tmp_path, MEME))
    np.testing.assert_allclose(first.counts, [[10, 40], [10, 0], [20, 0], [0, 0]])
    assert (second.id, second.name) == ("second", "second")
    np.testing.assert_allclose(second.counts[:, 0], [2, 4, 6, 8])


def test_transfac(tmp_path):
    first, second = read_motifs(write(tmp_path, TRANSFAC))
    assert (first.id, first.name) == ("MA0004.1", "Arnt")
    np.testing.assert_array_equal(first.counts, [[4, 19], [16, 0], [0, 1], [0.5, 0]])
    assert (second.id, second.name) == ("V$MYOD_01", "MyoD")
    np.testing.assert_array_equal(second.counts[:, 0], [1, 2, 2, 0])


@pytest.mark.parametrize("rows", [("00", "01"), ("0", "1"), ("1", "2")])
def test_transfac_rows_may_count_from_zero(tmp_path, rows):
    text = TRANSFAC.replace("01\t4.0", f"{rows[0]}\t4.0").replace("02\t19.0", f"{rows[1]}\t19.0")
    np.testing.assert_array_equal(read_motifs(write(tmp_path, text))[0].counts, [[4, 19], [16, 0], [0, 1], [0.5, 0]])
    with refused("motifs_malformed"):
        read_motifs(write(tmp_path, text.replace(f"{rows[1]}\t19.0", "03\t19.0")))


@pytest.mark.parametrize("end", ["XX\n", "XX\n//\n"])
def test_transfac_of_stamp(tmp_path, end):
    text = f"DE\tCTCF\tunknown\n0\t4\t16\t0\t1\tC\n1\t19\t0\t1\t0\tA\n{end}DE\tMyoD\tunknown\n0\t1\t2\t2\t0\tS\n{end}"
    first, second = read_motifs(write(tmp_path, text))
    assert [(motif.id, motif.name) for motif in (first, second)] == [("CTCF", "CTCF"), ("MyoD", "MyoD")]
    np.testing.assert_array_equal(first.counts, [[4, 19], [16, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(second.counts[:, 0], [1, 2, 2, 0])


def test_names_keep_their_blanks_and_rows_may_have_small_letters(tmp_path):
    """Biopython alone cuts the name at the blank and takes rows without capitals for numbers."""
    text = ">X.1 ZNF 143 (var.2)\na: 1 1e-3\nc: 2 2\ng| 3 3\nt [4 4]\n"
    (motif,) = read_motifs(write(tmp_path, text))
    assert (motif.id, motif.name) == ("X.1", "ZNF 143 (var.2)")
    np.testing.assert_array_equal(motif.counts, [[1, 1e-3], [2, 2], [3, 3], [4, 4]])


def test_agrees_with_biopython_style_parsing_of_moods(tmp_path):
    """MOODS reads the bare four rows of a matrix by itself; ours must be the same numbers."""
    parsers = pytest.importorskip("MOODS.parsers")
    rows = JASPAR.split("\n\n")[0].splitlines()[1:]
    bare = tmp_path / "m.pfm"
    bare.write_text("\n".join(row.split("[")[1].rstrip(" ]").replace("0.5", "7") for row in rows) + "\n")
    theirs = np.array(parsers.pfm(str(bare)))
    ours = read_motifs(write(tmp_path, JASPAR.replace("0.5", "7")))[0].counts
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        (
            ">X\nA [1 2]\nC [1]\nG [1 2]\nT [1 2]\n",
            "motifs_malformed",
            "line 1: motif X: rows of different lengths (2, 1, 2, 2)",
        ),
        (">X\nA [1 2]\nC [1 2]\nG [1 2]\n", "motifs_malformed", "motif X: 3 rows instead of the four"),
        (
            ">X\nA [1 b]\nC [1 2]\nG [1 2]\nT [1 2]\n",
            "motifs_malformed",
            "line 2: motif X: '1 b' is not a row of numbers",
        ),
        (">X\nA [-1]\nC [1]\nG [1]\nT [1]\n", "motifs_malformed", "negative or missing"),
        (">X\nA [0]\nC [0]\nG [0]\nT [0]\n", "motifs_malformed", "a position without any counts"),
        (">\nA [1]\nC [1]\nG [1]\nT [1]\n", "motifs_malformed", "without an identifier"),
        (
            ">X\nA [1]\nC [1]\nG [1]\nT [1]\n" * 2,
            "motifs_duplicate",
            "1 motif identifiers occur more than once, e.g. X",
        ),
        ("ATAC\n", "motifs_format_unknown", "neither a JASPAR nor a MEME file"),
        ("\n\n", "motifs_none", "has no motifs"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\nMOTIF x\n", "motifs_malformed", "the alphabet is not DNA"),
        ("MEME version 4\nMOTIF x\nMOTIF y\n", "motifs_malformed", "motif x has no letter-probability matrix"),
        (MEME.replace("w= 2", "w= 3"), "motifs_malformed", "2 rows of four numbers found, 3 announced"),
        ("MEME version 4\n", "motifs_none", "has no motifs"),
        (TRANSFAC.removesuffix("//\n"), "motifs_malformed", "line 15: a motif without '//' at its end"),
        (TRANSFAC.replace("02\t19.0", "0x\t19.0"), "motifs_malformed", "is not row 02 of four numbers"),
        (TRANSFAC.replace("\t1.0", ""), "motifs_malformed", "line 11: motif MA0004.1: '02"),
        (
            TRANSFAC.replace("19.0", "nine"),
            "motifs_malformed",
            "line 11: motif MA0004.1: 'nine 0.0 1.0 0.0' is not a row of numbers",
        ),
        (TRANSFAC.replace("A\tC", "A\tX"), "motifs_malformed", "instead of a header P0 A C G T"),
        (TRANSFAC.replace("ID  V$MYOD_01\n", ""), "motifs_malformed", "line 15: a motif without an identifier"),
        ("VV  nothing\nXX\n//\n", "motifs_none", "has no motifs"),
    ],
)
def test_refused(tmp_path, text, code, expected):
    with refused(code, ResourceError) as caught:
        read_motifs(write(tmp_path, text))
    assert expected in str(caught.value)


def test_jaspar_2024(shared_data):
    motifs = read_motifs(shared_data / "data" / "motifs" / "JASPAR2024_CORE_vertebrates_879.jaspar")
    assert len(motifs) == 879
    assert {motif.counts.shape[0] for motif in motifs} == {4}


POSITIONS = np.array(
    [[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.05, 0.05, 0.05, 0.85], [0.4, 0.3, 0.2, 0.1]]
)
HOMER = ">ACGTN\tCTCF(Zf)/CD4+-CTCF-ChIP-Seq(Barski_et_al.)/Homer\t8.7\t-1e3\t0\tT:1,B:2\n"


def rows(matrix, separator="\t"):
    return "\n".join(separator.join(f"{value:.4f}" for value in row) for row in matrix) + "\n"


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize(
    ("header", "name"), [(HOMER, "CTCF"), ("# gimme\n>GM.5.0.C2H2_ZF.0001\n", "GM.5.0.C2H2_ZF.0001")]
)
def test_one_row_per_position_is_never_read_transposed(tmp_path, header, name, n):
    path = tmp_path / "m.txt"
    path.write_text(header + rows(POSITIONS[:n]))
    (motif,) = read_motifs(path)
    assert motif.name == name
    assert motif.counts.shape == (4, n)
    np.testing.assert_allclose(motif.counts / motif.counts.sum(axis=0), POSITIONS[:n].T, atol=1e-3)


def test_four_by_four_with_a_row_per_letter_stays(tmp_path):
    path = tmp_path / "m.jaspar"
    path.write_text(">MA1 x\n" + rows((POSITIONS[:4] * 20).T, " "))
    (motif,) = read_motifs(path)
    np.testing.assert_allclose(motif.counts, (POSITIONS[:4] * 20).T, atol=1e-3)


@pytest.mark.parametrize(
    ("identifier", "name", "wanted"),
    [
        ("CTCF_HUMAN.H11MO.0.A", "", "CTCF"),
        ("Gata1_MOUSE.H11MO.0.A", "", "Gata1"),
        ("CTCF.H12CORE.0.P.B", "", "CTCF"),
        ("MA0139.2", "MA0139.2.CTCF", "CTCF"),
        ("MA0006.1", "Ahr::Arnt", "Ahr::Arnt"),
        ("x", "ETS:RUNX(ETS,Runt)/Jurkat-RUNX1-ChIP-Seq(GSE17954)/Homer", "ETS::RUNX"),
        ("x", "HLA-A", "HLA-A"),
        ("M07944_2.00", "(CTCF)_(Homo_sapiens)_(DBD_1.00)", "CTCF"),
        ("M1", "CTCF_HUMAN", "CTCF"),
        ("GATA1_DBD_2", "", "GATA1"),
        ("M00001", "V$MYOD_01", "MYOD"),
        ("x", "1-NDRCCACYAGRKGGCRSHN,BestGuess:CTCF(Zf)/CD4+/Homer(0.95)", "CTCF"),
        ("CTCF", "MEME-1", "CTCF"),
        ("CTCF", "/name=x", "CTCF"),
        ("x", "HNF4a(NR),DR1/HepG2-HNF4a-ChIP-Seq(GSE25021)/Homer", "HNF4a"),
        ("x", "VDR(NR),DR3/GM10855-VDR+vitD-ChIP-Seq(GSE22484)/Homer", "VDR"),
        ("x", "E2A(bHLH),near_PU.1/Bcell-PU.1-ChIP-Seq(GSE21512)/Homer", "E2A"),
        ("x", "RAR:RXR(NR),DR5/ES-RAR-ChIP-Seq(GSE56893)/Homer", "RAR::RXR"),
        ("x", "Unknown-ESC-element(?)/mES-Nanog-ChIP-Seq(GSE11724)/Homer", "Unknown-ESC-element"),
        ("x", "ZNF652/HepG2-ZNF652.Flag-ChIP-Seq(GSE145822)/Homer", "ZNF652"),
        ("x", "KLF/SP/2", "KLF/SP/2"),
        ("CTCF_MA0139.1", "", "CTCF"),
        ("x", "EXP1_K562_CTCF_MA0139.1", "CTCF"),
        ("x", "ID=SRX1;Name=CTCF%20(@%20K-562);Title=GSM1", "CTCF"),
        ("CTCF_disc1", "", "CTCF"),
        ("CTCF_known2", "", "CTCF"),
        ("UP00001_1", "E2f2_primary", "E2f2"),
        ("hocomoco__CTCF_HUMAN.H11MO.0.A", "", "CTCF"),
    ],
)
def test_names_of_collections_give_factors(identifier, name, wanted):
    assert factor_name(identifier, name) == wanted


def matrices(*names):
    return "".join(f">{name}\nA [1 2]\nC [1 2]\nG [1 2]\nT [1 2]\n" for name in names)


def test_motifs_are_named_by_the_genes_of_the_data(tmp_path):
    """HOMER, HOCOMOCO's UniProt names, ENCODE and archetypes: planted names and the gene each stands for."""
    wanted = {
        "HNF4a(NR),DR1/HepG2-HNF4a-ChIP-Seq(GSE25021)/Homer": "HNF4a",
        "REST-NRSF(Zf)/Jurkat-NRSF-ChIP-Seq/Homer": "REST",
        "E2A(bHLH),near_PU.1/Bcell-PU.1-ChIP-Seq(GSE21512)/Homer": "TCF3",
        "ANDR_HUMAN.H11MO.0.A": "AR",
        "P53_HUMAN.H11MO.0.A": "TP53",
        "TF65_HUMAN.H11MO.0.A": "RELA",
        "hocomoco__HXA9_HUMAN.H11MO.0.B": "HOXA9",
        "CTCF_disc1": "CTCF",
        "swissregulon__hs__SPI1.p2": "SPI1",
        "KLF/SP/2": "KLF/SP/2",
        "AP-1(bZIP)/ThioMac-PU.1-ChIP-Seq(GSE21512)/Homer": "AP-1",
    }
    genes = ["HNF4A", "REST", "TCF3", "AR", "TP53", "RELA", "HOXA9", "CTCF", "SPI1", "DISC1", "KLF2"]
    motifs, findings = name_motifs(read_motifs(write(tmp_path, matrices(*wanted))), genes)
    assert [motif.name for motif in motifs] == list(wanted.values())
    assert [motif.id for motif in motifs] == list(wanted)
    assert values(findings, "factors_read")["n_names"] == 7
    assert codes(findings, "warning") == []


def test_names_of_genes_stay_as_they_are(tmp_path, shared_data):
    motifs = read_motifs(shared_data / "data" / "motifs" / "JASPAR2024_CORE_vertebrates_879.jaspar")
    genes = sorted({part for motif in motifs for part in motif.name.split("::")})
    named, findings = name_motifs(motifs, genes)
    assert [motif.name for motif in named] == [motif.name for motif in motifs]
    assert findings == []
    few, _ = name_motifs(motifs, ["ARNT", "CTCF"])
    assert [motif.name for motif in few] == [motif.name for motif in motifs]


def printed(program: str, matrices, n_sites, *, ruled: bool) -> str:
    """Text as MEME, STREME and DREME print it: a title between rules and, of MEME, more around each matrix."""
    stars, dashes = "*" * 80 + "\n", "-" * 80 + "\n"
    text = f"{stars}{program} - Motif discovery\n{stars}" if ruled else ""
    text += "MEME version 5.5.5 (Release date: Thu Sep 14 08:48:04 2023 +1000)\n\n" + stars * ruled
    text += "TRAINING SET\n" + "ALPHABET= ACGT\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n"
    text += "".join(f"chr1:{number}-{number + 99}  1.0000  100\n" for number in range(60))
    for number, (matrix, n) in enumerate(zip(matrices, n_sites, strict=True), start=1):
        name = f"{'ACGT'[number % 4] * 5} {program}-{number}"
        head = f"letter-probability matrix: alength= 4 w= {len(matrix)} nsites= {n} E= 1.0e-100\n"
        if program != "MEME":
            text += f"MOTIF {name}\n# Word RC Pos\n{head}{rows(matrix, ' ')}\n"
            continue
        text += f"{stars}MOTIF {name}\twidth =  {len(matrix)}  sites = {n}  llr = 5000  E-value = 1.0e-100\n{stars}"
        text += f"{dashes}\tMotif {name} position-specific scoring matrix\n{dashes}"
        text += f"log-odds matrix: alength= 4 w= {len(matrix)} n= 5000\n" + "  -100    50   -20    10\n" * len(matrix)
        text += f"{dashes}\tMotif {name} position-specific probability matrix\n{dashes}"
        text += f"{head}{rows(matrix, ' ')}{dashes}"
        text += f"\n{dashes}\tMotif {name} regular expression\n{dashes}[CT][CG]\n{dashes}Time 12.3 secs.\n"
    return text + stars


@pytest.mark.parametrize("ruled", [True, False])
@pytest.mark.parametrize("program", ["MEME", "STREME", "DREME"])
def test_full_output_of_meme(tmp_path, program, ruled):
    planted = [POSITIONS[:4], POSITIONS]
    motifs = read_motifs(write(tmp_path, printed(program, planted, (300, 40), ruled=ruled)))
    assert [(motif.id, motif.name) for motif in motifs] == [("CCCCC", "CCCCC"), ("GGGGG", "GGGGG")]
    for motif, matrix, n in zip(motifs, planted, (300, 40), strict=True):
        np.testing.assert_allclose(motif.counts, matrix.T * n)


def test_names_of_motifs_are_apart_from_the_facts_behind_them(tmp_path):
    text = MEME.replace("MOTIF second", "MOTIF 2 width =  1  sites = 20  llr = 5")
    assert [motif.id for motif in read_motifs(write(tmp_path, text))] == ["MA0004.1", "2"]
