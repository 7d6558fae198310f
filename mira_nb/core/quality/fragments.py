"""Measures of the cells from ATAC fragments: TSS enrichment, sizes, fraction in peaks, and a recount of the peaks.

A fragment covers the 0-based, half-open interval [start, end); the transposase cut at its first and its last base.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.typing import Floats, Ints

MAX_SIZE: Final = 1000
"""Longest fragment that has a bin of its own in the distribution of sizes, in bp."""
NUCLEOSOME: Final = 147
"""Bases around one nucleosome: shorter fragments are free of nucleosomes."""
FLANK: Final = 2000
"""Bases on either side of a start site that the profile covers."""
_CENTRE: Final = 50
_BACKGROUND: Final = 100
_LEAST_BACKGROUND: Final = 0.2


@dataclass(frozen=True)
class Fragments:
    """Some fragments, by number of chromosome and cell.

    Attributes
    ----------
    chrom, cell
        (fragments,) number of the chromosome and of the cell; -1 for others.
    start, end
        (fragments,) 0-based, half-open.
    """

    chrom: Ints
    start: Ints
    end: Ints
    cell: Ints


@dataclass(frozen=True)
class Intervals:
    """Intervals of one chromosome, sorted by start.

    Attributes
    ----------
    row
        Their rows in the table that they come from.
    start, end
        0-based, half-open.
    furthest
        Furthest end of this interval and all before it.
    """

    row: Ints
    start: Ints
    end: Ints
    furthest: Ints

    def overlaps(self, start: Ints, end: Ints) -> tuple[Ints, Ints]:
        """Return all pairs of a query and an interval that share a base: numbers of queries, rows of intervals."""
        first = np.searchsorted(self.furthest, start, side="right")
        behind = np.searchsorted(self.start, end, side="left")
        n = np.maximum(behind - first, 0)
        query = np.repeat(np.arange(len(start)), n)
        place = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
        hit = self.end[place] > start[query]
        return query[hit], self.row[place[hit]]


@dataclass(frozen=True)
class FragmentCounts:
    """Counts of the fragments of the cells.

    Attributes
    ----------
    n_fragments, in_peaks
        (cells,) fragments, and those that overlap a peak.
    short, mono
        (cells,) fragments shorter than a nucleosome, and of one nucleosome (147 to 293 bp).
    centre, background
        (cells,) cuts within 50 bp of a start site, and in the outermost 100 bp on both sides of the 2,000 bp around it.
    sizes
        (MAX_SIZE + 1,) fragments by size; the last bin holds all longer ones.
    profile
        (2 FLANK + 1,) cuts by their position around start sites, upstream first.
    overlaps, cuts
        (cells, peaks) fragments that overlap a peak, and cuts in it.
    n_other
        Fragments of other barcodes.
    n_bad, first_bad
        Rows of the file that are no fragments, and the first of them in words.
    """

    n_fragments: Ints
    in_peaks: Ints
    short: Ints
    mono: Ints
    centre: Ints
    background: Ints
    sizes: Ints
    profile: Ints
    overlaps: sparse.csr_matrix
    cuts: sparse.csr_matrix
    n_other: int = 0
    n_bad: int = 0
    first_bad: str = ""

    @property
    def frip(self) -> Floats:
        """Fraction of each cell's fragments that overlap a peak (NaN without fragments)."""
        return _ratio(self.in_peaks, self.n_fragments)

    @property
    def nucleosome_signal(self) -> Floats:
        """Fragments of one nucleosome per fragment without (Signac); NaN without either."""
        return np.where(self.short + self.mono > 0, self.mono / np.maximum(self.short, 1), np.nan)

    @property
    def tss_enrichment(self) -> Floats:
        """Cuts per base at start sites over those in the background (ArchR); NaN for cells without fragments.

        The background counts at least 0.2 cuts, so that cells with few fragments have a finite value.
        """
        centre = self.centre / (2 * _CENTRE + 1)
        background = np.maximum(self.background, _LEAST_BACKGROUND) / (2 * _BACKGROUND)
        return np.where(self.n_fragments > 0, centre / background, np.nan)

    @property
    def normalised_profile(self) -> Floats:
        """Cuts by position around start sites over their mean in the background."""
        outer = np.concatenate([self.profile[:_BACKGROUND], self.profile[-_BACKGROUND:]]).mean()
        return self.profile / max(float(outer), _LEAST_BACKGROUND / (2 * _BACKGROUND))


