"""Adam (Kingma and Ba 2015) in compiled loops.

The same updates as ``torch.optim.Adam``, to which a test holds them. They run on all threads, and the table of peak
embeddings, by far the largest parameter, is updated row by row without an array for its gradient. torch's optimiser
loads its compiler at the first step and is no faster: ``docs/decisions/optimisers.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.kernels.adam import Parameter, Rates, update

from .embedding import PeakAverage

WORTH_THREADS = 1 << 18
"""Entries of a parameter from which threads are worth their start."""


class Adam:
    """Adam over some parameters.

    Parameters
    ----------
    parameters
        What is trained.
    workers
        Threads of the compiled loops (the result does not depend on them).
    average
        Layer whose table of embeddings is updated without a gradient array; None where there is none.
    beta1, beta2, epsilon
        Decay rates of the moments, and what is added to the root of the second.
    """

    def __init__(
        self, parameters: Iterable[Tensor], workers: Workers, average: PeakAverage | None = None, *,
        beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
    ) -> None:  # fmt: skip
        self._state = [(p, torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
        self._workers = workers
        self._average = average
        self._betas, self._epsilon = (beta1, beta2), epsilon
        self._n_steps = 0

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter, _, _ in self._state:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Make one update at a learning rate."""
        self._n_steps += 1
        first, second = (1 - beta**self._n_steps for beta in self._betas)
        # p -= rate / first * m / (sqrt(v / second) + epsilon), with the corrections drawn together
        root = math.sqrt(second)
        rates = Rates(*self._betas, rate * root / first, self._epsilon * root)
        for parameter, mean, square in self._state:
            if self._average is not None and parameter is self._average.table:
                self._average.update(mean, square, rates)
            elif parameter.grad is not None:
                self._update(parameter, parameter.grad, mean, square, rates)

    def _update(self, parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, rates: Rates) -> None:
        # views, which a parameter with gaps would refuse: a copy would be updated in vain
        flat = Parameter(*(value.view(-1).numpy() for value in (parameter, mean, square)))
        arguments = flat, gradient.reshape(-1).numpy(), rates
        if parameter.numel() < WORTH_THREADS:
            update(0, parameter.numel(), *arguments)
        else:
            self._workers.ranges(parameter.numel(), update, *arguments)
