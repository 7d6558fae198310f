"""Pictures of point clouds (PNG by matplotlib), drawn so that they are readable on light and on dark pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from . import theme

INK: Final = "#76808a"
"""Mid grey: contrast of at least 3.9 to white and to the report's dark ground."""
LOW: Final = "#b9c1c9"
MISSING: Final = "#c9ced3"
LABEL_LIMIT: Final = 30


@dataclass(frozen=True)
class Panel:
    """One small scatter: coordinates (cells), values (cells; numeric or categorical), titles and colour."""

    x: np.ndarray
    y: np.ndarray
    values: pd.Series
    title: str = ""
    side_title: str = ""
    color: str | None = None


def draw_panels(rows: Sequence[Sequence[Panel]], *, panel_inches: float = 1.9, dpi: int = 130) -> bytes:
    """Draw a grid of panels on a transparent ground and return PNG bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_rows, n_columns = len(rows), max(len(row) for row in rows)
    figure = Figure(figsize=(panel_inches * n_columns, (panel_inches + 0.28) * n_rows), dpi=dpi)
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for i in range(n_rows):
        for j in range(n_columns):
            axis = axes[i][j]
            axis.set_axis_off()
            if j < len(rows[i]):
                _draw(axis, rows[i][j], panel_inches=panel_inches)
    figure.subplots_adjust(left=0.03, right=0.995, top=0.9 if n_rows == 1 else 1 - 0.3 / n_rows / 2, bottom=0.01)
    figure.subplots_adjust(wspace=0.06, hspace=0.2)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, transparent=True)
    return _reduce(buffer.getvalue())


def _draw(axis: Any, panel: Panel, *, panel_inches: float) -> None:
    area = float(np.clip(2600 * (panel_inches / 1.9) ** 2 / max(len(panel.x), 1), 0.25, 14.0))
    axis.set_aspect("auto")
    if pd.api.types.is_numeric_dtype(panel.values.dtype) and not pd.api.types.is_bool_dtype(panel.values.dtype):
        note = _draw_numbers(axis, panel, area)
    else:
        note = _draw_categories(axis, panel, area)
    if panel.title:
        axis.set_title(panel.title, fontsize=8.5, color=INK, fontweight="bold", pad=3, parse_math=False)
    if note:
        axis.text(0.99, 0.01, note, transform=axis.transAxes, fontsize=5.5, color=INK, ha="right", va="bottom")
    if panel.side_title:
        axis.text(
            -0.02, 0.5, panel.side_title, transform=axis.transAxes, fontsize=8.5, color=INK, fontweight="bold",
            rotation=90, ha="right", va="center", parse_math=False,
        )  # fmt: skip


def _draw_numbers(axis: Any, panel: Panel, area: float) -> str:
    from matplotlib.colors import LinearSegmentedColormap

    values = panel.values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(values)
    if not known.any():
        axis.scatter(panel.x, panel.y, s=area, c=MISSING, linewidths=0)
        return "no values"
    low, high = float(values[known].min()), float(np.quantile(values[known], 0.995))
    if high <= low:
        high = float(values[known].max())
    if low < 0 < high and min(-low, high) > 0.1 * max(-low, high):
        # signed values: symmetric around zero
        low, high = float(np.quantile(values[known], 0.005)), high
        bound = max(-low, high)
        low, high = -bound, bound
        scale = LinearSegmentedColormap.from_list("signed", ["#5D3A9B", LOW, "#E66100"])
    else:
        top = panel.color or theme.HIGHLIGHT
        scale = LinearSegmentedColormap.from_list("ramp", [LOW, top])
    axis.scatter(panel.x[~known], panel.y[~known], s=area, c=MISSING, linewidths=0, alpha=0.4)
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    axis.scatter(
        panel.x[order], panel.y[order], s=area, c=values[order], cmap=scale, vmin=low,
        vmax=high if high > low else low + 1, linewidths=0,
    )  # fmt: skip
    shown = 0.0 if abs(low) < 1e-3 * abs(high) else low
    return f"{shown:.2g} to {high:.2g}"


def _draw_categories(axis: Any, panel: Panel, area: float) -> str:
    from matplotlib.patheffects import withStroke

    text = panel.values.astype("object").map(str, na_action="ignore")
    if isinstance(panel.values.dtype, pd.CategoricalDtype):
        names = [str(name) for name in panel.values.cat.categories]
    else:
        names = theme.natural_sort(text.dropna().unique())
    colors = theme.category_colors(names)
    known = text.notna().to_numpy()
    axis.scatter(panel.x[~known], panel.y[~known], s=area, c=MISSING, linewidths=0, alpha=0.4)
    shades = text[known].map(colors).to_numpy()
    axis.scatter(panel.x[known], panel.y[known], s=area, c=list(shades), linewidths=0)
    if len(names) > LABEL_LIMIT:
        return f"{len(names)} groups"
    labels = text.to_numpy()
    for name in names:
        members = labels == name
        if members.any():
            middle = float(np.median(panel.x[members])), float(np.median(panel.y[members]))
            axis.text(
                *middle, name, fontsize=6, color="#1b1f23", ha="center", va="center", parse_math=False,
                path_effects=[withStroke(linewidth=1.6, foreground="#ffffff")],
            )  # fmt: skip
    return ""


def _reduce(png: bytes) -> bytes:
    """Reduce a picture to 256 colours with transparency: a third of the bytes, no visible difference for dots."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGBA").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
