"""Features along a lineage tree: stream, heatmap, line, scatter and swarm modes.

Numbers come from :mod:`mira_nb.core.trajectory.streams`; every chart refers to named datasets that are stored packed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .embedding import point_size
from .packed import KINDS_ATTRIBUTE

TimeScale = Literal["linear", "log"]

STREAMS: Final = "streams"
CURVES: Final = "curves"
WINDOWS: Final = "windows"
CELLS: Final = "cells"
SMOOTHED: Final = "smoothed"
LOG_CONSTANT: Final = 0.05
MENU: Final = "quantity"

Packed = dict[str, pd.DataFrame]


def time_axis(time: TimeScale, *, field: str = "pseudotime", title: str = "Pseudotime (0 to 1)") -> alt.X:
    """Return the horizontal axis; ``log``: symmetric log, linear below 0.05, so that the start stays on the axis."""
    scale = alt.Scale(type="symlog", constant=LOG_CONSTANT) if time == "log" else alt.Scale()
    return alt.X(f"{field}:Q", title=title + (", log scale" if time == "log" else ""), scale=scale)


@dataclass(frozen=True)
class Shade:
    """A numeric column drawn as colour; with a `centre`, on a diverging scale around it."""

    column: str
    title: str = ""
    centre: float | None = None


def stream_chart(
    stacked: pd.DataFrame,
    *,
    order: Sequence[str],
    colors: Mapping[str, str] | None = None,
    shade: Shade | None = None,
    time: TimeScale = "linear",
    value_title: str = "Smoothed value",
    labels: pd.DataFrame | None = None,
    title: str = "",
    width: int = 640,
    height: int = 340,
) -> tuple[alt.LayerChart, Packed]:
    """Draw a stream graph over a lineage tree.

    Parameters
    ----------
    stacked
        ``node, pseudotime, feature, value, bottom, top, n_cells`` from :func:`mira_nb.core.trajectory.streams.stack`.
    order
        Features from the bottom of the stack upwards.
    shade
        Colours the streams instead of the feature, e.g. by a value per feature and node.
    labels
        ``node, pseudotime, y`` texts at the ends of the lineages.
    """
    palette = {**theme.category_colors(list(order)), **(colors or {})}
    color: Any
    if shade is None:
        domain = [name for name in order if name in set(stacked["feature"])]
        color = alt.Color(
            "feature:N",
            title=None,
            sort=domain,
            scale=alt.Scale(domain=domain, range=[palette[name] for name in domain]),
        )
    else:
        scale = alt.Scale(scheme=theme.SEQUENTIAL)
        if shade.centre is not None:
            scale = alt.Scale(**theme.diverging(middle=shade.centre))
        color = alt.Color(f"{shade.column}:Q", title=shade.title or shade.column, scale=scale)
    tips = ["feature:N", "node:N", *(alt.Tooltip(f"{name}:Q", format=".3g") for name in ("pseudotime", "value"))]
    base = alt.Chart(alt.NamedData(STREAMS))
    area = base.mark_area(line=False, opacity=0.95, interpolate="monotone").encode(
        x=time_axis(time),
        y=alt.Y("bottom:Q", axis=None, title=value_title),
        y2="top:Q",
        detail=["node:N", "feature:N"],
        color=color,
        tooltip=tips,
    )
    layers: list[Any] = [area]
    packed = {STREAMS: stacked}
    if labels is not None and len(labels):
        packed["labels"] = labels
        layers.append(
            alt.Chart(alt.NamedData("labels"))
            .mark_text(align="left", dx=6, fontSize=12, fontWeight=600)
            .encode(x=time_axis(time), y="y:Q", text="node:N", color=alt.value(theme.MUTED))
        )
    return alt.layer(*layers).properties(width=width, height=height, title=title), packed


def stream_labels(stacked: pd.DataFrame) -> pd.DataFrame:
    """Return texts for the ends of the streams: every node that no other node continues."""
    rows = []
    last = stacked.groupby("node")["pseudotime"].max()
    for node, end in last.items():
        here = stacked[(stacked["node"] == node) & (stacked["pseudotime"] == end)]
        rows.append((str(node), float(end), float((here["bottom"].min() + here["top"].max()) / 2)))
    frame = pd.DataFrame(rows, columns=["node", "pseudotime", "y"])
    starts = set(stacked.groupby("node")["pseudotime"].min())
    return frame[~frame["pseudotime"].isin(starts)].reset_index(drop=True)


def heatmap_chart(
    windows: pd.DataFrame,
    *,
    order: Sequence[str],
    time: TimeScale = "linear",
    scaled: bool = True,
    value_title: str = "Mean of the window",
    title: str = "",
    width: int = 460,
    row_height: int = 15,
) -> tuple[alt.FacetChart, Packed]:
    """Draw the heatmap mode: one row per feature, one box per window of pseudotime, one panel per lineage.

    Parameters
    ----------
    windows
        ``lineage, start, end, feature, value, n_cells`` from :func:`mira_nb.core.trajectory.streams.window_means`.
    scaled
        Colour each feature by its own range (0 lowest window, 1 highest); the tooltip has the value itself.
    """
    frame = windows.copy()
    if scaled:
        low, high = (frame.groupby("feature")["value"].transform(name) for name in ("min", "max"))
        frame["shown"] = np.where(high > low, (frame["value"] - low) / (high - low).where(high > low, 1), 0.0)
    else:
        frame["shown"] = frame["value"]
    boxes = (
        alt.Chart(alt.NamedData(WINDOWS))
        .mark_rect()
        .encode(
            x=time_axis(time, field="start", title="Pseudotime (0 to 1)"),
            x2="end:Q",
            y=alt.Y("feature:N", sort=list(order), title=None),
            color=alt.Color(
                "shown:Q",
                title=f"{value_title}, scaled by feature" if scaled else value_title,
                scale=alt.Scale(scheme=theme.SEQUENTIAL),
            ),
            tooltip=[
                "feature:N",
                "lineage:N",
                *(alt.Tooltip(f"{name}:Q", format=".3g") for name in ("start", "end", "value", "n_cells")),
            ],
        )
        .properties(width=width, height=max(row_height * len(order), 40))
    )
    chart = boxes.facet(row=alt.Row("lineage:N", title=None, header=alt.Header(labelOrient="top", labelAnchor="start")))
    return chart.properties(title=title), {WINDOWS: frame}


def line_chart(
    curves: pd.DataFrame,
    *,
    order: Sequence[str],
    node_colors: Mapping[str, str],
    quantity: str | None = None,
    time: TimeScale = "linear",
    value_title: str = "Smoothed value",
    title: str = "",
    columns: int = 3,
    width: int = 190,
    height: int = 120,
) -> tuple[Any, Packed]:
    """Draw the line mode, one panel per feature; branches in the colours of their nodes, bands from the bootstrap.

    Parameters
    ----------
    curves
        ``node, pseudotime, feature, value`` and, for bands, ``low, high``.
    quantity
        Column that says which of several quantities a row belongs to; they stand beside each other, one column of
        panels per quantity, one row per feature (Extended Data Fig. 8f's kind).
    """
    nodes = [name for name in node_colors if name in set(curves["node"])]
    color = alt.Color(
        "node:N",
        title=None,
        sort=nodes,
        scale=alt.Scale(domain=nodes, range=[node_colors[name] for name in nodes]),
        legend=alt.Legend(symbolOpacity=1),  # bands are pale, their names need not be
    )
    base = alt.Chart().encode(x=time_axis(time), color=color, detail="node:N")
    line = base.mark_line(interpolate="monotone").encode(
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),  # said once, above all panels
        tooltip=["feature:N", "node:N", *(alt.Tooltip(f"{n}:Q", format=".3g") for n in ("pseudotime", "value"))],
    )
    layers: list[Any] = [line]
    if {"low", "high"} <= set(curves.columns):
        layers.insert(
            0, base.mark_area(opacity=0.2, interpolate="monotone").encode(y=alt.Y("low:Q", title=None), y2="high:Q")
        )
    panel = alt.layer(*layers, data=alt.NamedData(CURVES)).properties(width=width, height=height)
    names = list(order)
    if quantity is None:
        chart = panel.facet(alt.Facet("feature:N", sort=names, title=value_title), columns=columns)
    else:
        chart = panel.facet(
            row=alt.Row("feature:N", sort=names, title=value_title), column=alt.Column(f"{quantity}:N", title=None)
        )
    return chart.resolve_scale(y="independent").properties(title=title), {CURVES: curves}


def scatter_chart(
    cells: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    quantities: Sequence[str],
    node_colors: Mapping[str, str],
    time: TimeScale = "linear",
    title: str = "",
    width: int = 560,
    height: int = 320,
) -> tuple[alt.LayerChart, Packed]:
    """Draw the scatter mode: cells along pseudotime, smoothed branches over them; a menu chooses the feature.

    Parameters
    ----------
    cells
        ``pseudotime, node`` and one column per feature.
    curves
        ``node, pseudotime, feature, value``.
    """
    nodes = [name for name in node_colors if name in set(cells["node"])]
    color = alt.Color(
        "node:N",
        title=None,
        sort=nodes,
        scale=alt.Scale(domain=nodes, range=[node_colors[name] for name in nodes]),
        legend=alt.Legend(symbolOpacity=1),
    )
    menu = alt.param(
        name=MENU,
        value=str(quantities[0]),
        bind=alt.binding_select(options=[str(name) for name in quantities], name="Feature "),
    )
    dots = (
        alt.Chart(alt.NamedData(CELLS))
        .transform_calculate(shown=f"datum[{MENU}]")
        .mark_circle(size=point_size(len(cells), width=width, height=height), opacity=0.35)
        .encode(x=time_axis(time), y=alt.Y("shown:Q", title="Value in the cell"), color=color)
    )
    lines = (
        alt.Chart(alt.NamedData(SMOOTHED))
        .transform_filter(f"datum.feature === {MENU}")
        .mark_line(strokeWidth=3, interpolate="monotone")
        .encode(x=time_axis(time), y="value:Q", color=color, detail="node:N")
    )
    chart = alt.layer(dots, lines).add_params(menu).properties(width=width, height=height, title=title)
    # 254 steps of a feature's range are finer than a dot
    cells.attrs[KINDS_ATTRIBUTE] = dict.fromkeys(map(str, quantities), "u8")
    return chart, {CELLS: cells, SMOOTHED: curves}


def swarm_chart(
    cells: pd.DataFrame,
    *,
    quantities: Sequence[str],
    lanes: pd.DataFrame,
    time: TimeScale = "linear",
    title: str = "",
    width: int = 620,
    lane_height: int = 90,
) -> tuple[alt.LayerChart, Packed]:
    """Draw the swarm mode: every cell a dot on its branch, coloured by the feature chosen in the menu.

    Parameters
    ----------
    cells
        ``pseudotime, y`` and one column per feature; ``y`` is the lane plus an offset.
    lanes
        ``node, start, end, lane`` for the names of the branches.
    """
    menu = alt.param(
        name=MENU,
        value=str(quantities[0]),
        bind=alt.binding_select(options=[str(name) for name in quantities], name="Colour by "),
    )
    n_lanes = float(lanes["lane"].max() - lanes["lane"].min()) + 1
    height = round(lane_height * n_lanes) + 30
    domain = [float(lanes["lane"].max()) + 0.6, float(lanes["lane"].min()) - 0.7]
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=domain))
    dots = (
        alt.Chart(alt.NamedData(CELLS))
        .transform_calculate(shown=f"datum[{MENU}]")
        .mark_circle(size=point_size(len(cells), width=width, height=height), opacity=0.85)
        .encode(
            x=time_axis(time),
            y=y,
            color=alt.Color("shown:Q", title="Value", scale=alt.Scale(scheme=theme.SEQUENTIAL)),
        )
    )
    text = lanes.assign(y=lanes["lane"] - 0.5, pseudotime=lanes["start"])[["node", "pseudotime", "y"]]
    names = (
        alt.Chart(text)
        .mark_text(align="left", fontSize=12, fontWeight=600)
        .encode(x=time_axis(time), y=y, text="node:N", color=alt.value(theme.MUTED))
    )
    chart = alt.layer(dots, names).add_params(menu).properties(width=width, height=height, title=title)
    return chart, {CELLS: cells}
