"""Coverage against counts position by position."""

from __future__ import annotations

import numpy as np
import pytest

from mira_nb.core.quality.coverage import BIN, count_coverage, regions_around
from mira_nb.core.quality.fragments import Fragments


def random_parts(rng: np.random.Generator, n: int, n_cells: int) -> Fragments:
    start = rng.integers(0, 30_000, n)
    return Fragments(rng.integers(-1, 2, n), start, start + rng.integers(1, 400, n), rng.integers(-1, n_cells, n))


@pytest.mark.parametrize("seed", range(3))
def test_cuts_of_groups_by_bin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chrom, position = np.array([1, 0, 0, 0, 1]), np.array([9_000, 200, 15_050, 16_000, 29_000])
    regions = regions_around(chrom, position, reach=700, n_groups=5)
    parts = random_parts(rng, 4_000, 12)
    groupings = [rng.integers(-1, 3, 12), rng.integers(0, 2, 12)]
    halves = [Fragments(*(values[part] for values in (parts.chrom, parts.start, parts.end, parts.cell)))
              for part in (slice(0, 1_500), slice(1_500, None))]  # fmt: skip
    found = count_coverage(halves, regions, [(codes, codes.max() + 1) for codes in groupings])
    assert regions.width == BIN
    assert set(regions.start % BIN) == {0}
    for number, place in zip(chrom, position, strict=True):  # every position around a site is in a bin
        around = np.arange(max(place - 700, 0), place + 701)
        assert (regions.bins(np.full(len(around), number), around) >= 0).all()
    for codes, item in zip(groupings, found, strict=True):
        wanted = np.zeros_like(item.cuts)
        for number, start, n_bins, first in zip(
            regions.chrom, regions.start, regions.n_bins, regions.first[:-1], strict=True
        ):
            for step in range(n_bins):
                low, high = start + step * BIN, start + (step + 1) * BIN
                for cut in (parts.start, parts.end - 1):
                    rows = (parts.chrom == number) & (cut >= low) & (cut < high) & (parts.cell >= 0)
                    group = codes[parts.cell[rows]]
                    wanted[:, first + step] += np.bincount(group[group >= 0], minlength=len(wanted))
        assert (item.cuts == wanted).all()
        group = codes[parts.cell[parts.cell >= 0]]
        assert item.n_fragments.tolist() == np.bincount(group[group >= 0]).tolist()


def test_regions_that_touch_are_one_and_bins_widen_where_there_are_too_many() -> None:
    chrom, position = np.zeros(3, dtype=np.int64), np.array([5_000, 6_150, 50_000])
    regions = regions_around(chrom, position, reach=600, n_groups=2)
    assert (regions.start.tolist(), regions.n_bins.tolist()) == ([4_400, 49_400], [24, 13])
    wide = regions_around(chrom, position, reach=600, n_groups=2, most=40)
    assert wide.width == 2 * BIN
    assert wide.n_bins.sum() * 2 <= 40
    assert regions_around(chrom[:0], position[:0], reach=600, n_groups=2).n_bins.sum() == 0
    assert regions.bins(np.array([0, 0, 1]), np.array([4_399, 4_400, 4_400])).tolist() == [-1, 0, -1]
