"""Places of names in charts, so that none hides another: of groups on a map, of points in a scatter plot."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CHARACTER: Final = 7.8
"""Width of a bold character of 13 px, in pixels."""
LINE: Final = 16.0
"""Height of a name, in pixels."""
SPREAD: Final = "spread"
"""Style of text marks whose names move beside their points and away from each other."""
_GAPS: Final = (4, 12, 24)
"""Distances of a name from its point in pixels, the nearest with room first."""
_ANCHORS: Final = ("top", "bottom", "right", "left", "top-right", "top-left", "bottom-right", "bottom-left")
LAYOUT: Final[dict[str, Any]] = {
    "type": "label",
    "anchor": list(_ANCHORS) * len(_GAPS),
    "offset": [gap for gap in _GAPS for _ in _ANCHORS],
    "padding": 0,
}
"""Vega's placement of labels, which Vega-Lite cannot ask for; a name without room is left out."""
_SIDES: Final = ((0.0, 0.0), (0.0, -1.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0))


def place_labels(cells: pd.DataFrame, *, width: float, height: float) -> pd.DataFrame:
    """Return where the names of groups stand: at the median of their cells, beside it, or nowhere.

    The largest groups choose first. A group whose cells take less room than its name has the name beside them, so that
    they stay visible; a name that would lie on another is left out.

    Parameters
    ----------
    cells
        Columns x, y, state; rows without a state are left out.
    width, height
        Size of the map in pixels.

    Returns
    -------
    pandas.DataFrame
        Columns state, x, y, in the units of the cells.
    """
    known = cells.dropna(subset=["x", "y", "state"]).astype({"state": str})
    corner = known[["x", "y"]].min()
    unit = (known[["x", "y"]].max() - corner).replace(0, 1) / np.array([width, height])
    taken: list[tuple[float, float, float, float]] = []
    rows = []
    sizes = known["state"].value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    for name in sizes.index:
        pixels = ((known.loc[known["state"] == name, ["x", "y"]] - corner) / unit).to_numpy(dtype=float)
        half = np.array([len(name) * CHARACTER, LINE]) / 2
        reach = np.quantile(np.abs(pixels - np.median(pixels, axis=0)), 0.9, axis=0)
        small = bool((reach < half).all())
        for side in (*_SIDES[1:], _SIDES[0]) if small else _SIDES:
            middle = np.median(pixels, axis=0) + np.array(side) * (half + np.minimum(reach, half) + 2)
            middle = np.clip(middle, half, np.maximum(np.array([width, height]) - half, half))
            box = (*(middle - half), *(middle + half))
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                x, y = middle * unit.to_numpy() + corner.to_numpy()
                rows.append((name, x, y))
                break
    return pd.DataFrame(rows, columns=["state", "x", "y"])


def _overlap(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    """Return whether two boxes (left, low, right, high) share an area."""
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def spread_marks(vega: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a compiled chart (Vega) whose names of style :data:`SPREAD` stand on their points, and their marks."""
    out = copy.deepcopy(dict(vega))
    found: list[str] = []
    for mark in _marks(out):
        if SPREAD in (mark.get("style") or ()):
            found.append(str(mark["name"]))
            for shift in ("dx", "dy"):
                mark["encode"]["update"].pop(shift, None)
    return out, found


def spread_names(root: Element, marks: Sequence[str], *, width: float, height: float) -> None:
    """Move names in a chart drawn as SVG beside their points and off each other; drop those without room.

    The report's page does so by Vega's own layout of labels, which needs a browser's canvas.

    Parameters
    ----------
    root
        The drawing of :func:`spread_marks`'s chart, changed in place.
    marks
        Names of the marks.
    width, height
        Size of the plane in pixels.
    """
    drawn = [(node, (node.get("class") or "").split()) for node in root.iter() if node.get("class")]
    points = np.array(
        [_place(item) for node, kinds in drawn if {"mark-symbol", "role-mark"} <= set(kinds) for item in node]
    ).reshape(-1, 2)
    taken: list[tuple[float, float, float, float]] = []
    for node, kinds in drawn:
        if not set(marks) & set(kinds):
            continue
        for item in list(node):
            size = float((item.get("font-size") or "11px").removesuffix("px"))
            half = np.array([0.6 * size * len(item.text or "") + 2, size + 1]) / 2
            found = _beside(np.array(_place(item)), half, points, taken, (width, height))
            if found is None:
                node.remove(item)
                continue
            taken.append((*(found - half), *(found + half)))
            item.set("text-anchor", "middle")
            item.set("transform", f"translate({found[0]:.2f},{found[1] + 0.32 * size:.2f})")


def _beside(
    at: np.ndarray,
    half: np.ndarray,
    points: np.ndarray,
    taken: Sequence[tuple[float, float, float, float]],
    room: tuple[float, float],
) -> np.ndarray | None:
    """Return the middle of a name near its point: on no point where that can be, on no other name in any case."""
    places = [
        at + np.array(side) * (half + gap)
        for gap in _GAPS
        for side in ((0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1))
    ]
    free = [
        place
        for place in places
        if (place - half >= 0).all()
        and (place + half <= room).all()
        and not any(_overlap((*(place - half), *(place + half)), other) for other in taken)
    ]
    clear = [place for place in free if not (np.abs(points - place) < half + 2).all(axis=1).any()]
    return next(iter([*clear, *free]), None)


def _place(item: Element) -> tuple[float, float]:
    found = re.match(r"translate\(([-\d.e]+),([-\d.e]+)\)", item.get("transform") or "")
    return (float(found[1]), float(found[2])) if found else (np.nan, np.nan)


def _marks(node: Any) -> Iterator[dict[str, Any]]:
    for mark in node.get("marks", ()):
        yield mark
        yield from _marks(mark)
