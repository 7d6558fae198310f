"""Association scores of the fitted genes with factors and decoys, from what the stage regulation left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from mira_nb.core.regulation.deletion import DeletionScores, Sampling, delete_factors
from mira_nb.core.regulation.geometry import OK, PeakSets
from mira_nb.core.regulation.model import Fits, Gauge
from mira_nb.errors import StoreError
from mira_nb.keys import ATAC, PEAK_SETS, RNA, RP_PARAMETERS
from mira_nb.stages.base import Context
from mira_nb.stages.shared.regulation_cells import build_cells
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats, Ints

from .matched import decoy_hits, peak_covariates, site_design

if TYPE_CHECKING:
    from mudata import MuData

    from .params import DriversParams

TEXTS = Texts(__package__)


def stored_lite(data: MuData) -> tuple[list[str], Ints, PeakSets, Fits]:
    """Return genes, their positions, peak sets over all peaks, and LITE parameters as the stage regulation left them.

    Raises
    ------
    StoreError
        The stage regulation has not run.
    """
    rna = data.mod[RNA]
    if RP_PARAMETERS not in rna.varm or PEAK_SETS not in rna.uns:
        raise TEXTS.error(StoreError, "no_models")
    stored = rna.uns[PEAK_SETS]
    genes = [str(name) for name in stored["genes"]]
    position = rna.var_names.get_indexer(genes).astype(np.int64)
    values = rna.varm[RP_PARAMETERS]
    part = values.iloc[position]

    def columns(*names: str) -> Floats:
        return part[list(names)].to_numpy(np.float64)

    n = len(genes)
    zeros = np.zeros(n, dtype=np.int64)
    sets = PeakSets(
        genes=tuple(genes),
        indptr=np.asarray(stored["indptr"], dtype=np.int64),
        peak=np.asarray(stored["peak"], dtype=np.int64),
        distance=np.asarray(stored["distance"], dtype=np.float64),
        region=np.asarray(stored["region"]).astype(np.int8),
        chrom=np.asarray(stored["chrom"]).astype(object),
        tss=np.asarray(stored["tss"], dtype=np.int64),
        strand=np.asarray(stored["strand"]).astype(object),
        n_tss=zeros,
        n_masked=zeros,
        own_promoter_masked=zeros.astype(bool),
        status=np.full(n, OK, dtype=object),
    )
    likelihood = columns("log_likelihood").ravel()
    fits = Fits(
        a=columns("a_upstream", "a_proximal", "a_downstream"),
        decay_kb=columns("decay_upstream_kb", "decay_downstream_kb"),
        gamma=columns("gamma").ravel(),
        bias=columns("bias").ravel(),
        theta=columns("theta").ravel(),
        bn_mean=columns("bn_mean").ravel(),
        bn_sd=columns("bn_sd").ravel(),
        log_likelihood=likelihood,
        log_posterior=likelihood,
        iterations=zeros,
        converged=np.isfinite(likelihood),
    )
    return genes, position, sets, fits


def _over_modelled(sets: PeakSets, modelled: Ints, n_peaks: int) -> PeakSets:
    """Renumber the peaks of the whole matrix by those of the accessibility model."""
    place = np.full(n_peaks, -1, dtype=np.int64)
    place[modelled] = np.arange(len(modelled))
    values = {name: getattr(sets, name) for name in sets.__dataclass_fields__}
    return PeakSets(**{**values, "peak": place[sets.peak]})


@dataclass(frozen=True)
class Scores:
    """Association scores with factors and with decoys, (G, D), what a null effect depends on, and what was matched.

    `genes` and `position` name the G genes and their place in the RNA matrix.
    """

    genes: list[str]
    position: Ints
    deletion: DeletionScores
    decoys: Floats
    designs: tuple[Floats, Floats]
    matched: tuple[str, ...]


def score(data: MuData, params: DriversParams, context: Context, hits: Any) -> Scores:
    """Score all fitted genes against all factors and their decoys."""
    genes, position, sets, lite = stored_lite(data)
    gauge: Gauge = "model" if str(data.mod[RNA].uns[PEAK_SETS].get("normalizer", "median")) == "model" else "median"
    cells, modelled = build_cells(data, position, gauge=gauge)
    sets = _over_modelled(sets, modelled, data.mod[ATAC].n_vars)
    covariates = peak_covariates(data, modelled, sets, context)
    real = hits[modelled]
    decoys = decoy_hits(real, covariates, params, context.seed)
    both = delete_factors(
        cells,
        sets,
        lite,
        sparse.hstack([real, decoys], format="csr"),
        sampling=Sampling(params.n_cells, params.n_bins, context.seed),
        n_threads=context.n_threads,
        progress=lambda fraction, message: context.progress(0.9 * fraction, message),
    )
    n = real.shape[1]
    deletion = DeletionScores(both.scores[:, :n], both.n_cells, both.n_sites[:, :n])
    designs = site_design(real, covariates), site_design(decoys, covariates)
    return Scores(genes, position, deletion, both.scores[:, n:], designs, tuple(covariates.columns))
