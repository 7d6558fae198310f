"""Charts of gene-set enrichment. DataFrames in, Altair charts out."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from .theme import MUTED, SEQUENTIAL, category_colors, natural_sort

MENU = "topic"
MAX_LABEL = 60


def _topic_menu(topics: list[str]) -> alt.Parameter:
    return alt.param(name=MENU, value=topics[0], bind=alt.binding_select(options=topics, name="Topic "))


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def term_bars(table: pd.DataFrame, *, n_terms: int = 12, level: float = 0.05) -> alt.LayerChart:
    """Draw the best terms of one topic, chosen in a menu, as bars; the dashed line is the false discovery rate `level`.

    Parameters
    ----------
    table
        Columns topic, term, ontology, adj_pvalue, odds_ratio, overlap, genes, sorted by p value within a topic.
    """
    topics = natural_sort(table["topic"].unique())
    best = table.groupby("topic", sort=False).head(n_terms)
    part = best[["topic", "term", "ontology", "adj_pvalue", "odds_ratio", "overlap"]].copy()
    part["label"] = part["term"].map(_shorten)
    part["significance"] = -np.log10(np.maximum(part["adj_pvalue"].to_numpy(float), 1e-300))
    part["odds_ratio"] = part["odds_ratio"].replace([np.inf, -np.inf], np.nan)
    part["rank"] = part.groupby("topic").cumcount()
    part["genes"] = best["genes"].map(lambda text: ", ".join(str(text).split(";")[:12]))
    ontologies = natural_sort(part["ontology"].unique())
    colors = category_colors(ontologies)
    bars = (
        alt.Chart(part)
        .transform_filter(f"datum.topic === {MENU}")
        .mark_bar()
        .encode(
            x=alt.X("significance:Q", title="-log10 adjusted p value"),
            y=alt.Y("label:N", title=None, sort=alt.SortField("rank"), axis=alt.Axis(labelLimit=300)),
            color=alt.Color(
                "ontology:N", title="collection", scale=alt.Scale(domain=ontologies, range=list(colors.values()))
            ),
            tooltip=[
                "term:N",
                alt.Tooltip("ontology:N", title="collection"),
                alt.Tooltip("adj_pvalue:Q", format=".3g", title="adjusted p"),
                alt.Tooltip("odds_ratio:Q", format=".2f", title="odds ratio"),
                "overlap:N",
                "genes:N",
            ],
        )
        .add_params(_topic_menu(topics))
    )
    line = pd.DataFrame({"level": [-np.log10(level)]})
    rule = alt.Chart(line).mark_rule(strokeDash=[4, 3], color=MUTED).encode(x="level:Q")
    return alt.layer(bars, rule).properties(width=420, height={"step": 22})


def term_dots(table: pd.DataFrame, *, n_terms: int = 3, max_terms: int = 60, level: float = 0.05) -> alt.Chart:
    """Draw a dot plot of topics against the best terms of each topic: colour significance, size odds ratio.

    Only terms below the false discovery rate `level` in some topic are shown.
    """
    topics = natural_sort(table["topic"].unique())
    significant = table[table["adj_pvalue"] < level]
    best = significant.groupby("topic", sort=False).head(n_terms)
    keys = list(dict.fromkeys(zip(best["term"], best["ontology"], strict=True)))[:max_terms]
    chosen = set(keys)
    keep = [key in chosen for key in zip(table["term"], table["ontology"], strict=True)]
    part = table[keep][["topic", "term", "ontology", "adj_pvalue", "odds_ratio", "overlap"]].copy()
    part["label"] = part["term"].map(_shorten)
    part["significance"] = -np.log10(np.maximum(part["adj_pvalue"].to_numpy(float), 1e-300))
    finite = part["odds_ratio"].replace([np.inf, -np.inf], np.nan)
    part["odds_ratio"] = finite.fillna(finite.max() if finite.notna().any() else 1.0)
    order = [_shorten(term) for term, _ in keys]
    return (
        alt.Chart(part)
        .mark_circle(stroke=MUTED, strokeWidth=0.5, opacity=1)
        .encode(
            x=alt.X("topic:N", sort=topics, title="expression topic", axis=alt.Axis(labelAngle=0, labelOverlap=False)),
            y=alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelLimit=300)),
            size=alt.Size("odds_ratio:Q", title="odds ratio", scale=alt.Scale(type="sqrt", range=[10, 260])),
            color=alt.Color("significance:Q", title="-log10 adj. p", scale=alt.Scale(scheme=SEQUENTIAL)),
            tooltip=[
                "topic:N",
                "term:N",
                alt.Tooltip("adj_pvalue:Q", format=".3g", title="adjusted p"),
                alt.Tooltip("odds_ratio:Q", format=".2f"),
                "overlap:N",
            ],
        )
        .properties(width=min(max(28 * len(topics), 400), 520), height={"step": 20})
    )
