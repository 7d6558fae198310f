"""Compiled multinomial log-likelihood of the decoder, with gradients, in blocks of features.

No array of cells x features exists: one block of logits of one cell is held at a time, and the second pass computes
it again to form the gradient. Logits enter the likelihood at open peaks only, plus one log-sum-exp per cell. Every
block writes to its own slots, and sums over blocks are taken in order, so the result does not depend on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .numerics import add_gradients, add_products, exp


@njit(cache=True, fastmath=True, nogil=True)
def fold(
    first: int, last: int, block: int, beta: Any, gamma: Any, bias: Any, mean: Any, cov: Any, eps: Any,
    variance: Any, centre: Any, weights: Any, offset: Any,
) -> None:  # fmt: skip
    """Fold batch normalisation into weights W = beta * scale and offset c, for blocks ``first`` to ``last``.

    The statistics of Z beta over a batch follow from the mean and covariance of Z: mean beta, beta' cov beta.
    """
    n_topics, n_features = beta.shape
    for b in range(first, last):
        lo, hi = b * block, min((b + 1) * block, n_features)
        v, m = variance[lo:hi], centre[lo:hi]
        v[:] = 0
        m[:] = 0
        for k in range(n_topics):
            row = beta[k, lo:hi]
            for j in range(hi - lo):
                m[j] += mean[k] * row[j]
            for q in range(n_topics):
                c = cov[k, q]
                other = beta[q, lo:hi]
                for j in range(hi - lo):
                    v[j] += c * row[j] * other[j]
        for j in range(hi - lo):
            v[j] = max(v[j], 0 * eps)
        scale = gamma[lo:hi] / np.sqrt(v + eps)
        for k in range(n_topics):
            row, out = beta[k, lo:hi], weights[k, lo:hi]
            for j in range(hi - lo):
                out[j] = row[j] * scale[j]
        for j in range(hi - lo):
            offset[lo + j] = bias[lo + j] - m[j] * scale[j]


@njit(cache=True, fastmath=True, nogil=True)
def block_log_sums(
    first: int, last: int, block: int, topics: Any, weights: Any, offset: Any, tops: Any, sums: Any
) -> None:
    """Maximum of the logits and sum of exp(logit - maximum) of each cell in each block: (blocks, cells) each."""
    n_cells, n_features = topics.shape[0], offset.shape[0]
    logits = np.empty(block, topics.dtype)
    for b in range(first, last):
        lo, hi = b * block, min((b + 1) * block, n_features)
        n = hi - lo
        for i in range(n_cells):
            for j in range(n):
                logits[j] = offset[lo + j]
            add_products(topics[i], weights, lo, hi, logits)
            top = logits[0]
            for j in range(n):
                top = max(top, logits[j])
            total = 0 * top
            for j in range(n):
                total += exp(logits[j] - top)
            tops[b, i] = top
            sums[b, i] = total


@njit(cache=True, fastmath=True, nogil=True)
def block_gradients(
    first: int, last: int, block: int, topics: Any, weights: Any, offset: Any, log_sum: Any, depth: Any,
    colptr: Any, cells: Any, counts: Any, d_weights: Any, d_offset: Any, d_topics: Any, log_lik: Any,
) -> None:  # fmt: skip
    """Gradients of -sum_ij x_ij log rho_ij in W, c and Z, and sum_ij x_ij logit_ij, for blocks first to last.

    ``colptr, cells, counts`` hold the batch by column. ``d_topics`` is (blocks, cells, topics), ``log_lik`` (blocks,).
    """
    n_cells, n_topics = topics.shape
    n_features = offset.shape[0]
    grad = np.empty(block, topics.dtype)
    for b in range(first, last):
        lo, hi = b * block, min((b + 1) * block, n_features)
        n = hi - lo
        d_topics[b] = 0
        d_weights[:, lo:hi] = 0
        d_off = d_offset[lo:hi]
        d_off[:] = 0
        for i in range(n_cells):
            for j in range(n):
                grad[j] = offset[lo + j] - log_sum[i]
            add_products(topics[i], weights, lo, hi, grad)
            d = depth[i]
            for j in range(n):
                grad[j] = d * exp(grad[j])
                d_off[j] += grad[j]
            add_gradients(grad, topics[i], weights, lo, hi, d_weights, d_topics[b, i])
        total = 0.0
        for j in range(lo, hi):
            for p in range(colptr[j], colptr[j + 1]):
                i, x = cells[p], counts[p]
                logit = offset[j]
                for k in range(n_topics):
                    z = topics[i, k]
                    logit += z * weights[k, j]
                    d_weights[k, j] -= x * z
                    d_topics[b, i, k] -= x * weights[k, j]
                d_offset[j] -= x
                total += x * logit
        log_lik[b] = total


@njit(cache=True, fastmath=True, nogil=True)
def unfold_gradients(
    first: int, last: int, block: int, beta: Any, gamma: Any, mean: Any, cov: Any, eps: Any, variance: Any,
    centre: Any, d_weights: Any, d_offset: Any, d_beta: Any, d_gamma: Any, d_mean: Any, d_cov: Any,
) -> None:  # fmt: skip
    """Chain rule of :func:`fold`: gradients in beta and gamma, and per block in the mean and covariance of Z."""
    n_topics, n_features = beta.shape
    for b in range(first, last):
        lo, hi = b * block, min((b + 1) * block, n_features)
        n = hi - lo
        inverse_sd = 1 / np.sqrt(variance[lo:hi] + eps)
        scale = gamma[lo:hi] * inverse_sd
        d_off = d_offset[lo:hi]
        d_scale = -d_off * centre[lo:hi]
        for k in range(n_topics):
            row, dw = beta[k, lo:hi], d_weights[k, lo:hi]
            for j in range(n):
                d_scale[j] += dw[j] * row[j]
        d_centre = -d_off * scale
        d_variance = d_scale.copy()
        for j in range(n):
            d_gamma[lo + j] = d_scale[j] * inverse_sd[j]
            d_variance[j] *= -scale[j] * inverse_sd[j] * inverse_sd[j] / 2
        for k in range(n_topics):
            row, dw, out = beta[k, lo:hi], d_weights[k, lo:hi], d_beta[k, lo:hi]
            moved = 0 * mean[0]
            for j in range(n):
                out[j] = dw[j] * scale[j] + d_centre[j] * mean[k]
                moved += d_centre[j] * row[j]
            d_mean[b, k] = moved
            for q in range(n_topics):
                other = beta[q, lo:hi]
                c = 2 * cov[k, q]
                moved = 0 * mean[0]
                for j in range(n):
                    out[j] += c * d_variance[j] * other[j]
                    moved += d_variance[j] * row[j] * other[j]
                d_cov[b, k, q] = moved
