"""Empirical-Bayes shrinkage of the decoder after training.

A feature with few counts cannot support K free weights: fitted to noise, they make unseen cells less likely. With
total count X_j of feature j, n_j = X_j / (1 + m_j / theta_j) is the information its counts carry (theta infinite for
the multinomial), and the contrasts d_ij = (Z_i - mean Z) W_j of its logits have the statistic I_j = n_j var(d_j).
Where the true contrasts have variance tau, I_j / (1 + n_j tau / (K - 1)) is about chi-square with K - 1 degrees of
freedom. The variances tau are given a prior on a fixed grid that starts at zero, with weights estimated over all
features by EM (adaptive shrinkage, Stephens 2017), and gamma_j is multiplied by the posterior mean of
lambda / (1 + lambda), lambda = n_j tau / (K - 1), to a power.

That factor is right for weights at their likeliest values. Dropout, the KL terms and stopping in time have shrunk
trained weights somewhat already, by how much is not known; the power between 0 (as trained) and 1 (as if nothing had
shrunk them) is therefore the one under which the held-out cells are most likely. Topic activations do not depend on
the size of gamma and stay as they are; imputed rates of features without support become flatter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .decoder import Decoder, log_share_per_count

FLOOR = 0.02
"""Least factor: keeps the sign of gamma, on which topic activations depend."""

EM_STEPS = 50
"""Steps of the EM algorithm for the weights of the grid (chosen, no source)."""

POWERS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
"""Powers of the factors that held-out cells choose from."""

GRID = np.concatenate([[0.0], 2.0 ** np.arange(-8, 5)])
"""Variances of contrasts: none, and 2^-8 to 2^4 in octaves (a grid as in adaptive shrinkage, Stephens 2017)."""


def shrinkage_factors(
    totals: NDArray[np.floating],
    weights: NDArray[np.floating],
    topics: NDArray[np.floating],
    depth: NDArray[np.floating],
    dispersion: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return the factor in (0, 1] of every feature.

    Parameters
    ----------
    totals
        (F,) counts of each feature over the training cells.
    weights
        (K, F) logits per unit of topic proportion, batch normalisation folded in.
    topics, depth
        (cells, K) composition and (cells,) counts of the training cells.
    dispersion
        (F,) negative-binomial theta, or None.
    """
    share = depth / depth.sum()
    centred = topics - share @ topics
    cov = (centred * share[:, None]).T @ centred
    support = np.asarray(totals, np.float64).copy()
    if dispersion is not None:
        support /= 1 + totals / len(depth) / dispersion
    freedom = weights.shape[0] - 1
    statistic = np.maximum(support * (weights * (cov @ weights)).sum(0), 1e-9)
    signal = support[:, None] * GRID / freedom
    # log density of each feature's statistic under each variance of the grid
    scaled = statistic[:, None] / (1 + signal)
    # the chi-square log density, up to what does not depend on the signal
    log_density = (freedom / 2 - 1) * np.log(scaled) - scaled / 2 - np.log1p(signal)
    density = np.exp(log_density - log_density.max(1, keepdims=True))
    prior = np.full(len(GRID), 1 / len(GRID))
    for _ in range(EM_STEPS):
        posterior = density * prior
        posterior /= posterior.sum(1, keepdims=True)
        prior = posterior.mean(0)
    return np.clip((posterior * signal / (1 + signal)).sum(1), FLOOR, 1.0)


def held_out_power(
    factors: NDArray[np.float64],
    decoder: Decoder,
    counts: sparse.csr_matrix,
    topics: NDArray[np.floating],
) -> float:
    """Return the power of the factors under which held-out cells are most likely; 0 without such cells.

    Parameters
    ----------
    factors
        (F,) of :func:`shrinkage_factors`.
    decoder
        As trained.
    counts, topics
        (cells, F) and (cells, K) of the held-out cells.
    """
    if not counts.shape[0]:
        return 0.0
    likely = [
        log_share_per_count(counts, replace(decoder, gamma=decoder.gamma * factors**power), topics) for power in POWERS
    ]
    return POWERS[int(np.argmax(likely))]
