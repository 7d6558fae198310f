"""LITE then NITE, by maximum a posteriori, for many genes at once (one gene a thread, all cells of a gene together)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mira_nb.core.regulation import kernels
from mira_nb.core.regulation.geometry import DOWNSTREAM, PROXIMAL, UPSTREAM, PeakSets
from mira_nb.core.regulation.model import Cells, Fits, Floats, PeakRates, Priors, log_prior, negative_binomial
from mira_nb.core.regulation.starts import (
    GRID_KB,
    Candidate,
    WorkingModel,
    candidates,
    grid_features,
    standardise,
    working_model,
)
from mira_nb.errors import InputError

Progress = Callable[[float, str], None]
OK: Final = "ok"


@dataclass(frozen=True)
class FitOptions:
    """How the maximum is searched.

    Attributes
    ----------
    tolerance
        A fit stops when its loss has not decreased by more than this (nats) for three iterations.
    max_iterations
        Limit of iterations of the final run.
    n_starts
        Most starts of LITE taken from the grid of decay distances (see :mod:`mira_nb.core.regulation.starts`).
    screen_iterations, screen_margin
        Every start runs this many iterations; those within the margin (nats) of the best are followed to the end.
    min_cells
        Genes seen in fewer cells are not fitted.
    """

    tolerance: float = 1e-5
    max_iterations: int = 200
    n_starts: int = 4
    screen_iterations: int = 4
    screen_margin: float = 2.0
    min_cells: int = 10


@dataclass(frozen=True)
class RegulationFit:
    """LITE and NITE of all genes.

    Attributes
    ----------
    lite, nite
        Parameters.
    lite_log_rate, nite_log_rate
        (N, G) log rho_ij under each model, float32, NaN for genes without a fit.
    gene_statistic
        (G,) Lambda_j = -2 log(L_LITE / L_NITE).
    cell_statistic
        (N,) the same ratio taken over the fitted genes of each cell.
    n_expressing, n_expressed
        Number of cells with a count of each gene; number of fitted genes with a count in each cell.
    status
        (G,) ``"ok"`` or why the gene was not fitted.
    """

    lite: Fits
    nite: Fits
    lite_log_rate: NDArray[np.float32]
    nite_log_rate: NDArray[np.float32]
    gene_statistic: Floats
    cell_statistic: Floats
    n_expressing: NDArray[np.int64]
    n_expressed: NDArray[np.int64]
    status: NDArray[np.object_]


@dataclass(frozen=True)
class _Gene:
    """One gene's inputs in the layout of the kernels."""

    rates: Floats
    distance: Floats
    splits: NDArray[np.int64]
    proximal: Floats
    counts: Floats
    tail: Floats
    movable: Floats


@dataclass(frozen=True)
class Solution:
    """One model of one gene in the kernels' coordinates."""

    x: Floats
    loss: float
    iterations: int
    evaluations: int
    converged: bool


@dataclass(frozen=True)
class _Shared:
    """What all genes share, prepared once."""

    rates: PeakRates
    offset: Floats
    centred_topics: Floats
    no_topics: Floats
    topic_mean: Floats
    priors: Priors
    lite_prior: Floats
    nite_prior: Floats
    options: FitOptions


def tail_counts(counts: Floats) -> Floats:
    """Count the cells with more than j counts, j = 0 ... max - 1."""
    whole = np.bincount(counts.astype(np.int64))
    return (len(counts) - np.cumsum(whole))[:-1].astype(np.float64)


def _gene(rates: Floats, distance: NDArray, region: NDArray, counts: Floats) -> _Gene:
    sizes = [int((region == code).sum()) for code in (UPSTREAM, PROXIMAL, DOWNSTREAM)]
    splits = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    proximal = standardise(rates[splits[1] : splits[2]].sum(axis=0))
    there = [float(size > 0) for size in sizes]
    movable = np.array([there[0], there[2], *there, 1.0, 1.0])
    return _Gene(
        np.ascontiguousarray(rates),
        np.asarray(distance, float) / 1e3,
        splits,
        proximal,
        counts,
        tail_counts(counts),
        movable,
    )


