"""LITE then NITE, by maximum a posteriori, for many genes at once (one gene per thread, all its cells together)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mira_nb.errors import InputError
from mira_nb.typing import Floats, Progress

from . import kernels
from .decay_posterior import DecayPosterior, decay_posterior, heterogeneity_factor
from .geometry import PeakSets
from .model import Cells, Fits, PeakRates, Priors, log_prior, negative_binomial
from .search import FitOptions, Gene, Shared, Solution, make_gene, solve_gene
from .starts import make_grid, working_around

OK: Final = "ok"
AT_BOUND: Final = "decay distance at its bound"
"""Status of a gene with both models whose LITE estimate would fall below the bound of a decay distance.

No peak near the gene explains it: what the models say of single peaks of the gene is not to be trusted.
"""
_USED: Final = 0.1
"""Fraction of the standardised weights from which a side counts for the status."""
_AT: Final = 1e-6
"""Log decay distance within which an estimate is at its bound."""
MOST_COUNTS: Final = 100_000
"""Counts of one gene in one cell beyond which the data are not molecule counts; bounds time and memory."""


@dataclass(frozen=True)
class RegulationFit:
    """LITE and NITE of all genes.

    Attributes
    ----------
    lite, nite
        Parameters.
    lite_log_rate, nite_log_rate
        (N, G) log rho_ij under each model, float32, NaN for genes without a fit.
    decay_mean_kb
        (G, 2) posterior mean of LITE's decay distances (exp of the mean of log Delta), upstream and downstream.
    decay_low_kb, decay_high_kb
        (G, 2) ends of their central 95 % credible interval.
    gene_statistic
        (G,) Lambda_j = -2 log(L_LITE / L_NITE).
    cell_statistic
        (N,) the same ratio taken over the fitted genes of each cell.
    n_expressing, n_expressed
        Number of cells with a count of each gene; number of fitted genes with a count in each cell.
    status
        (G,) ``"ok"``, :data:`AT_BOUND` (fitted as well) or why the gene was not fitted.
    """

    lite: Fits
    nite: Fits
    lite_log_rate: NDArray[np.float32]
    nite_log_rate: NDArray[np.float32]
    decay_mean_kb: Floats
    decay_low_kb: Floats
    decay_high_kb: Floats
    gene_statistic: Floats
    cell_statistic: Floats
    n_expressing: NDArray[np.int64]
    n_expressed: NDArray[np.int64]
    status: NDArray[np.object_]

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """Genes with both models, (G,)."""
        return np.isin(self.status, (OK, AT_BOUND))


@dataclass(frozen=True)
class _Estimate:
    """One model of one gene in the paper's parameters, with what the scores need."""

    a: Floats
    a_topics: Floats
    decay_kb: Floats
    gamma: float
    bias: float
    theta: float
    bn_mean: float
    bn_sd: float
    log_likelihood: float
    log_posterior: float
    iterations: int
    converged: bool
    rate: Floats
    cells: Floats
    at_bound: bool


_Fitted: TypeAlias = tuple[_Estimate, _Estimate, DecayPosterior | None]
"""LITE, NITE and the posterior of the decay distances of one gene."""


def _estimate(gene: Gene, solution: Solution, shared: Shared, topics: Floats) -> _Estimate:
    """Convert the kernels' coordinates to a, Delta, gamma, b, theta and batch-normalisation statistics."""
    x = solution.x
    k = len(topics)
    v = x[kernels.N_BASE :] - x[kernels.N_BASE :].mean() if k else x[kernels.N_BASE :]
    decay = np.exp(x[:2])
    shares = [
        np.exp2(-gene.distance[: gene.splits[1]] / decay[0]),
        np.ones(gene.splits[2] - gene.splits[1]),
        np.exp2(-gene.distance[gene.splits[2] :] / decay[1]),
    ]
    parts = [
        share @ gene.rates[first:last]
        for share, first, last in zip(shares, gene.splits[:-1], gene.splits[1:], strict=True)
    ]
    spread = np.array([part.std() for part in parts])
    w = np.divide(x[2:5], spread, out=np.zeros(3), where=spread > 0)
    n_free = int((gene.movable[2:5] > 0).sum()) + k
    scale = math.sqrt(n_free / float(w @ w + v @ v))
    a, a_topics = w * scale, v * scale
    c = a @ np.array(parts) + (a_topics @ topics if k else 0.0)
    mean, sd = float(c.mean()), float(c.std())
    gamma, bias, theta = sd / scale, float(x[5]), math.exp(x[6])
    rate = gamma * (c - mean) / sd + bias
    cells = negative_binomial(gene.counts, rate + shared.offset, theta)
    likelihood = float(cells.sum())
    there = (bool(gene.movable[0]), bool(gene.movable[1]))
    used = x[[2, 4]] > _USED * np.abs(x[2:5]).sum()
    prior = log_prior(shared.priors, decay_kb=decay, gamma=gamma, bias=bias, theta=None if k else theta, present=there)
    return _Estimate(
        a=np.where(gene.movable[2:5] > 0, a, np.nan),
        a_topics=a_topics,
        decay_kb=np.where(gene.movable[:2] > 0, decay, np.nan),
        gamma=gamma,
        bias=bias,
        theta=theta,
        # the kernels see centred topics
        bn_mean=mean + (float(a_topics @ shared.topic_mean) if k else 0.0),
        bn_sd=sd,
        log_likelihood=likelihood,
        log_posterior=likelihood + prior,
        iterations=solution.iterations,
        converged=solution.converged,
        rate=rate,
        cells=cells,
        at_bound=bool((used & (x[:2] <= gene.lowest[:2] + _AT)).any()),
    )


