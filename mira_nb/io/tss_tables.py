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
    "gene stable id version", "ensembl_gene_id", "ensembl_gene_id_version", "ensgene", "name",
)  # fmt: skip
_ID_COLUMNS: Final = (
    "gene_id", "geneid", "gene stable id", "gene stable id version", "ensembl_gene_id", "ensembl_gene_id_version",
    "ensembl_id", "ensgene",
)  # fmt: skip
_TRANSCRIPT_COLUMNS: Final = (
    "tx_id", "transcript_id", "transcript stable id", "transcript stable id version", "ensembl_transcript_id",
    "ensembl_transcript_id_version", "transcript", "tx_name",
)  # fmt: skip
_TYPE_COLUMNS: Final = ("type", "feature", "feature_type")
_PARTS: Final = ("exon", "cds", "utr", "5utr", "3utr", "five_prime_utr", "three_prime_utr", "gap")
_WHOLE: Final = ("transcript", "mrna")
_GENES: Final = ("gene", "pseudogene")
_TSS_COLUMNS: Final = ("tss", "tss_position", "tss_pos")
# columns of Ensembl BioMart and its R package: positions count from 1
_BIOMART_TSS: Final = ("transcription start site (tss)", "transcription_start_site")
_BIOMART_START: Final = ("transcript start (bp)", "transcript_start", "gene start (bp)", "start_position")
_BIOMART_END: Final = ("transcript end (bp)", "transcript_end", "gene end (bp)", "end_position")
_CHROM: Final = (*CHROM_COLUMNS, "chromosome/scaffold name", "chromosome_name", "seq_name")
_START: Final = (*START_COLUMNS, "txstart", "tx_start", "gene_start", "tx_seq_start", "gene_seq_start", "begin")
_END: Final = (*END_COLUMNS, "txend", "tx_end", "gene_end", "tx_seq_end", "gene_seq_end")
_STRAND: Final = ("strand", "orientation", "seq_strand")
_SAF: Final = frozenset({"geneid", "chr", "start", "end", "strand"})
_FROM_ONE: Final = (
    (frozenset({"seqname", "feature"}), "its columns are those of GTF"),
    (frozenset({"seqnames"}), "its columns are those of R's genomic ranges"),
    (frozenset({"seqname", "geneseqstart"}), "its columns are those of Ensembl's database"),
    (frozenset({"seqname", "txseqstart"}), "its columns are those of Ensembl's database"),
    (frozenset({"begin", "orientation"}), "its columns are those of NCBI's tables of genes"),
    (frozenset({"ensgene"}), "its genes are Ensembl's"),
)
"""Columns that tell that starts count from 1, and how this is said."""
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
    saf: bool = False
    from_one: str = ""

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
        saf=set(known) == _SAF,
        from_one="" if one_based or _has_widths(known) else _from_one(set(known)),
    )


def _has_widths(known: dict[str, int]) -> bool:
    """Return whether a table has widths, which tell from where starts count in the place of names of columns."""
    return plain_header(_WIDTH[0]) in known and _both(known, "start", "end") is not None


def _from_one(names: set[str]) -> str:
    """Return why starts count from 1, as the names of columns tell; '' where they do not."""
    if names == _SAF:
        return "its columns are those of SAF, a row per exon"
    return next((words for columns, words in _FROM_ONE if columns <= names), "")


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

    def move(self, point: bool) -> None:
        """Move the start, of a point also its end, from counting from 1 to counting from 0."""
        chrom, start, end, *rest = self.row
        start = str(whole_number(start) - 1)
        self.row = (chrom, start, str(whole_number(end) - 1) if point else end, *rest)  # type: ignore[assignment]


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
            read.append(_table_row(fields, header))
            n_one_based += _width_from_one(fields, header)
        except (IndexError, ValueError):
            n_bad += 1
    _check_strands(path, {found.row[3] for found in read})
    widths_tell = n_one_based > _NEARLY_ALL * len(read) if read else False
    findings = []
    if widths_tell or header.from_one:
        findings = [] if widths_tell else [finding("tss_one_based", file=path.name, reason=header.from_one)]
        for found in read:
            found.move(header.tss is not None)
    rows, exons, joined = _transcripts(path, read)
    return Rows(rows, len(split), n_bad, [*findings, *joined], exons)


def _width_from_one(fields: list[str], header: Header) -> bool:
    """Return whether the width of a row is that of a start that counts from 1."""
    if header.shift or header.width is None or header.start is None or header.end is None:
        return False
    start, end, width = (whole_number(fields[place]) for place in (header.start, header.end, header.width))
    return end - start + 1 == width


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
    if header.saf:
        return _Read(row, "exon", row[4])
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
    parts = [found for found in read if found.kind in _PARTS]
    genes = [found for found in read if found.kind in _GENES]
    if not parts or (genes and not any(found.transcript for found in parts)):
        whole = genes if parts else read
        return [found.row for found in whole], [found.exons for found in whole], []
    joined: dict[tuple[str, str], Row] = {}
    for found in parts:
        chrom, start, end, *rest = found.row
        key = found.transcript or found.row[5] or found.row[4], chrom
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