def _run(
    gene: _Gene, x: Floats, movable: Floats, offset: Floats, topics: Floats, prior: Floats, tolerance: float, limit: int
) -> Solution:
    work = np.empty((8, len(offset)))
    x = x.copy()
    loss, _, iterations, evaluations, converged = kernels.minimise(
        x, movable, gene.rates, gene.distance, gene.splits, gene.proximal, gene.counts, offset, gene.tail,
        topics, prior, work, tolerance, limit,
    )  # fmt: skip
    return Solution(x, loss, iterations, evaluations, converged)


def _start(gene: _Gene, candidate: Candidate, theta: float, prior: Floats) -> Floats:
    x = np.array([*np.log(candidate.decay_kb), *candidate.weights, candidate.bias, math.log(theta)])
    x[:2] = np.where(gene.movable[:2] > 0, x[:2], prior[0])
    return x


def _last_resort(gene: _Gene, working: WorkingModel, up: Floats, down: Floats, prior: Floats) -> Floats:
    """Equal weights at the prior's decay distance with gamma 0.05: no set of peaks goes along with expression."""
    middle = int(np.argmin(np.abs(np.log(GRID_KB) - prior[0])))
    spread = float(np.std(up[middle] + gene.proximal + down[middle]))
    weights = 0.05 / spread * gene.movable[2:5]
    level = float(working.response @ working.weight / working.weight.sum())
    return np.array([prior[0], prior[0], *weights, level, math.log(working.theta)])


def _worth_following(trials: list[Solution], margin: float) -> list[Solution]:
    """Screened starts near the best, each maximum once (same decay distances where their set has weight)."""
    ranked = sorted(trials, key=lambda trial: trial.loss)
    kept: list[Solution] = []
    for trial in ranked:
        if not trial.loss < ranked[0].loss + margin:
            break
        used = trial.x[[2, 4]] > 0
        near = [
            bool((np.abs(trial.x[:2] - other.x[:2])[used] < 0.25).all()) and bool((used == (other.x[[2, 4]] > 0)).all())
            for other in kept
        ]
        if not any(near):
            kept.append(trial)
    return kept or ranked[:1]


def solve_gene(gene: _Gene, shared: _Shared) -> tuple[Solution, Solution]:
    """LITE from the best of a few starts, then NITE from LITE's estimate with zero topic coefficients.

    The NITE model keeps LITE's theta. Beside LITE's estimate, the best decay distances of NITE's own grid are tried,
    and the highest posterior is kept.
    """
    options, offset, topics = shared.options, shared.offset, shared.centred_topics
    present = (bool(gene.movable[2]), bool(gene.movable[3]), bool(gene.movable[4]))
    working = working_model(gene.counts, offset, topics)
    up, down = grid_features(gene.rates, gene.distance, gene.splits)

    def best_of(starts: list[Floats], movable: Floats, model_topics: Floats, prior: Floats) -> Solution:
        def run(x: Floats, limit: int) -> Solution:
            return _run(gene, x, movable, offset, model_topics, prior, options.tolerance, limit)

        if len(starts) > 1:
            trials = [run(x, options.screen_iterations) for x in starts]
            ends = [run(trial.x, options.max_iterations) for trial in _worth_following(trials, options.screen_margin)]
            return min(ends, key=lambda end: end.loss)
        return run(starts[0], options.max_iterations)

    found = candidates(working, up, gene.proximal, down, present=present, priors=shared.priors, most=options.n_starts)
    starts = [_start(gene, c, working.theta, shared.lite_prior) for c in found]
    starts = starts or [_last_resort(gene, working, up, down, shared.lite_prior)]
    lite = best_of(starts, gene.movable, shared.no_topics, shared.lite_prior)

    none = np.zeros(len(topics))
    starts = [np.concatenate([lite.x, none])]
    around = candidates(
        working,
        up,
        gene.proximal,
        down,
        present=present,
        priors=shared.priors,
        topics=topics,
        most=options.n_starts - 1,
    )
    log_theta = lite.x[6]
    for c in around:
        x = np.concatenate([_start(gene, c, 1.0, shared.lite_prior), c.topics])
        x[6] = log_theta
        starts.append(x)
    movable = np.concatenate([gene.movable, np.ones(len(topics))])
    movable[6] = 0.0
    return lite, best_of(starts, movable, topics, shared.nite_prior)


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


