"""Distributions by group, with brackets for the tests between them; means of two groups per sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.errors import MiraError

from . import theme
from .basic import Channel

N_DENSITY = 64
CHARACTER = 6.5
"""Width of a letter of an axis label, px."""
PAGE = 760
"""Width to which a page may shrink a wide chart, px."""
MOST_COLUMNS = 3
"""Panels side by side at most."""
NARROWEST, WIDEST = 24, 64
"""Widths of a group in small panels, px."""
BESIDE = 60
"""Room for the axis beside a panel, px."""

_DIRECTIONS: Final = {
    "higher on the left": (theme.CATEGORICAL[0], [1, 0]),
    "higher on the right": (theme.HIGHLIGHT, [5, 3]),
    "equal": (theme.MUTED, [1, 3]),
}
"""Colour and dashes of the line of a sample."""


def by_group(
    frame: pd.DataFrame,
    *,
    value: Channel,
    group: Channel,
    colors: Mapping[str, str] | None = None,
    kind: Literal["box", "violin"] = "box",
    brackets: pd.DataFrame | None = None,
    title: str = "",
    step: int = 64,
    height: int = 280,
) -> alt.LayerChart:
    """Draw box plots or violins by group; only the summaries go into the chart, however many rows there are.

    Parameters
    ----------
    frame
        One row an observation; rows without value or group are counted in the subtitle.
    brackets
        Tests to draw above: columns ``group_1``, ``group_2``, ``label`` (e.g. ``p = 0.003``); drawn in their order,
        from below to above.

    Notes
    -----
    Box: median, quartiles, and whiskers to the farthest value within 1.5 interquartile ranges; n stands below the
    name. Violin: Gaussian kernel density (Scott's rule) over the group's range, scaled to equal width.
    """
    samples, left_out = _samples(frame, value=value.column, group=group.column, order=group.order)
    labels = [f"{name}|n = {len(values):,}" for name, values in samples.items()]
    axes = _Axes(value.title, group.title, labels, step)
    chart = _distributions(samples, axes, colors or {}, kind, brackets)
    chart = chart.properties(width=max(160, step * len(samples)), height=height)
    note = f"{left_out:,} of {len(frame):,} rows without value or group" if left_out else ""
    if title or note:
        return chart.properties(title=theme.noted_title(title, note))
    return chart


def group_panels(
    values: pd.DataFrame,
    groups: Channel,
    labels: pd.Series,
    *,
    value_title: str,
    colors: Mapping[str, str] | None = None,
    kind: Literal["box", "violin"] = "violin",
    brackets: Mapping[str, pd.DataFrame] | None = None,
    height: int = 230,
) -> alt.VConcatChart:
    """Draw one panel per feature with the distributions of :func:`by_group`; axis titles stand at the edges alone.

    Parameters
    ----------
    values
        One row an observation, one column a panel, headed by its name.
    groups
        Title of the groups, and their order.
    labels
        Group of each observation; those without one are left out.
    brackets
        Tests to draw above a panel, by its name, see :func:`by_group`.
    """
    if not values.shape[1]:
        raise MiraError("no feature to draw", expected="one column per panel")
    names = list(map(str, values.columns))
    group = labels.reset_index(drop=True)
    n_groups = max(int(group.nunique()), 1)
    columns = max(1, min(MOST_COLUMNS, len(names), PAGE // (NARROWEST * n_groups + BESIDE)))
    step = int(np.clip((PAGE / columns - BESIDE) / n_groups, NARROWEST, WIDEST))
    panels = []
    for place, name in enumerate(names):
        frame = pd.DataFrame({"value": values.iloc[:, place].to_numpy(), "group": group.to_numpy()})
        samples, _ = _samples(frame, value="value", group="group", order=groups.order)
        last = place + columns >= len(names)
        axes = _Axes(
            value_title if place % columns == 0 else "",
            groups.title if last else "",
            [f"{item}|n = {len(one):,}" if last else "" for item, one in samples.items()],
            step,
        )
        panel = _distributions(samples, axes, colors or {}, kind, (brackets or {}).get(name))
        panels.append(panel.properties(width=max(120, step * len(samples)), height=height, title=name))
    rows = [alt.hconcat(*panels[start : start + columns]) for start in range(0, len(panels), columns)]
    return alt.vconcat(*rows)


@dataclass(frozen=True)
class _Axes:
    """Titles of the axes, name under each group (empty: none), and width of a group, px."""

    value_title: str
    group_title: str
    labels: Sequence[str]
    step: int


def _distributions(
    samples: Mapping[str, np.ndarray],
    axes: _Axes,
    colors: Mapping[str, str],
    kind: Literal["box", "violin"],
    brackets: pd.DataFrame | None,
) -> alt.LayerChart:
    """Draw boxes or violins of the groups, with brackets above."""
    names = list(samples)
    palette = {**theme.category_colors(names), **colors}
    summary = pd.DataFrame([_summary(name, values) for name, values in samples.items()])
    summary["place"] = np.arange(len(summary))
    ends = ("min", "max") if kind == "violin" else ("low", "high")
    low, high = float(summary[ends[0]].min()), float(summary[ends[1]].max())
    spans, top = _spans(brackets, names, low=low, high=high)
    plane = _Plane(
        value_title=axes.value_title,
        group_title=axes.group_title,
        labels=axes.labels,
        low=low - 0.04 * (top - low),
        high=top,
        step=axes.step,
    )
    scale = alt.Scale(domain=names, range=[palette[name] for name in names])
    color = alt.Color("group:N", scale=scale, legend=None)
    if kind == "violin":
        layers = [_violins(samples, plane, color), _dots(summary, plane)]
    else:
        layers = _boxes(summary, plane, color)
    return alt.layer(*layers, *_bracket_layers(spans, plane))


def sample_pairs(
    frame: pd.DataFrame, *, value_title: str, columns: int = 3, width: int = 190, height: int = 210
) -> alt.VConcatChart:
    """Draw means of two groups per sample, joined by a line; one panel per feature.

    Parameters
    ----------
    frame
        One row per panel and sample: ``panel`` (its heading), ``note`` (text below, lines apart by a line break),
        ``sample``, ``group_1``, ``group_2``, ``mean_1``, ``mean_2``.
    columns
        Panels side by side.

    Notes
    -----
    Direction is told by colour and by dashes; short rules are the means over the samples.
    """
    if frame.empty:
        raise MiraError("no sample has means to draw", expected="one row per panel and sample")
    panels = [
        _pair_panel(part, value_title=value_title if place % columns == 0 else "", width=width, height=height)
        for place, (_, part) in enumerate(frame.groupby("panel", sort=False))
    ]
    rows = [alt.hconcat(*panels[start : start + columns]) for start in range(0, len(panels), columns)]
    return alt.vconcat(*rows).resolve_scale(color="shared", strokeDash="shared")


def _pair_panel(part: pd.DataFrame, *, value_title: str, width: int, height: int) -> Any:
    head = part.iloc[0]
    names = [str(head["group_1"]), str(head["group_2"])]
    means = part[["mean_1", "mean_2"]].to_numpy(dtype=np.float64)
    low, high = float(means.min()), float(means.max())
    margin = 0.08 * (high - low or abs(high) or 1.0)
    plane = _Plane(
        value_title=value_title, group_title="", labels=names, low=low - margin, high=high + margin, step=width // 2
    )
    directions = list(_DIRECTIONS)
    towards = np.select([means[:, 0] > means[:, 1], means[:, 0] < means[:, 1]], directions[:2], directions[2])
    marks = pd.DataFrame(
        {
            "sample": np.tile(part["sample"].map(str), 2),
            "group": np.repeat(names, len(part)),
            "place": np.repeat([0, 1], len(part)),
            "value": means.T.ravel(),
            "samples": np.tile(towards, 2),
        }
    )
    colors, dashes = ([look[i] for look in _DIRECTIONS.values()] for i in (0, 1))
    legend = alt.Legend(title="samples", orient="bottom")
    color = alt.Color("samples:N", scale=alt.Scale(domain=directions, range=colors), legend=legend)
    dash = alt.StrokeDash("samples:N", scale=alt.Scale(domain=directions, range=dashes), legend=legend)
    tips = [alt.Tooltip("sample:N"), alt.Tooltip("group:N"), alt.Tooltip("value:Q", format=".4~g", title="mean")]
    base = alt.Chart(marks).encode(x=plane.x(), y=plane.y(), color=color, tooltip=tips)
    middles = pd.DataFrame({"place": [-0.3, 1.08], "end": [-0.08, 1.3], "value": means.mean(axis=0)})
    layers = [
        base.mark_line(strokeWidth=1.5, opacity=0.8).encode(detail="sample:N", strokeDash=dash),
        base.mark_circle(size=45, opacity=0.9),
        alt.Chart(middles).mark_rule(strokeWidth=3).encode(x=plane.x(), x2="end:Q", y=plane.y()),
    ]
    title = alt.Title(str(head["panel"]), subtitle=str(head["note"]).split("\n"))
    return alt.layer(*layers).properties(width=width, height=height, title=title)


@dataclass(frozen=True)
class _Plane:
    """The two axes. Groups sit at 0, 1, 2, ...: brackets and violins can then end anywhere between them."""

    value_title: str
    group_title: str
    labels: Sequence[str]
    low: float
    high: float
    step: int

    def x(self, field: str = "place") -> alt.X:
        widest = max((len(line) for label in self.labels for line in label.split("|")), default=0)
        if crowded := widest * CHARACTER > min(self.step, PAGE / max(len(self.labels), 1)):
            # side by side they would overlap, and every other name would be left out
            look: dict[str, Any] = {"labelAngle": -45, "labelAlign": "right", "labelLimit": 180}
        else:
            look = {"labelLimit": self.step + 10}
        names = json.dumps([label.replace("|", ", ") if crowded else label for label in self.labels])
        axis = alt.Axis(
            values=list(range(len(self.labels))),
            grid=False,
            labelExpr=f"split({names}[datum.value], '|')",
            labelOverlap=False,
            **look,
        )
        scale = alt.Scale(domain=[-0.6, len(self.labels) - 0.4], nice=False)
        return alt.X(f"{field}:Q", title=self.group_title or None, scale=scale, axis=axis)

    def y(self, field: str = "value") -> alt.Y:
        scale = alt.Scale(domain=[self.low, self.high], nice=False, zero=False)
        return alt.Y(f"{field}:Q", title=self.value_title or None, scale=scale)


def _samples(
    frame: pd.DataFrame, *, value: str, group: str, order: Sequence[str] | None
) -> tuple[dict[str, np.ndarray], int]:
    """Return the values of every group that has any, and the number of rows left out."""
    for name in (value, group):
        if name not in frame.columns:
            raise MiraError(f"the chart needs the column {name!r}", expected=", ".join(map(str, frame.columns)))
    known = frame[frame[value].notna() & frame[group].notna()]
    text = known[group].map(str)
    names = list(order) if order is not None else theme.natural_sort(dict.fromkeys(text))
    samples = {name: known.loc[text == name, value].to_numpy(dtype=np.float64) for name in names}
    samples = {name: values for name, values in samples.items() if values.size}
    if not samples:
        raise MiraError("no group has values to draw", expected=f"numbers in {value!r} and names in {group!r}")
    return samples, len(frame) - len(known)


def _summary(name: str, values: np.ndarray) -> dict[str, Any]:
    quarter, middle, three = np.quantile(values, [0.25, 0.5, 0.75])
    reach = 1.5 * (three - quarter)
    inside = values[(values >= quarter - reach) & (values <= three + reach)]
    return {
        "group": name, "n": int(values.size), "low": float(inside.min()), "q1": float(quarter),
        "median": float(middle), "q3": float(three), "high": float(inside.max()), "min": float(values.min()),
        "max": float(values.max()),
    }  # fmt: skip


def _tips() -> list[alt.Tooltip]:
    return [alt.Tooltip("group:N"), *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("n", "q1", "median", "q3"))]


def _boxes(summary: pd.DataFrame, plane: _Plane, color: alt.Color) -> list[Any]:
    sides = summary.assign(place=summary["place"] - 0.3, end=summary["place"] + 0.3)
    whisker = alt.Chart(summary).mark_rule().encode(x=plane.x(), y=plane.y("low"), y2="high:Q")
    box = alt.Chart(sides).mark_rect(opacity=0.85, cornerRadius=2)
    line = alt.Chart(sides).mark_rule(color="#ffffff", size=2)
    return [
        whisker,
        box.encode(x=plane.x(), x2="end:Q", y=plane.y("q1"), y2="q3:Q", color=color, tooltip=_tips()),
        line.encode(x=plane.x(), x2="end:Q", y=plane.y("median")),
    ]


def _violins(samples: Mapping[str, np.ndarray], plane: _Plane, color: alt.Color) -> Any:
    pieces = []
    for place, (name, values) in enumerate(samples.items()):
        grid, density = _density(values)
        width = 0.42 * density / density.max()
        pieces.append(pd.DataFrame({"group": name, "value": grid, "place": place - width, "end": place + width}))
    area = alt.Chart(pd.concat(pieces, ignore_index=True)).mark_area(orient="horizontal", opacity=0.75)
    return area.encode(y=plane.y(), x=plane.x(), x2="end:Q", color=color)


def _density(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate a Gaussian kernel density on a grid over the range of the values (a flat bar when all are equal)."""
    low, high = float(values.min()), float(values.max())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    if spread == 0.0:
        margin = abs(low) * 0.01 or 0.01
        return np.array([low - margin, low + margin]), np.ones(2)
    from scipy.stats import gaussian_kde

    grid = np.linspace(low, high, N_DENSITY)
    return grid, np.maximum(gaussian_kde(values)(grid), 1e-12)


def _dots(summary: pd.DataFrame, plane: _Plane) -> Any:
    dot = alt.Chart(summary).mark_circle(color="#ffffff", stroke="#1d2328", size=60, opacity=1)
    return dot.encode(x=plane.x(), y=plane.y("median"), tooltip=_tips())


def _spans(
    brackets: pd.DataFrame | None, names: Sequence[str], *, low: float, high: float
) -> tuple[pd.DataFrame, float]:
    """Return the place of every bracket, and the top of the axis."""
    span = high - low or abs(high) or 1.0
    if brackets is None or brackets.empty:
        return pd.DataFrame(), high + 0.05 * span
    unknown = sorted({*brackets["group_1"].map(str), *brackets["group_2"].map(str)} - set(names))
    if unknown:
        raise MiraError(f"a bracket names the group {unknown[0]!r}, which is not drawn", expected=", ".join(names))
    position = {name: place for place, name in enumerate(names)}
    rows, at = [], high
    for level, row in enumerate(brackets.itertuples(index=False)):
        start, end = sorted((position[str(row.group_1)], position[str(row.group_2)]))
        at = high + span * (0.08 + 0.11 * level)
        place = {"place": start, "end": end, "middle": (start + end) / 2}
        rows.append({**place, "value": at, "foot": at - 0.02 * span, "label": str(row.label)})
    return pd.DataFrame(rows), at + 0.1 * span


def _bracket_layers(spans: pd.DataFrame, plane: _Plane) -> list[Any]:
    if spans.empty:
        return []
    base = alt.Chart(spans)
    return [
        base.mark_rule().encode(x=plane.x(), x2="end:Q", y=plane.y()),
        base.mark_rule().encode(x=plane.x(), y=plane.y(), y2="foot:Q"),
        base.mark_rule().encode(x=plane.x("end"), y=plane.y(), y2="foot:Q"),
        base.mark_text(dy=-7, fontSize=11).encode(x=plane.x("middle"), y=plane.y(), text="label:N"),
    ]
