"""Charts that compare representations and describe clusters. DataFrames in, Altair charts out."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from .basic import diagonal_order
from .theme import CATEGORICAL, MUTED, SEQUENTIAL, category_colors, diverging, natural_sort

SCORE_TITLES = {"neighbor_purity": "neighbour purity", "knn_accuracy": "kNN accuracy"}
MAX_ROWS = 2000


def score_chart(scores: pd.DataFrame) -> alt.HConcatChart:
    """Draw bars of neighbour purity and kNN accuracy of each representation, chance as a line.

    Parameters
    ----------
    scores
        Columns representation, neighbor_purity, chance_purity, knn_accuracy, majority.
    """
    order = list(scores["representation"])
    panels = []
    for i, (column, chance) in enumerate((("neighbor_purity", "chance_purity"), ("knn_accuracy", "majority"))):
        part = scores[["representation", column, chance]].rename(columns={column: "score", chance: "chance"})
        x = alt.X("score:Q", title=SCORE_TITLES[column], scale=alt.Scale(domain=[0, 1]))
        y = alt.Y("representation:N", title=None, sort=order, axis=alt.Axis(labels=i == 0, ticks=False))
        base = alt.Chart(part).encode(y=y)
        tips = [
            alt.Tooltip("representation:N"),
            alt.Tooltip("score:Q", format=".3f"),
            alt.Tooltip("chance:Q", format=".3f"),
        ]
        bars = base.mark_bar(color=CATEGORICAL[0], opacity=0.8, height={"band": 0.6}).encode(x=x, tooltip=tips)
        rule = alt.Chart(part.head(1)).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x="chance:Q")
        panels.append(alt.layer(bars, rule).properties(width=240, height={"step": 26}))
    return alt.hconcat(*panels)


def partner_heatmap(between: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> alt.LayerChart:
    """Draw a heat map of correlations from -1 to 1, the given pairs framed; rows and columns along the diagonal.

    Parameters
    ----------
    between
        Correlation of every expression topic (index) with every accessibility topic (columns).
    pairs
        Row and column of each frame.
    """
    shown = diagonal_order(between)
    long = shown.rename_axis("topic").reset_index().melt("topic", var_name="match", value_name="correlation")
    framed = set(pairs)
    long["pair"] = [(row, column) in framed for row, column in zip(long["topic"], long["match"], strict=True)]
    base = alt.Chart(long).encode(
        x=alt.X("match:N", title="accessibility topic", sort=list(shown.columns), axis=alt.Axis(labelAngle=-60)),
        y=alt.Y("topic:N", title="expression topic", sort=list(shown.index)),
    )
    tiles = base.mark_rect().encode(
        color=alt.Color("correlation:Q", title="correlation", scale=alt.Scale(**diverging(1))),
        tooltip=["topic:N", "match:N", alt.Tooltip("correlation:Q", format=".3f")],
    )
    frames = base.transform_filter("datum.pair").mark_rect(filled=False, stroke=MUTED, strokeWidth=2.5)
    cell = max(16, min(40, 360 // max(between.shape)))
    return alt.layer(tiles, frames).properties(width=cell * between.shape[1], height=cell * between.shape[0])


def composition_bars(table: pd.DataFrame, *, category: str) -> alt.Chart:
    """Draw the proportion of each category per cluster as stacked bars.

    Parameters
    ----------
    table
        Columns cluster, category, n_cells, fraction. Rare categories are pooled when the table is very long.
    category
        What the categories are called.
    """
    clusters = natural_sort(table["cluster"].astype(str).unique())
    names = natural_sort(table["category"].astype(str).unique())
    if len(table) > MAX_ROWS:
        kept = set(table.groupby("category")["n_cells"].sum().nlargest(max(MAX_ROWS // len(clusters) - 1, 1)).index)
        pooled = table.assign(category=table["category"].where(table["category"].isin(kept), "other"))
        table = pooled.groupby(["cluster", "category"], as_index=False)[["n_cells", "fraction"]].sum()
        names = natural_sort(table["category"].astype(str).unique())
    colors = category_colors(names)
    table = table.assign(rank=table["category"].astype(str).map({name: i for i, name in enumerate(names)}))
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("fraction:Q", title="fraction of the cluster's cells", scale=alt.Scale(domain=[0, 1], clamp=True)),
            y=alt.Y("cluster:N", sort=clusters, title="cluster"),
            color=alt.Color("category:N", title=category, scale=alt.Scale(domain=names, range=list(colors.values()))),
            order=alt.Order("rank:Q"),
            tooltip=[
                "cluster:N",
                alt.Tooltip("category:N", title=category),
                "n_cells:Q",
                alt.Tooltip("fraction:Q", format=".3f"),
            ],
        )
        .properties(width=460, height={"step": 20})
    )


def topic_heatmaps(means: Sequence[tuple[str, pd.DataFrame]]) -> alt.VConcatChart:
    """Draw the mean topic composition per cluster, one heatmap per modality.

    Parameters
    ----------
    means
        Pairs of heading and table (clusters x topics, mean proportions).
    """
    panels = []
    for heading, table in means:
        long = table.rename_axis("cluster").reset_index().melt("cluster", var_name="topic", value_name="mean")
        chart = (
            alt.Chart(long, title=heading)
            .mark_rect()
            .encode(
                x=alt.X("topic:N", title=None, sort=list(table.columns), axis=alt.Axis(labelAngle=0)),
                y=alt.Y("cluster:N", title="cluster", sort=natural_sort(map(str, table.index))),
                color=alt.Color("mean:Q", title="mean proportion", scale=alt.Scale(scheme=SEQUENTIAL)),
                tooltip=["cluster:N", "topic:N", alt.Tooltip("mean:Q", format=".3f")],
            )
            .properties(width=max(26 * table.shape[1], 120), height={"step": 18})
        )
        panels.append(chart)
    return alt.vconcat(*panels)
