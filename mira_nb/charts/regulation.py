"""Charts of LITE and NITE regulation: scores, predictions along time, differential, local peaks, primed genes."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .labels import SPREAD

CLASS_COLORS = {"NITE": theme.CATEGORICAL[4], "not NITE": theme.CATEGORICAL[0]}
MODEL_COLORS = {
    "observed": theme.MUTED,
    "LITE prediction": theme.CATEGORICAL[0],
    "NITE prediction": theme.CATEGORICAL[4],
}
REGION_COLORS = {
    "upstream": theme.CATEGORICAL[0],
    "proximal": theme.CATEGORICAL[2],
    "downstream": theme.CATEGORICAL[1],
}

N_COLUMNS = 3
"""Panels per row."""


def _menu(field: str, options: list[str], label: str) -> alt.Parameter:
    return alt.selection_point(
        name=f"choose_{field}",
        fields=[field],
        value=[{field: options[0]}] if options else [],
        bind=alt.binding_select(options=options, name=label),
    )


def nite_histogram(score: np.ndarray, called: np.ndarray, *, n_bins: int = 40) -> alt.Chart:
    """Draw a histogram of NITE scores (1 + score on a log axis), split by the test's outcome."""
    value = np.log10(1 + np.maximum(score, 0))
    edges = np.linspace(0, max(float(value.max(initial=0.0)), 0.1) * 1.0001, n_bins + 1)
    rows = []
    for label, mask in (("NITE", called), ("not NITE", ~called)):
        counts, _ = np.histogram(value[mask], edges)
        rows.append(pd.DataFrame({"from": edges[:-1], "to": edges[1:], "genes": counts, "call": label}))
    frame = pd.concat(rows, ignore_index=True)
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("from:Q", title="NITE score (log10 of 1 + score)", bin="binned"),
            x2="to:Q",
            y=alt.Y("genes:Q", title="Genes", stack=True),
            color=alt.Color(
                "call:N", title="Call", scale=alt.Scale(domain=list(CLASS_COLORS), range=list(CLASS_COLORS.values()))
            ),
            tooltip=["call:N", alt.Tooltip("from:Q", format=".2f"), alt.Tooltip("to:Q", format=".2f"), "genes:Q"],
        )
        .properties(width=480, height=260)
    )


CALL_COLORS = {
    "all cells and half": theme.CATEGORICAL[4],
    "all cells only": theme.CATEGORICAL[1],
    "half only": theme.CATEGORICAL[3],
    "neither": theme.CATEGORICAL[0],
}
"""Colours by which cells a gene is called NITE with."""


