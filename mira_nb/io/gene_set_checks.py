"""What is odd about gene sets once they are read: of one gene, without names of genes, alike, or of repeated lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from .messages import Finding, finding

NUMBER: Final = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
"""A weight, or an Entrez identifier: no symbol of a gene."""
_WORDS: Final = re.compile(r"\S\s+\S")
_ENOUGH_SETS: Final = 5
_NEARLY_ALL: Final = 0.9
_MANY: Final = 0.3  # memberships that are no names of genes
_MOST: Final = 0.5
_ENOUGH_GENES: Final = 20
_ENOUGH_LINES: Final = 20
_FEW_TERMS: Final = 0.1  # of the lines: a set given over some lines is rare in GMT files


def misread(name: str, members: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Warn where the sets look like a table of another form: of one gene each, or with members that are no names."""
    single = sum(len(names) == 1 for names in members.values())
    findings = []
    if len(members) >= _ENOUGH_SETS and single > _NEARLY_ALL * len(members):
        example = next(f"{term} ({names[0]})" for term, names in members.items() if len(names) == 1)
        findings.append(finding("sets_of_one_gene", name=name, n_single=single, n_sets=len(members), example=example))
    named = [symbol for names in members.values() for symbol in names]
    others = [symbol for symbol in named if NUMBER.fullmatch(symbol) or _WORDS.search(symbol)]
    if len(others) > _MANY * len(named):
        shown = list(dict.fromkeys(others))[:3]
        findings.append(finding("sets_members_no_names", name=name, n=len(others), n_all=len(named), members=shown))
    return findings


def alike(name: str, members: Mapping[str, Sequence[str]], genes: Collection[str]) -> list[Finding]:
    """Warn where most sets hold what another holds, or nearly all genes of the data: tables of tests that are not cut.

    Parameters
    ----------
    genes
        The genes of the data, in upper case.
    """
    own = frozenset(genes)
    held = {term: own.intersection(symbol.upper() for symbol in names) for term, names in members.items()}
    counts = Counter(names for names in held.values() if len(names) > 1)
    n_equal = sum(n for n in counts.values() if n > 1)
    n_whole = 0
    if len(genes) >= _ENOUGH_GENES:
        n_whole = sum(len(names) >= _NEARLY_ALL * len(own) for names in held.values())
    if max(n_equal, n_whole) <= _MOST * len(members):
        return []
    values = {"n_equal": n_equal, "n_whole": n_whole, "n_sets": len(members), "n_genes": len(genes)}
    return [finding("sets_alike", name=name, **values)]


def repeats_terms(file: str, n_sets: int, n_twice: int) -> list[Finding]:
    """Warn where nearly all lines of a GMT file name the same few sets: a table whose columns were not recognised."""
    if n_sets + n_twice < _ENOUGH_LINES or n_sets > _FEW_TERMS * (n_sets + n_twice):
        return []
    return [finding("sets_of_few_terms", file=file, n_lines=n_sets + n_twice, n_sets=n_sets)]


def named_after(term: str, gene: str) -> bool:
    """Return whether a set bears the name of a gene, as regulons bear that of their factor: ``SOX2(+)``."""
    return bool(re.search(rf"(?i)(?<![A-Za-z0-9]){re.escape(gene)}(?![A-Za-z0-9])", term))
