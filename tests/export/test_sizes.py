"""Tables of chromosome lengths: every kind that is in use is read, every other line is refused by its number."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mira_nb.errors import ParameterError
from mira_nb.export.sizes import read_sizes
from tests.messages import refused

TRUTH = {"chr1": 248956422, "chr10": 60000, "chrEBV": 171823}


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t248956422\nchr10\t60000\nchrEBV\t171823\n",
        "chr1 248956422\nchr10   60000\nchrEBV 171823",
        "chrom\tsize\nchr1\t248956422\nchr10\t60000\nchrEBV\t171823\n",
        "Chromosome Length\r\nchr1 248956422\r\nchr10 60000\r\nchrEBV 171823\r\n",
        "#chrom\tsize\tfileName\nchr1\t248956422\t/gbdb/a.2bit\nchr10\t60000\t/b\nchrEBV\t171823\t/c\n",
        "# lengths\n\nchr1\t248956422\n\n  # more\nchr10\t60000\nchrEBV\t171823\n\n",
        "\ufeffname,length\nchr1,248956422\nchr10,60000\nchrEBV,171823\n",
        '"x"\n"chr1" 248956422\n"chr10" 60000\n"chrEBV" 171823\n',
        "chr1\t248956422\t6\t60\t61\nchr10\t60000\t253\t60\t61\nchrEBV\t171823\t99\t60\t61\n",
        "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:248956422\tM5:6a\n@SQ\tSN:chr10\tLN:60000\n@SQ\tSN:chrEBV\tLN:171823\n",
        "chr1\t248956422.0\nchr10\t60000.0\nchrEBV\t171823\nchr10\t60000\n",
    ],
)
def test_tables_that_are_read(tmp_path, text):
    (tmp_path / "sizes").write_text(text, encoding="utf-8")
    assert read_sizes(tmp_path / "sizes") == TRUTH
    (tmp_path / "sizes.gz").write_bytes(gzip.compress(text.encode()))
    assert read_sizes(tmp_path / "sizes.gz") == TRUTH


def test_the_longest_chromosome(tmp_path):
    (tmp_path / "sizes").write_text(f"chr1\t{2**32 - 1}\n")
    assert read_sizes(tmp_path / "sizes") == {"chr1": 4294967295}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("chr1\t10\nchr3\t\n", "length_wrong", 2),
        ("# c\nchr1\t10\n\nchr4\tx\n", "length_wrong", 4),
        ("chr1\t10\nchr9\t4294967296\n", "length_wrong", 2),
        ("chr1\t10\nchr9\t99999999999999999999\n", "length_wrong", 2),
        ("chr1\t0\t248956422\n", "length_wrong", 1),
        ("chr1\t-5\n", "length_wrong", 1),
        ("chr1\t5.5\n", "length_wrong", 1),
        ("chr1\tnan\n", "length_wrong", 1),
        ("chr1\n", "length_wrong", 1),
        ("\t55\n", "length_wrong", 1),
        ("chr1\t10\nchrom\tsize\n", "length_wrong", 2),
        (">chr1\nACGTACGT\n", "length_wrong", 1),
        ("chr1\t\u00b2\n", "length_wrong", 1),
        ("chr1\t5\nchr2\t7\nchr1\t6\n", "length_again", 3),
    ],
)
def test_lines_that_are_refused(tmp_path, text, code, line):
    (tmp_path / "sizes").write_text(text, encoding="utf-8")
    with refused(f"export.{code}", ParameterError, line=line) as caught:
        read_sizes(tmp_path / "sizes")
    assert f"{tmp_path / 'sizes'} line {line}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "sizes_empty"),
        (b"chrom\tsize\n# none\n", "sizes_empty"),
        (b"\xff\xfe\x00", "sizes_unreadable"),
        (b"\x1f\x8b\x08 no gzip", "sizes_unreadable"),
        (None, "sizes_unreadable"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "sizes"
    path.mkdir() if content is None else path.write_bytes(content)
    with refused(f"export.{code}", ParameterError) as caught:
        read_sizes(path)
    assert str(path) in str(caught.value)
    with refused("export.sizes_unreadable", ParameterError):
        read_sizes(tmp_path / "absent")
