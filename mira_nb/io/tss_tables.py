"""Tables of start sites with a header: UCSC's Table Browser, Ensembl BioMart, R's data frames and GRanges, and others.

Rows come out 0-based and half-open. Where a table has a row per exon, rows of one transcript are joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mira_nb.errors import ResourceError

from .files import find_separator, split_row
from .gff import Row, exon_text
from .identifiers import plain_header
from .intervals import is_whole, whole_number
from .messages import Finding, finding, refusal
from .peaks import CHROM_COLUMNS, END_COLUMNS, START_COLUMNS

OPTION: Final = "--tss"
STRANDS: Final = {
    "+": "+", "-": "-", "1": "+", "-1": "-", "+1": "+", "1.0": "+", "-1.0": "-",
    "plus": "+", "minus": "-", "forward": "+", "reverse": "-", "fwd": "+", "rev": "-", "f": "+", "r": "-",
    "positive": "+", "negative": "-", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-",
}  # fmt: skip
"""Spellings of the two strands, in lower case."""
UNSTRANDED: Final = (".", "", "*", "0", "?", "na", "nan")
GENE_COLUMNS: Final = (
    "gene_symbol", "genesymbol", "symbol", "gene_name", "genename", "gene name", "name2", "hgnc_symbol", "hgnc symbol",
    "mgi_symbol", "mgi symbol", "external_gene_name", "gene", "genes", "gene_id", "geneid", "gene stable id",
    "ensembl_gene_id", "name",
)  # fmt: skip
_ID_COLUMNS: Final = ("gene_id", "geneid", "gene stable id", "ensembl_gene_id", "ensembl_id")
_TRANSCRIPT_COLUMNS: Final = (
    "tx_id", "transcript_id", "transcript stable id", "ensembl_transcript_id", "transcript", "tx_name",
)  # fmt: skip
_TYPE_COLUMNS: Final = ("type", "feature", "feature_type")
_PARTS: Final = ("exon", "cds", "utr", "5utr", "3utr", "five_prime_utr", "three_prime_utr", "gap")
_WHOLE: Final = ("transcript", "mrna")
_TSS_COLUMNS: Final = ("tss", "tss_position", "tss_pos")
# columns of Ensembl BioMart and its R package: positions count from 1
_BIOMART_TSS: Final = ("transcription start site (tss)", "transcription_start_site")
_BIOMART_START: Final = ("transcript start (bp)", "transcript_start", "gene start (bp)", "start_position")
_BIOMART_END: Final = ("transcript end (bp)", "transcript_end", "gene end (bp)", "end_position")
_CHROM: Final = (*CHROM_COLUMNS, "chromosome/scaffold name", "chromosome_name")
_START: Final = (*START_COLUMNS, "txstart", "tx_start", "gene_start")
_END: Final = (*END_COLUMNS, "txend", "tx_end", "gene_end")
_STRAND: Final = ("strand", "orientation")
_WIDTH: Final = ("width",)
_EXONS: Final = ("exonstarts", "exonends")
_KNOWN: Final = frozenset(
    plain_header(name)
    for options in (
        GENE_COLUMNS, _ID_COLUMNS, _TRANSCRIPT_COLUMNS, _TYPE_COLUMNS, _TSS_COLUMNS, _BIOMART_TSS, _BIOMART_START,
        _BIOMART_END, _CHROM, _START, _END, _STRAND, _WIDTH, _EXONS,
    )
    for name in options
)  # fmt: skip
_NEARLY_ALL: Final = 0.9


@dataclass
class Rows:
    """Rows of a file, how many were read, how many could not be, what was assumed, and exons of the rows if known."""

    rows: list[Row]
    n_read: int
    n_bad: int
    findings: list[Finding] = field(default_factory=list)
    exons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Header:
    """The positions of the columns of a table, None for those it does not have."""

    separator: str | None
    n_columns: int
    chrom: int | None
    start: int | None
    end: int | None
    strand: int | None
    gene: int | None
    gene_id: int | None
    transcript: int | None
    kind: int | None
    tss: int | None
    width: int | None
    exons: tuple[int, int] | None
    shift: int

    def missing(self) -> list[str]:
        """Return the names of required columns that the table lacks."""
        needed = {
            "chrom": self.chrom is None,
            "gene_symbol": self.gene is None,
            "start and end (or tss)": self.tss is None and (self.start is None or self.end is None),
            "strand": self.strand is None,
        }
        return [name for name, absent in needed.items() if absent]


def read_header(first: str) -> Header:
    """Read the first line of a table; columns are known by their letters and digits.

    UCSC's ``hg38.kgXref.geneSymbol`` counts as ``geneSymbol``, R's ``Gene.start..bp.`` as ``Gene start (bp)``.
    """
    separator = find_separator(first)
    names = split_row(first.lstrip("#"), separator)
    known = {_known_header(name): number for number, name in reversed(list(enumerate(names)))}

    def find(options: tuple[str, ...]) -> int | None:
        return next((known[key] for name in options if (key := plain_header(name)) in known), None)

    tss, biomart = find(_TSS_COLUMNS), find(_BIOMART_TSS)
    start, end = find(_START), find(_END)
    one_based = tss is None and biomart is not None
    if start is None and end is None and (starts := _pair(known)) is not None:
        (start, end), one_based = starts, True
    return Header(
        separator=separator,
        n_columns=len(names),
        chrom=find(_CHROM),
        start=start,
        end=end,
        strand=find(_STRAND),
        gene=find(GENE_COLUMNS),
        gene_id=find(_ID_COLUMNS),
        transcript=find(_TRANSCRIPT_COLUMNS),
        kind=find(_TYPE_COLUMNS),
        tss=biomart if tss is None else tss,
        width=find(_WIDTH),
        exons=_both(known, *_EXONS),
        shift=int(one_based),
    )


def _known_header(name: str) -> str:
    """Return the name of a column as it is looked up; of UCSC's names with two dots the last part."""
    key = plain_header(name)
    return plain_header(name.rsplit(".", 1)[-1]) if key not in _KNOWN and name.count(".") == 2 else key


