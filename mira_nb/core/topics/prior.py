"""The hierarchical Dirichlet prior as normal and log-normal distributions.

Extended Methods, Variational reparameterization; ``docs/decisions/01-dirichlet-variance.md``,
``docs/decisions/02-prior-moments.md`` and ``docs/decisions/03-initial-pseudocounts.md``.
"""

from __future__ import annotations

import math
from typing import Any

from .settings import DirichletVariance


def alpha_log_moments(n_topics: int, initial_pseudocounts: float) -> tuple[float, float]:
    """Return mean and sd of log alpha of the log-normal that matches Gamma(2, rate 2 K / J).

    The gamma has mean J / K and variance J^2 / (2 K^2), so the log-normal has variance log(3/2) and mean
    log((J / K) / sqrt(3/2)).
    """
    return math.log(initial_pseudocounts / n_topics / math.sqrt(1.5)), math.sqrt(math.log(1.5))


def laplace_moments(alpha: Any, variance: DirichletVariance = "laplace") -> tuple[Any, Any]:
    """Return mean and variance of the normal whose softmax approximates Dirichlet(alpha), each (K,).

    Parameters
    ----------
    alpha
        (K,) tensor or array of concentrations.
    variance
        ``"laplace"``: 1/a_t (1 - 2/K) + 1/(K a_t), the paper's; ``"prodlda"``: 1/a_t (1 - 2/K) + sum_k 1/a_k / K^2.
    """
    n_topics = alpha.shape[0]
    log_alpha = alpha.log() if hasattr(alpha, "log") else _numpy_log(alpha)
    inverse = 1 / alpha
    shared = inverse / n_topics if variance == "laplace" else inverse.sum() / n_topics**2
    return log_alpha - log_alpha.mean(), inverse * (1 - 2 / n_topics) + shared


def _numpy_log(values: Any) -> Any:
    import numpy as np

    return np.log(values)
