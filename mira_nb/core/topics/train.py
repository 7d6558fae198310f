"""Training of a topic model: one-cycle Adam on the annealed ELBO, with a held-out ELBO beside it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln

from mira_nb.core.numerics.threads import Workers
from mira_nb.errors import ConvergenceError
from mira_nb.typing import Progress

from .adam import Adam
from .data import Batch, CellData, blocks, column_totals, equal_batches, log_factorials
from .embedding import peak_average
from .network import Network, Posterior
from .objective import Elbo, Noise, negative_elbo
from .schedule import RangeTest, kl_weight, one_cycle, read_range_test
from .settings import RATE_BOUNDS, TopicSettings

BN_MOMENTUM = 0.05
RANGE_STEPS = 100
RANGE_LIMITS = (1e-5, 1.0)


class Trainer:
    """Runs encoder, objective and optimiser over batches of the training cells.

    Parameters
    ----------
    network, data, settings
        What is trained, on what, how.
    training, held_out
        Positions of training and held-out cells.
    workers
        Threads of the compiled loops.
    rng, generator
        Order of cells; dropout and posterior draws.
    """

    def __init__(
        self, network: Network, data: CellData, settings: TopicSettings, training: NDArray[np.intp],
        held_out: NDArray[np.intp], workers: Workers, rng: np.random.Generator, generator: torch.Generator,
    ) -> None:  # fmt: skip
        self.network = network
        self.data = data
        self.settings = settings
        self.training = training
        self.held_out = held_out
        self.workers = workers
        self.rng = rng
        self.generator = generator
        self._average = peak_average(network, workers)

    def encode(self, batch: Batch, generator: torch.Generator | None) -> Posterior:
        """Posterior of a batch; with a generator, dropout is on."""
        return encode_batch(self.network, batch, self._average, self.settings.dropout, generator)

    def elbo(self, batch: Batch, posterior: Posterior, noise: Noise, weight: float, *, running: bool = False) -> Elbo:
        """Negative ELBO of a batch under the settings."""
        return negative_elbo(
            self.network, posterior, batch, noise, self.workers, kl_weight=weight, n_training=len(self.training),
            pseudocounts=self.settings.initial_pseudocounts, variance=self.settings.dirichlet_variance, running=running,
        )  # fmt: skip

    def step(self, batch: Batch, optimiser: Adam, rate: float, weight: float) -> Elbo:
        """One update on a batch."""
        posterior = self.encode(batch, self.generator)
        terms = self.elbo(batch, posterior, Noise.draw(self.network, batch.n_cells, self.generator), weight)
        optimiser.zero_grad()
        (terms.loss / batch.n_cells).backward()
        optimiser.step(rate)
        self.network.track(terms.topics, BN_MOMENTUM)
        return terms

    def optimiser(self, parameters: Iterable[torch.Tensor] | None = None) -> Adam:
        """Adam over all parameters, or some of them."""
        s = self.settings
        return Adam(
            self.network.parameters() if parameters is None else parameters, self.workers, self._average,
            beta1=s.adam_beta1, beta2=s.adam_beta2, epsilon=s.adam_epsilon,
        )  # fmt: skip

    @torch.no_grad()
    def held_out_elbo(self, seed: int) -> float:
        """ELBO a cell of the held-out cells with full KL weight; the same posterior draws at every call."""
        if not len(self.held_out):
            return math.nan
        self.network.eval()
        generator = torch.Generator().manual_seed(seed)
        total = 0.0
        for cells in equal_batches(self.held_out, 256):
            batch = self.data.batch(cells)
            noise = Noise.draw(self.network, batch.n_cells, generator)
            total -= self.elbo(batch, self.encode(batch, None), noise, 1.0, running=True).loss.item()
        self.network.train()
        return total / len(self.held_out)

    def range_test(self, progress: Callable[[float], None]) -> RangeTest:
        """Sweep the learning rate over the first batches, then put everything back as it was."""
        state = copy.deepcopy(self.network.state_dict())
        optimiser = self.optimiser()
        low, high = RANGE_LIMITS
        rates = low * (high / low) ** (np.arange(RANGE_STEPS) / (RANGE_STEPS - 1))
        losses: list[float] = []
        order: list[NDArray[np.intp]] = []
        pooled = pooled_losses(self.data.counts, self.training)
        mean = pooled[self.training].sum() / self.data.depth[self.training].sum()
        while len(losses) < RANGE_STEPS:
            if not order:
                order = list(equal_batches(self.rng.permutation(self.training), self.settings.batch_size))
            cells = order.pop()
            loss = self.step(self.data.batch(cells), optimiser, rates[len(losses)], 0.0).loss.item()
            # a count, and against what the pooled profile gives the same cells: batches differ in depth and in how
            # likely their features are far more than a step gains
            losses.append(float((loss - pooled[cells].sum()) / self.data.depth[cells].sum() + mean))
            progress(len(losses) / RANGE_STEPS)
            if not math.isfinite(losses[-1]) or losses[-1] > 2 * abs(losses[0]) + losses[0]:
                break
        self.network.load_state_dict(state)
        return read_range_test(rates[: len(losses)], np.array(losses), bounds=RATE_BOUNDS[self.network.modality])

    def run(self, low: float, high: float, progress: Progress, *, seed: int) -> list[dict[str, Any]]:
        """Train; returns one record an epoch."""
        s = self.settings
        optimiser = self.optimiser()
        n_batches = sum(1 for _ in equal_batches(self.training, s.batch_size))
        n_steps, step = s.n_epochs * n_batches, 0
        history: list[dict[str, Any]] = []
        best, since, started = -math.inf, 0, time.monotonic()
        for epoch in range(1, s.n_epochs + 1):
            clock, sums = time.monotonic(), np.zeros(3)
            rate = weight = 0.0
            order = equal_batches(self.rng.permutation(self.training), s.batch_size)
            for batch in self.workers.ahead(self.data.batch, order):
                rate = one_cycle(step, n_steps, low, high, peak_at=s.peak_at, anneal=s.anneal)
                weight = kl_weight(step, n_steps, s.kl_schedule)
                terms = self.step(batch, optimiser, rate, weight)
                sums += [terms.loss.item(), terms.log_likelihood.item(), terms.kl.item()]
                step += 1
                progress(step / n_steps, _left(epoch, s.n_epochs, step, n_steps, started))
            loss, log_lik, kl = sums / len(self.training)
            if not math.isfinite(loss):
                raise ConvergenceError(
                    f"training diverged in epoch {epoch}: the loss is {loss}",
                    remedy=f"lower learning_rate_max (now {high:.2g}) or change the seed",
                )
            held_out = self.held_out_elbo(seed)
            history.append(
                {"epoch": epoch, "loss": loss, "log_likelihood": log_lik, "kl": kl, "elbo": log_lik - kl,
                 "held_out_elbo": held_out, "kl_weight": weight, "learning_rate": rate,
                 "seconds": time.monotonic() - clock}
            )  # fmt: skip
            if weight >= 1 and s.patience and math.isfinite(held_out):
                best, since = (held_out, 0) if held_out > best else (best, since + 1)
                if since >= s.patience:
                    break
        return history


def _left(epoch: int, n_epochs: int, step: int, n_steps: int, started: float) -> str:
    seconds = (time.monotonic() - started) / step * (n_steps - step)
    left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"epoch {epoch} of {n_epochs}, about {left} left"


def encode_batch(
    network: Network, batch: Batch, average: Any, rate: float, generator: torch.Generator | None
) -> Posterior:
    """Run the encoder on a batch (dropout only with a generator)."""
    device, dtype = network.beta.device, network.beta.dtype
    log_depth = torch.as_tensor(np.log(batch.depth), dtype=dtype, device=device)
    if average is not None:
        values = average(batch, rate, generator).to(device)
    else:
        values = torch.as_tensor(batch.residuals, dtype=dtype, device=device)
    posterior: Posterior = network.encoder(values, log_depth, generator)
    return posterior


def posterior_means(
    network: Network, data: CellData, workers: Workers, *, progress: Callable[[float], None] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Cell topics softmax(mu), (cells, K), and exp of the posterior mean of log n (expression), (cells,)."""
    network.eval()
    average = peak_average(network, workers)
    topics: list[NDArray[np.float64]] = []
    depths: list[NDArray[np.float64]] = []
    with torch.no_grad():
        groups: Sequence[NDArray[np.intp]] = np.array_split(np.arange(data.n_cells), max(1, -(-data.n_cells // 512)))
        for done, cells in enumerate(groups, 1):
            posterior = encode_batch(network, data.batch(cells, by_columns=False), average, 0.0, None)
            topics.append(posterior.mean.double().softmax(-1).cpu().numpy())
            if posterior.depth_mean is not None:
                depths.append(posterior.depth_mean.double().exp().cpu().numpy())
            if progress is not None:
                progress(done / len(groups))
    return np.concatenate(topics), np.concatenate(depths) if depths else None


def pooled_losses(counts: sparse.csr_matrix, training: NDArray[np.intp]) -> NDArray[np.float64]:
    """Multinomial negative log-likelihood of every cell under the pooled profile of the training cells, (cells,)."""
    totals = column_totals(counts, training) + 0.5
    log_share = np.log(totals / totals.sum())
    out = log_factorials(counts)
    for rows in blocks(counts.shape[0]):
        part = counts[rows].astype(np.float64)
        out[rows] -= part @ log_share + gammaln(np.asarray(part.sum(axis=1)).ravel() + 1)
    return out
