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
from .basic import Channel
from .embedding import as_categories, point_size
from .packed import KINDS_ATTRIBUTE, META

DATASET: Final = "cells"
BRUSH: Final = "brush"
PICK: Final = "picked_group"
QUANTITY: Final = "quantity"


MAP: Final = (Channel("x", "UMAP 1"), Channel("y", "UMAP 2"))
PSEUDOTIME: Final = Channel("pseudotime", "Pseudotime")
LOG_RATIO: Final = Channel("log_ratio", "Log ratio of fate probabilities")
"""Columns and titles of the planes, where a caller names no others."""


def linked_cells(
    frame: pd.DataFrame,
    *,
    group: str,
    quantities: Sequence[str],
    barcode: str = "barcode",
    x: Channel = MAP[0],
    y: Channel = MAP[1],
    pseudotime: Channel = PSEUDOTIME,
    log_ratio: Channel | None = LOG_RATIO,
    colors: Mapping[str, str] | None = None,
    size: int = 250,
) -> tuple[alt.HConcatChart, dict[str, pd.DataFrame]]:
    """Draw UMAP, stream scatter and branch view of the same cells with one shared brush.

    Parameters
    ----------
    frame
        One row per cell with the columns named below; further columns are left out.
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
    axes = [axis.column for axis in (x, y, pseudotime, log_ratio) if axis]
    names = [barcode, group, *axes, *quantities]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise MiraError(f"linked views need the column {missing[0]!r}", expected=", ".join(map(str, frame.columns)))
    if not quantities:
        raise MiraError("linked views need at least one feature", remedy="give numeric columns, e.g. topics")
    data = _data(frame, list(dict.fromkeys(names)), group=group, barcode=barcode)
    # 254 steps of a feature's range are finer than a dot, and the table's means average them out
    data.attrs[KINDS_ATTRIBUTE] = {barcode: "str"} | dict.fromkeys(set(quantities) - set(axes), "u8")
    palette = {**theme.category_colors(list(data[group].cat.categories)), **(colors or {})}
    look = _look(group, barcode, palette, area=point_size(len(data), width=size, height=size))
    free = alt.Scale(zero=False, nice=False)
    bare = alt.Axis(ticks=False, labels=False, grid=False)
    time = alt.X(field=_field(pseudotime.column), type="quantitative", title=pseudotime.title)
    timed = f"isValid(datum[{json.dumps(pseudotime.column)}])"
    views: list[Any] = [
        look.encode(
            x=alt.X(field=_field(x.column), type="quantitative", title=x.title, scale=free, axis=bare),
            y=alt.Y(field=_field(y.column), type="quantitative", title=y.title, scale=free, axis=bare),
        ).properties(title="Embedding"),
        look.transform_calculate(shown=f"datum[{QUANTITY}]")
        .transform_filter(timed)
        .encode(x=time, y=alt.Y("shown:Q", title="Value of the feature"))
        .properties(title="Feature along pseudotime"),
    ]
    if log_ratio:
        ratio = alt.Y(field=_field(log_ratio.column), type="quantitative", title=log_ratio.title)
        views.append(
            look.transform_filter(f"{timed} && isValid(datum[{json.dumps(log_ratio.column)}])")
            .encode(x=time, y=ratio)
            .properties(title="Branch view")
        )
    views = [view.properties(width=size, height=size) for view in views]
    chart = _joined(views, quantities).properties(
        usermeta={META: {"linked": _hint(group=group, barcode=barcode, quantities=quantities)}}
    )
    return chart, {DATASET: data}


def _look(group: str, barcode: str, palette: Mapping[str, str], *, area: float) -> alt.Chart:
    """Encode dots coloured by group; those outside the brush or the chosen group fade."""
    chosen = f"{PICK} === '' || datum[{json.dumps(group)}] === {PICK}"
    color = alt.Color(
        field=_field(group),
        type="nominal",
        title=group,
        scale=alt.Scale(domain=list(palette), range=list(palette.values())),
        legend=alt.Legend(orient="bottom", symbolOpacity=1, symbolSize=80, symbolLimit=0, columns=6),
    )
    lit = {"condition": {"test": {"and": [{"param": BRUSH}, chosen]}, "value": 0.9}, "value": 0.06}
    tips = [alt.Tooltip(field=_field(name), type="nominal", title=name) for name in (barcode, group)]
    return alt.Chart().mark_circle(size=area, clip=True).encode(color=color, opacity=lit, tooltip=tips)


def _joined(views: Sequence[Any], quantities: Sequence[str]) -> alt.HConcatChart:
    brush = alt.selection_interval(name=BRUSH, resolve="global")
    pick = alt.param(name=PICK, value="")
    options = alt.binding_select(options=list(quantities), name="Feature ")
    menu = alt.param(name=QUANTITY, value=str(quantities[0]), bind=options)
    with warnings.catch_warnings():
        # Altair puts the one brush into every view and then says that it merged them again, which is what is wanted
        warnings.filterwarnings("ignore", message="Automatically deduplicated selection parameter")
        return alt.hconcat(*views, data=alt.NamedData(DATASET)).add_params(menu, pick, brush)


def _hint(*, group: str, barcode: str, quantities: Sequence[str]) -> dict[str, Any]:
    """Return the columns and names that the report's script reads from the chart."""
    return {
        "dataset": DATASET,
        "param": BRUSH,
        "pick": PICK,
        "barcode": barcode,
        "group": group,
        "group_title": group,
        "quantities": list(quantities),
    }


def _data(frame: pd.DataFrame, names: Sequence[str], *, group: str, barcode: str) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in names:
        if name == barcode:
            columns[name] = frame[name].map(str).astype("object").to_numpy()
        elif name == group:
            columns[name] = as_categories(frame[name])
        else:
            columns[name] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(columns)


def _field(name: str) -> str:
    """Return a column name as a Vega-Lite field: dots and brackets are part of the name, not a path."""
    out = name
    for character in ("\\", ".", "[", "]"):
        out = out.replace(character, "\\" + character)
    return out
