"""What the data say about a gene's decay distances: posterior mean and credible interval under the LITE model.

The posterior of the two log decay distances is broad and skewed, often with several maxima, so its maximum (MAP) is a
poor summary. Here it is evaluated on a grid: the other parameters are profiled out at each pair of distances, with the
likelihood taken as the weighted least-squares problem around the LITE estimate (see
:mod:`mira_nb.core.regulation.starts`), in which a pair of distances is one small non-negative regression.

The accessibility estimates carry errors of their own, so that a likelihood that takes them as exact is too sure of
itself. Where NITE shows that LITE misses more than chance would, the log likelihood is divided by the heterogeneity
factor, as in probit analysis: the likelihood ratio statistic over its degrees of freedom, if above 1.

A grid costs next to nothing because 2^(-d/Delta) is, for any Delta, very nearly a sum of the few exponentials whose
distance-weighted sums the search for the maximum has formed already: only 21 x 21 covariances are transformed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mira_nb.typing import Floats

from .model import Priors
from .starts import GRID_KB, Grid, WorkingModel, best_subset, grid_weights, regressions

LEVEL: Final = 0.95
"""Probability of the credible interval."""

_POINTS: Final = 25
"""Decay distances per side in each of the two rounds (chosen; the second refines where the mass is)."""

_REACH: Final = 3.0
"""Half the width of the first grid, standard deviations of the prior; within the distances of the search's grid."""

_NEGLIGIBLE: Final = 12.0
"""Nats below the maximum where the finer grid ends: exp(-12) = 6e-6 of its density."""

_RANK: Final = 1e-7
"""Singular values of the grid's weights below this fraction of the largest are rounding noise."""

_WEAK: Final = 5.0
"""Gain (nats) below which single sets of peaks are tried beside the best regression: gamma's prior may prefer them."""


@dataclass(frozen=True)
class DecayPosterior:
    """Posterior of the decay distances of one gene, upstream and downstream; NaN for a set without peaks.

    Attributes
    ----------
    mean_kb
        (2,) exp of the posterior mean of log Delta (a geometric mean), kb.
    low_kb, high_kb
        (2,) ends of the central 95 % credible interval, kb.
    """

    mean_kb: Floats
    low_kb: Floats
    high_kb: Floats


def heterogeneity_factor(statistic: float, n_topics: int) -> float:
    """Return the lack of fit of LITE beside NITE: statistic over its chi-square degrees of freedom, at least 1."""
    return max(1.0, statistic / max(n_topics - 1, 1))


def decay_posterior(
    working: WorkingModel,
    grid: Grid,
    *,
    distance: Floats,
    splits: NDArray[np.int64],
    importance: Floats,
    priors: Priors,
    heterogeneity: float = 1.0,
) -> DecayPosterior:
    """Compute posterior mean and interval of the log decay distances of one gene.

    Densities are over log Delta, so that the prior is normal whether or not MAP estimates are taken on the log scale.

    Parameters
    ----------
    working
        Weighted least squares around the LITE estimate.
    grid
        Sums of the gene's peaks.
    distance
        (peaks,) kb, upstream, proximal, downstream peaks in this order.
    splits
        (4,) where the three sets begin, and the end.
    importance
        (peaks,) standard deviation of each peak's accessibility over cells.
    heterogeneity
        Divides the log likelihood; see :func:`heterogeneity_factor`.
    """
    columns = (slice(0, len(GRID_KB)), slice(len(GRID_KB) + 1, None))
    sides = [
        _Side.make(distance[first:last], importance[first:last], grid, side, columns[side])
        for side, (first, last) in enumerate(((splits[0], splits[1]), (splits[2], splits[3])))
    ]
    equations = regressions(working, grid.features, None)
    gram, right = equations.gram / heterogeneity, equations.right / heterogeneity
    axes = _first_axes(priors, grid.present)
    for _ in range(2):
        up, down = (side.coefficients(np.exp(axis)) for side, axis in zip(sides, axes, strict=True))
        change = np.zeros((len(up) + 1 + len(down), len(grid.features)))
        change[: len(up), columns[0]] = up
        change[len(up), len(GRID_KB)] = 1.0
        change[len(up) + 1 :, columns[1]] = down
        loss = _losses(
            change @ gram @ change.T, change @ right, change @ grid.covariance @ change.T, axes, grid, priors
        )
        done, axes = axes, [_narrowed(axis, loss.min(axis=1 - side)) for side, axis in enumerate(axes)]
    mass = np.exp(loss.min() - loss)
    mean, low, high = (
        np.where([grid.present[0], grid.present[2]], np.exp(values), np.nan)
        for values in np.transpose([_summary(axis, mass.sum(axis=1 - side)) for side, axis in enumerate(done)])
    )
    return DecayPosterior(mean, low, high)


