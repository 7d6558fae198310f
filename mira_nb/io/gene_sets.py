"""Reading of gene sets from GMT files, and matching of their symbols to the genes of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import ResourceError

from .files import read_lines
from .gene_set_checks import NUMBER, alike, misread, named_after, repeats_terms
from .gene_set_forms import as_gmt, without_suffix
from .identifiers import DATE, ID_COLUMNS, is_ensembl, plain_header, without_version
from .messages import Finding, finding, refusal

_OPTION: Final = "--gene-sets"
_SOME_SETS: Final = 0.1  # a description that is a gene by chance is rarer
_LIST: Final = re.compile(r"[,;|]")
_HEADERS: Final = [
    [second, third]
    for second in ("description", "desc", "url", "source")
    for third in ("genes", "gene", "gene1", "symbols", "genesymbols", "members")
]


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


def read_gene_sets(path: Path, var: pd.DataFrame | None = None) -> GeneSets:
    """Read one GMT file, plain or gzipped.

    Terms that occur twice are merged; sets without symbols are left out; weights (``GENE,1.0``) are dropped. All of it
    is counted in the findings.

    Parameters
    ----------
    var
        The data's genes, which tell what the columns of a table are.

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
    genes = () if var is None else _gene_names(var)
    lines, form, said = as_gmt(list(read_lines(path, option=_OPTION)), genes, path.name)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = [_unquoted(field) for field in line.split("\t")]
        term = fields[0]
        if number == 1 and [plain_header(field) for field in fields[1:3]] in _HEADERS:
            form = form or "a header line was left out"
            continue
        symbols = [symbol for field in fields[2:] for symbol in _symbols(field)]
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
        raise refusal(ResourceError, "sets_none", path=path, first=first_bad)
    findings = [finding("sets_of_another_form", file=path.name, form=form)] if form else []
    findings += said
    if n_twice:
        findings.append(finding("sets_duplicate_terms", file=path.name, n_terms=n_twice))
    if n_empty:
        findings.append(finding("sets_empty_lines", file=path.name, n_lines=n_empty, first=first_bad))
    if repeated:
        shown = ", ".join(f"{term} {n}" for term, n in list(repeated.items())[:5])
        findings.append(
            finding(
                "sets_repeated_genes", file=path.name, n_genes=sum(repeated.values()), n_sets=len(repeated), shown=shown
            )
        )
    findings += repeats_terms(path.name, len(sets), n_twice)
    return GeneSets(
        without_suffix(path.name),
        {term: tuple(symbols) for term, symbols in sets.items()},
        tuple(findings),
        descriptions,
    )


def _unquoted(field: str) -> str:
    text = field.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _symbols(field: str) -> list[str]:
    """Return the symbols of one field: one, with a weight behind it (``GENE,1.0``), or a list."""
    parts = [part.strip() for part in _LIST.split(field) if part.strip()]
    listed = any(not NUMBER.fullmatch(part) for part in parts[1:])
    return [part for part in parts if not NUMBER.fullmatch(part)] if listed else parts[:1]


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
    described = {
        term: text
        for term, text in sets.descriptions.items()
        if text.upper() in known and not named_after(term, text)  # the factor of a regulon is not its target
    }
    if len(described) > _SOME_SETS * len(members) and len(set(described.values())) > 1:
        members = {
            term: tuple(dict.fromkeys([*([described[term]] if term in described else []), *names]))
            for term, names in members.items()
        }
        example = next(iter(described.values()))
        findings.append(finding("sets_without_descriptions", name=sets.name, n_genes=len(described), symbol=example))
    findings += misread(sets.name, members)
    symbols = list(dict.fromkeys(symbol for names in members.values() for symbol in names))
    if dates := [symbol for symbol in symbols if re.fullmatch(DATE, symbol)]:
        findings.append(finding("dates_for_symbols", name=sets.name, n_symbols=len(dates), example=dates[0]))
    if is_ensembl(symbols):
        translation, how = _identifiers(var)
        found = {
            symbol: translation[key] for symbol in symbols if (key := without_version(symbol.upper())) in translation
        }
        if found and any(symbol != gene for symbol, gene in found.items()):
            members = {
                term: tuple(dict.fromkeys(found.get(name, name) for name in names)) for term, names in members.items()
            }
            findings.append(
                finding(
                    "sets_identifiers_matched",
                    name=sets.name,
                    how=how,
                    n_found=len(found),
                    n_symbols=len(symbols),
                    identifier=next(iter(found)),
                    gene=next(iter(found.values())),
                )
            )
    findings += alike(sets.name, members, known)
    return replace(sets, sets=members, findings=tuple(findings))


def _gene_names(var: pd.DataFrame) -> set[str]:
    return {str(name).upper() for name in var.index} | _identifiers(var)[0].keys()


def _identifiers(var: pd.DataFrame) -> tuple[dict[str, str], str]:
    """Return identifier without version -> name in the data, and where the identifiers are."""
    names = [str(name) for name in var.index]
    wanted = {plain_header(name) for name in ID_COLUMNS}
    column = next((name for name in var.columns if plain_header(name) in wanted and is_ensembl(var[name])), None)
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
            finding(
                "sets_other_case",
                name=sets.name,
                n_otherwise=len(otherwise),
                n_matched=len(as_given),
                gene=otherwise[0],
                symbol=example,
            )
        )
    if len(matched) < 0.1 * min(len(symbols), len(rows)):
        findings.append(
            finding(
                "sets_of_other_genes",
                name=sets.name,
                n_matched=len(matched),
                n_symbols=len(symbols),
                genes=list(map(str, genes[:3])),
                symbols=sorted(symbols)[:3],
            )
        )
    return MatchedSets(members, len(symbols), len(matched), tuple(findings))
