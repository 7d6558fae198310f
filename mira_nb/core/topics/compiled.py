"""The compiled engine: the ELBO of :mod:`.objective` and Adam in compiled loops, on the CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from mira_nb.core.numerics.threads import Workers

from .adam import Adam
from .data import Batch
from .embedding import peak_average
from .network import Network, Noise, Posterior
from .objective import DirichletPrior, Elbo, negative_elbo
from .settings import TopicSettings
from .train import BN_MOMENTUM, encode_batch


class CompiledEngine:
    """Trains a network with the compiled objective.

    Parameters
    ----------
    network, settings
        What is trained, and how.
    n_training
        Number of training cells.
    workers
        Threads of the compiled loops (the result does not depend on them).
    generator
        Dropout and posterior draws.
    """

    def __init__(
        self, network: Network, settings: TopicSettings, n_training: int, workers: Workers, generator: torch.Generator
    ) -> None:
        self.network = network
        self.settings = settings
        self.n_training = n_training
        self.workers = workers
        self.generator = generator
        self._average = peak_average(network, workers)
        self._optimiser = self._adam(list(network.parameters()))

    def session(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: the compiled engine keeps no state outside."""
        return nullcontext()

    def encode(self, batch: Batch, generator: torch.Generator | None) -> Posterior:
        """Return the posterior of a batch; with a generator, dropout is on."""
        return encode_batch(self.network, batch, self._average, self.settings.dropout, generator)

    def encoder_optimiser(self) -> Adam:
        """Return a new Adam over the encoder alone."""
        return self._adam(list(self.network.encoder.parameters()))

    def step(self, batch: Batch, rate: float, weight: float) -> Elbo:
        """Make one update on a batch at a learning rate and a weight of the KL terms."""
        posterior = self.encode(batch, self.generator)
        terms = self._elbo(batch, posterior, Noise.draw(self.network, batch.n_cells, self.generator), weight)
        self._optimiser.zero_grad()
        (terms.loss / batch.n_cells).backward()
        self._optimiser.step(rate)
        self.network.track(terms.topics, BN_MOMENTUM)
        return terms

    def held_out_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """Return the negative ELBO of a batch, summed over its cells, with full KL weight and running statistics."""
        noise = Noise.draw(self.network, batch.n_cells, generator)
        return self._elbo(batch, self.encode(batch, None), noise, 1.0, running=True).loss.item()

    def _elbo(self, batch: Batch, posterior: Posterior, noise: Noise, weight: float, *, running: bool = False) -> Elbo:
        prior = DirichletPrior(self.settings.initial_pseudocounts, self.settings.dirichlet_variance)
        return negative_elbo(
            self.network, posterior, batch, noise, self.workers, kl_weight=weight, n_training=self.n_training,
            prior=prior, running=running,
        )  # fmt: skip

    def _adam(self, parameters: list[torch.Tensor]) -> Adam:
        s = self.settings
        return Adam(
            parameters, self.workers, self._average, beta1=s.adam_beta1, beta2=s.adam_beta2, epsilon=s.adam_epsilon
        )
