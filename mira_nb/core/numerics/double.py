"""Exponential and logarithm of double precision that the compiler can vectorise inside a loop.

The library functions are called one number at a time. Here the argument is reduced to a small interval and a polynomial
is evaluated there; the relative error is a few units of the last place (tested). Only finite arguments are meaningful.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

_MATH = {"reassoc", "contract", "nsz", "arcp"}
_LOG2E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10


@intrinsic
def _power_of_two(typingctx: Any, exponent: Any) -> Any:
    """Return 2 ** n for a double that holds an integer from -1022 to 1023."""
    if exponent != types.float64:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # through 32 bits, for which every processor has a vector instruction
        int32, int64 = context.get_value_type(types.int32), context.get_value_type(types.int64)
        bits = builder.sext(builder.add(builder.fptosi(args[0], int32), int32(1023)), int64)
        return builder.bitcast(builder.shl(bits, int64(52)), context.get_value_type(types.float64))

    return types.float64(types.float64), codegen


@intrinsic
def _exponent(typingctx: Any, value: Any) -> Any:
    """Return the exponent e, as a double, of a positive double = m 2^e with m about in [sqrt(1/2), sqrt(2))."""
    if value != types.float64:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # the upper half of the number is enough; 0x3FE6A09E is that of sqrt(1/2)
        int32, int64 = context.get_value_type(types.int32), context.get_value_type(types.int64)
        upper = builder.trunc(builder.lshr(builder.bitcast(args[0], int64), int64(32)), int32)
        exponent = builder.ashr(builder.sub(upper, int32(0x3FE6A09E)), int32(20))
        return builder.sitofp(exponent, context.get_value_type(types.float64))

    return types.float64(types.float64), codegen


@njit(inline="always", fastmath=_MATH, error_model="numpy")
def exp(x: float) -> float:
    """Return the exponential; arguments beyond +-700 are taken as +-700."""
    x = 700.0 if x > 700.0 else x
    x = -700.0 if x < -700.0 else x
    n = np.floor(x * _LOG2E + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _power_of_two(n)


@njit(inline="always", fastmath=_MATH, error_model="numpy")
def log(x: float) -> float:
    """Return the natural logarithm of a positive normal number."""
    e = _exponent(x)
    m = x * _power_of_two(-e)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 2.0 / 21.0
    p = p * z + 2.0 / 19.0
    p = p * z + 2.0 / 17.0
    p = p * z + 2.0 / 15.0
    p = p * z + 2.0 / 13.0
    p = p * z + 2.0 / 11.0
    p = p * z + 2.0 / 9.0
    p = p * z + 2.0 / 7.0
    p = p * z + 2.0 / 5.0
    p = p * z + 2.0 / 3.0
    return e * _LN2_HIGH + (s * (p * z + 2.0) + e * _LN2_LOW)
