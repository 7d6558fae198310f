"""Tests on NITE scores: cells by group, topics by their top genes, genes primed at a branch or terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from natsort import natsorted, ns
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.statistics.rank_tests import benjamini_hochberg, log2_ratio_of_log_means, rank_sum
from mira_nb.keys import (
    FATE_PROBABILITIES,
    LINEAGE_STATE,
    LINEAGE_TREE,
    PSEUDOTIME,
    RNA,
    TOPIC_ACTIVATIONS,
)
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.typing import Floats, Ints

from .compute import RegulationOutput

COLUMNS = (
    "quantity", "group_1", "group_2", "n_1", "n_2", "median_1", "median_2", "effect_size", "pvalue", "adj_pvalue",
)  # fmt: skip
REST = "all others"

STAR_LEVEL = 0.05
"""Adjusted p-value below which figures mark a group with a star."""


def star(adjusted: float) -> str:
    """Return the star that follows the name of a group whose test is significant."""
    return " *" if adjusted < STAR_LEVEL else ""


def log_score(scores: NDArray) -> Floats:
    """Return log10(1 + NITE score), scores below 0 as 0."""
    return np.asarray(np.log10(1 + np.maximum(scores, 0)))


def against_rest(values: NDArray, members: Mapping[str, NDArray[np.bool_]], *, quantity: str) -> pd.DataFrame:
    """Test each group against all others (two-sided Wilcoxon rank-sum), Benjamini-Hochberg over the groups.

    Groups with fewer than two finite values on a side are left out. Columns: :data:`COLUMNS`.
    """
    rows: list[dict[str, Any]] = []
    finite = np.isfinite(values)
    for name, mask in members.items():
        first, second = values[mask & finite], values[~mask & finite]
        if len(first) < 2 or len(second) < 2:
            continue
        test = rank_sum(first, second)
        rows.append(
            {
                "quantity": quantity, "group_1": name, "group_2": REST,
                "n_1": int(test.n_1[0]), "n_2": int(test.n_2[0]),
                "median_1": float(test.median_1[0]), "median_2": float(test.median_2[0]),
                "effect_size": float(test.effect_size[0]), "pvalue": float(test.pvalue[0]),
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    frame["adj_pvalue"] = benjamini_hochberg(frame["pvalue"].to_numpy(float))
    return frame


def cell_tests(found: RegulationOutput) -> pd.DataFrame:
    """Test NITE scores of the cells of each group against all other cells."""
    _, labels = found.groups
    members = {name: (labels == name).to_numpy() for name in natsorted(labels.unique(), alg=ns.IGNORECASE)}
    return against_rest(found.cell_score, members, quantity="NITE score of cells")


def topic_genes(found: RegulationOutput) -> dict[str, NDArray[np.bool_]]:
    """Return masks over the genes: top genes of each expression topic among those with models."""
    activations = np.asarray(found.data.mod[RNA].varm[TOPIC_ACTIVATIONS], dtype=np.float64)[found.position]
    out = {}
    for t, name in enumerate(topic_frame(found.data, RNA).columns):
        column = np.where(np.isfinite(activations[:, t]), activations[:, t], -np.inf)
        n_top = min(found.params.n_top, max(len(column) // 3, 1))
        mask = np.zeros(len(column), dtype=bool)
        mask[np.argsort(-column, kind="stable")[:n_top]] = True
        out[str(name)] = mask & found.ok
    return out


def topic_tests(found: RegulationOutput) -> pd.DataFrame:
    """Test NITE scores of each topic's top genes against those of all other genes."""
    return against_rest(found.nite_score, topic_genes(found), quantity="NITE score of top genes")


def lineage_cells(found: RegulationOutput) -> dict[str, NDArray[np.bool_]]:
    """Return masks of each lineage's cells; empty without a trajectory.

    Cells belong to a lineage when they are at least as likely to reach its end as the start cell of the trajectory;
    where none is stored (results of other programs), as the earliest cell.
    """
    fates = found.data.obsm.get(FATE_PROBABILITIES)
    if fates is None or PSEUDOTIME not in found.data.obs:
        return {}
    values = np.asarray(fates, dtype=np.float64)
    names = (
        [str(x) for x in fates.columns] if isinstance(fates, pd.DataFrame) else [str(i) for i in range(values.shape[1])]
    )
    stored = found.data.uns.get(LINEAGE_TREE)
    named = str(stored.get("start_cell", "")) if isinstance(stored, Mapping) else ""
    start = int(found.data.obs_names.get_indexer([named])[0])
    if start < 0:
        start = int(np.nanargmin(found.data.obs[PSEUDOTIME].to_numpy(float)))
    return {name: values[:, j] >= values[start, j] for j, name in enumerate(names)}


