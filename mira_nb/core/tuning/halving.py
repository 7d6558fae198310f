"""Early termination of trials: successive halving over the folds of a cross-validation (Extended Methods,
Hyperparameter optimization; Jamieson and Talwalkar 2016).
"""  # noqa: D205

from __future__ import annotations

import math
from collections.abc import Sequence

REDUCTION = 3
"""Of the trials that reached a fold, one in so many goes on (Extended Methods)."""

PENALTY = 0.01
"""P0, nats per count: the penalty of a trial ended at fold n is P0 2^(1-n). The paper gives no value (chosen)."""


def penalty(fold: int, initial: float = PENALTY) -> float:
    """Return P0 2^(1-n), the penalty of a trial that was ended at fold n (from 1)."""
    return initial * 2.0 ** (1 - fold)


def survives(losses: Sequence[float], earlier: Sequence[Sequence[float]]) -> bool:
    """Return whether a trial goes on after its latest fold.

    Parameters
    ----------
    losses
        Losses of its folds so far.
    earlier
        Losses of the folds of earlier trials; those ended before this fold do not count.

    Returns
    -------
    bool
        Whether its mean loss is among the best third of the trials that reached the fold, itself included (rounded up).
    """
    fold = len(losses)
    mean = sum(losses) / fold
    rivals = [sum(other[:fold]) / fold for other in earlier if len(other) >= fold]
    better = sum(rival < mean for rival in rivals)
    return better < math.ceil((len(rivals) + 1) / REDUCTION)
