"""Cuts of the transposase along chosen regions, summed over groups of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mira_nb.typing import Ints

from .fragments import Fragments

BIN: Final = 100
"""Smallest bin, bp."""
MOST_VALUES: Final = 40_000_000
"""Bins times groups that are counted; bins are doubled in width until there are no more."""


@dataclass(frozen=True)
class Regions:
    """Regions that do not overlap, cut into bins of equal width.

    Attributes
    ----------
    width
        Width of a bin, bp; regions begin at its multiples.
    chrom, start, n_bins
        (regions,) number of the chromosome, 0-based start and number of bins, by chromosome and start.
    """

    width: int
    chrom: Ints
    start: Ints
    n_bins: Ints

    @property
    def first(self) -> Ints:
        """(regions + 1,) number of each region's first bin; the last is the number of all bins."""
        return np.concatenate([[0], np.cumsum(self.n_bins)]).astype(np.int64)

    def bins(self, chrom: Ints, position: Ints) -> Ints:
        """Return the bin of every position; -1 outside of all regions."""
        out = np.full(len(position), -1, dtype=np.int64)
        for number in np.unique(chrom):
            rows = np.flatnonzero(self.chrom == number)
            if not len(rows):
                continue
            here = np.flatnonzero(chrom == number)
            place = np.searchsorted(self.start[rows], position[here], side="right") - 1
            region = rows[np.maximum(place, 0)]
            step = (position[here] - self.start[region]) // self.width
            inside = (place >= 0) & (step < self.n_bins[region])
            out[here[inside]] = self.first[region[inside]] + step[inside]
        return out


def regions_around(chrom: Ints, position: Ints, *, reach: int, n_groups: int, most: int = MOST_VALUES) -> Regions:
    """Return regions that reach so far around positions, in bins as narrow as the number of values allows.

    Parameters
    ----------
    chrom, position
        (positions,) number of the chromosome, and 0-based position.
    reach
        Bases on either side.
    n_groups
        Groups that are counted in every bin.
    most
        Bins times groups that are allowed.
    """
    width = BIN
    while True:
        found = _merged(chrom, position, reach, width)
        if found.n_bins.sum() * max(n_groups, 1) <= most or width > reach:
            return found
        width *= 2


def _merged(chrom: Ints, position: Ints, reach: int, width: int) -> Regions:
    low = np.maximum(position - reach, 0) // width
    high = (position + reach) // width + 1
    order = np.lexsort((low, chrom))
    rows: list[list[int]] = []
    for number, start, end in zip(chrom[order].tolist(), low[order].tolist(), high[order].tolist(), strict=True):
        if rows and rows[-1][0] == number and start <= rows[-1][2]:
            rows[-1][2] = max(rows[-1][2], end)
        else:
            rows.append([number, start, end])
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Regions(width, table[:, 0], table[:, 1] * width, table[:, 2] - table[:, 1])


@dataclass(frozen=True)
class Coverage:
    """Cuts of the groups of one grouping.

    Attributes
    ----------
    cuts
        (groups, bins) cuts; every fragment has two, at its first and its last base.
    n_fragments
        (groups,) all fragments of the group's cells, those outside of the regions too.
    """

    cuts: Ints
    n_fragments: Ints


def count_coverage(
    parts: Iterable[Fragments], regions: Regions, groupings: Sequence[tuple[Ints, int]]
) -> list[Coverage]:
    """Count the cuts of every group in every bin.

    Parameters
    ----------
    parts
        The fragments, in parts of any size.
    regions
        The bins.
    groupings
        Per grouping: (cells,) number of each cell's group, -1 for none, and the number of groups.
    """
    n_bins = int(regions.n_bins.sum())
    cuts = [np.zeros((n_groups, n_bins), dtype=np.int32) for _, n_groups in groupings]
    totals = [np.zeros(n_groups, dtype=np.int64) for _, n_groups in groupings]
    for part in parts:
        ours = part.cell >= 0
        chrom, start, end, cell = (values[ours] for values in (part.chrom, part.start, part.end, part.cell))
        places = np.concatenate([regions.bins(chrom, start), regions.bins(chrom, end - 1)])
        cell_of = np.concatenate([cell, cell])
        inside = places >= 0
        places, cell_of = places[inside], cell_of[inside]
        for (codes, n_groups), counted, total in zip(groupings, cuts, totals, strict=True):
            group = codes[cell]
            total += np.bincount(group[group >= 0], minlength=n_groups)
            group = codes[cell_of]
            known = group >= 0
            np.add.at(counted, (group[known], places[known]), 1)
    return [Coverage(counted, total) for counted, total in zip(cuts, totals, strict=True)]
