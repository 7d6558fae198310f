"""Compiled negative-binomial log-likelihood of the decoder, with gradients.

One cell at a time: its logits, rates and gradients stay in the cache. Terms with log-gamma are needed only where a
count is not zero. Cells are dealt to a fixed number of chunks whose sums are added in order, so the result does not
depend on threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from .numerics import add_gradients, add_products, exp, gamma_terms, log1p


@njit(cache=True, fastmath=True, nogil=True)
def _composition(shares: Any, weights: Any, offset: Any, logits: Any, rho: Any) -> Any:
    """Fill the logits and the composition of one cell; return the log-sum-exp."""
    n_genes = offset.shape[0]
    for j in range(n_genes):
        logits[j] = offset[j]
    add_products(shares, weights, 0, n_genes, logits)
    top = logits[0]
    for j in range(n_genes):
        top = max(top, logits[j])
    total = 0 * top
    for j in range(n_genes):
        rho[j] = exp(logits[j] - top)
        total += rho[j]
    inverse = 1 / total
    for j in range(n_genes):
        rho[j] *= inverse
    return top + math.log(total)


@njit(cache=True, fastmath=True, nogil=True)
def chunk_gradients(
    chunk: int, n_chunks: int, topics: Any, weights: Any, offset: Any, log_depth: Any, theta: Any,
    indptr: Any, genes: Any, counts: Any, d_weights: Any, d_offset: Any, d_theta: Any, d_topics: Any,
    d_log_depth: Any, log_lik: Any,
) -> None:  # fmt: skip
    """Gradients of -log NB(x | mean n rho, theta) of the cells of one chunk.

    ``d_weights`` (chunks, K, G), ``d_offset`` and ``d_theta`` (chunks, G) are summed over the chunk; ``d_topics``
    (cells, K), ``d_log_depth`` and ``log_lik`` (cells,) are per cell. Log-likelihoods leave out -lgamma(x + 1).
    """
    n_cells = topics.shape[0]
    n_genes = offset.shape[0]
    logits = np.empty(n_genes, topics.dtype)
    rho = np.empty(n_genes, topics.dtype)
    grad = np.empty(n_genes, topics.dtype)
    inverse_theta = 1 / theta
    d_off, d_th = d_offset[chunk], d_theta[chunk]
    d_weights[chunk] = 0
    d_off[:] = 0
    d_th[:] = 0
    for i in range(n_cells * chunk // n_chunks, n_cells * (chunk + 1) // n_chunks):
        log_sum = _composition(topics[i], weights, offset, logits, rho)
        depth = exp(log_depth[i])
        dense = 0 * depth
        for j in range(n_genes):
            u = depth * rho[j] * inverse_theta[j]
            share = u / (1 + u)
            surprise = log1p(u)
            dense -= theta[j] * surprise
            grad[j] = -theta[j] * share
            d_th[j] += surprise - share
        sparse = 0.0
        shift = log_depth[i] - log_sum
        for p in range(indptr[i], indptr[i + 1]):
            j, x = genes[p], counts[p]
            mean = depth * rho[j]
            lgamma, digamma = gamma_terms(x, theta[j])
            both = theta[j] + mean
            sparse += lgamma + x * (logits[j] + shift - math.log(both))
            grad[j] += x - x * mean / both
            d_th[j] -= digamma - x / both
        log_lik[i] = dense + sparse
        moved = 0 * depth
        for j in range(n_genes):
            moved += grad[j]
        d_log_depth[i] = -moved
        for j in range(n_genes):
            grad[j] = rho[j] * moved - grad[j]
            d_off[j] += grad[j]
        d_topics[i] = 0
        add_gradients(grad, topics[i], weights, 0, n_genes, d_weights[chunk], d_topics[i])
