"""Weigh the evidence that a snapshot of cells holds on which tip of the manifold is the beginning.

No snapshot says for certain in which direction time runs. What is known of many differentiations is that early cells
express more genes and run more programmes at once. The number of genes detected also follows sequencing depth, so genes
are counted at equal depth; programmes are counted as the entropy of the topic proportions of either assay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.special import gammaln

from mira_nb.keys import ATAC, RNA
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.typing import Floats, Ints

if TYPE_CHECKING:
    from mudata import MuData


DETOUR = 1.1
"""A candidate lies between two others if the path over it is at most this many times the shortest."""
COLUMNS = ("genes_at_equal_depth", "entropy_rna", "entropy_atac")
"""Kinds of evidence."""


@dataclass(frozen=True)
class StartEvidence:
    """Evidence on the candidates for the start.

    Attributes
    ----------
    table
        One row per candidate: mean number of genes detected, the evidence, ``is_tip``, ``score`` (sum of the
        standardised evidence; minus infinity for candidates that are no tip).
    winners
        For each kind of evidence (its column), the tip it speaks for, as a position among the candidates.
    """

    table: pd.DataFrame
    winners: dict[str, int]


def weigh_starts(
    data: MuData, rows: Ints, near: Ints, candidates: list[int], graph: sparse.csr_matrix
) -> StartEvidence:
    """Weigh the evidence over the neighbourhoods of the candidates.

    Parameters
    ----------
    rows
        (m,) rows of the data.
    near
        (m, k) each cell and its neighbours, among the m.
    candidates
        (c,) cells among the m.
    graph
        (m, m) symmetric connected graph with distances as weights.
    """
    hoods = near[candidates]
    cells = np.unique(hoods)
    place = np.searchsorted(cells, hoods)
    counts = sparse.csr_matrix(data.mod[RNA].X[rows[cells]])
    per_cell = pd.DataFrame({"detected_genes": np.diff(counts.indptr).astype(float)})
    per_cell["genes_at_equal_depth"] = genes_at_depth(counts)
    for name, column in ((RNA, "entropy_rna"), (ATAC, "entropy_atac")):
        topics = topic_frame(data, name).to_numpy(dtype=np.float64)[rows[cells]]
        per_cell[column] = -(topics * np.log(np.maximum(topics, 1e-12))).sum(axis=1)
    table = pd.DataFrame({name: per_cell[name].to_numpy()[place].mean(axis=1) for name in per_cell})
    tips = is_tip(graph, candidates)
    score, winners = np.zeros(len(candidates)), {}
    for column in COLUMNS:
        values = table[column].to_numpy()
        # In units of the spread of cells within neighbourhoods, so that faint evidence weighs little.
        spread = float(np.sqrt(per_cell[column].to_numpy()[place].var(axis=1).mean()))
        score += (values - values[tips].mean()) / max(spread, 1e-12)
        winners[column] = int(np.argmax(np.where(tips, values, -np.inf)))
    table["is_tip"] = tips
    table["score"] = np.where(tips, score, -np.inf)
    return StartEvidence(table, winners)


def genes_at_depth(counts: sparse.csr_matrix, *, quantile: float = 0.1) -> Floats:
    """Return the genes expected among equally many counts of every cell (rarefaction), (n,).

    Drawing d of a cell's N counts without replacement misses a gene with x of them with probability
    C(N - x, d) / C(N, d). d is a low quantile of the cells' depths; cells with fewer counts keep all theirs.
    """
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    drawn = np.minimum(np.floor(np.quantile(depth, quantile)), depth)[row]
    total, found = depth[row], counts.data.astype(np.float64)
    left = total - found
    possible = left >= drawn
    missed = np.zeros(len(found))
    at = [values[possible] for values in (left, total, drawn)]
    missed[possible] = np.exp(
        gammaln(at[0] + 1) - gammaln(at[0] - at[2] + 1) - gammaln(at[1] + 1) + gammaln(at[1] - at[2] + 1)
    )
    return np.asarray(np.bincount(row, weights=1 - missed, minlength=counts.shape[0]), dtype=np.float64)


def is_tip(graph: sparse.csr_matrix, candidates: list[int]) -> NDArray[np.bool_]:
    """Mark the candidates that lie on no shortest path between two others, up to a detour of a tenth, (c,)."""
    length = csgraph.dijkstra(graph, directed=False, indices=candidates)[:, candidates]
    n = len(candidates)
    through = length[:, :, None] + length[None, :, :]
    between = through <= DETOUR * length[:, None, :]
    own = np.arange(n)
    between[own, own, :] = False
    between[:, own, own] = False
    between[own, :, own] = False
    tips = ~between.any(axis=(0, 2))
    return np.asarray(tips if tips.any() else np.ones(n, dtype=bool))
