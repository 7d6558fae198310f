"""Thresholds of quality that cells must pass: which cells fail which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from mira_nb.errors import ParameterError
from mira_nb.keys import ATAC, RNA
from mira_nb.stages.shared.cells import cell_depths
from mira_nb.stages.texts import Texts

from .fragments import count_cells

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.core.quality.fragments import FragmentCounts
    from mira_nb.io.resources import Resources

    from .params import PrepareParams

TEXTS = Texts(__package__)

THRESHOLDS: Final = ("min_counts", "max_counts", "min_genes", "min_peaks", "max_mitochondrial", "min_tss_enrichment")
"""Parameters that leave out cells; 0 is off."""


def thresholds(params: PrepareParams) -> dict[str, float]:
    """Return the thresholds that are on; a plug-in's parameters in the place of the stage's have none."""
    return {name: value for name in THRESHOLDS if (value := float(getattr(params, name, 0)))}


def failing_cells(
    data: MuData, params: PrepareParams, resources: Resources, counted: FragmentCounts | None = None
) -> dict[str, np.ndarray]:
    """Return which cells fail each threshold that is on, as masks over the cells.

    Parameters
    ----------
    counted
        Fragments of the cells where they were counted before; else they are counted if a threshold needs them.

    Raises
    ------
    ParameterError
        For a threshold of TSS enrichment without fragments or start sites.
    """
    limits = thresholds(params)
    if not limits:
        return {}
    depths = cell_depths(data)
    values: dict[str, Any] = {
        "min_counts": depths["n_counts"].to_numpy(),
        "max_counts": depths["n_counts"].to_numpy(),
        "min_genes": depths["n_genes"].to_numpy(),
        "min_peaks": depths["n_peaks"].to_numpy(),
    }
    if "max_mitochondrial" in limits:
        values["max_mitochondrial"] = mitochondrial_fraction(data)
    if "min_tss_enrichment" in limits:
        if resources.fragments is None or resources.tss is None:
            raise TEXTS.error(ParameterError, "tss_enrichment_needs")
        counts = counted or count_cells(resources.fragments, resources.tss, list(data.obs_names), data.mod[ATAC].var)
        values["min_tss_enrichment"] = np.nan_to_num(counts.tss_enrichment)
    return {
        name: values[name] > limit if name.startswith("max_") else values[name] < limit
        for name, limit in limits.items()
    }


def mitochondrial_fraction(data: MuData) -> np.ndarray:
    """Return the fraction of each cell's counts in genes whose names begin with MT-, whatever their case."""
    rna = data.mod[RNA]
    columns = np.flatnonzero(rna.var_names.astype(str).str.upper().str.startswith("MT-"))
    counts = sparse.csr_matrix(rna.X)
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    return np.asarray(counts[:, columns].sum(axis=1)).ravel() / total
