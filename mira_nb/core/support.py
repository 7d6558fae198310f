"""Judge whether there is a trajectory at all, and whether both assays see it.

In cells of one type the topics still vary, but by noise that the two assays do not share; a shortest-path distance
orders such cells just as confidently as a differentiation. What noise cannot do is agree: a real progress can be
predicted from expression alone and from accessibility alone, and the two predictions agree cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .neighbors import nearest_neighbors

Floats = NDArray[np.float64]
Verdict = Literal["supported", "weak", "none"]

SUPPORTED = 0.6
UNSUPPORTED = 0.4


@dataclass(frozen=True)
class Concordance:
    """Agreement of the assays on a quantity of the cells.

    Attributes
    ----------
    correlation
        Pearson correlation over cells between the two predictions; near 1 for a real progress, near 0 for noise.
    explained_rna, explained_atac
        Correlation of each prediction with the quantity itself.
    n_cells
        Cells compared.
    """

    correlation: float
    explained_rna: float
    explained_atac: float
    n_cells: int

    @property
    def verdict(self) -> Verdict:
        """``supported``, ``weak`` or ``none``."""
        if not self.correlation >= UNSUPPORTED:
            return "none"
        return "supported" if self.correlation >= SUPPORTED else "weak"


def concordance(
    values: Floats, rna: Floats, atac: Floats, *, k: int = 30, max_cells: int = 20_000, seed: int = 0
) -> Concordance:
    """Predict values of cells from the neighbours in each assay alone and compare the predictions.

    Parameters
    ----------
    values
        (n,) quantity, e.g. pseudotime.
    rna, atac
        (n, d) log-ratio coordinates of the topics of each assay.
    k
        Neighbours averaged; the cell's own value does not enter.
    max_cells
        A random sample of this size is used above it.
    """
    chosen = np.arange(len(values))
    if len(values) > max_cells:
        chosen = np.sort(np.random.default_rng([seed, 7]).choice(len(values), max_cells, replace=False))
    target = np.asarray(values, dtype=np.float64)[chosen]
    predictions = []
    for space in (rna, atac):
        indices = nearest_neighbors(space[chosen], k=k, seed=seed).indices
        predictions.append(target[indices].mean(axis=1))
    return Concordance(
        correlation=_correlation(*predictions),
        explained_rna=_correlation(predictions[0], target),
        explained_atac=_correlation(predictions[1], target),
        n_cells=len(chosen),
    )


def _correlation(first: Floats, second: Floats) -> float:
    """Pearson correlation, 0 where one side does not vary."""
    if np.std(first) <= 1e-12 or np.std(second) <= 1e-12:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
