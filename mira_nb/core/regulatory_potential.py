"""Regulatory potential modelling: peaks to genes, LITE and NITE models, NITE scores.

The numbers behind the stage ``regulation``. Parts: :mod:`~mira_nb.core.regulation.geometry` (peak sets),
:mod:`~mira_nb.core.regulation.model` (formulas, priors), :mod:`~mira_nb.core.regulation.kernels` (compiled posterior),
:mod:`~mira_nb.core.regulation.fit` (MAP for all genes), :mod:`~mira_nb.core.regulation.decay_posterior` (uncertainty of
decay distances), :mod:`~mira_nb.core.regulation.redraw` (errors of accessibility) and
:mod:`~mira_nb.core.regulation.scores`.
"""

from __future__ import annotations

from mira_nb.core.regulation.fit import RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets, gene_peaks, match_chromosomes
from mira_nb.core.regulation.model import (
    Cells,
    Fits,
    PeakRates,
    Priors,
    expression_normalizer,
    log_rate,
    peak_weights,
    potential,
)
from mira_nb.core.regulation.scores import (
    NullDistribution,
    NullGenes,
    chromatin_differential,
    fit_null,
    nite_score,
    simulate_null,
    take_genes,
)
from mira_nb.core.regulation.search import FitOptions

__all__ = [
    "Cells",
    "FitOptions",
    "Fits",
    "NullDistribution",
    "NullGenes",
    "PeakRates",
    "PeakSets",
    "Priors",
    "RegulationFit",
    "chromatin_differential",
    "expression_normalizer",
    "fit_null",
    "fit_regulation",
    "gene_peaks",
    "log_rate",
    "match_chromosomes",
    "nite_score",
    "peak_weights",
    "potential",
    "simulate_null",
    "take_genes",
]
