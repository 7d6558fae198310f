"""Packed values: closed cases of the format's bytes, round trips, and the room that the largest stated run takes."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from scipy import sparse

from mira_nb.errors import MiraError
from mira_nb.report.explore import packing


def test_bytes_of_one_feature_are_those_of_the_format() -> None:
    """Cells 0, 2 and 515 of 600 have 1, 300 and 254: gaps 0, 1 and 512 = 255 + 255 + 2."""
    column = sparse.csc_matrix(([1, 300, 254], ([0, 2, 515], [0, 0, 0])), shape=(600, 1))
    found = packing.pack_counts("genes", column, ["A"])
    raw = gzip.decompress(found.chunks[0])
    assert raw == struct.pack("<III", 3, 5, 1) + bytes([0, 1, 255, 255, 2]) + bytes([1, 255, 254]) + struct.pack(
        "<I", 300
    )


def test_levels_are_254_steps_of_the_range() -> None:
    found = packing.pack_levels("motifs", np.array([[-1.0, 7.0], [1.54, 7.0], [np.nan, 7.0]]), ["M", "constant"])
    assert gzip.decompress(found.chunks[0]) == bytes([0, 254, 255, 0, 0, 0])
    assert found.offset == (-1.0, 7.0)
    assert found.scale[0] == pytest.approx(0.01)


def test_a_file_gives_back_what_was_packed() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.1, (700, 131)) * rng.integers(1, 400, (700, 131))
    counts[:, 5] = 0
    counts[:, 6] = 70_000
    scores = rng.normal(size=(700, 50))
    scores[3, 4] = np.nan
    sets = [
        packing.pack_counts("genes", sparse.csc_matrix(counts), [f"G{i}" for i in range(131)]),
        packing.pack_levels("motifs", scores, [f"M{i}" for i in range(50)]),
    ]
    assert [len(item.chunks) for item in sets] == [3, 2]
    found = packing.read_file(packing.to_file(sets, n_cells=700, cells="x"))
    assert found["genes"][0] == sets[0].features
    assert np.array_equal(found["genes"][1], counts)
    step = np.ptp(np.nan_to_num(scores), axis=0) / 254
    assert np.nanmax(np.abs(found["motifs"][1] - scores) / step) < 0.51
    assert np.array_equal(np.isnan(found["motifs"][1]), np.isnan(scores))


def test_values_that_are_no_counts_are_refused() -> None:
    with pytest.raises(MiraError, match="no counts"):
        packing.pack_counts("genes", sparse.csc_matrix([[0.5]]), ["A"])
    with pytest.raises(MiraError, match="MIRANBV1"):
        packing.read_file(b"something else")


def test_first_features_fit_into_the_room_given() -> None:
    counts = sparse.csc_matrix(np.random.default_rng(0).poisson(0.3, (400, 100)))
    whole = packing.pack_counts("genes", counts, [f"G{i}" for i in range(100)])
    one = whole.first(len(whole.chunks[0]) + len(whole.chunks[1]) - 1)
    assert one.features == whole.features[: packing.CHUNK]
    assert one.chunks == whole.chunks[:1]
    assert whole.first(10**9) == whole
    assert whole.first(0).features == ()


def test_ten_thousand_cells_by_three_thousand_genes_take_under_half_of_ten_megabytes() -> None:
    """A tenth of the largest stated run: 15 % of the values are not zero, as sparse counts of one negative binomial."""
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(0.12, 0.258, (10_000, 300))
    assert (counts > 0).mean() == pytest.approx(0.15, abs=0.002)
    packed = packing.pack_counts("genes", sparse.csc_matrix(counts), [f"G{i}" for i in range(300)])
    assert sum(map(len, packed.chunks)) * 10 * 4 / 3 < 5.1e6
