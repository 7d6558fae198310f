"""Linked views of cells: brush in one, the same cells light up in all.

The report's script listens to the brush (``report/assets/linked.js``), fills a table of group means below the chart
and saves the barcodes of the chosen cells.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.errors import MiraError

from . import theme
from .embedding import as_categories, point_size
from .packed import KINDS_ATTRIBUTE, META

DATASET: Final = "cells"
BRUSH: Final = "brush"
PICK: Final = "picked_group"
QUANTITY: Final = "quantity"


def linked_cells(
    frame: pd.DataFrame,
    *,
    group: str,
    quantities: Sequence[str],
    barcode: str = "barcode",
    x: str = "x",
    y: str = "y",
    pseudotime: str = "pseudotime",
    log_ratio: str | None = "log_ratio",
    colors: Mapping[str, str] | None = None,
    x_title: str = "UMAP 1",
    y_title: str = "UMAP 2",
    pseudotime_title: str = "Pseudotime",
    log_ratio_title: str = "Log ratio of fate probabilities",
    size: int = 300,
) -> tuple[alt.HConcatChart, dict[str, pd.DataFrame]]:
    """UMAP, stream scatter and branch view of the same cells with one shared brush.

    Parameters
    ----------
    frame
        One row a cell with the columns named below; further columns are left out.
    group
        Annotation whose groups are coloured and averaged in the table.
    quantities
        Numeric columns: a menu puts one of them on the stream scatter's axis; the table gives the mean of each.
    barcode
        Cell names, saved by the report's button.
    x, y, pseudotime, log_ratio
        Columns of the three planes; without `log_ratio` (None) there is no branch view. Cells without pseudotime are
        missing from the second and third view, and stay on the UMAP.
    colors
        Colour per group.

    Returns
    -------
    chart, packed
        For ``Figure(chart=chart, packed=packed)``.
    """
    names = [barcode, group, x, y, pseudotime, *([log_ratio] if log_ratio else []), *quantities]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise MiraError(f"linked views need the column {missing[0]!r}", expected=", ".join(map(str, frame.columns)))
    if not quantities:
        raise MiraError("linked views need at least one quantity", remedy="give numeric columns, e.g. topics")
    data = _data(frame, list(dict.fromkeys(names)), group=group, barcode=barcode, coarse=quantities)
    palette = {**theme.category_colors(list(data[group].cat.categories)), **(colors or {})}
    brush = alt.selection_interval(name=BRUSH, resolve="global")
    pick = alt.param(name=PICK, value="")
    menu = alt.param(
        name=QUANTITY, value=str(quantities[0]), bind=alt.binding_select(options=list(quantities), name="Quantity ")
    )
    chosen = f"{PICK} === '' || datum[{json.dumps(group)}] === {PICK}"
    area = point_size(len(data), width=size, height=size)
    color = alt.Color(
        field=_field(group),
        type="nominal",
        title=group,
        scale=alt.Scale(domain=list(palette), range=list(palette.values())),
        legend=alt.Legend(symbolOpacity=1, symbolSize=80, symbolLimit=0, columns=1 + len(palette) // 20),
    )
    lit = {"condition": {"test": {"and": [{"param": BRUSH}, chosen]}, "value": 0.9}, "value": 0.06}

    def view(across: alt.X, along: alt.Y, title: str) -> alt.Chart:
        return (
            alt.Chart(title=title, width=size, height=size)
            .mark_circle(size=area, clip=True)
            .encode(
                x=across,
                y=along,
                color=color,
                opacity=lit,
                tooltip=[_tooltip(barcode, "nominal"), _tooltip(group, "nominal")],
            )
        )

    time = alt.X(field=_field(pseudotime), type="quantitative", title=pseudotime_title)
    free = alt.Scale(zero=False, nice=False)
    bare = alt.Axis(ticks=False, labels=False, grid=False)
    views: list[Any] = [
        view(
            alt.X(field=_field(x), type="quantitative", title=x_title, scale=free, axis=bare),
            alt.Y(field=_field(y), type="quantitative", title=y_title, scale=free, axis=bare),
            "Embedding",
        ),
        view(time, alt.Y("shown:Q", title="Value of the quantity"), "Quantity along pseudotime")
        .transform_calculate(shown=f"datum[{QUANTITY}]")
        .transform_filter(f"isValid(datum[{json.dumps(pseudotime)}])"),
    ]
    if log_ratio:
        views.append(
            view(
                time, alt.Y(field=_field(log_ratio), type="quantitative", title=log_ratio_title), "Branch view"
            ).transform_filter(f"isValid(datum[{json.dumps(pseudotime)}]) && isValid(datum[{json.dumps(log_ratio)}])")
        )
    hint = {
        "dataset": DATASET,
        "param": BRUSH,
        "pick": PICK,
        "barcode": barcode,
        "group": group,
        "group_title": group,
        "quantities": list(quantities),
    }
    with warnings.catch_warnings():
        # Altair puts the one brush into every view and then says that it merged them again, which is what is wanted
        warnings.filterwarnings("ignore", message="Automatically deduplicated selection parameter")
        chart = alt.hconcat(*views, data=alt.NamedData(DATASET)).add_params(menu, pick, brush)
    chart = chart.properties(usermeta={META: {"linked": hint}})
    return chart, {DATASET: data}


def _data(
    frame: pd.DataFrame, names: Sequence[str], *, group: str, barcode: str, coarse: Sequence[str]
) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in names:
        if name == barcode:
            columns[name] = frame[name].map(str).astype("object").to_numpy()
        elif name == group:
            columns[name] = as_categories(frame[name])
        else:
            columns[name] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    out = pd.DataFrame(columns)
    out.attrs[KINDS_ATTRIBUTE] = {barcode: "str", **dict.fromkeys(coarse, "u16")}
    return out


def _field(name: str) -> str:
    """Column name as a Vega-Lite field: dots and brackets are part of the name, not a path."""
    out = name
    for character in ("\\", ".", "[", "]"):
        out = out.replace(character, "\\" + character)
    return out


def _tooltip(name: str, kind: Any) -> alt.Tooltip:
    return alt.Tooltip(field=_field(name), type=kind, title=name)
