"""Test of driver factors against decoys: as many sites, at random among peaks of like accessibility and composition.

The published test asks whether a factor's association scores are higher in a gene set than in the other genes. It takes
genes as independent, and all factors as equal. Neither holds: neighbouring genes share peaks, factors with more sites
and gene sets with better explained genes score higher. Decoys are scored as the factors are, by in-silico deletion, so
whatever their sites do without being placed at a set's genes is in the null distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata
from scipy.stats import t as student

from mira_nb.typing import Floats, Ints


@dataclass(frozen=True)
class DecoyTest:
    """Comparison of factors with decoys; arrays over gene sets and factors, (Q, H).

    Attributes
    ----------
    effect
        Rank-biserial correlation of the scores with the gene set, -1 to 1.
    excess
        Effect above that of decoys with as many sites in like peaks.
    low, high
        Interval of `excess` at the confidence asked for, from the spread of the decoys.
    pvalue
        One-sided: would a decoy have so high an effect?
    n_decoys
        Decoys behind the null distribution.
    """

    effect: Floats
    excess: Floats
    low: Floats
    high: Floats
    pvalue: Floats
    n_decoys: int


def peak_strata(covariates: NDArray, *, n_bins: int = 5) -> Ints:
    """Return the stratum of each peak: the same quantile of every covariate.

    Parameters
    ----------
    covariates
        (P, C) such as mean accessibility, GC fraction, or 0/1 for promoters. Covariates with at most `n_bins` different
        values are taken as they are; of others, quantiles within the strata so far.
    n_bins
        Quantiles per covariate.

    Returns
    -------
    (P,) numbers 0 ... S - 1.
    """
    values = np.asarray(covariates, dtype=np.float64)
    strata = np.zeros(len(values), dtype=np.int64)
    few = [len(np.unique(column)) <= n_bins for column in values.T]
    for column in np.argsort(np.logical_not(few), kind="stable"):
        code = np.zeros(len(values), dtype=np.int64)
        for stratum in np.unique(strata):
            inside = np.flatnonzero(strata == stratum)
            part = values[inside, column]
            if few[column]:
                code[inside] = np.unique(values[:, column], return_inverse=True)[1][inside]
            else:
                code[inside] = np.minimum((rankdata(part, method="ordinal") - 1) * n_bins // len(part), n_bins - 1)
        strata = np.unique(strata * n_bins + code, return_inverse=True)[1].astype(np.int64)
    return strata


def make_decoys(
    hits: Any, strata: Ints, *, n_decoys: int, generator: np.random.Generator
) -> tuple[sparse.csr_matrix, Ints]:
    """Move the sites of factors at random between the peaks of a stratum.

    Parameters
    ----------
    hits
        (P, H) sparse, non-zero where a factor binds.
    strata
        (P,) from :func:`peak_strata`.
    n_decoys
        Number of decoys D; 0 where no factor has a site. With more factors than decoys, factors evenly spaced by their
        number of sites are copied; with fewer, all of them in turn.

    Returns
    -------
    decoys
        (P, D) 0/1, each with as many sites in every stratum as its factor.
    source
        (D,) column of the factor that each decoy copies.
    """
    binds = sparse.csc_matrix(hits != 0)
    n_peaks = binds.shape[0]
    sites = np.diff(binds.indptr)
    busy = np.flatnonzero(sites)
    busy = busy[np.argsort(sites[busy], kind="stable")]
    if not len(busy) or not n_decoys:
        return sparse.csr_matrix((n_peaks, 0)), np.zeros(0, dtype=np.int64)
    if len(busy) >= n_decoys:
        source = busy[((np.arange(n_decoys) + generator.random()) * len(busy) / n_decoys).astype(np.int64)]
    else:
        source = np.resize(busy, n_decoys)
    members = [np.flatnonzero(strata == s) for s in range(int(strata.max()) + 1)]
    rows = []
    for factor in source:
        own = binds.indices[binds.indptr[factor] : binds.indptr[factor + 1]]
        counts = np.bincount(strata[own], minlength=len(members))
        rows.append(
            np.concatenate([generator.choice(m, k, replace=False) for m, k in zip(members, counts, strict=True) if k])
        )
    column = np.repeat(np.arange(len(source)), [len(row) for row in rows])
    values = np.ones(len(column), dtype=np.float32)
    decoys = sparse.csr_matrix((values, (np.concatenate(rows), column)), shape=(n_peaks, len(source)))
    return decoys, source.astype(np.int64)


def set_effects(scores: NDArray, queries: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Compute rank-biserial correlations of scores with gene sets, all other genes being the background.

    Parameters
    ----------
    scores
        (G, H) finite.
    queries
        (Q, G) True for the genes of a set; neither none nor all.

    Returns
    -------
    effect
        (Q, H), 2 U / (n_1 n_2) - 1 with the Mann-Whitney statistic U.
    error
        (Q, H) its standard error under exchangeable genes, ties corrected; 0 where all scores are equal.
    """
    ranks: Floats = np.asarray(rankdata(scores, axis=0), dtype=np.float64)
    masks = np.asarray(queries, dtype=np.float64)
    n = len(ranks)
    n_1 = masks.sum(axis=1)
    n_2 = n - n_1
    centred = ranks - (n + 1) / 2
    effect = 2 * (masks @ centred) / (n_1 * n_2)[:, None]
    spread = (centred**2).sum(axis=0) / (n * (n - 1))
    return effect, 2 * np.sqrt(spread[None] / (n_1 * n_2)[:, None])


