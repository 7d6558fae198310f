"""Charts of driver factors: best factors of a query, two queries against each other."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .labels import SPREAD


def driver_bars(table: pd.DataFrame, *, n_factors: int = 15, least: float | None = None) -> alt.LayerChart:
    """Draw effects of the best factors of a gene set, with intervals and the least effect of a call.

    The menu opens on the gene set with most called drivers.

    `table`: columns ``query, label, motif_id, family, called, adj_pvalue, effect_size, excess_effect, excess_low,
    excess_high, factor_log2_fold, n_query, n_background``. Where excess_effect is missing (no decoys), effect_size is
    drawn without an interval.
    """
    best = table.groupby("query", sort=False).head(n_factors).copy()
    best["effect"] = best["excess_effect"].fillna(best["effect_size"])
    best["state"] = np.where(best["called"].astype(bool), "called", "not called")
    options = list(dict.fromkeys(best["query"]))
    richest = best.groupby("query", sort=False)["called"].sum().astype(int).idxmax()
    choose = alt.selection_point(
        name="choose_query",
        fields=["query"],
        value=[{"query": richest}],
        bind=alt.binding_select(options=options, name="Gene set "),
    )
    tips: list[Any] = ["label:N", "motif_id:N", "family:N"]
    names = ("adj_pvalue", "effect_size", "excess_effect", "excess_low", "excess_high", "factor_log2_fold")
    tips += [alt.Tooltip(f"{name}:Q", format=".3g") for name in names]
    # by a field: layers of different extent cannot share an order by x
    order = alt.EncodingSortField("effect", op="max", order="descending")
    base = alt.Chart(best).transform_filter(choose).encode(y=alt.Y("label:N", sort=order, title="Factor"))
    colors = alt.Scale(domain=["called", "not called"], range=[theme.CATEGORICAL[0], theme.MUTED])
    bars = base.mark_bar().encode(
        x=alt.X("effect:Q", title="Effect above decoys (rank-biserial)"),
        color=alt.Color("state:N", title="Driver", scale=colors),
        tooltip=[*tips, "n_query:Q", "n_background:Q"],
    )
    intervals = base.mark_rule().encode(x=alt.X("excess_low:Q"), x2="excess_high:Q")
    layers = [bars, intervals]
    if least is not None:
        layers.append(alt.Chart(pd.DataFrame({"x": [least]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q"))
    return alt.layer(*layers).add_params(choose).properties(width=440, height=18 * n_factors)


def two_set_scatter(frame: pd.DataFrame, *, first: str, second: str) -> alt.LayerChart:
    """Draw -log10 p of every factor in two queries, names at the strongest of the called ones.

    `frame`: ``label, x, y, x_called, y_called``.
    """
    frame = frame.copy()
    x, y = frame["x_called"].astype(bool), frame["y_called"].astype(bool)
    frame["driver of"] = np.select([x & y, x, y], ["both", first, second], default="neither")
    domain = ["both", first, second, "neither"]
    colors = [theme.CATEGORICAL[2], theme.CATEGORICAL[4], theme.CATEGORICAL[0], theme.MUTED]
    points = (
        alt.Chart(frame)
        .mark_circle(size=55, opacity=0.8)
        .encode(
            x=alt.X("x:Q", title=f"{first}: -log10 p"),
            y=alt.Y("y:Q", title=f"{second}: -log10 p"),
            color=alt.Color("driver of:N", title="Driver of", scale=alt.Scale(domain=domain, range=colors)),
            tooltip=["label:N", alt.Tooltip("x:Q", format=".2f"), alt.Tooltip("y:Q", format=".2f"), "driver of:N"],
        )
    )
    named = frame.assign(top=np.maximum(frame["x"], frame["y"]))[x | y].nlargest(14, "top")
    text = alt.Chart(named).mark_text(style=SPREAD, dy=-8, fontSize=11).encode(x="x:Q", y="y:Q", text="label:N")
    return alt.layer(points, text).properties(width=440, height=380)
