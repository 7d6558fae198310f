"""Diagnostics of a fitted topic model: predictive moments, and the sparsity that its prior expects.

The moments are those of the likelihoods of the Extended Methods (Model architecture) at the posterior mean of every
cell, in closed form, so that no replicate has to be drawn: with m = n rho, expression follows a negative binomial of
mean m and dispersion theta (variance m + m^2 / theta, zero with probability (theta / (theta + m))^theta), accessibility
a multinomial of n counts (per peak variance m (1 - rho), zero with probability (1 - rho)^n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.typing import Floats

from .data import blocks
from .decoder import Decoder

MAX_VALUES = 40_000_000
"""Cells times features for which moments are computed; of more, evenly spaced cells are read (chosen: seconds)."""


@dataclass(frozen=True)
class Predictive:
    """Observed values and what the model expects of them.

    Attributes
    ----------
    cells
        Positions of the cells that were read.
    mean, variance, zeros
        (features, 2) observed and expected mean, variance and fraction of zeros over those cells.
    depth
        (cells, 2) counts per cell.
    depth_sd
        (cells,) standard deviation of a cell's counts under the model; 0 where the model takes them as given.
    detected
        (cells, 2) features per cell with a count.
    """

    cells: NDArray[np.intp]
    mean: Floats
    variance: Floats
    zeros: Floats
    depth: Floats
    depth_sd: Floats
    detected: Floats


def predictive(
    counts: sparse.csr_matrix, decoder: Decoder, topics: Floats, read_depth: Floats | None, *,
    max_values: int = MAX_VALUES,
) -> Predictive:  # fmt: skip
    """Compute observed and expected moments of the counts.

    Parameters
    ----------
    counts
        (cells, features) counts.
    decoder
        Of the fitted model; with a dispersion it is that of expression.
    topics
        (cells, K) compositions.
    read_depth
        (cells,) posterior mean of n for expression; None takes the observed counts (accessibility).
    max_values
        Cells times features that are read at most (at least ten cells).
    """
    n_cells, n_features = counts.shape
    n_read = min(n_cells, max(10, max_values // n_features))
    cells = np.unique(np.linspace(0, n_cells - 1, n_read).round().astype(np.intp))
    part = counts[cells].astype(np.float64)
    observed_depth = np.asarray(part.sum(axis=1)).ravel()
    depth = observed_depth if read_depth is None else np.asarray(read_depth, float)[cells]
    sums = np.zeros((4, n_features))  # of m, m^2, variances and zeros
    depth_sd, detected = np.zeros(len(cells)), np.zeros(len(cells))
    for rows in blocks(len(cells), 64):
        rho = decoder.composition(topics[cells[rows]])
        m = depth[rows, None] * rho
        if decoder.dispersion is None:
            variance = m * (1 - rho)
            zero = np.exp(depth[rows, None] * np.log1p(-np.minimum(rho, 1 - 1e-12)))
        else:
            variance = m + m**2 / decoder.dispersion
            zero = np.exp(-decoder.dispersion * np.log1p(m / decoder.dispersion))
            depth_sd[rows] = np.sqrt(variance.sum(1))
        detected[rows] = n_features - zero.sum(1)
        sums += [m.sum(0), (m**2).sum(0), variance.sum(0), zero.sum(0)]
    first, second, within, none = sums / len(cells)
    mean = np.asarray(part.mean(axis=0)).ravel()
    square = np.asarray(part.multiply(part).mean(axis=0)).ravel()
    return Predictive(
        cells=cells,
        mean=np.column_stack([mean, first]),
        variance=np.column_stack([square - mean**2, within + second - first**2]),
        zeros=np.column_stack([(len(cells) - part.getnnz(axis=0)) / len(cells), none]),
        depth=np.column_stack([observed_depth, depth]),
        depth_sd=depth_sd,
        detected=np.column_stack([np.diff(part.indptr), detected]),
    )


def effective_number(topics: Floats) -> Floats:
    """Return exp(entropy) of every composition, (cells,): 1 for a single topic, K for all equally."""
    shares = np.maximum(topics, 1e-12)
    return np.asarray(np.exp(-(shares * np.log(shares)).sum(1)))


def expected_effective_number(alpha: Floats, rng: np.random.Generator, *, n_draws: int = 4000) -> float:
    """Return the median effective number of topics of compositions drawn from Dirichlet(`alpha`)."""
    gammas = rng.standard_gamma(np.maximum(np.asarray(alpha, float), 1e-6), (n_draws, len(alpha)))
    return float(np.median(effective_number(gammas / np.maximum(gammas.sum(1, keepdims=True), 1e-300))))
