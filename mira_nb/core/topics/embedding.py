"""Mean embedding of a cell's open peaks, with peaks left out at random in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.kernels.adam import update_embeddings
from mira_nb.core.topics.kernels.embedding import add_embeddings, mean_weights

from .data import Batch
from .network import Network

PARTS = 4


class PeakAverage:
    """v_i = mean over the kept open peaks of their embeddings.

    On a CPU the table takes no part in autograd: :meth:`update` follows ``backward`` and never forms its gradient,
    which would be as large as the table.
    """

    def __init__(self, table: torch.nn.Parameter, workers: Workers) -> None:
        self.table = table
        self._workers = workers
        self._pending: tuple[Batch, np.ndarray, Tensor] | None = None

    def __call__(self, batch: Batch, rate: float, generator: torch.Generator | None) -> Tensor:
        """Mean embeddings, (cells, width); with a generator, open peaks are left out at ``rate``."""
        columns = batch.encoder_columns
        if columns is None:
            raise ValueError("the batch has no accessibility columns")
        kept = np.ones(len(columns.cells), np.float32)
        if generator is not None and rate > 0:
            kept = (torch.rand(len(kept), generator=generator) >= rate).numpy().astype(np.float32)
        weights = np.empty_like(kept)
        mean_weights(batch.n_cells, columns.cells, kept, weights)
        if self.table.device.type != "cpu":
            return self._dense(batch, weights)
        table = self.table.detach().numpy()
        sums = np.empty((PARTS, batch.n_cells, table.shape[1]), table.dtype)
        self._workers.parts(PARTS, add_embeddings, table, columns.pointers, columns.cells, weights, sums)
        mean = torch.from_numpy(sums.sum(0))
        if torch.is_grad_enabled():
            mean.requires_grad_()
            self._pending = (batch, weights, mean)
        return mean

    def update(self, mean: Tensor, square: Tensor, scalars: tuple[float, ...]) -> None:
        """Update the table by Adam with the gradient that ``backward`` has left in the last means.

        ``mean`` and ``square`` are the table's moments, ``scalars`` those of :func:`.kernels_adam.update`.
        """
        if self._pending is None:
            return
        batch, weights, averages = self._pending
        self._pending = None
        columns = batch.encoder_columns
        if columns is None or averages.grad is None:
            return
        arrays = (value.detach().numpy() for value in (self.table, mean, square))
        self._workers.parts(
            PARTS, update_embeddings, averages.grad.numpy(), columns.pointers, columns.cells, weights, *arrays, *scalars
        )

    def _dense(self, batch: Batch, weights: np.ndarray) -> Tensor:
        columns = batch.encoder_columns
        if columns is None:
            raise ValueError("the batch has no accessibility columns")
        device = self.table.device
        peaks = torch.from_numpy(np.repeat(np.arange(len(columns.pointers) - 1), np.diff(columns.pointers))).to(device)
        cells = torch.from_numpy(columns.cells.astype(np.int64)).to(device)
        values = self.table[peaks] * torch.from_numpy(weights).to(device)[:, None]
        return torch.zeros(batch.n_cells, self.table.shape[1], device=device).index_add(0, cells, values)


def peak_average(network: Network, workers: Workers) -> PeakAverage | None:
    """Return the averaging layer of an accessibility network; None for expression."""
    return PeakAverage(network.encoder.table, workers) if network.modality == "accessibility" else None
