"""Start sites under the names of the data's genes, and why genes of the data have none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from .identifiers import ENSEMBL, ID_COLUMNS, without_version
from .tss import TssTable


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
    """

    frame: pd.DataFrame
    n_genes: int
    how: str
    n_spelt: int = 0
    lost: Mapping[str, str] = field(default_factory=dict)

    def reasons(self) -> dict[str, tuple[int, str]]:
        """Return reason -> number of lost genes and one of them, most frequent first."""
        counted = Counter(self.lost.values())
        first = {reason: gene for gene, reason in reversed(list(self.lost.items()))}
        return {reason: (n, first[reason]) for reason, n in counted.most_common()}


def name_sites(table: TssTable, var: pd.DataFrame) -> NamedSites:
    """Match sites to genes of the data by the names that match most: symbols or identifiers of both, without versions.

    Genes that are not found so are looked for once more with all separators equal: R writes ``HLA-A`` as ``HLA.A``.

    Parameters
    ----------
    var
        The data's genes: names as index, and columns that may hold identifiers or symbols.
    """
    theirs = {"gene names": table.frame["gene"], "gene identifiers": table.frame["gene_id"]}
    ours = {"the names of the genes": pd.Series(var.index.astype(str), index=var.index)}
    lower = {str(name).lower(): name for name in var.columns}
    ours |= {f"var[{lower[name]!r}]": var[lower[name]].astype(str) for name in ID_COLUMNS if name in lower}
    tried: list[tuple[pd.Series, str, str]] = []
    for what, names in ours.items():
        known = _first(names.map(_key), var.index)
        tried += [(given.map(_key).map(known), where, what) for where, given in theirs.items()]
    matched, where, what = max(tried, key=lambda item: int(item[0].nunique()))  # the first of equals wins
    names, given = ours[what], theirs[where]
    missing = ~var.index.astype(str).isin(set(matched.dropna()))
    spelt = given.map(_spelling).map(_first(names[missing].map(_spelling), var.index[missing])).where(matched.isna())
    matched = matched.where(matched.notna(), spelt)
    frame = table.frame.assign(gene=matched.where(matched.notna(), table.frame["gene"]))
    found = set(matched.dropna())
    left_out = {_key(name): reason for name, reason in table.lost.items()}
    lost = {
        gene: f"rows with {left_out[key]}" if (key := _key(name)) in left_out else "not in the file"
        for gene, name in zip(var.index.astype(str), names, strict=True)
        if gene not in found
    }
    how = f"{where} of the file with {what} of the data"
    return NamedSites(frame, len(found), how, int(spelt.nunique()), lost)


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