def _fit_gene(
    shared: Shared, counts: Floats, peaks: NDArray, distance: NDArray, region: NDArray, *, posterior: bool
) -> _Fitted | str:
    """Fit LITE and NITE of one gene and, if asked for, its decay distances' posterior, or say why there is none."""
    seen = int((counts > 0).sum())
    if seen < shared.options.min_cells:
        return f"expressed in {seen} cells, fewer than {shared.options.min_cells}"
    if counts.max() > MOST_COUNTS:
        return f"a cell has {counts.max():,.0f} counts, more than {MOST_COUNTS:,}"
    gene = make_gene(
        shared.rates.block(peaks),
        distance,
        region,
        counts,
        nearest_weight=shared.options.nearest_weight,
        median_kb=shared.priors.decay_median_kb,
    )
    spread = gene.rates.std(axis=1)
    if not (spread > 1e-9 * gene.rates.mean(axis=1)).any():
        return "accessibility does not vary"
    grid = make_grid(gene.rates, gene.distance, gene.splits, gene.proximal)
    lite, nite = solve_gene(gene, shared, grid)
    if not np.isfinite(lite.loss):
        return "LITE fit has no finite likelihood"
    if not np.isfinite(nite.loss):
        return "NITE fit has no finite likelihood"
    estimates = _estimate(gene, lite, shared, shared.no_topics), _estimate(gene, nite, shared, shared.centred_topics)
    if not posterior:
        return *estimates, None
    statistic = 2.0 * (estimates[1].log_likelihood - estimates[0].log_likelihood)
    decay = decay_posterior(
        working_around(counts, shared.offset, lite.rate, math.exp(lite.x[6])),
        grid,
        distance=gene.distance,
        splits=gene.splits,
        importance=spread,
        priors=shared.priors,
        heterogeneity=heterogeneity_factor(statistic, len(shared.centred_topics)),
    )
    return *estimates, decay


def _share(cells: Cells, priors: Priors, options: FitOptions) -> Shared:
    topic_mean = cells.topics.mean(axis=0)
    return Shared(
        rates=PeakRates(cells.decoder, cells.topics, cells.peak_normalizer),
        offset=cells.offset,
        centred_topics=np.ascontiguousarray((cells.topics - topic_mean).T),
        no_topics=np.zeros((0, cells.n_cells)),
        topic_mean=topic_mean,
        priors=priors,
        lite_prior=priors.packed(theta_fixed=False),
        nite_prior=priors.packed(theta_fixed=True),
        options=options,
    )


def _check(cells: Cells, sets: PeakSets) -> None:
    n, genes = cells.n_cells, len(sets.genes)
    if cells.counts.shape != (n, genes):
        raise InputError(f"counts have shape {cells.counts.shape}", expected=f"{n} cells x {genes} genes")
    if len(sets.peak) and int(sets.peak.max()) >= cells.decoder.n_features:
        raise InputError(
            f"a peak set refers to peak {int(sets.peak.max())}",
            expected=f"positions below {cells.decoder.n_features}, the peaks of the accessibility model",
        )
    for name, values in (("log_depth", cells.log_depth), ("log_normalizer", cells.log_normalizer)):
        if len(values) != n or not np.isfinite(values).all():
            raise InputError(
                f"{name} has {len(values)} values, {int(np.isfinite(values).sum())} finite",
                expected=f"{n} finite values",
            )


def results_in_order(
    work: Callable[[int], Any], n: int, *, n_threads: int, progress: Progress, message: str
) -> Iterator[tuple[int, Any]]:
    """Yield ``work(0) ... work(n - 1)`` in order, computed on threads; progress (and cancelling) in between.

    At most a few results per thread wait to be taken, so that memory stays bounded.
    """
    threads = max(1, n_threads)
    ahead = 4 * threads
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(work, i) for i in range(min(ahead, n)))
        try:
            for i in range(n):
                value = waiting.popleft().result()
                if i + ahead < n:
                    waiting.append(pool.submit(work, i + ahead))
                yield i, value
                if (i + 1) % 16 == 0 or i + 1 == n:
                    progress((i + 1) / n, f"{message} {i + 1:,} of {n:,}")
        finally:
            for future in waiting:
                future.cancel()