def sort_intervals(chrom: Ints, start: Ints, end: Ints) -> dict[int, Intervals]:
    """Return intervals by number of chromosome, each sorted by start."""
    out = {}
    for number in np.unique(chrom):
        rows = np.flatnonzero(chrom == number)
        rows = rows[np.argsort(start[rows], kind="stable")]
        out[int(number)] = Intervals(rows, start[rows], end[rows], np.maximum.accumulate(end[rows]))
    return out


@dataclass
class _Totals:
    """Running sums over parts of a file."""

    n_cells: int
    n_peaks: int
    cells: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MAX_SIZE + 1, dtype=np.int64))
    profile: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * FLANK + 1, dtype=np.int64))
    matrices: dict[str, sparse.csr_matrix] = field(default_factory=dict)

    def add(self, name: str, cell: Ints) -> None:
        """Count cells under a name."""
        found = np.bincount(cell, minlength=self.n_cells)
        self.cells[name] = self.cells[name] + found if name in self.cells else found

    def add_matrix(self, name: str, cell: Ints, peak: Ints) -> None:
        """Count pairs of a cell and a peak under a name."""
        shape = (self.n_cells, self.n_peaks)
        found = sparse.coo_matrix((np.ones(len(cell), dtype=np.int64), (cell, peak)), shape=shape).tocsr()
        self.matrices[name] = self.matrices[name] + found if name in self.matrices else found


def count_fragments(
    parts: Iterable[Fragments],
    *,
    n_cells: int,
    peaks: tuple[Ints, Ints, Ints],
    sites: tuple[Ints, Ints, Sequence[bool] | NDArray[np.bool_]] | None = None,
) -> FragmentCounts:
    """Count fragments per cell: all, in peaks, by size, and around start sites.

    Parameters
    ----------
    parts
        The fragments, in any order and in parts of any size.
    n_cells
        Number of cells.
    peaks
        Number of the chromosome, start and end of every peak.
    sites
        Number of the chromosome, 0-based position, and whether it is on the + strand, of every start site; None: none.
    """
    intervals = sort_intervals(*peaks)
    forward = np.zeros(0, dtype=bool) if sites is None else np.asarray(sites[2], dtype=bool)
    position = np.zeros(0, dtype=np.int64) if sites is None else np.asarray(sites[1], dtype=np.int64)
    around = {} if sites is None else sort_intervals(sites[0], position - FLANK, position + FLANK + 1)
    totals = _Totals(n_cells, len(peaks[0]))
    n_other = 0
    _count(totals, Fragments(*(np.zeros(0, dtype=np.int64) for _ in range(4))), intervals, around, position, forward)
    for part in parts:
        ours = part.cell >= 0
        n_other += int((~ours).sum())
        if ours.any():
            kept = Fragments(part.chrom[ours], part.start[ours], part.end[ours], part.cell[ours])
            _count(totals, kept, intervals, around, position, forward)
    counted: dict[str, Any] = {**totals.cells, **totals.matrices}
    return FragmentCounts(**counted, sizes=totals.sizes, profile=totals.profile, n_other=n_other)


