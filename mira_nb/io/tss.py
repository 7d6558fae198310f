"""Transcription start sites from BED, tables with headers, GTF/GFF3, and UCSC or lisa2 RefSeq dumps.

The lines are read here and not by bioframe: its readers are pandas' and cannot pass over and count unusable rows
(``docs/decisions/libraries-io.md``).

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
from .gff import Row, looks_like_gff, parse_gff
from .identifiers import ENSEMBL, ID_COLUMNS, without_version
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
_ID_COLUMNS: Final = ("gene_id", "geneid", "gene stable id", "ensembl_gene_id", "ensembl_id")
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
_BED_STRANDS: Final = ("+", "-", ".", "1", "-1", "+1")


@dataclass(frozen=True)
class TssTable:
    """Transcription start sites.

    Attributes
    ----------
    frame
        Columns gene, chrom, tss (0-based), strand, n_transcripts, gene_id ('' without one); one row per distinct site,
        in the order of the file.
    format
        How the file was read.
    findings
        What was left out or assumed.
    """

    frame: pd.DataFrame
    format: TssFormat
    findings: tuple[Finding, ...] = ()

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
    lines: Iterator[str] = (line for line in read_lines(path, option=_OPTION) if line.strip() and not _is_comment(line))
    head = list(itertools.islice(lines, 50))
    if not head:
        raise ResourceError(f"{path} ({_OPTION}) has no rows.", expected=_EXPECTED, remedy="give a complete file.")
    lines = itertools.chain(head, lines)
    reader = _headerless_reader(head)
    if not _header(head[0]).missing():
        kind: TssFormat = "table"
        rows, n_rows, n_bad = _parse_table(lines, path)
    elif reader is not None:
        kind, parse = reader
        rows, n_rows, n_bad = parse_gff(lines) if kind == "gtf" else _parse(lines, parse)
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
        ("gtf", looks_like_gff, _bed_row),
        ("refseq", lambda f: len(f) >= 13 and f[3] in "+-" and f[4].isdigit() and f[5].isdigit(), _refgene_row),
        ("refseq", lambda f: len(f) >= 11 and f[3] in "+-" and all(x.isdigit() for x in f[4:9]), _refflat_row),
        ("refseq", lambda f: len(f) >= 8 and f[2] in "+-" and f[3].isdigit() and f[4].isdigit(), _lisa_row),
        ("bed", lambda f: len(f) >= 6 and f[5] in _BED_STRANDS and f[1].isdigit() and f[2].isdigit(), _bed_row),
    ]
    for kind, test, parse in tests:
        good = sum(bool(fields[0]) and test(fields) for fields in body)
        if body and good > 0.8 * len(body):
            return kind, parse
    return None


def _refgene_row(fields: list[str]) -> Row | None:
    return fields[2], fields[4], fields[5], fields[3], fields[12], fields[1]


def _refflat_row(fields: list[str]) -> Row | None:
    return fields[2], fields[4], fields[5], fields[3], fields[0], fields[1]


def _lisa_row(fields: list[str]) -> Row | None:
    return fields[1], fields[3], fields[4], fields[2], fields[7], fields[0]


def _bed_row(fields: list[str]) -> Row | None:
    return fields[0], fields[1], fields[2], fields[5], fields[3], ""


def _parse(lines: Iterable[str], parse: Callable[[list[str]], Row | None]) -> tuple[list[Row], int, int]:
    """Return the rows, the number of rows considered and the number of unusable rows."""
    rows: list[Row] = []
    n_rows = n_bad = 0
    for line in lines:
        if line.startswith("#"):
            continue
        n_rows += 1
        try:
            row = parse(line.split("\t"))
        except (IndexError, ValueError):
            row = None
        if row is None:
            n_bad += 1
        else:
            rows.append(row)
    return rows, n_rows, n_bad


@dataclass(frozen=True)
class _Header:
    """Return the positions of the columns of a table, None for those it does not have."""

    separator: str | None
    chrom: int | None
    start: int | None
    end: int | None
    strand: int | None
    gene: int | None
    gene_id: int | None
    tss: int | None
    width: int | None
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


def _header(first: str) -> _Header:
    """Read the first line of a table; UCSC's ``hg38.kgXref.geneSymbol`` counts as ``geneSymbol``."""
    separator = "\t" if "\t" in first else ("," if "," in first else None)
    names = [name.strip().strip('"') for name in first.lstrip("#").split(separator)]
    names = [name.rsplit(".", 1)[-1] if name.count(".") == 2 else name for name in names]
    lower = {name.lower(): number for number, name in reversed(list(enumerate(names)))}

    def find(options: tuple[str, ...]) -> int | None:
        return next((lower[name] for name in options if name in lower), None)

    tss, biomart = find(_TSS_COLUMNS), find(_BIOMART_TSS)
    return _Header(
        separator=separator,
        chrom=find(_TABLE_CHROM),
        start=find(_TABLE_START),
        end=find(_TABLE_END),
        strand=find(("strand", "orientation")),
        gene=find(_GENE_COLUMNS),
        gene_id=find(_ID_COLUMNS),
        tss=biomart if tss is None else tss,
        width=find(("width",)),
        shift=int(tss is None and biomart is not None),
    )


