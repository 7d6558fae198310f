"""The rule that reads the number of topics from a curve of held-out likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .held_out import difference

LEAST_GAIN = 0.08
"""Gain of one more topic, relative to what topics gain on average, below which it is not worth its place.

Chosen on planted topics (no source in the paper): linear mixtures never describe a continuous trajectory fully, so the
held-out likelihood of real and simulated cells keeps rising by a few percent of a topic's average gain after every
programme has one.
"""

LEAST_GAIN_OF_FITS: dict[str, float | None] = {"expression": LEAST_GAIN, "accessibility": None}
"""The same for fits of the topic model; None takes the maximum.

The held-out likelihood of accessibility has a maximum near the planted number, since a topic that follows no programme
fits noise; it is nearly flat there on sparse data, where fewer topics lose cell types (docs/decisions/12-tuning.md).
"""


EQUIVALENT = 1e-3
"""Difference of held-out log-likelihoods, nats per count, up to which priors count as equally good (chosen).

Short fits favour large J by less than this: their encoders have not learned to be sure. On planted accessibility
topics J near the number of topics gave sparser topics that were closer to the truth (docs/decisions/12-tuning.md).
"""


@dataclass(frozen=True)
class Curve:
    """Held-out scores by number of topics.

    Attributes
    ----------
    scores
        By number of topics, (held-out cells,) log-likelihood of the scored counts, nats.
    profile
        (held-out cells,) the same under one mean profile.
    n_counts
        Number of counts scored.
    least_gain
        See :data:`LEAST_GAIN` and :data:`LEAST_GAIN_OF_FITS`; None: the choice is the number of the highest likelihood.
    """

    scores: dict[int, NDArray[np.float64]]
    profile: NDArray[np.float64]
    n_counts: float
    least_gain: float | None

    @property
    def tried(self) -> list[int]:
        """Numbers of topics that were tried, ascending."""
        return sorted(self.scores)

    @property
    def best(self) -> int:
        """Number of topics of the highest held-out likelihood."""
        return max(self.tried, key=lambda k: float(self.scores[k].sum()))

    def per_count(self, n_topics: int) -> float:
        """Return the held-out log-likelihood per count, nats."""
        return float(self.scores[n_topics].sum()) / self.n_counts

    def gain(self, n_topics: int) -> float:
        """Return the gain over the mean profile, nats per count."""
        return difference(self.scores[n_topics], self.profile, self.n_counts)[0]

    def worth(self, small: int, large: int) -> bool:
        """Return whether `large` topics beat `small` by more than one standard error and by enough per topic."""
        gain, error = difference(self.scores[large], self.scores[small], self.n_counts)
        average = max(self.gain(small), 0.0) / small
        return gain > max(error, (self.least_gain or 0.0) * average * (large - small))

    def one_standard_error(self) -> int:
        """Return the smallest number of topics within one (paired) standard error of the best."""
        best = self.best
        for k in self.tried:
            gap, error = difference(self.scores[best], self.scores[k], self.n_counts)
            if gap <= error:
                return k
        return best

    def table(self) -> pd.DataFrame:
        """Return one row per number of topics: n_topics, loss, loss_low, loss_high, gain (nats per count)."""
        best, rows = self.best, []
        for k in self.tried:
            loss, error = -self.per_count(k), difference(self.scores[best], self.scores[k], self.n_counts)[1]
            rows.append((k, loss, loss - error, loss + error, self.gain(k)))
        return pd.DataFrame(rows, columns=["n_topics", "loss", "loss_low", "loss_high", "gain"])

    def choice(self) -> int:
        """Return the smallest number of topics that no larger one tried is worth taking for."""
        if self.least_gain is None:
            return self.best
        tried = self.tried
        for place, k in enumerate(tried):
            if not any(self.worth(k, larger) for larger in tried[place + 1 :]):
                return k
        return tried[-1]
