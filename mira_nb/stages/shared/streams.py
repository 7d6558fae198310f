"""Draw any features of the cells along a lineage tree: streams, heatmaps, lines, scatters and swarms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mira_nb.charts.streams import (
    Shade,
    TimeScale,
    heatmap_chart,
    line_chart,
    scatter_chart,
    stream_chart,
    stream_labels,
    swarm_chart,
)
from mira_nb.charts.trajectory import node_palette
from mira_nb.core.trajectory.streams import (
    Band,
    Smoothing,
    TreePaths,
    order_by_peak,
    smooth_tree,
    stack,
    swarm_offsets,
    tree_paths,
    window_means,
)
from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

TEXTS = Texts(__package__)
MAX_CELLS = 5000
"""Cells that a scatter or swarm draws at most."""
N_WINDOWS = 40
"""Windows of pseudotime of a heatmap."""


@dataclass(frozen=True)
class Axis:
    """Pseudotime, states and tree of the cells, ready for drawing.

    Attributes
    ----------
    pseudotime, states
        (n,) of all cells; NaN and None outside the trajectory.
    nodes
        Lineage tree: ``node, parent, branch_time, n_cells``.
    window
        Width of the smoothing window, as a fraction of the range of pseudotime (0 to 1).
    time
        Scale of the time axis.
    n_resamples, seed
        Bootstrap samples for the bands of line mode.
    """

    pseudotime: np.ndarray
    states: np.ndarray
    nodes: pd.DataFrame
    window: float = 0.15
    time: TimeScale = "linear"
    n_resamples: int = 100
    seed: int = 0
    paths: TreePaths = field(init=False)

    def __post_init__(self) -> None:
        """Lay out the tree."""
        object.__setattr__(self, "paths", tree_paths(self.nodes, self.pseudotime, self.states))

    @property
    def colors(self) -> dict[str, str]:
        """Return the colour of every node."""
        return node_palette(self.nodes)

    @property
    def n_cells(self) -> int:
        """Count the cells with a pseudotime."""
        return int(np.isfinite(self.pseudotime).sum())

    def smooth(self, values: pd.DataFrame, *, bands: bool = False) -> pd.DataFrame:
        """Return the values smoothed along the tree, with bootstrap bands if asked."""
        band = Band(self.n_resamples, np.random.default_rng([self.seed, 13])) if bands and self.n_resamples else None
        return smooth_tree(
            self.paths, self.pseudotime, self.states, values, smoothing=Smoothing(self.window), band=band
        )

    def sample(self) -> np.ndarray:
        """Return the rows of a random sample of at most ``MAX_CELLS`` cells with a pseudotime."""
        rows = np.flatnonzero(np.isfinite(self.pseudotime))
        if len(rows) > MAX_CELLS:
            rows = np.sort(np.random.default_rng([self.seed, 17]).choice(rows, MAX_CELLS, replace=False))
        return rows

    def only(self, lineage: str) -> Axis:
        """Return the axis along one lineage, from the root to its end, as a single segment."""
        inside = np.isin(self.states.astype(str), self.paths.members[lineage])
        last = pd.DataFrame(
            {"node": [lineage], "parent": [""], "branch_time": [np.nan], "n_cells": [int(inside.sum())]}
        )
        states = np.full(len(inside), None, dtype=object)
        states[inside] = lineage
        time = np.where(inside, self.pseudotime, np.nan)
        return Axis(time, states, last, self.window, self.time, self.n_resamples, self.seed)


def stream_figure(
    axis: Axis,
    values: pd.DataFrame,
    *,
    name: str,
    title: str,
    what: str,
    colors: dict[str, str] | None = None,
    shade: pd.DataFrame | None = None,
    shade_title: str = "",
    shade_centre: float | None = None,
    section: str = "Streams",
) -> Figure:
    """Draw a stream graph of non-negative features over the tree.

    Parameters
    ----------
    axis
        Pseudotime, states and tree of the cells.
    values
        (n_cells, F) one column per feature.
    name, title, section
        Name of the figure in the run folder, its title, and the heading it stands under.
    what
        What the values are, as axis title and in the caption.
    colors
        Colour of each feature.
    shade
        ``feature, node, shade``: a value per feature and node that colours the streams (node may be left out).
    """
    smooth = axis.smooth(values)
    order = order_by_peak(smooth)
    stacked = stack(smooth, axis.paths, order)
    if shade is not None:
        keys = [key for key in ("feature", "node") if key in shade.columns]
        stacked = stacked.merge(shade, on=keys, how="left", validate="m:1")
    chart, packed = stream_chart(
        stacked,
        order=order,
        colors=colors,
        time=axis.time,
        labels=stream_labels(stacked),
        value_title=what,
        shade=None if shade is None else Shade("shade", shade_title, centre=shade_centre),
    )
    return TEXTS.figure(
        "stream",
        chart,
        name=name,
        packed=packed,
        title=title,
        section=section,
        what=what,
        window=axis.window,
        n_cells=axis.n_cells,
        shade="" if shade is None else shade_title,
    )


def heatmap_figure(
    axis: Axis, values: pd.DataFrame, *, name: str, title: str, what: str, section: str = "Streams"
) -> Figure:
    """Draw a heatmap: every box is the mean of the cells in one window of pseudotime."""
    windows = window_means(axis.pseudotime, axis.states, axis.paths, values, n_bins=N_WINDOWS)
    order = order_by_peak(axis.smooth(values))
    chart, packed = heatmap_chart(windows, order=order, time=axis.time, value_title=what)
    return TEXTS.figure(
        "heatmap",
        chart,
        name=name,
        packed=packed,
        title=title,
        section=section,
        what=what,
        n_windows=N_WINDOWS,
        n_cells=axis.n_cells,
    )


def line_figure(
    axis: Axis,
    values: pd.DataFrame,
    *,
    name: str,
    title: str,
    what: str,
    beside: dict[str, pd.DataFrame] | None = None,
    section: str = "Streams",
) -> Figure:
    """Draw lines with bootstrap bands; `beside` puts other values of the same features next to them.

    Panels stand in the order of the columns: topics by number, genes as they were chosen.
    """
    curves = axis.smooth(values, bands=axis.n_resamples > 0)
    order = [str(name) for name in values.columns]
    quantity = None
    if beside:
        parts = [curves.assign(quantity=what)]
        parts += [
            axis.smooth(other, bands=axis.n_resamples > 0).assign(quantity=label) for label, other in beside.items()
        ]
        curves, quantity = pd.concat(parts, ignore_index=True), "quantity"
    chart, packed = line_chart(curves, order=order, node_colors=axis.colors, quantity=quantity, time=axis.time)
    return TEXTS.figure(
        "lines",
        chart,
        name=name,
        packed=packed,
        title=title,
        section=section,
        what=what,
        n_cells=axis.n_cells,
        n_resamples=axis.n_resamples,
    )


def scatter_figure(
    axis: Axis, values: pd.DataFrame, *, name: str, title: str, what: str, section: str = "Streams"
) -> Figure:
    """Draw one dot per cell over pseudotime, with a menu of the features and their smoothed lines."""
    rows = axis.sample()
    cells = values.iloc[rows].reset_index(drop=True)
    cells.insert(0, "pseudotime", axis.pseudotime[rows])
    cells["node"] = pd.Categorical(axis.states[rows].astype(str))
    names = [str(column) for column in values.columns]
    chart, packed = scatter_chart(cells, axis.smooth(values), quantities=names, node_colors=axis.colors, time=axis.time)
    return TEXTS.figure(
        "scatter",
        chart,
        name=name,
        packed=packed,
        title=title,
        section=section,
        what=what,
        n_cells=axis.n_cells,
        n_drawn=len(rows),
    )


def swarm_figure(
    axis: Axis, values: pd.DataFrame, *, name: str, title: str, what: str, section: str = "Streams"
) -> Figure:
    """Draw one dot per cell on its branch of the tree, coloured by a feature chosen in a menu."""
    rows = axis.sample()
    lanes = axis.paths.segments.set_index("node")["lane"].reindex(axis.states[rows].astype(str)).to_numpy()
    cells = values.iloc[rows].reset_index(drop=True)
    cells.insert(0, "pseudotime", axis.pseudotime[rows])
    cells.insert(1, "y", lanes + swarm_offsets(axis.pseudotime[rows], lanes))
    names = [str(column) for column in values.columns]
    chart, packed = swarm_chart(cells, quantities=names, lanes=axis.paths.segments, time=axis.time)
    return TEXTS.figure(
        "swarm",
        chart,
        name=name,
        packed=packed,
        title=title,
        section=section,
        what=what,
        n_cells=axis.n_cells,
        n_drawn=len(rows),
    )