def decoy_test(
    scores: NDArray,
    decoy_scores: NDArray,
    queries: NDArray[np.bool_],
    *,
    design: NDArray,
    decoy_design: NDArray,
    confidence: float = 0.95,
) -> DecoyTest:
    """Test whether factors are associated with gene sets beyond decoys.

    For each gene set, the standardised effects of the decoys are regressed on what is known of their sites. A factor's
    effect is compared with the prediction for its own sites: the excess over the standard error of prediction has
    Student's t distribution when the factor's sites are as random as those of decoys.

    Parameters
    ----------
    scores, decoy_scores
        (G, H) and (G, D) association scores of the scored genes, finite.
    queries
        (Q, G) masks of the gene sets; the background of a set is all other genes.
    design, decoy_design
        (H, C) and (D, C) covariates of factors and decoys (log number of sites ...); a constant is added.
    confidence
        Of the two-sided intervals.

    Raises
    ------
    ValueError
        There are not more decoys than coefficients.
    """
    effect, error = set_effects(scores, queries)
    decoy_effect, decoy_error = set_effects(decoy_scores, queries)
    centre, scale = decoy_design.mean(axis=0), decoy_design.std(axis=0)
    scale = np.where(scale > 1e-12, scale, np.inf)
    x = np.column_stack([np.ones(len(decoy_design)), (decoy_design - centre) / scale])
    new = np.column_stack([np.ones(len(design)), (design - centre) / scale])
    freedom = len(x) - int(np.linalg.matrix_rank(x))
    if freedom < 1:
        raise ValueError(f"{len(x)} decoys for {x.shape[1]} coefficients: more decoys are needed")
    z = np.divide(decoy_effect, decoy_error, out=np.zeros_like(decoy_effect), where=decoy_error > 0)
    inverse = np.linalg.pinv(x.T @ x)
    coefficients = inverse @ x.T @ z.T
    residual = z.T - x @ coefficients
    sd = np.sqrt((residual**2).sum(axis=0) / freedom)
    leverage = np.einsum("ij,jk,ik->i", new, inverse, new)
    spread = sd[:, None] * np.sqrt(1 + leverage)[None] * error
    excess = effect - (new @ coefficients).T * error
    statistic = np.divide(excess, spread, out=np.zeros_like(excess), where=spread > 0)
    half = student.ppf(0.5 + confidence / 2, freedom) * spread
    pvalue = np.where(spread > 0, student.sf(statistic, freedom), 1.0)
    return DecoyTest(effect, excess, excess - half, excess + half, pvalue, len(x))
