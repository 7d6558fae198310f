"""Compiled L-BFGS for one gene's posterior, with the expected information as its metric.

The weights of the peak sets are kept non-negative, and the decay distances above a bound, by an active set: a
coordinate at its bound whose gradient points outward is held there.
Against scipy's L-BFGS-B: ``docs/decisions/lbfgs.md``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from mira_nb.typing import Floats

from .kernels import MATH, N_BASE, Inputs, objective

MEMORY: Final = 6
"""Pairs of steps and gradient changes that are kept."""
HALVINGS: Final = 30
"""Most halvings of a step: 2^-30 of it is at rounding level."""

TILE: Final = 256
"""Cells handled at a time: columns of them stay in the first cache."""
_jit = njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")


@_jit
def _fill_columns(x: Floats, inputs: Inputs, work: Floats, lo: int, hi: int, columns: Floats) -> None:
    """Fill the derivatives of lambda by each coordinate for the cells lo to hi."""
    topics = inputs.topics
    for i in range(hi - lo):
        columns[0, i] = x[2] * work[2, lo + i]
        columns[1, i] = x[4] * work[3, lo + i]
        columns[2, i] = work[0, lo + i]
        columns[3, i] = inputs.proximal[lo + i]
        columns[4, i] = work[1, lo + i]
        columns[5, i] = 1.0
        columns[6, i] = 0.0
    for t in range(topics.shape[0]):
        for i in range(hi - lo):
            columns[N_BASE + t, i] = topics[t, lo + i]


@_jit
def information(x: Floats, inputs: Inputs, curvature: float, work: Floats, out: Floats) -> None:
    """Fill `out` with the expected information (Fisher) of x plus the priors' curvature, as a safe metric."""
    prior = inputs.prior
    n, size = work.shape[1], len(x)
    columns, weighted, gap, lean = np.empty((size, TILE)), np.empty(TILE), np.empty(TILE), np.zeros(size)
    out[:, :] = 0.0
    variance = 0.0
    for lo in range(0, n, TILE):
        m = min(TILE, n - lo)
        _fill_columns(x, inputs, work, lo, lo + m, columns)
        for i in range(m):
            gap[i] = work[4, lo + i] - x[5]
            variance += gap[i] * gap[i]
        for a in range(size):
            total = 0.0
            for i in range(m):
                weighted[i] = columns[a, i] * work[5, lo + i]
                total += columns[a, i] * gap[i]
            lean[a] += total
            for b in range(a + 1):
                product = 0.0
                for i in range(m):
                    product += weighted[i] * columns[b, i]
                out[a, b] += product
    # the prior of log gamma bends along d log gamma / d x_j = sum_i gap_i column_ij / variance (0 for b and theta);
    # its positive part keeps the metric safe
    lean /= max(variance, 1e-300)
    lean[5] = 0.0
    for a in range(size):
        for b in range(a + 1):
            out[a, b] += lean[a] * lean[b] / (prior[3] * prior[3])
            out[b, a] = out[a, b]
    out[0, 0] += 1.0 / (prior[1] * prior[1])
    out[1, 1] += 1.0 / (prior[1] * prior[1])
    out[5, 5] += 1.0 / (prior[4] * prior[4])
    out[6, 6] = max(abs(curvature), 1.0)


@_jit
def _precondition(metric: Floats, free: Floats, vector: Floats) -> Floats:
    """Solve metric[free, free] d = vector[free]; zero elsewhere."""
    index = np.flatnonzero(free)
    m = len(index)
    small = np.empty((m, m))
    right = np.empty(m)
    scale = np.empty(m)
    for a in range(m):
        scale[a] = 1.0 / math.sqrt(metric[index[a], index[a]] + 1e-12)
    for a in range(m):
        right[a] = vector[index[a]] * scale[a]
        for b in range(m):
            small[a, b] = metric[index[a], index[b]] * scale[a] * scale[b]
        small[a, a] += 1e-6
    solved = np.linalg.solve(small, right)
    out = np.zeros(len(vector))
    for a in range(m):
        out[index[a]] = solved[a] * scale[a]
    return out


@_jit
def _direction(metric: Floats, free: Floats, slopes: Floats, pairs: Floats, n_kept: int, newest: int) -> Floats:
    """Run the two-loop recursion of L-BFGS with the inverse information as first metric, on the free coordinates.

    `pairs` (2, MEMORY, size) holds steps and changes of the gradient. Falls back on the metric alone where the result
    does not go down.
    """
    q = slopes * free
    alphas = np.zeros(MEMORY)
    for back in range(n_kept):
        j = (newest - back) % MEMORY
        s, y = pairs[0, j] * free, pairs[1, j] * free
        sy = np.dot(s, y)
        if sy > 0.0:
            alphas[j] = np.dot(s, q) / sy
            q = q - alphas[j] * y
    d = _precondition(metric, free, q)
    for back in range(n_kept - 1, -1, -1):
        j = (newest - back) % MEMORY
        s, y = pairs[0, j] * free, pairs[1, j] * free
        sy = np.dot(s, y)
        if sy > 0.0:
            d = d + s * (alphas[j] - np.dot(y, d) / sy)
    if n_kept > 0 and np.dot(d, slopes) <= 0.0:
        d = _precondition(metric, free, slopes * free)
    # no decay distance, b or theta may change by more than a sane amount
    factor = 1.0
    for j, most in ((0, 1.5), (1, 1.5), (5, 4.0), (6, 2.0)):
        if abs(d[j]) * factor > most:
            factor = most / abs(d[j])
    return -factor * d


