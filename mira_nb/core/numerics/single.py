"""Elementary functions for compiled loops that the compiler can vectorise.

The library ``exp`` and ``log`` are called one number at a time, which keeps a loop from being vectorised. For
single precision they are replaced by range reduction and a short polynomial (relative error below 3e-7, tested);
double precision calls the library, so that the same kernels can be compared with an exact computation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

_LOG2E = np.float32(1.44269504088896341)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_HALF_SQRT2_BITS = int(np.float32(0.70710678118654752).view(np.int32))


@intrinsic
def _power_of_two(typingctx: Any, exponent: Any) -> Any:
    """Return 2 ** n for a float32 holding an integer from -126 to 127 (numba would widen integers to 64 bits)."""
    if exponent != types.float32:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        int32 = context.get_value_type(types.int32)
        bits = builder.add(builder.fptosi(args[0], int32), int32(127))
        return builder.bitcast(builder.shl(bits, int32(23)), context.get_value_type(types.float32))

    return types.float32(types.float32), codegen


@intrinsic
def _octave(typingctx: Any, value: Any) -> Any:
    """Return the exponent e of a positive float32 = m 2^e with m from sqrt(1/2) to below sqrt(2)."""
    if value != types.float32:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        exponent, _ = _split(context, builder, args[0])
        return builder.sitofp(exponent, context.get_value_type(types.float32))

    return types.float32(types.float32), codegen


@intrinsic
def _within_octave(typingctx: Any, value: Any) -> Any:
    """Return the mantissa m from sqrt(1/2) to below sqrt(2) of a positive float32 = m 2^e."""
    if value != types.float32:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        exponent, bits = _split(context, builder, args[0])
        shifted = builder.sub(bits, builder.shl(exponent, context.get_value_type(types.int32)(23)))
        return builder.bitcast(shifted, context.get_value_type(types.float32))

    return types.float32(types.float32), codegen


def _split(context: Any, builder: Any, value: Any) -> tuple[Any, Any]:
    """Return the exponent that brings a float32 between sqrt(1/2) and sqrt(2), and its bits."""
    int32 = context.get_value_type(types.int32)
    bits = builder.bitcast(value, int32)
    return builder.ashr(builder.sub(bits, int32(_HALF_SQRT2_BITS)), int32(23)), bits


def exp(x: Any) -> Any:
    """Return the exponential of a float32 (vectorisable) or float64 (library)."""
    raise NotImplementedError("only inside compiled code")


@overload(exp, inline="always")
def _exp(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            x = min(max(x, np.float32(-87.0)), np.float32(88.0))
            n = np.floor(x * _LOG2E + np.float32(0.5))
            r = x - n * _LN2_HIGH - n * _LN2_LOW
            p = np.float32(1.9875691500e-4)
            p = p * r + np.float32(1.3981999507e-3)
            p = p * r + np.float32(8.3334519073e-3)
            p = p * r + np.float32(4.1665795894e-2)
            p = p * r + np.float32(1.6666665459e-1)
            p = p * r + np.float32(5.0000001201e-1)
            p = p * r * r + r + np.float32(1.0)
            return p * _power_of_two(n)

        return single

    def double(x: Any) -> Any:
        return math.exp(x)

    return double


def log1p(x: Any) -> Any:
    """Return log(1 + x) for x >= 0, float32 (vectorisable) or float64 (library)."""
    raise NotImplementedError("only inside compiled code")


@overload(log1p, inline="always")
def _log1p(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            w = np.float32(1.0) + x
            e = _octave(w)
            # below sqrt(2) - 1 the argument itself is used, which 1 + x has rounded
            f = x if e == np.float32(0.0) else _within_octave(w) - np.float32(1.0)
            z = f * f
            p = np.float32(7.0376836292e-2)
            p = p * f + np.float32(-1.1514610310e-1)
            p = p * f + np.float32(1.1676998740e-1)
            p = p * f + np.float32(-1.2420140846e-1)
            p = p * f + np.float32(1.4249322787e-1)
            p = p * f + np.float32(-1.6668057665e-1)
            p = p * f + np.float32(2.0000714765e-1)
            p = p * f + np.float32(-2.4999993993e-1)
            p = p * f + np.float32(3.3333331174e-1)
            p = p * f * z + e * _LN2_LOW - np.float32(0.5) * z
            return f + p + e * _LN2_HIGH

        return single

    def double(x: Any) -> Any:
        return math.log1p(x)

    return double


@njit(cache=True, inline="always")
def digamma(x: float) -> float:
    """Return the digamma of x > 0: recurrence up to 6, then the asymptotic series."""
    shift = 0.0
    while x < 6.0:
        shift -= 1.0 / x
        x += 1.0
    s = 1.0 / (x * x)
    series = s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132)))))
    return shift + math.log(x) - 0.5 / x - series


@njit(cache=True, inline="always")
def gamma_terms(count: float, theta: float) -> tuple[float, float]:
    """Return lgamma(x + theta) - lgamma(theta) - x log(theta) and digamma(x + theta) - digamma(theta) for x >= 0."""
    x, t = float(count), float(theta)
    return math.lgamma(x + t) - math.lgamma(t) - x * math.log(t), digamma(x + t) - digamma(t)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def gamma_tables(theta: Any, values: Any, slopes: Any) -> None:
    """Fill row x of both tables (counts, genes) with :func:`gamma_terms` of count x, for x = 0, 1, ...

    The first is the sum of log(1 + r / theta) over r < x, the second that of 1 / (theta + r).
    """
    n_counts, n_genes = values.shape
    values[0] = 0
    slopes[0] = 0
    for x in range(1, n_counts):
        r = theta.dtype.type(x - 1)
        value, slope = values[x], slopes[x]
        for j in range(n_genes):
            value[j] = log1p(r / theta[j])
        for j in range(n_genes):
            slope[j] = 1 / (theta[j] + r)
        value += values[x - 1]
        slope += slopes[x - 1]


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def largest(values: Any, n: int) -> Any:
    """Return the maximum of the first ``n`` values; in lanes, as compilers do not vectorise a running maximum."""
    width = min(64, n)
    lanes = values[:width].copy()
    whole = n - n % width
    for start in range(width, whole, width):
        for lane in range(width):
            lanes[lane] = max(lanes[lane], values[start + lane])
    top = lanes[0]
    for lane in range(width):
        top = max(top, lanes[lane])
    for j in range(whole, n):
        top = max(top, values[j])
    return top


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def add_products(shares: Any, weights: Any, lo: int, hi: int, out: Any) -> None:
    """Add proportions @ weights[:, lo:hi] to ``out``; four topics at a time, so that ``out`` is visited less often."""
    k, n_topics = 0, shares.shape[0]
    while k + 4 <= n_topics:
        a, b, c, d = shares[k], shares[k + 1], shares[k + 2], shares[k + 3]
        p, q, r, s = weights[k, lo:hi], weights[k + 1, lo:hi], weights[k + 2, lo:hi], weights[k + 3, lo:hi]
        for j in range(hi - lo):
            out[j] += a * p[j] + b * q[j] + c * r[j] + d * s[j]
        k += 4
    while k < n_topics:
        a = shares[k]
        p = weights[k, lo:hi]
        for j in range(hi - lo):
            out[j] += a * p[j]
        k += 1


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def add_gradients(grad: Any, shares: Any, weights: Any, lo: int, hi: int, d_weights: Any, d_shares: Any) -> None:
    """Add to ``d_weights[:, lo:hi]`` and ``d_shares`` the gradients of :func:`add_products` with upstream ``grad``."""
    k, n_topics = 0, shares.shape[0]
    while k + 2 <= n_topics:
        a, b = shares[k], shares[k + 1]
        p, q = weights[k, lo:hi], weights[k + 1, lo:hi]
        dp, dq = d_weights[k, lo:hi], d_weights[k + 1, lo:hi]
        x = y = 0 * a
        for j in range(hi - lo):
            g = grad[j]
            dp[j] += a * g
            dq[j] += b * g
            x += p[j] * g
            y += q[j] * g
        d_shares[k] += x
        d_shares[k + 1] += y
        k += 2
    while k < n_topics:
        a = shares[k]
        p, dp = weights[k, lo:hi], d_weights[k, lo:hi]
        x = 0 * a
        for j in range(hi - lo):
            dp[j] += a * grad[j]
            x += p[j] * grad[j]
        d_shares[k] += x
        k += 1
