from __future__ import annotations

import gzip
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_nb.chromosomes import match_chromosomes
from mira_nb.errors import ResourceError
from mira_nb.io import genome
from mira_nb.io.genome import read_sequences, sequence_lengths
from tests.messages import codes, refused, values

RNG = np.random.default_rng(0)
LETTERS = {name: "".join(RNG.choice(list("ACGTacgtNR"), n)) for name, n in (("1", 503), ("chr2", 1200), ("MT", 60))}


def fasta(width: int = 50, end: str = "\n") -> str:
    out = []
    for name, sequence in LETTERS.items():
        out.append(f">{name} some words")
        out += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return end.join(out) + end


def clean(text: str) -> str:
    return "".join(letter if letter in "ACGT" else "N" for letter in text.upper())


def peaks(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def index_of(path) -> None:
    """Write an index as samtools faidx does."""
    offset, name = 0, ""
    entries: dict[str, list[int]] = {}
    for raw in path.read_bytes().splitlines(keepends=True):
        if raw.startswith(b">"):
            name = raw[1:].split()[0].decode()
        else:
            bare = len(raw.strip())
            entry = entries.setdefault(name, [0, offset, bare, len(raw)])
            entry[0] += bare
        offset += len(raw)
    lines = ["\t".join([name, *map(str, values)]) for name, values in entries.items()]
    path.with_name(path.name + ".fai").write_text("\n".join(lines) + "\n")


@pytest.fixture(
    params=["plain", "windows", "gzip", "bgzip blocks", "one line", "indexed", "indexed windows", "tiny blocks"]
)
def path(request, tmp_path, monkeypatch):
    kind = request.param
    file = tmp_path / "g.fa"
    text = fasta(10**6 if kind == "one line" else 50, "\r\n" if "windows" in kind else "\n").encode()
    if kind == "gzip":
        text = gzip.compress(text)
    if kind == "bgzip blocks":
        text = b"".join(gzip.compress(text[i : i + 100]) for i in range(0, len(text), 100))
    file.write_bytes(text)
    if "indexed" in kind:
        index_of(file)
    if kind in {"tiny blocks", "one line"}:
        monkeypatch.setattr(genome, "_BLOCK", 64)
    return file


def test_intervals_of_every_kind_of_file(path):
    wanted = peaks(("chr1", 0, 10), ("chr2", 48, 102), ("chr2", 0, 1200), ("chrM", 5, 60), ("chr1", 499, 503))
    found = read_sequences(path, wanted)
    sources = {"chr1": "1", "chr2": "chr2", "chrM": "MT"}
    for row, sequence in zip(wanted.itertuples(), found.sequences, strict=True):
        assert sequence == clean(LETTERS[sources[row.chrom]][row.start : row.end])
    assert found.found.all()
    assert found.names == {"chr1": "1", "chrM": "MT"}
    assert codes(found.findings) == ["genome_renamed_chromosomes"]
    assert sequence_lengths(path) == [(name, len(letters)) for name, letters in LETTERS.items()]


def test_peaks_outside_are_counted_and_named(path):
    found = read_sequences(
        path, peaks(("chr1", 490, 600), ("chr9", 1, 5), ("chr9", 8, 9), ("chr2", 5000, 5100), ("chr2", 0, 4))
    )
    assert found.found.tolist() == [True, False, False, False, True]
    assert len(found.sequences[0]) == 13
    lacking = values(found.findings, "genome_lacks_chromosomes")
    assert (lacking["n_peaks"], lacking["lacking"]) == (2, "chr9")
    beyond = values(found.findings, "genome_too_short")
    assert (beyond["n_peaks"], beyond["length"]) == (1, 1200)
    assert values(found.findings, "peaks_clipped")["n_peaks"] == 1


def test_exact_name_beats_corresponding_name(tmp_path):
    (tmp_path / "g.fa").write_text(">1\nAAAA\n>chr1\nCCCC\n")
    assert read_sequences(tmp_path / "g.fa", peaks(("chr1", 0, 4))).sequences == ["CCCC"]
    assert read_sequences(tmp_path / "g.fa", peaks(("1", 0, 4))).sequences == ["AAAA"]
    assert read_sequences(tmp_path / "g.fa", peaks(("1", 0, 4), ("chr1", 0, 4))).sequences == ["AAAA", "CCCC"]


def test_no_shared_chromosome(path):
    with refused("genome_without_shared_chromosome", ResourceError, peaks="chr77", genome="1, chr2, MT"):
        read_sequences(path, peaks(("chr77", 1, 5)))


def test_masked_sequence_is_reported(tmp_path):
    (tmp_path / "g.fa").write_text(">1\n" + "N" * 50 + "ACGT" * 10 + "\n")
    found = read_sequences(tmp_path / "g.fa", peaks(("1", 0, 40), ("1", 50, 60)))
    assert values(found.findings, "genome_masked")["n_peaks"] == 1


def test_damaged_files(tmp_path):
    file = tmp_path / "g.fa.gz"
    file.write_bytes(gzip.compress(fasta().encode())[:-20])
    with refused("genome_damaged", ResourceError):
        read_sequences(file, peaks(("chr2", 0, 5), ("chrM", 0, 5)))
    (tmp_path / "x.fa").write_text("no fasta\n>1\nACGT\n")
    with refused("genome_not_fasta", ResourceError):
        read_sequences(tmp_path / "x.fa", peaks(("1", 0, 2)))
    with refused("path_missing", ResourceError):
        read_sequences(tmp_path / "none.fa", peaks(("1", 0, 2)))


def test_index_of_another_file_is_refused_and_an_old_one_ignored(tmp_path):
    file = tmp_path / "g.fa"
    file.write_text(fasta())
    index_of(file)
    file.write_text(fasta(37))
    fai = tmp_path / "g.fa.fai"
    os.utime(fai, (file.stat().st_atime, file.stat().st_mtime - 100))
    assert read_sequences(file, peaks(("chr2", 100, 140))).sequences == [clean(LETTERS["chr2"][100:140])]
    os.utime(fai, (file.stat().st_atime, file.stat().st_mtime + 100))
    with refused("genome_index_does_not_fit", ResourceError, sequence="chr2", n_letters=1191):
        read_sequences(file, peaks(("chr2", 0, 1200)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["1", "chr1", "Chr1", "MT", "chrM", "M", "X", "scaffold_3"]), unique=True))
