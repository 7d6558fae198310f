"""Numbers behind stream graphs: features smoothed along pseudotime over a lineage tree by local quadratic regression.

Extended Methods, Stream graphs: the value of a feature at a point of pseudotime is a Savitzky-Golay filter over a
window, and features are ordered by the pseudotime of their maximum. Cells are not evenly spaced in pseudotime, so the
filter is used in its general form: a polynomial is fitted by least squares to the cells in the window, and its value
at the centre is taken. The window is a stretch of pseudotime, not a number of cells; where it holds too few cells it
widens to the nearest ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.typing import Floats


@dataclass(frozen=True)
class TreePaths:
    """A lineage tree as stretches of pseudotime.

    Attributes
    ----------
    segments
        One row per node: ``node, parent, start, end, lane``. A node's stretch begins at its parent's branch time;
        ``lane`` is its vertical position: lineages 0, 1, 2, ... and inner nodes midway between their children.
    members
        For every node the nodes whose cells are averaged along its stretch: its ancestors, itself, its descendants.
    """

    segments: pd.DataFrame
    members: Mapping[str, tuple[str, ...]]


def tree_paths(nodes: pd.DataFrame, pseudotime: Floats, states: NDArray[np.object_]) -> TreePaths:
    """Lay a lineage tree out along pseudotime.

    Parameters
    ----------
    nodes
        ``node, parent, branch_time, ...``; parents before children, the root first.
    pseudotime, states
        (n,) of the cells; cells without pseudotime (NaN) are left out.
    """
    names = nodes["node"].astype(str).tolist()
    parent = dict(zip(names, nodes["parent"].fillna("").astype(str), strict=True))
    split = dict(zip(names, nodes["branch_time"].astype(float), strict=True))
    children = {name: [other for other in names if parent[other] == name] for name in names}
    known = np.isfinite(pseudotime)
    lanes: dict[str, float] = {}

    def place(node: str) -> float:
        below = [place(child) for child in children[node]]
        # Leaves are numbered in the order in which they are met, so that branches never cross.
        lanes[node] = float(np.mean(below)) if below else float(sum(not children[name] for name in lanes))
        return lanes[node]

    place(names[0])
    rows, members = [], {}
    for name in names:
        above, node = [], parent[name]
        while node:
            above.append(node)
            node = parent[node]
        below, queue = [], list(children[name])
        while queue:
            child = queue.pop(0)
            below.append(child)
            queue += children[child]
        members[name] = (*above, name, *below)
        own = pseudotime[known & np.isin(states.astype(str), [name, *below])]
        begin = split[parent[name]] if parent[name] else float(pseudotime[known].min())
        last = float(own.max()) if len(own) else begin
        end = split[name] if children[name] and np.isfinite(split[name]) else last
        rows.append((name, parent[name], float(begin), max(float(end), float(begin)), lanes[name]))
    frame = pd.DataFrame(rows, columns=["node", "parent", "start", "end", "lane"])
    return TreePaths(segments=frame, members=members)


def smoothing_weights(
    pseudotime: Floats,
    grid: Floats,
    *,
    window: float,
    degree: int = 2,
    min_cells: int = 30,
    cell_weights: Floats | None = None,
) -> sparse.csr_matrix:
    """Return a linear smoother, (grid x cells) weights; smoothed values are ``weights @ values``.

    Parameters
    ----------
    pseudotime
        (n,) finite values.
    grid
        (G,) points at which to smooth.
    window
        Full width of the window in pseudotime.
    degree
        Degree of the polynomial; lowered where the window holds fewer different times.
    min_cells
        The window widens until it holds this many cells (or all).
    cell_weights
        (n,) how often a cell counts, e.g. in a bootstrap sample.
    """
    n = len(pseudotime)
    if n == 0:
        raise InputError("no cell to smooth over")
    order = np.argsort(pseudotime, kind="stable")
    times = pseudotime[order]
    counts = np.ones(n) if cell_weights is None else np.asarray(cell_weights, dtype=np.float64)[order]
    indptr, indices, data = [0], [], []
    for point in np.asarray(grid, dtype=np.float64):
        left, right = np.searchsorted(times, [point - window / 2, point + window / 2 + 1e-12])
        left, right = _widen(times, int(left), int(right), float(point), min(min_cells, n))
        inside = np.arange(left, right)
        row = _local_fit(times[inside] - point, counts[inside], degree)
        indices.append(order[inside])
        data.append(row)
        indptr.append(indptr[-1] + len(inside))
    return sparse.csr_matrix((np.concatenate(data), np.concatenate(indices), indptr), shape=(len(grid), n))


def _widen(times: Floats, left: int, right: int, point: float, wanted: int) -> tuple[int, int]:
    """Add the nearest cells until the window holds the wanted number."""
    while right - left < wanted:
        before = point - times[left - 1] if left > 0 else np.inf
        after = times[right] - point if right < len(times) else np.inf
        if before <= after:
            left -= 1
        else:
            right += 1
    return left, right


def _local_fit(offset: Floats, counts: Floats, degree: int) -> Floats:
    """Return the weights with which values at the offsets give the least-squares polynomial's value at zero."""
    distinct = len(np.unique(offset[counts > 0]))
    degree = max(min(degree, distinct - 1), 0)
    scale = float(np.abs(offset).max()) or 1.0
    design = np.vander(offset / scale, degree + 1, increasing=True)
    weighted = design * counts[:, None]
    moments = weighted.T @ design
    if counts.sum() == 0:
        return np.full(len(offset), 1 / len(offset))
    solution = np.linalg.lstsq(moments, np.eye(degree + 1)[0], rcond=None)[0]
    return np.asarray(weighted @ solution)


