"""Genes primed (poised) at a branch, and terminal genes (Extended Methods; Extended Data Figs. 5e and 8e)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.statistics.rank_tests import benjamini_hochberg, log2_ratio_of_log_means, rank_sum
from mira_nb.counts import log_expression
from mira_nb.keys import RNA
from mira_nb.typing import Floats

from .branches import Branch
from .compute import RegulationOutput
from .score_tests import against_rest

AT_BRANCH, PRIMED, NOT_PRIMED, NO_BRANCH = "at branch", "primed", "not primed", "no branch"
COLUMNS = (
    "branch", "lineage", "gene", "class", "terminal", "log2_fold", "log2_fold_precursor", "differential", "nite_score",
    "nite", "n_branch_cells",
)  # fmt: skip


def primed_genes(found: RegulationOutput) -> pd.DataFrame:
    """Classify genes of two lineages at their branch (Extended Methods, Skin poised gene identification).

    For every branch of the tree and every one that the user names: genes higher in one lineage than in the other;
    ``at branch`` when higher than in the precursor in neither lineage; else ``primed`` when the mean chromatin
    differential of the branch cells and the NITE score are above their thresholds, else ``not primed``; ``no branch``
    where lineages with a precursor of each have no common branch. ``nite`` says whether the gene is called NITE by the
    calibrated test, beside the published cut-off of the score. ``terminal`` says that a lineage is an end and the gene
    higher than in the precursor in one of the two (Extended Methods, IFE differentially-expressed terminal genes).
    Columns: :data:`COLUMNS`.
    """
    if not found.branches:
        return pd.DataFrame(columns=list(COLUMNS))
    counts = sparse.csr_matrix(found.data.mod[RNA].X, dtype=np.float64)
    expression = log_expression(counts[:, found.position], np.asarray(counts.sum(axis=1)).ravel())
    rows = [row for branch in found.branches for row in _rows(branch, expression, found)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(branch: Branch, expression: Any, found: RegulationOutput) -> list[tuple[Any, ...]]:
    """Return the rows of one branch: genes higher in the first lineage, then those higher in the second."""
    p = found.params
    lineage = [expression[mask] for mask in branch.cells]
    before = [expression[mask] for mask in branch.precursors]
    rises, folds = zip(*(_higher(x, y, found) for x, y in zip(lineage, before, strict=True)), strict=True)
    up = rises[0] | rises[1]
    differential = np.full(len(found.genes), np.nan)
    if len(branch.at):
        differential = found.differential[branch.at].astype(np.float64).mean(axis=0)
    passes = (differential > p.primed_differential) & (found.nite_score > p.primed_nite)
    kind = np.where(~up, AT_BRANCH, np.where(passes, PRIMED, NOT_PRIMED)) if len(branch.at) else None
    rows = []
    for i, name in enumerate(branch.lineages):
        own, fold = _higher(lineage[i], lineage[1 - i], found)
        for g in np.flatnonzero(own & found.ok):
            rows.append(
                (
                    branch.name, name, found.genes[g], NO_BRANCH if kind is None else str(kind[g]),
                    bool(branch.ends[i] and up[g]), float(fold[g]), float(folds[i][g]), float(differential[g]),
                    float(found.nite_score[g]), bool(found.called[g]), len(branch.at),
                )
            )  # fmt: skip
    return rows


def _higher(x: Any, y: Any, found: RegulationOutput) -> tuple[NDArray[np.bool_], Floats]:
    """Return which genes are higher in the first population (adjusted p-value and log2 fold change), and the change."""
    if x.shape[0] < 2 or y.shape[0] < 2:
        return np.zeros(x.shape[1], dtype=bool), np.full(x.shape[1], np.nan)
    adjusted = benjamini_hochberg(rank_sum(x, y).pvalue)
    change = log2_ratio_of_log_means(x, y)
    return np.asarray((adjusted < found.params.de_level) & (change > found.params.fold_change)), change


def stored_classes(primed: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return what later stages read of primed genes: branch, lineage, gene and class of every row."""
    return {name: primed[name].astype(str).to_numpy(dtype=str) for name in ("branch", "lineage", "gene", "class")}


@dataclass(frozen=True)
class PrimedCounts:
    """Numbers of rows of the primed genes, and of fitted genes that pass either rule of NITE regulation.

    Attributes
    ----------
    rows, primed, both
        All rows; primed by the published rule; of these called NITE.
    above_score, called, fitted
        Genes with a score above the published cut-off; called by the calibrated test; with models.
    """

    rows: int
    primed: int
    both: int
    above_score: int
    called: int
    fitted: int


def primed_counts(found: RegulationOutput, primed: pd.DataFrame) -> PrimedCounts:
    """Count the primed genes, and the genes that pass the published cut-off or are called NITE."""
    is_primed = primed["class"] == PRIMED
    return PrimedCounts(
        rows=len(primed),
        primed=int(is_primed.sum()),
        both=int((is_primed & primed["nite"].astype(bool)).sum()),
        above_score=int((found.nite_score[found.ok] > found.params.primed_nite).sum()),
        called=int(found.called[found.ok].sum()),
        fitted=int(found.ok.sum()),
    )


def terminal_tests(found: RegulationOutput, primed: pd.DataFrame) -> pd.DataFrame:
    """Test NITE scores of genes terminal in one lineage against all other fitted genes."""
    names = np.array(found.genes, dtype=object)
    terminal = primed[primed["terminal"].astype(bool)]
    members = {
        f"terminal in {lineage}": np.isin(names, part["gene"].to_numpy())
        for lineage, part in terminal.groupby("lineage")
    }
    return against_rest(found.nite_score, members, quantity="NITE score of terminal genes")
