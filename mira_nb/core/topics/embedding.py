"""Mean embedding of a cell's open peaks, with peaks left out at random in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .data import Batch
from .kernels_embedding import add_embeddings, embedding_gradient, mean_weights
from .network import Network
from .threads import Workers

PARTS = 4


class PeakAverage:
    """v_i = mean over the kept open peaks of their embeddings.

    On a CPU the table takes no part in autograd: its gradient (as large as the table) is written to one buffer by
    :meth:`fill_gradient` after ``backward``.
    """

    def __init__(self, table: torch.nn.Parameter, workers: Workers) -> None:
        self.table = table
        self._workers = workers
        self._buffer: Tensor | None = None
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

    def fill_gradient(self) -> None:
        """Put the table's gradient where the optimiser looks for it (after ``backward``)."""
        if self._pending is None:
            return
        batch, weights, mean = self._pending
        self._pending = None
        columns = batch.encoder_columns
        if columns is None or mean.grad is None:
            return
        if self._buffer is None:
            self._buffer = torch.empty_like(self.table, requires_grad=False)
        self._workers.parts(
            PARTS, embedding_gradient, mean.grad.numpy(), columns.pointers, columns.cells, weights,
            self._buffer.numpy(),
        )  # fmt: skip
        self.table.grad = self._buffer

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
