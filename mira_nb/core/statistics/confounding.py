"""How much of a feature's variance over cells goes with a batch, alone and beyond annotated groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mira_nb.typing import Floats


def variance_explained(values: Floats, *factors: NDArray) -> Floats:
    """Return the adjusted fraction of variance that the means over levels of factors explain.

    Least squares of each column on the indicators of all factors, without interactions: R2 adjusted for the d - 1
    coefficients of a design of rank d, 1 - (1 - R2) (n - 1) / (n - d) (Ezekiel 1930), whose expectation is 0 where the
    factors say nothing, however many levels they have. With one factor it is the epsilon squared of an analysis of
    variance (Kelley 1935).

    Parameters
    ----------
    values
        (n, p) one column per feature.
    factors
        (n,) level of every cell; one or more factors.

    Returns
    -------
    (p,)
        NaN for constant columns, and for all where the cells are no more than the coefficients.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    columns = [np.ones((n, 1))]
    for factor in factors:
        codes = np.unique(factor, return_inverse=True)[1]
        columns.append(np.eye(codes.max() + 1)[codes][:, 1:])
    design = np.hstack(columns)
    centred = values - values.mean(axis=0)
    total = (centred**2).sum(axis=0)
    fit, _, rank, _ = np.linalg.lstsq(design, centred, rcond=None)
    out = np.full(values.shape[1], np.nan)
    varies = total > 1e-12 * n
    if n > rank:
        residual = ((centred - design @ fit) ** 2).sum(axis=0)
        out[varies] = 1 - residual[varies] / total[varies] * (n - 1) / (n - rank)
    return out