@dataclass(frozen=True)
class Smoothing:
    """Local polynomials along a stretch of the tree.

    Attributes
    ----------
    window
        Width of the window as a fraction of the pseudotime range.
    n_points
        Points over the whole range; a stretch gets its part, at least 8.
    min_cells
        The window widens until it holds this many cells (or all).
    degree
        Degree of the polynomial.
    """

    window: float = 0.15
    n_points: int = 60
    min_cells: int = 30
    degree: int = 2


@dataclass(frozen=True)
class Band:
    """Bootstrap of the cells of a stretch.

    Attributes
    ----------
    n_resamples
        Bootstrap samples of cells.
    rng
        Draws them.
    level
        Fraction of the samples inside of the band.
    """

    n_resamples: int
    rng: np.random.Generator
    level: float = 0.95


SMOOTHING: Final = Smoothing()


def smooth_tree(
    paths: TreePaths,
    pseudotime: Floats,
    states: NDArray[np.object_],
    values: pd.DataFrame,
    *,
    smoothing: Smoothing = SMOOTHING,
    band: Band | None = None,
) -> pd.DataFrame:
    """Smooth features along every stretch of the tree.

    Parameters
    ----------
    paths
        From :func:`tree_paths`.
    pseudotime, states
        (n,) of the cells.
    values
        (n, F) features, one column each. Where none is negative, smoothed values are cut at 0.
    smoothing
        Window and polynomial.
    band
        Bootstrap of the cells for a band (columns ``low`` and ``high``); None: none.

    Returns
    -------
    Long table ``node, pseudotime, feature, value, n_cells`` (and ``low, high``); ``n_cells``: cells in the window.
    """
    known = np.flatnonzero(np.isfinite(pseudotime))
    span = float(np.ptp(pseudotime[known])) or 1.0
    matrix = values.to_numpy(dtype=np.float64)
    floor = np.where((matrix[known] >= 0).all(axis=0), 0.0, -np.inf)
    text = states.astype(str)
    tables = []
    segments = zip(*(paths.segments[name].tolist() for name in ("node", "start", "end")), strict=True)
    for node, begin, end in segments:
        inside = known[np.isin(text[known], paths.members[node])]
        if not len(inside):
            continue
        grid = np.linspace(begin, end, max(8, round(smoothing.n_points * (end - begin) / span)))
        times = pseudotime[inside]
        fit = partial(
            smoothing_weights,
            times,
            grid,
            window=smoothing.window * span,
            degree=smoothing.degree,
            min_cells=smoothing.min_cells,
        )
        weights = fit()
        smooth = np.maximum(weights @ matrix[inside], floor)
        table = _long(node, grid, smooth, np.diff(weights.indptr), [str(name) for name in values.columns])
        if band is not None:
            draws = np.empty((band.n_resamples, *smooth.shape))
            for i in range(band.n_resamples):
                counts = band.rng.multinomial(len(inside), np.full(len(inside), 1 / len(inside))).astype(np.float64)
                draws[i] = np.maximum(fit(cell_weights=counts) @ matrix[inside], floor)
            tail = 100 * (1 - band.level) / 2
            low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
            table = table.assign(low=low.ravel(order="F"), high=high.ravel(order="F"))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _long(node: str, grid: Floats, smooth: Floats, n_cells: NDArray, features: Sequence[str]) -> pd.DataFrame:
    n_points, n_features = smooth.shape
    return pd.DataFrame(
        {
            "node": node,
            "pseudotime": np.tile(grid, n_features),
            "feature": np.repeat(np.asarray(features, dtype=object), n_points),
            "value": smooth.ravel(order="F"),
            "n_cells": np.tile(n_cells, n_features),
        }
    )


def order_by_peak(smooth: pd.DataFrame) -> list[str]:
    """Return features in the order of the pseudotime of their maximum (ties: as they came)."""
    first = list(dict.fromkeys(smooth["feature"]))
    peak = {}
    for name, part in smooth.groupby("feature", sort=False):
        peak[name] = float(part["pseudotime"].to_numpy()[int(part["value"].to_numpy().argmax())])
    return sorted(first, key=lambda name: peak[name])


