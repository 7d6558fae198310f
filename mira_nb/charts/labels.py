"""Places of the names of groups on a map, so that none hides another."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

CHARACTER: Final = 7.8
"""Width of a bold character of 13 px, in pixels."""
LINE: Final = 16.0
"""Height of a name, in pixels."""
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
