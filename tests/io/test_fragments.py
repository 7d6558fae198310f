"""Reading of fragment files, and the real file of a run against its matrix."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.fragments import LeftOut, look_at_fragments, read_fragments
from tests.messages import refused

CELLS = ["AAACCCGGGTTTAAAC-1", "AAACCCGGGTTTAAAG-1", "AAACCCGGGTTTAAAT-1"]
TEXT = (
    "# id=x\nchr1\t10\t200\tAAACCCGGGTTTAAAC-1\t2\nchrM\t5\t60\tAAACCCGGGTTTAAAT-1\t1\n2\t7\t9\tGGGGGGGGGGGGGGGG-1\t1\n"
)


def read(path: Path, cells=CELLS, **options):
    parts = list(read_fragments(path, cells, ["1", "chr2", "MT"], **options))
    return [np.concatenate(values).tolist() for values in zip(*parts, strict=True)]


@pytest.mark.parametrize("rows", [1, 2, 1000])
@pytest.mark.parametrize("packed", [False, True])
def test_read(tmp_path, rows, packed):
    path = tmp_path / "f.tsv.gz"
    path.write_bytes(gzip.compress(TEXT.encode()) if packed else TEXT.encode())
    assert read(path, rows=rows) == [[0, 2, 1], [10, 5, 7], [200, 60, 9], [0, 2, -1]]


def test_positions_with_exponents(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_text(TEXT.replace("\t200\t", "\t2e+02\t").replace("\t5\t60\t", "\t5\t1.1e+07\t"))
    assert read(path)[2] == [200, 11_000_000, 9]
    path.write_text(TEXT.replace("\t200\t", "\t1.5e+00\t"))
    with pytest.raises(ResourceError, match="is no fragment"):
        read(path)


@pytest.mark.parametrize("form", ["s1#{}", "s1_{}", "{}_1", "{}.x"])
def test_names_with_samples(tmp_path, form):
    path = tmp_path / "f.tsv"
    path.write_text(TEXT)
    cells = [form.format(name) for name in CELLS]
    assert read(path, cells)[3] == [0, 2, -1]
    assert look_at_fragments(path, cells).n_cells == 2


def test_only_lines_that_begin_with_a_hash_are_comments(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_text(TEXT.replace("AAACCC", "s1#AAACCC") * 2)  # a second header, as in files that were joined
    for cells in (CELLS, [f"s1#{name}" for name in CELLS]):
        assert read(path, cells)[3] == [0, 2, -1, 0, 2, -1]
        assert read(path, cells, rows=1)[1] == [10, 5, 7, 10, 5, 7]


def test_comments_of_any_length(tmp_path, monkeypatch):
    monkeypatch.setattr("mira_nb.io.fragments._BLOCK", 7)
    path = tmp_path / "f.tsv"
    path.write_text("# a\n#\n" + TEXT + "# end without a line break")
    assert read(path)[1] == [10, 5, 7]


def test_barcodes_that_several_cells_share_are_not_guessed(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_text(TEXT)
    assert read(path, ["s1_AAACCCGGGTTTAAAC-1", "s2_AAACCCGGGTTTAAAC-1"])[3] == [-1, -1, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# only\n", "no fragments"),
        ("chr1\t5\t5\tAAAC-1\t1\n", "row 1: .* is no fragment"),
        ("chr1\t5\tx\tAAAC-1\t1\n", "is no fragment"),
        ("chrom\tstart\tend\tbarcode\nchr1\t5\t9\tAAAC-1\n", "is no fragment"),
        ("chr1\t5\t9\n", "no fragments"),
    ],
)
def test_refused(tmp_path, text, message):
    path = tmp_path / "f.tsv"
    path.write_text(text)
    with pytest.raises(ResourceError, match=message):
        read(path)


MANY = "".join(f"chr1\t{10 * k}\t{10 * k + 9}\t{CELLS[k % 3]}\t1\n" for k in range(300))


@pytest.mark.parametrize(("rows", "place"), [(1000, 0), (50, 150), (1000, 300)])
@pytest.mark.parametrize(
    "bad",
    [
        f"chrM\t-4\t120\t{CELLS[0]}\t1\n",
        f"chrM\t500\t500\t{CELLS[0]}\t1\n",
        f"chrM\t500\t400\t{CELLS[0]}\t1\n",
        f"chrM\tx\t400\t{CELLS[0]}\t1\n",
        f"chrM\t1.5\t400\t{CELLS[0]}\t1\n",
        "chrM\t1\t400\t\t1\n",
        "chrom\tstart\tend\tbarcode\tcount\n",
    ],
)
def test_few_rows_that_are_no_fragments_are_left_out_and_said(tmp_path, bad, place, rows):
    path = tmp_path / "f.tsv"
    lines = MANY.splitlines(keepends=True)
    path.write_text("# id=x\n" + "".join([*lines[:place], bad, *lines[place:]]))
    left_out = LeftOut()
    found = read(path, rows=rows, left_out=left_out)
    assert found == [[0] * 300, [10 * k for k in range(300)], [10 * k + 9 for k in range(300)], [0, 1, 2] * 100]
    shown = repr("\t".join(bad.rstrip("\n").split("\t")[:4]).rstrip("\t"))
    assert (left_out.n, left_out.n_rows, left_out.row, left_out.shown) == (1, 301, place + 1, shown)
    head = look_at_fragments(path, CELLS)
    assert (head.left_out, head.n_cells, head.n_rows) == (left_out, 3, 301)
    path.write_text("".join(lines[:place]) + bad * 10 + "".join(lines[place:]))
    with refused("fragments_row", ResourceError, row=place + 1, n_bad=10, n_rows=310, shown=shown):
        read(path)


@pytest.mark.parametrize("end", ["chr1\t100", "chr1\t100\t20", "chr", "chr1\t100\t"])
def test_last_row_cut_short_is_named(tmp_path, end):
    path = tmp_path / "f.tsv"
    path.write_text(MANY + end)
    left_out = LeftOut()
    assert len(read(path, left_out=left_out)[0]) == 300
    assert (left_out.n, left_out.row, left_out.shown) == (1, 301, repr(end.rstrip("\t")))
    assert left_out.cut


def test_truncated(tmp_path):
    path = tmp_path / "f.tsv.gz"
    packed = gzip.compress(TEXT.encode() * 50)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ResourceError, match="damaged or truncated"):
        read(path)


def _barcodes(n):
    letters = np.random.default_rng(0).choice(list("ACGT"), (n, 16))
    return ["".join(row) for row in letters]


def _fragments(path, counted):
    path.write_text("".join(f"chr1\t{10 * k}\t{10 * k + 9}\t{name}\n" for name, n in counted for k in range(n)))
    return path


SAMPLES = 3
PER_SAMPLE = 8


@pytest.mark.parametrize("of_sample", [1, 2, 3])
@pytest.mark.parametrize("mark", ["{}-1", "{}", "lib7#{}-1"])
@pytest.mark.parametrize("form", ["{barcode}-{sample}", "s{sample}_{barcode}-1", "{barcode}-1_{sample}"])
def test_fragments_of_one_sample_are_those_of_its_cells(tmp_path, form, mark, of_sample):
    """The deep barcodes of the file are the planted sample's cells, the others are droplets without a cell."""
    barcodes = _barcodes(SAMPLES * PER_SAMPLE)
    sample = np.arange(len(barcodes)) // PER_SAMPLE + 1
    cells = [form.format(barcode=name, sample=number) for name, number in zip(barcodes, sample, strict=True)]
    counted = [(mark.format(name), 40 if k == of_sample else 2) for name, k in zip(barcodes, sample, strict=True)]
    path = _fragments(tmp_path / "f.tsv", counted)
    found = read(path, cells)[3]
    assert sorted(set(found) - {-1}) == np.flatnonzero(sample == of_sample).tolist()
    assert sum(row >= 0 for row in found) == 40 * PER_SAMPLE
    head = look_at_fragments(path, cells)
    assert (head.n_cells, head.unclear) == (PER_SAMPLE, ())
    assert list(head.absent.values()) == [PER_SAMPLE] * 2


