"""Gene sets of the branches: genes primed in a lineage, and those that are not (Extended Data Fig. 5f)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.core.regulation.deletion import driver_test
from mira_nb.keys import PRIMED_GENES, RNA
from mira_nb.typing import Floats

from .matched import add_decoy_test

if TYPE_CHECKING:
    from mudata import MuData

    from .params import DriversParams

PRIMED_SOURCE = "genes primed at a branch"
OTHER_SOURCE = "genes of a lineage that are not primed"
CONTRAST_COLUMNS = (
    "query", "background", "factor", "motif_id", "statistic", "pvalue", "adj_pvalue", "effect_size", "called",
    "n_query", "n_background", "log10_pvalue", "matched_pvalue", "excess_effect", "excess_low", "excess_high",
)  # fmt: skip


@dataclass(frozen=True)
class LineageSets:
    """Genes of one lineage of a branch.

    Attributes
    ----------
    branch
        Name of the branch.
    names
        Names of the two sets: primed genes, and the lineage's genes that are not primed.
    primed, other
        (G,) masks of these.
    """

    branch: str
    names: tuple[str, str]
    primed: NDArray[np.bool_]
    other: NDArray[np.bool_]


def lineage_sets(data: MuData, genes: list[str], scored: NDArray[np.bool_]) -> list[LineageSets]:
    """Return the sets of every lineage of every branch as the stage regulation left them; none without a branch.

    Parameters
    ----------
    genes
        Names of the genes, (G,).
    scored
        (G,) genes with association scores; others are left out.
    """
    stored = data.mod[RNA].uns.get(PRIMED_GENES)
    if stored is None or not len(stored["gene"]):
        return []
    table = pd.DataFrame(
        {name: np.asarray(stored[name]).astype(str) for name in ("branch", "lineage", "gene", "class")}
    )
    names = np.array(genes, dtype=object)
    branches = {str(name): int(n) for name, n in table.groupby("lineage")["branch"].nunique().items()}
    out = []
    for (branch, lineage), rows in table.groupby(["branch", "lineage"], sort=False):
        where = f"{lineage} at {branch}" if branches[str(lineage)] > 1 else str(lineage)
        primed, other = (
            np.isin(names, rows.loc[rows["class"] == kind, "gene"].to_numpy()) & scored
            for kind in ("primed", "not primed")
        )
        if primed.any() or other.any():
            out.append(LineageSets(str(branch), (f"primed in {where}", f"not primed in {where}"), primed, other))
    return out


def add_sets(lineages: list[LineageSets], queries: dict[str, NDArray[np.bool_]], sources: dict[str, str]) -> None:
    """Add the two sets of every lineage to the gene sets that are tested."""
    for item in lineages:
        for name, mask, source in zip(
            item.names, (item.primed, item.other), (PRIMED_SOURCE, OTHER_SOURCE), strict=True
        ):
            queries[name], sources[name] = mask, source


def contrast_tests(
    sets: list[LineageSets],
    scores: Floats,
    decoy_scores: Floats,
    factors: pd.DataFrame,
    designs: tuple[Floats, Floats],
    params: DriversParams,
    *,
    least: int,
) -> pd.DataFrame:
    """Test per lineage whether a factor is associated with primed genes more than with those that are not primed.

    Parameters
    ----------
    sets
        The lineages.
    scores, decoy_scores
        (G, H) and (G, D) association scores.
    factors
        One row per factor: name, id, label, family.
    designs
        Of factors and decoys, see :func:`mira_nb.stages.drivers.matched.add_decoy_test`.
    least
        Genes that both sets of a lineage need.

    Returns
    -------
    One row per lineage and factor, best first; adjusted over the factors of a lineage. Columns:
    :data:`CONTRAST_COLUMNS`.
    """
    parts = []
    for item in sets:
        if min(item.primed.sum(), item.other.sum()) < least:
            continue
        inside = item.primed | item.other
        test = driver_test(scores, item.primed, background=item.other)
        test.insert(0, "query", item.names[0])
        test.insert(1, "background", item.names[1])
        test.insert(2, "factor", factors["name"].to_numpy())
        test.insert(3, "motif_id", factors["id"].to_numpy())
        test["family"], test["label"] = factors["family"].to_numpy(), factors["label"].to_numpy()
        query = item.primed[inside][None, :]
        parts.append(add_decoy_test([test], scores[inside], decoy_scores[inside], query, designs, params))
    if not parts:
        return pd.DataFrame(columns=list(CONTRAST_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(CONTRAST_COLUMNS)]
