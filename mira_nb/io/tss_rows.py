"""Start sites without a header: BED and what is written like it, UCSC's genePred and refFlat, lisa2's table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from .gff import Row, exon_text, looks_like_gff
from .intervals import is_whole, whole_number
from .tss_tables import STRANDS, Rows, ucsc_exons

RowReader = Callable[[list[str]], Row | None]
RowForm = Literal["bed", "bed of gtf", "gtf", "refseq"]
_BED_STRANDS: Final = {*STRANDS, "."}
_STATUS: Final = ("cmpl", "incmpl", "none", "unk")
_GTF_TYPES: Final = frozenset(
    {"gene", "transcript", "exon", "cds", "utr", "start_codon", "stop_codon", "five_prime_utr", "three_prime_utr",
     "selenocysteine", "mrna"}
)  # fmt: skip
_CHROMOSOME: Final = re.compile(
    r"(?i)^(?:\w+_)?(?:chr.+|\d{1,2}[LR]?|[IVX]+|[WXYZUM]|MT|Un.*|scaffold.*|contig.*|ctg.*|(?!ENS|[NX][MR]_|HGNC)[A-Z]{1,4}_?\d{5,}(?:\.\d+)?)$"
)
_MOST: Final = 0.5


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def headerless_reader(head: list[str]) -> tuple[RowForm, RowReader] | None:
    """Recognise a format without a header by its first rows."""
    body = [_fields(line) for line in head if not line.startswith("#")]
    tests: list[tuple[RowForm, Callable[[list[str]], bool], RowReader]] = [
        ("gtf", looks_like_gff, _bed_row),
        ("bed of gtf", _is_bed_of_gtf, _bed_row),
        ("refseq", lambda f: _is_genepred(f[1:]) and len(f) >= 13, _binned_genepred_row),
        ("refseq", lambda f: _is_genepred(f[1:]) and len(f) >= 11, _refflat_row),
        ("refseq", _is_genepred, _genepred_row),
        ("refseq", lambda f: len(f) >= 8 and f[2] in "+-" and is_whole(f[3]) and is_whole(f[4]), _lisa_row),
        ("bed", lambda f: _is_interval(f) and len(f) >= 6 and f[5].lower() in _BED_STRANDS, _bed_row),
        ("bed", lambda f: _is_interval(f) and len(f) == 5 and f[4].lower() in STRANDS, _bed5_row),
        ("bed", lambda f: _is_interval(f) and len(f) == 5 and f[3].lower() in STRANDS, _bed5_strand_first_row),
        ("bed", lambda f: _is_interval(f) and len(f) in {4, 5} and f[3].lower() not in STRANDS, _bed4_row),
    ]
    for kind, test, parse in tests:
        good = sum(bool(fields[0]) and test(fields) for fields in body)
        if body and good > 0.8 * len(body):
            return kind, parse
    return None


def unknown_header(head: list[str]) -> bool:
    """Return whether the first row names columns of a table whose first column holds other things than chromosomes.

    A header of any words over rows of BED is left out; over another table it must not be read as BED.
    """
    first, *body = (_fields(line) for line in head)
    named = [number for number in range(min(len(first), 3)) if not is_whole(first[number])]
    chromosomes = sum(bool(fields[0]) and _CHROMOSOME.match(fields[0]) is not None for fields in body)
    return len(named) == len(first[:3]) and chromosomes < _MOST * len(body)


def _is_bed_of_gtf(fields: list[str]) -> bool:
    """Return whether a row is of a GTF file written as BED (bedops gtf2bed): the eighth column is its type."""
    return len(fields) >= 10 and _is_interval(fields) and fields[5] in "+-." and fields[7].lower() in _GTF_TYPES


def gtf_of_bed(line: str) -> str:
    """Return the GTF row from which a row of BED was made."""
    chrom, start, end, _, score, strand, source, kind, frame, *attributes = _fields(line)
    position = str(whole_number(start) + 1)
    return "\t".join((chrom, source, kind, position, end, score, strand, frame, " ".join(attributes)))


def _is_interval(fields: list[str]) -> bool:
    return len(fields) >= 3 and is_whole(fields[1]) and is_whole(fields[2])


def _is_genepred(fields: list[str]) -> bool:
    """Return whether a row is UCSC's genePred: name, chrom, strand, five numbers, starts and ends of exons."""
    return len(fields) >= 10 and fields[2] in "+-" and all(map(is_whole, fields[3:8]))


def _genepred_row(fields: list[str]) -> Row:
    """Read a row of genePred; its extended form names the gene in the twelfth column, the plain form does not."""
    extended = len(fields) >= 15 or (len(fields) > 12 and fields[12] in _STATUS)
    return fields[1], fields[3], fields[4], fields[2], fields[11] if extended else fields[0], fields[0]


def _binned_genepred_row(fields: list[str]) -> Row:
    return _genepred_row(fields[1:])


def _refflat_row(fields: list[str]) -> Row | None:
    return fields[2], fields[4], fields[5], fields[3], fields[0], fields[1]


def _lisa_row(fields: list[str]) -> Row | None:
    return fields[1], fields[3], fields[4], fields[2], fields[7], fields[0]


def _bed_row(fields: list[str]) -> Row | None:
    return fields[0], fields[1], fields[2], fields[5], fields[3], ""


def _bed5_row(fields: list[str]) -> Row | None:
    return fields[0], fields[1], fields[2], fields[4], fields[3], ""


def _bed5_strand_first_row(fields: list[str]) -> Row | None:
    return fields[0], fields[1], fields[2], fields[3], fields[4], ""


def _bed4_row(fields: list[str]) -> Row | None:
    return fields[0], fields[1], fields[2], ".", fields[3], ""


_EXONS: Final[Mapping[RowReader, int]] = {
    _genepred_row: 8, _binned_genepred_row: 9, _refflat_row: 9, _lisa_row: 5,
}  # fmt: skip
"""Column of the starts of exons by form; that of their ends follows."""


def parse_rows(lines: Iterable[str], parse: RowReader) -> Rows:
    """Return the rows, the number of rows considered and the number of unusable rows."""
    rows: list[Row] = []
    exons: list[str] = []
    n_rows = n_bad = 0
    for line in lines:
        if line.startswith("#"):
            continue
        n_rows += 1
        fields = _fields(line)
        try:
            row = parse(fields)
        except (IndexError, ValueError):
            row = None
        if row is None:
            n_bad += 1
        else:
            rows.append(row)
            exons.append(_exons(parse, fields))
    return Rows(rows, n_rows, n_bad, exons=exons)


def _exons(parse: RowReader, fields: list[str]) -> str:
    """Return the exons of a row, where its form has them: genePred, refFlat, lisa2 and BED12."""
    if parse is _bed_row:
        if len(fields) < 12 or not is_whole(fields[1]):
            return ""
        start = whole_number(fields[1])
        sizes, steps = ([int(x) for x in text.strip(",").split(",") if x.isdigit()] for text in fields[10:12])
        return exon_text((start + step, start + step + size) for step, size in zip(steps, sizes, strict=False))
    place = _EXONS.get(parse)
    return ucsc_exons(*fields[place : place + 2]) if place is not None and len(fields) > place + 1 else ""
