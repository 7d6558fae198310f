"""Marker genes of groups: dot plot of expression, and volcano of a contrast chosen in a menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .labels import SPREAD
from .packed import KINDS_ATTRIBUTE

CONTRAST: Final = "contrast"
DATASET: Final = "genes"
EFFECT, SIGNIFICANCE = "effect", "significance"
N_NAMED: Final = 12
SMALLEST: Final = 1e-300
"""Adjusted p values below are drawn as this one."""
CLASSES: Final = ("higher in the first", "higher in the second", "not significant")


def dot_plot(frame: pd.DataFrame, *, genes: Sequence[str], groups: Sequence[str], group_title: str) -> alt.Chart:
    """Draw genes by groups: size is the fraction of cells with the gene, colour the mean relative to its largest.

    Parameters
    ----------
    frame
        Columns gene, group, mean, relative (mean over the gene's largest), expressing (fraction of cells above zero).
    genes, groups
        Names in the order to draw.
    """
    return (
        alt.Chart(frame)
        .mark_circle(stroke=theme.MUTED, strokeWidth=0.5, opacity=1)
        .encode(
            x=alt.X("group:N", sort=list(groups), title=group_title, axis=alt.Axis(labelAngle=-40, labelLimit=160)),
            y=alt.Y("gene:N", sort=list(genes), title=None, axis=alt.Axis(labelLimit=160)),
            size=alt.Size(
                "expressing:Q",
                title="cells expressing",
                scale=alt.Scale(type="sqrt", range=[2, 240]),  # with the domain of colour both would be one legend
                legend=alt.Legend(format=".0%", values=[0.1, 0.25, 0.5, 1]),
            ),
            color=alt.Color(
                "relative:Q",
                title="mean / largest",
                scale=alt.Scale(scheme=theme.SEQUENTIAL, domain=[0, 1]),
            ),
            tooltip=[
                "gene:N",
                "group:N",
                alt.Tooltip("mean:Q", format=".3f", title="mean log expression"),
                alt.Tooltip("expressing:Q", format=".1%", title="cells expressing"),
            ],
        )
        .properties(width=max(36 * len(groups), 220), height={"step": 18})
    )


def volcano(
    tests: pd.DataFrame, *, contrasts: Sequence[str], level: float
) -> tuple[alt.LayerChart, dict[str, pd.DataFrame]]:
    """Draw significance against effect size, one point per gene, names at the largest significant effects.

    Parameters
    ----------
    tests
        Columns gene, contrast, effect_size (above 0: higher in the first group), adj_pvalue.
    contrasts
        Entries of the menu, in their order.
    level
        False discovery rate below which a gene is coloured and may be named.
    """
    effects = tests.pivot(index="gene", columns="contrast", values="effect_size")[list(contrasts)]
    pvalues = tests.pivot(index="gene", columns="contrast", values="adj_pvalue")[list(contrasts)].clip(lower=SMALLEST)
    frame = effects.add_suffix(f"|{EFFECT}")
    for name in contrasts:
        frame[f"{name}|{SIGNIFICANCE}"] = -np.log10(pvalues[name].to_numpy(float))
    frame = frame.reset_index()
    frame.attrs[KINDS_ATTRIBUTE] = {"gene": "str"}
    least = float(-np.log10(level))
    menu = alt.param(
        name=CONTRAST, value=contrasts[0], bind=alt.binding_select(options=list(contrasts), name="Contrast ")
    )
    side = f"datum.y < {least:.6g} ? '{CLASSES[2]}' : datum.x > 0 ? '{CLASSES[0]}' : '{CLASSES[1]}'"
    colors = [theme.HIGHLIGHT, theme.CATEGORICAL[0], theme.MUTED]
    base = (
        alt.Chart(alt.NamedData(DATASET))
        .transform_calculate(x=f"datum[{CONTRAST} + '|{EFFECT}']", y=f"datum[{CONTRAST} + '|{SIGNIFICANCE}']")
        .transform_filter("isValid(datum.x) && isValid(datum.y)")
        .transform_calculate(side=side, reach=f"datum.y < {least:.6g} ? -1 : abs(datum.x)")
        .transform_window(rank="rank()", sort=[alt.SortField("reach", order="descending")])
        .encode(
            x=alt.X("x:Q", title="effect size (rank-biserial; right: higher in the first)"),
            y=alt.Y("y:Q", title="-log10 adjusted p"),
        )
    )
    points = base.mark_circle(size=36, opacity=0.75).encode(
        color=alt.Color(
            "side:N",
            title=None,
            scale=alt.Scale(domain=list(CLASSES), range=colors),
            legend=alt.Legend(orient="bottom"),
        ),
        tooltip=["gene:N", alt.Tooltip("x:Q", format=".3f", title="effect size"), alt.Tooltip("y:Q", format=".1f")],
    )
    names = base.transform_filter(f"datum.rank <= {N_NAMED} && datum.reach >= 0").mark_text(
        style=SPREAD, dy=-8, fontSize=11
    )
    line = alt.Chart(pd.DataFrame({"level": [least]})).mark_rule(strokeDash=[4, 3], color=theme.MUTED)
    chart = alt.layer(line.encode(y="level:Q"), points, names.encode(text="gene:N"))
    return chart.add_params(menu).properties(width=460, height=340), {DATASET: frame}
