"""Start sites under the names of the data's genes, and why genes of the data have none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from mira_nb.chromosomes import plain_name

from .identifiers import ENSEMBL, ID_COLUMNS, plain_header, without_version
from .tss import TssTable

_SYMBOLS: Final = "gene names"
_IDENTIFIERS: Final = "gene identifiers"
_NAMES: Final = "the names of the genes"
_PARTS: Final = "parts of the gene names"
_NEARLY: Final = 0.9
_FEW: Final = 0.2
_SEPARATORS: Final = re.compile(r"[|;,@:/\s]+|_(?=\d+$)|_(?=ENS)")


@dataclass(frozen=True)
class NamedSites:
    """Start sites under the names of the data's genes.

    Attributes
    ----------
    frame
        As :attr:`mira_nb.io.tss.TssTable.frame`, column gene with names of the data where a gene is found.
    n_genes
        How many genes of the data have a site.
    how
        Which names were matched, in words.
    n_spelt
        How many of them only match when every separator in a name counts as the same (``HLA.A`` and ``HLA-A``).
    lost
        Gene of the data without a site -> the reason.
    scattered
        Gene of the data with sites on several chromosomes -> those chromosomes: its symbol names several genes.
    """

    frame: pd.DataFrame
    n_genes: int
    how: str
    n_spelt: int = 0
    lost: Mapping[str, str] = field(default_factory=dict)
    scattered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def reasons(self) -> dict[str, tuple[int, str]]:
        """Return reason -> number of lost genes and one of them, most frequent first."""
        counted = Counter(self.lost.values())
        first = {reason: gene for gene, reason in reversed(list(self.lost.items()))}
        return {reason: (n, first[reason]) for reason, n in counted.most_common()}


def name_sites(table: TssTable, var: pd.DataFrame) -> NamedSites:
    """Match sites to genes of the data by the names that match most: symbols or identifiers of both, without versions.

    Identifiers win where they match nearly as many genes as anything else, since a symbol may name several genes. Genes
    that are not found so are looked for by the other names, at last with all separators equal: R writes ``HLA-A`` as
    ``HLA.A``. Where hardly any gene is found, parts of the file's names are tried: ``p1@SPI1``, ``SPI1|ENSG0001``.

    Parameters
    ----------
    var
        The data's genes: names as index, and columns that may hold identifiers or symbols.
    """
    theirs = {_SYMBOLS: table.frame["gene"], _IDENTIFIERS: table.frame["gene_id"]}
    ours = {_NAMES: pd.Series(var.index.astype(str), index=var.index)}
    known = {plain_header(name): name for name in reversed(var.columns)}
    columns = [known[key] for name in ID_COLUMNS if (key := plain_header(name)) in known]
    ours |= {f"var[{column!r}]": var[column].astype(str) for column in columns}
    tried = _tried(theirs, ours)
    if max(matched.nunique() for matched in tried.values()) < _FEW * len(var):
        keys = {_key(name) for names in ours.values() for name in names}
        theirs[_PARTS] = table.frame["gene"].map(lambda name: _part(name, keys))
        tried = _tried(theirs, ours)
    where, what = _best({pair: int(matched.nunique()) for pair, matched in tried.items()})
    matched = tried.pop((where, what))
    for other in tried.values():
        matched = matched.where(matched.notna() | other.isin(set(matched.dropna())), other)
    names, given = ours[what], theirs[where]
    missing = ~var.index.astype(str).isin(set(matched.dropna()))
    spelt = given.map(_spelling).map(_first(names[missing].map(_spelling), var.index[missing])).where(matched.isna())
    matched = matched.where(matched.notna(), spelt)
    found = set(matched.dropna())
    # a gene of the same symbol elsewhere is another one
    label, identifier = table.frame["gene"], table.frame["gene_id"]
    label = label.where(~label.isin(found) | (identifier == ""), label + " (" + identifier + ")")
    frame = table.frame.assign(gene=matched.where(matched.notna(), label))
    left_out = {_key(name): reason for name, reason in table.lost.items()}
    lost = {
        gene: next(
            (f"rows with {left_out[key]}" for key in map(_key, (name, gene)) if key in left_out), "not in the file"
        )
        for gene, name in zip(var.index.astype(str), names, strict=True)
        if gene not in found
    }
    how = f"{where} of the file with {what} of the data"
    return NamedSites(frame, len(found), how, int(spelt.nunique()), lost, _scattered(frame[matched.notna()]))


def _tried(theirs: Mapping[str, pd.Series], ours: Mapping[str, pd.Series]) -> dict[tuple[str, str], pd.Series]:
    """Return the gene of every site by each pair of names."""
    genes = {what: _first(names.map(_key), names.index) for what, names in ours.items()}
    return {(where, what): given.map(_key).map(genes[what]) for what in ours for where, given in theirs.items()}


def _part(name: str, known: set[str]) -> str:
    """Return the part of a name that is a gene of the data; the whole name where none is."""
    return next((part for part in _SEPARATORS.split(str(name)) if part and _key(part) in known), str(name))


def _best(n_genes: Mapping[tuple[str, str], int]) -> tuple[str, str]:
    """Return the pair of names that match most genes; identifiers of both where they match nearly as many."""
    best = max(n_genes, key=lambda pair: n_genes[pair])  # the first of equals
    identifiers = {pair: n for pair, n in n_genes.items() if pair[0] == _IDENTIFIERS and pair[1] != _NAMES}
    likely = max(identifiers, key=lambda pair: identifiers[pair], default=best)
    return likely if n_genes[likely] >= _NEARLY * n_genes[best] else best


def _scattered(sites: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the genes with sites on several main chromosomes; X and Y share regions, and count as one."""
    plain = {chrom: plain_name(str(chrom)) for chrom in sites["chrom"].unique()}
    main = sites[["gene", "chrom"]].assign(plain=sites["chrom"].map(plain).astype(str).replace("y", "x"))
    main = main[~main["plain"].str.contains(r"[._]")].drop_duplicates(["gene", "plain"])
    several = main[main["gene"].duplicated(keep=False)]
    return {str(gene): tuple(map(str, part)) for gene, part in several.groupby("gene", sort=False)["chrom"]}


def _first(keys: pd.Series, genes: pd.Index) -> dict[str, str]:
    out: dict[str, str] = {}
    for key, gene in zip(keys, genes.astype(str), strict=True):
        out.setdefault(key, gene)
    return out


def _key(name: str) -> str:
    """Return a name as it is compared: upper case, Ensembl identifiers without their version."""
    text = str(name).strip().upper()
    return without_version(text) if re.fullmatch(ENSEMBL, text) else text


def _spelling(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "-", _key(name))
