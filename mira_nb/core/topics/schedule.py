"""Learning-rate and KL schedules, and the learning-rate range test (Extended Methods, Feature selection and training
procedure; DECISIONS 5 and 7).
"""  # noqa: D205

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import Anneal, KlSchedule, TopicSettings

FINAL_DIVISOR = 1e3
"""The one-cycle schedule ends at the initial rate over this (no source in the paper; 1e4 in torch's ``OneCycleLR``)."""

N_CYCLES = 3
"""Rises of the KL weight in the reference implementation (DECISIONS 5)."""


def one_cycle(step: float, n_steps: int, low: float, high: float, *, peak_at: float, anneal: Anneal) -> float:
    """Return the learning rate of a step: ``low`` to ``high`` at fraction ``peak_at``, then down to low / 1000."""
    peak = peak_at * max(n_steps - 1, 1)
    if step <= peak:
        start, stop, share = low, high, step / peak if peak > 0 else 1.0
    else:
        start, stop, share = high, low / FINAL_DIVISOR, (step - peak) / max(n_steps - 1 - peak, 1e-9)
    if anneal == "cosine":
        share = (1 - math.cos(math.pi * share)) / 2
    return start + (stop - start) * share


def kl_weight(step: float, n_steps: int, schedule: KlSchedule) -> float:
    """Return the weight of the KL terms: a linear rise from 0 to 1 over the first half, three, or 1 throughout."""
    if schedule == "none":
        return 1.0
    if schedule == "linear":
        return min(1.0, 2 * step / max(n_steps - 1, 1))
    share = (step / max(n_steps, 1)) * N_CYCLES
    return min(1.0, 2 * (share - math.floor(share)))


class Course:
    """Learning rate and KL weight step by step; what is left of them can be run through in fewer steps.

    Parameters
    ----------
    n_steps
        Steps planned.
    low, high
        Learning rate at the start and at its peak.
    settings
        Shapes of both schedules.
    """

    def __init__(self, n_steps: int, low: float, high: float, settings: TopicSettings) -> None:
        self.n_steps = n_steps
        self.left = n_steps
        self.shortened = False
        self._rates = low, high
        self._settings = settings
        self._position, self._stride = 0.0, 1.0

    @property
    def past_peak(self) -> bool:
        """Whether the learning rate falls."""
        return self._position > self._settings.peak_at * (self.n_steps - 1)

    def next(self) -> tuple[float, float]:
        """Return learning rate and KL weight of the next step."""
        s, (low, high) = self._settings, self._rates
        rate = one_cycle(self._position, self.n_steps, low, high, peak_at=s.peak_at, anneal=s.anneal)
        weight = kl_weight(self._position, self.n_steps, s.kl_schedule)
        self._position = min(self._position + self._stride, self.n_steps - 1)
        self.left -= 1
        return rate, weight

    def end_in(self, n_steps: int) -> None:
        """Run through what is left in at most ``n_steps`` steps; the last one still has the lowest learning rate."""
        if n_steps >= self.left:
            return
        self.left, self.shortened = n_steps, True
        self._stride = (self.n_steps - 1 - self._position) / max(n_steps - 1, 1)


@dataclass(frozen=True)
class RangeTest:
    """Result of a learning-rate range test.

    Attributes
    ----------
    rates, losses, smoothed
        Learning rate, loss per count and smoothed loss of every step.
    low, high
        Bounds read from the curve.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    low: float
    high: float


def read_range_test(
    rates: NDArray[np.float64], losses: NDArray[np.float64], *, bounds: tuple[float, float] = (1e-3, 2e-2)
) -> RangeTest:
    """Read bounds from the losses of a sweep of rising learning rates.

    The loss is smoothed (exponential average, span of an eighth of the sweep). The upper bound is a third of the last
    rate at which the smoothed loss is its lowest up to noise (four standard errors, from the differences of successive
    losses), that is, where larger steps start to harm; the lower bound is a tenth of the upper. The upper bound is kept
    within ``bounds``.
    """
    weight = 2 / (len(losses) / 8 + 1)
    smoothed, value, mass = np.empty_like(losses), 0.0, 0.0
    for i, loss in enumerate(losses):
        usable = loss if np.isfinite(loss) else np.nanmax(np.where(np.isfinite(losses), losses, np.nan))
        value = (1 - weight) * value + weight * usable
        mass = (1 - weight) * mass + weight
        smoothed[i] = value / mass
    steps = np.abs(np.diff(losses))
    steps = steps[np.isfinite(steps)]
    noise = float(np.median(steps)) / (0.6745 * math.sqrt(2)) if len(steps) else 0.0
    band = 4 * noise * math.sqrt(weight / (2 - weight))
    last = int(np.flatnonzero(smoothed <= smoothed.min() + band)[-1])
    high = float(np.clip(rates[last] / 3, *bounds))
    return RangeTest(rates, losses, smoothed, high / 10, high)
