"""Vectorisable exponential and logarithm against the library."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from mira_nb.core.numerics.double import exp, log


@njit(error_model="numpy")
def exp_array(x, out):
    for i in range(x.shape[0]):
        out[i] = exp(x[i])


@njit(error_model="numpy")
def log_array(x, out):
    for i in range(x.shape[0]):
        out[i] = log(x[i])


@pytest.mark.parametrize("width", [1e-8, 1.0, 40.0, 700.0])
def test_exponential_equals_the_library(width: float) -> None:
    x = np.concatenate([np.random.default_rng(0).uniform(-width, width, 5000), [0.0, width, -width]])
    out = np.empty_like(x)
    exp_array(x, out)
    assert np.allclose(out, np.exp(x), rtol=4e-16 * 4, atol=0)


def test_exponential_is_bounded() -> None:
    out = np.empty(2)
    exp_array(np.array([1e5, -1e5]), out)
    assert out == pytest.approx(np.exp([700.0, -700.0]), rel=1e-14)


@pytest.mark.parametrize("width", [1e-8, 1.0, 40.0, 690.0])
def test_logarithm_equals_the_library(width: float) -> None:
    x = np.exp(np.random.default_rng(0).uniform(-width, width, 5000))
    x = np.concatenate([x, [1.0, 2.0, 0.5, np.sqrt(0.5), np.sqrt(2.0)]])
    out = np.empty_like(x)
    log_array(x, out)
    assert np.allclose(out, np.log(x), rtol=2e-15, atol=1e-16)