def _both(known: dict[str, int], *names: str) -> tuple[int, int] | None:
    first, second = (known.get(plain_header(name)) for name in names)
    return None if first is None or second is None else (first, second)


def ucsc_exons(starts: str, ends: str) -> str:
    """Return the exons of UCSC's lists of starts and ends; '' where they are no such lists."""
    pairs = list(zip(*(part.strip('"').strip(",").split(",") for part in (starts, ends)), strict=False))
    if not all(text.isdigit() for pair in pairs for text in pair):
        return ""
    return exon_text((int(start), int(end)) for start, end in pairs)


def _pair(known: dict[str, int]) -> tuple[int, int] | None:
    """Return BioMart's columns of start and end that belong together, transcripts before genes."""
    pairs = (_both(known, *names) for names in zip(_BIOMART_START, _BIOMART_END, strict=True))
    return next((pair for pair in pairs if pair is not None), None)


@dataclass
class _Read:
    """One row, its kind, transcript and exons ('' without such columns)."""

    row: Row
    kind: str
    transcript: str
    exons: str = ""


def parse_table(lines: Iterator[str], path: Path) -> Rows:
    """Read a table whose first line names the columns.

    Raises
    ------
    ResourceError
        When needed columns are missing, or strands are written 0 and 1, which tools use either way round.
    """
    first = next(lines)
    header = read_header(first)
    if header.missing():
        raise refusal(ResourceError, "tss_columns_missing", path=path, lacking=header.missing(), first_line=first[:160])
    read: list[_Read] = []
    split = [split_row(line, header.separator) for line in lines]
    shift = _row_names(split, header)
    n_bad = n_one_based = 0
    for fields in split:
        try:
            fields = _of_columns(fields, header, shift)
            found = _table_row(fields, header)
            if header.width is not None and header.tss is None:
                n_one_based += int(found.row[2]) - int(found.row[1]) + 1 == whole_number(fields[header.width])
            read.append(found)
        except (IndexError, ValueError):
            n_bad += 1
    _check_strands(path, {found.row[3] for found in read})
    if read and n_one_based > 0.9 * len(read):  # a table of R's GRanges
        for found in read:
            chrom, start, *rest = found.row
            found.row = (chrom, str(int(start) - 1), *rest)  # type: ignore[assignment]
    rows, exons, findings = _transcripts(path, read)
    return Rows(rows, len(split), n_bad, findings, exons)


