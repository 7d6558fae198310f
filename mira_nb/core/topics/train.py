"""Training of a topic model: one-cycle Adam on the annealed ELBO, with a held-out ELBO beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mira_nb.core.numerics.threads import Workers
from mira_nb.errors import ConvergenceError
from mira_nb.typing import Progress

from .data import Batch, CellData, equal_batches, n_batches
from .embedding import peak_average
from .network import Network, Posterior
from .objective import Elbo
from .schedule import Course
from .settings import TopicSettings

BN_MOMENTUM = 0.05
"""Weight of a batch in the running statistics of Z (chosen: about the last 20 batches)."""

LEAST_GAIN, TAIL = 3e-4, 0.25
"""Gain of the held-out ELBO per count, nats, that is worth further epochs, and the epochs, relative to those made, in
which the learning rate then falls to its end (chosen; ``docs/decisions/04-epochs.md``)."""


class Engine(Protocol):
    """What updates a network on batches: :class:`.compiled.CompiledEngine` or :class:`.svi.PyroEngine`."""

    network: Network

    def session(self) -> AbstractContextManager[None]:
        """Return a context that all other calls are made in."""

    def step(self, batch: Batch, rate: float, weight: float) -> Elbo:
        """Make one update on a batch at a learning rate and a weight of the KL terms; returns the terms before it."""

    def held_out_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """Return the negative ELBO of a batch, summed over its cells, with full KL weight and running statistics."""


class Trainer:
    """Runs an engine over batches of the training cells.

    Parameters
    ----------
    data, settings
        On what is trained, and how.
    training, held_out
        Positions of training and held-out cells.
    workers
        Threads that prepare batches.
    rng
        Order of cells.
    """

    def __init__(
        self, data: CellData, settings: TopicSettings, training: NDArray[np.intp], held_out: NDArray[np.intp],
        workers: Workers, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.data = data
        self.settings = settings
        self.training = training
        self.held_out = held_out
        self.workers = workers
        self.rng = rng

    @torch.no_grad()
    def held_out_elbo(self, engine: Engine, seed: int) -> float:
        """Return the ELBO per held-out cell with full KL weight; the same posterior draws at every call."""
        if not len(self.held_out):
            return math.nan
        engine.network.eval()
        generator = torch.Generator().manual_seed(seed)
        total = 0.0
        for cells in equal_batches(self.held_out, 256):
            total -= engine.held_out_loss(self.data.batch(cells), generator)
        engine.network.train()
        return total / len(self.held_out)

    def _levelled_off(self, history: list[dict[str, Any]]) -> bool:
        """Return whether the last fifth of the epochs has hardly raised the best held-out ELBO of those before."""
        elbo = np.array([record["held_out_elbo"] for record in history])
        window = max(2, len(elbo) // 5)
        if len(elbo) <= window or not np.isfinite(elbo).all():
            return False
        gain = elbo[-window:].max() - elbo[:-window].max()
        return bool(gain < LEAST_GAIN * self.data.depth[self.training].mean())

    def run(
        self, engine: Engine, low: float, high: float, progress: Progress, *, seed: int, shorten: bool = False
    ) -> list[dict[str, Any]]:
        """Train with learning rates from ``low`` to ``high``; returns one record per epoch.

        With ``shorten``, the rest of the schedule is run through faster once the held-out ELBO has levelled off.
        """
        s = self.settings
        per_epoch = n_batches(len(self.training), s.batch_size)
        course = Course(int(s.n_epochs) * per_epoch, low, high, s)
        history: list[dict[str, Any]] = []
        best, since, started = -math.inf, 0, time.monotonic()
        while course.left:
            epoch, clock, sums = len(history) + 1, time.monotonic(), np.zeros(3)
            rate = weight = 0.0
            order = equal_batches(self.rng.permutation(self.training), s.batch_size)
            for number, batch in enumerate(self.workers.ahead(self.data.batch, order), 1):
                rate, weight = course.next()
                terms = engine.step(batch, rate, weight)
                sums += [terms.loss.item(), terms.log_likelihood.item(), terms.kl.item()]
                step = (epoch - 1) * per_epoch + number
                progress(step / (step + course.left), _left(epoch, per_epoch, step, course.left, started))
            loss, log_lik, kl = sums / len(self.training)
            if not math.isfinite(loss):
                raise ConvergenceError(
                    f"training diverged in epoch {epoch}: the loss is {loss}",
                    remedy=f"lower learning_rate_max (now {high:.2g}) or change the seed",
                )
            held_out = self.held_out_elbo(engine, seed)
            history.append(
                {"epoch": epoch, "loss": loss, "log_likelihood": log_lik, "kl": kl, "elbo": log_lik - kl,
                 "held_out_elbo": held_out, "kl_weight": weight, "learning_rate": rate,
                 "seconds": time.monotonic() - clock}
            )  # fmt: skip
            # a small gain while the rate still rises says nothing of what is to come
            due = shorten and weight >= 1 and course.past_peak and not course.shortened
            if due and self._levelled_off(history):
                course.end_in(per_epoch * max(1, round(TAIL * epoch)))
            if weight >= 1 and s.early_stopping and math.isfinite(held_out):
                best, since = (held_out, 0) if held_out > best else (best, since + 1)
                if since >= s.early_stopping:
                    break
        return history


def _left(epoch: int, per_epoch: int, step: int, n_left: int, started: float) -> str:
    seconds = (time.monotonic() - started) / step * n_left
    left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"epoch {epoch} of {epoch + n_left // per_epoch}, about {left} left"


def encode_batch(
    network: Network, batch: Batch, average: Any, rate: float, generator: torch.Generator | None
) -> Posterior:
    """Run the encoder on a batch (dropout only with a generator)."""
    dtype = network.beta.dtype
    log_depth = torch.as_tensor(np.log(batch.depth), dtype=dtype)
    values = torch.as_tensor(batch.residuals, dtype=dtype) if average is None else average(batch, rate, generator)
    posterior: Posterior = network.encoder(values, log_depth, generator)
    return posterior


def posterior_means(
    network: Network, data: CellData, workers: Workers, *, progress: Callable[[float], None] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return cell topics softmax(mu), (cells, K), and exp of the posterior mean of log n (expression), (cells,)."""
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
