"""The Pyro engine: ``pyro.infer.SVI`` on the model and guide of :mod:`.model`, on any device.

It is the reference that a reader can check against the paper, and what trains on devices other than the CPU. It starts
from the same parameters as the compiled engine, takes the same batches and draws the same noise in the same order, so
that a step of both differs by rounding only. (Adam makes whole steps of it where a gradient is zero but for rounding:
the biases in front of batch normalisation, which training-mode normalisation takes off again.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor

from .data import Batch
from .embedding import peak_weights
from .likelihoods import BN_EPS
from .model import Cells, Weights, guide, model
from .network import Network, Noise
from .objective import Elbo
from .settings import TopicSettings
from .train import BN_MOMENTUM

NOISE = {"z": "topics", "alpha": "alpha", "n": "depth"}
"""Latent variables of the model, and which of the draws of :class:`.network.Noise` each takes."""

LEAST_WEIGHT = 1e-30
"""Weight of the KL terms in the first step, where annealing has zero: Pyro refuses that."""


class Latents(Messenger):
    """Keeps the distributions of the latent variables of a Pyro function, and draws them from noise of ours.

    Pyro's own draws come from torch's global generator, which is the user's. All latent variables of the guide are
    normal or log-normal, so a value is loc + scale * noise, or exp of it: the same reparameterisation as Pyro's.

    Parameters
    ----------
    draw
        Called at the first latent variable of a call of the guide; None leaves values alone (for the model, whose
        values are those of the guide).
    """

    def __init__(self, draw: Callable[[], Noise] | None = None) -> None:
        super().__init__()
        self._draw = draw
        self._noise: Noise | None = None
        self.sites: dict[str, Any] = {}
        self.values: dict[str, Tensor] = {}

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] not in NOISE or self._draw is None:
            return
        if self._noise is None:
            self._noise = self._draw()
        site = msg["fn"]
        while isinstance(site, dist.Independent):
            site = site.base_dist
        value = site.loc + site.scale * getattr(self._noise, NOISE[msg["name"]])
        msg["value"] = value.exp() if isinstance(site, dist.LogNormal) else value

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["name"] in NOISE:
            self.sites[msg["name"]] = msg["fn"]
            self.values[msg["name"]] = msg["value"].detach()


class PyroEngine:
    """Trains a network by ``pyro.infer.SVI`` with Adam.

    Parameters
    ----------
    network
        What is trained, on the device where it is trained.
    settings
        How.
    n_training
        Number of training cells.
    generator
        Dropout and posterior draws; torch's global generators are neither read nor moved.
    """

    def __init__(self, network: Network, settings: TopicSettings, n_training: int, generator: torch.Generator) -> None:
        self.network = network
        self.settings = settings
        self.n_training = n_training
        self.generator = generator
        # SVI adds the first gradients to what the phases before have left
        network.zero_grad(set_to_none=True)
        self._rate = 0.0
        self._guided = self._modelled = Latents()
        adam = {"lr": 1.0, "betas": (settings.adam_beta1, settings.adam_beta2), "eps": settings.adam_epsilon}
        self._optimiser = pyro.optim.LambdaLR(
            {"optimizer": torch.optim.Adam, "optim_args": adam, "lr_lambda": lambda _: self._rate}
        )
        self._loss = TraceMeanField_ELBO(max_plate_nesting=1)
        self._svi = SVI(self._model, self._guide, self._optimiser, self._loss)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Train inside: with an empty parameter store of Pyro's, which is put back, and without its checks.

        The checks would report a diverged fit as a constraint of some distribution.
        """
        with pyro.get_param_store().scope(), pyro.validation_enabled(False):
            yield

    def step(self, batch: Batch, rate: float, weight: float) -> Elbo:
        """Make one update on a batch at a learning rate and a weight of the KL terms."""
        weights = Weights(max(weight, LEAST_WEIGHT), batch.n_cells / self.n_training, 1 / batch.n_cells)
        cells = self._cells(batch, self.generator)
        self._rate = rate
        # of the parameters that have been updated before; those of the first step begin with the present rate
        self._optimiser.step()
        loss = self._svi.step(cells, weights, self.generator) * batch.n_cells
        kl = self._kl(weights.batch_fraction)
        topics = self._guided.values["z"].softmax(-1)
        self.network.track(topics, BN_MOMENTUM)
        return Elbo(torch.tensor(loss), torch.tensor(weight * kl - loss), torch.tensor(kl), topics)

    def held_out_loss(self, batch: Batch, generator: torch.Generator) -> float:
        """Return the negative ELBO of a batch, summed over its cells, with full KL weight and running statistics."""
        weights = Weights(batch_fraction=batch.n_cells / self.n_training)
        return float(self._loss.loss(self._model, self._guide, self._cells(batch, None), weights, generator, True))

    def _guide(self, cells: Cells, weights: Weights, generator: torch.Generator, running: bool = False) -> None:
        self._guided = Latents(lambda: Noise.draw(self.network, len(cells.counts), generator))
        with self._guided:
            guide(self.network, cells, weights)

    def _model(self, cells: Cells, weights: Weights, generator: torch.Generator, running: bool = False) -> None:
        self._modelled = Latents()
        with self._modelled:
            model(
                self.network, cells, weights, pseudocounts=self.settings.initial_pseudocounts,
                variance=self.settings.dirichlet_variance, eps=BN_EPS, running=running,
            )  # fmt: skip

    @torch.no_grad()
    def _kl(self, batch_fraction: float) -> float:
        """Return the unweighted KL terms of the last step, summed over the cells."""
        total = 0.0
        for name, site in self._guided.sites.items():
            kl = torch.distributions.kl_divergence(site, self._modelled.sites[name]).sum().item()
            total += kl * batch_fraction if name == "alpha" else kl
        return total

    def _cells(self, batch: Batch, generator: torch.Generator | None) -> Cells:
        """Build dense tensors of a batch on the network's device; with a generator, dropout is on."""
        beta = self.network.beta
        inputs = batch.residuals
        columns = batch.encoder_columns
        if columns is not None:
            inputs = np.zeros((batch.n_cells, len(columns.pointers) - 1), np.float32)
            peaks = np.repeat(np.arange(inputs.shape[1]), np.diff(columns.pointers))
            inputs[columns.cells, peaks] = peak_weights(batch, self.settings.dropout, generator)
        counts = torch.as_tensor(batch.counts[batch.cells].toarray(), dtype=beta.dtype, device=beta.device)
        return Cells(counts, torch.as_tensor(inputs, dtype=beta.dtype, device=beta.device), generator)
