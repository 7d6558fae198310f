"""Numbers of topics that the quick search tries."""

from __future__ import annotations

from itertools import pairwise

GRID = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100)
"""Coarse grid of the number of topics: steps of about a quarter."""

SINGLY = 10
"""Number of topics up to which short fits look downwards one by one, beyond it by the grid (chosen)."""

SHARP_TRIALS = 6
"""Fits from sharp starts at most that go on from the choice (chosen)."""


def below(k: int, low: int) -> list[int]:
    """Return the next smaller number of topics that fits try: one less, or that of the grid beyond :data:`SINGLY`."""
    smaller = k - 1 if k <= SINGLY else max(n for n in GRID if n < k)
    return [smaller] if smaller >= low else []


def above(k: int, high: int) -> list[int]:
    """Return the next larger number of topics: one more, or that of the grid beyond :data:`SINGLY`."""
    larger = k + 1 if k < SINGLY else next((n for n in GRID if n > k), high + 1)
    return [larger] if larger <= high else []


def quick_trials(low: int, high: int) -> int:
    """Return how many trials a quick search takes at most: coarse grid, gaps of the fine one, fits of K and of J.

    Fits may follow the grid upwards or go down one by one, J takes two more, the start one, and fits from sharp starts
    go on from it.
    """
    coarse = [k for k in GRID if low <= k <= high]
    widest = max((b - a - 1 for a, b in pairwise(coarse)), default=0)
    return len(coarse) + 2 * min(widest, 8) + 1 + max(len(coarse), min(high, SINGLY)) + 3 + SHARP_TRIALS
