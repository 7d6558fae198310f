"""Torch parameters of a topic model: encoders, decoder and the posterior of the Dirichlet's parameters.

Random numbers come only from the generator given; torch's global generator is neither read nor moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .prior import alpha_log_moments
from .settings import Modality, TopicSettings


@dataclass(frozen=True)
class Posterior:
    """Parameters of q(Z | X), (cells, K) each, and for expression of q(n | X), (cells,) each."""

    mean: Tensor
    scale: Tensor
    depth_mean: Tensor | None = None
    depth_scale: Tensor | None = None


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    # made without memory, so that nothing is drawn from the global generator; skip_init, which is meant for this,
    # imports torch's symbolic shapes with sympy (1.8 s)
    layer = nn.Linear(n_in, n_out, device="meta")
    bound = 1 / math.sqrt(n_in)
    layer.weight = nn.Parameter(torch.empty(n_out, n_in).uniform_(-bound, bound, generator=generator))
    layer.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound, generator=generator))
    return layer


def _dropout(values: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    if generator is None or rate == 0:
        return values
    noise = torch.rand(values.shape, generator=generator, dtype=values.dtype).to(values.device)
    return values * (noise >= rate) / (1 - rate)


class HiddenLayer(nn.Module):
    """dropout(ReLU(batchnorm(W v + b)))."""

    def __init__(self, n_in: int, n_out: int, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = _linear(n_in, n_out, generator)
        self.norm = nn.BatchNorm1d(n_out)
        self.rate = rate

    def forward(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        """Apply the layer; without a generator nothing is dropped."""
        return _dropout(functional.relu(self.norm(self.linear(values))), self.rate, generator)


class OutputLayer(nn.Module):
    """batchnorm(W v + b), split into the parameters of the posterior."""

    def __init__(self, n_in: int, n_topics: int, has_depth: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.n_topics = n_topics
        self.has_depth = has_depth
        n_out = 2 * n_topics + 2 * has_depth
        self.linear = _linear(n_in, n_out, generator)
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, values: Tensor) -> Posterior:
        """Return the parameters of the posterior: means, and standard deviations through softplus."""
        out = self.norm(self.linear(values))
        k = self.n_topics
        mean, scale = out[:, :k], functional.softplus(out[:, k : 2 * k])
        if not self.has_depth:
            return Posterior(mean, scale)
        return Posterior(mean, scale, out[:, 2 * k], functional.softplus(out[:, 2 * k + 1]))


class ExpressionEncoder(nn.Module):
    """Two hidden layers on deviance residuals and log depth, then the output layer."""

    def __init__(self, n_features: int, n_topics: int, n_hidden: int, dropout: float, generator: torch.Generator):
        super().__init__()
        self.first = HiddenLayer(n_features + 1, n_hidden, dropout, generator)
        self.second = HiddenLayer(n_hidden, n_hidden, dropout, generator)
        self.output = OutputLayer(n_hidden, n_topics, True, generator)

    def forward(self, values: Tensor, log_depth: Tensor, generator: torch.Generator | None) -> Posterior:
        """Return the posterior of cells with residuals (cells, features) and log depth (cells,)."""
        hidden = self.first(torch.cat([values, log_depth[:, None]], 1), generator)
        return self.output(self.second(hidden, generator))


class AccessibilityEncoder(nn.Module):
    """Deep averaging network: mean embedding of the open peaks and log depth, one hidden layer, output layer."""

    def __init__(self, n_features: int, n_topics: int, n_hidden: int, dropout: float, generator: torch.Generator):
        super().__init__()
        self.table = nn.Parameter(torch.empty(n_features, n_hidden).normal_(generator=generator))
        self.first = HiddenLayer(n_hidden + 1, n_hidden, dropout, generator)
        self.output = OutputLayer(n_hidden, n_topics, False, generator)

    def forward(self, values: Tensor, log_depth: Tensor, generator: torch.Generator | None) -> Posterior:
        """Return the posterior of cells with mean embeddings (cells, width) and log depth (cells,)."""
        return self.output(self.first(torch.cat([values, log_depth[:, None]], 1), generator))


class Network(nn.Module):
    """All parameters of one topic model.

    Attributes
    ----------
    encoder
        :class:`ExpressionEncoder` or :class:`AccessibilityEncoder`.
    beta, gamma, bias
        Decoder: (K, F), (F,), (F,).
    log_theta
        Log dispersion, (F,), expression only.
    alpha_loc, alpha_raw
        Log-normal posterior of the Dirichlet's parameters: mean of log alpha, and its deviation before softplus.
    topic_mean, topic_cov
        Running mean (K,) and covariance (K, K) of Z over training batches: what batch normalisation tracks.
    """

    topic_mean: Tensor
    topic_cov: Tensor

    def __init__(
        self,
        modality: Modality,
        n_features: int,
        n_encoder: int,
        n_topics: int,
        settings: TopicSettings,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.modality: Modality = modality
        self.n_topics = n_topics
        kind = ExpressionEncoder if modality == "expression" else AccessibilityEncoder
        self.encoder = kind(n_encoder, n_topics, settings.n_hidden, settings.dropout, generator)
        self.beta = nn.Parameter(torch.empty(n_topics, n_features).normal_(generator=generator))
        self.gamma = nn.Parameter(torch.ones(n_features))
        self.bias = nn.Parameter(torch.zeros(n_features))
        if modality == "expression":
            self.log_theta = nn.Parameter(torch.full((n_features,), math.log(2.0)))
        loc, scale = alpha_log_moments(n_topics, settings.initial_pseudocounts)
        self.alpha_loc = nn.Parameter(torch.full((n_topics,), loc))
        self.alpha_raw = nn.Parameter(torch.full((n_topics,), math.log(math.expm1(scale))))
        self.register_buffer("topic_mean", torch.full((n_topics,), 1 / n_topics))
        self.register_buffer("topic_cov", torch.eye(n_topics) / n_topics)

    def encode(self, inputs: Tensor, log_depth: Tensor, generator: torch.Generator | None) -> Posterior:
        """Return the posterior of a batch of cells.

        Parameters
        ----------
        inputs
            Expression: (cells, encoder genes) deviance residuals. Accessibility: (cells, encoder peaks) weight of each
            peak in the mean embedding, one over the number of open peaks kept, or zero.
        log_depth
            (cells,) log counts.
        generator
            Draws the dropout of hidden units; None drops nothing.
        """
        values = inputs @ self.encoder.table if self.modality == "accessibility" else inputs
        posterior: Posterior = self.encoder(values, log_depth, generator)
        return posterior

    def alpha_scale(self) -> Tensor:
        """Return the standard deviation of log alpha under the posterior, (K,)."""
        return functional.softplus(self.alpha_raw)

    @torch.no_grad()
    def track(self, topics: Tensor, momentum: float) -> None:
        """Move the running mean and (unbiased) covariance of Z towards those of a batch."""
        n = topics.shape[0]
        mean = topics.mean(0)
        centred = topics - mean
        self.topic_mean.lerp_(mean, momentum)
        self.topic_cov.lerp_(centred.T @ centred / max(n - 1, 1), momentum)


@dataclass(frozen=True)
class Noise:
    """Standard normal draws: (cells, K) for z, (K,) for log alpha, (cells,) for log n (expression)."""

    topics: Tensor
    alpha: Tensor
    depth: Tensor | None = None

    @classmethod
    def draw(cls, network: Network, n_cells: int, generator: torch.Generator) -> Noise:
        """Draw for a batch of cells, with torch's global generator untouched."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=network.beta.dtype).to(network.beta.device)

        k = network.n_topics
        depth = normal(n_cells) if network.modality == "expression" else None
        return cls(normal(n_cells, k), normal(k), depth)
