"""The two pictures of the first screen: joint map and lineage tree, in the colours of the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mira_nb.charts import packed
from mira_nb.charts.labels import place_labels
from mira_nb.report.colors import STATE_COLUMN, Palette

from .facts import Facts

if TYPE_CHECKING:
    import pandas as pd

WIDTH: Final = 440
"""Least width of a picture on a laptop; names that have room there have it on wider pages too."""
HEIGHT: Final = 160
BLANK: Final = {"axis": {"labels": False, "ticks": False, "grid": False, "domain": False}}


def joint_map(facts: Facts, palette: Palette) -> dict[str, Any]:
    """Return the joint map coloured by lineage state (else group, else cluster); empty where there is no map.

    Where no lineages are drawn all cells are in one state, which tells nothing.
    """
    cells = facts.cells("trajectory", "umap_trajectory")
    column = STATE_COLUMN
    if cells is None or column not in cells or cells[column].nunique() < 2:
        cells = facts.cells("joint", "umap_joint")
        if cells is None:
            return {}
        found = [c for c in cells.columns if not _is_number(cells[c])]
        if not found:
            return {}
        column = found[0]
    rows = cells[["x", "y", column]].rename(columns={column: "state"})
    names = sorted(rows["state"].dropna().astype(str).unique())
    colors = palette.of(names)
    places = place_labels(rows, width=WIDTH, height=HEIGHT)
    axis = {"type": "quantitative", "scale": {"zero": False}, **BLANK}
    color = {
        "field": "state",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": names, "range": [colors[n] for n in names]},
    }
    x, y = {"field": "x", **axis, "title": "UMAP 1"}, {"field": "y", **axis, "title": "UMAP 2"}
    points = {
        "mark": {"type": "circle", "size": 16 if len(rows) < 4000 else 6, "opacity": 0.8},
        "data": {"name": "cells"},
        "encoding": {
            "x": x,
            "y": y,
            "color": color,
            "tooltip": [{"field": "state", "type": "nominal", "title": column}],
        },
    }
    texts = {"data": {"values": places.to_dict("records")}}
    at = {"x": x, "y": y, "text": {"field": "state", "type": "nominal"}}
    halo = {
        **texts,
        "mark": {
            "type": "text",
            "fontSize": 13,
            "fontWeight": 700,
            "stroke": "#ffffff",
            "strokeWidth": 4,
            "opacity": 0.85,
        },
        "encoding": at,
    }
    label = {**texts, "mark": {"type": "text", "fontSize": 13, "fontWeight": 700, "color": "#1d2328"}, "encoding": at}
    spec = {"layer": [points, halo, label], "width": "container", "height": HEIGHT}
    return packed.attach(spec, {"cells": rows})


def lineage_tree(facts: Facts) -> dict[str, Any]:
    """Return the lineage tree for the first screen; empty where the run has none."""
    spec = facts.spec("trajectory", "lineage_tree")
    return {**spec, "width": "container", "height": HEIGHT} if spec else {}


def _is_number(values: pd.Series) -> bool:
    return values.dtype.kind in "uif"