def half_scatter(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw NITE scores with half of the cells against those with all (columns gene, half, all_score, score, called).

    Axes show log10 of 1 + score, a dashed line equal scores; `called` is a key of :data:`CALL_COLORS`.
    """
    shown = frame.assign(
        x=np.log10(1 + np.maximum(frame["all_score"], 0)), y=np.log10(1 + np.maximum(frame["score"], 0))
    )
    top = float(max(shown["x"].max(), shown["y"].max(), 0.1))
    diagonal = (
        alt.Chart(pd.DataFrame({"x": [0.0, top], "y": [0.0, top]}))
        .mark_line(color=theme.MUTED, strokeDash=[4, 3])
        .encode(x="x:Q", y="y:Q")
    )
    colors = alt.Scale(domain=list(CALL_COLORS), range=list(CALL_COLORS.values()))
    points = (
        alt.Chart(shown)
        .mark_point(filled=True, size=45, opacity=0.8)
        .encode(
            x=alt.X("x:Q", title="NITE score, all cells (log10 of 1 + score)"),
            y=alt.Y("y:Q", title="NITE score, half of the cells"),
            color=alt.Color("called:N", title="Called NITE with", scale=colors),
            shape=alt.Shape("half:N", title="Cells"),
            tooltip=[
                "gene:N", "half:N", alt.Tooltip("all_score:Q", format=".3g"), alt.Tooltip("score:Q", format=".3g"),
                "called:N",
            ],
        )
    )  # fmt: skip
    return alt.layer(diagonal, points).properties(width=420, height=300)


def prediction_lines(frame: pd.DataFrame, *, time_title: str) -> alt.FacetChart:
    """Draw observed expression and predictions along time, one panel per lineage, the gene chosen in a menu.

    `frame`: columns ``gene, lineage, time, source, value, n``.
    """
    choose = _menu("gene", list(dict.fromkeys(frame["gene"])), "Gene ")
    base = alt.Chart().encode(
        x=alt.X("time:Q", title=time_title),
        y=alt.Y("value:Q", title="Expression (per 10,000 counts)"),
        color=_model_color(),
        tooltip=["gene:N", "lineage:N", "source:N", alt.Tooltip("value:Q", format=".3g"), "n:Q"],
    )
    return (
        alt.layer(base.mark_line(), base.mark_circle(size=22), data=frame)
        .transform_filter(choose)
        .properties(width=220, height=200)
        .facet(facet=alt.Facet("lineage:N", title=None), columns=N_COLUMNS)
        .add_params(choose)
    )


def prediction_bars(frame: pd.DataFrame, *, group_title: str) -> alt.Chart:
    """Draw observed expression and predictions by group, the gene chosen in a menu (columns as for lines, `group`)."""
    choose = _menu("gene", list(dict.fromkeys(frame["gene"])), "Gene ")
    order = theme.natural_sort(frame["group"].unique())
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("group:N", title=group_title, sort=order),
            xOffset=alt.XOffset("source:N", sort=list(MODEL_COLORS)),
            y=alt.Y("value:Q", title="Expression (per 10,000 counts)"),
            color=_model_color(),
            tooltip=["gene:N", "group:N", "source:N", alt.Tooltip("value:Q", format=".3g"), "n:Q"],
        )
        .transform_filter(choose)
        .add_params(choose)
        .properties(width=min(max(240, 46 * len(order)), 820), height=240)
    )


def _model_color() -> alt.Color:
    return alt.Color(
        "source:N",
        title=None,
        scale=alt.Scale(domain=list(MODEL_COLORS), range=list(MODEL_COLORS.values())),
        legend=alt.Legend(orient="top"),
    )


def differential_scatter(frame: pd.DataFrame) -> alt.Chart:
    """Draw LITE prediction against observed expression in bins of cells, coloured by the chromatin differential.

    `frame`: columns ``gene, lite, observed, differential, n``; the gene is chosen in a menu.
    """
    choose = _menu("gene", list(dict.fromkeys(frame["gene"])), "Gene ")
    return (
        alt.Chart(frame)
        .mark_circle(opacity=0.85)
        .encode(
            x=alt.X("lite:Q", title="LITE prediction (per 10,000 counts)"),
            y=alt.Y("observed:Q", title="Observed expression (per 10,000 counts)"),
            color=alt.Color(
                "differential:Q",
                title="Chromatin differential (ln)",
                scale=alt.Scale(**theme.diverging()),
            ),
            size=alt.Size("n:Q", title="Cells", scale=alt.Scale(range=[20, 220])),
            tooltip=[
                "gene:N",
                alt.Tooltip("lite:Q", format=".3g"),
                alt.Tooltip("observed:Q", format=".3g"),
                alt.Tooltip("differential:Q", format=".2f"),
                "n:Q",
            ],
        )
        .transform_filter(choose)
        .add_params(choose)
        .properties(width=420, height=300)
    )


def nite_streams(frame: pd.DataFrame, *, order: list[str]) -> alt.VConcatChart:
    """Draw stacked topic proportions along each lineage, coloured by NITE regulation; names where a topic is widest.

    `frame`: columns ``lineage, pseudotime, feature, value, score, label``; `order`: topics from below to above.
    """
    rank = {name: i for i, name in enumerate(order)}
    frame = frame.assign(rank=frame["feature"].map(rank))
    scale = alt.Scale(scheme=theme.SEQUENTIAL, domain=[float(frame["score"].min()), float(frame["score"].max())])
    panels = []
    last = frame["lineage"].iloc[-1]
    for lineage, part in frame.groupby("lineage", sort=False):
        part = part.sort_values(["pseudotime", "rank"], kind="stable")
        total = part.groupby("pseudotime")["value"].transform("sum")
        part = part.assign(upper=part.groupby("pseudotime")["value"].cumsum() - total / 2)
        part = part.assign(lower=part["upper"] - part["value"], middle=part["upper"] - part["value"] / 2)
        areas = (
            alt.Chart(part)
            .mark_area(interpolate="monotone", stroke="white", strokeWidth=0.4)
            .encode(
                x=alt.X("pseudotime:Q", title="Pseudotime" if lineage == last else None),
                y=alt.Y("lower:Q", title="Proportion (stacked)", axis=alt.Axis(labels=False, ticks=False)),
                y2="upper:Q",
                detail="feature:N",
                color=alt.Color("score:Q", title="Median NITE", scale=scale),
                tooltip=["label:N", alt.Tooltip("score:Q", format=".2f"), alt.Tooltip("value:Q", format=".1%")],
            )
        )
        # away from the ends, where a name would run into the axis
        ends = part["pseudotime"].quantile([0.08, 0.92])
        inner = part[part["pseudotime"].between(*ends)]
        widest = inner.loc[inner.groupby("feature", sort=False)["value"].idxmax()]
        names = (
            alt.Chart(widest[widest["value"] > 0.08])
            .mark_text(fontSize=11, fontWeight=600)
            .encode(
                x="pseudotime:Q",
                y="middle:Q",
                text="label:N",
                color=alt.condition(f"datum.score > {sum(scale.domain) / 2}", alt.value("black"), alt.value("white")),
            )
        )
        panels.append(alt.layer(areas, names).properties(width=560, height=150, title=str(lineage)))
    return alt.vconcat(*panels).resolve_scale(color="shared")


def local_peaks(frame: pd.DataFrame) -> alt.VConcatChart:
    """Draw a genome track of one gene, chosen in a menu: LITE weight per peak above, mean accessibility below.

    `frame`: columns ``gene, kb, end_kb, weight, fraction, accessibility, region, peak, strand``; kb counts from the TSS
    along the chromosome.
    """
    choose = _menu("gene", list(dict.fromkeys(frame["gene"])), "Gene ")
    color = alt.Color(
        "region:N", title=None, scale=alt.Scale(domain=list(REGION_COLORS), range=list(REGION_COLORS.values()))
    )
    tips = [
        "gene:N",
        "peak:N",
        "strand:N",
        "region:N",
        alt.Tooltip("kb:Q", format=".1f"),
        alt.Tooltip("weight:Q", format=".3g"),
        alt.Tooltip("fraction:Q", format=".1%"),
        alt.Tooltip("accessibility:Q", format=".3g"),
    ]
    zero = alt.Chart(frame).transform_filter(choose).transform_aggregate(n="count()").mark_rule(strokeDash=[4, 3])
    zero = zero.transform_calculate(kb="0").encode(x="kb:Q", color=alt.value(theme.MUTED))
    panels: list[Any] = []
    tracks = (
        ("fraction", "Fraction of the prediction", 120),
        ("weight", "LITE weight", 120),
        ("accessibility", "Accessibility (10,000 x rho)", 140),
    )
    for field, title, height in tracks:
        last = field == tracks[-1][0]
        x = alt.X("kb:Q", title="Distance from the start site along the chromosome (kb)" if last else None)
        bars = (
            alt.Chart(frame)
            .transform_filter(choose)
            .mark_bar(size=3)
            .encode(x=x, y=alt.Y(f"{field}:Q", title=title), color=color, tooltip=tips)
        )
        if not panels:
            bars = bars.add_params(choose)
        panels.append((bars + zero).properties(width=620, height=height))
    return alt.vconcat(*panels).resolve_scale(x="shared")


def link_distances(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw the fraction of linked pairs per class of distance, with the number of pairs above each bar.

    `frame`: columns ``distance`` (name of the class, kb), ``pairs``, ``linked``, ``fraction``, near to far.
    """
    base = alt.Chart(frame).encode(
        x=alt.X("distance:N", sort=None, title="Distance from the start site (kb)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("fraction:Q", title="Fraction of pairs linked", axis=alt.Axis(format="%")),
        tooltip=["distance:N", "pairs:Q", "linked:Q", alt.Tooltip("fraction:Q", format=".1%")],
    )
    text = base.mark_text(dy=-6, fontSize=11, color=theme.MUTED).encode(text=alt.Text("pairs:Q", format=","))
    return alt.layer(base.mark_bar(), text).properties(width=520, height=240)


def primed_scatter(frame: pd.DataFrame, *, differential: float, score: float) -> alt.LayerChart:
    """Draw NITE score against mean chromatin differential at the branch; dashed lines are the thresholds.

    `frame`: columns ``gene, lineage, differential, nite_score, class``.
    """
    frame = frame.assign(shown=np.log10(1 + np.maximum(frame["nite_score"], 0)))
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, size=45, opacity=0.8)
        .encode(
            x=alt.X("differential:Q", title="Mean chromatin differential in branch cells (ln)"),
            y=alt.Y("shown:Q", title="NITE score (log10 of 1 + score)"),
            color=alt.Color("class:N", title=None),
            shape=alt.Shape("lineage:N", title="Lineage"),
            tooltip=[
                "gene:N",
                "lineage:N",
                "class:N",
                alt.Tooltip("differential:Q", format=".2f"),
                alt.Tooltip("nite_score:Q", format=".1f"),
            ],
        )
    )
    named = frame[frame["class"] == "primed"].nlargest(12, "nite_score")
    text = (
        alt.Chart(named)
        .mark_text(style=SPREAD, dy=-8, fontSize=11)
        .encode(x="differential:Q", y="shown:Q", text="gene:N")
    )
    lines = alt.Chart(pd.DataFrame({"x": [differential]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    level = alt.Chart(pd.DataFrame({"y": [np.log10(1 + score)]})).mark_rule(strokeDash=[4, 3]).encode(y="y:Q")
    return alt.layer(lines, level, points, text).properties(width=460, height=320)