def test_every_chromosome_finds_itself(names: list[str]):
    match = match_chromosomes(names, names)
    assert match.mapping == {name: name for name in names}
    assert match.renamed == match.unmatched == {}


def test_memory_stays_near_one_chromosome(tmp_path):
    """Reading from a genome of 8 x 10 MB must not hold the whole of it."""
    file = tmp_path / "g.fa"
    line = b"ACGTACGTAC" * 10 + b"\n"
    with file.open("wb") as handle:
        for number in range(8):
            handle.write(b">chr%d\n" % number + line * 100_000)
    code = (
        "import resource, sys, pandas as pd\n"
        "from mira_nb.io.genome import read_sequences\n"
        "rows = [(f'chr{i}', 10, 20) for i in range(8)]\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = read_sequences(sys.argv[1], pd.DataFrame(rows, columns=['chrom', 'start', 'end']))\n"
        "assert found.sequences == ['ACGTACGTAC'] * 8\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 55


@pytest.mark.parametrize(
    "text",
    [
        "\n\n>chr1 x\nACGTACGT\n\n>chr2\nTTTTACGT\n\n",
        ">NC_000001.11 Homo sapiens chromosome 1\nACGTACGT\n>NC_000002.12 Homo sapiens chromosome 2\nTTTTACGT\n",
        ">gi|568815597|ref|NC_000001.11| Homo sapiens\nACGTACGT\n>gi|568815596|ref|NC_000002.12| Homo\nTTTTACGT\n",
    ],
    ids=["blank lines", "accessions", "accessions between bars"],
)
def test_what_archives_make_of_a_genome(tmp_path, text):
    path = tmp_path / "g.fa"
    path.write_text(text)
    found = read_sequences(path, peaks(("chr1", 0, 4), ("chr2", 2, 6)))
    assert found.sequences == ["ACGT", "TTAC"]


@pytest.mark.parametrize(
    ("accession", "chromosome"),
    [
        ("NC_000001.11", "chr1"),
        ("NC_000023.11", "chrX"),
        ("NC_000067.7", "1"),
        ("NC_000085.6", "19"),
        ("NC_000087.8", "chrY"),
        ("NC_005089.1", "chrM"),
        ("NC_012920.1", "MT"),
        ("CM000663.2", "chr1"),
        ("CM000685.2", "chrX"),
        ("CM001013.3", "X"),
        ("CM001014.3", "chrY"),
        ("NC_000086.8", "chrX"),
        ("chr01", "1"),
        ("GRCh38_chr7", "chr7"),
    ],
)
def test_accessions_of_human_and_mouse_are_chromosomes(accession, chromosome):
    found = match_chromosomes([chromosome], [accession])
    assert found.mapping == {chromosome: accession}


def test_index_that_cannot_be_read_counts_as_none(tmp_path):
    file = tmp_path / "g.fa"
    file.write_text(fasta())
    for content in ("no index\n", "", "1\tx\t1\t50\t51\n", "1\t10\t3\t50\t51\n" * 2):
        (tmp_path / "g.fa.fai").write_text(content)
        assert read_sequences(file, peaks(("chr2", 100, 140))).sequences == [clean(LETTERS["chr2"][100:140])]
        assert sorted(item.name for item in tmp_path.iterdir()) == ["g.fa", "g.fa.fai"]
        assert (tmp_path / "g.fa.fai").read_text() == content


def test_indexed_file_equals_streamed_file_and_pyfaidx_writes_no_index(tmp_path):
    file = tmp_path / "g.fa"
    file.write_text(fasta(37))
    rng = np.random.default_rng(1)
    begin = rng.integers(0, 1199, 200)
    wanted = peaks(*(("chr2", int(a), int(a + n)) for a, n in zip(begin, rng.integers(1, 200, 200), strict=True)))
    streamed = read_sequences(file, wanted)
    assert [item.name for item in tmp_path.iterdir()] == ["g.fa"]
    index_of(file)
    indexed = read_sequences(file, wanted)
    assert indexed.sequences == streamed.sequences
    assert indexed.findings == streamed.findings
