"""The topic model and its variational guide in Pyro, trained by :mod:`.svi` (``engine="pyro"``).

They are also the specification of the compiled engine: tests hold the loss and all gradients of :mod:`.objective` to
those of Pyro's ``TraceMeanField_ELBO`` on this model with the same noise. Extended Methods, MIRA Topic Model.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import torch
from pyro import distributions as dist
from torch import Tensor
from torch.nn import functional

from .network import Network
from .prior import alpha_log_moments, laplace_moments
from .settings import DirichletVariance


@dataclass(frozen=True)
class Cells:
    """A batch of cells.

    Attributes
    ----------
    counts
        (cells, features) dense counts.
    inputs
        (cells, encoder features) what the encoder reads, see :meth:`.network.Network.encode`.
    generator
        Draws the encoder's dropout; None leaves nothing out.
    """

    counts: Tensor
    inputs: Tensor
    generator: torch.Generator | None = None


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the ELBO, all above zero (as Pyro demands).

    Attributes
    ----------
    kl
        Annealing weight of every KL term.
    batch_fraction
        Cells in the batch / cells in training: the fraction of the prior on alpha that falls to this batch.
    total
        Weight of the whole ELBO: 1 sums over the cells of the batch, 1 / cells averages.
    """

    kl: float = 1.0
    batch_fraction: float = 1.0
    total: float = 1.0


def model(
    network: Network,
    cells: Cells,
    weights: Weights,
    *,
    pseudocounts: float = 50.0,
    variance: DirichletVariance = "laplace",
    eps: float = 1e-5,
    running: bool = False,
) -> None:
    """Generate a batch of cells.

    Parameters
    ----------
    network
        Holds beta, gamma, b and theta.
    cells
        The batch; the model reads its counts only.
    weights
        Weights of the terms of the ELBO.
    pseudocounts, variance, eps
        J, the Laplace variance, and what batch normalisation adds to variances.
    running
        Normalise with the running statistics of Z (held-out cells) instead of those of the batch.
    """
    pyro.module("network", network)
    counts, k = cells.counts, network.n_topics
    loc, scale = alpha_log_moments(k, pseudocounts)
    options = {"dtype": counts.dtype, "device": counts.device}
    with pyro.poutine.scale(scale=weights.total * weights.kl * weights.batch_fraction):
        prior = dist.LogNormal(torch.full((k,), loc, **options), torch.full((k,), scale, **options))
        alpha = pyro.sample("alpha", prior.to_event(1))
    mean, var = laplace_moments(alpha, variance)
    depth = counts.sum(1)
    with pyro.plate("cells", counts.shape[0]):
        with pyro.poutine.scale(scale=weights.total * weights.kl):
            z = pyro.sample("z", dist.Normal(mean, var.sqrt()).to_event(1))
        log_rho = normalised(network, z.softmax(-1) @ network.beta, eps, running).log_softmax(-1)
        if network.modality == "accessibility":
            with pyro.poutine.scale(scale=weights.total):
                pyro.sample("counts", dist.Multinomial(logits=log_rho, validate_args=False), obs=counts)
            return
        with pyro.poutine.scale(scale=weights.total * weights.kl):
            n = pyro.sample("n", dist.LogNormal(depth.log(), torch.ones_like(depth)))
        odds = n.log()[:, None] + log_rho - network.log_theta
        with pyro.poutine.scale(scale=weights.total):
            observed = dist.NegativeBinomial(network.log_theta.exp(), logits=odds)
            pyro.sample("counts", observed.to_event(1), obs=counts)


def normalised(network: Network, raw: Tensor, eps: float, running: bool) -> Tensor:
    """Return gamma * (Z beta - mean) / sd + b, (cells, features), with statistics of the batch or running ones.

    Running statistics of Z beta follow from those of Z: mean' beta and the diagonal of beta' cov beta.
    """
    if not running:
        return functional.batch_norm(raw, None, None, network.gamma, network.bias, training=True, eps=eps)
    mean = network.topic_mean @ network.beta
    var = (network.beta * (network.topic_cov @ network.beta)).sum(0)
    return (raw - mean) / (var + eps).sqrt() * network.gamma + network.bias


def guide(
    network: Network,
    cells: Cells,
    weights: Weights,
    *,
    pseudocounts: float = 50.0,
    variance: DirichletVariance = "laplace",
    eps: float = 1e-5,
    running: bool = False,
) -> None:
    """Draw from the variational distribution: normals from the encoder, log-normals for n and alpha.

    Takes the arguments of :func:`model`.
    """
    pyro.module("network", network)
    posterior = network.encode(cells.inputs, cells.counts.sum(1).log(), cells.generator)
    with pyro.poutine.scale(scale=weights.total * weights.kl * weights.batch_fraction):
        pyro.sample("alpha", dist.LogNormal(network.alpha_loc, network.alpha_scale()).to_event(1))
    with pyro.plate("cells", cells.counts.shape[0]), pyro.poutine.scale(scale=weights.total * weights.kl):
        pyro.sample("z", dist.Normal(posterior.mean, posterior.scale).to_event(1))
        if posterior.depth_mean is not None and posterior.depth_scale is not None:
            pyro.sample("n", dist.LogNormal(posterior.depth_mean, posterior.depth_scale))
