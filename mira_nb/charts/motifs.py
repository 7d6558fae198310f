"""Charts of motif enrichment and of motif families. DataFrames in, Altair charts out."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from .labels import SPREAD
from .theme import CATEGORICAL, HIGHLIGHT, MUTED, SEQUENTIAL, natural_sort

MENU = "topic"
FAMILY = "family"
X_MENU, Y_MENU = "topic_x", "topic_y"
EXPRESSED = ("gene in the data", "gene not in the data")


def motif_bars(table: pd.DataFrame, *, n_motifs: int = 20) -> alt.HConcatChart:
    """Draw the best motifs of one topic, chosen in a menu: significance, and odds ratio with its interval beside it.

    Parameters
    ----------
    table
        Columns topic, label, log10_adj_pvalue, odds_ratio, odds_low, odds_high, n_hits_top, n_hits, in_expr; sorted by
        p value within a topic.
    """
    topics = natural_sort(table["topic"].unique())
    part = table.groupby("topic", sort=False).head(n_motifs).copy()
    part["rank"] = part.groupby("topic").cumcount()
    part["significance"] = -part["log10_adj_pvalue"]
    part["expressed"] = np.where(part["in_expr"], *EXPRESSED)
    for name in ("odds_ratio", "odds_low", "odds_high"):
        part[name] = part[name].replace([np.inf, -np.inf], np.nan)
    keep = ["topic", "label", "family", "rank", "significance", "expressed", "odds_ratio", "odds_low", "odds_high"]
    part = part[[*keep, "n_hits_top", "n_hits"]]
    # opens on the topic with the clearest motif
    first = str(part["topic"].iloc[int(part["significance"].fillna(-1.0).to_numpy().argmax())])
    menu = alt.param(name=MENU, value=first, bind=alt.binding_select(options=topics, name="Topic "))
    tips = [
        alt.Tooltip("label:N", title="motif"),
        alt.Tooltip("family:N"),
        alt.Tooltip("significance:Q", format=".1f", title="-log10 adjusted p"),
        alt.Tooltip("odds_ratio:Q", format=".2f", title="odds ratio"),
        alt.Tooltip("n_hits_top:Q", format=",", title="top peaks with a hit"),
        alt.Tooltip("n_hits:Q", format=",", title="all peaks with a hit"),
    ]
    y = alt.Y("label:N", sort=alt.SortField("rank"), title=None)
    base = alt.Chart(part).transform_filter(f"datum.topic === {MENU}")
    colors = alt.Scale(domain=list(EXPRESSED), range=[CATEGORICAL[0], MUTED])
    bars = base.mark_bar().encode(
        x=alt.X("significance:Q", title="-log10 adjusted p value"),
        y=y,
        color=alt.Color("expressed:N", title=None, scale=colors, legend=alt.Legend(orient="bottom")),
        tooltip=tips,
    )
    bare = alt.Y("label:N", sort=alt.SortField("rank"), title=None, axis=None)
    x = alt.X("odds_low:Q", title="odds ratio, 95 % interval", scale=alt.Scale(zero=False))
    spans = base.mark_rule(color=MUTED).encode(x=x, x2="odds_high:Q", y=bare)
    dots = base.mark_circle(color=HIGHLIGHT, size=36, opacity=1).encode(x="odds_ratio:Q", y=bare, tooltip=tips)
    step = {"step": 18}
    return alt.hconcat(
        bars.properties(width=320, height=step), alt.layer(spans, dots).properties(width=180, height=step)
    ).add_params(menu)


def topic_scatter(
    wide: pd.DataFrame, *, n_labels: int = 14, least: float = 0.0
) -> tuple[alt.LayerChart, dict[str, pd.DataFrame]]:
    """Draw the motifs of one topic against those of another; two menus choose the topics (Extended Data Fig. 5b).

    Parameters
    ----------
    wide
        One row per motif: ``label`` and one column per topic with -log10 p.
    least
        The smallest -log10 p that is significant: motifs below it in both topics carry no name.
    """
    topics = natural_sort(name for name in wide.columns if name != "label")
    strongest = sorted(topics, key=lambda name: -float(wide[name].to_numpy(dtype=float).max()))
    first, second = strongest[0], strongest[min(1, len(topics) - 1)]
    menus = [
        alt.param(name=name, value=value, bind=alt.binding_select(options=topics, name=text))
        for name, value, text in ((X_MENU, first, "Horizontal "), (Y_MENU, second, "Vertical "))
    ]
    base = (
        alt.Chart(alt.NamedData("motifs"))
        .transform_calculate(x=f"datum[{X_MENU}]", y=f"datum[{Y_MENU}]")
        .transform_calculate(best="max(datum.x, datum.y)")
        .transform_window(rank="rank()", sort=[alt.SortField("best", order="descending")])
        .encode(x=alt.X("x:Q", title="-log10 p, horizontal topic"), y=alt.Y("y:Q", title="-log10 p, vertical topic"))
    )
    points = base.mark_circle(size=40, opacity=0.7, color=CATEGORICAL[0]).encode(
        tooltip=[
            alt.Tooltip("label:N", title="motif"),
            alt.Tooltip("x:Q", format=".1f", title="horizontal"),
            alt.Tooltip("y:Q", format=".1f", title="vertical"),
        ],
    )
    names = (
        base.transform_filter(f"datum.rank <= {n_labels} && datum.best >= {least:.6g}")
        .mark_text(style=SPREAD, align="left", dx=6, fontSize=10, color=MUTED)
        .encode(text="label:N")
    )
    chart = alt.layer(points, names).add_params(*menus).properties(width=460, height=420)
    return chart, {"motifs": wide}


def family_dots(table: pd.DataFrame) -> alt.LayerChart:
    """Draw the members of one motif family, chosen in a menu: correlation with the motif score, size expression.

    Parameters
    ----------
    table
        Columns family, label, gene, correlation, mean_expression, share_expressing, adj_pvalue, topic (the motif's
        best) and significance (-log10 adjusted p there).
    """
    families = list(dict.fromkeys(table["family"]))
    menu = alt.param(name=FAMILY, value=families[0], bind=alt.binding_select(options=families, name="Family "))
    part = table.assign(member=table["gene"] + " (" + table["label"] + ")")
    base = alt.Chart(part).transform_filter(f"datum.family === {FAMILY}")
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x="zero:Q")
    dots = base.mark_circle(opacity=0.95, stroke=MUTED, strokeWidth=0.5).encode(
        x=alt.X("correlation:Q", title="Spearman correlation of expression with motif score"),
        y=alt.Y("member:N", title=None, sort=alt.EncodingSortField("correlation", order="descending")),
        size=alt.Size("mean_expression:Q", title="mean log expression", scale=alt.Scale(range=[20, 300])),
        color=alt.Color("significance:Q", title="-log10 adj. p, best topic", scale=alt.Scale(scheme=SEQUENTIAL)),
        tooltip=[
            "gene:N",
            alt.Tooltip("label:N", title="motif"),
            alt.Tooltip("correlation:Q", format=".3f"),
            alt.Tooltip("adj_pvalue:Q", format=".2g", title="adjusted p of the correlation"),
            alt.Tooltip("mean_expression:Q", format=".3f"),
            alt.Tooltip("share_expressing:Q", format=".1%", title="cells expressing"),
            alt.Tooltip("topic:N", title="best topic"),
        ],
    )
    return alt.layer(zero, dots.add_params(menu)).properties(width=380, height={"step": 22})