def _estimate(gene: _Gene, solution: Solution, shared: _Shared, topics: Floats) -> _Estimate:
    """From the kernels' coordinates to a, Delta, gamma, b, theta and the batch-normalisation statistics."""
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
    )


def _fit_gene(
    shared: _Shared, counts: Floats, peaks: NDArray, distance: NDArray, region: NDArray
) -> tuple[_Estimate, _Estimate] | str:
    """LITE and NITE of one gene, or why there is none."""
    seen = int((counts > 0).sum())
    if seen < shared.options.min_cells:
        return f"expressed in {seen} cells, fewer than {shared.options.min_cells}"
    gene = _gene(shared.rates.block(peaks), distance, region, counts)
    spread = gene.rates.std(axis=1)
    if not (spread > 1e-9 * gene.rates.mean(axis=1)).any():
        return "accessibility does not vary"
    lite, nite = solve_gene(gene, shared)
    if not np.isfinite(lite.loss):
        return "LITE fit has no finite likelihood"
    if not np.isfinite(nite.loss):
        return "NITE fit has no finite likelihood"
    return _estimate(gene, lite, shared, shared.no_topics), _estimate(gene, nite, shared, shared.centred_topics)


def _share(cells: Cells, priors: Priors, options: FitOptions) -> _Shared:
    topic_mean = cells.topics.mean(axis=0)
    return _Shared(
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
    """Results of ``work(0) ... work(n - 1)`` in order, computed on threads; progress (and cancelling) in between.

    At most a few results a thread wait to be taken, so that memory stays bounded.
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

    def work(g: int) -> tuple[_Estimate, _Estimate] | str:
        if sets.status[g] != OK:
            return str(sets.status[g])
        column = np.zeros(cells.n_cells)
        part = slice(counts.indptr[g], counts.indptr[g + 1])
        column[counts.indices[part]] = counts.data[part]
        return _fit_gene(shared, column, *sets.of(g))

    store = _Store.empty(cells.n_cells, len(sets.genes), cells.topics.shape[1])
    report = progress or (lambda _fraction, _message: None)
    for g, found in results_in_order(
        work, len(sets.genes), n_threads=n_threads, progress=report, message="LITE and NITE models: gene"
    ):
        store.put(g, found)
    expressed = counts[:, store.status == OK]
    return store.finish(
        n_expressing=np.diff(counts.indptr).astype(np.int64),
        n_expressed=np.asarray((expressed > 0).sum(axis=1)).ravel().astype(np.int64),
    )


@dataclass
class _Store:
    """Arrays filled gene by gene."""

    models: tuple[dict[str, Any], dict[str, Any]]
    rates: tuple[NDArray[np.float32], NDArray[np.float32]]
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
        return cls((model(), model()), rates, np.full(genes, np.nan), np.zeros(n), np.full(genes, OK, dtype=object))

    def put(self, g: int, found: tuple[_Estimate, _Estimate] | str) -> None:
        if isinstance(found, str):
            self.status[g] = found
            return
        for arrays, rates, estimate in zip(self.models, self.rates, found, strict=True):
            for name, values in arrays.items():
                if name != "a_topics" or len(estimate.a_topics):
                    values[g] = getattr(estimate, name)
            rates[:, g] = estimate.rate
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
            gene_statistic=self.gene_statistic,
            cell_statistic=self.cell_statistic,
            n_expressing=n_expressing,
            n_expressed=n_expressed,
            status=self.status,
        )
