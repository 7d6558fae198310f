"""Types that many modules use: arrays and the callback that reports progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
"""Array of floating-point numbers."""
Ints: TypeAlias = NDArray[np.integer[Any]]
"""Array of integers."""
Progress: TypeAlias = Callable[[float, str], None]
"""Called with the fraction done (0 to 1) and a message."""
