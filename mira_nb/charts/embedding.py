"""Embeddings (UMAPs): one interactive scatter with a colouring menu, and small multiples as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.errors import MiraError
from mira_nb.text import cut_label

from . import theme
from .packed import KINDS_ATTRIBUTE, META
from .raster import Panel, draw_panels

MENU: Final = "colouring"
"""Name of the Vega-Lite parameter behind the menu."""

RESERVED: Final = ("x", "y")
DATASET: Final = "cells"
LONGEST_HEADING: Final = 20
"""Characters of a group's name in the title of a small map."""


def menu_scatter(
    coordinates: pd.DataFrame,
    values: pd.DataFrame,
    *,
    title: str = "",
    default: str | None = None,
    x_title: str = "UMAP 1",
    y_title: str = "UMAP 2",
    colors: Mapping[str, Mapping[str, str]] | None = None,
    width: int = 560,
    height: int = 460,
    menu_title: str = "Colour by ",
) -> tuple[alt.LayerChart, dict[str, pd.DataFrame]]:
    """Draw a scatter plot of all cells in which a menu chooses the colouring.

    Parameters
    ----------
    coordinates
        cells x 2, columns ``x`` and ``y``.
    values
        cells x features, same rows. Numeric columns get a sequential scale (diverging when they reach far to both
        sides of zero), all others a categorical one. The column names are the menu's entries.
    default
        The first colouring; the first column when None.
    colors
        Colours per category of a categorical column: ``{"leiden": {"0": "#0072B2", ...}}``.

    Returns
    -------
    chart, packed
        For ``Figure(chart=chart, packed=packed)``.
    """
    frame, numeric, categorical = _scatter_frame(coordinates, values)
    names = [str(name) for name in values.columns]
    first = names[0] if default is None else str(default)
    if first not in names:
        raise MiraError(f"no column {first!r} to colour by", expected=", ".join(names))
    menu = alt.param(name=MENU, value=first, bind=alt.binding_select(options=names, name=menu_title))
    base = alt.Chart(alt.NamedData(DATASET)).encode(
        x=alt.X("x:Q", title=x_title, axis=_bare_axis(), scale=_scale(frame["x"])),
        y=alt.Y("y:Q", title=y_title, axis=_bare_axis(), scale=_scale(frame["y"])),
    )
    size = point_size(len(frame), width=width, height=height)
    layers = []
    diverging = [name for name in numeric if _reaches_both_sides(frame[name])]
    sequential = [name for name in numeric if name not in diverging]
    if sequential:
        layers.append(_numeric_layer(base, sequential, alt.Scale(scheme=theme.SEQUENTIAL), size=size))
    if diverging:
        layers.append(_numeric_layer(base, diverging, alt.Scale(**theme.diverging()), size=size))
    if categorical:
        layers.append(_category_layer(base, frame, categorical, colors or {}, size=size))
    meta = {"raster": {"dataset": DATASET, "x": "x", "y": "y", "color": first, "title": title}}
    chart = (
        alt.layer(*layers)
        .add_params(menu)
        .resolve_scale(color="independent")
        .properties(width=width, height=height, usermeta={META: meta})
    )
    return (chart.properties(title=title) if title else chart), {DATASET: frame}


def point_size(n_points: int, *, width: float, height: float) -> float:
    """Return the area of a point (square pixels) at which `n_points` fill about a third of the plane."""
    return float(np.clip(0.35 * width * height / max(n_points, 1), 3.0, 60.0))


def small_multiples(
    coordinates: pd.DataFrame,
    values: pd.DataFrame,
    *,
    n_columns: int = 5,
    colors: Mapping[str, str] | None = None,
    panel_inches: float = 1.9,
) -> bytes:
    """Draw one small embedding per column of `values` as a PNG that can be read on light and dark pages.

    Parameters
    ----------
    coordinates
        cells x 2, columns ``x`` and ``y``.
    values
        cells x features. Numeric: grey to the feature's colour, each panel from its minimum to its 99.5th
        percentile, written below the title. Categorical: one colour a category, labels at the medians.
    colors
        Colour per column (e.g. :func:`mira_nb.charts.theme.topic_colors`).
    """
    n_columns = max(1, min(n_columns, values.shape[1]))
    return draw_panels(_panel_rows(coordinates, values, n_columns, dict(colors or {}), {}), panel_inches=panel_inches)


