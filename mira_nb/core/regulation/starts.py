"""Where to start the search: the posterior has several maxima along the decay distances.

Around a flexible prediction of the gene (a negative binomial regression on the accessibility topics) the likelihood is
close to a weighted least-squares problem. There every pair of decay distances of a grid is one small non-negative
regression on two or three features, so that all pairs can be compared at the cost of a few likelihood evaluations. The
best few, far enough apart, become starts of L-BFGS.
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

GRID_KB: Final[tuple[float, ...]] = (0.7, 1.6, 3.5, 8.0, 16.0, 32.0, 64.0, 130.0, 300.0, 900.0)
"""Decay distances tried, about an octave apart, to beyond the window of 600 kb (chosen, no source)."""


@dataclass(frozen=True)
class WorkingModel:
    """Weighted least squares around a flexible prediction.

    Attributes
    ----------
    response
        (N,) working response for lambda.
    weight
        (N,) expected information of lambda_i.
    theta
        Rough dispersion.
    """

    response: Floats
    weight: Floats
    theta: float


@dataclass(frozen=True)
class Candidate:
    """A start: decay distances, weights of the standardised sets (>= 0), b, topic coefficients (empty for LITE)."""

    decay_kb: tuple[float, float]
    weights: Floats
    bias: float
    topics: Floats
    loss: float


@dataclass(frozen=True)
class Regressions:
    """Normal equations of the working model with the intercept (and the topics) projected out."""

    gram: Floats
    right: Floats
    feature_mean: Floats
    response_mean: float
    topic_mean: Floats
    topic_coefficients: Floats
    """(K, features + 1) regression of every feature and of the response on the topics."""

    def complete(self, index: NDArray[np.int64], beta: Floats) -> tuple[float, Floats]:
        """Return intercept and topic coefficients that go with the weights of three features."""
        v = self.topic_coefficients[:, -1] - self.topic_coefficients[:, index] @ beta
        return self.response_mean - float(self.feature_mean[index] @ beta + self.topic_mean @ v), v


def working_model(counts: Floats, offset: Floats, topics: Floats, *, iterations: int = 6) -> WorkingModel:
    """Fit lambda = b + Z v by a few ridge-stabilised scoring steps and return the working response there.

    Parameters
    ----------
    counts, offset
        (N,) counts and log mean at lambda = 0.
    topics
        (K, N) centred accessibility topics.
    """
    columns = np.vstack([np.ones(len(counts)), topics])
    level = math.log(counts.sum() / np.exp(offset).sum())
    rate = np.full(len(counts), level)
    ridge = np.full(len(columns), 1e-3 * len(counts) * 0.01)
    ridge[0] = 1e-8
    theta = 2.0
    mean = np.exp(rate + offset)
    for step in range(iterations):
        weight = mean * theta / (theta + mean)
        response = rate + (counts - mean) / mean
        weighted = columns * weight
        gram = weighted @ columns.T
        gram[np.diag_indices_from(gram)] += ridge
        coefficients = np.linalg.solve(gram, weighted @ response)
        change = coefficients @ columns - rate
        rate = np.clip(rate + np.clip(change, -3.0, 3.0), level - 12.0, level + 8.0)
        mean = np.exp(rate + offset)
        if step >= 1:
            excess = float(((counts - mean) ** 2 - mean).sum())
            theta = float(np.clip((mean * mean).sum() / excess, 0.1, 20.0)) if excess > 0 else 20.0
    return working_around(counts, offset, rate, theta)


def working_around(counts: Floats, offset: Floats, rate: Floats, theta: float) -> WorkingModel:
    """Return the working response around a prediction lambda = `rate`."""
    mean = np.maximum(np.exp(rate + offset), 1e-8)
    return WorkingModel(rate + (counts - mean) / mean, mean * theta / (theta + mean), theta)


def standardise(features: Floats) -> tuple[Floats, Floats]:
    """Standardise rows to mean 0 and standard deviation 1 (rows without variation to 0); also return what they had."""
    centred = features - features.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True))
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0), spread[..., 0]


def grid_weights(distance: Floats) -> Floats:
    """Return (grid, peaks) weights of one set's peaks per decay distance, relative to the nearest peak's."""
    beyond = distance - distance.min() if len(distance) else distance
    return np.asarray(np.exp2(-beyond[None, :] / np.array(GRID_KB)[:, None]))


@dataclass(frozen=True)
class Grid:
    """Standardised sums for every decay distance of the grid.

    Attributes
    ----------
    features
        (2 x grid + 1, N): upstream by decay distance, proximal, downstream by decay distance.
    covariance
        Their covariance over cells.
    spread
        (2 x grid,) standard deviations of the upstream and downstream sums before, the nearest peak's weight being 1.
    present
        Whether the upstream, proximal and downstream sets have peaks.
    """

    features: Floats
    covariance: Floats
    spread: Floats
    present: tuple[bool, bool, bool]


def make_grid(rates: Floats, distance: Floats, splits: NDArray[np.int64], proximal: Floats) -> Grid:
    """Sum each set's (peaks, N) rates for every decay distance; `proximal` is the standardised proximal sum."""
    (up, up_spread), (down, down_spread) = (
        standardise(grid_weights(distance[first:last]) @ rates[first:last])
        for first, last in ((splits[0], splits[1]), (splits[2], splits[3]))
    )
    features = np.vstack([up, proximal[None, :], down])
    sizes = np.diff(splits) > 0
    return Grid(
        features,
        features @ features.T / features.shape[1],
        np.concatenate([up_spread, down_spread]),
        (bool(sizes[0]), bool(sizes[1]), bool(sizes[2])),
    )


