"""Programmes beside the differentiation, such as the cell cycle: topics that vary in every state.

Such a programme is real, and both assays see it, but it says nothing of how far a cell has come. Where a lineage hardly
changes any more, distances between its cells follow the programme instead of time. It is told from the topics of a
differentiation by where it varies: the topic of a state or a lineage is level in all cells but those that enter or
leave it; a programme beside the differentiation varies among the neighbours of nearly every cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.representation.projections import ilr
from mira_nb.core.topics.partners import partner_topics
from mira_nb.typing import Floats

QUANTILE: Final = 0.25
"""Fraction of the cells whose neighbourhoods may be level."""
VARIATION: Final = 0.1
"""Least variation among neighbours, as a fraction of that over all cells, at `QUANTILE`. At seeds 0 to 4 of the
embedded simulator the planted cycle has 0.16 to 0.22, every other topic at most 0.01; on the small fork of the tests,
whose middle state has a topic of its own, it has 0.74 to 0.86, every other topic at most 0.05."""
NEIGHBORHOODS: Final = 40
"""A neighbourhood is this part of the cells, within bounds: a larger one is no longer one state, a smaller one too few
cells for a covariance."""
_FLOOR: Final = 1e-3
"""Proportions of the other topics count as at least this, so that the noise of absent topics does not part cells."""


@dataclass(frozen=True)
class SideProgramme:
    """A pair of topics that varies in every state.

    Attributes
    ----------
    rna, atac
        Column of the expression topic and of its partner among the accessibility topics.
    variation
        Covariance of the two among neighbours as a fraction of that over all cells, at the lower quartile of the cells.
    """

    rna: int
    atac: int
    variation: float


def topic_variation(
    rna: Floats, atac: Floats, *, k: int | None = None, max_cells: int = 5_000, seed: int = 0
) -> list[SideProgramme]:
    """Measure, for each pair of partner topics, how much of its shared variation is found among neighbours.

    Neighbours are those by all other topics, scaled to sum to 1, so that the pair itself has no part in it. What the
    two assays share is the covariance of the two topics; the noise of either drops out.

    Parameters
    ----------
    rna, atac
        (n, K) topic proportions, rows sum to 1.
    k
        Neighbours; None: a fortieth of the cells, 10 to 50.
    max_cells
        A random sample of this size is used above it.
    """
    if len(rna) > max_cells:
        chosen = np.sort(np.random.default_rng([seed, 29]).choice(len(rna), max_cells, replace=False))
        rna, atac = rna[chosen], atac[chosen]
    k = k or int(np.clip(len(rna) // NEIGHBORHOODS, 10, 50))
    if min(rna.shape[1], atac.shape[1]) < 3 or len(rna) <= k:
        return []
    out = []
    for row, column in partner_topics(rna, atac):
        space = np.column_stack([ilr(_others(rna, row)), ilr(_others(atac, column))])
        near = nearest_neighbors(space, k=k, metric="manhattan", seed=seed).indices
        x, y = rna[:, row], atac[:, column]
        local = (x[near] * y[near]).mean(axis=1) - x[near].mean(axis=1) * y[near].mean(axis=1)
        overall = float(np.cov(x, y, bias=True)[0, 1])
        out.append(SideProgramme(row, column, float(np.quantile(local, QUANTILE)) / overall))
    return out


def side_programmes(rna: Floats, atac: Floats, *, least: float = VARIATION, seed: int = 0) -> list[SideProgramme]:
    """Return the pairs of topics that vary in every state; at least two topics of either assay are left."""
    found = [item for item in topic_variation(rna, atac, seed=seed) if item.variation >= least]
    room = min(rna.shape[1], atac.shape[1]) - 2
    return sorted(found, key=lambda item: -item.variation)[: max(room, 0)]


def _others(topics: Floats, left_out: int) -> Floats:
    rest = np.maximum(np.delete(topics, left_out, axis=1), _FLOOR)
    return np.asarray(rest / rest.sum(axis=1, keepdims=True))
