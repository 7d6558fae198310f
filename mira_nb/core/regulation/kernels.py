"""Compiled log posterior of one gene's LITE or NITE model, with its gradient.

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
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from mira_nb.core.numerics.double import exp, log
from mira_nb.typing import Floats, Ints

N_BASE: Final = 7
N_WORK: Final = 7
"""Rows of scratch memory that :func:`objective` needs."""
LOG2: Final = math.log(2.0)
NEGLIGIBLE: Final = 1e-17
"""Weight of a peak, relative to the largest of its set, below which it adds nothing to a double."""
VANISHING: Final = 1e-30
"""Weight of the nearest peak below which a set has none within reach."""
TILE: Final = 1024
"""Cells handled at a time: six rows of them stay in the first cache."""

MATH: Final = {"reassoc", "contract", "nsz", "arcp"}
_jit = njit(cache=True, nogil=True, fastmath=MATH, error_model="numpy")


class Inputs(NamedTuple):
    """What the posterior of one gene is made of.

    Attributes
    ----------
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
    """

    rates: Floats
    distance: Floats
    splits: Ints
    proximal: Floats
    counts: Floats
    offset: Floats
    tail: Floats
    topics: Floats
    prior: Floats


@_jit
def _peak_weights(distance: Floats, first: int, last: int, half: float) -> tuple[Ints, Floats, Floats]:
    """Select the peaks that count; return them, their weights 2^(-d/half) and the derivatives by log(half)."""
    exponents = distance[first:last] * (LOG2 / half)
    least = exponents.min()
    reach = least - math.log(NEGLIGIBLE) if least < -math.log(VANISHING) else -1.0
    index = np.flatnonzero(exponents < reach)
    weights = np.exp(-exponents[index])
    return index + first, weights, weights * exponents[index]


@_jit
def _weighted_sums(rates: Floats, index: Ints, weights: Floats, changes: Floats, total: Floats, slope: Floats) -> None:
    """Sum rows of `rates` by `weights` and by `changes`; four rows at a time, in tiles of cells that stay in cache."""
    n, m = rates.shape[1], len(index)
    whole = m - m % 4
    for lo in range(0, n, TILE):
        hi = min(lo + TILE, n)
        t, s = total[lo:hi], slope[lo:hi]
        t[:] = 0.0
        s[:] = 0.0
        for k in range(0, whole, 4):
            a, b = rates[index[k], lo:hi], rates[index[k + 1], lo:hi]
            c, d = rates[index[k + 2], lo:hi], rates[index[k + 3], lo:hi]
            wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            ca, cb, cc, cd = changes[k], changes[k + 1], changes[k + 2], changes[k + 3]
            for i in range(hi - lo):
                t[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]
                s[i] += ca * a[i] + cb * b[i] + cc * c[i] + cd * d[i]
        for k in range(whole, m):
            a, wa, ca = rates[index[k], lo:hi], weights[k], changes[k]
            for i in range(hi - lo):
                t[i] += wa * a[i]
                s[i] += ca * a[i]


@_jit
def decay_sums(
    rates: Floats, distance: Floats, first: int, last: int, half: float, total: Floats, slope: Floats
) -> None:
    """Fill `total` with sum_k r_ik 2^(-d_k/half), brought to mean 0 and sd 1 over cells, `slope` with its derivative.

    The derivative is by log(half). Standardising takes the strong coupling of weight and decay distance away.
    """
    if first == last:
        total[:] = 0.0
        slope[:] = 0.0
        return
    n = rates.shape[1]
    index, weights, changes = _peak_weights(distance, first, last, half)
    _weighted_sums(rates, index, weights, changes, total, slope)
    mean_total = total.sum() / n
    mean_slope = slope.sum() / n
    square, cross = 0.0, 0.0
    for i in range(n):
        total[i] -= mean_total
        slope[i] -= mean_slope
        square += total[i] * total[i]
        cross += total[i] * slope[i]
    if square > 0.0:
        inverse = 1.0 / math.sqrt(square / n)
        along = cross / square
        for i in range(n):
            slope[i] = (slope[i] - along * total[i]) * inverse
            total[i] *= inverse


@_jit
def count_terms(tail: Floats, theta: float) -> tuple[float, float, float]:
    """Return value, first and second derivative by theta of sum_i [lgamma(y_i + theta) - lgamma(theta)].

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
def _predict(x: Floats, inputs: Inputs, work: Floats) -> None:
    """Fill rows 0-3 of `work` with the standardised sums of U and D and their slopes, row 4 with lambda."""
    up, down, rate = work[0], work[1], work[4]
    splits, proximal, topics = inputs.splits, inputs.proximal, inputs.topics
    decay_sums(inputs.rates, inputs.distance, splits[0], splits[1], math.exp(x[0]), up, work[2])
    decay_sums(inputs.rates, inputs.distance, splits[2], splits[3], math.exp(x[1]), down, work[3])
    for i in range(len(rate)):
        rate[i] = x[5] + x[2] * up[i] + x[3] * proximal[i] + x[4] * down[i]
    for t in range(topics.shape[0]):
        weight = x[N_BASE + t]
        row = topics[t]
        for i in range(len(rate)):
            rate[i] += weight * row[i]


