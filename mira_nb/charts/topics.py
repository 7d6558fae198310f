"""Charts of fitted topic models. DataFrames in, Altair charts out."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from .theme import CATEGORICAL, HIGHLIGHT, MUTED, SEQUENTIAL, diverging, topic_colors

N_BINS = 20
CURVES = {"elbo": "training", "held_out_elbo": "held out"}


def training_curves(history: pd.DataFrame) -> alt.VConcatChart:
    """Draw the ELBO per cell by epoch on training and held-out cells, and below it the schedules.

    Parameters
    ----------
    history
        Columns epoch, elbo, held_out_elbo, kl_weight, learning_rate.
    """
    long = history[["epoch", *CURVES]].rename(columns=CURVES)
    long = long.melt("epoch", var_name="cells", value_name="elbo").dropna()
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"))
    curves = (
        alt.Chart(long)
        .mark_line(point=alt.OverlayMarkDef(size=12))
        .encode(
            x=x,
            y=alt.Y("elbo:Q", title="ELBO (nats per cell)", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "cells:N",
                title="cells",
                scale=alt.Scale(domain=list(CURVES.values()), range=[CATEGORICAL[0], HIGHLIGHT]),
            ),
            tooltip=["epoch:Q", "cells:N", alt.Tooltip("elbo:Q", format=".1f")],
        )
        .properties(width=520, height=240)
    )
    schedule = alt.Chart(history[["epoch", "kl_weight", "learning_rate"]]).encode(x=x)
    rate = schedule.mark_line(color=CATEGORICAL[2]).encode(
        y=alt.Y("learning_rate:Q", title="learning rate", axis=alt.Axis(format=".1e"))
    )
    weight = schedule.mark_line(color=MUTED, strokeDash=[4, 3]).encode(
        y=alt.Y("kl_weight:Q", title="KL weight", scale=alt.Scale(domain=[0, 1]))
    )
    return alt.vconcat(
        curves, alt.hconcat(rate.properties(width=230, height=90), weight.properties(width=230, height=90))
    )


def share_table(topics: pd.DataFrame) -> pd.DataFrame:
    """Count cells by topic and proportion: topic, low, high (bounds of the proportion), n_cells, percent."""
    edges = np.linspace(0, 1, N_BINS + 1)
    parts = []
    for name in topics.columns:
        counts, _ = np.histogram(topics[name], bins=edges)
        parts.append(
            pd.DataFrame(
                {
                    "topic": name,
                    "low": edges[:-1],
                    "high": edges[1:],
                    "n_cells": counts,
                    "percent": 100 * counts / max(len(topics), 1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def topic_shares(topics: pd.DataFrame) -> alt.HConcatChart:
    """Draw the distribution of each topic's proportion over the cells, and its mean.

    Parameters
    ----------
    topics
        (cells, topics) named proportions.
    """
    order = list(topics.columns)
    table = share_table(topics)
    table = table[table["n_cells"] > 0]
    y = alt.Y("topic:N", title="topic", sort=order)
    tiles = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("low:Q", title="proportion of the topic per cell", scale=alt.Scale(domain=[0, 1])),
            x2="high:Q",
            y=y,
            color=alt.Color("n_cells:Q", title="cells", scale=alt.Scale(scheme=SEQUENTIAL, type="log")),
            tooltip=["topic:N", alt.Tooltip("low:Q", format=".2f"), alt.Tooltip("high:Q", format=".2f"), "n_cells:Q"],
        )
        .properties(width=420, height={"step": 18})
    )
    means = pd.DataFrame({"topic": order, "mean_proportion": topics.mean().to_numpy()})
    colors = topic_colors(order)
    bars = (
        alt.Chart(means)
        .mark_bar()
        .encode(
            x=alt.X("mean_proportion:Q", title="mean proportion"),
            y=alt.Y("topic:N", title=None, sort=order, axis=alt.Axis(labels=False, ticks=False)),
            color=alt.Color("topic:N", legend=None, scale=alt.Scale(domain=order, range=[colors[n] for n in order])),
            tooltip=["topic:N", alt.Tooltip("mean_proportion:Q", format=".3f")],
        )
        .properties(width=130, height={"step": 18})
    )
    return alt.hconcat(tiles, bars).resolve_scale(color="independent")


def effective_topics(effective: Sequence[float] | np.ndarray) -> alt.Chart:
    """Draw a histogram of the effective number of topics per cell, exp(entropy of its composition)."""
    values = np.asarray(effective, float)
    counts, edges = np.histogram(values, bins=30)
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n_cells": counts})
    return (
        alt.Chart(table)
        .mark_bar(color=CATEGORICAL[0], opacity=0.85)
        .encode(
            x=alt.X("low:Q", title="effective number of topics per cell", bin="binned", scale=alt.Scale(zero=False)),
            x2="high:Q",
            y=alt.Y("n_cells:Q", title="cells"),
            tooltip=[alt.Tooltip("low:Q", format=".2f"), alt.Tooltip("high:Q", format=".2f"), "n_cells:Q"],
        )
        .properties(width=520, height=180)
    )


def redundancy_heatmap(correlation: pd.DataFrame) -> alt.Chart:
    """Draw the correlation of activations between topics (square table in)."""
    order = list(correlation.columns)
    long = correlation.rename_axis("first").reset_index().melt("first", var_name="second", value_name="correlation")
    return (
        alt.Chart(long)
        .mark_rect()
        .encode(
            x=alt.X("second:N", title="topic", sort=order, axis=alt.Axis(labelAngle=-45)),
            y=alt.Y("first:N", title="topic", sort=order),
            color=alt.Color("correlation:Q", title="Pearson r", scale=alt.Scale(**diverging(1))),
            tooltip=["first:N", "second:N", alt.Tooltip("correlation:Q", format=".2f")],
        )
        .properties(width={"step": 20}, height={"step": 20})
    )


def top_feature_bars(table: pd.DataFrame, *, n_top: int = 20) -> alt.Chart:
    """Draw the highest activations of one topic, chosen in a menu.

    Parameters
    ----------
    table
        Columns topic, feature, activation, rank.
    n_top
        Features per topic.
    """
    shown = table[table["rank"] <= n_top]
    names = list(dict.fromkeys(shown["topic"]))
    menu = alt.binding_select(options=names, name="topic ")
    chosen = alt.param(name="topic_menu", value=names[0], bind=menu)
    colors = topic_colors(names)
    return (
        alt.Chart(shown)
        .mark_bar()
        .encode(
            x=alt.X("activation:Q", title="activation (standard deviations)"),
            y=alt.Y("feature:N", title=None, sort=alt.EncodingSortField("rank", order="ascending")),
            color=alt.Color("topic:N", legend=None, scale=alt.Scale(domain=names, range=[colors[n] for n in names])),
            tooltip=["topic:N", "feature:N", alt.Tooltip("activation:Q", format=".2f"), "rank:Q"],
        )
        .add_params(chosen)
        .transform_filter("datum.topic == topic_menu")
        .properties(width=420, height={"step": 16})
    )