def _parse_table(lines: Iterator[str], path: Path) -> tuple[list[Row], int, int]:
    first = next(lines)
    header = _header(first)
    if header.missing():
        raise ResourceError(
            f"{path} ({_OPTION}) lacks {', '.join(header.missing())}; its first line is {first[:160]!r}.",
            expected=_EXPECTED,
            remedy="name the columns in the first line, or give the strand of every gene as + or -.",
        )
    rows: list[Row] = []
    n_rows = n_bad = n_one_based = 0
    for line in lines:
        n_rows += 1
        fields = [value.strip().strip('"') for value in line.split(header.separator)]
        try:
            row = _table_row(fields, header)
            if header.width is not None and header.tss is None:
                n_one_based += int(row[2]) - int(row[1]) + 1 == int(fields[header.width])
            rows.append(row)
        except (IndexError, ValueError):
            n_bad += 1
    if rows and n_one_based > 0.9 * len(rows):  # a table of R's GRanges
        rows = [(chrom, str(int(start) - 1), *rest) for chrom, start, *rest in rows]  # type: ignore[misc]
    return rows, n_rows, n_bad


def _table_row(fields: list[str], header: _Header) -> Row:
    def text(position: int | None) -> str:
        return "" if position is None else fields[position]

    start, end = text(header.start), text(header.end)
    if header.tss is not None:
        position = int(float(fields[header.tss])) - header.shift
        start, end = str(position), str(position + 1)
    return text(header.chrom), start, end, text(header.strand), text(header.gene), text(header.gene_id)


def _finish(path: Path, kind: TssFormat, rows: list[Row], n_rows: int, n_bad: int) -> TssTable:
    frame = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand", "gene", "gene_id"], dtype=str)
    start, end = (pd.to_numeric(frame[name], errors="coerce") for name in ("start", "end"))
    strand = frame["strand"].map(_STRANDS)
    unstranded = frame["strand"].isin((".", "", "*", "0", "?"))
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
    sites["gene_id"] = frame["gene_id"]
    sites = sites.loc[good].astype({"tss": np.int64})
    keys = ["gene", "chrom", "tss", "strand"]
    grouped = sites.groupby(keys, sort=False, observed=True)["gene_id"]
    counted = grouped.agg(n_transcripts="size", gene_id="first").reset_index()
    findings = _suspicious(path, counted)
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


def _suspicious(path: Path, sites: pd.DataFrame) -> list[Finding]:
    """Report names that are not genes: peaks of a peak caller, transcripts of UCSC or Ensembl."""
    names = sites["gene"]
    for what, pattern, remedy in (
        ("peaks", r".*_peak_?\d+[a-z]?", "give start sites of genes; this looks like the output of a peak caller."),
        (
            "transcripts",
            r"(?:ENS[A-Z]{0,6}T\d{6,}|[NX][MR]_\d+|uc\d{3}[a-z]{3})(?:\.\d+)?",
            "give a file with gene symbols.",
        ),
    ):
        found = names.str.fullmatch(pattern)
        if found.mean() > 0.5:
            title = f"The names in the TSS file are {what}, not genes"
            cause = f"{path.name}: {int(found.sum()):,} of {len(names):,}, e.g. {names[found].iloc[0]}"
            return [Finding("warning", title, cause, remedy)]
    return []


@dataclass(frozen=True)
class NamedSites:
    """Return start sites under the names of the data's genes.

    Attributes
    ----------
    frame
        As :attr:`TssTable.frame`, column gene with names of the data where a gene is found.
    n_genes
        How many genes of the data have a site.
    how
        Which names were matched, in words.
    """

    frame: pd.DataFrame
    n_genes: int
    how: str


def name_sites(table: TssTable, var: pd.DataFrame) -> NamedSites:
    """Match sites to genes of the data by the names that match most: symbols or identifiers of both, without versions.

    Parameters
    ----------
    var
        The data's genes: names as index, and columns that may hold identifiers or symbols.
    """
    theirs = {"gene names": table.frame["gene"], "gene identifiers": table.frame["gene_id"]}
    ours = {"the names of the genes": pd.Series(var.index.astype(str), index=var.index)}
    lower = {str(name).lower(): name for name in var.columns}
    ours |= {f"var[{lower[name]!r}]": var[lower[name]].astype(str) for name in ID_COLUMNS if name in lower}
    best: tuple[int, str, pd.Series] = (-1, "", theirs["gene names"])
    for what, names in ours.items():
        known: dict[str, str] = {}
        for name, gene in zip(names.map(_key), var.index.astype(str), strict=True):
            known.setdefault(name, gene)
        for where, given in theirs.items():
            matched = given.map(_key).map(known)
            if (n := int(matched.nunique())) > best[0]:
                best = (n, f"{where} of the file with {what} of the data", matched)
    n_genes, how, matched = best
    frame = table.frame.assign(gene=matched.where(matched.notna(), table.frame["gene"]))
    return NamedSites(frame, n_genes, how)


def _key(name: str) -> str:
    """Return a name as it is compared: upper case, Ensembl identifiers without their version."""
    text = str(name).upper()
    return without_version(text) if re.fullmatch(ENSEMBL, text) else text
