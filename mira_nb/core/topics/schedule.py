"""Learning-rate and KL schedules (Extended Methods, Feature selection and training procedure).

``docs/decisions/05-kl-annealing.md`` and ``docs/decisions/07-optimiser.md`` say where they depart from the paper.
"""

from __future__ import annotations

import math

from .settings import Anneal, KlSchedule, TopicSettings

FINAL_DIVISOR = 1e3
"""The one-cycle schedule ends at the initial rate over this (no source in the paper; 1e4 in torch's ``OneCycleLR``)."""

N_CYCLES = 3
"""Rises of the KL weight in the reference implementation (``docs/decisions/05-kl-annealing.md``)."""


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
