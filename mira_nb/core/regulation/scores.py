"""Scores from fitted LITE and NITE models: NITE score of genes and cells, genes for its null, chromatin differential.

Extended Methods, LITE vs. NITE regulation test; Cell NITE score; Chromatin differential.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.typing import Floats, Progress

from .bootstrap import bootstrap_accessibility
from .explained import constant_log_likelihood, unexplained_share
from .fit import OK, RegulationFit, fit_regulation
from .geometry import PeakSets
from .model import Cells, Priors
from .search import FitOptions


def nite_score(statistic: NDArray, n_nonzero: NDArray) -> Floats:
    """Return the likelihood-ratio statistic over 1 + (non-zero counts / their median).

    Parameters
    ----------
    statistic
        Lambda of genes or of cells; NaN where there is none.
    n_nonzero
        Non-zero counts of each gene (over cells) or cell (over genes); the median is taken over entries with a
        statistic.

    Returns
    -------
    Scores, NaN where the statistic is NaN.
    """
    statistic = np.asarray(statistic, dtype=np.float64)
    tested = np.isfinite(statistic)
    out = np.full(len(statistic), np.nan)
    if not tested.any():
        return out
    count = np.asarray(n_nonzero, dtype=np.float64)[tested]
    middle = float(np.median(count))
    ratio = count / middle if middle > 0 else np.zeros_like(count)
    out[tested] = statistic[tested] / (1.0 + ratio)
    return out


def chromatin_differential(lite_log_rate: NDArray, nite_log_rate: NDArray) -> NDArray:
    """Return the natural log of rho_LITE / rho_NITE; the common denominator of both cancels."""
    return lite_log_rate - nite_log_rate


def simulate_lite(
    fit: RegulationFit, cells: Cells, genes: NDArray[np.int64], generator: np.random.Generator
) -> sparse.csc_matrix:
    """Draw counts (N, len(genes)) from the fitted LITE models.

    A draw counts at most ten times the gene's highest count: a strongly overdispersed model may extrapolate without
    bound in a few cells.
    """
    columns = []
    for g in genes:
        mean = np.exp(fit.lite_log_rate[:, g].astype(np.float64) + cells.offset)
        theta = float(fit.lite.theta[g])
        most = 10.0 * float(cells.counts[:, [g]].max()) + 10.0
        rate = np.minimum(generator.gamma(theta, mean / theta), most)
        columns.append(np.minimum(generator.poisson(rate), most))
    return sparse.csc_matrix(np.column_stack(columns)) if columns else sparse.csc_matrix((cells.n_cells, 0))


@dataclass(frozen=True)
class NullGenes:
    """Genes simulated under their own LITE fit and fitted again.

    Attributes
    ----------
    statistic
        Lambda of the simulated genes that could be fitted.
    unexplained
        Fraction of the explained log-likelihood that LITE misses by chance and error (:func:`.unexplained_share`).
    """

    statistic: Floats
    unexplained: Floats


@dataclass(frozen=True)
class NullDraw:
    """Which genes are simulated, and how.

    Attributes
    ----------
    generator
        Draws counts and accessibility.
    n_genes
        Number of genes.
    n_open
        (N,) open peaks of each cell: the accessibility of the genes' peaks is drawn and estimated again as well (see
        :mod:`.bootstrap`), so that the statistics contain its errors. None takes accessibility as exact.
    among
        (G,) genes to choose from, such as those that may follow LITE; None: all.
    measured
        Cells from which accessibility is estimated again, those of `n_open`; None: the cells that are fitted.
    """

    generator: np.random.Generator
    n_genes: int = 500
    n_open: NDArray | None = None
    among: NDArray[np.bool_] | None = None
    measured: Cells | None = None


def simulate_null(
    fit: RegulationFit,
    cells: Cells,
    sets: PeakSets,
    *,
    draw: NullDraw,
    priors: Priors | None = None,
    options: FitOptions | None = None,
    n_threads: int = 2,
    progress: Progress | None = None,
) -> NullGenes:
    """Simulate genes under their own LITE fit, fit them again, and return the statistics (parametric bootstrap).

    Genes are taken at even steps of the order of their number of expressing cells, so that weakly and strongly
    expressed genes are represented as they occur; when fewer genes than asked for are fitted, they are used again
    with new counts.

    Parameters
    ----------
    fit, cells, sets
        The fit, and what it was made of.
    draw
        Which genes are simulated, and how.
    priors, options, n_threads, progress
        As for :func:`.fit_regulation`.
    """
    generator = draw.generator
    usable = fit.status == OK
    fitted = np.flatnonzero(usable if draw.among is None else usable & draw.among)
    if not len(fitted):
        return NullGenes(*np.zeros((2, 0)))
    ranked = fitted[np.argsort(fit.n_expressing[fitted], kind="stable")]
    chosen = ranked[np.floor(np.arange(draw.n_genes) * len(ranked) / draw.n_genes).astype(np.int64)]
    simulated = replace(cells, counts=simulate_lite(fit, cells, chosen, generator))
    taken = take_genes(sets, chosen)
    if draw.n_open is not None:
        measured = draw.measured or cells
        decoder = bootstrap_accessibility(
            measured, draw.n_open, taken.peak, generator=generator, n_threads=n_threads
        ).decoder
        simulated = replace(simulated, decoder=decoder)
    again = fit_regulation(
        simulated, taken, priors=priors, options=options, posterior=False, n_threads=n_threads, progress=progress
    )
    constant = constant_log_likelihood(simulated.counts, simulated.offset, again.lite.theta)
    unexplained = unexplained_share(constant, again.lite.log_likelihood, again.nite.log_likelihood)
    found = np.isfinite(again.gene_statistic)
    return NullGenes(again.gene_statistic[found], unexplained[found])


def take_genes(sets: PeakSets, genes: NDArray[np.int64]) -> PeakSets:
    """Return the peak sets of some genes, in the order given; a gene may occur more than once."""
    sizes = sets.n_peaks[genes]
    index = np.concatenate(
        [np.arange(sets.indptr[g], sets.indptr[g + 1]) for g in genes] or [np.zeros(0, dtype=np.int64)]
    ).astype(np.int64)
    return PeakSets(
        genes=tuple(sets.genes[g] for g in genes),
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        peak=sets.peak[index],
        distance=sets.distance[index],
        region=sets.region[index],
        chrom=sets.chrom[genes],
        tss=sets.tss[genes],
        strand=sets.strand[genes],
        n_tss=sets.n_tss[genes],
        n_masked=sets.n_masked[genes],
        own_promoter_masked=sets.own_promoter_masked[genes],
        status=sets.status[genes],
    )