@_jit
def _free_coordinates(x: Floats, movable: Floats, lowest: Floats, slopes: Floats, free: Floats) -> bool:
    """Update which coordinates may move; return whether any changed."""
    changed = False
    for j in range(len(x)):
        now = movable[j]
        if j < 5 and x[j] <= lowest[j] and slopes[j] >= 0.0:
            now = 0.0
        changed = changed or now != free[j]
        free[j] = now
    return changed


@_jit
def _line_search(
    x: Floats,
    value: float,
    slopes: Floats,
    direction: Floats,
    lowest: Floats,
    inputs: Inputs,
    work: Floats,
    trial: Floats,
    new: Floats,
) -> tuple[bool, float, float, float, int]:
    """Halve the step until the loss decreases enough; `trial` and `new` are filled with the point and its gradient.

    Returns (accepted, loss, log likelihood, curvature, evaluations). Not accepted: the step is at rounding level.
    """
    step = 1.0
    for count in range(1, HALVINGS + 1):
        for j in range(len(x)):
            trial[j] = x[j] + step * direction[j]
            if j < 5 and trial[j] < lowest[j]:
                trial[j] = lowest[j]
        found, like, curvature = objective(trial, inputs, work, new)
        gain = np.dot(slopes, trial - x)
        if math.isfinite(found) and found <= value + 1e-4 * gain:
            return True, found, like, curvature, count
        if math.isfinite(found) and abs(gain) < 1e-11 * abs(value):
            return False, found, like, curvature, count
        step *= 0.5 if math.isfinite(found) else 0.1
    return False, value, 0.0, 0.0, HALVINGS


@_jit
def minimise(
    x: Floats, movable: Floats, lowest: Floats, inputs: Inputs, work: Floats, tolerance: float, max_iterations: int
) -> tuple[float, float, int, int, bool]:
    """Minimise the loss by L-BFGS with the first five coordinates at least `lowest`, (5,); `x` is changed in place.

    Stops when the loss has not decreased by more than `tolerance` for three iterations (Extended Methods, Parameter
    Estimation), or when the next step promises less than a thousandth of it. Returns (negative log posterior, log
    likelihood, iterations, evaluations, converged).
    """
    size = len(x)
    pairs = np.zeros((2, MEMORY, size))
    slopes, new_slopes, free, trial = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    metric = np.zeros((size, size))
    value, like, curvature = objective(x, inputs, work, slopes)
    n_kept, newest, evaluations, idle = 0, -1, 1, 0
    if not math.isfinite(value):
        return math.inf, like, 0, evaluations, False
    for iteration in range(1, max_iterations + 1):
        changed = _free_coordinates(x, movable, lowest, slopes, free)
        n_kept = 0 if changed else n_kept
        if changed or iteration <= 4 or iteration % 4 == 0:
            information(x, inputs, curvature, work, metric)
        direction = _direction(metric, free, slopes, pairs, n_kept, newest)
        if -0.5 * np.dot(direction, slopes) < 1e-3 * tolerance:
            return value, like, iteration, evaluations, True
        accepted, new_value, new_like, new_curvature, count = _line_search(
            x, value, slopes, direction, lowest, inputs, work, trial, new_slopes
        )
        evaluations += count
        if not accepted:
            # put the features of x back into `work`
            value, like, curvature = objective(x, inputs, work, slopes)
            evaluations += 1
            idle += 1
            if n_kept == 0 or idle >= 3:
                return value, like, iteration, evaluations, True
            n_kept = 0
            continue
        s, y = trial - x, new_slopes - slopes
        if np.dot(s, y) > 1e-10 * math.sqrt(np.dot(s, s) * np.dot(y, y)):
            newest = (newest + 1) % MEMORY
            pairs[0, newest], pairs[1, newest] = s, y
            n_kept = min(n_kept + 1, MEMORY)
        idle = idle + 1 if value - new_value <= tolerance else 0
        x[:], slopes[:] = trial, new_slopes
        value, like, curvature = new_value, new_like, new_curvature
        if idle >= 3:
            return value, like, iteration, evaluations, True
    return value, like, max_iterations, evaluations, False
