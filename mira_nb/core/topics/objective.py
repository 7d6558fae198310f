"""The negative ELBO of a batch: the log-likelihood of :mod:`.likelihoods`, and the KL terms in ordinary torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from mira_nb.core.numerics.threads import Workers

from .data import Batch
from .likelihoods import log_likelihood
from .network import Network, Noise, Posterior
from .prior import alpha_log_moments, laplace_moments
from .settings import DirichletVariance


@dataclass(frozen=True)
class Elbo:
    """Terms of one batch, summed over its cells; ``loss`` is the annealed negative ELBO."""

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor
    topics: Tensor


@dataclass(frozen=True)
class DirichletPrior:
    """The prior on the topic proportions of cells.

    Attributes
    ----------
    pseudocounts
        J, split over the topics.
    variance
        Form of the variance of its Laplace approximation.
    """

    pseudocounts: float = 50.0
    variance: DirichletVariance = "laplace"


PRIOR: Final = DirichletPrior()


def negative_elbo(
    network: Network,
    posterior: Posterior,
    batch: Batch,
    noise: Noise,
    workers: Workers,
    *,
    kl_weight: float,
    n_training: int,
    prior: DirichletPrior = PRIOR,
    running: bool = False,
) -> Elbo:
    """Compute the annealed negative ELBO of a batch, summed over cells.

    Parameters
    ----------
    network, posterior, batch, noise
        Parameters, encoder output, data and standard normal draws.
    workers
        Threads of the compiled loops.
    kl_weight
        Annealing weight of the KL terms.
    n_training
        Cells in training; the prior on alpha is scaled by batch / n_training.
    prior
        The prior on the topic proportions.
    running
        Normalise with the running statistics of Z (held-out cells) instead of those of the batch.
    """
    z = posterior.mean + posterior.scale * noise.topics
    topics = z.softmax(-1)
    alpha_scale = network.alpha_scale()
    alpha = (network.alpha_loc + alpha_scale * noise.alpha).exp()
    prior_mean, prior_var = laplace_moments(alpha, prior.variance)
    kl = _normal_kl(posterior.mean, posterior.scale, prior_mean, prior_var.sqrt()).sum()
    loc, scale = alpha_log_moments(network.n_topics, prior.pseudocounts)
    kl_alpha = _normal_kl(network.alpha_loc, alpha_scale, loc, scale).sum() * (batch.n_cells / n_training)
    depth = torch.as_tensor(batch.depth, dtype=topics.dtype, device=topics.device)
    log_depth = None
    if posterior.depth_mean is not None and posterior.depth_scale is not None:
        log_depth = posterior.depth_mean + posterior.depth_scale * noise.depth
        kl = kl + _normal_kl(posterior.depth_mean, posterior.depth_scale, depth.log(), 1.0).sum()
    moments = (network.topic_mean, network.topic_cov) if running else None
    log_lik = log_likelihood(network, topics, log_depth, batch, moments, workers) + batch.constant
    kl = kl + kl_alpha
    return Elbo(kl_weight * kl - log_lik, log_lik.detach(), kl.detach(), topics.detach())


def _normal_kl(mean: Tensor, scale: Tensor, prior_mean: Tensor | float, prior_scale: Tensor | float) -> Tensor:
    ratio = (scale / prior_scale) ** 2
    return 0.5 * (ratio + ((mean - prior_mean) / prior_scale) ** 2 - 1 - ratio.log())
