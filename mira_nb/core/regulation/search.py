"""The search for the maximum a posteriori of one gene: starts from a grid, L-BFGS, the best kept.

The nested starts are drawn, with what each is worth, in ``docs/decisions/regulation-starts.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mira_nb.typing import Floats

from . import kernels
from .geometry import DOWNSTREAM, PROXIMAL, UPSTREAM
from .lbfgs import minimise
from .model import PeakRates, Priors
from .starts import (
    GRID_KB,
    Candidate,
    Grid,
    WorkingModel,
    candidates,
    standardise,
    working_around,
    working_model,
)

WEAK: Final = 10.0
"""Gain (nats) of the best start below which the sets of peaks are also tried one by one (chosen, no source)."""

LEAST_GAIN: Final = -0.25
"""Gain (nats) promised to a set without weight from which it is tried again (chosen, no source: the promise on the
grid is rough)."""


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
        Most starts of LITE taken from the grid of decay distances (see :mod:`mira_nb.core.regulation.starts`); half as
        many are tried around the LITE solution, and for NITE.
    screen_iterations, screen_margins
        The starts run in rounds of this many iterations; after each, those within the margin (nats) of the best that
        have not met are kept. The last ones are followed to the end.
    min_cells
        Genes seen in fewer cells are not fitted.
    nearest_weight
        Smallest weight that the nearest peak of a distal set keeps, 2^(-distance / Delta); 0: no bound. Without it a
        gene can put all its weight on a side whose sum then vanishes, and batch normalisation blows rounding and
        unmeasurable differences up to full size. The bound is never above the prior's median.
    """

    tolerance: float = 1e-5
    max_iterations: int = 200
    n_starts: int = 4
    screen_iterations: int = 6
    screen_margins: tuple[float, ...] = (8.0, 2.0)
    min_cells: int = 10
    nearest_weight: float = 0.01


@dataclass(frozen=True)
class Gene:
    """One gene's inputs in the layout of the kernels."""

    rates: Floats
    distance: Floats
    splits: NDArray[np.int64]
    proximal: Floats
    counts: Floats
    tail: Floats
    movable: Floats
    lowest: Floats
    """(5,) bounds of the two log decay distances and the three weights."""

    def inputs(self, offset: Floats, topics: Floats, prior: Floats) -> kernels.Inputs:
        """Return what the compiled posterior takes."""
        return kernels.Inputs(
            self.rates, self.distance, self.splits, self.proximal, self.counts, offset, self.tail, topics, prior
        )


@dataclass(frozen=True)
class Solution:
    """One model of one gene in the kernels' coordinates."""

    x: Floats
    loss: float
    iterations: int
    evaluations: int
    converged: bool
    rate: Floats


@dataclass(frozen=True)
class Shared:
    """What is common to all genes, prepared once."""

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


def lowest_decay(distance_kb: Floats, *, nearest_weight: float, median_kb: float) -> float:
    """Return the decay distance (kb) at which the nearest peak keeps `nearest_weight`, at most the prior's median."""
    if not len(distance_kb) or not nearest_weight > 0:
        return 0.0
    return min(float(distance_kb.min()) / math.log2(1.0 / nearest_weight), median_kb)


def make_gene(
    rates: Floats,
    distance: NDArray,
    region: NDArray,
    counts: Floats,
    *,
    nearest_weight: float = 0.0,
    median_kb: float = math.inf,
) -> Gene:
    """Arrange one gene for the kernels; see :class:`FitOptions` for the bound of the decay distances."""
    sizes = [int((region == code).sum()) for code in (UPSTREAM, PROXIMAL, DOWNSTREAM)]
    splits = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    proximal, _ = standardise(rates[splits[1] : splits[2]].sum(axis=0))
    there = [float(size > 0) for size in sizes]
    movable = np.array([there[0], there[2], *there, 1.0, 1.0])
    kb = np.asarray(distance, float) / 1e3
    lowest = np.zeros(5)
    with np.errstate(divide="ignore"):
        lowest[:2] = np.log(
            [
                lowest_decay(kb[part], nearest_weight=nearest_weight, median_kb=median_kb)
                for part in (slice(0, splits[1]), slice(splits[2], None))
            ]
        )
    return Gene(
        np.ascontiguousarray(rates),
        kb,
        splits,
        proximal,
        counts,
        tail_counts(counts),
        movable,
        lowest,
    )


def _run(
    gene: Gene, x: Floats, movable: Floats, offset: Floats, topics: Floats, prior: Floats, tolerance: float, limit: int
) -> Solution:
    work = np.empty((kernels.N_WORK, len(offset)))
    x = x.copy()
    x[:5] = np.maximum(x[:5], gene.lowest)
    inputs = gene.inputs(offset, topics, prior)
    loss, _, iterations, evaluations, converged = minimise(x, movable, gene.lowest, inputs, work, tolerance, limit)
    return Solution(x, loss, iterations, evaluations, converged, work[4].copy())


def _start(gene: Gene, candidate: Candidate, theta: float, prior: Floats) -> Floats:
    x = np.array([*np.log(candidate.decay_kb), *candidate.weights, candidate.bias, math.log(theta)])
    x[:2] = np.where(gene.movable[:2] > 0, x[:2], prior[0])
    return x


def _single_sets(gene: Gene, working: WorkingModel, prior: Floats) -> list[Floats]:
    """Return one start per set of peaks: the set alone with gamma 0.1 at the prior's decay distance.

    For genes whose expression follows no set of peaks: gamma's prior then holds one set or another at a small
    weight, and each choice is a maximum of its own.
    """
    level = float(working.response @ working.weight / working.weight.sum())
    out = []
    for eta in np.flatnonzero(gene.movable[2:5]):
        weights = np.zeros(3)
        weights[eta] = 0.1
        out.append(np.array([prior[0], prior[0], *weights, level, math.log(working.theta)]))
    return out


