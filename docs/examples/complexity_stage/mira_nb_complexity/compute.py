"""Genes detected in each cell, against the number expected at its depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import CellAnnotations, cell_annotations, cell_depths

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.typing import Floats

    from .params import ComplexityParams


@dataclass(frozen=True)
class ComplexityOutput:
    """All that the stage computed.

    Attributes
    ----------
    depths
        One row per cell: ``n_counts``, ``n_genes``, ``n_peaks``.
    complexity
        (n_cells,) genes detected over genes expected at the cell's depth.
    """

    params: ComplexityParams
    annotations: CellAnnotations
    depths: pd.DataFrame
    complexity: Floats

    @property
    def n_low(self) -> int:
        """Number of cells with fewer genes than the parameter ``low`` allows."""
        return int((self.complexity < self.params.low).sum())


def compute(data: MuData, params: ComplexityParams, context: Context) -> ComplexityOutput:
    """Fit log genes as a straight line in log counts and divide each cell's genes by the fit."""
    depths = cell_depths(data)
    counts, genes = (np.log(depths[name].to_numpy(float) + 1) for name in ("n_counts", "n_genes"))
    context.progress(0.3, "genes expected at each depth")
    centred = counts - counts.mean()
    slope = float(centred @ genes / max(float(centred @ centred), 1e-12))
    expected = genes.mean() + slope * centred
    return ComplexityOutput(params, cell_annotations(data, context.resources), depths, np.exp(genes - expected))
