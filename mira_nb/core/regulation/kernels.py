"""Compiled log posterior of one gene's LITE or NITE model, with gradient and expected information.

The gene's model (Extended Methods, MIRA regulatory potential (RP) model) is written in coordinates in which it is well
conditioned. With f_eta the distance-weighted accessibility of region set eta, s_eta its standard deviation and bars for
means over cells,

    lambda_i = b + sum_eta w_eta (f_i,eta - fbar_eta) / s_eta + sum_t v_t (Z_it - Zbar_t)

is the same as gamma (c - mu_bn) / sigma_bn + b with w = gamma a s / sigma_bn and v = gamma a_topics / sigma_bn, because
batch normalisation gives the fraction mean 0 and standard deviation 1. Hence gamma is the standard deviation of lambda
over cells, and b is its mean.

Order of the coordinates x: log Delta_U, log Delta_D, w_U, w_P, w_D, b, log theta, v_1 ... v_K.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

N_BASE: Final = 7
LOG2: Final = math.log(2.0)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_MATH: Final = {"reassoc", "contract", "nsz", "arcp"}
_jit = njit(cache=True, nogil=True, fastmath=_MATH, error_model="numpy")


@_jit
def decay_sums(
    rates: Floats,
    distance: Floats,
    first: int,
    last: int,
    half: float,
    total: Floats,
    slope: Floats,
) -> None:
    """Fill `total` with sum_k r_ik 2^(-d_k/half), brought to mean 0 and sd 1 over cells, `slope` with its derivative.

    The derivative is by log(half). Standardising takes the strong coupling of weight and decay distance away.
    """
    n = rates.shape[1]
    total[:] = 0.0
    slope[:] = 0.0
    for k in range(first, last):
        exponent = LOG2 * distance[k] / half
        weight = math.exp(-exponent)
        if weight < 1e-30:
            continue
        change = weight * exponent
        row = rates[k]
        for i in range(n):
            total[i] += weight * row[i]
            slope[i] += change * row[i]
    mean_total = total.sum() / n
    mean_slope = slope.sum() / n
    for i in range(n):
        total[i] -= mean_total
        slope[i] -= mean_slope
    square, cross = 0.0, 0.0
    for i in range(n):
        square += total[i] * total[i]
        cross += total[i] * slope[i]
    if square > 0.0:
        inverse = 1.0 / math.sqrt(square / n)
        along = cross / square
        for i in range(n):
            slope[i] = (slope[i] - along * total[i]) * inverse
            total[i] *= inverse


@_jit
def count_terms(
    tail: Floats,
    theta: float,
) -> tuple[float, float, float]:
    """Value, first and second derivative by theta of sum_i [lgamma(y_i + theta) - lgamma(theta)].

    `tail[j]` is the number of cells with more than j counts: the log-gamma difference of a count y is the sum of
    log(theta + j) over j < y.
    """
    value, first, second = 0.0, 0.0, 0.0
    for j in range(len(tail)):
        inverse = 1.0 / (theta + j)
        value += tail[j] * math.log(theta + j)
        first += tail[j] * inverse
        second -= tail[j] * inverse * inverse
    return value, first, second


@_jit
def objective(
    x: Floats,
    rates: Floats,
    distance: Floats,
    splits: Ints,
    proximal: Floats,
    counts: Floats,
    offset: Floats,
    tail: Floats,
    topics: Floats,
    prior: Floats,
    work: Floats,
    slopes: Floats,
) -> tuple[float, float, float]:
    """Negative log posterior (without terms that are constant in x) and its gradient.

    Parameters
    ----------
    x
        Coordinates, (7 + K,).
    rates
        (peaks, cells) accessibility, upstream, proximal, downstream peaks in this order.
    distance
        (peaks,) kb.
    splits
        (4,) where the three sets begin, and the end.
    proximal
        (cells,) sum over the proximal peaks, mean 0 and sd 1.
    counts, offset
        (cells,) observed counts; log read depth minus the log normaliser of the expression topic model.
    tail
        See :func:`count_terms`.
    topics
        (K, cells) centred accessibility topics; K = 0 for LITE.
    prior
        (9,) mean and sd of log Delta, mean and sd of log gamma, sd of b, shape and rate of theta, 1.0 if log-normal
        densities are taken in the natural scale instead of the log scale, 1.0 if theta is fixed.
    work
        (8, cells) scratch; on return rows 0-3 hold the standardised sums of U and D and their slopes, row 4 lambda,
        row 5 the expected information per cell, row 6 the derivative by lambda_i, row 7 the mean mu.
    slopes
        (7 + K,) filled with the gradient.

    Returns
    -------
    (negative log posterior, log likelihood without its constant, second derivative by log theta)
    """
    n = len(counts)
    n_topics = topics.shape[0]
    up, down, up_slope, down_slope = work[0], work[1], work[2], work[3]
    rate, info, force, mean = work[4], work[5], work[6], work[7]
    half_up, half_down = math.exp(x[0]), math.exp(x[1])
    decay_sums(rates, distance, splits[0], splits[1], half_up, up, up_slope)
    decay_sums(rates, distance, splits[2], splits[3], half_down, down, down_slope)
    bias, theta = x[5], math.exp(x[6])
    for i in range(n):
        rate[i] = bias + x[2] * up[i] + x[3] * proximal[i] + x[4] * down[i]
    for t in range(n_topics):
        weight = x[N_BASE + t]
        row = topics[t]
        for i in range(n):
            rate[i] += weight * row[i]

    log_theta = x[6]
    like, by_theta, by_theta2, spread = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        mu = math.exp(rate[i] + offset[i])
        mean[i] = mu
        total = theta + mu
        log_total = math.log(total)
        ratio = (counts[i] + theta) / total
        like += counts[i] * (rate[i] + offset[i]) - (counts[i] + theta) * log_total
        force[i] = theta * (counts[i] - mu) / total
        info[i] = mu * theta / total
        by_theta -= log_total + ratio
        by_theta2 += (ratio - 2.0) / total
        gap = rate[i] - bias
        spread += gap * gap
    value, first, second = count_terms(tail, theta)
    like += n * theta * log_theta + value
    by_theta += n * (log_theta + 1.0) + first
    by_theta2 += n / theta + second

    # priors
    natural = prior[7]
    spread /= n
    log_gamma = 0.5 * math.log(spread) if spread > 0.0 else -1e300
    away_up = (x[0] - prior[0]) / prior[1]
    away_down = (x[1] - prior[0]) / prior[1]
    away_gamma = (log_gamma - prior[2]) / prior[3]
    log_prior = -0.5 * (away_up * away_up + away_down * away_down + away_gamma * away_gamma)
    log_prior -= natural * (x[0] + x[1] + log_gamma)
    log_prior -= 0.5 * (bias / prior[4]) ** 2
    if prior[8] == 0.0:
        log_prior += (prior[5] - 1.0) * log_theta - prior[6] * theta
    pull = (-away_gamma / prior[3] - natural) / (n * spread) if spread > 0.0 else 0.0

    # gradient of the negative log posterior
    g_up, g_down, g_wu, g_wp, g_wd, g_b = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        g_b += force[i]
        force[i] += pull * (rate[i] - bias)
        g_up += force[i] * up_slope[i]
        g_down += force[i] * down_slope[i]
        g_wu += force[i] * up[i]
        g_wp += force[i] * proximal[i]
        g_wd += force[i] * down[i]
    slopes[0] = -(x[2] * g_up - away_up / prior[1] - natural)
    slopes[1] = -(x[4] * g_down - away_down / prior[1] - natural)
    slopes[2], slopes[3], slopes[4] = -g_wu, -g_wp, -g_wd
    slopes[5] = -(g_b - bias / (prior[4] * prior[4]))
    curvature = 0.0
    slopes[6] = 0.0
    if prior[8] == 0.0:
        slopes[6] = -(theta * by_theta + (prior[5] - 1.0) - prior[6] * theta)
        curvature = -(theta * theta * by_theta2 + theta * by_theta - prior[6] * theta)
    for t in range(n_topics):
        row = topics[t]
        total_force = 0.0
        for i in range(n):
            total_force += force[i] * row[i]
        slopes[N_BASE + t] = -total_force
    return -(like + log_prior), like, curvature


@_jit
def information(
    x: Floats,
    proximal: Floats,
    topics: Floats,
    prior: Floats,
    curvature: float,
    work: Floats,
    out: Floats,
) -> None:
    """Fill `out` with the expected information (Fisher) of x plus the priors' curvature, as a safe metric."""
    n = len(proximal)
    k = topics.shape[0]
    size = N_BASE + k
    info = work[5]
    columns = np.empty((size, n))
    columns[0] = x[2] * work[2]
    columns[1] = x[4] * work[3]
    columns[2] = work[0]
    columns[3] = proximal
    columns[4] = work[1]
    columns[5] = 1.0
    columns[6] = 0.0
    for t in range(k):
        columns[N_BASE + t] = topics[t]
    weighted = columns * info
    out[:, :] = np.dot(weighted, columns.T)
    spread = 1.0 / (prior[1] * prior[1])
    out[0, 0] += spread
    out[1, 1] += spread
    out[5, 5] += 1.0 / (prior[4] * prior[4])
    out[6, 6] = max(abs(curvature), 1.0)
    # the prior of log gamma bends along the current w and v; its positive part keeps the metric safe
    variance = 0.0
    for i in range(n):
        gap = work[4][i] - x[5]
        variance += gap * gap
    # d log gamma / d x_j = sum_i gap_i column_ij / variance
    lean = np.zeros(size)
    for j in range(size):
        if j == 5 or j == 6:
            continue
        total = 0.0
        for i in range(n):
            total += (work[4][i] - x[5]) * columns[j, i]
        lean[j] = total / max(variance, 1e-300)
    for a in range(size):
        for b in range(size):
            out[a, b] += lean[a] * lean[b] / (prior[3] * prior[3])
    for j in range(size):
        out[j, j] *= 1.0 + 1e-8
        out[j, j] += 1e-12