def _worth_following(trials: list[Solution], margin: float) -> list[Solution]:
    """Select screened starts near the best, each maximum once (same decay distances where their set has weight)."""
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


def _best_of(
    gene: Gene, starts: list[Floats], movable: Floats, shared: Shared, topics: Floats, prior: Floats
) -> Solution:
    """Screen the starts, follow those near the best to the end, return the highest posterior."""
    options = shared.options

    def run(x: Floats, limit: int) -> Solution:
        return _run(gene, x, movable, shared.offset, topics, prior, options.tolerance, limit)

    if len(starts) == 1:
        return run(starts[0], options.max_iterations)
    points = starts
    for margin in options.screen_margins:
        trials = [run(x, options.screen_iterations) for x in points]
        points = [trial.x for trial in _worth_following(trials, margin)]
        if len(points) == 1:
            break
    ends = [run(x, options.max_iterations) for x in points]
    return min(ends, key=lambda end: end.loss)


def _elsewhere(candidate: Candidate, solution: Solution) -> bool:
    """Test whether a candidate's decay distances differ from a solution's where either gives the set weight."""
    used = (candidate.weights[[0, 2]] > 0) | (solution.x[[2, 4]] > 0)
    return bool((np.abs(np.log(candidate.decay_kb) - solution.x[:2])[used] > 0.5).any())


def _with_idle_sets(gene: Gene, solution: Solution, grid: Grid, shared: Shared) -> Floats | None:
    """Return a start at a LITE solution with weight for idle sets where a decay distance of the grid promises gain.

    At weight 0 the decay distance rests at the prior's median, from where the gradient may not show the way up.
    """
    x, priors = solution.x, shared.priors
    theta, mean = math.exp(x[6]), np.exp(solution.rate + shared.offset)
    gap = solution.rate - x[5]
    square = float(gap @ gap)
    if not square > 0:
        return None
    log_gamma = 0.5 * math.log(square / len(gap))
    pull = -(log_gamma - priors.gamma_log_mean) / priors.gamma_log_sd**2 - float(priors.natural_scale)
    force = theta * (gene.counts - mean) / (theta + mean) + pull / square * gap
    score = grid.features @ force
    information = mean * theta / (theta + mean)
    # b and the length of what is there adapt to what is added
    adapting = np.vstack([np.ones(len(gap)), gap])
    weighted = adapting * information
    cross = weighted @ grid.features.T
    curvature = (grid.features**2) @ information
    curvature -= (cross * np.linalg.solve(weighted @ adapting.T, cross)).sum(axis=0)
    log_kb = np.log(GRID_KB)
    size = len(GRID_KB)
    penalty = 0.5 * ((log_kb - math.log(priors.decay_median_kb)) / priors.decay_log_sd) ** 2
    start, any_set = x.copy(), False
    for weight, decay, rows in ((2, 0, np.arange(size)), (4, 1, size + 1 + np.arange(size))):
        if not gene.movable[weight] or x[weight] > 0:
            continue
        step = np.maximum(score[rows], 0.0) / np.maximum(curvature[rows], 1e-12)
        gain = np.where(step > 0, 0.5 * score[rows] * step - penalty, -np.inf)
        best = int(np.argmax(gain))
        if gain[best] > LEAST_GAIN:
            start[decay], start[weight] = log_kb[best], step[best]
            any_set = True
    return start if any_set else None


def solve_gene(gene: Gene, shared: Shared, grid: Grid) -> tuple[Solution, Solution]:
    """Fit LITE from the best of a few starts, then NITE from LITE's estimate with zero topic coefficients.

    Starts of LITE come from the grid around a flexible prediction, and once more from the grid around the LITE solution
    found. The NITE model keeps LITE's theta. Beside LITE's estimate, the best decay distances of NITE's own grid are
    tried, and the highest posterior is kept.
    """
    options, topics, prior = shared.options, shared.centred_topics, shared.lite_prior

    def look(working: WorkingModel, most: int, beside: Floats | None = None) -> list[Candidate]:
        return candidates(working, grid, priors=shared.priors, topics=beside, most=most)

    working = working_model(gene.counts, shared.offset, topics)
    found = look(working, options.n_starts)
    starts = [_start(gene, c, working.theta, prior) for c in found]
    if not found or found[0].loss > -WEAK:
        starts += _single_sets(gene, working, prior)
    lite = _best_of(gene, starts, gene.movable, shared, shared.no_topics, prior)
    if np.isfinite(lite.loss):
        near = working_around(gene.counts, shared.offset, lite.rate, math.exp(lite.x[6]))
        starts = [_start(gene, c, near.theta, prior) for c in look(near, options.n_starts // 2) if _elsewhere(c, lite)]
        if starts:
            other = _best_of(gene, starts, gene.movable, shared, shared.no_topics, prior)
            lite = min(lite, other, key=lambda end: end.loss)
        start = _with_idle_sets(gene, lite, grid, shared)
        if start is not None:
            other = _best_of(gene, [start], gene.movable, shared, shared.no_topics, prior)
            lite = min(lite, other, key=lambda end: end.loss)

    starts = [np.concatenate([lite.x, np.zeros(len(topics))])]
    for c in look(working, options.n_starts // 2, topics):
        x = np.concatenate([_start(gene, c, 1.0, prior), c.topics])
        x[6] = lite.x[6]
        starts.append(x)
    movable = np.concatenate([gene.movable, np.ones(len(topics))])
    movable[6] = 0.0
    return lite, _best_of(gene, starts, movable, shared, topics, shared.nite_prior)
