from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from mira_nb.core.representation.reliability import split_counts, split_half_reliability
from mira_nb.errors import InputError


def test_halves_add_up_and_are_binomial():
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(np.full((200, 50), 6.0, np.float32))
    first, second = split_counts(counts, rng)
    np.testing.assert_array_equal((first + second).toarray(), counts.toarray())
    observed = np.bincount(first.toarray().astype(int).ravel(), minlength=7)
    assert stats.chisquare(observed, 10_000 * stats.binom.pmf(np.arange(7), 6, 0.5)).pvalue > 1e-3


def test_halves_of_single_counts_hold_each_count_once():
    counts = sparse.random(30, 80, 0.2, format="csr", random_state=0, dtype=np.float32)
    counts.data[:] = 1
    before = counts.copy()
    first, second = split_counts(counts, np.random.default_rng(1))
    assert first.multiply(second).nnz == 0
    assert first.nnz + second.nnz == counts.nnz
    assert (counts != before).nnz == 0


@pytest.mark.parametrize("noise", [0.1, 1.0, 5.0])
def test_reliability_is_the_share_of_signal(noise):
    """Halves have twice the noise variance of the whole; the whole has signal / (signal + noise)."""
    rng = np.random.default_rng(2)
    spread = np.sqrt([3.0, 1.0, 0.5])
    signal = rng.normal(size=(40_000, 3)) * spread
    halves = [signal + rng.normal(size=signal.shape) * np.sqrt(2 * noise / 3) for _ in range(2)]
    expected = spread @ spread / (spread @ spread + noise)
    assert split_half_reliability(*halves) == pytest.approx(expected, abs=0.015)


def test_noise_and_constants_have_no_reliability():
    rng = np.random.default_rng(3)
    assert split_half_reliability(rng.normal(size=(5000, 4)), rng.normal(size=(5000, 4))) < 0.05
    assert split_half_reliability(np.ones((5, 2)), np.ones((5, 2))) == 0
    with pytest.raises(InputError, match="halves"):
        split_half_reliability(np.ones((5, 2)), np.ones((4, 2)))
