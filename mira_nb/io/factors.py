"""Factors behind the names of motifs and sites, by the genes of the data: which part of a name is one of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from mira_nb.sentences import entries

from .messages import Finding, finding
from .motif_names import factor_genes, factor_name

_APART: Final = re.compile(r"[^A-Za-z0-9-]+")
_WORDS: Final = frozenset({"TF", "SET", "CAT", "CS", "GC", "HR", "IP", "MB", "PC", "BIN1", "BIN3", "PEAK1", "REP15"})
"""Symbols of genes that stand in names as words: the transcription factor, a set, a cat."""
_MANY: Final = 50
_FEW: Final = 0.05
"""Of many names without a factor, the fraction that must hold a gene in one place for that place to hold factors."""
_MOST: Final = 0.5
_SHOWN: Final = 3


@dataclass(frozen=True)
class Factors:
    """What names stand for.

    Attributes
    ----------
    names
        One per given name: the factor; where none is a gene of the data, what its collection takes for the factor.
    known
        Whether a gene of the data is among the factor's.
    read
        Names as given -> factor, where these differ.
    """

    names: list[str]
    known: list[bool]
    read: dict[str, str] = field(default_factory=dict)


class _Genes:
    """Genes of the data, by their names in capitals."""

    def __init__(self, genes: Iterable[str]) -> None:
        self.known = {str(gene).upper() for gene in genes}

    def has_one(self, text: str) -> bool:
        return any(part in self.known for part in factor_genes(text))

    def is_one(self, text: str) -> bool:
        parts = factor_genes(text)
        return bool(parts) and all(part in self.known for part in parts)

    def settled(self, text: str) -> str:
        """Return a factor with genes of the data, under their other names too; '' where none is one."""
        parts = [part if self.has_one(part) else self._other(part) for part in text.split("::")]
        return "::".join(parts) if any(map(self.has_one, parts)) else ""

    def _other(self, part: str) -> str:
        return next((name for name in other_names(part) if name.upper() in self.known), part)

    def token(self, text: str) -> str:
        """Return a part of a name when it is a gene of the data and no word, else ''."""
        usable = len(text) > 1 and text.upper() in self.known and text.upper() not in _WORDS
        return text if usable else ""

    def hyphened(self, text: str) -> str:
        """Return the only gene between the hyphens of a name (``REST-NRSF``), '' without one or with several."""
        found = [part for part in text.split("-") if self.token(part)]
        return found[0] if len(found) == 1 else ""


def find_factors(texts: Sequence[tuple[str, str]], genes: Iterable[str] = (), *, alike: bool = False) -> Factors:
    """Return the factor behind each name.

    In this order: the name itself, when it is a gene of the data; what the collection's way of writing takes for the
    factor (:func:`mira_nb.io.motif_names.factor_name`); the gene of which that is another name, such as UniProt's
    ANDR for AR; and where no gene was found, that place of the remaining names that holds most genes of the data.

    Parameters
    ----------
    texts
        Identifier and name of each motif or site; names may be empty.
    genes
        Genes of the data; case is ignored. Without any, names are read by the ways of writing alone.
    alike
        Whether all names are written alike, as those of sites are: where most of the remaining ones hold a gene of the
        data in one place, the others hold a factor there too that is none.
    """
    data = _Genes(genes)
    plain = {pair: factor_name(*pair) for pair in dict.fromkeys(texts)}
    found = {pair: _settle(pair, text, data) for pair, text in plain.items()}
    open_ = [pair for pair, name in found.items() if not name]
    there = _by_place([plain[pair] for pair in open_], data)
    found |= {pair: data.token(token) for pair, token in zip(open_, there, strict=True)}
    if alike and sum(bool(found[pair]) for pair in open_) > _MOST * len(open_):
        plain |= {pair: token for pair, token in zip(open_, there, strict=True) if token}
    names = {pair: found[pair] or plain[pair] for pair in found}
    read = {given: name for pair, name in names.items() if (given := pair[1] or pair[0]) != name}
    return Factors([names[pair] for pair in texts], [bool(found[pair]) for pair in texts], read)


def _settle(pair: tuple[str, str], plain: str, data: _Genes) -> str:
    """Return the factor of one name as far as it can be told from that name alone, '' otherwise."""
    identifier, name = pair
    if name and data.is_one(name):
        return name
    alone = factor_name(identifier, "")
    recognised = data.hyphened(plain) if plain not in pair else ""
    return data.settled(plain) or recognised or data.settled(alone)


def _by_place(names: Sequence[str], data: _Genes) -> list[str]:
    """Return what stands in that place of the names, from the start or the end, where most of them have a gene.

    The place is one for the whole file: cells and treatments in other places may be genes too (CD34, IL6).
    """
    tokens = [_APART.split(name.strip()) for name in names]
    genes: dict[int, list[str]] = defaultdict(list)
    for parts in tokens:
        for place in range(len(parts) if len(parts) > 1 else 0):
            if gene := data.token(parts[place]):
                genes[place].append(gene)
                genes[place - len(parts)].append(gene)
    if not genes:
        return [""] * len(names)
    best = max(genes, key=lambda place: (len(genes[place]), len(set(genes[place])), place >= 0, -abs(place)))
    if len(names) >= _MANY and len(genes[best]) < _FEW * len(names):
        return [""] * len(names)
    there = [len(parts) > 1 and -len(parts) <= best < len(parts) for parts in tokens]
    return [parts[best] if has else "" for parts, has in zip(tokens, there, strict=True)]


def other_names(name: str) -> list[str]:
    """Return symbols of the gene that collections call by another name: ``ANDR`` is AR, ``HXA9`` HOXA9."""
    names, rules = _table()
    key = name.strip().upper()
    found = [re.sub(rule, symbol, key) for rule, symbol in rules.items() if re.fullmatch(rule, key)]
    return [*names.get(key, "").split(), *found]


@cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    table = entries(__package__, "factors.yaml")
    return table["names"], table["rules"]


def say_factors(read: Mapping[str, str]) -> list[Finding]:
    """Report the names (as given -> factor) that were read as another name."""
    if not read:
        return []
    shown = [f"{given} as {name}" for given, name in list(read.items())[:_SHOWN]]
    return [finding("factors_read", n_names=len(read), n_factors=len(set(read.values())), shown=shown)]
