"""Lengths of chromosomes from a table: chrom.sizes, .fai, chromInfo.txt or the @SQ lines of a sequence dictionary."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import Final

from mira_nb.errors import ParameterError

from .messages import refusal

LONGEST: Final = 2**32 - 1
"""Longest chromosome that a bigWig can hold."""
_HEADERS: Final = re.compile(
    r"(chrom(osome)?|chr|seq(uence|name|names|id)?|contig|scaffold|name)[_. -]?(name|id)?", re.IGNORECASE
)
_LENGTHS: Final = re.compile(
    r"(chrom(osome)?|chr|seq(uence)?|total|contig)?[_. -]?(sizes?|len(gth)?s?|bases|bp)([_. (-]*bp\)?)?", re.IGNORECASE
)


def read_sizes(table: Path) -> dict[str, int]:
    """Return the length of every chromosome of a table.

    Columns are parted by tabs, else by blanks or commas; those after the second say nothing. Empty lines, comments
    (``#``) and a line of column names at the top are passed over.

    Raises
    ------
    ParameterError
        For a file that cannot be read or holds no chromosome, a line without a length from 1 to :data:`LONGEST`, or
        two lengths of one chromosome; file and line are named.
    """
    try:
        content = table.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise refusal(ParameterError, "sizes_unreadable", file=table, reason=reason) from error
    found: dict[str, int] = {}
    first = True
    for number, line in enumerate(text.splitlines(), start=1):
        fields = _fields(line)
        if not fields:
            continue
        if first and _is_header(fields):
            first = False
            continue
        first = False
        name, length = fields[0], fields[1] if len(fields) > 1 else ""
        if not name or not re.fullmatch(r"[0-9]+(\.0+)?", length) or not 1 <= int(length.split(".")[0]) <= LONGEST:
            raise _wrong(table, number, line, "length_wrong", length or "nothing")
        if found.setdefault(name, int(length.split(".")[0])) != int(length.split(".")[0]):
            raise _wrong(table, number, line, "length_again", f"{found[name]} before")
    if not found:
        raise refusal(ParameterError, "sizes_empty", file=table)
    return found


def _fields(line: str) -> list[str]:
    """Return the fields of a line; none where it is empty, a comment, or a line of a dictionary that is no sequence."""
    if not line.strip() or line.lstrip().startswith("#"):
        return []
    if re.match(r"@[A-Z]{2}\t", line):
        tags = dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)
        return [tags.get("SN", ""), tags.get("LN", "").strip()] if line.startswith("@SQ") else []
    fields = line.split("\t") if "\t" in line else re.split(r"\s*,\s*|\s+", line.strip())
    return [field.strip().strip("\"'") for field in fields]


def _is_header(fields: list[str]) -> bool:
    """Return whether a line holds names of columns: known words, or the one that R gives a vector without a name."""
    if fields in (["x"], ["", "x"]):
        return True
    name, length = (*fields, "")[:2]
    return bool(_LENGTHS.fullmatch(length) or (_HEADERS.fullmatch(name) and length.isalpha()))


def _wrong(table: Path, number: int, line: str, code: str, found: str) -> ParameterError:
    shown = line.strip()[:80]
    return refusal(ParameterError, code, file=table, line=number, shown=shown, found=found[:40], longest=LONGEST)
