"""Figures of the stage drivers."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.basic import Channel
from mira_nb.charts.drivers import driver_bars, two_set_scatter
from mira_nb.charts.groups import by_group
from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

from .compute import DriversOutput
from .primed import LineageSets
from .targets import SAME_GENES, compared_queries, same_programme, target_comparison

TEXTS = Texts(__package__)


def figures(found: DriversOutput) -> list[Figure]:
    """Return the figures: bars of the best factors, two gene sets, NITE scores of two factors' targets."""
    if not len(found.table):
        return []
    pair = compared_queries(found)
    return [_bars(found), *_two_sets(found, pair), *_branch_sets(found, drawn=set(pair)), *_target_nite(found)]


def _bars(found: DriversOutput) -> Figure:
    least = found.params.min_effect if found.n_decoys else None
    return TEXTS.figure(
        "driver_bars",
        driver_bars(found.table, least=least),
        n_sets=found.table["query"].nunique(),
        n_tests=len(found.table),
        n_decoys=found.n_decoys,
        level=found.params.level,
        least=found.params.min_effect,
    )


def _two_sets(found: DriversOutput, pair: list[str]) -> list[Figure]:
    """Return the scatter of the two sets chosen; empty where fewer than two programmes were tested."""
    return [_scatter(found, (pair[0], pair[1]), "two_sets")] if len(pair) == 2 else []


def _branch_sets(found: DriversOutput, *, drawn: set[str]) -> list[Figure]:
    """Return, per branch, the scatters of primed and of not primed genes of its lineages (Extended Data Fig. 5f).

    The pair that is already `drawn` is left out. Names count the branches that have a figure: small ones have none.
    """
    tested = set(found.table["query"])
    branches: dict[str, list[LineageSets]] = {}
    for item in found.lineages:
        branches.setdefault(item.branch, []).append(item)
    out: list[Figure] = []
    number = 1
    for items in branches.values():
        before = len(out)
        for kind, name in enumerate(("primed_sets", "not_primed_sets")):
            pair = [item.names[kind] for item in items if item.names[kind] in tested]
            if len(pair) == 2 and set(pair) != drawn:
                out.append(_scatter(found, (pair[0], pair[1]), f"{name}_{number}"))
        number += len(out) > before
    return out


def _scatter(found: DriversOutput, pair: tuple[str, str], name: str) -> Figure:
    """Draw the driver tests of one gene set against those of another."""
    first, second = (found.table[found.table["query"] == name].set_index("label") for name in pair)
    second = second.loc[first.index]
    frame = pd.DataFrame(
        {
            "label": first.index,
            "x": -first["log10_pvalue"].to_numpy(float),
            "y": -second["log10_pvalue"].to_numpy(float),
            "x_called": first["called"].to_numpy(bool),
            "y_called": second["called"].to_numpy(bool),
        }
    )
    return TEXTS.figure(
        "two_sets",
        two_set_scatter(frame, first=pair[0], second=pair[1]),
        name=name,
        first=pair[0],
        second=pair[1],
        n_factors=len(frame),
        n_first=first["n_query"].iloc[0],
        n_second=second["n_query"].iloc[0],
        same={query: list(same_programme(found, query)) for query in pair},
        least=SAME_GENES,
    )


def _target_nite(found: DriversOutput) -> list[Figure]:
    """Return the boxes of Extended Data Fig. 13d; empty without two factors that have targets of their own."""
    frame, row = target_comparison(found)
    if not len(row):
        return []
    first, second = str(row["group_1"].iloc[0]), str(row["group_2"].iloc[0])
    p, effect = float(row["pvalue"].iloc[0]), float(row["effect_size"].iloc[0])
    chart = by_group(
        frame,
        value=Channel("score", "NITE score (log10 of 1 + score)"),
        group=Channel("factor", order=[first, second]),
        brackets=pd.DataFrame({"group_1": [first], "group_2": [second], "label": [f"p = {p:.2g}"]}),
    )
    return [
        TEXTS.figure(
            "target_nite",
            chart,
            first=first,
            second=second,
            n_targets=found.params.n_targets,
            pvalue=p,
            effect_size=effect,
        )
    ]