def fit_regulation(
    cells: Cells,
    sets: PeakSets,
    *,
    priors: Priors | None = None,
    options: FitOptions | None = None,
    posterior: bool = True,
    n_threads: int = 2,
    progress: Progress | None = None,
) -> RegulationFit:
    """Fit LITE, then NITE, to every gene; time and memory grow linearly with cells and with genes.

    Parameters
    ----------
    cells
        Counts (N x G), depth, normalisers, accessibility topics and decoder.
    sets
        Peaks of the same G genes.
    posterior
        Also find the posterior of LITE's decay distances, an eighth of the time; else these stay NaN.
    n_threads
        Genes fitted at the same time; the result does not depend on it.
    progress
        Called with a fraction and a message; may raise to cancel.

    Raises
    ------
    InputError
        Shapes do not fit together or a depth is not finite.
    """
    _check(cells, sets)
    shared = _share(cells, priors or Priors(), options or FitOptions())
    counts = cells.counts

    def work(g: int) -> _Fitted | str:
        if sets.status[g] != OK:
            return str(sets.status[g])
        column = np.zeros(cells.n_cells)
        part = slice(counts.indptr[g], counts.indptr[g + 1])
        column[counts.indices[part]] = counts.data[part]
        return _fit_gene(shared, column, *sets.of(g), posterior=posterior)

    store = _Store.empty(cells.n_cells, len(sets.genes), cells.topics.shape[1])
    report = progress or (lambda _fraction, _message: None)
    for g, found in results_in_order(
        work, len(sets.genes), n_threads=n_threads, progress=report, message="LITE and NITE models: gene"
    ):
        store.put(g, found)
    expressed = counts[:, np.isin(store.status, (OK, AT_BOUND))]
    return store.finish(
        n_expressing=np.diff(counts.indptr).astype(np.int64),
        n_expressed=np.asarray((expressed > 0).sum(axis=1)).ravel().astype(np.int64),
    )


@dataclass
class _Store:
    """Arrays filled gene by gene."""

    models: tuple[dict[str, Any], dict[str, Any]]
    rates: tuple[NDArray[np.float32], NDArray[np.float32]]
    decay: NDArray[np.float64]
    gene_statistic: Floats
    cell_statistic: Floats
    status: NDArray[np.object_]

    @classmethod
    def empty(cls, n: int, genes: int, k: int) -> _Store:
        def model() -> dict[str, Any]:
            out: dict[str, Any] = {
                name: np.full(genes, np.nan)
                for name in ("gamma", "bias", "theta", "bn_mean", "bn_sd", "log_likelihood", "log_posterior")
            }
            out |= {"a": np.full((genes, 3), np.nan), "decay_kb": np.full((genes, 2), np.nan)}
            out |= {"a_topics": np.full((genes, k), np.nan)}
            return out | {"iterations": np.zeros(genes, np.int64), "converged": np.zeros(genes, bool)}

        rates = (np.full((n, genes), np.nan, np.float32), np.full((n, genes), np.nan, np.float32))
        return cls(
            (model(), model()), rates, np.full((3, genes, 2), np.nan), np.full(genes, np.nan), np.zeros(n),
            np.full(genes, OK, dtype=object),
        )  # fmt: skip

    def put(self, g: int, found: _Fitted | str) -> None:
        if isinstance(found, str):
            self.status[g] = found
            return
        for arrays, rates, estimate in zip(self.models, self.rates, found[:2], strict=True):
            for name, values in arrays.items():
                if name != "a_topics" or len(estimate.a_topics):
                    values[g] = getattr(estimate, name)
            rates[:, g] = estimate.rate
        if found[0].at_bound:
            self.status[g] = AT_BOUND
        if found[2] is not None:
            self.decay[:, g] = found[2].mean_kb, found[2].low_kb, found[2].high_kb
        difference = 2.0 * (found[1].cells - found[0].cells)
        self.gene_statistic[g] = difference.sum()
        self.cell_statistic += difference

    def finish(self, *, n_expressing: NDArray, n_expressed: NDArray) -> RegulationFit:
        lite, nite = self.models
        return RegulationFit(
            lite=Fits(**{**lite, "a_topics": None}),
            nite=Fits(**nite),
            lite_log_rate=self.rates[0],
            nite_log_rate=self.rates[1],
            decay_mean_kb=self.decay[0],
            decay_low_kb=self.decay[1],
            decay_high_kb=self.decay[2],
            gene_statistic=self.gene_statistic,
            cell_statistic=self.cell_statistic,
            n_expressing=n_expressing,
            n_expressed=n_expressed,
            status=self.status,
        )
