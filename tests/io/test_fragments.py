"""Reading of fragment files, and the real file of a run against its matrix."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from mira_nb.errors import ResourceError
from mira_nb.io.fragments import look_at_fragments, read_fragments

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


def test_truncated(tmp_path):
    path = tmp_path / "f.tsv.gz"
    packed = gzip.compress(TEXT.encode() * 50)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ResourceError, match="damaged or truncated"):
        read(path)
