"""Probabilistic in-silico deletion: how much worse LITE predicts a gene when a factor's sites are masked.

Extended Methods, Probabilistic in silico deletion and Gene set driver TF test.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.statistics.rank_tests import benjamini_hochberg, rank_sum
from mira_nb.errors import InputError
from mira_nb.typing import Floats, Progress

from .fit import results_in_order
from .geometry import PeakSets
from .model import Cells, Fits, PeakRates, log_rate, peak_weights

_BLOCK_VALUES = 400_000
"""Entries of the largest temporary array, which keeps it in the cache."""


@dataclass(frozen=True)
class DeletionScores:
    """Association scores of genes and factors.

    Attributes
    ----------
    scores
        (G, H) -2 log(L_masked / L_full), NaN for genes without a LITE model; 0 where the factor has no site among the
        gene's peaks.
    n_cells
        (G,) cells used for each gene.
    n_sites
        (G, H) peaks of the gene with a site of the factor.
    """

    scores: NDArray[np.float64]
    n_cells: NDArray[np.int64]
    n_sites: NDArray[np.int32]


def stratified_cells(
    expression: NDArray, *, n_cells: int, n_bins: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Choose cells from quanta of expression, so that highly expressing states come first.

    Parameters
    ----------
    expression
        (N,) log expression of the gene (log1p of depth-normalised counts), non-negative.
    n_cells
        How many cells to choose; all are returned when there are no more.
    n_bins
        Number of quanta. With the mean added to each cell, the cells in decreasing order are cut so that every quantum
        holds 1 / `n_bins` of the total; the same number is drawn from each without replacement. What a quantum with too
        few cells leaves over is drawn evenly from the others.

    Returns
    -------
    Sorted positions of the chosen cells.
    """
    n = len(expression)
    if n_cells >= n:
        return np.arange(n)
    value = np.asarray(expression, dtype=np.float64)
    value = value + value.mean()
    if not value.sum() > 0:
        value = np.ones(n)
    order = generator.permutation(n)
    order = order[np.argsort(-value[order], kind="stable")]
    share = np.cumsum(value[order]) - 0.5 * value[order]
    quantum = np.minimum((share / value.sum() * n_bins).astype(np.int64), n_bins - 1)
    sizes = np.bincount(quantum, minlength=n_bins)
    quota = _quotas(sizes, n_cells)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    chosen = [
        generator.choice(order[start : start + size], take, replace=False)
        for start, size, take in zip(first, sizes, quota, strict=True)
        if take
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _quotas(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Split evenly, limited by the sizes; remainders go to the first (most expressing) quanta that have room."""
    quota = np.zeros(len(sizes), dtype=np.int64)
    left = total
    while left:
        room = np.flatnonzero(quota < sizes)
        each = left // len(room)
        if each == 0:
            quota[room[:left]] += 1
            break
        add = np.minimum(sizes[room] - quota[room], each)
        quota[room] += add
        left -= int(add.sum())
    return quota


def quantile_ranks(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rank (0 ... n - 1) of each value within its row, and whether the row has ties."""
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    tied = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    ranks = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(values.shape[-1]), values.shape), axis=-1)
    return ranks, tied


def quantile_normalise(values: Floats, target: Floats) -> Floats:
    """Map `values` (n,) onto the distribution of `target` (n,) by rank; ties take the mean of their targets."""
    ordered = np.sort(target)
    unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(unique) == len(values):
        return ordered[inverse]
    ends = np.cumsum(counts)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    return ((sums[ends] - sums[ends - counts]) / counts)[inverse]


@dataclass(frozen=True)
class _Lite:
    gamma: float
    bias: float
    bn_mean: float
    bn_sd: float
    theta: float