def stack(
    smooth: pd.DataFrame,
    paths: TreePaths,
    order: Sequence[str],
    *,
    gap: float = 0.25,
    bend: float = 0.12,
) -> pd.DataFrame:
    """Stack features into streams around the lanes of the tree (columns ``bottom`` and ``top`` added).

    A child's lane starts at its parent's and bends to its own over the first `bend` of the range, so that branches
    leave the parent where it ends. Lanes lie as far apart as the tallest stack, plus `gap` of it.
    """
    segments = paths.segments.set_index("node")
    span = float(segments["end"].max() - segments["start"].min()) or 1.0
    frame = smooth.copy()
    frame["rank"] = frame["feature"].map({name: i for i, name in enumerate(order)})
    frame = frame.sort_values(["node", "pseudotime", "rank"], kind="stable", ignore_index=True)
    groups = frame.groupby(["node", "pseudotime"], sort=False)["value"]
    total = groups.transform("sum").to_numpy()
    above = groups.cumsum().to_numpy()
    spacing = float(total.max()) * (1 + gap) or 1.0
    lane = segments["lane"].reindex(frame["node"]).to_numpy()
    parents = segments["parent"].reindex(frame["node"])
    origin = segments["lane"].reindex(parents).to_numpy()
    origin = np.where(np.isnan(origin), lane, origin)
    begin = segments["start"].reindex(frame["node"]).to_numpy()
    done = np.clip((frame["pseudotime"].to_numpy() - begin) / (bend * span), 0, 1)
    centre = (origin + (lane - origin) * done * done * (3 - 2 * done)) * -spacing
    frame["top"] = centre - total / 2 + above
    frame["bottom"] = frame["top"] - frame["value"]
    return frame.drop(columns="rank")


def window_means(
    pseudotime: Floats,
    states: NDArray[np.object_],
    paths: TreePaths,
    values: pd.DataFrame,
    *,
    n_bins: int = 40,
) -> pd.DataFrame:
    """Average the cells in each window of pseudotime along every lineage from root to end (heatmap mode).

    Returns ``lineage, start, end, feature, value, n_cells``; empty windows are left out.
    """
    known = np.isfinite(pseudotime)
    edges = np.linspace(pseudotime[known].min(), pseudotime[known].max(), n_bins + 1)
    window = np.clip(np.searchsorted(edges, pseudotime, side="right") - 1, 0, n_bins - 1)
    text = states.astype(str)
    inner = set(paths.segments["parent"])
    tables = []
    for lineage in [name for name in paths.segments["node"] if name not in inner]:
        inside = known & np.isin(text, paths.members[lineage])
        part = values[inside].groupby(window[inside])
        means, counts = part.mean(), part.size()
        long = means.stack()
        index = long.index.get_level_values(0).to_numpy()
        tables.append(
            pd.DataFrame(
                {
                    "lineage": lineage,
                    "start": edges[index],
                    "end": edges[index + 1],
                    "feature": long.index.get_level_values(1).astype(str),
                    "value": long.to_numpy(),
                    "n_cells": counts.reindex(index).to_numpy(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def swarm_offsets(pseudotime: Floats, lanes: Floats, *, window: float = 0.02, width: float = 0.8) -> Floats:
    """Return vertical offsets that spread cells of the same time, wider where there are more; nothing is random.

    Parameters
    ----------
    pseudotime, lanes
        (n,) of the cells; cells of one lane are spread together.
    window
        Width of the neighbourhood in pseudotime, as a fraction of the range.
    width
        Full width of the widest place.
    """
    out = np.zeros(len(pseudotime))
    span = float(np.ptp(pseudotime)) or 1.0
    densest = 1.0
    shares: list[tuple[NDArray[np.int64], Floats, Floats]] = []
    for lane in np.unique(lanes):
        cells = np.flatnonzero(lanes == lane)
        sorted_cells = cells[np.argsort(pseudotime[cells], kind="stable")]
        times = pseudotime[sorted_cells]
        half = window * span / 2
        density = np.searchsorted(times, times + half, side="right") - np.searchsorted(times, times - half)
        densest = max(densest, float(density.max()))
        shares.append((sorted_cells, density.astype(np.float64), _van_der_corput(len(sorted_cells)) - 0.5))
    for members, crowd, place in shares:
        out[members] = place * width * crowd / densest
    return out


def _van_der_corput(n: int) -> Floats:
    """Return the first n numbers of the base-2 sequence: evenly spread at every length."""
    out = np.zeros(n)
    left = list(range(1, n + 1))
    scale = 0.5
    while any(left):
        out += scale * np.asarray([number % 2 for number in left])
        left = [number // 2 for number in left]
        scale /= 2
    return out