@dataclass(frozen=True)
class _Side:
    """How the sum of one set for any decay distance follows from the sums of the grid."""

    beyond: Floats
    """(peaks,) kb beyond the nearest."""
    importance: Floats
    inverse: Floats
    """(grid, peaks) pseudo-inverse of the grid's weights."""
    covariance: Floats

    @classmethod
    def make(cls, distance: Floats, importance: Floats, grid: Grid, side: int, columns: slice) -> _Side:
        covariance = grid.covariance[columns, columns]
        if not len(distance):
            return cls(distance, importance, np.zeros((len(GRID_KB), 0)), covariance)
        spread = grid.spread.reshape(2, -1)[side]
        known = grid_weights(distance).T * importance[:, None]
        known = np.divide(known, spread, out=np.zeros_like(known), where=spread > 0)
        return cls(distance - distance.min(), importance, np.linalg.pinv(known, rcond=_RANK), covariance)

    def coefficients(self, decay_kb: Floats) -> Floats:
        """Return (decay distances, grid) coefficients of the standardised sums; zeros for an empty set."""
        wanted = np.exp2(-self.beyond / decay_kb[:, None]) * self.importance
        out = wanted @ self.inverse.T
        spread = np.sqrt(np.maximum(np.einsum("nk,kl,nl->n", out, self.covariance, out), 0.0))[:, None]
        return np.asarray(np.divide(out, spread, out=np.zeros_like(out), where=spread > 0))


def _first_axes(priors: Priors, present: tuple[bool, bool, bool]) -> list[Floats]:
    """Return evenly spaced log decay distances; a single one for an empty set."""
    middle, reach = math.log(priors.decay_median_kb), _REACH * priors.decay_log_sd
    low, high = (min(max(middle + end, math.log(GRID_KB[0])), math.log(GRID_KB[-1])) for end in (-reach, reach))
    if not low < high:
        low, high = math.log(GRID_KB[0]), math.log(GRID_KB[-1])
    return [np.linspace(low, high, _POINTS) if there else np.array([middle]) for there in (present[0], present[2])]


def _narrowed(axis: Floats, loss: Floats) -> Floats:
    """Return as many points over the part of an axis that has posterior mass."""
    near = np.flatnonzero(loss < loss.min() + _NEGLIGIBLE)
    return np.linspace(axis[max(near[0] - 1, 0)], axis[min(near[-1] + 1, len(axis) - 1)], len(axis))


def _losses(gram: Floats, right: Floats, covariance: Floats, axes: list[Floats], grid: Grid, priors: Priors) -> Floats:
    """Return the negative log posterior at every pair of decay distances, (upstream, downstream)."""
    n_up, n_down = len(axes[0]), len(axes[1])
    up, down = np.divmod(np.arange(n_up * n_down), n_down)
    index = np.column_stack([up, np.full(len(up), n_up), n_up + 1 + down])
    gain, beta = best_subset(gram, right, index, grid.present)
    flat = np.empty(len(index))
    _with_gamma(gram, right, covariance, index, gain, beta, priors.gamma_log_mean, priors.gamma_log_sd, flat)
    loss: Floats = flat.reshape(n_up, n_down)
    away = [(axis - math.log(priors.decay_median_kb)) / priors.decay_log_sd for axis in axes]
    for values, there in ((away[0][:, None], grid.present[0]), (away[1][None, :], grid.present[2])):
        if there:
            loss = loss + 0.5 * values**2
    return loss


@njit(cache=True, nogil=True, error_model="numpy")
def _with_gamma(
    gram: Floats,
    right: Floats,
    covariance: Floats,
    index: NDArray[np.int64],
    gain: Floats,
    beta: Floats,
    mean: float,
    sd: float,
    loss: Floats,
) -> None:
    """Add the likelihood and the prior on gamma to `loss`, optimising the common scale of the weights.

    Where the regression gains little, single sets are tried too, also those that go against expression: gamma's prior
    gives them a small weight.
    """
    for row in range(len(index)):
        best = np.inf
        if gain[row] > 0.0:
            along, square = 0.0, 0.0
            for a in range(3):
                along += beta[row, a] * right[index[row, a]]
                for b in range(3):
                    square += beta[row, a] * beta[row, b] * covariance[index[row, a], index[row, b]]
            if square > 0.0:
                # at the optimum of the regression b'Gb = b'r = 2 gain
                best = _best_length(along / square, along / math.sqrt(square), mean, sd)
        if gain[row] < _WEAK:
            for a in range(3):
                j = index[row, a]
                if covariance[j, j] > 0.5 and gram[j, j] > 0.0:
                    best = min(best, _best_length(gram[j, j], right[j], mean, sd))
        loss[row] = best


@njit(cache=True, nogil=True, error_model="numpy")
def _best_length(curvature: float, slope: float, mean: float, sd: float) -> float:
    """Return the minimum of c s^2 / 2 - r s + ((log s - mean) / sd)^2 / 2 over s > 0, by Newton's method in log s."""
    t = math.log(max(slope / curvature, 1.0 / math.sqrt(curvature)))
    for _ in range(20):
        s = math.exp(t)
        first = (curvature * s - slope) * s + (t - mean) / (sd * sd)
        second = max((2.0 * curvature * s - slope) * s, 0.0) + 1.0 / (sd * sd)
        step = min(max(first / second, -1.0), 1.0)
        t -= step
        if abs(step) < 1e-3:
            break
    s = math.exp(t)
    return (0.5 * curvature * s - slope) * s + 0.5 * ((t - mean) / sd) ** 2


def _summary(axis: Floats, mass: Floats) -> tuple[float, float, float]:
    """Return mean and ends of the central interval of evenly spaced points, each standing for its surroundings."""
    mass = mass / mass.sum()
    step = axis[1] - axis[0] if len(axis) > 1 else 0.0
    edges = np.concatenate([axis - step / 2, axis[-1:] + step / 2])
    below = np.concatenate([[0.0], np.cumsum(mass)])
    low, high = np.interp([(1 - LEVEL) / 2, (1 + LEVEL) / 2], below, edges)
    return float(axis @ mass), float(low), float(high)