def test_a_barcode_that_samples_share_is_the_cell_of_the_files_sample(tmp_path):
    barcodes = _barcodes(16)
    cells = [f"{name}-1" for name in barcodes[:8]] + [f"{name}-2" for name in [barcodes[0], *barcodes[9:]]]
    counted = [(f"{name}-1", 3 if number < 8 else 50) for number, name in enumerate(barcodes)]
    counted[0] = (counted[0][0], 50)
    found = set(read(_fragments(tmp_path / "f.tsv", counted), cells)[3])
    assert found == {-1, *range(8, 16)}


def test_marks_of_a_file_of_several_samples_are_translated(tmp_path):
    barcodes = _barcodes(24)
    cells = [f"{'abc'[number // 8]}_{name}" for number, name in enumerate(barcodes)]
    counted = [
        (f"{name}-{k + 1}", 40 if (k + 1) % 3 == n // 8 else 2) for k in range(3) for n, name in enumerate(barcodes)
    ]
    path = _fragments(tmp_path / "f.tsv", counted)
    found = np.array(read(path, cells)[3])
    assert np.bincount(found[found >= 0], minlength=24).tolist() == [40] * 24
    head = look_at_fragments(path, cells)
    assert (dict(head.absent), head.unclear) == ({}, ())


def test_samples_as_deep_as_each_other_are_kept_and_said(tmp_path):
    barcodes = _barcodes(24)
    cells = [f"{name}_{number // 8}" for number, name in enumerate(barcodes)]
    path = _fragments(tmp_path / "f.tsv", [(f"{name}-1", 10 + number // 8) for number, name in enumerate(barcodes)])
    assert set(read(path, cells)[3]) == set(range(24))
    head = look_at_fragments(path, cells)
    assert head.unclear == ("BARCODE_0", "BARCODE_1", "BARCODE_2")
    assert not head.absent


def test_marks_that_are_the_same_decide_between_samples_as_deep_as_each_other(tmp_path):
    barcodes = _barcodes(24)
    cells = [f"{name}-{number // 8 + 1}" for number, name in enumerate(barcodes)]
    path = _fragments(tmp_path / "f.tsv", [(f"{name}-2", 10) for name in barcodes])
    assert set(read(path, cells)[3]) == {-1, *range(8, 16)}
    assert dict(look_at_fragments(path, cells).absent) == {"BARCODE-1": 8, "BARCODE-3": 8}


def test_marks_of_single_cells_are_no_samples(tmp_path):
    barcodes = _barcodes(12)
    cells = [f"cell{number}_{name}" for number, name in enumerate(barcodes)]
    path = _fragments(tmp_path / "f.tsv", [(name, 1 + 20 * (number % 3)) for number, name in enumerate(barcodes)])
    assert set(read(path, cells)[3]) == set(range(12))
    assert not look_at_fragments(path, cells).unclear
