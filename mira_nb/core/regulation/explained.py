"""How much of a gene's predictable expression the chromatin around it leaves unexplained.

The likelihood-ratio test of NITE against LITE grows with the number of cells: with enough of them it rejects LITE for
the slightest departure. This is the size of the departure beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.typing import Floats

from .model import negative_binomial

BLOCK = 64
"""Genes at a time, which bounds the dense (cells, genes) array."""

STEPS = 60
"""Most steps of Fisher scoring; it stops at convergence."""


def constant_log_likelihood(counts: sparse.csc_matrix, offset: NDArray, theta: NDArray) -> Floats:
    """Return the log-likelihood of genes with one rate in all cells, log mu_ij = offset_i + b_j, maximised over b.

    Parameters
    ----------
    counts
        (N, G) raw counts.
    offset
        (N,) log n_i minus the log normaliser, as in the LITE model.
    theta
        (G,) dispersion; genes where it is NaN get NaN.

    Returns
    -------
    (G,) log-likelihoods; minus infinity is never among them: a gene without counts has b at a lower bound of -40.
    """
    columns = sparse.csc_matrix(counts)
    offset, theta = np.asarray(offset, dtype=np.float64), np.asarray(theta, dtype=np.float64)
    out = np.full(columns.shape[1], np.nan)
    known = np.flatnonzero(np.isfinite(theta))
    for start in range(0, len(known), BLOCK):
        genes = known[start : start + BLOCK]
        x = columns[:, genes].toarray().astype(np.float64)
        bias = best_bias(x, offset, theta[genes])
        for column, gene in enumerate(genes):
            out[gene] = negative_binomial(x[:, column], offset + bias[column], float(theta[gene])).sum()
    return out


def best_bias(x: Floats, offset: Floats, theta: Floats) -> Floats:
    """Maximise over b by Fisher scoring; the log-likelihood is concave in b."""
    with np.errstate(divide="ignore"):
        bias = np.maximum(np.log(x.sum(axis=0)) - np.log(np.exp(offset).sum()), -40.0)
    for _ in range(STEPS):
        mean = np.exp(offset[:, None] + bias)
        slope = ((x - mean) * theta / (theta + mean)).sum(axis=0)
        curve = (mean * theta / (theta + mean)).sum(axis=0)
        step = np.clip(slope / np.maximum(curve, 1e-300), -1.0, 1.0)
        bias = np.maximum(bias + step, -40.0)
        if np.abs(step).max() < 1e-9:
            break
    return bias


def unexplained_share(constant: NDArray, lite: NDArray, nite: NDArray) -> Floats:
    """Return (l_NITE - l_LITE) / (l_NITE - l_constant), from 0 to 1; NaN where NITE explains nothing.

    0: the chromatin around the gene explains all that the cell's whole chromatin state does; 1: it explains nothing.

    Parameters
    ----------
    constant, lite, nite
        (G,) log-likelihoods of the three models, at the same dispersion.
    """
    constant, lite, nite = (np.asarray(values, dtype=np.float64) for values in (constant, lite, nite))
    whole = nite - constant
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((nite - lite) / whole, 0.0, 1.0)
    return np.where(whole > 0, share, np.nan)