@_jit
def _precondition(
    metric: Floats,
    free: Floats,
    vector: Floats,
) -> Floats:
    """Solve metric[free, free] d = vector[free]; zero elsewhere."""
    size = len(vector)
    index = np.flatnonzero(free)
    m = len(index)
    small = np.empty((m, m))
    right = np.empty(m)
    scale = np.empty(m)
    for a in range(m):
        scale[a] = 1.0 / math.sqrt(max(metric[index[a], index[a]], 1e-300))
    for a in range(m):
        right[a] = vector[index[a]] * scale[a]
        for b in range(m):
            small[a, b] = metric[index[a], index[b]] * scale[a] * scale[b]
        small[a, a] += 1e-6
    solved = np.linalg.solve(small, right)
    out = np.zeros(size)
    for a in range(m):
        out[index[a]] = solved[a] * scale[a]
    return out


@_jit
def _direction(
    metric: Floats,
    free: Floats,
    slopes: Floats,
    steps: Floats,
    changes: Floats,
    n_kept: int,
    memory: int,
    newest: int,
) -> Floats:
    """Two-loop recursion of L-BFGS with the inverse information as first metric, on the free coordinates."""
    q = slopes * free
    alphas = np.zeros(memory)
    for back in range(n_kept):
        j = (newest - back) % memory
        s, y = steps[j] * free, changes[j] * free
        sy = np.dot(s, y)
        if sy <= 0.0:
            continue
        alphas[j] = np.dot(s, q) / sy
        q = q - alphas[j] * y
    d = _precondition(metric, free, q)
    for back in range(n_kept - 1, -1, -1):
        j = (newest - back) % memory
        s, y = steps[j] * free, changes[j] * free
        sy = np.dot(s, y)
        if sy <= 0.0:
            continue
        d = d + s * (alphas[j] - np.dot(y, d) / sy)
    return -d


