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

from .kernels import MATH, TILE
from .model import Cells

BLOCK: Final = 256
"""Peaks at a time."""

STEPS: Final = 8
"""Newton steps with the information at the truth, near which the estimate lies."""

ENOUGH: Final = 1e-9
"""Largest change of a log rate by a step after which no further is made."""

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
    """Add the weighted sum of the design's rows to `total`, for the cells from `first` on."""
    for a in range(len(weights)):
        weight, row = weights[a], design[a, first : first + len(total)]
        for i in range(len(total)):
            total[i] += weight * row[i]


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _draw_peaks(
    first: int, last: int, design: Floats, exposure: Floats, truth: Floats, drawn: Any, information: Floats
) -> None:
    """Turn uniform numbers in `drawn` into open peaks, and fill the information; cells by tiles that stay in cache."""
    size, n = design.shape
    row = np.empty(TILE)
    for p in range(first, last):
        info = information[p]
        info[:] = 0.0
        for lo in range(0, n, TILE):
            hi = min(lo + TILE, n)
            mean, open_ = row[: hi - lo], drawn[p, lo:hi]
            mean[:] = 0.0
            _add_combined(truth[p], design, lo, mean)
            for i in range(hi - lo):
                mean[i] = exposure[lo + i] * exp(mean[i])
            for i in range(hi - lo):
                open_[i] = np.floor(mean[i] + open_[i])
            for a in range(size):
                left = design[a, lo:hi]
                for b in range(a + 1):
                    total, right = 0.0, design[b, lo:hi]
                    for i in range(hi - lo):
                        total += mean[i] * left[i] * right[i]
                    info[a, b] += total
        for a in range(size):
            for b in range(a):
                info[b, a] = info[a, b]


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _solve_peaks(
    first: int, last: int, design: Floats, exposure: Floats, drawn: Any, inverse: Floats, prior: Floats, found: Floats
) -> None:
    """Make Newton steps from `found`, each cut where it would change a cell's log rate by more than LONGEST."""
    size = len(design)
    logits, gap, slope, step = np.empty(design.shape[1]), np.empty(TILE), np.empty(size), np.empty(size)
    for p in range(first, last):
        logits[:] = 0.0
        step[:] = found[p]
        length = 1.0
        for _ in range(STEPS):
            slope[:] = -prior * found[p]
            _add_slope(length * step, design, exposure, drawn[p], logits, gap, slope)
            for a in range(size):
                step[a] = 0.0
                for b in range(size):
                    step[a] += inverse[p, a, b] * slope[b]
            longest = _longest(design, step, gap)
            length = min(1.0, LONGEST / max(longest, 1e-12))
            for a in range(size):
                found[p, a] += length * step[a]
            if longest < ENOUGH:
                break


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _add_slope(
    step: Floats, design: Floats, exposure: Floats, drawn: Any, logits: Floats, gap: Floats, slope: Floats
) -> None:
    """Add a step to the log rates, and the derivative of the likelihood there to `slope`, in one pass of the cells."""
    size, n = design.shape
    for lo in range(0, n, TILE):
        hi = min(lo + TILE, n)
        part, open_ = logits[lo:hi], drawn[lo:hi]
        _add_combined(step, design, lo, part)
        for i in range(hi - lo):
            gap[i] = open_[i] - exposure[lo + i] * exp(part[i])
        for a in range(size):
            total, column = 0.0, design[a, lo:hi]
            for i in range(hi - lo):
                total += gap[i] * column[i]
            slope[a] += total


@njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")
def _longest(design: Floats, step: Floats, work: Floats) -> float:
    """Return the largest change of a cell's log rate by a step."""
    n = design.shape[1]
    most = 0.0
    for lo in range(0, n, TILE):
        change = work[: min(TILE, n - lo)]
        change[:] = 0.0
        _add_combined(step, design, lo, change)
        for i in range(len(change)):
            most = max(most, abs(change[i]))
    return most