def grouped_multiples(
    coordinates: pd.DataFrame,
    sections: Sequence[pd.DataFrame],
    *,
    headings: Mapping[str, str],
    n_columns: int = 5,
    colors: Mapping[str, str] | None = None,
    panel_inches: float = 1.9,
) -> bytes:
    """Draw small embeddings as :func:`small_multiples` does, each section beginning on a row of its own.

    Parameters
    ----------
    coordinates
        cells x 2, columns ``x`` and ``y``.
    sections
        Values, cells x features; one of no features is left out.
    headings
        Text beside the name of each feature; it is cut where it is long.
    colors
        Colour per feature.
    """
    titles = {name: f"{name}: {cut_label(text, LONGEST_HEADING)}" for name, text in headings.items()}
    rows: list[list[Panel]] = []
    for values in sections:
        rows += _panel_rows(coordinates, values, n_columns, dict(colors or {}), titles)
    return draw_panels(rows, panel_inches=panel_inches)


def _panel_rows(
    coordinates: pd.DataFrame,
    values: pd.DataFrame,
    n_columns: int,
    colors: Mapping[str, str],
    titles: Mapping[str, str],
) -> list[list[Panel]]:
    """Return one panel per column of `values`, in rows of at most `n_columns`; titles are names where none is given."""
    _check_rows(coordinates, values)
    x, y = _xy(coordinates)
    panels = [
        Panel(
            x=x,
            y=y,
            values=values.iloc[:, i],
            title=titles.get(str(name), str(name)),
            color=colors.get(str(name)),
        )
        for i, name in enumerate(values.columns)
    ]
    return [panels[i : i + n_columns] for i in range(0, len(panels), n_columns)]


def embedding_grid(embeddings: Mapping[str, pd.DataFrame], values: pd.DataFrame, *, panel_inches: float = 1.8) -> bytes:
    """Draw a grid of small embeddings as PNG: a row per column of `values` (e.g. marker genes), a column per embedding.

    Parameters
    ----------
    embeddings
        Title to coordinates (cells x 2, columns ``x`` and ``y``), all with the rows of `values`.
    values
        cells x features.
    """
    rows = []
    for i, name in enumerate(values.columns):
        row = []
        for j, (title, coordinates) in enumerate(embeddings.items()):
            _check_rows(coordinates, values)
            x, y = _xy(coordinates)
            heading = str(title) if i == 0 else ""
            row.append(Panel(x=x, y=y, values=values.iloc[:, i], title=heading, side_title=str(name) if j == 0 else ""))
        rows.append(row)
    return draw_panels(rows, panel_inches=panel_inches)


