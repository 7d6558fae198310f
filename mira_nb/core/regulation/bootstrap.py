"""Parametric bootstrap of the accessibility estimates: simulate peaks from the fitted model and re-estimate.

LITE takes the imputed accessibility as exact, but the weights of a peak that was seen open a few dozen times carry
errors. A gene that follows its chromatin then departs from LITE by these errors alone. To know by how much, the fitted
accessibility is taken as the truth, open peaks are drawn from it for the same cells at the same depth, and the weights
of each peak are estimated anew from the draw, by Poisson regression on the topics with a normal prior on the contrasts.
The prior's precision is chosen such that the new weights vary over peaks as much as the trained ones: the training
(dropout, stopping, shrinkage) has shrunk these by an amount that is not known otherwise.

Left out are errors of the topics themselves, which LITE and NITE have in common, and any curve that the softmax cannot
follow.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mira_nb.core.numerics.double import exp
from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.decoder import Decoder
from mira_nb.typing import Floats

from .kernels import MATH
from .model import Cells

BLOCK: Final = 256
"""Peaks at a time."""

TILE: Final = 512
"""Cells at a time: their design stays in the cache while all peaks pass."""

STEPS: Final = 8
"""Newton steps with the information at the truth, near which the estimate lies."""

LONGEST: Final = 2.0
"""Most that a step changes a cell's log rate; a peak that was not drawn at all has no maximum."""

PRECISIONS: Final = np.geomspace(0.1, 1e4, 51)
"""Precisions of the prior that are tried."""

N_TUNING: Final = 512
"""Peaks on which the precision is chosen."""


@dataclass(frozen=True)
class BootstrapDraw:
    """Accessibility estimated from a draw.

    Attributes
    ----------
    decoder
        The decoder with new weights of the peaks asked for, others as they were; the normaliser of the cells stays.
    precision
        Precision of the normal prior of a contrast, in open cells: a peak seen open so often keeps half of it.
    """

    decoder: Decoder
    precision: float


def bootstrap_accessibility(
    cells: Cells, n_open: NDArray, peaks: NDArray[np.int64], *, generator: np.random.Generator, n_threads: int = 1
) -> BootstrapDraw:
    """Simulate peaks from the fitted model and re-estimate accessibility: a parametric bootstrap.

    Parameters
    ----------
    cells
        Topics, decoder and normaliser of the accessibility model.
    n_open
        (N,) open peaks of each cell.
    peaks
        Positions of the peaks whose weights are estimated again.
    n_threads
        Peaks estimated at the same time; the result does not depend on it.

    Returns
    -------
    The decoder to use in place of ``cells.decoder``.
    """
    peaks = np.unique(np.asarray(peaks, dtype=np.int64))
    design, back, middle = _design(cells.topics)
    weights, offset = (np.array(part, dtype=np.float64) for part in cells.decoder.affine())
    exposure = np.asarray(n_open, dtype=np.float64) * np.exp(-cells.peak_normalizer)
    truth = np.vstack([offset[peaks] + middle @ weights[:, peaks], np.linalg.pinv(back) @ weights[:, peaks]])
    tuning = np.sort(generator.permutation(len(peaks))[:N_TUNING])
    with Workers(n_threads) as workers:
        precision = _Problem.draw(design, exposure, truth[:, tuning], generator, workers).matching_precision()
        for start in range(0, len(peaks), BLOCK):
            part = slice(start, start + BLOCK)
            found = _Problem.draw(design, exposure, truth[:, part], generator, workers).solve(precision)
            new = back @ found[1:]
            weights[:, peaks[part]], offset[peaks[part]] = new, found[0] - middle @ new
    ones = np.ones(weights.shape[1])
    return BootstrapDraw(Decoder(weights, np.zeros_like(ones), ones, ones, offset, eps=0.0), precision)


