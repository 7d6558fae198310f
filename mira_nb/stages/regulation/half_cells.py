"""NITE scores and calls of some genes with half of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.learning_curve import (
    FEWEST_CELLS,
    FEWEST_GENES,
    MOST_FOUND,
    N_GENES,
    N_NULL,
    STEADY,
    Calls,
    comparisons,
    halve,
    spread_over,
    take_cells,
)
from mira_nb.core.regulation.model import Cells
from mira_nb.core.regulation.scores import NullDraw, nite_score, take_genes
from mira_nb.core.statistics.rank_tests import benjamini_hochberg
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats, Ints, Progress

from .fitting import Fitted, fit_with_null, nite_pvalue

if TYPE_CHECKING:
    from .params import RegulationParams

TEXTS = Texts(__package__)


@dataclass(frozen=True)
class HalfCells:
    """Calls with all cells and with two halves of them.

    Attributes
    ----------
    genes
        Positions of the genes that were fitted again.
    whole, halves
        Scores and calls of these genes.
    table
        Agreement of the calls, as :func:`mira_nb.core.regulation.learning_curve.comparisons`.
    """

    genes: Ints
    whole: Calls
    halves: tuple[Calls, Calls]
    table: pd.DataFrame

    @property
    def sentence(self) -> str:
        """What more cells would change."""
        between = self.table.iloc[2]
        return TEXTS.text(
            "half_of_cells",
            n_genes=len(self.genes),
            n_cells=self.whole.n_cells,
            n_called=round(self.mean("nite_second")),
            n_half=self.mean("nite_first"),
            jaccard=self.mean("jaccard"),
            jaccard_chance=self.mean("jaccard_chance"),
            jaccard_halves=between["jaccard"],
            spearman=self.mean("spearman"),
            spearman_halves=between["spearman"],
            most=MOST_FOUND,
            steady=STEADY,
        )

    def gene_table(self, names: Sequence[str]) -> pd.DataFrame:
        """Return one row per gene with scores and calls; `names` are those of all genes of the stage."""
        columns = {"gene": [names[g] for g in self.genes]}
        frame = pd.DataFrame(columns).assign(nite_score=self.whole.score, nite=self.whole.called)
        for number, half in enumerate(self.halves, 1):
            frame[f"nite_score_half_{number}"] = half.score
            frame[f"nite_half_{number}"] = half.called
        return frame.sort_values("nite_score", ascending=False, kind="stable").reset_index(drop=True)

    def points(self, names: Sequence[str]) -> pd.DataFrame:
        """Return gene, half, all_score, score, called (with which cells), one row per gene and half with models."""
        parts = []
        for half in self.halves:
            both = np.where(self.whole.called, "all cells only", "neither")
            both = np.where(half.called, np.where(self.whole.called, "all cells and half", "half only"), both)
            part = {"gene": [names[g] for g in self.genes], "half": half.name, "called": both}
            parts.append(pd.DataFrame(part).assign(all_score=self.whole.score, score=half.score))
        return pd.concat(parts, ignore_index=True).dropna().reset_index(drop=True)

    def mean(self, column: str) -> float:
        """Return the mean of a column over both halves, each compared with all cells."""
        return float(self.table[column].iloc[:2].astype(float).mean())


def enough_for_halves(n_cells: int, n_fitted: int) -> bool:
    """Return whether there are cells and genes enough to fit halves."""
    return n_cells >= FEWEST_CELLS and n_fitted >= FEWEST_GENES


def calls_of_halves(
    found: Fitted, cells: Cells, sets: PeakSets, n_open: NDArray, params: RegulationParams, *, seed: int,
    n_threads: int, progress: Progress,
) -> HalfCells | None:  # fmt: skip
    """Fit some genes again to two random halves of the cells, each with a null distribution of its own.

    Topics and accessibility stay those of all cells: what changes is the number of cells from which expression is
    read. False discovery rates are over these genes, also with all cells.

    Returns
    -------
    The calls, or None with too few cells or fitted genes.
    """
    scores = nite_score(found.fit.gene_statistic, found.fit.n_expressing)
    if not enough_for_halves(cells.n_cells, int(np.isfinite(scores).sum())):
        return None
    genes = spread_over(scores, N_GENES)
    generator = np.random.default_rng([seed, 9])
    parts = halve(cells.n_cells, generator)
    taken = take_genes(sets, genes)
    halves = []
    for number, rows in enumerate(parts):
        fitted = fit_with_null(
            take_cells(cells, rows, genes), taken, NullDraw(generator, N_NULL, n_open, measured=cells), params,
            posterior=False, n_threads=n_threads, progress=partial(_report, progress, number),
        )  # fmt: skip
        halves.append(_calls(f"half {number + 1}", len(rows), fitted, np.arange(len(genes)), params, cells))
    whole = _calls("all cells", cells.n_cells, found, genes, params, cells)
    return HalfCells(genes, whole, (halves[0], halves[1]), comparisons(whole, (halves[0], halves[1])))


def _report(progress: Progress, done: int, fraction: float, message: str) -> None:
    progress((done + fraction) / 2, f"calls with half of the cells: {message}")


def _calls(name: str, n_cells: int, found: Fitted, genes: Ints, params: RegulationParams, cells: Cells) -> Calls:
    statistic: Floats = found.fit.gene_statistic[genes]
    pvalue = nite_pvalue(statistic, found.null, params, cells.topics.shape[1])
    called = (benjamini_hochberg(pvalue) < params.level) & (found.share[genes] >= params.min_share)
    return Calls(name, n_cells, nite_score(statistic, found.fit.n_expressing[genes]), np.asarray(called))