def _scatter_frame(coordinates: pd.DataFrame, values: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    _check_rows(coordinates, values)
    if values.shape[1] == 0:
        raise MiraError("menu_scatter needs at least one column to colour by")
    clash = [name for name in map(str, values.columns) if name in RESERVED]
    if clash:
        raise MiraError(f"a colouring cannot be called {clash[0]!r}", remedy="rename the column")
    x, y = _xy(coordinates)
    columns: dict[str, Any] = {"x": x, "y": y}
    numeric, categorical = [], []
    for i, name in enumerate(map(str, values.columns)):
        column = values.iloc[:, i]
        if is_numeric(column):
            numeric.append(name)
            columns[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            categorical.append(name)
            columns[name] = as_categories(column)
    frame = pd.DataFrame(columns)
    frame.attrs[KINDS_ATTRIBUTE] = dict.fromkeys(numeric, "u8")
    return frame, numeric, categorical


def is_numeric(column: pd.Series) -> bool:
    """Return whether a column gets a continuous colour scale (booleans and categories do not)."""
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def as_categories(column: pd.Series) -> Any:
    """Return text categories in their given order, else in natural order; missing stays missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = [str(value) for value in column.cat.categories]
        if not column.cat.ordered:
            order = theme.natural_sort(order)
        text = column.astype("object").map(str, na_action="ignore")
    else:
        text = column.astype("object").map(str, na_action="ignore")
        order = theme.natural_sort(text.dropna().unique())
    return pd.Categorical(text, categories=order)


def _numeric_layer(base: alt.Chart, names: Sequence[str], scale: alt.Scale, *, size: float) -> alt.Chart:
    active = f"indexof({json.dumps(list(names))}, {MENU}) >= 0"
    shown, length = alt.ExprRef(f"{active} ? 1 : 0"), alt.ExprRef(f"{active} ? 160 : 1")
    legend = alt.Legend(title=None, gradientOpacity=shown, labelOpacity=shown, gradientLength=length)
    return (
        base.transform_filter(active)
        .transform_calculate(value=f"datum[{MENU}]")
        .transform_filter("isValid(datum.value)")
        .mark_circle(size=size, opacity=0.9, clip=True)
        .encode(
            color=alt.Color("value:Q", scale=scale, legend=legend),
            order=alt.Order("value:Q"),
            tooltip=[alt.Tooltip("value:Q", format=".4~g")],
        )
    )


def _category_layer(
    base: alt.Chart,
    frame: pd.DataFrame,
    categorical: Sequence[str],
    colors: Mapping[str, Mapping[str, str]],
    *,
    size: float,
) -> alt.Chart:
    # one scale serves all categorical columns: a category is known as "column|category", the legend cuts the prefix
    # a legend without any entry has no size and breaks Vega's layout, hence one invisible category
    domain, palette, choices = ["|"], ["transparent"], []
    for name in categorical:
        categories = list(frame[name].cat.categories)
        given = {**theme.category_colors(categories), **colors.get(name, {})}
        keys = [f"{name}|{category}" for category in categories]
        domain += keys
        palette += [given[category] for category in categories]
        choices.append(f"{MENU} === {json.dumps(name)} ? {json.dumps(keys)} : ")
    active = f"indexof({json.dumps(list(categorical))}, {MENU}) >= 0"
    many = max(len(frame[name].cat.categories) for name in categorical)
    legend = alt.Legend(
        title=None,
        values=alt.ExprRef("".join(choices) + '["|"]'),
        labelExpr=f"slice(datum.label, length({MENU}) + 1)",
        columns=1 + many // 25,
        symbolLimit=0,
        symbolSize=80,
        symbolOpacity=1,
    )
    return (
        base.transform_filter(active)
        .transform_calculate(category=f"{MENU} + '|' + datum[{MENU}]", value=f"datum[{MENU}]")
        .transform_filter("isValid(datum.value)")
        .mark_circle(size=size, opacity=0.85, clip=True)
        .encode(
            color=alt.Color("category:N", scale=alt.Scale(domain=domain, range=palette), legend=legend),
            tooltip=[alt.Tooltip("value:N", title="group")],
        )
    )


def _reaches_both_sides(column: pd.Series) -> bool:
    values = column.to_numpy()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return False
    low, high = np.quantile(values, [0.01, 0.99])
    return bool(low < 0 < high and min(-low, high) > 0.1 * max(-low, high))


def _scale(values: pd.Series) -> alt.Scale:
    """Return a scale over the range of the values and 2 % more on both sides."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = 0.02 * (high - low) or 1.0
    return alt.Scale(domain=[round(low - margin, 4), round(high + margin, 4)], nice=False)


def _bare_axis() -> alt.Axis:
    # the coordinates of an embedding carry no meaning: no ticks, no grid
    return alt.Axis(ticks=False, labels=False, grid=False, domain=False)


def _xy(coordinates: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    missing = [name for name in RESERVED if name not in coordinates.columns]
    if missing:
        raise MiraError("an embedding needs the columns x and y", expected=f"also {', '.join(missing)}")
    return coordinates["x"].to_numpy(dtype=np.float64), coordinates["y"].to_numpy(dtype=np.float64)


def _check_rows(coordinates: pd.DataFrame, values: pd.DataFrame) -> None:
    if len(coordinates) != len(values):
        raise MiraError(
            f"{len(coordinates)} cells have coordinates, {len(values)} have values", expected="the same cells"
        )
