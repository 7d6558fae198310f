"""When two lineages part: the branch time of one pair, by a fitted ramp or by the first cell.

The paper takes the pseudotime of the first cell whose log ratio of fates F (see :mod:`.lineage_tree`) exceeds eps. That
is the extreme of some hundred values: one cell moves it. Here all cells of the pair decide. Before the branch F is the
start's, near zero; after it F moves away, to either side. So the square of F, cut at (2 eps)^2, is fitted by a ramp
over pseudotime,

    level up to the foot, a straight rise from the foot to the top, level from the top on,

by least squares over the foot, the top and both levels. The foot is the branch time, if the fit rises to eps^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mira_nb.typing import Floats

BranchRule = Literal["ramp", "first_cell"]

CUT = 2.0
"""Log ratios beyond this many thresholds count as this: how far apart fates end says nothing of when they part."""
MAX_KNOTS = 200
"""Places considered for the foot and the top of the ramp; all cells, where there are no more."""


def first_cell(pseudotime: Floats, force: Floats, threshold: float) -> float:
    """Return pseudotime of the first cell whose log ratio exceeds `threshold` (the paper's rule), else infinity."""
    passed = np.abs(force) > threshold
    return float(pseudotime[passed].min()) if passed.any() else np.inf


@dataclass(frozen=True)
class RampFit:
    """Cells of one pair of lineages, ordered, with all ramps considered.

    Attributes
    ----------
    time
        (n,) pseudotime in increasing order.
    rise
        (n,) squared log ratio over the squared threshold, cut.
    foot, top
        (m,) feet and tops of the ramps considered.
    first, last
        (m,) number of ordered cells up to the foot, and before the top.
    """

    time: Floats
    rise: Floats
    foot: Floats
    top: Floats
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def prepare(cls, pseudotime: Floats, force: Floats, threshold: float, cut: float = CUT) -> RampFit:
        """Order the cells and list the ramps.

        Parameters
        ----------
        pseudotime
            (n,) finite values, n of at least 1.
        force
            (n,) log ratios of the two fates relative to the start.
        threshold
            eps, above 0.
        cut
            Log ratios beyond this many thresholds count as this; above 1.
        """
        order = np.argsort(pseudotime, kind="stable")
        time = np.asarray(pseudotime[order], dtype=np.float64)
        rise = np.minimum(np.abs(force[order]) / threshold, cut) ** 2
        places = np.linspace(0, len(time) - 1, min(len(time), MAX_KNOTS)).round().astype(np.int64)
        knots = np.unique(time[places])
        low, high = np.triu_indices(len(knots))
        foot, top = knots[low], knots[high]
        first = np.searchsorted(time, foot, side="right")
        last = np.maximum(np.searchsorted(time, top, side="left"), first)
        return cls(time, rise, foot, top, first, last)

    def branch_time(self) -> float:
        """Return the foot of the best ramp; infinite when it does not rise to the threshold."""
        if not (self.rise > 1).any():
            return np.inf
        covariance, variance, mean = self._moments()
        possible = (covariance > 0) & (variance > 1e-12)
        if not possible.any():  # all cells have parted alike
            return float(self.time[self.rise > 1].min())
        explained = np.full(len(covariance), -np.inf)
        explained[possible] = covariance[possible] ** 2 / variance[possible]
        best = int(explained.argmax())
        reached = float(self.rise.mean()) + covariance[best] / variance[best] * (1 - mean[best])
        return float(self.foot[best]) if reached >= 1 else np.inf

    def _moments(self) -> tuple[Floats, Floats, Floats]:
        """Return each ramp's covariance (0 at the foot, 1 at the top) with the rise, variance and mean."""
        columns = np.stack([np.ones_like(self.time), self.time, self.time**2, self.rise, self.time * self.rise])
        sums = np.concatenate([np.zeros((5, 1)), np.cumsum(columns, axis=1)], axis=1)
        slope_part = sums[:, self.last] - sums[:, self.first]
        after = sums[:, -1:] - sums[:, self.last]
        width = np.where(self.top > self.foot, self.top - self.foot, 1.0)
        total = sums[0, -1]
        mean = ((slope_part[1] - self.foot * slope_part[0]) / width + after[0]) / total
        square = slope_part[2] - 2 * self.foot * slope_part[1] + self.foot**2 * slope_part[0]
        product = ((slope_part[4] - self.foot * slope_part[3]) / width + after[3]) / total
        variance = (square / width**2 + after[0]) / total - mean**2
        return product - mean * sums[3, -1] / total, variance, mean


def parting_time(
    pseudotime: Floats, force: Floats, threshold: float, rule: BranchRule = "ramp", cut: float = CUT
) -> float:
    """Return the branch time of one pair of lineages from the log ratios of their cells.

    Parameters
    ----------
    pseudotime
        (n,) finite values of the cells of either lineage.
    force
        (n,) log ratios of the two fates relative to the start.
    threshold
        eps.
    rule
        ``ramp``: foot of the fitted ramp; ``first_cell``: the first cell beyond eps, as published.
    cut
        Log ratios beyond this many thresholds count as this in the fit of the ramp.

    Returns
    -------
    float
        Infinite when the lineages never part.
    """
    if not len(pseudotime):
        return np.inf
    if rule == "first_cell":
        return first_cell(pseudotime, force, threshold)
    return RampFit.prepare(pseudotime, force, threshold, cut).branch_time()
