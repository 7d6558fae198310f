"""Figures of a trajectory: landmarks on the map, the lineage tree, the threshold sweep and the branch view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from . import theme
from .embedding import point_size

CELLS: Final = "cells"
PAIR: Final = "pair"
LANDMARK_SHAPES: Final = {
    "start cell": "triangle-up",
    "proposed start": "triangle-right",
    "terminal cell": "diamond",
    "rejected candidate": "cross",
}
LANDMARK_COLORS: Final = {
    "start cell": "#009E73",
    "proposed start": "#56B4E9",
    "terminal cell": "#D55E00",
    "rejected candidate": "#7a828c",
}

Packed = dict[str, pd.DataFrame]


def landmarks_chart(
    cells: pd.DataFrame, landmarks: pd.DataFrame, *, title: str = "", width: int = 560, height: int = 440
) -> tuple[alt.LayerChart, Packed]:
    """Draw the map coloured by pseudotime with start cell, terminal cells and rejected candidates.

    Parameters
    ----------
    cells
        ``x, y, pseudotime`` (NaN: not in the trajectory, drawn grey).
    landmarks
        ``x, y, kind, label``; kinds as in :data:`LANDMARK_SHAPES`, told by the legend. Labels are written beside
        terminal cells, whose lineages the legend does not name. With a column ``cell`` its name is shown under the
        pointer.
    """
    kinds = [kind for kind in LANDMARK_SHAPES if kind in set(landmarks["kind"])]
    bare = alt.Axis(ticks=False, labels=False, grid=False)
    free = alt.Scale(zero=False, nice=False)
    x, y = alt.X("x:Q", title="UMAP 1", axis=bare, scale=free), alt.Y("y:Q", title="UMAP 2", axis=bare, scale=free)
    size = point_size(len(cells), width=width, height=height)
    base = alt.Chart(alt.NamedData(CELLS)).encode(x=x, y=y)
    outside = base.transform_filter("!isValid(datum.pseudotime)").mark_circle(size=size, color="#c9cdd2", opacity=0.5)
    inside = base.transform_filter("isValid(datum.pseudotime)").mark_circle(size=size, opacity=0.8)
    marks = alt.Chart(landmarks)
    points = marks.mark_point(filled=True, size=190, stroke="#ffffff", strokeWidth=1.5, opacity=1).encode(
        x=x,
        y=y,
        shape=alt.Shape(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=kinds, range=[LANDMARK_SHAPES[kind] for kind in kinds]),
        ),
        fill=alt.Fill(
            "kind:N", title=None, scale=alt.Scale(domain=kinds, range=[LANDMARK_COLORS[kind] for kind in kinds])
        ),
        tooltip=["kind:N", "label:N", *(["cell:N"] if "cell" in landmarks else [])],
    )
    names = marks.transform_filter("datum.kind == 'terminal cell'").mark_text(dy=-14, fontWeight=600, fontSize=12)
    chart = alt.layer(
        outside,
        inside.encode(
            color=alt.Color("pseudotime:Q", title="Pseudotime (0 to 1)", scale=alt.Scale(scheme=theme.SEQUENTIAL))
        ),
        points,
        names.encode(x=x, y=y, text="label:N"),
    )
    return chart.properties(width=width, height=height, title=title), {CELLS: cells}


def tree_chart(
    segments: pd.DataFrame,
    nodes: pd.DataFrame,
    *,
    colors: Mapping[str, str],
    intervals: pd.DataFrame | None = None,
    title: str = "",
    width: int = 560,
) -> alt.LayerChart:
    """Draw the lineage tree along pseudotime: one bar per node, a line from each node's split to its children.

    Parameters
    ----------
    segments
        ``node, parent, start, end, lane`` from :func:`mira_nb.core.trajectory.streams.tree_paths`.
    nodes
        ``node, n_cells``.
    intervals
        ``node, low, high``: interval of the branch time at which the node splits.
    """
    counts = dict(zip(nodes["node"], nodes["n_cells"], strict=True))
    frame = segments.assign(label=[f"{name} (n = {counts[name]:,})" for name in segments["node"]])
    lanes = segments.set_index("node")["lane"]
    elbows = segments[segments["parent"] != ""].copy()
    elbows["from"] = lanes.reindex(elbows["parent"]).to_numpy()
    domain = [float(segments["lane"].max()) + 0.6, float(segments["lane"].min()) - 0.6]
    y = alt.Y("lane:Q", axis=None, scale=alt.Scale(domain=domain))
    names = segments["node"].tolist()
    color = alt.Color("node:N", legend=None, scale=alt.Scale(domain=names, range=[colors[name] for name in names]))
    x = alt.X("start:Q", title="Pseudotime (0 to 1)")
    layers: list[Any] = [
        alt.Chart(elbows)
        .mark_rule(color=theme.MUTED, size=2)
        .encode(x=x, y=alt.Y("from:Q", axis=None, scale=alt.Scale(domain=domain)), y2="lane:Q"),
        alt.Chart(frame)
        .mark_rule(size=8, strokeCap="round")
        .encode(x=x, x2="end:Q", y=y, color=color, tooltip=["node:N", "label:N", "start:Q", "end:Q"]),
        alt.Chart(frame)
        .mark_text(align="left", dx=7, dy=-13, fontSize=12, fontWeight=600)  # clear of the line to its parent
        .encode(x=x, y=y, text="label:N", color=alt.value(theme.MUTED)),
    ]
    if intervals is not None and len(intervals):
        spans = intervals.assign(lane=lanes.reindex(intervals["node"]).to_numpy())
        layers.append(
            alt.Chart(spans)
            .mark_rule(size=3, color=theme.HIGHLIGHT)
            .encode(
                x=alt.X("low:Q", title="Pseudotime (0 to 1)"),
                x2="high:Q",
                y=y,
                tooltip=["node:N", "low:Q", "branch_time:Q", "high:Q"],
            )
        )
    n_lanes = float(segments["lane"].max() - segments["lane"].min()) + 1
    return alt.layer(*layers).properties(width=width, height=round(60 * n_lanes) + 30, title=title)


def sweep_chart(sweep: pd.DataFrame, *, chosen: float, width: int = 460, height: int = 260) -> alt.LayerChart:
    """Draw the branch time of every split against the threshold; the shape of the point is the topology.

    Parameters
    ----------
    sweep
        ``threshold, topology, split, branch_time`` from :func:`mira_nb.core.trajectory.lineage_tree.threshold_sweep`.
    chosen
        Threshold used.
    """
    x = alt.X("threshold:Q", title="Branch threshold (natural log)", scale=alt.Scale(type="log", nice=False))
    y = alt.Y("branch_time:Q", title="Branch time (pseudotime)", scale=alt.Scale(zero=False))
    base = alt.Chart(sweep).encode(x=x, y=y, color=alt.Color("split:N", title="Split"))
    rule = alt.Chart(pd.DataFrame({"threshold": [chosen]})).mark_rule(strokeDash=[5, 4], color=theme.HIGHLIGHT)
    return alt.layer(
        base.mark_line(),
        base.mark_point(filled=True, size=60).encode(
            shape=alt.Shape("topology:N", title="Topology"),
            tooltip=["threshold:Q", "split:N", alt.Tooltip("branch_time:Q", format=".3f"), "topology:N"],
        ),
        rule.encode(x=x),
    ).properties(width=width, height=height)


def spectrum_chart(eigenvalues: Sequence[float], *, n_used: int, width: int = 300, height: int = 180) -> alt.LayerChart:
    """Draw the eigenvalues of the diffusion map; those used are coloured."""
    frame = pd.DataFrame({"component": np.arange(len(eigenvalues)), "eigenvalue": np.asarray(eigenvalues)})
    frame["used"] = np.where(frame["component"] <= n_used, "used", "not used")
    base = alt.Chart(frame).encode(
        x=alt.X("component:O", title="Diffusion component"),
        y=alt.Y("eigenvalue:Q", title="Eigenvalue", scale=alt.Scale(zero=False)),
    )
    color = alt.Color(
        "used:N", title=None, scale=alt.Scale(domain=["used", "not used"], range=[theme.CATEGORICAL[0], theme.MUTED])
    )
    return alt.layer(
        base.mark_line(color=theme.MUTED, strokeWidth=1),
        base.mark_point(filled=True, size=60).encode(color=color, tooltip=["component:O", "eigenvalue:Q"]),
    ).properties(width=width, height=height)


def branch_view(
    cells: pd.DataFrame,
    *,
    pairs: Sequence[str],
    branches: pd.DataFrame,
    title: str = "",
    size: int = 360,
) -> tuple[alt.HConcatChart, Packed]:
    """Draw the log ratio of two fate probabilities along pseudotime and on the map, for the pair chosen in the menu.

    Parameters
    ----------
    cells
        ``x, y, pseudotime`` and one column per pair: the log ratio relative to the start cell; NaN outside the two
        lineages.
    pairs
        Names of these columns.
    branches
        ``pair, branch_time, low, high``.
    """
    menu = alt.param(name=PAIR, value=str(pairs[0]), bind=alt.binding_select(options=list(pairs), name="Lineages "))
    color = alt.Color("ratio:Q", title="Log ratio", scale=alt.Scale(**theme.diverging(), clamp=True))
    base = (
        alt.Chart(alt.NamedData(CELLS))
        .transform_calculate(ratio=f"datum[{PAIR}]")
        .mark_circle(size=point_size(len(cells), width=size, height=size), opacity=0.75)
    )
    known = base.transform_filter("isValid(datum.ratio)")
    here = alt.Chart(branches).transform_filter(f"datum.pair === {PAIR}")
    x = alt.X("pseudotime:Q", title="Pseudotime (0 to 1)")
    along = alt.layer(
        here.mark_rect(opacity=0.25, color=theme.HIGHLIGHT).encode(x="low:Q", x2="high:Q"),
        known.encode(
            x=x, y=alt.Y("ratio:Q", title="Log ratio of fate probabilities (0: as at the start)"), color=color
        ),
        here.mark_rule(color=theme.HIGHLIGHT, strokeDash=[5, 4], size=2).encode(x="branch_time:Q"),
    )
    bare, free = alt.Axis(ticks=False, labels=False, grid=False), alt.Scale(zero=False, nice=False)
    places = {
        "x": alt.X("x:Q", title="UMAP 1", axis=bare, scale=free),
        "y": alt.Y("y:Q", title="UMAP 2", axis=bare, scale=free),
    }
    on_map = alt.layer(
        base.transform_filter("!isValid(datum.ratio)").encode(**places, color=alt.value("#c9cdd2")),
        known.encode(**places, color=color),
    )
    chart = alt.hconcat(
        along.properties(width=size, height=size),
        on_map.properties(width=size, height=size),
    )
    return chart.add_params(menu).properties(title=title), {CELLS: cells}


def node_palette(nodes: pd.DataFrame) -> dict[str, str]:
    """Return one colour per node: lineages from the palette, inner nodes in greys from dark (root) to light."""
    parents = set(nodes["parent"])
    # in natural order, as maps sort their groups: a lineage has one colour in both
    ends = theme.natural_sort(name for name in nodes["node"] if name not in parents)
    inner = [name for name in nodes["node"] if name in parents]
    greys = ["#3f4650", "#6f7782", "#9aa1aa", "#b9bec5"]
    out = dict(zip(ends, theme.category_colors(ends).values(), strict=True))
    return out | {name: greys[min(i, len(greys) - 1)] for i, name in enumerate(inner)}
