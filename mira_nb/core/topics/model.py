"""The topic model and its variational guide in Pyro: the executable specification.

Training uses the compiled objective of :mod:`.objective`; a test holds its loss and all its gradients to those of
Pyro's ``TraceMeanField_ELBO`` on this model with the same noise. Extended Methods, MIRA Topic Model.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import torch
from pyro import distributions as dist
from torch import Tensor
from torch.nn import functional

from .network import Network, Posterior
from .prior import alpha_log_moments, laplace_moments
from .settings import DirichletVariance


@dataclass(frozen=True)
class Weights:
    """How terms of the ELBO are weighted.

    Attributes
    ----------
    kl
        Annealing weight of every KL term.
    batch_share
        Cells in the batch / cells in training: the share of the prior on alpha that falls to this batch.
    """

    kl: float = 1.0
    batch_share: float = 1.0


def model(
    network: Network,
    posterior: Posterior,
    counts: Tensor,
    weights: Weights,
    *,
    pseudocounts: float = 50.0,
    variance: DirichletVariance = "laplace",
    eps: float = 1e-5,
) -> None:
    """Generate a batch of cells.

    Parameters
    ----------
    network
        Holds beta, gamma, b and theta.
    posterior
        Output of the encoder (used by the guide only; both have the same arguments).
    counts
        (cells, features) dense counts.
    weights
        Annealing and batch weights.
    pseudocounts, variance, eps
        J, the Laplace variance, and what batch normalisation adds to variances.
    """
    k = network.n_topics
    loc, scale = alpha_log_moments(k, pseudocounts)
    options = {"dtype": counts.dtype, "device": counts.device}
    with pyro.poutine.scale(scale=weights.kl * weights.batch_share):
        prior = dist.LogNormal(torch.full((k,), loc, **options), torch.full((k,), scale, **options))
        alpha = pyro.sample("alpha", prior.to_event(1))
    mean, var = laplace_moments(alpha, variance)
    depth = counts.sum(1)
    with pyro.plate("cells", counts.shape[0]):
        with pyro.poutine.scale(scale=weights.kl):
            z = pyro.sample("z", dist.Normal(mean, var.sqrt()).to_event(1))
        logits = functional.batch_norm(
            z.softmax(-1) @ network.beta, None, None, network.gamma, network.bias, training=True, eps=eps
        )
        log_rho = logits.log_softmax(-1)
        if network.modality == "accessibility":
            composition = dist.Multinomial(logits=log_rho, validate_args=False)
            pyro.sample("counts", composition, obs=counts)
            return
        with pyro.poutine.scale(scale=weights.kl):
            n = pyro.sample("n", dist.LogNormal(depth.log(), torch.ones_like(depth)))
        odds = n.log()[:, None] + log_rho - network.log_theta
        pyro.sample("counts", dist.NegativeBinomial(network.log_theta.exp(), logits=odds).to_event(1), obs=counts)


def guide(
    network: Network,
    posterior: Posterior,
    counts: Tensor,
    weights: Weights,
    *,
    pseudocounts: float = 50.0,
    variance: DirichletVariance = "laplace",
    eps: float = 1e-5,
) -> None:
    """Variational distribution: independent normals from the encoder, log-normals for n and alpha.

    Takes the arguments of :func:`model`.
    """
    with pyro.poutine.scale(scale=weights.kl * weights.batch_share):
        pyro.sample("alpha", dist.LogNormal(network.alpha_loc, network.alpha_scale()).to_event(1))
    with pyro.plate("cells", counts.shape[0]), pyro.poutine.scale(scale=weights.kl):
        pyro.sample("z", dist.Normal(posterior.mean, posterior.scale).to_event(1))
        if posterior.depth_mean is not None and posterior.depth_scale is not None:
            pyro.sample("n", dist.LogNormal(posterior.depth_mean, posterior.depth_scale))
