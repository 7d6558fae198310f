"""Transcription start sites from BED, tables with headers, GTF/GFF3, and UCSC or lisa2 RefSeq dumps.

Position of a TSS: 0-based position of the transcript's first base, that is, start on the + strand and end - 1 on the -
strand of a 0-based, half-open interval.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from mira_nb.errors import ResourceError

from .files import read_lines
from .peaks import CHROM_COLUMNS, END_COLUMNS, START_COLUMNS
from .spec import Finding

TssFormat = Literal["table", "bed", "gtf", "refseq"]
RULE: Final = (
    "Every distinct transcription start site of a gene is kept. Where one site per gene is needed, it is the one that "
    "most transcripts share; among equals the most upstream one; main chromosomes (names without '_') come first."
)
_OPTION: Final = "--tss"
_GENE_COLUMNS: Final = (
    "gene_symbol", "genesymbol", "symbol", "gene_name", "genename", "gene name", "name2", "hgnc_symbol", "hgnc symbol",
    "mgi_symbol", "mgi symbol", "external_gene_name", "gene", "genes", "gene_id", "geneid", "gene stable id", "name",
)  # fmt: skip
_TSS_COLUMNS: Final = ("tss", "tss_position", "tss_pos")
# columns of Ensembl BioMart: positions count from 1
_BIOMART_TSS: Final = ("transcription start site (tss)", "transcription_start_site")
_TABLE_CHROM: Final = (*CHROM_COLUMNS, "chromosome/scaffold name", "chromosome_name")
_TABLE_START: Final = (*START_COLUMNS, "txstart", "tx_start", "gene_start")
_TABLE_END: Final = (*END_COLUMNS, "txend", "tx_end", "gene_end")
_STRANDS: Final = {"+": "+", "-": "-", "1": "+", "-1": "-", "+1": "+", "1.0": "+", "-1.0": "-"}
_EXPECTED: Final = (
    "BED with six columns, a table with columns chrom, start, end, strand, gene_symbol, a GTF file, or UCSC refGene."
)
Row = tuple[str, str, str, str, str]  # chrom, start, end, strand, gene
_TRANSCRIPTS: Final = {"transcript", "mRNA", "lnc_RNA", "ncRNA"}


@dataclass(frozen=True)
class TssTable:
    """Transcription start sites.

    Attributes
    ----------
    frame
        Columns gene, chrom, tss (0-based), strand, n_transcripts; one row a distinct site, in the order of the file.
    format
        How the file was read.
    findings
        What was left out or assumed.
    """

    frame: pd.DataFrame
    format: TssFormat
    findings: tuple[Finding, ...] = ()

    def one_per_gene(self) -> pd.DataFrame:
        """One site per gene by :data:`RULE`, in the order in which genes first occur."""
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
    lines: Iterator[str] = (line for line in read_lines(path, option=_OPTION) if line.strip() and not _is_comment(line))
    head = list(itertools.islice(lines, 50))
    if not head:
        raise ResourceError(f"{path} ({_OPTION}) has no rows.", expected=_EXPECTED, remedy="give a complete file.")
    lines = itertools.chain(head, lines)
    reader = _headerless_reader(head)
    if reader is not None:
        kind, parse = reader
        rows, n_rows, n_bad = _parse(lines, parse)
    else:
        kind = "table"
        rows, n_rows, n_bad = _parse_table(lines, path)
    return _finish(path, kind, rows, n_rows, n_bad)


def _is_comment(line: str) -> bool:
    if line.startswith(("track ", "browser ", "##", "#!")):
        return True
    return line.startswith("#") and "\t" not in line  # a header may begin with '#'


def _headerless_reader(head: list[str]) -> tuple[TssFormat, Callable[[list[str]], Row | None]] | None:
    """Recognise a format without a header by its first rows."""
    body = [line.split("\t") for line in head if not line.startswith("#")]
    tests: list[tuple[TssFormat, Callable[[list[str]], bool], Callable[[list[str]], Row | None]]] = [
        ("gtf", lambda f: len(f) >= 9 and f[6] in "+-." and f[3].isdigit() and f[4].isdigit(), _gtf_row),
        ("refseq", lambda f: len(f) >= 13 and f[3] in "+-" and f[4].isdigit() and f[5].isdigit(), _refgene_row),
        ("refseq", lambda f: len(f) >= 8 and f[2] in "+-" and f[3].isdigit() and f[4].isdigit(), _lisa_row),
        ("bed", lambda f: len(f) >= 6 and f[5] in "+-." and f[1].isdigit() and f[2].isdigit(), _bed_row),
    ]
    for kind, test, parse in tests:
        good = sum(bool(fields[0]) and test(fields) for fields in body)
        if body and good > 0.8 * len(body):
            return kind, parse
    return None


def _gtf_row(fields: list[str]) -> Row | None:
    attributes = fields[8]
    for key in ("gene_name", "gene", "Name", "gene_id"):
        match = re.search(rf'(?:^|[;\s]){key}[ =]"?([^";]+)', attributes)
        if match:
            return fields[0], str(int(fields[3]) - 1), fields[4], fields[6], match.group(1).strip()
    return None


def _refgene_row(fields: list[str]) -> Row | None:
    return fields[2], fields[4], fields[5], fields[3], fields[12]


def _lisa_row(fields: list[str]) -> Row | None:
    return fields[1], fields[3], fields[4], fields[2], fields[7]


def _bed_row(fields: list[str]) -> Row | None:
    return fields[0], fields[1], fields[2], fields[5], fields[3]


def _parse(lines: Iterable[str], parse: Callable[[list[str]], Row | None]) -> tuple[list[Row], int, int]:
    """Rows, number of rows considered, number of unusable rows."""
    rows: list[Row] = []
    genes: list[Row] = []  # GTF: used when the file has no transcripts
    n_rows = n_bad = 0
    for line in lines:
        if line.startswith("#"):
            continue
        fields = line.split("\t")
        if parse is _gtf_row and len(fields) > 2 and fields[2] not in _TRANSCRIPTS and fields[2] != "gene":
            continue
        n_rows += 1
        try:
            row = parse(fields)
        except (IndexError, ValueError):
            row = None
        if row is None:
            n_bad += 1
        elif parse is _gtf_row and fields[2] == "gene":
            genes.append(row)
        else:
            rows.append(row)
    if rows:
        return rows, n_rows - len(genes), n_bad
    return genes, n_rows, n_bad


def _parse_table(lines: Iterator[str], path: Path) -> tuple[list[Row], int, int]:
    first = next(lines)
    separator = "\t" if "\t" in first else ("," if "," in first else None)
    header = [name.strip().strip('"') for name in first.lstrip("#").split(separator)]
    lower = {name.lower(): number for number, name in reversed(list(enumerate(header)))}

    def find(options: tuple[str, ...]) -> int | None:
        return next((lower[name] for name in options if name in lower), None)

    chrom, gene, strand = find(_TABLE_CHROM), find(_GENE_COLUMNS), find(("strand", "orientation"))
    start, end, tss = find(_TABLE_START), find(_TABLE_END), find(_TSS_COLUMNS)
    shift = 0
    if tss is None and (tss := find(_BIOMART_TSS)) is not None:
        shift = 1
    place = (start, end) if start is not None and end is not None else None
    missing = [
        name
        for name, absent in (
            ("chrom", chrom is None),
            ("gene_symbol", gene is None),
            ("start and end (or tss)", tss is None and place is None),
            ("strand", strand is None),
        )
        if absent
    ]
    if missing or chrom is None or gene is None or strand is None:
        raise ResourceError(
            f"{path} ({_OPTION}) lacks {', '.join(missing)}; its first line is {first[:160]!r}.",
            expected=_EXPECTED,
            remedy="name the columns in the first line, or give the strand of every gene as + or -.",
        )
    rows: list[Row] = []
    n_rows = n_bad = 0
    for line in lines:
        n_rows += 1
        fields = [value.strip().strip('"') for value in line.split(separator)]
        try:
            if tss is not None:
                position = int(float(fields[tss])) - shift
                begin, stop = str(position), str(position + 1)
            else:
                begin, stop = (fields[place[0]], fields[place[1]]) if place else ("", "")
            rows.append((fields[chrom], begin, stop, fields[strand], fields[gene]))
        except (IndexError, ValueError):
            n_bad += 1
    return rows, n_rows, n_bad


def _finish(path: Path, kind: TssFormat, rows: list[Row], n_rows: int, n_bad: int) -> TssTable:
    frame = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand", "gene"], dtype=str)
    start, end = (pd.to_numeric(frame[name], errors="coerce") for name in ("start", "end"))
    strand = frame["strand"].map(_STRANDS)
    unstranded = frame["strand"].isin((".", "", "*", "0"))
    strand = strand.where(~unstranded, "+")
    gene = frame["gene"].str.strip()
    named = (gene != "") & ~gene.str.lower().isin(("nan", "none", "na", "-", "."))
    good = start.notna() & end.notna() & (start >= 0) & (end > start) & strand.notna() & named & (frame["chrom"] != "")
    n_bad += int((~good).sum())
    if not good.any():
        raise ResourceError(
            f"{path} ({_OPTION}): none of {n_rows:,} rows has a gene, a strand and coordinates with end > start.",
            expected=_EXPECTED,
            remedy="check the columns of the file.",
        )
    position = np.where(strand == "+", start, end - 1)
    sites = pd.DataFrame({"gene": gene, "chrom": frame["chrom"].str.strip(), "tss": position, "strand": strand})
    sites = sites.loc[good].astype({"tss": np.int64})
    keys = ["gene", "chrom", "tss", "strand"]
    counted = sites.groupby(keys, sort=False, observed=True).size().rename("n_transcripts").reset_index()
    findings = []
    if n_bad:
        findings.append(
            Finding(
                "warning", f"{n_bad:,} of {n_rows:,} TSS rows were left out", f"{path.name}: no gene, strand or place"
            )
        )
    n_unstranded = int((unstranded & good).sum())
    if n_unstranded:
        findings.append(
            Finding(
                "warning",
                f"{n_unstranded:,} TSS rows have no strand",
                f"{path.name}: they are taken to be on the + strand",
                "give + or - so that upstream and downstream can be told apart.",
            )
        )
    return TssTable(counted, kind, tuple(findings))
