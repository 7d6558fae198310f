"""Over-representation of gene sets among the top genes of a topic (the test behind Enrichr, without network).

Extended Methods, "Topic Analysis": the top n genes of each expression topic are compared with precompiled gene sets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.errors import ParameterError

from .contingency import association
from .rank_tests import benjamini_hochberg

ENRICHR_BACKGROUND = 20_000
"""Number of genes that Enrichr assumes."""

COLUMNS = ("topic", "term", "ontology", "pvalue", "adj_pvalue", "odds_ratio", "overlap", "genes")


def top_features(
    activations: NDArray[np.floating], names: Sequence[str], *, n_top: int, modelled: NDArray[np.bool_] | None = None
) -> list[list[str]]:
    """List the `n_top` most activated features of every topic, highest first; ties keep the order of the data.

    Parameters
    ----------
    activations
        (features, topics); NaN where not modelled.
    modelled
        (features,) leaves further features out.
    """
    usable = np.isfinite(activations).all(axis=1)
    if modelled is not None:
        usable &= modelled
    rows = np.flatnonzero(usable)
    out = []
    for topic in range(activations.shape[1]):
        order = np.argsort(-activations[rows, topic], kind="stable")[:n_top]
        out.append([str(names[i]) for i in rows[order]])
    return out


def unique_symbols(names: Sequence[str]) -> list[str]:
    """Return symbols in capitals, each once, in order: sources differ in case (mouse: Sox2, human: SOX2)."""
    return list(dict.fromkeys(str(name).strip().upper() for name in names if str(name).strip()))


def over_representation(
    queries: Mapping[str, Sequence[str]],
    sets: Mapping[str, Collection[str]],
    *,
    ontology: str,
    background: int | Collection[str] = ENRICHR_BACKGROUND,
) -> pd.DataFrame:
    """Test every gene set against every query by the hypergeometric upper tail.

    Parameters
    ----------
    queries
        Query name (topic) to its genes.
    sets
        Term to its genes. Symbols match regardless of case.
    ontology
        Name of the collection.
    background
        A number of genes (queries and sets are then used as they are, as Enrichr does), or the genes themselves
        (queries and sets are then cut to them; sets without any gene left are not tested).

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; one row per query and tested set, also without overlap, sorted by query (as given) and
        p value. ``overlap`` is "k/n" with n the size of the set, ``genes`` the overlap joined by ";" in the order of
        the query, ``adj_pvalue`` adjusted over all tested sets of the query and collection (Benjamini-Hochberg).

    Raises
    ------
    ParameterError
        The background is smaller than a query or a set.
    """
    lists = {name: unique_symbols(genes) for name, genes in queries.items()}
    members = {term: unique_symbols(list(genes)) for term, genes in sets.items()}
    if isinstance(background, int):
        population = background
    else:
        universe = set(unique_symbols(list(background)))
        population = len(universe)
        lists = {name: [gene for gene in genes if gene in universe] for name, genes in lists.items()}
        members = {term: [gene for gene in genes if gene in universe] for term, genes in members.items()}
    members = {term: genes for term, genes in members.items() if genes}
    largest = max(map(len, [*lists.values(), *members.values()]), default=0)
    if largest > population:
        raise ParameterError(
            f"the background of {population} genes is smaller than a list of {largest} genes",
            remedy="raise enrichment.background, or use 'modelled'",
        )
    if not members or not lists:
        return pd.DataFrame(columns=list(COLUMNS))
    overlaps = _overlaps(lists, members)
    sizes = np.array([len(genes) for genes in members.values()])
    parts = []
    for column, (name, genes) in enumerate(lists.items()):
        k = overlaps[:, column]
        result = association(k, population, sizes, len(genes))
        frame = pd.DataFrame(
            {
                "topic": name,
                "term": list(members),
                "ontology": ontology,
                "pvalue": result.pvalue,
                "adj_pvalue": benjamini_hochberg(result.pvalue),
                "odds_ratio": result.odds_ratio,
                "overlap": [f"{hit}/{size}" for hit, size in zip(k, sizes, strict=True)],
                "genes": [_shared(genes, members[term]) if hit else "" for term, hit in zip(members, k, strict=True)],
            }
        )
        order = np.lexsort([-k, result.log10_pvalue])
        parts.append(frame.iloc[order])
    return pd.concat(parts, ignore_index=True)


def _shared(query: Sequence[str], members: Collection[str]) -> str:
    inside = set(members)
    return ";".join(gene for gene in query if gene in inside)


def _overlaps(lists: Mapping[str, Sequence[str]], members: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
    """Count the genes that every set (rows) shares with every query (columns)."""
    position: dict[str, int] = {}
    for genes in lists.values():
        for gene in genes:
            position.setdefault(gene, len(position))

    def indicator(groups: Mapping[str, Sequence[str]]) -> sparse.csr_matrix:
        rows, columns = [], []
        for row, genes in enumerate(groups.values()):
            found = [position[gene] for gene in genes if gene in position]
            rows += [row] * len(found)
            columns += found
        shape = (len(groups), max(len(position), 1))
        return sparse.csr_matrix((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=shape)

    return np.asarray((indicator(members) @ indicator(lists).T).toarray(), dtype=np.int64)