def score_gene(
    rates: Floats, weights: Floats, sites: NDArray[np.bool_], counts: Floats, offset: Floats, lite: _Lite
) -> Floats:
    """Compute association scores of one gene with factors.

    Parameters
    ----------
    rates
        (peaks, n) accessibility of the sampled cells.
    weights
        (peaks,) LITE weights a_eta 2^(-d / Delta).
    sites
        (factors, peaks) True where the factor binds.
    counts, offset
        (n,) counts and log mean at lambda = 0.
    lite
        gamma, b, theta and batch-normalisation statistics of the LITE model.
    """
    n = len(counts)
    c = weights @ rates
    ordered = np.sort(c)
    theta = lite.theta

    def rate(values: Floats) -> Floats:
        return log_rate(values, gamma=lite.gamma, bias=lite.bias, bn_mean=lite.bn_mean, bn_sd=lite.bn_sd)

    def likelihood(lam: Floats) -> Floats:
        """Return the terms of the log likelihood that depend on lambda, summed over the last axis."""
        out = lam + offset
        first = out @ counts
        np.exp(out, out=out)
        out += theta
        np.log(out, out=out)
        return first - out @ (counts + theta)

    full = likelihood(rate(c))
    target = rate(ordered)
    scores = np.empty(len(sites))
    block = max(1, _BLOCK_VALUES // n)
    for start in range(0, len(sites), block):
        part = slice(start, start + block)
        masked = np.where(sites[part], 0.0, weights) @ rates
        ranks, tied = quantile_ranks(masked)
        lam = target[ranks]
        for row in np.flatnonzero(tied):
            lam[row] = rate(quantile_normalise(masked[row], c))
        scores[part] = -2.0 * (likelihood(lam) - full)
    return scores


def _generator(seed: int, name: str) -> np.random.Generator:
    """Make a gene's own generator, independent of which other genes are scored."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _silent(fraction: float, message: str) -> None:
    """Report no progress."""


def _check_peaks(hits: Any, cells: Cells) -> None:
    if hits.shape[0] != cells.decoder.n_features:
        raise InputError(
            f"the motif hits cover {hits.shape[0]:,} peaks",
            expected=f"{cells.decoder.n_features:,}, the peaks of the accessibility model",
        )


@dataclass(frozen=True)
class Sampling:
    """The cells on which a gene is scored.

    Attributes
    ----------
    n_cells, n_bins
        Stratified sample of each gene, see :func:`stratified_cells`.
    seed
        Seed of the sampling; every gene has its own generator.
    expression_scale
        Counts are brought to this total (by the read depth) before log1p, for the sampling of cells only.
    """

    n_cells: int = 1500
    n_bins: int = 20
    seed: int = 0
    expression_scale: float = 1e4


SAMPLING: Final = Sampling()


def delete_factors(
    cells: Cells,
    sets: PeakSets,
    lite: Fits,
    hits: Any,
    *,
    sampling: Sampling = SAMPLING,
    n_threads: int = 2,
    progress: Progress | None = None,
) -> DeletionScores:
    """Score every fitted gene against every factor.

    Parameters
    ----------
    cells, sets, lite
        What the LITE models were fitted on, and their estimates.
    hits
        (peaks, factors) sparse, non-zero where a factor binds, over the peaks of the accessibility model.
    sampling
        Cells of each gene.

    Raises
    ------
    InputError
        The hits do not cover the peaks of the model.
    """
    _check_peaks(hits, cells)
    rates = PeakRates(cells.decoder, cells.topics, cells.peak_normalizer)
    binds: Any = sparse.csr_matrix(hits != 0)
    depth = np.exp(cells.log_depth)
    offset = cells.offset
    fitted = np.flatnonzero(lite.fitted)
    n_genes, n_factors = len(sets.genes), hits.shape[1]

    def work(position: int) -> tuple[Floats, int, NDArray[np.int32]]:
        g = int(fitted[position])
        peaks, distance, region = sets.of(g)
        counts = cells.counts[:, [g]].toarray().ravel()
        chosen = stratified_cells(
            np.log1p(counts / depth * sampling.expression_scale),
            n_cells=sampling.n_cells,
            n_bins=sampling.n_bins,
            generator=_generator(sampling.seed, sets.genes[g]),
        )
        sites = binds[peaks].toarray().T
        n_sites = sites.sum(axis=1).astype(np.int32)
        scores = np.zeros(n_factors)
        weights = peak_weights(distance, region, lite.a[g], lite.decay_kb[g])
        # peaks of zero weight change nothing, so equal patterns on the others need one computation
        patterns, which = np.unique(sites[:, weights > 0], axis=0, return_inverse=True)
        busy = patterns.any(axis=1)
        if busy.any():
            used = weights > 0
            model = _Lite(*(float(x[g]) for x in (lite.gamma, lite.bias, lite.bn_mean, lite.bn_sd, lite.theta)))
            values = np.zeros(len(patterns))
            values[busy] = score_gene(
                rates.block(peaks[used], chosen), weights[used], patterns[busy], counts[chosen], offset[chosen], model
            )
            scores = values[which.ravel()]
        return scores, len(chosen), n_sites

    out = np.full((n_genes, n_factors), np.nan)
    sampled = np.zeros(n_genes, dtype=np.int64)
    counted = np.zeros((n_genes, n_factors), dtype=np.int32)
    for position, (scores, n, n_sites) in results_in_order(
        work, len(fitted), n_threads=n_threads, progress=progress or _silent, message="in-silico deletion: gene"
    ):
        g = fitted[position]
        out[g], sampled[g], counted[g] = scores, n, n_sites
    return DeletionScores(out, sampled, counted)


def driver_test(
    scores: NDArray,
    query: NDArray[np.bool_],
    *,
    background: NDArray[np.bool_] | None = None,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Test per factor whether the association scores of the query genes are higher (one-sided Mann-Whitney).

    Parameters
    ----------
    scores
        (G, H) association scores; genes without scores (NaN) are left out.
    query, background
        (G,) masks; by default the background is every scored gene that is not in the query.
    names
        Names of the factors, the index of the result.

    Returns
    -------
    Columns ``statistic`` (Mann-Whitney U of the query), ``effect_size`` (rank biserial), ``pvalue``, ``log10_pvalue``,
    ``adj_pvalue`` (Benjamini-Hochberg over the factors), ``n_query``, ``n_background``; one row per factor in the order
    of the columns.

    Raises
    ------
    InputError
        Query or background has no scored gene.
    """
    scored = np.isfinite(scores).all(axis=1)
    others = (~query if background is None else background & ~query) & scored
    asked = query & scored
    if not asked.any() or not others.any():
        raise InputError(
            f"driver test: {int(asked.sum())} query and {int(others.sum())} background genes with association scores",
            expected="at least one of each",
        )
    test = rank_sum(scores[asked], scores[others], alternative="greater")
    return pd.DataFrame(
        {
            "statistic": test.statistic,
            "effect_size": test.effect_size,
            "pvalue": test.pvalue,
            "log10_pvalue": test.log10_pvalue,
            "adj_pvalue": benjamini_hochberg(test.pvalue),
            "n_query": int(asked.sum()),
            "n_background": int(others.sum()),
        },
        index=None if names is None else list(names),
    )
