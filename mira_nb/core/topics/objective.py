"""The negative ELBO of a batch: compiled on a CPU, dense torch elsewhere.

The log-likelihood and its gradients in beta, gamma, b, theta, Z and n are computed together in compiled code and
handed to torch as one differentiable function; the small rest (encoder, KL terms) is ordinary torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor
from torch.nn import functional

from .data import Batch, Columns
from .kernels_multinomial import block_gradients, block_log_sums, fold, unfold_gradients
from .kernels_nb import chunk_gradients
from .network import Network, Posterior
from .prior import alpha_log_moments, laplace_moments
from .settings import DirichletVariance
from .threads import Workers

BN_EPS = 1e-5
BLOCK = 1024
CHUNKS = 4
MAX_TABULATED = 100_000


@dataclass(frozen=True)
class Noise:
    """Standard normal draws: (cells, K) for z, (K,) for log alpha, (cells,) for log n (expression)."""

    topics: Tensor
    alpha: Tensor
    depth: Tensor | None = None

    @classmethod
    def draw(cls, network: Network, n_cells: int, generator: torch.Generator) -> Noise:
        """Draw for a batch."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=network.beta.dtype).to(network.beta.device)

        k = network.n_topics
        depth = normal(n_cells) if network.modality == "expression" else None
        return cls(normal(n_cells, k), normal(k), depth)


@dataclass(frozen=True)
class Elbo:
    """Terms of one batch, summed over its cells; ``loss`` is the annealed negative ELBO."""

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor
    topics: Tensor


