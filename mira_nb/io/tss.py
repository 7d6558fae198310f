"""Transcription start sites from BED, tables with headers, GTF/GFF3, and UCSC or lisa2 RefSeq dumps.

The lines are read here and not by bioframe: its readers are pandas' and cannot pass over and count unusable rows
(``docs/decisions/libraries-io.md``).

Position of a TSS: 0-based position of the transcript's first base, that is, start on the + strand and end - 1 on the -
strand of a 0-based, half-open interval.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from mira_nb.errors import ResourceError

from .files import read_lines
from .gff import parse_gff
from .identifiers import CALLED_PEAK
from .messages import Finding, finding, refusal
from .rounding import Exponents, note_exponents, rounded_rows
from .tss_rows import gtf_of_bed, headerless_reader, parse_rows, unknown_header
from .tss_tables import OPTION, STRANDS, UNSTRANDED, Rows, parse_table, read_header

TssFormat = Literal["table", "bed", "gtf", "refseq"]
RULE: Final = (
    "Every distinct transcription start site of a gene is kept. Where one site per gene is needed, it is the one that "
    "most transcripts share; among equals the most upstream one; main chromosomes (names without '_') come first."
)
LONGEST_POINT: Final = 2
"""Length of an interval up to which it is a start site and no transcript."""
_ENOUGH_ROWS: Final = 20
_NO_GENE: Final = ("", "nan", "none", "na", "-", ".")
_SHORTEST_PART: Final = 30
"""Typical length, in bp, from which rows of a gene that do not overlap look like exons and not like start sites."""
_ENOUGH_GENES: Final = 5
_WIDEST_PROMOTER: Final = 4000


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
    reader = headerless_reader(head)
    if not read_header(head[0]).missing() or reader is None or (reader[0] == "bed" and unknown_header(head)):
        return _finish(path, "table", parse_table(lines, path), seen)
    kind, parse = reader
    if kind in {"gtf", "bed of gtf"}:
        rows, n_read, n_bad, exons = parse_gff(map(gtf_of_bed, lines) if kind == "bed of gtf" else lines)
        return _finish(path, "gtf", Rows(rows, n_read, n_bad, exons=exons), seen)
    return _finish(path, "refseq" if kind == "refseq" else "bed", parse_rows(lines, parse), seen)


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


def _finish(path: Path, kind: TssFormat, read: Rows, seen: Exponents) -> TssTable:
    if not read.n_read:
        raise refusal(ResourceError, "tss_without_genes", path=path)
    frame = pd.DataFrame(read.rows, columns=["chrom", "start", "end", "strand", "gene", "gene_id"], dtype=str)
    gene, chrom = frame["gene"].str.strip(), frame["chrom"].str.strip()
    gene = gene.mask(gene.str.lower().isin(_NO_GENE), frame["gene_id"].str.strip())
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
    parts = _like_parts(path, sites[keys].join(bodies)) if kind in {"bed", "table"} and not windows else []
    if not windows and not parts:
        counted = _with_bodies(counted, sites[keys].join(bodies))
    lost = _lost(frame.assign(gene=gene), reason, counted)
    findings = [*read.findings, *findings, *windows, *parts, *_suspicious(path, counted)]
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
        "no gene": gene.str.lower().isin(_NO_GENE),
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


def _like_parts(path: Path, rows: pd.DataFrame) -> list[Finding]:
    """Warn of rows that look like exons: those of one gene do not overlap, as those of its transcripts would."""
    if float((rows["body_end"] - rows["body_start"]).median()) < _SHORTEST_PART:
        return []
    ordered = rows.sort_values(["gene", "chrom", "strand", "body_start"], kind="stable")
    of_gene = ordered.groupby(["gene", "chrom", "strand"], sort=False, observed=True)
    apart = (ordered["body_start"] >= of_gene["body_end"].shift()).astype(int)
    genes = apart.groupby([ordered[key] for key in ("gene", "chrom", "strand")], observed=True).agg(["size", "sum"])
    several = genes[genes["size"] >= 3]
    n_apart = int((several["sum"] == several["size"] - 1).sum())
    if len(several) < _ENOUGH_GENES or n_apart <= len(several) / 2:
        return []
    return [finding("tss_like_exons", file=path.name, n_genes=n_apart, n_several=len(several), n_rows=len(rows))]


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
