"""Tests on NITE scores: cells by group, topics by their top genes, genes primed at a branch or terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from natsort import natsorted, ns
from numpy.typing import NDArray

from mira_nb.core.statistics.rank_tests import benjamini_hochberg, rank_sum
from mira_nb.keys import (
    FATE_PROBABILITIES,
    LINEAGE_TREE,
    PSEUDOTIME,
    RNA,
    TOPIC_ACTIVATIONS,
)
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats

from .compute import RegulationOutput

TEXTS = Texts(__package__)

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


def apart(tests: pd.DataFrame, *, sign: int) -> list[str]:
    """Return the groups that a test sets above (`sign` 1) or below (-1) all others, the largest effect first."""
    effect = sign * tests["effect_size"].to_numpy(float)
    order = np.argsort(-effect, kind="stable")
    told = (effect > 0) & (tests["adj_pvalue"].to_numpy(float) < STAR_LEVEL)
    return [str(tests["group_1"].iloc[i]) for i in order if told[i]]


def nite_sides(tests: pd.DataFrame) -> str:
    """Return the sentence on the groups that the tests set apart from all others."""
    return TEXTS.text("nite_sides", higher=apart(tests, sign=1), lower=apart(tests, sign=-1))


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
