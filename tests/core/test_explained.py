"""Size of a gene's departure from LITE, against scipy."""

from __future__ import annotations

import numpy as np
from scipy import optimize, sparse, stats

from mira_nb.core.regulation.explained import constant_log_likelihood, unexplained_share


def test_constant_model_equals_scipy() -> None:
    generator = np.random.default_rng(3)
    offset = generator.normal(-1.0, 0.6, 300)
    theta = np.array([0.4, 2.0, 30.0, np.nan, 1.0])
    mean = np.exp(offset[:, None] + np.array([0.5, -2.0, 2.0, 0.0, -np.inf]))
    rate = mean * generator.gamma(2.0, 0.5, mean.shape)
    counts = sparse.csc_matrix(generator.poisson(rate).astype(float))
    found = constant_log_likelihood(counts, offset, theta)
    for j in (0, 1, 2):
        x = counts[:, j].toarray().ravel()

        def loss(b: float, x: np.ndarray = x, size: float = theta[j]) -> float:
            mu = np.exp(offset + b)
            return -float(stats.nbinom.logpmf(x, size, size / (size + mu)).sum())

        best = optimize.minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-10})
        np.testing.assert_allclose(found[j], -best.fun, rtol=1e-9)
    assert np.isnan(found[3])  # no dispersion: no model
    assert -1e-6 < found[4] <= 0.0  # no counts: the rate goes to zero


def test_share_is_between_nothing_and_all() -> None:
    share = unexplained_share(
        np.array([-100.0, -100.0, -100.0, -100.0, np.nan]),
        np.array([-50.0, -100.0, -20.0, -101.0, -1.0]),
        np.array([-50.0, -50.0, -0.0, -100.0, -1.0]),
    )
    np.testing.assert_allclose(share[:3], [0.0, 1.0, 0.2])
    assert np.isnan(share[3:]).all()
