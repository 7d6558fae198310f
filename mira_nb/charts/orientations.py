"""Two orientations of one trajectory side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import altair as alt
import pandas as pd

from . import theme
from .embedding import point_size

CELLS: Final = "cells"
WIDTH: Final = 270


def orientation_maps(
    cells: pd.DataFrame, starts: pd.DataFrame, *, titles: Mapping[str, str]
) -> tuple[alt.HConcatChart, dict[str, pd.DataFrame]]:
    """Draw the joint map once per orientation, coloured by its pseudotime, with its start cell.

    Parameters
    ----------
    cells
        ``x, y`` and one column of pseudotime per orientation (NaN: drawn grey).
    starts
        ``orientation, x, y``: where the start cell stands.
    titles
        Title of each orientation, by the name of its column, in the order of drawing.
    """
    bare = alt.Axis(ticks=False, labels=False, grid=False)
    free = alt.Scale(zero=False, nice=False)
    x = alt.X("x:Q", title="UMAP 1", axis=bare, scale=free)
    below = alt.Legend(orient="bottom", gradientLength=160)
    size = point_size(len(cells), width=WIDTH, height=WIDTH)
    parts: list[Any] = []
    for name, title in titles.items():
        y = alt.Y("y:Q", title=None if parts else "UMAP 2", axis=bare, scale=free)
        base = alt.Chart(alt.NamedData(CELLS)).encode(x=x, y=y)
        outside = base.transform_filter(f"!isValid(datum['{name}'])").mark_circle(size=size, color="#c9cdd2")
        color = alt.Color(
            f"{name}:Q", title="Pseudotime (0 to 1)", scale=alt.Scale(scheme=theme.SEQUENTIAL), legend=below
        )
        inside = base.transform_filter(f"isValid(datum['{name}'])").mark_circle(size=size, opacity=0.8)
        start = (
            alt.Chart(starts[starts["orientation"] == name])
            .mark_point(filled=True, size=190, shape="triangle-up", stroke="#ffffff", color=theme.HIGHLIGHT, opacity=1)
            .encode(x=x, y=y)
        )
        layers = alt.layer(outside, inside.encode(color=color), start)
        parts.append(layers.properties(width=WIDTH, height=WIDTH, title=title))
    return alt.hconcat(*parts), {CELLS: cells}
