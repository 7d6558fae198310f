"""The map of a reference in grey with new cells on top (PNG by matplotlib)."""

from __future__ import annotations

import io

import numpy as np

from . import theme
from .raster import INK, LABEL_LIMIT, LOW, _reduce


def overlay(reference: np.ndarray, new: np.ndarray, labels: np.ndarray, *, inches: float = 6.4) -> bytes:
    """Draw new cells over a reference map.

    Parameters
    ----------
    reference, new
        (cells, 2) positions on one map; new cells without a position (NaN) are left out.
    labels
        (new cells,) text that colours them.
    inches
        Side of the picture.

    Returns
    -------
    PNG bytes on a transparent ground.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(inches, inches * 0.85), dpi=130)
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axis = figure.subplots()
    axis.set_axis_off()
    axis.scatter(*reference.T, s=float(np.clip(20_000 / max(len(reference), 1), 1, 14)), c=LOW, linewidths=0)
    shown = np.isfinite(new).all(1)
    names = theme.natural_sort(set(labels[shown]))
    colors = theme.category_colors(names)
    for name in names:
        cells = shown & (labels == name)
        size = float(np.clip(20_000 / max(int(shown.sum()), 1), 2, 18))
        axis.scatter(*new[cells].T, s=size, c=colors[name], linewidths=0, label=f"{name} ({int(cells.sum()):,})")
    if 0 < len(names) <= LABEL_LIMIT:
        axis.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False, labelcolor=INK, markerscale=2
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True, bbox_inches="tight")
    return _reduce(buffer.getvalue())
