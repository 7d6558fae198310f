"""Coverage of fragments for the locus view: what the run kept, for the groups and genes that are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.keys import ATAC, COVERAGE

from . import packing
from .source import element, labels

if TYPE_CHECKING:
    import h5py

COVERAGE_ROOM: Final = 900_000
"""Bytes of packed coverage in a page; bins are joined, then genes left out, until it fits."""
REACH: Final = 50_000
"""Base pairs around a start site that are shown."""
_FACTORS: Final = (1, 2, 4, 8)


@dataclass(frozen=True)
class StoredCoverage:
    """Cuts of groups of cells.

    Attributes
    ----------
    width
        Width of a bin, bp.
    chrom, start, n_bins
        (regions,) by chromosome and start; starts are multiples of `width`.
    groups
        Names of the groups.
    fragments
        (groups,) all fragments of their cells.
    cuts
        (groups, bins) cuts of the bins of all regions.
    """

    width: int
    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    n_bins: NDArray[np.int64]
    groups: tuple[str, ...]
    fragments: NDArray[np.int64]
    cuts: sparse.csr_matrix


@dataclass(frozen=True)
class Coverage:
    """Coverage as the page holds it.

    Attributes
    ----------
    values
        Packed cuts, one feature per group, over bins.
    n_bins
        Number of bins.
    facts
        ``width`` of a bin, ``windows`` (chromosome, start, number of bins), ``fragments`` of the groups.
    """

    values: packing.ValueSet
    n_bins: int
    facts: dict[str, Any]

    @property
    def n_bytes(self) -> int:
        """Size of the packed values."""
        return sum(map(len, self.values.chunks))


def read_coverage(file: h5py.File, obs: pd.DataFrame, groups: pd.Categorical) -> StoredCoverage | None:
    """Return the coverage of groups of cells; None where the run kept none that they can be put together from.

    The groups must be those of a grouping that was counted, or unions of them: named clusters are unions of clusters.

    Parameters
    ----------
    file
        results.h5mu, open.
    obs
        Annotations of the cells.
    groups
        (cells,) the groups that are shown.
    """
    found = element(file, f"mod/{ATAC}/uns/{COVERAGE}")
    for item in (found or {}).get("groupings", {}).values():
        if str(item["name"]) not in obs:
            continue
        names = [str(name) for name in np.asarray(item["groups"]).astype(str)]
        parts = labels(obs[str(item["name"])]).set_categories(names)
        member = _unions(np.asarray(parts.codes), np.asarray(groups.codes), (len(names), len(groups.categories)))
        if member is not None:
            return StoredCoverage(
                width=int(found["width"]),
                chrom=np.asarray(found["chrom"]).astype(str),
                start=np.asarray(found["start"], dtype=np.int64),
                n_bins=np.asarray(found["n_bins"], dtype=np.int64),
                groups=tuple(map(str, groups.categories)),
                fragments=member.T @ np.asarray(item["fragments"], dtype=np.int64),
                cuts=sparse.csr_matrix(member.T @ sparse.csr_matrix(item["cuts"])),
            )
    return None


def _unions(parts: NDArray, groups: NDArray, shape: tuple[int, int]) -> sparse.csr_matrix | None:
    """Return which parts each group is made of, (parts, groups); None where a part's cells are in several groups."""
    pairs = np.unique(np.column_stack([parts, groups]), axis=0)
    pairs = pairs[(pairs[:, 0] >= 0) | (pairs[:, 1] >= 0)]
    if (pairs < 0).any() or len(np.unique(pairs[:, 0])) < len(pairs):
        return None
    return sparse.csr_matrix((np.ones(len(pairs), dtype=np.int64), (pairs[:, 0], pairs[:, 1])), shape=shape)


def coverage_of(
    stored: StoredCoverage, sites: Mapping[str, Mapping[str, Any]], *, room: int = COVERAGE_ROOM
) -> Coverage | None:
    """Return the coverage around start sites, the first ones where not all have room; None where there is none.

    Parameters
    ----------
    stored
        What the run kept.
    sites
        ``chrom`` and ``tss`` of genes, the ones to keep first.
    room
        Bytes for it.
    """
    places = [(str(site["chrom"]), int(site["tss"])) for site in sites.values()]
    while places:
        columns = _columns(stored, places)
        for factor in _FACTORS if len(columns) else ():
            found = _packed(stored, columns, factor)
            if found.n_bytes <= room:
                return found
        places = places[: len(places) // 2]
    return None


def _columns(stored: StoredCoverage, places: list[tuple[str, int]]) -> NDArray[np.int64]:
    """Return the bins near some places, each in the region that it lies in."""
    first = np.concatenate([[0], np.cumsum(stored.n_bins)])
    change = np.zeros(first[-1] + 1, dtype=np.int64)
    rows = {str(chrom): np.flatnonzero(stored.chrom == chrom) for chrom in np.unique(stored.chrom)}
    for chrom, tss in places:
        before = np.searchsorted(stored.start[rows.get(chrom, [])], tss, side="right")
        if not before:
            continue
        region = rows[chrom][before - 1]
        low, high = ((at - stored.start[region]) // stored.width for at in (tss - REACH, tss + REACH))
        begin, end = max(int(low), 0), min(int(high) + 1, int(stored.n_bins[region]))
        if begin < end:
            change[first[region] + begin] += 1
            change[first[region] + end] -= 1
    return np.flatnonzero(np.cumsum(change[:-1]) > 0)


def _packed(stored: StoredCoverage, columns: NDArray[np.int64], factor: int) -> Coverage:
    """Return some bins with so many of them joined in one."""
    first = np.concatenate([[0], np.cumsum(stored.n_bins)])
    region = np.searchsorted(first, columns, side="right") - 1
    wide = (stored.start[region] // stored.width + columns - first[region]) // factor
    fresh = np.ones(len(columns), dtype=bool)
    fresh[1:] = (np.diff(region) != 0) | (np.diff(wide) != 0)
    number = np.cumsum(fresh) - 1
    n_bins = int(number[-1]) + 1
    join = sparse.csr_matrix((np.ones(len(columns)), (columns, number)), shape=(stored.cuts.shape[1], n_bins))
    region, wide = region[fresh], wide[fresh]
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(region) != 0) | (np.diff(wide) != 1)]))
    width = stored.width * factor
    sizes = np.diff([*begins, n_bins])
    facts = {
        "width": width,
        "windows": [
            [str(stored.chrom[region[at]]), int(wide[at]) * width, int(size)]
            for at, size in zip(begins, sizes, strict=True)
        ],
        "fragments": stored.fragments.tolist(),
    }
    values = packing.pack_counts("coverage", sparse.csc_matrix((stored.cuts @ join).T), stored.groups)
    return Coverage(values, n_bins, facts)
