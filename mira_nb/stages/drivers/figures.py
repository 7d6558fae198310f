"""Figures of the stage drivers."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.drivers import driver_bars, two_set_scatter
from mira_nb.charts.groups import by_group
from mira_nb.stages.result import Figure

from .compute import DriversOutput, compared_queries, target_comparison


def figures(found: DriversOutput) -> list[Figure]:
    """Bars of the best factors, two-set scatter, NITE of two factors' targets."""
    if not len(found.table):
        return []
    return [_bars(found), *_two_sets(found), *_target_nite(found)]


def _bars(found: DriversOutput) -> Figure:
    level = found.params.level
    return Figure(
        "driver_bars",
        "Best driver factors of each gene set",
        "The menu chooses the gene set. Bars: -log10 of the adjusted p value (one-sided Mann-Whitney test of "
        "association scores against all other genes with a LITE model, Benjamini-Hochberg over "
        f"{len(found.labels):,} factors); dashed: {level:g}; colour: effect size. Factors with nearly the same motif "
        "score alike: expression tells them apart.",
        chart=driver_bars(found.table, level=level),
        section="Drivers",
    )


def _two_sets(found: DriversOutput) -> list[Figure]:
    """Draw Extended Data Fig. 5f; nothing where fewer than two gene sets were tested."""
    pair, level = compared_queries(found), found.params.level
    if len(pair) != 2:
        return []
    first, second = (found.table[found.table["query"] == name].set_index("label") for name in pair)
    second = second.loc[first.index]
    frame = pd.DataFrame(
        {
            "label": first.index,
            "x": -first["log10_pvalue"].to_numpy(float),
            "y": -second["log10_pvalue"].to_numpy(float),
            "x_adj": first["adj_pvalue"].to_numpy(float),
            "y_adj": second["adj_pvalue"].to_numpy(float),
        }
    )
    return [
        Figure(
            "two_sets",
            f"Driver factors of {pair[0]} against {pair[1]}",
            f"One point a factor ({len(frame):,}); -log10 p of the driver tests with {int(first['n_query'].iloc[0]):,} "
            f"and {int(second['n_query'].iloc[0]):,} query genes. Coloured: adjusted p < {level:g} "
            "(Benjamini-Hochberg). Factors near an axis drive one set only.",
            chart=two_set_scatter(frame, first=pair[0], second=pair[1], level=level),
            section="Drivers",
        )
    ]


def _target_nite(found: DriversOutput) -> list[Figure]:
    """Draw Extended Data Fig. 13d; nothing where two factors with targets of their own are not there."""
    frame, row = target_comparison(found)
    if not len(row):
        return []
    first, second = str(row["group_1"].iloc[0]), str(row["group_2"].iloc[0])
    p, effect = float(row["pvalue"].iloc[0]), float(row["effect_size"].iloc[0])
    chart = by_group(
        frame,
        value="score",
        group="factor",
        value_title="NITE score (log10 of 1 + score)",
        order=[first, second],
        brackets=pd.DataFrame({"group_1": [first], "group_2": [second], "label": [f"p = {p:.2g}"]}),
    )
    return [
        Figure(
            "target_nite",
            f"NITE regulation of the targets of {first} and {second}",
            f"NITE score of the genes with the highest association scores (at most {found.params.n_targets} a factor, "
            f"genes of both left out; n below the boxes); two-sided Wilcoxon rank-sum test, p = {p:.2g}, effect size "
            f"{effect:.2f}. Lower: expression follows local chromatin, as expected of the targets of a pioneer factor.",
            chart=chart,
            section="Drivers",
        )
    ]
