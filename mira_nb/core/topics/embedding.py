"""Mean embedding of a cell's open peaks, with peaks left out at random in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.kernels.adam import Parameter, Peaks, Rates, update_embeddings
from mira_nb.core.topics.kernels.embedding import add_embeddings, mean_weights

from .data import Batch, Columns
from .network import Network

PARTS = 4
"""Parts with sums of their own, added in order; fixed, so that results do not depend on the threads."""


class PeakAverage:
    """v_i = mean over the kept open peaks of their embeddings.

    The table takes no part in autograd: :meth:`update` follows ``backward`` and never forms its gradient, which would
    be as large as the table.
    """

    def __init__(self, table: torch.nn.Parameter, workers: Workers) -> None:
        self.table = table
        self._workers = workers
        self._pending: tuple[Batch, np.ndarray, Tensor] | None = None

    def __call__(self, batch: Batch, rate: float, generator: torch.Generator | None) -> Tensor:
        """Return mean embeddings, (cells, width); with a generator, open peaks are left out at ``rate``."""
        weights, columns = peak_weights(batch, rate, generator), _columns(batch)
        table = self.table.detach().numpy()
        sums = np.empty((PARTS, batch.n_cells, table.shape[1]), table.dtype)
        self._workers.parts(PARTS, add_embeddings, table, columns.pointers, columns.cells, weights, sums)
        mean = torch.from_numpy(sums.sum(0))
        if torch.is_grad_enabled():
            mean.requires_grad_()
            self._pending = (batch, weights, mean)
        return mean

    def update(self, mean: Tensor, square: Tensor, rates: Rates) -> None:
        """Update the table by Adam with the gradient that ``backward`` has left in the last means.

        ``mean`` and ``square`` are the table's moments.
        """
        if self._pending is None:
            return
        batch, weights, averages = self._pending
        self._pending = None
        columns = batch.encoder_columns
        if columns is None or averages.grad is None:
            return
        embeddings = Parameter(*(value.detach().numpy() for value in (self.table, mean, square)))
        peaks = Peaks(columns.pointers, columns.cells, weights)
        self._workers.parts(PARTS, update_embeddings, averages.grad.numpy(), peaks, embeddings, rates)


def peak_weights(batch: Batch, rate: float, generator: torch.Generator | None) -> np.ndarray:
    """Return each open peak's weight in its cell's mean: one over the number of peaks kept, 0 where left out.

    Weights are in the order of ``batch.encoder_columns``; with a generator, peaks are left out at ``rate``.
    """
    columns = _columns(batch)
    kept = np.ones(len(columns.cells), np.float32)
    if generator is not None and rate > 0:
        kept = (torch.rand(len(kept), generator=generator) >= rate).numpy().astype(np.float32)
    weights = np.empty_like(kept)
    mean_weights(batch.n_cells, columns.cells, kept, weights)
    return weights


def _columns(batch: Batch) -> Columns:
    if batch.encoder_columns is None:
        raise ValueError("the batch has no accessibility columns")
    return batch.encoder_columns


def peak_average(network: Network, workers: Workers) -> PeakAverage | None:
    """Return the averaging layer of an accessibility network; None for expression."""
    return PeakAverage(network.encoder.table, workers) if network.modality == "accessibility" else None