def _design(topics: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (N, 1 + K - 1) intercept and whitened topics, their coefficients' map to weights, the topics' mean."""
    middle = topics.mean(axis=0)
    left, size, right = np.linalg.svd(topics - middle, full_matrices=False)
    rank = int((size > 1e-8 * size[0]).sum())
    root = np.sqrt(len(topics))
    design = np.column_stack([np.ones(len(topics)), left[:, :rank] * root])
    return np.ascontiguousarray(design), right[:rank].T / size[:rank] * root, middle


@dataclass(frozen=True)
class _Problem:
    """Regressions of drawn peaks on the design.

    Attributes
    ----------
    design
        (coefficients, cells), the intercept first.
    exposure
        (cells,) open peaks, normalised.
    truth
        (peaks, coefficients).
    drawn
        (peaks, cells) open or not; a peak expected more than once keeps its mean.
    information
        (peaks, coefficients, coefficients) at the truth.
    workers
        Threads.
    """

    design: Floats
    exposure: Floats
    truth: Floats
    drawn: NDArray[np.float32]
    information: Floats
    workers: Workers

    @classmethod
    def draw(
        cls, design: Floats, exposure: Floats, truth: Floats, generator: np.random.Generator, workers: Workers
    ) -> _Problem:
        """Draw open peaks and form the information of their coefficients at the truth, (coefficients, peaks)."""
        uniform = generator.random((len(design), truth.shape[1]), dtype=np.float32)
        drawn = np.ascontiguousarray(uniform.T)
        columns, rows = np.ascontiguousarray(design.T), np.ascontiguousarray(truth.T)
        information = np.empty((len(rows), len(columns), len(columns)))
        workers.ranges(len(rows), _draw_peaks, columns, exposure, rows, drawn, information)
        return cls(columns, exposure, rows, drawn, information, workers)

    def solve(self, precision: float) -> Floats:
        """Return the coefficients of highest posterior, (coefficients, peaks); the intercept has no prior."""
        prior = np.full(len(self.design), precision)
        prior[0] = 0.0
        inverse = np.linalg.inv(self.information + np.diag(np.maximum(prior, 1e-6)))
        found = self.truth.copy()
        self.workers.ranges(len(found), _solve_peaks, self.design, self.exposure, self.drawn, inverse, prior, found)
        return found.T

    def matching_precision(self) -> float:
        """Return the least precision under which contrasts vary no more than the true ones, per count."""
        counts = self.information[:, 0, 0]

        def spread(coefficients: Floats) -> float:
            return float(counts @ (coefficients[1:] ** 2).sum(axis=0))

        place = bisect_left(PRECISIONS, -spread(self.truth.T), key=lambda precision: -spread(self.solve(precision)))
        return float(PRECISIONS[min(place, len(PRECISIONS) - 1)])


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _add_combined(weights: Floats, design: Floats, first: int, total: Floats) -> None:
    """Add the weighted sum of the design's rows to `total`, for the cells from `first` on; four rows at a time."""
    size, last = len(weights), first + len(total)
    whole = size - size % 4
    for a in range(0, whole, 4):
        w, x, y, z = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
        one, two = design[a, first:last], design[a + 1, first:last]
        three, four = design[a + 2, first:last], design[a + 3, first:last]
        for i in range(len(total)):
            total[i] += w * one[i] + x * two[i] + y * three[i] + z * four[i]
    for a in range(whole, size):
        weight, row = weights[a], design[a, first:last]
        for i in range(len(total)):
            total[i] += weight * row[i]


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _add_products(values: Floats, design: Floats, first: int, total: Floats) -> None:
    """Add to `total` the products of `values`, of the cells from `first` on, with as many rows; four at a time."""
    size, last = len(total), first + len(values)
    whole = size - size % 4
    for a in range(0, whole, 4):
        one, two = design[a, first:last], design[a + 1, first:last]
        three, four = design[a + 2, first:last], design[a + 3, first:last]
        w, x, y, z = 0.0, 0.0, 0.0, 0.0
        for i in range(len(values)):
            w += values[i] * one[i]
            x += values[i] * two[i]
            y += values[i] * three[i]
            z += values[i] * four[i]
        total[a] += w
        total[a + 1] += x
        total[a + 2] += y
        total[a + 3] += z
    for a in range(whole, size):
        row, w = design[a, first:last], 0.0
        for i in range(len(values)):
            w += values[i] * row[i]
        total[a] += w


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _draw_peaks(
    first: int, last: int, design: Floats, exposure: Floats, truth: Floats, drawn: Any, information: Floats
) -> None:
    """Turn uniform numbers in `drawn` into open peaks, and fill the information; tiles of cells stay in the cache."""
    size, n = design.shape
    row, products = np.empty(TILE), np.empty(TILE)
    information[first:last] = 0.0
    for lo in range(0, n, TILE):
        mean, weighted = row[: min(TILE, n - lo)], products[: min(TILE, n - lo)]
        for p in range(first, last):
            mean[:] = 0.0
            _add_combined(truth[p], design, lo, mean)
            for i in range(len(mean)):
                mean[i] = exposure[lo + i] * exp(mean[i])
            for i in range(len(mean)):
                drawn[p, lo + i] = np.floor(mean[i] + drawn[p, lo + i])
            for a in range(size):
                for i in range(len(mean)):
                    weighted[i] = mean[i] * design[a, lo + i]
                _add_products(weighted, design, lo, information[p, a, : a + 1])
    for p in range(first, last):
        for a in range(size):
            for b in range(a):
                information[p, b, a] = information[p, a, b]


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _solve_peaks(
    first: int, last: int, design: Floats, exposure: Floats, drawn: Any, inverse: Floats, prior: Floats, found: Floats
) -> None:
    """Make Newton steps from `found`, each cut where it would change a cell's log rate by more than LONGEST."""
    size, n = design.shape
    row, slope, step = np.empty(TILE), np.empty((last, size)), np.empty((last, size))
    longest = np.empty(last)
    for _ in range(STEPS):
        for p in range(first, last):
            slope[p] = -prior * found[p]
        for lo in range(0, n, TILE):
            gap = row[: min(TILE, n - lo)]
            for p in range(first, last):
                gap[:] = 0.0
                _add_combined(found[p], design, lo, gap)
                for i in range(len(gap)):
                    gap[i] = drawn[p, lo + i] - exposure[lo + i] * exp(gap[i])
                _add_products(gap, design, lo, slope[p])
        for p in range(first, last):
            step[p] = inverse[p] @ slope[p]
        longest[:] = 0.0
        for lo in range(0, n, TILE):
            change = row[: min(TILE, n - lo)]
            for p in range(first, last):
                change[:] = 0.0
                _add_combined(step[p], design, lo, change)
                for i in range(len(change)):
                    longest[p] = max(longest[p], abs(change[i]))
        for p in range(first, last):
            found[p] += min(1.0, LONGEST / max(longest[p], 1e-12)) * step[p]