def _of_columns(fields: list[str], header: Header, shift: int) -> list[str]:
    """Return the values of the columns of a row, which may begin with a name (`shift` 1) and end with separators.

    Raises
    ------
    ValueError
        When the row is longer than the header, and a value that is needed may not stand where the header says.
    """
    fields = fields[shift:]
    while len(fields) > header.n_columns and not fields[-1]:
        fields = fields[:-1]
    checked = max(place for place in (header.start, header.end, header.tss, header.strand) if place is not None)
    needed = max(place for place in (header.chrom, header.gene, header.gene_id, 0) if place is not None)
    longer = len(fields) > header.n_columns
    if (shift and len(fields) < header.n_columns) or (longer and (needed > checked or not _fits(fields, header))):
        raise ValueError("a row of another number of columns")
    return fields


def _row_names(rows: Sequence[Sequence[str]], header: Header) -> int:
    """Return 1 where rows begin with a name, to which R's write.table gives no column; else 0.

    R writes one before every row. A value with a separator in it makes some rows longer, or fits where it stands.
    """
    longer = [fields for fields in rows if len(fields) == header.n_columns + 1]
    if len(longer) < _NEARLY_ALL * len(rows):
        return 0
    with_name = sum(_fits(fields[1:], header) for fields in longer)
    return int(with_name > 0 and with_name >= sum(_fits(fields, header) for fields in longer))


def _fits(fields: Sequence[str], header: Header) -> bool:
    """Return whether positions and strand stand in the columns of that name."""
    places = (header.start, header.end) if header.tss is None else (header.tss,)
    positions = [fields[place] for place in places if place is not None]
    strand = "" if header.strand is None else fields[header.strand].lower()
    return all(map(is_whole, positions)) and (strand in STRANDS or strand in UNSTRANDED)


def _check_strands(path: Path, strands: set[str]) -> None:
    if strands == {"0", "1"}:
        raise refusal(ResourceError, "tss_strands_ambiguous", path=path)


def _table_row(fields: list[str], header: Header) -> _Read:
    def text(position: int | None) -> str:
        return "" if position is None else fields[position]

    start, end = text(header.start), text(header.end)
    if header.tss is not None:
        position = int(float(fields[header.tss])) - header.shift
        start, end = str(position), str(position + 1)
    elif header.shift:
        start = str(whole_number(start) - header.shift)
    kind = text(header.kind).lower()
    if kind in _PARTS or is_whole(start):
        start = str(whole_number(start))
    if kind in _PARTS or is_whole(end):
        end = str(whole_number(end))
    row = (text(header.chrom), start, end, text(header.strand), text(header.gene), text(header.gene_id))
    exons = "" if header.exons is None else ucsc_exons(*(fields[place] for place in header.exons))
    return _Read(row, kind, text(header.transcript) if header.tss is None else "", exons)


def _transcripts(path: Path, read: list[_Read]) -> tuple[list[Row], list[str], list[Finding]]:
    """Return a row per transcript with its exons: rows of transcripts where there are any, else what exons span."""
    blocks: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for found in read:
        if found.kind == "exon" and found.transcript:
            blocks.setdefault((found.transcript, found.row[0]), []).append((int(found.row[1]), int(found.row[2])))
    whole = [found for found in read if found.kind in _WHOLE]
    if whole:
        return [found.row for found in whole], [_exons(blocks, found.transcript, found.row) for found in whole], []
    parts = [found for found in read if found.kind in _PARTS and found.transcript]
    if not parts:
        return [found.row for found in read], [found.exons for found in read], []
    joined: dict[tuple[str, str], Row] = {}
    for found in parts:
        chrom, start, end, *rest = found.row
        key = found.transcript, chrom
        if key in joined:
            start = str(min(int(start), int(joined[key][1])))
            end = str(max(int(end), int(joined[key][2])))
        joined[key] = (chrom, start, end, *rest)  # type: ignore[assignment]
    texts = [_exons(blocks, transcript, row) for (transcript, _), row in joined.items()]
    return (
        list(joined.values()),
        texts,
        [
            finding(
                "tss_parts_joined",
                n_parts=len(parts),
                n_transcripts=len(joined),
                file=path.name,
                kinds=sorted({found.kind for found in parts}),
            )
        ],
    )


def _exons(blocks: dict[tuple[str, str], list[tuple[int, int]]], transcript: str, row: Row) -> str:
    return exon_text(blocks.get((transcript, row[0]), ()))
