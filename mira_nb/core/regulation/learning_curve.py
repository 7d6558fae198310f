"""NITE calls with half of the cells: which genes, which cells, and how well two sets of calls agree."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mira_nb.typing import Floats, Ints

from .model import Cells

N_GENES = 100
"""Genes fitted again, at most (chosen for their cost)."""

N_NULL = 100
"""Genes simulated for the null distribution of each half (chosen for their cost)."""

FEWEST_CELLS = 400
"""Cells from which halves are fitted (chosen: 200 in a half)."""

FEWEST_GENES = 20
"""Fitted genes from which halves are fitted; agreement over fewer says nothing (chosen)."""

MOST_FOUND, STEADY = 0.9, 0.8
"""Fraction of the calls of all cells that half must make, and Jaccard index with them, for more cells to change little
(chosen)."""


@dataclass(frozen=True)
class Calls:
    """Scores and calls of the same genes with some of the cells.

    Attributes
    ----------
    name
        Which cells.
    n_cells
        How many.
    score
        (G,) NITE scores, NaN for a gene without models.
    called
        (G,) genes called NITE.
    """

    name: str
    n_cells: int
    score: Floats
    called: NDArray[np.bool_]


def spread_over(score: Floats, n: int) -> NDArray[np.int64]:
    """Return the positions of at most `n` genes at even steps of the order of their scores; NaN is left out."""
    known = np.flatnonzero(np.isfinite(score)).astype(np.int64)
    ranked = known[np.argsort(score[known], kind="stable")]
    if len(ranked) <= n:
        return np.sort(ranked)
    return np.sort(ranked[np.floor((np.arange(n) + 0.5) * len(ranked) / n).astype(np.int64)])


def halve(n_cells: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two random halves of the cells, sorted; with an odd number one cell is in neither."""
    order = generator.permutation(n_cells)
    half = n_cells // 2
    return np.sort(order[:half]), np.sort(order[half : 2 * half])


def take_cells(cells: Cells, rows: Ints, genes: Ints) -> Cells:
    """Return some cells and genes; topics and accessibility stay those of the model of all cells."""
    return replace(
        cells,
        counts=cells.counts[rows][:, genes].tocsc(),
        log_depth=cells.log_depth[rows],
        log_normalizer=cells.log_normalizer[rows],
        topics=np.ascontiguousarray(cells.topics[rows]),
        peak_normalizer=cells.peak_normalizer[rows],
    )


def compare(first: Calls, second: Calls) -> dict[str, str | int | float]:
    """Compare two sets of calls over the genes that both have models of.

    Returns
    -------
    dict
        first, second (names), n_cells_first, n_cells_second, n_genes, nite_first, nite_second, nite_both; jaccard:
        genes called by both over those called by either, NaN where there are none; jaccard_chance: what calls of as
        many genes at random would have; spearman: rank correlation of the scores.
    """
    both = np.isfinite(first.score) & np.isfinite(second.score)
    a, b, n = first.called[both], second.called[both], int(both.sum())
    shared, either = int((a & b).sum()), int((a | b).sum())
    by_chance = float(a.sum()) * float(b.sum()) / max(n, 1)
    varied = n > 2 and np.ptp(first.score[both]) > 0 and np.ptp(second.score[both]) > 0
    return {
        "first": first.name,
        "second": second.name,
        "n_cells_first": first.n_cells,
        "n_cells_second": second.n_cells,
        "n_genes": n,
        "nite_first": int(a.sum()),
        "nite_second": int(b.sum()),
        "nite_both": shared,
        "jaccard": shared / either if either else np.nan,
        "jaccard_chance": by_chance / (float(a.sum() + b.sum()) - by_chance) if either else np.nan,
        "spearman": float(stats.spearmanr(first.score[both], second.score[both])[0]) if varied else np.nan,
    }


def comparisons(whole: Calls, halves: tuple[Calls, Calls]) -> pd.DataFrame:
    """Return each half against all cells, then the halves against each other, one row each as in :func:`compare`."""
    return pd.DataFrame([*(compare(half, whole) for half in halves), compare(*halves)])