def _count(
    totals: _Totals,
    part: Fragments,
    peaks: dict[int, Intervals],
    around: dict[int, Intervals],
    position: Ints,
    forward: NDArray[np.bool_],
) -> None:
    size = part.end - part.start
    totals.add("n_fragments", part.cell)
    totals.add("short", part.cell[size < NUCLEOSOME])
    totals.add("mono", part.cell[(size >= NUCLEOSOME) & (size < 2 * NUCLEOSOME)])
    totals.sizes += np.bincount(np.minimum(size, MAX_SIZE), minlength=MAX_SIZE + 1)
    pairs = _pairs(peaks, part.chrom, part.start, part.end)
    totals.add("in_peaks", part.cell[np.unique(pairs[0])])
    totals.add_matrix("overlaps", part.cell[pairs[0]], pairs[1])
    chrom, cell = np.concatenate([part.chrom] * 2), np.concatenate([part.cell] * 2)
    cut = np.concatenate([part.start, part.end - 1])
    inside = _pairs(peaks, chrom, cut, cut + 1)
    totals.add_matrix("cuts", cell[inside[0]], inside[1])
    near, site = _pairs(around, chrom, cut, cut + 1)
    offset = (cut[near] - position[site]) * np.where(forward[site], 1, -1)
    totals.profile += np.bincount(offset + FLANK, minlength=2 * FLANK + 1)
    totals.add("centre", cell[near[np.abs(offset) <= _CENTRE]])
    totals.add("background", cell[near[np.abs(offset) > FLANK - _BACKGROUND]])


def _pairs(intervals: dict[int, Intervals], chrom: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return all pairs of a query and an interval on its chromosome that share a base."""
    queries: list[Ints] = [np.zeros(0, dtype=np.int64)]
    rows: list[Ints] = [np.zeros(0, dtype=np.int64)]
    for number in np.unique(chrom):
        if int(number) in intervals:
            here = np.flatnonzero(chrom == number)
            query, row = intervals[int(number)].overlaps(start[here], end[here])
            queries.append(here[query])
            rows.append(row)
    return np.concatenate(queries), np.concatenate(rows)


@dataclass(frozen=True)
class Recount:
    """How a recount of the peaks agrees with the given open peaks.

    Attributes
    ----------
    rule
        ``overlaps`` or ``cuts``: which counts of the fragments agree better.
    n_given, n_recounted, n_both
        Open peaks as given, as recounted, and in both, over peaks that any fragment overlaps and cells with a fragment:
        the file may be of one sample of several.
    n_outside
        Peaks without a fragment: the file may hold some regions only.
    correlation
        Pearson correlation of the numbers of open peaks per cell (NaN where one is constant).
    """

    rule: str
    n_given: int
    n_recounted: int
    n_both: int
    n_outside: int
    correlation: float

    @property
    def jaccard(self) -> float:
        """Open peaks in both over those in either."""
        return self.n_both / max(self.n_given + self.n_recounted - self.n_both, 1)


def compare_recount(given: sparse.csr_matrix, counts: FragmentCounts) -> Recount:
    """Compare the given peaks with those counted from the fragments, by the rule that agrees better.

    Parameters
    ----------
    given
        (cells, peaks) above zero where a peak is open.
    """
    covered = np.flatnonzero(np.asarray((counts.overlaps > 0).sum(axis=0)).ravel())
    n_outside = counts.overlaps.shape[1] - len(covered)
    measured = np.flatnonzero(counts.n_fragments)
    theirs = sparse.csr_matrix(given > 0)[measured][:, covered]
    found = []
    for rule, matrix in (("overlaps", counts.overlaps), ("cuts", counts.cuts)):
        ours = sparse.csr_matrix(matrix > 0)[measured][:, covered]
        per_cell = np.asarray(theirs.sum(axis=1)).ravel(), np.asarray(ours.sum(axis=1)).ravel()
        varied = len(measured) > 0 and all(np.ptp(values) > 0 for values in per_cell)
        correlation = float(np.corrcoef(*per_cell)[0, 1]) if varied else float("nan")
        agreed = Recount(rule, theirs.nnz, ours.nnz, theirs.multiply(ours).nnz, n_outside, correlation)
        found.append(agreed)
    return max(found, key=lambda item: item.jaccard)


def _ratio(part: Ints, whole: Ints) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
