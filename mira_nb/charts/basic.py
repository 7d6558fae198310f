"""Plain charts: DataFrame in, Altair chart out, with axis titles, tooltips and sensible sizes.

Every function takes a :class:`Channel` per direction: the column's name, and its title with its unit. Rows are written
into the chart; more than :data:`ROW_LIMIT` of them are refused: aggregate first, or use packed data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.errors import MiraError

from . import theme
from .labels import SPREAD

ROW_LIMIT: Final = 5000
WIDE: Final = "container"

Width = int | Literal["container"]


@dataclass(frozen=True)
class Channel:
    """A column that is drawn along one direction, as an area or as a numeric colour.

    Attributes
    ----------
    column
        Name in the frame.
    title
        Title with its unit; empty: none.
    log
        Logarithmic scale.
    order
        Values of a nominal axis in the order to draw; None: sorted naturally.
    """

    column: str
    title: str = ""
    log: bool = False
    order: Sequence[str] | None = None


@dataclass(frozen=True)
class Color:
    """A column that is drawn as colour; `colors` are those of categories, the others take the theme's."""

    column: str
    title: str = ""
    colors: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Labels:
    """Names written at the most extreme points.

    Attributes
    ----------
    column
        Column of names; also shown in the tooltip of every point.
    n
        Points that are named.
    rank_by
        Column whose largest values are named; else the points farthest from the medians of x and y (each in units of
        its interquartile range).
    """

    column: str
    n: int = 12
    rank_by: str | None = None


def bars(
    frame: pd.DataFrame,
    *,
    value: Channel,
    label: Channel,
    color: Color | None = None,
    sort: Literal["value", "given"] = "value",
    tooltip: Sequence[str] = (),
    title: str = "",
    width: Width = WIDE,
    bar_height: int = 18,
) -> alt.Chart:
    """Draw horizontal bars, one per row; ``label`` must be unique within ``color``."""
    data = _checked(frame, [value.column, label.column, *_given(color), *tooltip])
    order: Any = "-x" if sort == "value" else list(dict.fromkeys(map(str, data[label.column])))
    vertical = alt.Y(
        field=escape(label.column),
        type="nominal",
        title=label.title or None,
        sort=order,
        axis=alt.Axis(labelLimit=320),
    )
    encoding: dict[str, Any] = {
        "x": alt.X(field=escape(value.column), type="quantitative", title=value.title),
        "y": vertical,
        "tooltip": _tooltips(data, [label.column, value.column, *_given(color), *tooltip]),
    }
    if color:
        encoding["color"] = _color(data, color)
    chart = alt.Chart(data).mark_bar().encode(**encoding)
    return _titled(chart.properties(width=width, height={"step": bar_height}), title)


def lines(
    frame: pd.DataFrame,
    *,
    x: Channel,
    y: Channel,
    series: Color | None = None,
    band: tuple[str, str] | None = None,
    zero: bool = False,
    points: bool = False,
    title: str = "",
    width: Width = WIDE,
    height: int = 260,
) -> alt.LayerChart:
    """Draw lines, one per series, with an optional band between two columns."""
    data = _checked(frame, [x.column, y.column, *_given(series), *(band or ())])
    shared: dict[str, Any] = {"x": _axis(alt.X, x)}
    if series:
        shared["color"] = _color(data, series)
    scale = alt.Scale(zero=zero)
    layers = []
    if band:
        low, high = band
        area = alt.Chart(data).mark_area(opacity=0.18)
        layers.append(
            area.encode(
                y=alt.Y(field=escape(low), type="quantitative", title=y.title, scale=scale),
                y2=alt.Y2(field=escape(high)),
                **shared,
            )
        )
    tips = _tooltips(data, [*_given(series), x.column, y.column])
    vertical = alt.Y(field=escape(y.column), type="quantitative", title=y.title, scale=scale)
    layers.append(alt.Chart(data).mark_line(point=points).encode(y=vertical, tooltip=tips, **shared))
    return _titled(alt.layer(*layers).properties(width=width, height=height), title)


