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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mira_nb.core.topics.decoder import Decoder
from mira_nb.typing import Floats

from .model import Cells

BLOCK: Final = 256
"""Peaks at a time."""

CELLS: Final = 4096
"""Cells at a time in the sum of the information."""

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
    cells: Cells, n_open: NDArray, peaks: NDArray[np.int64], *, generator: np.random.Generator
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
    problem = _Problem.draw(design, exposure, truth[:, tuning], generator)
    precision = problem.matching_precision()
    for start in range(0, len(peaks), BLOCK):
        part = slice(start, start + BLOCK)
        found = _Problem.draw(design, exposure, truth[:, part], generator).solve(precision)
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
    """Regressions of drawn peaks on the design, (cells, peaks) and (coefficients, peaks)."""

    design: Floats
    exposure: Floats
    truth: Floats
    drawn: Floats
    information: Floats

    @classmethod
    def draw(cls, design: Floats, exposure: Floats, truth: Floats, generator: np.random.Generator) -> _Problem:
        """Draw open peaks and form the information of their coefficients at the truth, (peaks, coef., coef.)."""
        mean = exposure[:, None] * np.exp(design @ truth)
        # open or not; a peak expected more than once keeps its mean
        drawn = np.floor(mean + generator.random(mean.shape, dtype=np.float32))
        size = design.shape[1]
        information = np.zeros((truth.shape[1], size * size))
        for start in range(0, len(design), CELLS):
            part = design[start : start + CELLS]
            squares = (part[:, :, None] * part[:, None, :]).reshape(len(part), -1)
            information += mean[start : start + CELLS].T @ squares
        return cls(design, exposure, truth, drawn, information.reshape(-1, size, size))

    def solve(self, precision: float) -> Floats:
        """Return the coefficients of highest posterior; the intercept has no prior."""
        prior = np.full(self.design.shape[1], precision)
        prior[0] = 0.0
        inverse = np.linalg.inv(self.information + np.diag(np.maximum(prior, 1e-6)))
        found = self.truth.copy()
        logits = self.design @ found
        for _ in range(STEPS):
            mean = self.exposure[:, None] * np.exp(logits)
            slope = self.design.T @ (self.drawn - mean) - prior[:, None] * found
            step = np.einsum("pab,bp->ap", inverse, slope)
            change = self.design @ step
            length = np.minimum(1.0, LONGEST / np.maximum(np.abs(change).max(axis=0), 1e-12))
            found += length * step
            logits += length * change
        return found

    def matching_precision(self) -> float:
        """Return the least precision under which contrasts vary no more than the true ones, per count."""
        counts = self.information[:, 0, 0]

        def spread(coefficients: Floats) -> float:
            return float(counts @ (coefficients[1:] ** 2).sum(axis=0))

        place = bisect_left(PRECISIONS, -spread(self.truth), key=lambda precision: -spread(self.solve(precision)))
        return float(PRECISIONS[min(place, len(PRECISIONS) - 1)])
