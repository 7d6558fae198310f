"""Compiled Adam and the layer of mean embeddings, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.adam import Adam
from mira_nb.core.topics.data import CellData
from mira_nb.core.topics.embedding import PeakAverage

RATES = [1e-2, 3e-2, 1e-3, 2e-2]
OPTIONS = {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-4}


def theirs(parameters):
    return torch.optim.Adam(parameters, betas=(OPTIONS["beta1"], OPTIONS["beta2"]), eps=OPTIONS["epsilon"])


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_updates_equal_those_of_torch(n_threads, dtype):
    g = torch.Generator().manual_seed(0)
    start = [torch.randn(*shape, generator=g, dtype=dtype) for shape in ((7, 5), (40,))]
    ours, wanted = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    never = torch.nn.Parameter(torch.ones(3, dtype=dtype))
    reference = theirs(wanted)
    with Workers(n_threads) as workers:
        optimiser = Adam([*ours, never], workers, **OPTIONS)
        for rate in RATES:
            for a, b in zip(ours, wanted, strict=True):
                a.grad = torch.randn(a.shape, generator=g, dtype=dtype)
                b.grad = a.grad.clone()
            reference.param_groups[0]["lr"] = rate
            optimiser.step(rate)
            reference.step()
    for a, b, begun in zip(ours, wanted, start, strict=True):
        torch.testing.assert_close(a, b)
        assert (a - begun).abs().min() > 1e-4
    assert torch.equal(never, torch.ones(3, dtype=dtype))
    optimiser.zero_grad()
    assert all(parameter.grad is None for parameter in ours)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_embeddings_are_averaged_and_trained_as_a_dense_table_would_be(n_threads):
    rng = np.random.default_rng(1)
    dense = (rng.random((12, 50)) < 0.3).astype(np.float32)
    dense[:, 7] = 0  # a peak that is open nowhere moves by its momentum alone
    dense[0, 0] = 1
    batch = CellData(sparse.csr_matrix(dense), "accessibility", np.ones(50, bool), None).batch(np.arange(12))
    target = torch.from_numpy(rng.normal(size=(12, 6)).astype(np.float32))
    start = torch.from_numpy(rng.normal(size=(50, 6)).astype(np.float32))
    ours, wanted = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    shares = torch.from_numpy(dense / dense.sum(1, keepdims=True))
    reference = theirs([wanted])
    with Workers(n_threads) as workers:
        average = PeakAverage(ours, workers)
        optimiser = Adam([ours], workers, average, **OPTIONS)
        for rate in RATES:
            found = average(batch, 0.0, None)
            torch.testing.assert_close(found, shares @ wanted)
            ((found - target) ** 2).sum().backward()
            optimiser.step(rate)
            reference.zero_grad()
            ((shares @ wanted - target) ** 2).sum().backward()
            reference.param_groups[0]["lr"] = rate
            reference.step()
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(ours[7], start[7])
    assert (ours - start).abs().max() > 0.01


def test_dropped_peaks_leave_the_mean_of_the_others():
    dense = np.ones((3, 400), np.float32)
    batch = CellData(sparse.csr_matrix(dense), "accessibility", np.ones(400, bool), None).batch(np.arange(3))
    table = torch.nn.Parameter(torch.arange(400.0)[:, None])
    with Workers(1) as workers:
        found = PeakAverage(table, workers)(batch, 0.5, torch.Generator().manual_seed(0))
    # a mean of about 200 of the numbers 0 to 399: near 199.5 and different in every cell
    assert (found - 199.5).abs().max() < 30
    assert len(found.unique()) == 3
