"""Two sets of cells side by side: how a value is spread, how it goes along pseudotime, which genes tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.core.statistics.markers import Spread, centre, marker_table, spread
from mira_nb.core.trajectory.streams import smoothing_weights
from mira_nb.errors import ParameterError
from mira_nb.keys import PSEUDOTIME, RNA
from mira_nb.typing import Floats

from .cells import CellData
from .messages import refusal

REST: Final = "all other cells"
FEWEST: Final = 3
"""Cells of a set below which nothing is tested."""
MOST_CELLS: Final = 2000
"""Cells of a set that are tested; of more, a sample is drawn, and the page says so."""


@dataclass(frozen=True)
class Markers:
    """Genes that tell two sets of cells apart.

    Attributes
    ----------
    table
        See :func:`~mira_nb.core.statistics.markers.marker_table`; the feature is called gene.
    n
        Cells of the sets.
    tested
        Cells that were tested.
    """

    table: pd.DataFrame
    n: tuple[int, int]
    tested: tuple[int, int]


@dataclass(frozen=True)
class Curve:
    """A value along pseudotime in one set of cells."""

    time: Floats
    value: Floats


def sides(data: CellData, first: str, second: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the cells of two selections; the second may be :data:`REST`.

    Raises
    ------
    ParameterError
        A selection is not known, they share cells, or one is too small.
    """
    known = data.kept.selections()
    for name in (first, second):
        if name not in known and name != REST:
            raise refusal(ParameterError, "selection_unknown", name=name, known=list(known))
    one = np.flatnonzero(data.names.isin(known.get(first, ())))
    two = np.setdiff1d(np.arange(len(data.names)), one)
    if second != REST:
        two = np.flatnonzero(data.names.isin(known[second]))
    shared = len(np.intersect1d(one, two))
    if shared:
        raise refusal(ParameterError, "cells_shared", n_cells=shared, first=first, second=second)
    for name, cells in ((first, one), (second, two)):
        if len(cells) < FEWEST:
            raise refusal(ParameterError, "few_cells", name=name, n_cells=len(cells), least=FEWEST)
    return one, two


def markers(data: CellData, first: str, second: str, *, seed: int = 0) -> Markers:
    """Test the expression of every gene between two selections.

    Raises
    ------
    ParameterError
        See :func:`sides`.
    """
    both = sides(data, first, second)
    rng = np.random.default_rng(seed)
    used = [np.sort(rng.choice(x, MOST_CELLS, replace=False)) if len(x) > MOST_CELLS else x for x in both]
    columns = data.columns[RNA]
    columns.make()
    rows = columns.rows(data.rows(np.concatenate(used))).tocsr()
    table = marker_table(rows[: len(used[0])].tocsc(), rows[len(used[0]) :].tocsc(), list(data.genes))
    counts = [(len(one), len(two)) for one, two in (both, used)]
    return Markers(table.rename(columns={"feature": "gene"}), counts[0], counts[1])


def spreads(values: Floats, sets: Mapping[str, NDArray[np.int64]]) -> dict[str, Spread]:
    """Return how a value is spread in each set of cells that has values."""
    found = {name: spread(values[cells]) for name, cells in sets.items()}
    return {name: item for name, item in found.items() if item is not None}


def curves(
    data: CellData, values: Floats, sets: Mapping[str, NDArray[np.int64]], *, n_grid: int = 60
) -> dict[str, Curve]:
    """Return a value along pseudotime in each set, smoothed as streams are; nothing without pseudotime."""
    if PSEUDOTIME not in data.annotations:
        return {}
    time = data.annotations[PSEUDOTIME].to_numpy(dtype=float)
    out: dict[str, Curve] = {}
    for name, cells in sets.items():
        known = cells[np.isfinite(time[cells]) & np.isfinite(values[cells])]
        if len(known) < 2 * FEWEST or np.ptp(time[known]) == 0:
            continue
        low, high = np.percentile(time[known], (1, 99))
        grid = np.linspace(low, high, n_grid)
        window = max((high - low) / 4, 1e-9)
        weights = smoothing_weights(time[known], grid, window=window, degree=1)
        out[name] = Curve(grid, np.asarray(weights @ values[known]))
    return out


def central_cell(data: CellData, cells: Sequence[str]) -> str:
    """Return the cell in the middle of a selection: the nearest to its median in the joint space.

    Raises
    ------
    ParameterError
        None of the cells is in this run.
    """
    positions = np.flatnonzero(data.names.isin(list(cells)))
    if not len(positions):
        raise refusal(ParameterError, "no_cell_of_run")
    return str(data.names[positions[centre(data.space[positions])]])