@_jit
def _likelihood(x: Floats, inputs: Inputs, work: Floats) -> tuple[float, float, float, float]:
    """Return log likelihood, its two derivatives by theta, variance of lambda; fill rows 5 and 6 of `work`."""
    counts, offset = inputs.counts, inputs.offset
    rate, info, force = work[4], work[5], work[6]
    n, bias, theta = len(counts), x[5], math.exp(x[6])
    like, by_theta, by_theta2, spread = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        log_mean = rate[i] + offset[i]
        mu = exp(log_mean)
        total = theta + mu
        log_total = log(total)
        ratio = (counts[i] + theta) / total
        like += counts[i] * log_mean - (counts[i] + theta) * log_total
        force[i] = theta * (counts[i] - mu) / total
        info[i] = mu * theta / total
        by_theta -= log_total + ratio
        by_theta2 += (ratio - 2.0) / total
        gap = rate[i] - bias
        spread += gap * gap
    value, first, second = count_terms(inputs.tail, theta)
    like += n * theta * x[6] + value
    return like, by_theta + n * (x[6] + 1.0) + first, by_theta2 + n / theta + second, spread / n


@_jit
def _prior(x: Floats, prior: Floats, spread: float, slopes: Floats) -> tuple[float, float]:
    """Return log prior and its derivative by lambda_i - b, per unit of it and n; fill `slopes` of x (not of w, v)."""
    natural, log_theta = prior[7], x[6]
    log_gamma = 0.5 * math.log(spread) if spread > 0.0 else -1e300
    away_up = (x[0] - prior[0]) / prior[1]
    away_down = (x[1] - prior[0]) / prior[1]
    away_gamma = (log_gamma - prior[2]) / prior[3]
    out = -0.5 * (away_up * away_up + away_down * away_down + away_gamma * away_gamma)
    out -= natural * (x[0] + x[1] + log_gamma)
    out -= 0.5 * (x[5] / prior[4]) ** 2
    slopes[:] = 0.0
    slopes[0] = -away_up / prior[1] - natural
    slopes[1] = -away_down / prior[1] - natural
    slopes[5] = -x[5] / (prior[4] * prior[4])
    if prior[8] == 0.0:
        theta = math.exp(log_theta)
        out += (prior[5] - 1.0) * log_theta - prior[6] * theta
        slopes[6] = (prior[5] - 1.0) - prior[6] * theta
    pull = (-away_gamma / prior[3] - natural) / spread if spread > 0.0 else 0.0
    return out, pull


@_jit
def objective(x: Floats, inputs: Inputs, work: Floats, slopes: Floats) -> tuple[float, float, float]:
    """Compute the negative log posterior (without terms that are constant in x) and its gradient.

    Parameters
    ----------
    x
        Coordinates, (7 + K,).
    inputs
        The gene.
    work
        (N_WORK, cells) scratch; on return rows 0-3 hold the standardised sums of U and D and their slopes, row 4
        lambda, row 5 the expected information per cell, row 6 the derivative by lambda_i.
    slopes
        (7 + K,) filled with the gradient.

    Returns
    -------
    (negative log posterior, log likelihood without its constant, second derivative by log theta)
    """
    n = work.shape[1]
    _predict(x, inputs, work)
    like, by_theta, by_theta2, spread = _likelihood(x, inputs, work)
    log_prior, pull = _prior(x, inputs.prior, spread, slopes)
    up, down, up_slope, down_slope, rate, force = work[0], work[1], work[2], work[3], work[4], work[6]
    proximal, topics, prior = inputs.proximal, inputs.topics, inputs.prior
    g_up, g_down, g_wu, g_wp, g_wd, g_b = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    pull /= n
    for i in range(n):
        g_b += force[i]
        force[i] += pull * (rate[i] - x[5])
        g_up += force[i] * up_slope[i]
        g_down += force[i] * down_slope[i]
        g_wu += force[i] * up[i]
        g_wp += force[i] * proximal[i]
        g_wd += force[i] * down[i]
    slopes[0] += x[2] * g_up
    slopes[1] += x[4] * g_down
    slopes[2], slopes[3], slopes[4] = g_wu, g_wp, g_wd
    slopes[5] += g_b
    curvature = 0.0
    if prior[8] == 0.0:
        theta = math.exp(x[6])
        slopes[6] += theta * by_theta
        curvature = -(theta * theta * by_theta2 + theta * by_theta - prior[6] * theta)
    for t in range(topics.shape[0]):
        row = topics[t]
        total_force = 0.0
        for i in range(n):
            total_force += force[i] * row[i]
        slopes[N_BASE + t] = total_force
    for j in range(len(x)):
        slopes[j] = -slopes[j]
    return -(like + log_prior), like, curvature