def regressions(working: WorkingModel, features: Floats, topics: Floats | None) -> Regressions:
    """Form the weighted normal equations; `topics` (K, N) are projected out when given."""
    weight = working.weight
    total = weight.sum()
    feature_mean, response_mean = features @ weight / total, float(working.response @ weight / total)
    centred = features - feature_mean[:, None]
    response = working.response - response_mean
    weighted = centred * weight
    gram, right = weighted @ centred.T, weighted @ response
    z = np.zeros((0, len(weight))) if topics is None else topics
    topic_mean = z @ weight / total
    solved = np.zeros((len(z), len(features) + 1))
    if len(z):
        z = z - topic_mean[:, None]
        zw = z * weight
        inner = zw @ z.T
        inner[np.diag_indices_from(inner)] += 1e-6 * np.trace(inner) / len(inner) + 1e-12
        cross = zw @ centred.T
        solved = np.linalg.solve(inner, np.column_stack([cross, zw @ response]))
        gram = gram - cross.T @ solved[:, :-1]
        right = right - cross.T @ solved[:, -1]
    return Regressions(gram, right, feature_mean, response_mean, topic_mean, solved)


def candidates(
    working: WorkingModel, grid: Grid, *, priors: Priors, topics: Floats | None = None, most: int = 3
) -> list[Candidate]:
    """Return the best starts, best first; empty when expression follows no set of peaks.

    Parameters
    ----------
    topics
        (K, N) centred topics to be fitted beside (NITE), or None (LITE).
    """
    size = len(GRID_KB)
    present = grid.present
    equations = regressions(working, grid.features, topics)
    rows_u, rows_d = np.divmod(np.arange(size * size), size)
    if not present[0]:
        rows_u = np.full(size, 4)
        rows_d = np.arange(size)
    if not present[2]:
        rows_u, rows_d = np.unique(rows_u), np.full(len(np.unique(rows_u)), 4)
    index = np.column_stack([rows_u, np.full(len(rows_u), size), size + 1 + rows_d])
    gain, beta = best_subset(equations.gram, equations.right, index, present)
    away = (np.log(GRID_KB) - math.log(priors.decay_median_kb)) / priors.decay_log_sd
    penalty = 0.5 * (away[rows_u] ** 2 * present[0] + away[rows_d] ** 2 * present[2])
    if topics is None:
        part = grid.covariance[index[:, :, None], index[:, None, :]]
        variance = np.einsum("ni,nij,nj->n", beta, part, beta)
        with np.errstate(divide="ignore"):
            log_gamma = np.where(variance > 0, 0.5 * np.log(np.maximum(variance, 1e-300)), -np.inf)
        penalty = penalty + 0.5 * ((log_gamma - priors.gamma_log_mean) / priors.gamma_log_sd) ** 2
    loss = np.where(gain > 0, penalty - gain, np.inf)
    out: list[Candidate] = []
    taken: list[tuple[int, int]] = []
    for n in np.argsort(loss, kind="stable"):
        if not np.isfinite(loss[n]) or len(out) == most:
            break
        place = (int(rows_u[n]), int(rows_d[n]))
        if any(max(abs(place[0] - u), abs(place[1] - d)) < 3 for u, d in taken):
            continue
        taken.append(place)
        bias, v = equations.complete(index[n], beta[n])
        out.append(Candidate((GRID_KB[place[0]], GRID_KB[place[1]]), beta[n].copy(), bias, v, float(loss[n])))
    return out


def best_subset(
    gram: Floats, right: Floats, index: NDArray[np.int64], present: tuple[bool, bool, bool]
) -> tuple[Floats, Floats]:
    """Solve non-negative least squares of three features for many grid points: best subset of positive weights."""
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    gain, beta = np.zeros(len(index)), np.zeros((len(index), 3))
    missing = sum(1 << bit for bit, there in enumerate(present) if not there)
    _all_subsets(gram / np.outer(scale, scale), right / scale, index, missing, gain, beta)
    return gain, beta / scale[index]


@njit(cache=True, nogil=True, error_model="numpy")
def _all_subsets(
    gram: Floats, right: Floats, index: NDArray[np.int64], missing: int, gain: Floats, beta: Floats
) -> None:
    """Fill `gain` and `beta` (rows x 3, zero: start); `gram` has a unit diagonal, to which 1e-6 is added.

    Subsets are written as three bits; those with a bit of `missing` are left out.
    """
    matrix, solved = np.empty((3, 4)), np.empty(3)
    for row in range(len(index)):
        for code in range(1, 8):
            if code & missing:
                continue
            # features outside of the subset get an equation of their own: 1 times their weight is 0
            for a in range(3):
                chosen = (code >> a) & 1
                for b in range(3):
                    both = chosen and (code >> b) & 1
                    matrix[a, b] = gram[index[row, a], index[row, b]] if both else 0.0
                matrix[a, a] = matrix[a, a] + 1e-6 if chosen else 1.0
                matrix[a, 3] = right[index[row, a]] if chosen else 0.0
            _solve_three(matrix, solved)
            value = 0.0
            for a in range(3):
                value += 0.5 * right[index[row, a]] * solved[a]
                if (code >> a) & 1 and solved[a] <= 0.0:
                    value = -np.inf
            if value > gain[row]:
                gain[row] = value
                beta[row] = solved


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_three(matrix: Floats, solved: Floats) -> None:
    """Solve a positive definite system of three equations, right side in the fourth column, which is overwritten."""
    for a in range(3):
        for below in range(a + 1, 3):
            factor = matrix[below, a] / matrix[a, a]
            for b in range(a, 4):
                matrix[below, b] -= factor * matrix[a, b]
    for a in range(2, -1, -1):
        total = matrix[a, 3]
        for b in range(a + 1, 3):
            total -= matrix[a, b] * solved[b]
        solved[a] = total / matrix[a, a]