def scatter(
    frame: pd.DataFrame,
    *,
    x: Channel,
    y: Channel,
    color: Color | None = None,
    labels: Labels | None = None,
    title: str = "",
    width: Width = WIDE,
    height: int = 340,
) -> alt.LayerChart:
    """Draw a scatter plot whose extremes carry their names; a numeric `color` takes the sequential scale."""
    ranked = [labels.rank_by] if labels and labels.rank_by else []
    data = _checked(frame, [x.column, y.column, *_given(labels), *ranked, *_given(color)])
    across, along = _axis(alt.X, x), _axis(alt.Y, y)
    tips = _tooltips(data, [*_given(labels), x.column, y.column, *_given(color)])
    encoding: dict[str, Any] = {"x": across, "y": along, "tooltip": tips}
    if color and pd.api.types.is_numeric_dtype(data[color.column].dtype):
        shade, heading = alt.Scale(scheme=theme.SEQUENTIAL), color.title or color.column
        encoding["color"] = alt.Color(field=escape(color.column), type="quantitative", title=heading, scale=shade)
    elif color:
        encoding["color"] = _color(data, color)
    layers = [alt.Chart(data).mark_circle(size=45, opacity=0.75).encode(**encoding)]
    if labels and labels.n > 0:
        named = data.iloc[extremes(data, x=x.column, y=y.column, n=labels.n, rank_by=labels.rank_by)]
        text = alt.Chart(named).mark_text(style=SPREAD, align="left", dx=6, dy=-4, fontSize=11, limit=180)
        layers.append(text.encode(x=across, y=along, text=alt.Text(field=escape(labels.column), type="nominal")))
    return _titled(alt.layer(*layers).properties(width=width, height=height), title)


def extremes(frame: pd.DataFrame, *, x: str, y: str, n: int, rank_by: str | None = None) -> np.ndarray:
    """Return the row numbers of the `n` most extreme points, most extreme first; ties keep the row order."""
    if rank_by:
        score = frame[rank_by].to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        score = np.zeros(len(frame))
        for name in (x, y):
            values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
            finite = values[np.isfinite(values)]
            if finite.size:
                quarter, middle, three = np.quantile(finite, [0.25, 0.5, 0.75])
                spread = three - quarter or finite.std() or 1.0
                score = score + ((values - middle) / spread) ** 2
    known = np.flatnonzero(np.isfinite(score))
    return known[np.argsort(-score[known], kind="stable")][:n]


def heatmap(
    frame: pd.DataFrame,
    *,
    value_title: str,
    row_title: str = "",
    column_title: str = "",
    diverging: bool = False,
    reorder: bool = False,
    labels: bool = False,
    title: str = "",
    cell: int = 20,
) -> alt.LayerChart:
    """Draw a heat map of a matrix: index = rows, columns = columns, in the order given.

    Parameters
    ----------
    diverging
        Colours centred at zero.
    reorder
        Put rows and columns where their largest values run along the diagonal.
    labels
        Write the numbers into the cells.
    """
    matrix = frame.copy()
    matrix.index, matrix.columns = matrix.index.map(str), matrix.columns.map(str)
    if reorder:
        matrix = diagonal_order(matrix)
    rows, columns = list(matrix.index), list(matrix.columns)
    data = pd.DataFrame(
        {
            "row": np.repeat(rows, len(columns)),
            "column": np.tile(columns, len(rows)),
            "value": matrix.to_numpy().ravel(),
        }
    )
    _checked(data, ["row", "column", "value"])
    bound = float(np.nanmax(np.abs(data["value"]))) if data["value"].notna().any() else 1.0
    scale = alt.Scale(**theme.diverging(bound or 1.0)) if diverging else alt.Scale(scheme=theme.SEQUENTIAL)
    base = alt.Chart(data).encode(
        x=alt.X("column:N", sort=columns, title=column_title or None, axis=alt.Axis(labelAngle=-60, labelLimit=160)),
        y=alt.Y("row:N", sort=rows, title=row_title or None, axis=alt.Axis(labelLimit=240)),
    )
    tips = [
        alt.Tooltip("row:N", title=row_title or "row"),
        alt.Tooltip("column:N", title=column_title or "column"),
        alt.Tooltip("value:Q", title=value_title, format=".4~g"),
    ]
    color = alt.Color("value:Q", title=value_title, scale=scale)
    layers = [base.mark_rect().encode(color=color, tooltip=tips)]
    if labels:
        cell = max(cell, 40)
        middle = 0.0 if diverging else float(np.nanmean([data["value"].min(), data["value"].max()]))
        dark = f"abs(datum.value) > {bound / 2}" if diverging else f"datum.value < {middle}"
        ink = alt.condition(dark, alt.value("#ffffff"), alt.value("#1d2328"))
        layers.append(base.mark_text(fontSize=10).encode(text=alt.Text("value:Q", format=".2~g"), color=ink))
    chart = alt.layer(*layers).properties(width={"step": cell}, height={"step": cell})
    return _titled(chart, title)


