"""Charts of driver factors: best factors of a query, two queries against each other."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from . import theme


def driver_bars(table: pd.DataFrame, *, n_factors: int = 15, level: float = 0.05) -> alt.LayerChart:
    """Draw the best factors of the query chosen in a menu, by -log10 of the adjusted p value.

    `table`: columns ``query, label, motif_id, adj_pvalue, log10_pvalue, effect_size, n_query, n_background``.
    """
    best = table.groupby("query", sort=False).head(n_factors).copy()
    best["strength"] = -np.log10(np.maximum(best["adj_pvalue"].to_numpy(float), 1e-300))
    options = list(dict.fromkeys(best["query"]))
    choose = alt.selection_point(
        name="choose_query",
        fields=["query"],
        value=[{"query": options[0]}],
        bind=alt.binding_select(options=options, name="Query "),
    )
    tips: list[Any] = ["label:N", "motif_id:N"]
    tips += [alt.Tooltip(f"{name}:Q", format=".3g") for name in ("adj_pvalue", "effect_size")]
    bars = (
        alt.Chart(best)
        .transform_filter(choose)
        .mark_bar()
        .encode(
            y=alt.Y("label:N", sort="-x", title="Factor"),
            x=alt.X("strength:Q", title="-log10 adjusted p value"),
            color=alt.Color("effect_size:Q", title="Effect size", scale=alt.Scale(scheme=theme.SEQUENTIAL)),
            tooltip=[*tips, "n_query:Q", "n_background:Q"],
        )
    )
    line = alt.Chart(pd.DataFrame({"x": [-np.log10(level)]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    return alt.layer(bars, line).add_params(choose).properties(width=440, height=18 * n_factors)


def two_set_scatter(frame: pd.DataFrame, *, first: str, second: str, level: float) -> alt.LayerChart:
    """Draw -log10 p of every factor in two queries, names at the strongest. `frame`: ``label, x, y, x_adj, y_adj``."""
    frame = frame.copy()
    x, y = frame["x_adj"] < level, frame["y_adj"] < level
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
    named = frame.assign(top=np.maximum(frame["x"], frame["y"])).nlargest(14, "top")
    text = alt.Chart(named).mark_text(dy=-8, fontSize=11).encode(x="x:Q", y="y:Q", text="label:N")
    return alt.layer(points, text).properties(width=440, height=380)
