"""Weigh the evidence that a snapshot of cells holds on which tip of the manifold is the beginning.

No snapshot says for certain in which direction time runs. What is known of many differentiations is that accessibility
runs ahead of expression, and that early cells express more genes and run more programmes at once. The number of genes
detected also follows sequencing depth, so genes are counted at equal depth; programmes are counted as the entropy of
the topic proportions of either assay. What rests on topics is weighed over the model and the refits of the tuning.
:mod:`mira_nb.core.trajectory.direction` brings all of it into one form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import gammaln

from mira_nb.core.trajectory.direction import (
    Direction,
    find_tips,
    judge_direction,
    lead_matrix,
    level_matrix,
    over_refits,
)
from mira_nb.core.trajectory.infer import Manifold
from mira_nb.keys import ATAC, RNA, TUNING
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.typing import Floats, Ints

from .params import CHROMATIN_LEAD, TrajectoryParams

if TYPE_CHECKING:
    from mudata import MuData


GENES = "genes_at_equal_depth"
ENTROPIES = {RNA: "entropy_rna", ATAC: "entropy_atac"}
"""Kinds of evidence that compare levels at the tips: of genes, and of the topics of each assay."""
KINDS = (CHROMATIN_LEAD, GENES, *ENTROPIES.values())
LEAST_AT_TIP = 8
"""Cells at every tip that a tuning on a sample must have read for its refits to count."""


@dataclass(frozen=True)
class StartEvidence:
    """Evidence on the candidates for the start.

    Attributes
    ----------
    table
        One row per candidate: means of its neighbourhood, ``is_tip``, ``certainty_KIND`` for each kind of evidence and
        ``score`` of :class:`~mira_nb.core.trajectory.direction.Direction`; minus infinity where it is no tip.
    tips
        (t,) positions of the tips among the candidates.
    direction
        Verdict on the tips.
    n_refits
        Refits of the tuning over which the evidence of the topics is weighed.
    """

    table: pd.DataFrame
    tips: Ints
    direction: Direction
    n_refits: int = 0


def weigh_starts(
    data: MuData,
    rows: Ints,
    manifold: Manifold,
    near: Ints,
    candidates: list[int],
    params: TrajectoryParams,
    *,
    seed: int,
) -> StartEvidence:
    """Weigh the evidence over the neighbourhoods of the candidates and the paths between them.

    Parameters
    ----------
    rows
        (m,) rows of the data.
    manifold
        Manifold of the m cells.
    near
        (m, k) each cell and its neighbours, among the m.
    candidates
        (c,) cells among the m.
    seed
        Seed of the resampled cells.
    """
    hoods = near[candidates]
    topics = {name: topic_frame(data, name).to_numpy(dtype=np.float64)[rows] for name in (RNA, ATAC)}
    cells = np.unique(hoods)
    place = np.searchsorted(cells, hoods)
    counts = sparse.csr_matrix(data.mod[RNA].X[rows[cells]])
    per_cell = pd.DataFrame({"detected_genes": np.diff(counts.indptr).astype(float)})
    per_cell[GENES] = genes_at_depth(counts)
    for name, column in ENTROPIES.items():
        per_cell[column] = _entropy(topics[name][cells])
    table = pd.DataFrame({name: per_cell[name].to_numpy()[place].mean(axis=1) for name in per_cell})
    is_tip, distances = find_tips(manifold.graph, candidates, separation=params.tip_separation)
    tips = np.flatnonzero(is_tip)
    ends = np.asarray(candidates)[tips]
    fits = [topics, *refit_topics(data, rows, hoods[tips])]
    found = [_evidence(fit, distances[tips], ends, hoods[tips], params, seed) for fit in fits]
    evidence = {kind: over_refits([one[kind] for one in found]) for kind in found[0]}
    if GENES in params.direction_evidence:
        evidence[GENES] = level_matrix(per_cell[GENES].to_numpy(), place[tips])
    evidence = {kind: evidence[kind] for kind in KINDS if kind in evidence}
    direction = judge_direction(evidence, decisive=params.direction_z, n_needed=params.direction_agreeing)
    table["is_tip"] = is_tip
    for kind, certainty in direction.certainty.items():
        table[f"certainty_{kind}"] = _at(tips, certainty, len(table), np.nan)
    table["score"] = _at(tips, direction.score, len(table), -np.inf)
    return StartEvidence(table, tips, direction, len(fits) - 1)


def _entropy(proportions: Floats) -> Floats:
    return np.asarray(-(proportions * np.log(np.maximum(proportions, 1e-12))).sum(axis=1))


def _evidence(
    topics: dict[str, Floats], distances: Floats, ends: Ints, hoods: Ints, params: TrajectoryParams, seed: int
) -> dict[str, Floats]:
    """Return the kinds of evidence that rest on topics, by name, under one fit; its unknown cells are NaN."""
    out: dict[str, Floats] = {}
    known = np.flatnonzero(np.isfinite(topics[RNA]).all(axis=1) & np.isfinite(topics[ATAC]).all(axis=1))
    if CHROMATIN_LEAD in params.direction_evidence:
        rng = np.random.default_rng([seed, 23])
        out[CHROMATIN_LEAD] = lead_matrix(distances, ends, topics[RNA], topics[ATAC], rng=rng, cells=known)[1]
    for name, column in ENTROPIES.items():
        if column in params.direction_evidence:
            out[column] = level_matrix(_entropy(topics[name]), hoods)
    return out


def refit_topics(data: MuData, rows: Ints, hoods: Ints) -> list[dict[str, Floats]]:
    """Return the topics of both assays under each refit of the tuning stages, (m, K), NaN where a refit has no cell.

    There are none where an assay was not tuned, its model has another number of topics, or the tuning read too few of
    the cells at the tips.

    Parameters
    ----------
    rows
        (m,) rows of the data.
    hoods
        (t, k) cells at each tip, among the m.
    """
    parts: dict[str, Floats] = {}
    for name in (RNA, ATAC):
        stored = data.mod[name].uns.get(TUNING)
        refits = np.asarray(stored["refits"]) if stored is not None and "refits" in stored else np.empty((0, 0, 0))
        if refits.size == 0 or refits.shape[2] != topic_frame(data, name).shape[1]:
            return []
        all_cells = np.full((len(refits), data.n_obs, refits.shape[2]), np.nan)
        all_cells[:, np.asarray(stored["cells"], dtype=np.int64)] = refits
        parts[name] = all_cells[:, rows]
    known = np.isfinite(parts[RNA][0]).all(axis=1) & np.isfinite(parts[ATAC][0]).all(axis=1)
    if known[hoods].sum(axis=1).min() < LEAST_AT_TIP:
        return []
    return [dict(zip((RNA, ATAC), pair, strict=True)) for pair in zip(parts[RNA], parts[ATAC], strict=False)]


def _at(tips: Ints, values: Floats, n: int, otherwise: float) -> Floats:
    """Return values of the tips as values of all candidates."""
    out = np.full(n, otherwise)
    out[tips] = values
    return out


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
