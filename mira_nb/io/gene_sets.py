"""Reading of gene sets from GMT files, and matching of their symbols to the genes of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import ResourceError

from .files import read_lines
from .identifiers import ID_COLUMNS, is_ensembl, without_version
from .spec import Finding

_OPTION: Final = "--gene-sets"
_EXPECTED: Final = "a GMT file: term, description and symbols, separated by tabs, one set per line."


@dataclass(frozen=True)
class GeneSets:
    """Gene sets of one file.

    Attributes
    ----------
    name
        File name without extension, used as the ontology's name.
    sets
        Term -> symbols as written, each once, in the order of the file.
    findings
        Duplicate and empty terms.
    descriptions
        Term -> second column, where it is filled.
    """

    name: str
    sets: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)


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
    descriptions: dict[str, str] = {}
    repeated: dict[str, int] = {}
    n_twice = n_empty = 0
    first_bad = ""
    for number, line in enumerate(read_lines(path, option=_OPTION), start=1):
        if not line.strip():
            continue
        fields = [_unquoted(field) for field in line.split("\t")]
        if number == 2 and _is_gmx(fields):
            raise ResourceError(
                f"{path} ({_OPTION}) has one gene set per column (GMX), its second line holds their descriptions.",
                expected=_EXPECTED,
                remedy="transpose the table: one set per line.",
            )
        term = fields[0]
        symbols = [symbol for field in fields[2:] if (symbol := field.split(",")[0].strip())]
        if len(fields) < 3 or not term or not symbols:
            n_empty += 1
            first_bad = first_bad or f"line {number}: {line[:60]!r}"
            continue
        n_twice += term in sets
        if fields[1].strip():
            descriptions[term] = fields[1].strip()
        if len(set(symbols)) < len(symbols):
            repeated[term] = repeated.get(term, 0) + len(symbols) - len(set(symbols))
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
    if repeated:
        shown = ", ".join(f"{term} {n}" for term, n in list(repeated.items())[:5])
        title = f"{path.name}: {sum(repeated.values()):,} genes that a set names twice count once"
        findings.append(Finding("info", title, f"{len(repeated):,} sets: {shown}"))
    name = path.name.removesuffix(".gz").removesuffix(".gmt")
    return GeneSets(name, {term: tuple(symbols) for term, symbols in sets.items()}, tuple(findings), descriptions)


def _unquoted(field: str) -> str:
    text = field.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _is_gmx(fields: list[str]) -> bool:
    """Return whether a line holds nothing but descriptions: the second line of a GMX file."""
    texts = [field.lower() for field in fields]
    return len(texts) > 2 and all(
        text in {"na", "n/a", ""} or text.startswith(("http://", "https://")) for text in texts
    )


def name_gene_sets(sets: GeneSets, var: pd.DataFrame) -> GeneSets:
    """Return the sets under the names of the data's genes, with what was changed in the findings.

    Ensembl identifiers are matched without their versions, and to a column of identifiers where there is one. Where the
    second column holds genes of the data instead of descriptions, they belong to the sets.

    Parameters
    ----------
    var
        The data's genes: names as index, and columns that may hold identifiers.
    """
    genes = [str(name) for name in var.index]
    findings = list(sets.findings)
    members = dict(sets.sets)
    known = {gene.upper() for gene in genes}
    described = {term: text for term, text in sets.descriptions.items() if text.upper() in known}
    if len(described) > 0.5 * len(members) and len(set(described.values())) > 1:
        members = {
            term: tuple(dict.fromkeys([*([described[term]] if term in described else []), *names]))
            for term, names in members.items()
        }
        example = next(iter(described.values()))
        cause = f"the second column, meant for descriptions, holds {len(described):,} genes, e.g. {example}"
        remedy = "add a second column (it may be empty) if these are descriptions."
        findings.append(Finding("warning", f"{sets.name}: the sets have no description column", cause, remedy))
    symbols = list(dict.fromkeys(symbol for names in members.values() for symbol in names))
    if is_ensembl(symbols):
        translation, how = _identifiers(var)
        found = {
            symbol: translation[key] for symbol in symbols if (key := without_version(symbol.upper())) in translation
        }
        if found and any(symbol != gene for symbol, gene in found.items()):
            members = {
                term: tuple(dict.fromkeys(found.get(name, name) for name in names)) for term, names in members.items()
            }
            cause = f"{len(found):,} of {len(symbols):,}, e.g. {next(iter(found))} is {next(iter(found.values()))}"
            findings.append(Finding("info", f"{sets.name}: Ensembl identifiers were matched to {how}", cause))
    return replace(sets, sets=members, findings=tuple(findings))


def _identifiers(var: pd.DataFrame) -> tuple[dict[str, str], str]:
    """Return identifier without version -> name in the data, and where the identifiers are."""
    names = [str(name) for name in var.index]
    column = next((name for name in var.columns if str(name).lower() in ID_COLUMNS and is_ensembl(var[name])), None)
    given = names if column is None else [str(value) for value in var[column]]
    how = "the data's identifiers without versions" if column is None else f"var[{column!r}]"
    out: dict[str, str] = {}
    for identifier, name in zip(given, names, strict=True):
        out.setdefault(without_version(identifier.upper()), name)
    return out, how


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
