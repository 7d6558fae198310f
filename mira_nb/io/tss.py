"""Transcription start sites from BED, tables with headers, GTF/GFF3, and UCSC or lisa2 RefSeq dumps.

The lines are read here and not by bioframe: its readers are pandas' and cannot pass over and count unusable rows
(``docs/decisions/libraries-io.md``).

Position of a TSS: 0-based position of the transcript's first base, that is, start on the + strand and end - 1 on the -
strand of a 0-based, half-open interval.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from mira_nb.errors import ResourceError

from .files import read_lines
from .gff import Row, exon_text, looks_like_gff, parse_gff
from .identifiers import CALLED_PEAK
from .intervals import is_whole, whole_number
from .messages import Finding, finding, refusal
from .rounding import Exponents, note_exponents, rounded_rows
from .tss_tables import OPTION, STRANDS, UNSTRANDED, Rows, parse_table, read_header, ucsc_exons

TssFormat = Literal["table", "bed", "gtf", "refseq"]
RULE: Final = (
    "Every distinct transcription start site of a gene is kept. Where one site per gene is needed, it is the one that "
    "most transcripts share; among equals the most upstream one; main chromosomes (names without '_') come first."
)
LONGEST_POINT: Final = 2
"""Length of an interval up to which it is a start site and no transcript."""
_BED_STRANDS: Final = {*STRANDS, "."}
_ENOUGH_ROWS: Final = 20
_WIDEST_PROMOTER: Final = 4000
_STATUS: Final = ("cmpl", "incmpl", "none", "unk")


@dataclass(frozen=True)
class TssTable:
    """Transcription start sites.

    Attributes
    ----------
    frame
        Columns gene, chrom, tss (0-based), strand, n_transcripts, gene_id ('' without one); one row per distinct site,
        in the order of the file. Where the file has transcripts and not start sites alone, also body_start and body_end
        of the longest one that begins there (0-based, half-open; -1 where it is not known) and its exons
        (``start-end,start-end``; '' where they are not known).
    format
        How the file was read.
    findings
        What was left out or assumed.
    lost
        Gene or gene identifier without any site -> why its rows were left out.
    """

    frame: pd.DataFrame
    format: TssFormat
    findings: tuple[Finding, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)

    def one_per_gene(self) -> pd.DataFrame:
        """Return one site per gene by :data:`RULE`, in the order in which genes first occur."""
        frame = self.frame
        upstream = frame["tss"].where(frame["strand"] == "+", -frame["tss"])
        order = pd.DataFrame(
            {
                "gene": pd.factorize(frame["gene"])[0],
                "alternative": frame["chrom"].str.contains("_", regex=False),
                "rank": -frame["n_transcripts"],
                "upstream": upstream,
            }
        ).sort_values(["gene", "alternative", "rank", "upstream"], kind="stable")
        return frame.loc[order.index].drop_duplicates("gene").reset_index(drop=True)


def read_tss(path: Path) -> TssTable:
    """Read transcription start sites; the format is recognised by the content.

    Raises
    ------
    ResourceError
        When the format is unknown, needed columns are missing, or no row can be used.
    """
    path = Path(path)
    seen = Exponents()
    lines = note_exponents(_content(path), seen)
    head = list(itertools.islice(lines, 50))
    if not head:
        raise refusal(ResourceError, "tss_empty", path=path)
    lines = itertools.chain(head, lines)
    reader = _headerless_reader(head)
    if not read_header(head[0]).missing() or reader is None:
        return _finish(path, "table", parse_table(lines, path), seen)
    kind, parse = reader
    if kind == "gtf":
        rows, n_read, n_bad, exons = parse_gff(lines)
        return _finish(path, kind, Rows(rows, n_read, n_bad, exons=exons), seen)
    return _finish(path, kind, _parse(lines, parse), seen)


def _content(path: Path) -> Iterator[str]:
    """Yield the rows of a file without comments and blank lines, up to the sequences that end some GFF3 files."""
    for line in read_lines(path, option=OPTION):
        if line.startswith("##FASTA"):
            return
        if line.strip() and not _is_comment(line):
            yield line


def _is_comment(line: str) -> bool:
    if line.startswith(("track ", "browser ", "##", "#!")):
        return True
    # a header may begin with '#'
    return line.startswith("#") and "\t" not in line and read_header(line).chrom is None


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _headerless_reader(head: list[str]) -> tuple[TssFormat, Callable[[list[str]], Row | None]] | None:
    """Recognise a format without a header by its first rows."""
    body = [_fields(line) for line in head if not line.startswith("#")]
    tests: list[tuple[TssFormat, Callable[[list[str]], bool], Callable[[list[str]], Row | None]]] = [
        ("gtf", looks_like_gff, _bed_row),
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


_EXONS: Final[Mapping[Callable[[list[str]], Row | None], int]] = {
    _genepred_row: 8, _binned_genepred_row: 9, _refflat_row: 9, _lisa_row: 5,
}  # fmt: skip
"""Column of the starts of exons by form; that of their ends follows."""


def _parse(lines: Iterable[str], parse: Callable[[list[str]], Row | None]) -> Rows:
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


def _exons(parse: Callable[[list[str]], Row | None], fields: list[str]) -> str:
    """Return the exons of a row, where its form has them: genePred, refFlat, lisa2 and BED12."""
    if parse is _bed_row:
        if len(fields) < 12 or not is_whole(fields[1]):
            return ""
        start = whole_number(fields[1])
        sizes, steps = ([int(x) for x in text.strip(",").split(",") if x.isdigit()] for text in fields[10:12])
        return exon_text((start + step, start + step + size) for step, size in zip(steps, sizes, strict=False))
    place = _EXONS.get(parse)
    return ucsc_exons(*fields[place : place + 2]) if place is not None and len(fields) > place + 1 else ""


def _finish(path: Path, kind: TssFormat, read: Rows, seen: Exponents) -> TssTable:
    if not read.n_read:
        raise refusal(ResourceError, "tss_without_genes", path=path)
    frame = pd.DataFrame(read.rows, columns=["chrom", "start", "end", "strand", "gene", "gene_id"], dtype=str)
    gene, chrom = frame["gene"].str.strip(), frame["chrom"].str.strip()
    start, end, findings = _interval(path, frame)
    signs = frame["strand"].str.strip().str.lower()
    unstranded = signs.isin(UNSTRANDED)
    strand = signs.map(STRANDS).where(~unstranded, "+")
    rounded = rounded_rows(gene, chrom, start, end, (end < start) & (strand == "+"), seen)
    reason = _reasons(gene, chrom, start, end, strand).mask(rounded, "a position that may be rounded (1e+07)")
    good = reason == ""
    reasons = {"columns that do not fit": read.n_bad} | {
        str(words): int(n) for words, n in reason[~good].value_counts().items()
    }
    if not good.any():
        raise refusal(ResourceError, "tss_without_sites", path=path, n_rows=read.n_read, reasons=_in_words(reasons))
    position = np.where(strand == "+", start, end - 1)
    sites = pd.DataFrame({"gene": gene, "chrom": chrom, "tss": position, "strand": strand})
    sites["gene_id"] = frame["gene_id"]
    sites = sites.loc[good].astype({"tss": np.int64})
    windows = _windows(path, kind, (end - start)[good])
    bodies = pd.DataFrame({"body_start": start, "body_end": end, "exons": read.exons or ""}).loc[good]
    keys = ["gene", "chrom", "tss", "strand"]
    grouped = sites.groupby(keys, sort=False, observed=True)["gene_id"]
    counted = grouped.agg(n_transcripts="size", gene_id="first").reset_index()
    if not windows:
        counted = _with_bodies(counted, sites[keys].join(bodies))
    lost = _lost(frame.assign(gene=gene), reason, counted)
    findings = [*read.findings, *findings, *windows, *_suspicious(path, counted)]
    if n_bad := sum(reasons.values()):
        findings.append(
            finding(
                "tss_rows_left_out",
                n_bad=n_bad,
                n_rows=read.n_read,
                file=path.name,
                reasons=_in_words(reasons),
                lost=list(lost),
            )
        )
    if n_unstranded := int((unstranded & good).sum()):
        findings.append(finding("tss_without_strand", n_unstranded=n_unstranded, file=path.name))
    return TssTable(counted, kind, tuple(findings), lost)


def _with_bodies(counted: pd.DataFrame, bodies: pd.DataFrame) -> pd.DataFrame:
    """Return start sites with the longest transcript at each; as they are where no row is longer than a point."""
    keys = ["gene", "chrom", "tss", "strand"]
    bodies["width"] = bodies["body_end"] - bodies["body_start"]
    bodies = bodies[bodies["width"] > LONGEST_POINT]
    if bodies.empty:
        return counted
    longest = bodies.sort_values("width", ascending=False, kind="stable").drop_duplicates(keys).drop(columns="width")
    out = counted.merge(longest, on=keys, how="left")
    ends = out[["body_start", "body_end"]].fillna(-1).astype(np.int64)
    return out.assign(**ends, exons=out["exons"].fillna(""))


def _reasons(gene: pd.Series, chrom: pd.Series, start: pd.Series, end: pd.Series, strand: pd.Series) -> pd.Series:
    """Return why each row cannot be used, '' where it can."""
    reasons = {
        "no gene": (gene == "") | gene.str.lower().isin(("nan", "none", "na", "-", ".")),
        "no chromosome": chrom == "",
        "no start and end": start.isna() | end.isna() | (start < 0),
        "an end that is not behind the start": end <= start,
        "an unknown strand": strand.isna(),
    }
    out = pd.Series("", index=gene.index)
    for words, bad in reversed(reasons.items()):
        out = out.mask(bad, words)
    return out


def _interval(path: Path, frame: pd.DataFrame) -> tuple[pd.Series, pd.Series, list[Finding]]:
    """Return starts and ends; those written from start site to end site are turned round, points made intervals."""
    start, end = (pd.to_numeric(frame[name], errors="coerce") for name in ("start", "end"))
    turned = (end < start) & frame["strand"].str.lower().map(STRANDS).eq("-")
    findings = []
    if turned.any():
        start, end = start.mask(turned, end), end.mask(turned, start)
        findings.append(finding("tss_turned", n_rows=int(turned.sum()), file=path.name))
    if (points := start == end).mean() > 0.9:
        start = start.mask(points, start - 1)
        findings.append(finding("tss_points", file=path.name, n_points=int(points.sum()), n_rows=len(points)))
    return start, end, findings


def _windows(path: Path, kind: TssFormat, width: pd.Series) -> list[Finding]:
    """Warn of intervals of one length, which are windows around start sites and not transcripts."""
    length = int(width.mode().iloc[0])
    if (
        kind not in {"bed", "table"}
        or not 2 < length <= _WIDEST_PROMOTER
        or len(width) < _ENOUGH_ROWS
        or (width == length).mean() < 0.9
    ):
        return []
    return [finding("tss_windows", file=path.name, length=length, beside=length // 2)]


def _in_words(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} with {words}" for words, n in reasons.items() if n)


def _lost(frame: pd.DataFrame, reason: pd.Series, sites: pd.DataFrame) -> dict[str, str]:
    """Return the genes none of whose rows can be used, by name or, without one, by identifier, with the reason."""
    known = {*sites["gene"], *sites["gene_id"]}
    bad = reason != ""
    label = frame["gene"].where(reason != "no gene", frame["gene_id"])[bad]
    pairs = zip(label, reason[bad], strict=True)
    return {str(name): words for name, words in pairs if name and name not in known}


def _suspicious(path: Path, sites: pd.DataFrame) -> list[Finding]:
    """Report names that are not genes: peaks of a peak caller, transcripts of UCSC or Ensembl."""
    names = sites["gene"]
    for what, pattern in (
        ("peaks", CALLED_PEAK),
        (
            "transcripts",
            r"(?:ENS[A-Z]{0,6}T\d{6,}|[NX][MR]_\d+|uc\d{3}[a-z]{3})(?:\.\d+)?",
        ),
    ):
        found = names.str.fullmatch(pattern)
        if found.mean() > 0.5:
            return [
                finding(
                    "tss_names_not_genes",
                    what=what,
                    file=path.name,
                    n_found=int(found.sum()),
                    n_names=len(names),
                    example=names[found].iloc[0],
                )
            ]
    return []