class _Multinomial(torch.autograd.Function):
    """Sum over cells of sum_j x_ij log rho_ij."""

    @staticmethod
    def forward(
        ctx: Any, topics: Tensor, beta: Tensor, gamma: Tensor, bias: Tensor,
        moments: tuple[Tensor, Tensor] | None, columns: Columns, depth: np.ndarray, workers: Workers,
    ) -> Tensor:  # fmt: skip
        z, b, g, c = (value.detach().numpy() for value in (topics, beta, gamma, bias))
        n_cells, k = z.shape
        n_blocks = -(-b.shape[1] // BLOCK)
        mean, cov = _moments(z) if moments is None else tuple(value.numpy() for value in moments)
        eps = b.dtype.type(BN_EPS)
        variance, centre, offset = (np.empty_like(c) for _ in range(3))
        weights = np.empty_like(b)
        workers.ranges(n_blocks, fold, BLOCK, b, g, c, mean, cov, eps, variance, centre, weights, offset)
        tops, sums = np.empty((2, n_blocks, n_cells), b.dtype)
        workers.ranges(n_blocks, block_log_sums, BLOCK, z, weights, offset, tops, sums)
        top = tops.max(0)
        log_sum = top + np.log((sums * np.exp(tops - top)).sum(0))
        d_weights, d_offset, d_topics = np.empty_like(b), np.empty_like(c), np.empty((n_blocks, n_cells, k), b.dtype)
        log_lik = np.empty(n_blocks)
        workers.ranges(
            n_blocks, block_gradients, BLOCK, z, weights, offset, log_sum, depth.astype(b.dtype),
            columns.pointers, columns.cells, columns.values, d_weights, d_offset, d_topics, log_lik,
        )  # fmt: skip
        d_z = d_topics.sum(0)
        d_beta, d_gamma = np.empty_like(b), np.empty_like(c)
        _unfold(workers, n_blocks, z, b, g, mean, cov, variance, centre, d_weights, d_offset, d_beta, d_gamma,
                d_z if moments is None else None)  # fmt: skip
        ctx.save_for_backward(*(torch.from_numpy(value) for value in (d_z, d_beta, d_gamma, d_offset)))
        total = log_lik.sum() - float((depth * log_sum.astype(np.float64)).sum())
        return beta.new_tensor(total)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return (*(value * -upstream[0] for value in ctx.saved_tensors), None, None, None, None)


class _NegativeBinomial(torch.autograd.Function):
    """Sum over cells and genes of log NB(x | n rho, theta), without -lgamma(x + 1)."""

    @staticmethod
    def forward(
        ctx: Any, topics: Tensor, beta: Tensor, gamma: Tensor, bias: Tensor, log_theta: Tensor, log_depth: Tensor,
        moments: tuple[Tensor, Tensor] | None, rows: Any, workers: Workers,
    ) -> Tensor:  # fmt: skip
        arrays = [value.detach().numpy() for value in (topics, beta, gamma, bias, log_theta, log_depth)]
        z, b, g, c, log_t, log_n = arrays
        n_cells, k = z.shape
        n_genes, dtype = len(c), b.dtype
        n_blocks = -(-n_genes // BLOCK)
        mean, cov = _moments(z) if moments is None else tuple(value.numpy() for value in moments)
        variance, centre, offset = (np.empty_like(c) for _ in range(3))
        weights = np.empty_like(b)
        fold(0, n_blocks, BLOCK, b, g, c, mean, cov, dtype.type(BN_EPS), variance, centre, weights, offset)
        theta = np.exp(log_t)
        d_weights = np.empty((CHUNKS, k, n_genes), dtype)
        d_offset, d_theta = np.empty((2, CHUNKS, n_genes), dtype)
        d_z, d_log_n, log_lik = np.empty_like(z), np.empty_like(log_n), np.empty(n_cells)
        workers.parts(
            CHUNKS, chunk_gradients, z, weights, offset, log_n, theta, rows.indptr, rows.indices,
            rows.data.astype(dtype, copy=False), d_weights, d_offset, d_theta, d_z, d_log_n, log_lik,
        )  # fmt: skip
        d_c = d_offset.sum(0)
        d_beta, d_gamma = np.empty_like(b), np.empty_like(c)
        _unfold(workers, n_blocks, z, b, g, mean, cov, variance, centre, d_weights.sum(0), d_c, d_beta, d_gamma,
                d_z if moments is None else None)  # fmt: skip
        grads = (d_z, d_beta, d_gamma, d_c, d_theta.sum(0) * theta, d_log_n)
        ctx.save_for_backward(*(torch.from_numpy(value) for value in grads))
        return beta.new_tensor(log_lik.sum())

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return (*(value * -upstream[0] for value in ctx.saved_tensors), None, None, None)


def _moments(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = z.mean(0)
    centred = z - mean
    return mean, centred.T @ centred / z.dtype.type(len(z))


def _unfold(
    workers: Workers, n_blocks: int, z: np.ndarray, beta: np.ndarray, gamma: np.ndarray, mean: np.ndarray,
    cov: np.ndarray, variance: np.ndarray, centre: np.ndarray, d_weights: np.ndarray, d_offset: np.ndarray,
    d_beta: np.ndarray, d_gamma: np.ndarray, d_z: np.ndarray | None,
) -> None:  # fmt: skip
    """Chain rule through batch normalisation; ``d_z`` gains the part through the statistics of the batch."""
    k = len(mean)
    d_mean, d_cov = np.empty((n_blocks, k), beta.dtype), np.empty((n_blocks, k, k), beta.dtype)
    workers.ranges(
        n_blocks, unfold_gradients, BLOCK, beta, gamma, mean, cov, beta.dtype.type(BN_EPS), variance, centre,
        d_weights, d_offset, d_beta, d_gamma, d_mean, d_cov,
    )  # fmt: skip
    if d_z is not None:
        d_z += (d_mean.sum(0) + 2 * (z - mean) @ d_cov.sum(0)) / z.dtype.type(len(z))


def negative_elbo(
    network: Network,
    posterior: Posterior,
    batch: Batch,
    noise: Noise,
    workers: Workers,
    *,
    kl_weight: float,
    n_training: int,
    pseudocounts: float = 50.0,
    variance: DirichletVariance = "laplace",
    running: bool = False,
) -> Elbo:
    """Annealed negative ELBO of a batch, summed over cells.

    Parameters
    ----------
    network, posterior, batch, noise
        Parameters, encoder output, data and standard normal draws.
    workers
        Threads of the compiled loops.
    kl_weight
        Annealing weight of the KL terms.
    n_training
        Cells in training; the prior on alpha is scaled by batch / n_training.
    pseudocounts, variance
        J and the form of the Laplace variance.
    running
        Normalise with the running statistics of Z (held-out cells) instead of those of the batch.
    """
    z = posterior.mean + posterior.scale * noise.topics
    topics = z.softmax(-1)
    alpha_scale = network.alpha_scale()
    alpha = (network.alpha_loc + alpha_scale * noise.alpha).exp()
    prior_mean, prior_var = laplace_moments(alpha, variance)
    kl = _normal_kl(posterior.mean, posterior.scale, prior_mean, prior_var.sqrt()).sum()
    loc, scale = alpha_log_moments(network.n_topics, pseudocounts)
    kl_alpha = _normal_kl(network.alpha_loc, alpha_scale, loc, scale).sum() * (batch.n_cells / n_training)
    depth = torch.as_tensor(batch.depth, dtype=topics.dtype, device=topics.device)
    log_depth = None
    if posterior.depth_mean is not None and posterior.depth_scale is not None:
        log_depth = posterior.depth_mean + posterior.depth_scale * noise.depth
        kl = kl + _normal_kl(posterior.depth_mean, posterior.depth_scale, depth.log(), 1.0).sum()
    moments = (network.topic_mean, network.topic_cov) if running else None
    compiled = topics.device.type == "cpu"
    log_lik = (_compiled if compiled else _dense)(network, topics, log_depth, batch, moments, workers)
    log_lik = log_lik + _count_constant(network, batch)
    kl = kl + kl_alpha
    return Elbo(kl_weight * kl - log_lik, log_lik.detach(), kl.detach(), topics.detach())


def _normal_kl(mean: Tensor, scale: Tensor, prior_mean: Tensor | float, prior_scale: Tensor | float) -> Tensor:
    ratio = (scale / prior_scale) ** 2
    return 0.5 * (ratio + ((mean - prior_mean) / prior_scale) ** 2 - 1 - ratio.log())


def _count_constant(network: Network, batch: Batch) -> float:
    """Terms that depend on the counts alone: -sum lgamma(x + 1), and for the multinomial + lgamma(n + 1)."""
    if network.modality == "accessibility":
        return float(gammaln(batch.depth + 1).sum())
    counts = batch.rows.data
    whole = counts.astype(np.int64)
    if len(whole) and (whole.max() > MAX_TABULATED or not np.array_equal(whole, counts)):
        return -float(gammaln(counts.astype(np.float64) + 1).sum())
    # few different counts occur, each very often
    often = np.bincount(whole)
    return -float(often @ gammaln(np.arange(len(often)) + 1.0))


def _compiled(
    network: Network, topics: Tensor, log_depth: Tensor | None, batch: Batch, moments: Any, workers: Workers
) -> Tensor:
    decoder = (topics, network.beta, network.gamma, network.bias)
    if log_depth is not None:
        return _NegativeBinomial.apply(*decoder, network.log_theta, log_depth, moments, batch.rows, workers)
    return _Multinomial.apply(*decoder, moments, batch.columns, batch.depth, workers)


def _dense(
    network: Network, topics: Tensor, log_depth: Tensor | None, batch: Batch, moments: Any, workers: Workers
) -> Tensor:
    """Compute the same in dense torch, for devices that hold a batch x features array easily."""
    raw = topics @ network.beta
    if moments is None:
        logits = functional.batch_norm(raw, None, None, network.gamma, network.bias, training=True, eps=BN_EPS)
    else:
        mean, cov = moments
        var = (network.beta * (cov @ network.beta)).sum(0)
        logits = (raw - mean @ network.beta) / (var + BN_EPS).sqrt() * network.gamma + network.bias
    log_rho = logits.log_softmax(-1)
    counts = torch.as_tensor(batch.rows.toarray(), dtype=topics.dtype, device=topics.device)
    if log_depth is None:
        return (counts * log_rho).sum()
    theta = network.log_theta.exp()
    log_mean = log_depth[:, None] + log_rho
    log_both = torch.logaddexp(network.log_theta, log_mean)
    zero = theta * (network.log_theta - log_both)
    gammas = torch.lgamma(counts + theta) - torch.lgamma(theta)
    return (zero + counts * (log_mean - log_both) + gammas).sum()