def diagonal_order(matrix: pd.DataFrame) -> pd.DataFrame:
    """Order rows by the column in which they are largest, and columns likewise by their largest row."""
    filled = matrix.fillna(-np.inf).to_numpy(dtype=np.float64)
    column_order = np.lexsort((-filled.max(axis=0), filled.argmax(axis=0)))
    reordered = filled[:, column_order]
    row_order = np.lexsort((-reordered.max(axis=1), reordered.argmax(axis=1)))
    return matrix.iloc[row_order, column_order]


def histogram(
    values: pd.Series | np.ndarray,
    *,
    x_title: str,
    y_title: str = "Count",
    n_bins: int = 50,
    log_x: bool = False,
    threshold: float | None = None,
    title: str = "",
    width: Width = WIDE,
    height: int = 220,
) -> alt.LayerChart:
    """Draw a histogram; only the bins go into the chart, and the subtitle counts missing values.

    ``log_x`` makes bins of equal ratio and leaves out (and counts) values of zero and below.
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    usable = np.isfinite(numbers) & ((numbers > 0) if log_x else True)
    kept = np.log10(numbers[usable]) if log_x else numbers[usable]
    counts, edges = np.histogram(kept, bins=n_bins) if kept.size else (np.zeros(1, int), np.array([0.0, 1.0]))
    edges = 10**edges if log_x else edges
    data = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "count": counts})
    scale = alt.Scale(type="log", nice=False) if log_x else alt.Scale(zero=False, nice=False)
    layers: list[Any] = [
        alt.Chart(data)
        .mark_rect(stroke="white", strokeWidth=0.4)
        .encode(
            x=alt.X("from:Q", title=x_title, scale=scale),
            x2=alt.X2("to:Q"),
            y=alt.Y("count:Q", title=y_title, scale=alt.Scale(zero=True)),
            y2=alt.Y2(datum=0),
            tooltip=[alt.Tooltip("from:Q", format=".4~g"), alt.Tooltip("to:Q", format=".4~g"), "count:Q"],
        )
    ]
    if threshold is not None:
        mark = alt.Chart(pd.DataFrame({"threshold": [threshold]})).mark_rule(
            color=theme.HIGHLIGHT, strokeDash=[5, 3], size=1.5
        )
        layers.append(mark.encode(x=alt.X("threshold:Q"), tooltip=["threshold:Q"]))
    chart = alt.layer(*layers).properties(width=width, height=height)
    left_out = int((~usable).sum())
    if left_out:
        why = "missing, zero or negative" if log_x else "missing or infinite"
        return chart.properties(title=theme.noted_title(title, f"{left_out:,} of {len(numbers):,} values {why}"))
    return _titled(chart, title)


def escape(name: str) -> str:
    """Return a column name as a Vega-Lite field: dots and brackets belong to the name."""
    out = str(name)
    for character in ("\\", ".", "[", "]"):
        out = out.replace(character, "\\" + character)
    return out


def _checked(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise MiraError(f"the chart needs the column {missing[0]!r}", expected=", ".join(map(str, frame.columns)))
    if len(frame) > ROW_LIMIT:
        raise MiraError(
            f"{len(frame):,} rows are too many to write into a chart",
            expected=f"at most {ROW_LIMIT:,}",
            remedy="aggregate them first, or use packed data (mira_nb.charts.packed)",
        )
    return frame[list(dict.fromkeys(columns))].reset_index(drop=True)


def _given(part: Color | Labels | None) -> list[str]:
    return [part.column] if part else []


def _axis(channel: Any, axis: Channel) -> Any:
    scale = alt.Scale(type="log") if axis.log else alt.Scale(zero=False)
    return channel(field=escape(axis.column), type="quantitative", title=axis.title, scale=scale)


def _color(data: pd.DataFrame, color: Color) -> alt.Color:
    names = theme.natural_sort(dict.fromkeys(map(str, data[color.column].dropna())))
    palette = {**theme.category_colors(names), **(color.colors or {})}
    scale = alt.Scale(domain=names, range=[palette[item] for item in names])
    return alt.Color(field=escape(color.column), type="nominal", title=color.title or color.column, scale=scale)


def _tooltips(data: pd.DataFrame, names: Sequence[str]) -> list[alt.Tooltip]:
    out = []
    for name in dict.fromkeys(names):
        numeric = pd.api.types.is_float_dtype(data[name].dtype)
        number = pd.api.types.is_numeric_dtype(data[name].dtype)
        more = {"format": ".4~g"} if numeric else {}
        out.append(
            alt.Tooltip(field=escape(name), type="quantitative" if number else "nominal", title=str(name), **more)
        )
    return out


def _titled(chart: Any, title: str) -> Any:
    return chart.properties(title=title) if title else chart
