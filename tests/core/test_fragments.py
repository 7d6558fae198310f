"""Measures from fragments against counting one by one, and against the matrix of a real run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.quality.fragments import (
    FLANK,
    Fragments,
    compare_recount,
    count_fragments,
    sort_intervals,
)

N_CELLS, N = 7, 4000


@pytest.fixture
def drawn():
    rng = np.random.default_rng(3)
    start = rng.integers(0, 60_000, N)
    found = Fragments(rng.integers(-1, 3, N), start, start + rng.integers(20, 1400, N), rng.integers(-1, N_CELLS, N))
    at = rng.integers(0, 60_000, 90)  # some overlap each other, one lies within another
    peaks = rng.integers(0, 3, 90), at, at + rng.integers(1, 3000, 90)
    sites = rng.integers(0, 2, 12), rng.integers(0, 60_000, 12), rng.random(12) < 0.5
    return found, peaks, sites


def brute_force(found, peaks, sites):
    overlaps, cuts = np.zeros((N_CELLS, 90)), np.zeros((N_CELLS, 90))
    total, inside, short, mono, centre, background = (np.zeros(N_CELLS) for _ in range(6))
    profile = np.zeros(2 * FLANK + 1)
    for chrom, start, end, cell in zip(found.chrom, found.start, found.end, found.cell, strict=True):
        if cell < 0:
            continue
        total[cell] += 1
        short[cell] += end - start < 147
        mono[cell] += 147 <= end - start < 294
        hit = [p for p in range(90) if peaks[0][p] == chrom and peaks[1][p] < end and peaks[2][p] > start]
        overlaps[cell, hit] += 1
        inside[cell] += bool(hit)
        for cut in (start, end - 1):
            cuts[cell, [p for p in hit if peaks[1][p] <= cut < peaks[2][p]]] += 1
            for where, position, forward in zip(*sites, strict=True):
                offset = (cut - position) * (1 if forward else -1)
                if where == chrom and abs(offset) <= FLANK:
                    profile[offset + FLANK] += 1
                    centre[cell] += abs(offset) <= 50
                    background[cell] += abs(offset) > 1900
    return total, inside, short, mono, centre, background, overlaps, cuts, profile


def test_against_counting_one_by_one(drawn):
    found, peaks, sites = drawn
    total, inside, short, mono, centre, background, overlaps, cuts, profile = brute_force(*drawn)
    halves = [Fragments(*(getattr(found, name)[part] for name in ("chrom", "start", "end", "cell")))
              for part in (slice(0, 1500), slice(1500, None))]  # fmt: skip
    ours = count_fragments(halves, n_cells=N_CELLS, peaks=peaks, sites=sites)
    for name, wanted in (("n_fragments", total), ("in_peaks", inside), ("short", short), ("mono", mono),
                         ("centre", centre), ("background", background), ("profile", profile)):  # fmt: skip
        assert np.array_equal(getattr(ours, name), wanted), name
    assert np.array_equal(ours.overlaps.toarray(), overlaps)
    assert np.array_equal(ours.cuts.toarray(), cuts)
    assert ours.n_other == (found.cell < 0).sum()
    assert ours.sizes.sum() == total.sum()
    assert np.allclose(ours.frip, inside / total)
    assert np.allclose(ours.nucleosome_signal, mono / short)
    assert np.allclose(ours.tss_enrichment, (centre / 101) / (np.maximum(background, 0.2) / 200))


def test_an_interval_that_spans_others_is_found():
    intervals = sort_intervals(np.zeros(3, int), np.array([0, 10, 20]), np.array([100, 12, 22]))[0]
    queries, rows = intervals.overlaps(np.array([50, 11, 200]), np.array([51, 21, 201]))
    assert sorted(zip(queries.tolist(), rows.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1), (1, 2)]


def test_no_fragments_of_the_cells():
    none = np.zeros(0, dtype=np.int64)
    ours = count_fragments([Fragments(none, none, none, none)], n_cells=2, peaks=(np.array([0]),) * 3)
    assert np.isnan(ours.frip).all()
    assert np.isnan(ours.nucleosome_signal).all()
    assert np.isnan(ours.tss_enrichment).all()


def test_recount_chooses_the_rule_and_leaves_out_what_the_file_does_not_hold(drawn):
    found, peaks, _ = drawn
    far = tuple(np.append(values, extra) for values, extra in zip(peaks, (9, 10, 20), strict=True))
    ours = count_fragments([found], n_cells=N_CELLS, peaks=far)
    given = sparse.csr_matrix(ours.cuts > 0).tolil()
    given[:, 90] = True
    agreed = compare_recount(given.tocsr(), ours)
    assert agreed.rule == "cuts"
    assert agreed.jaccard == 1
    of_one_sample = found.cell < N_CELLS // 2
    part = Fragments(*(getattr(found, name)[of_one_sample] for name in ("chrom", "start", "end", "cell")))
    alone = compare_recount(given.tocsr(), count_fragments([part], n_cells=N_CELLS, peaks=far))
    assert (alone.rule, alone.jaccard) == ("cuts", 1)
    assert agreed.n_outside == int((np.asarray(ours.overlaps.sum(axis=0)).ravel() == 0).sum()) >= 1
