"""Compiled log-likelihood of a batch given its topics.

The compiled functions compute the log-likelihood together with its gradients in beta, gamma, b, theta, Z and n, and
hand both to torch as one differentiable function. Terms that depend on the counts alone are left out (see
:attr:`.data.Batch.constant`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mira_nb.core.numerics.single import gamma_tables
from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.kernels import multinomial as kernels_multinomial
from mira_nb.core.topics.kernels import negative_binomial as kernels_nb
from mira_nb.core.topics.kernels.multinomial import DecoderGradients, Normalisation, fold, unfold_gradients

from .data import Batch, Columns
from .network import Network

BN_EPS = 1e-5
FOLD_BLOCK, LOGIT_BLOCK = 1024, 256
"""Features whose weights are folded, and whose logits are held for all cells of a batch, at a time: a cache's."""

CHUNKS = 4
"""Parts with sums of their own, added in order; fixed, so that results do not depend on the threads."""

MAX_TABULATED = 32
"""Counts up to which log-gamma differences are tabulated per gene; larger ones are rare and computed singly."""


def log_likelihood(
    network: Network,
    topics: Tensor,
    log_depth: Tensor | None,
    batch: Batch,
    moments: tuple[Tensor, Tensor] | None,
    workers: Workers,
) -> Tensor:
    """Return the log-likelihood of a batch, without the terms that depend on the counts alone.

    Parameters
    ----------
    network, batch, workers
        Decoder, counts, and the threads of the compiled loops.
    topics
        (cells, K) compositions.
    log_depth
        (cells,) log n for expression; None for accessibility, whose depth is observed.
    moments
        Mean (K,) and covariance (K, K) of Z for batch normalisation; None takes those of the batch.
    """
    decoder = (topics, network.beta, network.gamma, network.bias)
    if log_depth is not None:
        return _NegativeBinomial.apply(*decoder, network.log_theta, log_depth, moments, batch, workers)
    return _Multinomial.apply(*decoder, moments, batch.columns, batch.depth, workers)


class _Multinomial(torch.autograd.Function):
    """Sum over cells of sum_j x_ij log rho_ij."""

    @staticmethod
    def forward(
        ctx: Any, topics: Tensor, beta: Tensor, gamma: Tensor, bias: Tensor,
        moments: tuple[Tensor, Tensor] | None, columns: Columns, depth: np.ndarray, workers: Workers,
    ) -> Tensor:  # fmt: skip
        decoder = _Folded(topics, beta, gamma, bias, moments, workers)
        dtype, n_cells = decoder.dtype, len(decoder.topics)
        shares = np.column_stack([decoder.topics, np.ones(n_cells, dtype)])
        tops, sums = np.empty((2, CHUNKS, n_cells), dtype)
        workers.parts(
            CHUNKS, kernels_multinomial.chunk_log_sums, LOGIT_BLOCK, shares, decoder.weights, tops, sums
        )  # fmt: skip
        top = tops.max(0)
        log_sum = top + np.log((sums * np.exp(tops - top)).sum(0))
        d_weights, log_lik = np.empty_like(decoder.weights), np.empty(CHUNKS)
        d_shares = np.empty((CHUNKS, *shares.shape), dtype)
        workers.parts(
            CHUNKS, kernels_multinomial.chunk_gradients, LOGIT_BLOCK, shares, np.ascontiguousarray(shares.T),
            decoder.weights, log_sum - np.log(depth).astype(dtype),
            kernels_multinomial.OpenPeaks(columns.pointers, columns.cells, columns.values),
            kernels_multinomial.ChunkSums(d_weights, d_shares, log_lik),
        )  # fmt: skip
        ctx.save_for_backward(*decoder.gradients(d_weights, d_shares.sum(0)[:, :-1]))
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
        moments: tuple[Tensor, Tensor] | None, batch: Batch, workers: Workers,
    ) -> Tensor:  # fmt: skip
        decoder = _Folded(topics, beta, gamma, bias, moments, workers)
        z, log_n = decoder.topics, log_depth.detach().numpy()
        rows, n_genes, dtype = batch.counts, decoder.weights.shape[1], decoder.dtype
        theta = np.exp(log_theta.detach().numpy())
        tables = np.empty((2, int(min(batch.largest, MAX_TABULATED)) + 1, n_genes), dtype)
        gamma_tables(theta, *tables)
        d_weights = np.empty((CHUNKS, len(decoder.weights), n_genes), dtype)
        d_theta = np.empty((CHUNKS, n_genes), dtype)
        d_z, d_log_n, log_lik = np.empty_like(z), np.empty_like(log_n), np.empty(len(z))
        workers.parts(
            CHUNKS, kernels_nb.chunk_gradients,
            kernels_nb.Inputs(
                z, decoder.weights, log_n, theta, tables[0], tables[1], batch.cells, rows.indptr, rows.indices,
                rows.data,
            ),
            kernels_nb.Gradients(d_weights, d_theta, d_z, d_log_n, log_lik),
        )  # fmt: skip
        d_z, *rest = decoder.gradients(d_weights.sum(0), d_z)
        others = (torch.from_numpy(d_theta.sum(0) * theta), torch.from_numpy(d_log_n))
        ctx.save_for_backward(d_z, *rest, *others)
        return beta.new_tensor(log_lik.sum())

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return (*(value * -upstream[0] for value in ctx.saved_tensors), None, None, None)


