"""What tells factors of one family apart: the family, and expression where a gene set is expressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.core.regulation.motif_families import matrix_families
from mira_nb.keys import RNA
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import gene_expression, topic_frame
from mira_nb.typing import Floats

if TYPE_CHECKING:
    from mudata import MuData


def families(factors: pd.DataFrame, labels: list[str], context: Context, *, min_similarity: float) -> list[str]:
    """Return the family of each factor: by the matrices of the motif file, else as the stage motifs found them by hits.

    A family is named after its first member.

    Parameters
    ----------
    factors
        Columns id and, from the stage motifs, family.
    labels
        Unique names of the factors.
    min_similarity
        See :func:`mira_nb.core.regulation.motif_families.matrix_families`.
    """
    path = context.resources.motifs
    if path is not None:
        from mira_nb.io.motif_files import read_motifs

        known = {motif.id: motif.counts for motif in read_motifs(path)}
        if all(name in known for name in factors["id"]):
            group = matrix_families([known[name] for name in factors["id"]], min_similarity=min_similarity)
            return _named(group, labels)
    if "family" in factors:
        return [str(name) for name in factors["family"]]
    return labels


def _named(group: NDArray[np.int64], labels: list[str]) -> list[str]:
    first: dict[int, str] = {}
    count = np.bincount(group)
    for number, label in zip(group, labels, strict=True):
        first.setdefault(int(number), label)
    names = {
        number: label + (f" and {count[number] - 1} similar" if count[number] > 1 else "")
        for number, label in first.items()
    }
    return [names[int(number)] for number in group]


def cell_weights(
    data: MuData,
    names: list[str],
    sources: dict[str, str],
    masks: dict[str, NDArray[np.bool_]],
    genes: list[str],
    groups: pd.Series | None,
) -> Floats:
    """Return how much each cell belongs to each gene set, (cells, sets), 0 to 1.

    Topic proportions for the genes of a topic, 1 in a group for its marker genes, and for the user's lists the mean
    log-normalised expression of their genes over its maximum.
    """
    topics = topic_frame(data, RNA)
    columns = []
    for name in names:
        if sources[name] == "top genes of an expression topic":
            weight = topics[name.removeprefix("topic ")].to_numpy(np.float64)
        elif sources[name] == "marker genes of a group" and groups is not None:
            weight = (groups == name.removeprefix("markers of ")).to_numpy(np.float64)
        else:
            inside = [gene for gene, member in zip(genes, masks[name], strict=True) if member]
            weight = gene_expression(data, inside).mean(axis=1).to_numpy(np.float64)
        columns.append(weight / max(float(weight.max()), 1e-12))
    return np.column_stack(columns) if columns else np.zeros((data.n_obs, 0))


def factor_expression(data: MuData, factors: pd.DataFrame, weights: Floats) -> tuple[Floats, Floats]:
    """Return the factors' expression where gene sets are expressed, and its log2 ratio to elsewhere, (sets, factors).

    Counts per 10,000, averaged with the weights of cells, and with one minus these; 0.01 is added to both before the
    ratio. Of a complex, the least expressed member counts. NaN where a factor's genes are not all in the data.

    Parameters
    ----------
    factors
        With the columns genes (";"-joined) and in_expr of the stage motifs, if it left them.
    weights
        (cells, sets) from :func:`cell_weights`.
    """
    shape = (weights.shape[1], len(factors))
    inside, ratio = np.full(shape, np.nan), np.full(shape, np.nan)
    if not {"genes", "in_expr"} <= set(factors.columns):
        return inside, ratio
    members = [
        text.split(";") if known and text else []
        for text, known in zip(factors["genes"].astype(str), factors["in_expr"].astype(str) == "True", strict=True)
    ]
    genes = sorted({gene for part in members for gene in part})
    if not genes:
        return inside, ratio
    values = np.expm1(gene_expression(data, genes).to_numpy(np.float64))
    here, there = (w.T @ values / np.maximum(w.sum(axis=0), 1e-12)[:, None] for w in (weights, 1.0 - weights))
    change = np.log2((here + 0.01) / (there + 0.01))
    position = {gene: i for i, gene in enumerate(genes)}
    for column, part in enumerate(members):
        if part:
            places = [position[gene] for gene in part]
            least = np.argmin(here[:, places], axis=1)
            rows = np.arange(shape[0])
            inside[:, column] = here[:, places][rows, least]
            ratio[:, column] = change[:, places][rows, least]
    return inside, ratio
