"""Compiled multinomial log-likelihood of the decoder, with gradients, in blocks of features.

No array of cells x features exists: one block of logits, small enough for the cache, is held at a time, and the second
pass computes it again to form the gradient. Logits enter the likelihood at open peaks only, plus one log-sum-exp per
cell. Offsets are the last row of the weights, which meets a column of ones beside the topics, so that a block is three
matrix products. Features are dealt to a fixed number of chunks whose sums are added in order, so the result does not
depend on threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mira_nb.core.numerics.single import exp, largest


class Normalisation(NamedTuple):
    """Batch normalisation of Z beta: its parameters, the statistics of Z, and those of Z beta that :func:`fold` fills.

    Attributes
    ----------
    beta, gamma, bias
        (K, F), (F,), (F,) parameters of the decoder.
    mean, cov
        (K,), (K, K) mean and covariance of Z.
    eps
        Added to variances.
    variance, centre
        (F,) variance and mean of Z beta.
    """

    beta: Any
    gamma: Any
    bias: Any
    mean: Any
    cov: Any
    eps: Any
    variance: Any
    centre: Any


class DecoderGradients(NamedTuple):
    """Gradients that :func:`unfold_gradients` fills: (K, F), (F,), and per block (blocks, K) and (blocks, K, K)."""

    beta: Any
    gamma: Any
    mean: Any
    cov: Any


class OpenPeaks(NamedTuple):
    """A batch by column: feature j has entries ``pointers[j]`` to ``pointers[j + 1]`` of ``cells`` and ``counts``."""

    pointers: Any
    cells: Any
    counts: Any


class ChunkSums(NamedTuple):
    """What :func:`chunk_gradients` fills.

    Attributes
    ----------
    weights
        (rows, features) gradient in W.
    topics, log_lik
        (chunks, cells, rows) gradient in Z and (chunks,) log-likelihood, summed over each chunk.
    """

    weights: Any
    topics: Any
    log_lik: Any


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def fold(first: int, last: int, block: int, norm: Normalisation, weights: Any) -> None:
    """Fold batch normalisation into weights (K + 1, F): beta * scale, and the offset c; blocks ``first`` to ``last``.

    The statistics of Z beta over a batch follow from the mean and covariance of Z: mean beta, beta' cov beta.
    """
    beta, gamma, bias, mean, cov, eps, variance, centre = norm
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
            weights[n_topics, lo + j] = bias[lo + j] - m[j] * scale[j]


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def chunk_log_sums(chunk: int, n_chunks: int, block: int, topics: Any, weights: Any, tops: Any, sums: Any) -> None:
    """Fill row ``chunk`` of both (chunks, cells): maximum of each cell's logits, and sum of exp(logit - maximum)."""
    n_cells, n_rows = topics.shape
    n_features = weights.shape[1]
    space, copied = np.empty(n_cells * block, topics.dtype), np.empty(n_rows * block, topics.dtype)
    first, last = _share(chunk, n_chunks, block, n_features)
    tops[chunk] = -np.inf
    sums[chunk] = 0
    for lo in range(first, last, block):
        hi = min(lo + block, n_features)
        logits, _ = _logits(topics, weights, lo, hi, space, copied)
        for i in range(n_cells):
            row = logits[i]
            top = max(tops[chunk, i], largest(row, hi - lo))
            total = 0 * top
            for j in range(hi - lo):
                total += exp(row[j] - top)
            sums[chunk, i] = sums[chunk, i] * exp(tops[chunk, i] - top) + total
            tops[chunk, i] = top


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def chunk_gradients(
    chunk: int, n_chunks: int, block: int, topics: Any, across: Any, weights: Any, shift: Any,
    observed: OpenPeaks, out: ChunkSums,
) -> None:  # fmt: skip
    """Compute gradients of -sum_ij x_ij log rho_ij in W and Z, and sum_ij x_ij logit_ij, for the features of one chunk.

    ``across`` is the transpose of ``topics``; ``shift`` each cell's log-sum-exp less its log depth, so that
    exp(logit - shift) is its expected count.
    """
    colptr, cells, counts = observed
    d_weights, d_topics, log_lik = out
    n_cells, n_rows = topics.shape
    n_features = weights.shape[1]
    space, copied = np.empty(n_cells * block, topics.dtype), np.empty(n_rows * block, topics.dtype)
    slopes, moved = np.empty(n_rows * block, topics.dtype), np.empty((n_cells, n_rows), topics.dtype)
    first, last = _share(chunk, n_chunks, block, n_features)
    mine = d_topics[chunk]
    mine[:] = 0
    log_lik[chunk] = 0
    for lo in range(first, last, block):
        hi = min(lo + block, n_features)
        expected, part = _logits(topics, weights, lo, hi, space, copied)
        for i in range(n_cells):
            row, own = expected[i], shift[i]
            for j in range(hi - lo):
                row[j] = exp(row[j] - own)
        d_part = slopes[: n_rows * (hi - lo)].reshape(n_rows, hi - lo)
        np.dot(across, expected, d_part)
        np.dot(expected, part.T, moved)
        mine += moved
        log_lik[chunk] += _subtract_observed(topics, part, lo, hi, colptr, cells, counts, d_part, mine)
        d_weights[:, lo:hi] = d_part


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _share(chunk: int, n_chunks: int, block: int, n_features: int) -> tuple[int, int]:
    """Return the first and last feature of a chunk of whole blocks."""
    n_blocks = (n_features + block - 1) // block
    return n_blocks * chunk // n_chunks * block, min(n_blocks * (chunk + 1) // n_chunks * block, n_features)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _logits(topics: Any, weights: Any, lo: int, hi: int, space: Any, copied: Any) -> Any:
    """Compute logits (cells, features) of a block, in ``space``, and its weights (rows, features), in ``copied``."""
    part = copied[: len(weights) * (hi - lo)].reshape(len(weights), hi - lo)
    part[:] = weights[:, lo:hi]
    logits = space[: len(topics) * (hi - lo)].reshape(len(topics), hi - lo)
    np.dot(topics, part, logits)
    return logits, part


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _subtract_observed(
    topics: Any, part: Any, lo: int, hi: int, colptr: Any, cells: Any, counts: Any, d_part: Any, d_topics: Any
) -> float:
    """Take the observed counts of a block off both gradients; returns sum_ij x_ij logit_ij."""
    n_rows = topics.shape[1]
    weight, used = np.empty(n_rows, topics.dtype), np.empty(n_rows, topics.dtype)
    total = 0.0
    for j in range(lo, hi):
        for k in range(n_rows):
            weight[k] = part[k, j - lo]
            used[k] = 0
        for p in range(colptr[j], colptr[j + 1]):
            i, x = cells[p], counts[p]
            for k in range(n_rows):
                used[k] += x * topics[i, k]
            for k in range(n_rows):
                d_topics[i, k] -= x * weight[k]
        for k in range(n_rows):
            total += used[k] * weight[k]
            d_part[k, j - lo] -= used[k]
    return total


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def unfold_gradients(
    first: int, last: int, block: int, norm: Normalisation, d_weights: Any, out: DecoderGradients
) -> None:
    """Apply the chain rule of :func:`fold`: gradients in beta and gamma, per block in mean and covariance of Z."""
    beta, gamma, _, mean, cov, eps, variance, centre = norm
    d_beta, d_gamma, d_mean, d_cov = out
    n_topics, n_features = beta.shape
    for b in range(first, last):
        lo, hi = b * block, min((b + 1) * block, n_features)
        n = hi - lo
        inverse_sd = 1 / np.sqrt(variance[lo:hi] + eps)
        scale = gamma[lo:hi] * inverse_sd
        d_off = d_weights[n_topics, lo:hi]
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
            row, dw, target = beta[k, lo:hi], d_weights[k, lo:hi], d_beta[k, lo:hi]
            moved = 0 * mean[0]
            for j in range(n):
                target[j] = dw[j] * scale[j] + d_centre[j] * mean[k]
                moved += d_centre[j] * row[j]
            d_mean[b, k] = moved
            for q in range(n_topics):
                other = beta[q, lo:hi]
                c = 2 * cov[k, q]
                moved = 0 * mean[0]
                for j in range(n):
                    target[j] += c * d_variance[j] * other[j]
                    moved += d_variance[j] * row[j] * other[j]
                d_cov[b, k, q] = moved