class _Folded:
    """The decoder with batch normalisation folded into its weights, and the chain rule back.

    Attributes
    ----------
    topics
        (cells, K) Z.
    weights
        (K + 1, F) W, and the offset c as last row: logits are Z W + c.
    """

    def __init__(
        self, topics: Tensor, beta: Tensor, gamma: Tensor, bias: Tensor, moments: tuple[Tensor, Tensor] | None,
        workers: Workers,
    ) -> None:  # fmt: skip
        self.topics, self._beta, self._gamma, offset = (
            value.detach().numpy() for value in (topics, beta, gamma, bias)
        )  # fmt: skip
        self.dtype = self._beta.dtype
        self._workers = workers
        self._of_batch = moments is None
        mean, cov = _moments(self.topics) if moments is None else tuple(part.numpy() for part in moments)
        self.weights = np.empty((len(self._beta) + 1, len(offset)), self.dtype)
        variance, centre = np.empty((2, len(offset)), self.dtype)
        self._norm = Normalisation(
            self._beta, self._gamma, offset, mean, cov, self.dtype.type(BN_EPS), variance, centre
        )
        self._blocks = -(-len(offset) // FOLD_BLOCK)
        workers.ranges(self._blocks, fold, FOLD_BLOCK, self._norm, self.weights)

    def gradients(self, d_weights: np.ndarray, d_topics: np.ndarray) -> list[Tensor]:
        """Return gradients in Z, beta, gamma and b from those in W (with c) and Z."""
        k = len(self._beta)
        d_beta, d_gamma = np.empty_like(self._beta), np.empty_like(self._gamma)
        d_mean, d_cov = np.empty((self._blocks, k), self.dtype), np.empty((self._blocks, k, k), self.dtype)
        self._workers.ranges(
            self._blocks, unfold_gradients, FOLD_BLOCK, self._norm, d_weights,
            DecoderGradients(d_beta, d_gamma, d_mean, d_cov),
        )  # fmt: skip
        if self._of_batch:
            through = d_mean.sum(0) + 2 * (self.topics - self._norm.mean) @ d_cov.sum(0)
            d_topics = d_topics + through / self.dtype.type(len(self.topics))
        return [torch.from_numpy(np.ascontiguousarray(value)) for value in (d_topics, d_beta, d_gamma, d_weights[k])]


def _moments(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = z.mean(0)
    centred = z - mean
    return mean, centred.T @ centred / z.dtype.type(len(z))
