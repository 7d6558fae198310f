"""Decoys of the factors and the calibrated test: strata of peaks, design of the regression, calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.regulation.decoys import decoy_test, make_decoys, peak_strata
from mira_nb.core.statistics.rank_tests import benjamini_hochberg
from mira_nb.counts import positive_per_column
from mira_nb.errors import ParameterError
from mira_nb.keys import ATAC, CHROM, END, START
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats, Ints

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.core.regulation.geometry import PeakSets
    from mira_nb.stages.base import Context

    from .params import DriversParams

TEXTS = Texts(__package__)

LEAST_DECOYS = 20
"""Decoys from which a spread can be estimated."""

PROMOTER_BP = 1_500
"""Distance of a peak's centre from a start site up to which it counts as promoter; the paper's."""


def peak_covariates(data: MuData, modelled: Ints, sets: PeakSets, context: Context) -> pd.DataFrame:
    """Return what decoys match of the modelled peaks: promoter, openness (log fraction of cells), and gc where known.

    Parameters
    ----------
    modelled
        (P,) positions of the peaks of the accessibility model.
    sets
        Peak sets, for the start sites of the genes.
    context
        The GC fraction is read from the genome where one was given.
    """
    from mira_nb.io.genome import read_sequences

    atac = data.mod[ATAC]
    n_cells = atac.n_obs
    fraction = positive_per_column(sparse.csr_matrix(atac.X))[modelled] / n_cells
    peaks = atac.var[[CHROM, START, END]].iloc[modelled].reset_index(drop=True)
    frame = pd.DataFrame(
        {"promoter": _in_promoter(peaks, sets).astype(float), "openness": np.log(fraction + 0.5 / n_cells)}
    )
    if context.resources.genome is not None:
        read = read_sequences(context.resources.genome, peaks)
        frame["gc"] = [
            (text.count("G") + text.count("C")) / max(len(text) - text.count("N"), 1) for text in read.sequences
        ]
    return frame


def _in_promoter(peaks: pd.DataFrame, sets: PeakSets) -> NDArray[np.bool_]:
    centre = (peaks[START].to_numpy(np.int64) + peaks[END].to_numpy(np.int64)) // 2
    chrom = peaks[CHROM].astype(str).to_numpy()
    site_chrom = np.asarray(sets.chrom).astype(str)
    out = np.zeros(len(peaks), dtype=bool)
    for name in np.unique(site_chrom):
        sites = np.sort(np.asarray(sets.tss)[site_chrom == name])
        rows = np.flatnonzero(chrom == name)
        right = np.searchsorted(sites, centre[rows])
        nearest = [np.abs(centre[rows] - sites[np.clip(right - k, 0, len(sites) - 1)]) for k in (0, 1)]
        out[rows] = np.minimum(*nearest) <= PROMOTER_BP
    return out


def decoy_hits(hits: Any, covariates: pd.DataFrame, params: DriversParams, seed: int) -> sparse.csr_matrix:
    """Return the sites of the decoys, (P, D); without any column where decoys were not asked for.

    Raises
    ------
    ParameterError
        Fewer decoys than a spread can be estimated from.
    """
    if 0 < params.n_decoys < LEAST_DECOYS:
        raise TEXTS.error(ParameterError, "few_decoys", n_decoys=params.n_decoys, least=LEAST_DECOYS)
    strata = peak_strata(covariates.to_numpy(np.float64), n_bins=params.n_match)
    generator = np.random.default_rng([seed, 0xDEC0])
    return make_decoys(hits, strata, n_decoys=params.n_decoys, generator=generator)[0]


def site_design(hits: Any, covariates: pd.DataFrame) -> Floats:
    """Return what a factor's null effect may depend on, (H, 2): log(1 + sites), fraction of them in promoters."""
    binds = sparse.csr_matrix(hits != 0, dtype=np.float64)
    n_sites = np.asarray(binds.sum(axis=0)).ravel()
    near = np.asarray(binds.T @ covariates["promoter"].to_numpy(np.float64)).ravel()
    return np.column_stack([np.log1p(n_sites), near / np.maximum(n_sites, 1)])


def add_decoy_test(
    tests: list[pd.DataFrame],
    scores: Floats,
    decoy_scores: Floats,
    queries: NDArray[np.bool_],
    designs: tuple[Floats, Floats],
    params: DriversParams,
) -> pd.DataFrame:
    """Join the published tests of all gene sets, add the comparison with decoys, and call drivers.

    Parameters
    ----------
    tests
        One table per gene set, rows in the order of the factors, with the published p-value.
    scores, decoy_scores
        (G, H) and (G, D) scores of the scored genes.
    queries
        (Q, G) masks of the tested sets.
    designs
        Of factors and decoys, from :func:`site_design`.

    Returns
    -------
    The rows of `tests` with matched_pvalue, excess_effect, excess_low, excess_high (NaN without decoys), adj_pvalue
    (Benjamini-Hochberg over all rows of the larger of the two p-values), called, and best_of_family
    (the first called row of its family in the set); best first within each set.
    """
    table = pd.concat(tests, ignore_index=True)
    joint = table["pvalue"].to_numpy(np.float64)
    for name in ("matched_pvalue", "excess_effect", "excess_low", "excess_high"):
        table[name] = np.nan
    if decoy_scores.shape[1]:
        found = decoy_test(scores, decoy_scores, queries, design=designs[0], decoy_design=designs[1])
        for name, values in (
            ("matched_pvalue", found.pvalue),
            ("excess_effect", found.excess),
            ("excess_low", found.low),
            ("excess_high", found.high),
        ):
            table[name] = values.ravel()
        joint = np.fmax(joint, found.pvalue.ravel())
    table["adj_pvalue"] = benjamini_hochberg(joint)
    table["called"] = table["adj_pvalue"] < params.level
    if decoy_scores.shape[1]:
        table["called"] &= table["excess_low"] >= params.min_effect
    order = np.lexsort([joint, pd.factorize(table["query"])[0]])
    table = table.iloc[order].reset_index(drop=True)
    best = table.index[table["called"]][~table[table["called"]].duplicated(["query", "family"])]
    table["best_of_family"] = table.index.isin(best)
    return table