@_jit
def _limit(
    direction: Floats,
) -> None:
    """Shorten a direction that would change a decay distance, b or theta by more than a sane amount."""
    factor = 1.0
    for j, most in ((0, 1.5), (1, 1.5), (5, 4.0), (6, 2.0)):
        size = abs(direction[j])
        if size * factor > most:
            factor = most / size
    for j in range(len(direction)):
        direction[j] *= factor


@_jit
def minimise(  # noqa: C901 - one loop, split only where numba inlines
    x: Floats,
    movable: Floats,
    rates: Floats,
    distance: Floats,
    splits: Ints,
    proximal: Floats,
    counts: Floats,
    offset: Floats,
    tail: Floats,
    topics: Floats,
    prior: Floats,
    work: Floats,
    tolerance: float,
    max_iterations: int,
) -> tuple[float, float, int, int, bool]:
    """L-BFGS with a_eta >= 0; `x` is changed in place.

    Stops when the loss has not decreased by more than `tolerance` for three iterations (Extended Methods, Parameter
    Estimation). Returns (negative log posterior, log likelihood, iterations, evaluations, converged).
    """
    size = len(x)
    memory = 6
    steps, changes = np.zeros((memory, size)), np.zeros((memory, size))
    n_kept, newest = 0, -1
    slopes, new_slopes = np.zeros(size), np.zeros(size)
    metric = np.zeros((size, size))
    free = np.zeros(size)
    value, like, curvature = objective(
        x, rates, distance, splits, proximal, counts, offset, tail, topics, prior, work, slopes
    )
    evaluations, idle, iteration, converged = 1, 0, 0, False
    if not math.isfinite(value):
        return math.inf, like, iteration, evaluations, converged
    while iteration < max_iterations:
        iteration += 1
        changed = False
        for j in range(size):
            now = movable[j]
            if 2 <= j <= 4 and x[j] <= 0.0 and slopes[j] >= 0.0:
                now = 0.0
            if now != free[j]:
                changed = True
            free[j] = now
        if changed:
            n_kept = 0
        if changed or iteration <= 4 or iteration % 4 == 0:
            information(x, proximal, topics, prior, curvature, work, metric)
        direction = _direction(metric, free, slopes, steps, changes, n_kept, memory, newest)
        if np.dot(direction, slopes) >= 0.0:
            n_kept = 0
            direction = -_precondition(metric, free, slopes * free)
        _limit(direction)

        step, accepted = 1.0, False
        trial = x.copy()
        new_value, new_like, new_curvature = value, like, curvature
        for _ in range(30):
            for j in range(size):
                trial[j] = x[j] + step * direction[j]
                if 2 <= j <= 4 and trial[j] < 0.0:
                    trial[j] = 0.0
            new_value, new_like, new_curvature = objective(
                trial, rates, distance, splits, proximal, counts, offset, tail, topics, prior, work, new_slopes
            )
            evaluations += 1
            gain = np.dot(slopes, trial - x)
            if math.isfinite(new_value) and new_value <= value + 1e-4 * gain:
                accepted = True
                break
            step *= 0.5 if math.isfinite(new_value) else 0.1
        if not accepted:
            # rounding level: put the features of x back into `work`
            value, like, curvature = objective(
                x, rates, distance, splits, proximal, counts, offset, tail, topics, prior, work, slopes
            )
            evaluations += 1
            if n_kept == 0:
                converged = True
                break
            n_kept = 0
            idle += 1
        else:
            s = trial - x
            y = new_slopes - slopes
            if np.dot(s, y) > 1e-10 * math.sqrt(np.dot(s, s) * np.dot(y, y)):
                newest = (newest + 1) % memory
                steps[newest], changes[newest] = s, y
                n_kept = min(n_kept + 1, memory)
            idle = idle + 1 if value - new_value <= tolerance else 0
            x[:] = trial
            slopes[:] = new_slopes
            value, like, curvature = new_value, new_like, new_curvature
        if idle >= 3:
            converged = True
            break
    return value, like, iteration, evaluations, converged
