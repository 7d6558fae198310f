"""Compiled negative-binomial log-likelihood of the decoder, with gradients.

One cell at a time: its logits, rates and gradients stay in the cache. What is common to all counts of a gene (log-gamma
and digamma differences) is tabulated once per batch, and what is common to zero and non-zero counts of a cell
(log(1 + mean/theta)) is computed for all genes in one vectorised pass, so that non-zero counts need no elementary
function of their own.
Cells are dealt to a fixed number of chunks whose sums are added in order, so the result does not depend on threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mira_nb.core.numerics.single import add_gradients, add_products, exp, gamma_terms, largest, log1p


class Inputs(NamedTuple):
    """A batch of cells and the decoder.

    Attributes
    ----------
    topics, log_depth
        (cells, K) Z and (cells,) log n.
    weights
        (K + 1, G) folded weights with the offsets as last row.
    theta
        (G,) dispersions.
    values, slopes
        (counts, G) tables of :func:`mira_nb.core.numerics.single.gamma_tables`.
    cells
        (cells,) rows of the batch in ``indptr, genes, counts``, which hold all cells.
    """

    topics: Any
    weights: Any
    log_depth: Any
    theta: Any
    values: Any
    slopes: Any
    cells: Any
    indptr: Any
    genes: Any
    counts: Any


class Gradients(NamedTuple):
    """What :func:`chunk_gradients` fills.

    Attributes
    ----------
    weights, theta
        (chunks, K + 1, G) and (chunks, G) sums over each chunk.
    topics, log_depth, log_lik
        (cells, K), (cells,) and (cells,) per cell; log-likelihoods leave out -lgamma(x + 1).
    """

    weights: Any
    theta: Any
    topics: Any
    log_depth: Any
    log_lik: Any


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _composition(shares: Any, weights: Any, logits: Any, rho: Any) -> Any:
    """Fill the logits and the composition of one cell; return the log-sum-exp."""
    n_genes = logits.shape[0]
    offset = weights[shares.shape[0]]
    for j in range(n_genes):
        logits[j] = offset[j]
    add_products(shares, weights, 0, n_genes, logits)
    top = largest(logits, n_genes)
    total = 0 * top
    for j in range(n_genes):
        rho[j] = exp(logits[j] - top)
        total += rho[j]
    inverse = 1 / total
    for j in range(n_genes):
        rho[j] *= inverse
    return top + math.log(total)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def chunk_gradients(chunk: int, n_chunks: int, inputs: Inputs, out: Gradients) -> None:
    """Compute gradients of -log NB(x | mean n rho, theta) for the cells of one chunk."""
    topics, weights, log_depth, theta, values, slopes, cells, indptr, genes, counts = inputs
    d_weights, d_theta, d_topics, d_log_depth, log_lik = out
    n_cells, n_topics = topics.shape
    n_genes = theta.shape[0]
    # five arrays, not one of five rows, which compilers would have to check for overlap
    logits = np.empty(n_genes, topics.dtype)
    rho = np.empty(n_genes, topics.dtype)
    surprise = np.empty(n_genes, topics.dtype)
    share = np.empty(n_genes, topics.dtype)
    grad = np.empty(n_genes, topics.dtype)
    inverse_theta = 1 / theta
    n_tabulated = values.shape[0]
    d_off, d_th = d_weights[chunk, n_topics], d_theta[chunk]
    d_weights[chunk] = 0
    d_th[:] = 0
    for i in range(n_cells * chunk // n_chunks, n_cells * (chunk + 1) // n_chunks):
        log_sum = _composition(topics[i], weights, logits, rho)
        depth = exp(log_depth[i])
        dense = 0 * depth
        # several loops over few arrays each: with more, compilers give up checking for overlap and do not vectorise
        for j in range(n_genes):
            u = depth * rho[j] * inverse_theta[j]
            surprise[j] = log1p(u)
            share[j] = u / (1 + u)
        for j in range(n_genes):
            dense -= theta[j] * surprise[j]
            grad[j] = -theta[j] * share[j]
        for j in range(n_genes):
            d_th[j] += surprise[j] - share[j]
        sparse = 0.0
        shift = log_depth[i] - log_sum
        for p in range(indptr[cells[i]], indptr[cells[i] + 1]):
            j, x = genes[p], counts[p]
            if x < n_tabulated:
                value, slope = values[int(x), j], slopes[int(x), j]
            else:
                value, slope = gamma_terms(x, theta[j])
            left = x * (1 - share[j])
            sparse += value + x * (logits[j] + shift - surprise[j])
            grad[j] += left
            d_th[j] -= slope - left * inverse_theta[j]
        log_lik[i] = dense + sparse
        moved = 0 * depth
        for j in range(n_genes):
            moved += grad[j]
        d_log_depth[i] = -moved
        for j in range(n_genes):
            grad[j] = rho[j] * moved - grad[j]
        for j in range(n_genes):
            d_off[j] += grad[j]
        d_topics[i] = 0
        add_gradients(grad, topics[i], weights, 0, n_genes, d_weights[chunk], d_topics[i])
