"""Gene sets in GMT files, and matching their symbols to the genes of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mira_nb.errors import ResourceError

from .files import read_lines
from .spec import Finding

_OPTION: Final = "--gene-sets"
_EXPECTED: Final = "a GMT file: term, description and symbols, separated by tabs, one set a line."


@dataclass(frozen=True)
class GeneSets:
    """The sets of one file.

    Attributes
    ----------
    name
        File name without extension, used as the ontology's name.
    sets
        Term -> symbols as written, each once, in the order of the file.
    findings
        Duplicate and empty terms.
    """

    name: str
    sets: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class MatchedSets:
    """Gene sets in terms of the data's genes.

    Attributes
    ----------
    members
        Term -> rows of the data's genes, ascending; terms without a match have an empty array.
    n_symbols, n_matched
        Distinct symbols in the sets, and how many of them are genes of the data.
    findings
        Whether letters' case was ignored, and how much matched.
    """

    members: Mapping[str, np.ndarray]
    n_symbols: int
    n_matched: int
    findings: tuple[Finding, ...] = ()


def read_gene_sets(path: Path) -> GeneSets:
    """Read one GMT file, plain or gzipped.

    Terms that occur twice are merged; sets without symbols are left out; weights (``GENE,1.0``) are dropped. All of it
    is counted in the findings.

    Raises
    ------
    ResourceError
        When the file has no set in GMT form.
    """
    path = Path(path)
    sets: dict[str, dict[str, None]] = {}
    n_twice = n_empty = 0
    first_bad = ""
    for number, line in enumerate(read_lines(path, option=_OPTION), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        term = fields[0].strip()
        symbols = [symbol for field in fields[2:] if (symbol := field.split(",")[0].strip())]
        if len(fields) < 3 or not term or not symbols:
            n_empty += 1
            first_bad = first_bad or f"line {number}: {line[:60]!r}"
            continue
        n_twice += term in sets
        sets.setdefault(term, {}).update(dict.fromkeys(symbols))
    if not sets:
        raise ResourceError(
            f"{path} ({_OPTION}) has no gene set" + (f" ({first_bad})." if first_bad else "."),
            expected=_EXPECTED,
            remedy="download a library as GMT, for example from MSigDB or Enrichr.",
        )
    findings = []
    if n_twice:
        findings.append(
            Finding("warning", f"{path.name}: {n_twice:,} duplicate terms were merged", "their genes were joined")
        )
    if n_empty:
        findings.append(Finding("info", f"{path.name}: {n_empty:,} lines without genes were left out", first_bad))
    name = path.name.removesuffix(".gz").removesuffix(".gmt")
    return GeneSets(name, {term: tuple(symbols) for term, symbols in sets.items()}, tuple(findings))


def match_gene_sets(sets: GeneSets, genes: Sequence[str]) -> MatchedSets:
    """Find the data's genes in the sets, ignoring case (mouse symbols are written Sox2, libraries hold SOX2).

    Parameters
    ----------
    genes
        Symbols of the data's genes. Where two differ only in case, both belong to the set.
    """
    rows: dict[str, list[int]] = {}
    for row, gene in enumerate(genes):
        rows.setdefault(str(gene).upper(), []).append(row)
    symbols = {symbol.upper() for members in sets.sets.values() for symbol in members}
    matched = symbols & rows.keys()
    members = {
        term: np.array(sorted({row for s in symbols_ for row in rows.get(s.upper(), ())}), dtype=np.int64)
        for term, symbols_ in sets.sets.items()
    }
    written = {symbol for symbols_ in sets.sets.values() for symbol in symbols_}
    as_given = [str(gene) for symbol in sorted(matched) for gene in (genes[row] for row in rows[symbol])]
    otherwise = [gene for gene in as_given if gene not in written]
    findings = []
    if otherwise:
        example = next(symbol for symbol in sorted(written) if symbol.upper() == otherwise[0].upper())
        findings.append(
            Finding(
                "info",
                f"{sets.name}: symbols were matched ignoring case",
                f"{len(otherwise):,} of {len(as_given):,} matched genes are written differently, e.g. {otherwise[0]} "
                f"against {example}",
            )
        )
    if len(matched) < 0.1 * min(len(symbols), len(rows)):
        shown = ", ".join(sorted(symbols)[:3])
        findings.append(
            Finding(
                "warning",
                f"{sets.name}: only {len(matched):,} of {len(symbols):,} symbols are genes of the data",
                f"the data have genes such as {', '.join(map(str, genes[:3]))}, the sets {shown}",
                "use sets of the same kind of identifiers (symbols or Ensembl) and a related species.",
            )
        )
    return MatchedSets(members, len(symbols), len(matched), tuple(findings))