def lineage_nodes(found: RegulationOutput) -> pd.DataFrame | None:
    """Return the lineage tree, parents before children: node, parent, branch_time; None without a trajectory."""
    stored = found.data.uns.get(LINEAGE_TREE)
    if stored is None or LINEAGE_STATE not in found.data.obs or PSEUDOTIME not in found.data.obs:
        return None
    nodes = stored.get("nodes", stored) if isinstance(stored, Mapping) else stored
    frame = pd.DataFrame({name: np.asarray(nodes[name]) for name in ("node", "parent", "branch_time")})
    return frame.assign(node=frame["node"].astype(str), parent=frame["parent"].astype(str))


def _state_before(tree: pd.DataFrame, node: str, state: NDArray[Any]) -> str:
    """Return the branch's own state, or its nearest ancestor with cells where two branches coincide in pseudotime."""
    parent_of = dict(zip(tree["node"], tree["parent"], strict=True))
    while not (state == node).any() and parent_of.get(node, "") in parent_of:
        node = parent_of[node]
    return node


def _higher(x: Any, y: Any, found: RegulationOutput) -> NDArray[np.bool_]:
    """Return which genes are higher in the first population: adjusted p-value and log2 fold change."""
    if x.shape[0] < 2 or y.shape[0] < 2:
        return np.zeros(x.shape[1], dtype=bool)
    adjusted = benjamini_hochberg(rank_sum(x, y).pvalue)
    change = log2_ratio_of_log_means(x, y)
    return np.asarray((adjusted < found.params.de_level) & (change > found.params.fold_change))


def _branch_cells(found: RegulationOutput, inside: NDArray[np.bool_], branch_time: float) -> Ints:
    """Return the cells at the branch: top cells of the branch topic, else those nearest to the branch time."""
    n = found.params.branch_cells
    if found.params.branch_topic:
        topics = topic_frame(found.data, "atac")
        if found.params.branch_topic in topics:
            return np.argsort(-topics[found.params.branch_topic].to_numpy(), kind="stable")[:n]
    time = found.data.obs[PSEUDOTIME].to_numpy(float)
    away = np.where(inside & np.isfinite(time), np.abs(time - branch_time), np.inf)
    return np.argsort(away, kind="stable")[: min(n, int(np.isfinite(away).sum()))]


def primed_genes(found: RegulationOutput) -> pd.DataFrame:
    """Classify genes of sister lineages at their branch (Extended Methods, Skin poised gene identification).

    For every branch with two end states: genes higher in one end state than in the other; ``at branch`` when not
    higher in an end state than in the branch's own cells; else ``primed`` when the mean chromatin differential of the
    branch cells and the NITE score are above their thresholds, else ``not primed``. ``nite`` says whether the gene is
    called NITE by the calibrated test, beside the published cut-off of the score. ``terminal`` says that a gene is
    higher in its end state than in the branch's cells (those of its nearest ancestor where the branch has none of its
    own). Empty without a lineage tree.
    """
    columns = ["branch", "lineage", "gene", "class", "terminal", "differential", "nite_score", "nite", "n_branch_cells"]
    tree = lineage_nodes(found)
    if tree is None:
        return pd.DataFrame(columns=columns)
    counts = sparse.csr_matrix(found.data.mod[RNA].X, dtype=np.float64)
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    expression = sparse.csr_matrix(sparse.diags(1e4 / total) @ counts[:, found.position]).log1p()
    state = found.data.obs[LINEAGE_STATE].astype(str).to_numpy()
    parents = set(tree["parent"])
    rows = []
    for parent in tree["node"]:
        ends = [name for name in tree.loc[tree["parent"] == parent, "node"] if name not in parents]
        if len(ends) != 2:
            continue
        time = float(tree.loc[tree["node"] == parent, "branch_time"].iloc[0])
        inside = np.isin(state, [parent, *ends])
        cells = _branch_cells(found, inside, time)
        differential = found.differential[cells].astype(np.float64).mean(axis=0)
        before = expression[state == _state_before(tree, parent, state)]
        one, two = (expression[state == end] for end in ends)
        rises = [_higher(one, before, found), _higher(two, before, found)]
        at_branch = ~rises[0] & ~rises[1]
        for end, own, other, rise in ((ends[0], one, two, rises[0]), (ends[1], two, one, rises[1])):
            for g in np.flatnonzero(_higher(own, other, found) & found.ok):
                primed = (
                    differential[g] > found.params.primed_differential
                    and found.nite_score[g] > found.params.primed_nite
                )
                kind = "at branch" if at_branch[g] else ("primed" if primed else "not primed")
                facts = differential[g], found.nite_score[g], bool(found.called[g]), len(cells)
                rows.append((parent, end, found.genes[g], kind, bool(rise[g]), *facts))
    return pd.DataFrame(rows, columns=columns)


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
    is_primed = primed["class"] == "primed"
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
    members = {
        f"terminal in {lineage}": np.isin(names, part.loc[part["terminal"].astype(bool), "gene"].to_numpy())
        for lineage, part in primed.groupby("lineage")
    }
    return against_rest(found.nite_score, members, quantity="NITE score of terminal genes")
