"""What the results say of LITE's decay distances: columns, which of them the data tell, which maxima are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mira_nb.core.regulation.fit import RegulationFit
from mira_nb.typing import Floats

if TYPE_CHECKING:
    from .params import RegulationParams

SIDES = ("upstream", "downstream")

INFORMED = 0.75
"""Log width of a credible interval over that of the prior's up to which the data count as telling the distance."""


def decay_columns(fit: RegulationFit, *, plain: Literal["mean", "map"]) -> dict[str, Floats]:
    """Return LITE's decay distances, kb: two estimates and the 95 % credible interval, one column per side.

    `plain` names the estimate that is called just ``decay_SIDE_kb``; the other one is ``decay_SIDE_map_kb`` or
    ``decay_SIDE_mean_kb``. The table of genes shows the posterior mean under the plain name, as it is nearer the
    truth, and no maximum outside its interval (:func:`shown_map`); among the parameters of the models it is the maximum
    a posteriori, which all predictions use.
    """
    maximum = fit.lite.decay_kb if plain == "map" else shown_map(fit)
    parts = {"mean": fit.decay_mean_kb, "low": fit.decay_low_kb, "high": fit.decay_high_kb, "map": maximum}
    return {
        f"decay_{side}_kb" if part == plain else f"decay_{side}_{part}_kb": values[:, n]
        for n, side in enumerate(SIDES)
        for part, values in sorted(parts.items(), key=lambda item: item[0] != plain)
    }


def informed_decay(fit: RegulationFit, params: RegulationParams) -> NDArray[np.bool_]:
    """Return which decay distances the data tell, (G, 2): the interval is clearly shorter than the prior's."""
    width = np.log(fit.decay_high_kb / fit.decay_low_kb)
    return np.asarray(width <= INFORMED * 2 * 1.96 * params.decay_log_variance**0.5)


def shown_map(fit: RegulationFit) -> Floats:
    """Return the maxima a posteriori of the decay distances, kb, (G, 2); NaN outside the credible interval.

    The posterior has several maxima and the highest may be a narrow one; predictions use it all the same.
    """
    inside = (fit.decay_low_kb <= fit.lite.decay_kb) & (fit.lite.decay_kb <= fit.decay_high_kb)
    return np.where(inside, fit.lite.decay_kb, np.nan)
