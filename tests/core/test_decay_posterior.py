"""Posterior of the decay distances against brute force, sums of exponentials against direct ones, planted distances."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, sparse, stats

from mira_nb.core.regulation import kernels
from mira_nb.core.regulation.decay_posterior import DecayPosterior, _Side, decay_posterior, heterogeneity_factor
from mira_nb.core.regulation.fit import RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.model import Cells, PeakRates, Priors
from mira_nb.core.regulation.scores import take_genes
from mira_nb.core.regulation.search import FitOptions, Gene, make_gene
from mira_nb.core.regulation.starts import GRID_KB, Grid, make_grid, working_around
from tests.core.regulation_data import small_problem

GENES = (0, 1, 2, 4, 5, 8)
REACH = (math.log(GRID_KB[0]), math.log(15) + 3 * 1.2)


@pytest.fixture(scope="module")
def problem() -> tuple[Cells, PeakSets, RegulationFit]:
    cells, sets, _, _ = small_problem(n_cells=600)
    return cells, sets, fit_regulation(cells, sets, options=FitOptions(nearest_weight=0))


def gene_of(cells: Cells, sets: PeakSets, g: int) -> tuple[Gene, Grid]:
    index, distance, region = sets.of(g)
    rates = PeakRates(cells.decoder, cells.topics, cells.peak_normalizer).block(index)
    gene = make_gene(rates, distance, region, cells.counts[:, [g]].toarray().ravel())
    return gene, make_grid(gene.rates, gene.distance, gene.splits, gene.proximal)


def posterior(
    cells: Cells, sets: PeakSets, fit: RegulationFit, g: int, *, heterogeneity: float = 1.0
) -> DecayPosterior:
    gene, grid = gene_of(cells, sets, g)
    return decay_posterior(
        working_around(gene.counts, cells.offset, fit.lite_log_rate[:, g].astype(float), float(fit.lite.theta[g])),
        grid,
        distance=gene.distance,
        splits=gene.splits,
        importance=gene.rates.std(axis=1),
        priors=Priors(),
        heterogeneity=heterogeneity,
    )


def brute_force(cells: Cells, gene: Gene, theta: float, *, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Log decay distances and the LITE log posterior with the weights, b and theta maximised by scipy at each pair."""
    work, slopes = np.empty((kernels.N_WORK, cells.n_cells)), np.empty(7)
    inputs = gene.inputs(cells.offset, np.zeros((0, cells.n_cells)), Priors().packed(theta_fixed=False))
    there = gene.movable[2:5]
    axis = np.linspace(*REACH, points)
    bounds = [*[(0, None) if t else (0, 0) for t in there], (None, None), (-4, 5)]
    level = math.log(gene.counts.sum() / np.exp(cells.offset).sum())
    starts = [there * 0.3, *(0.05 * there * row + 1e-3 * there for row in np.eye(3))]
    out = np.full((points, points), -np.inf)
    for u, v in np.ndindex(points, points):

        def loss(free: np.ndarray, at: tuple[float, float] = (axis[u], axis[v])) -> tuple[float, np.ndarray]:
            value = kernels.objective(np.array([*at, *free]), inputs, work, slopes)[0]
            return value, slopes[2:].copy()

        for start in starts:
            x = np.array([*start, level, math.log(theta)])
            out[u, v] = max(out[u, v], -optimize.minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds).fun)
    return axis, out


@pytest.mark.parametrize("g", GENES)
def test_mean_and_interval_equal_a_brute_force_profile(problem: tuple[Cells, PeakSets, RegulationFit], g: int) -> None:
    cells, sets, fit = problem
    gene, _ = gene_of(cells, sets, g)
    axis, log_density = brute_force(cells, gene, float(fit.lite.theta[g]), points=25)
    mass = np.exp(log_density - log_density.max())
    found = posterior(cells, sets, fit, g)
    for side in (0, 1):
        along = mass.sum(axis=1 - side) / mass.sum()
        if gene.movable[side] == 0:
            assert np.isnan([found.mean_kb[side], found.low_kb[side], found.high_kb[side]]).all()
            continue
        # nats: the likelihood is quadratic only around the estimate
        assert math.log(found.mean_kb[side]) == pytest.approx(along @ axis, abs=0.1)
        below = np.concatenate([[0.0], np.cumsum(along)])
        edges = np.concatenate([axis, axis[-1:] + axis[1] - axis[0]]) - (axis[1] - axis[0]) / 2
        low, high = np.interp([0.025, 0.975], below, edges)
        # the brute-force grid has steps of 0.28
        assert np.log([found.low_kb[side], found.high_kb[side]]) == pytest.approx([low, high], abs=0.28)


def test_sums_for_any_distance_follow_from_those_of_the_grid(problem: tuple[Cells, PeakSets, RegulationFit]) -> None:
    cells, sets, _ = problem
    compared = 0
    for g in range(len(sets.genes)):
        gene, grid = gene_of(cells, sets, g)
        for side, first, last in ((0, *gene.splits[:2]), (1, *gene.splits[2:])):
            columns = slice(side * (len(GRID_KB) + 1), side * (len(GRID_KB) + 1) + len(GRID_KB))
            if first == last:
                continue
            made = _Side.make(gene.distance[first:last], gene.rates[first:last].std(axis=1), grid, side, columns)
            decay = np.geomspace(0.7, 549, 60)
            direct = (
                np.exp2(-(gene.distance[first:last] - gene.distance[first]) / decay[:, None]) @ gene.rates[first:last]
            )
            direct = (direct - direct.mean(axis=1)[:, None]) / direct.std(axis=1)[:, None]
            # standard deviations
            assert np.abs(made.coefficients(decay) @ grid.features[columns] - direct).max() < 0.02
            compared += 1
    assert compared >= len(sets.genes)


@pytest.fixture(scope="module")
def planted() -> tuple[RegulationFit, np.ndarray]:
    """60 genes drawn from the priors of LITE, with known accessibility, fitted; and their log decay distances."""
    cells, sets, _, _ = small_problem(n_cells=500, n_genes=60, n_peaks=300, k=6, seed=3)
    rng = np.random.default_rng(8)
    log_decay = rng.normal(math.log(15), 1.2, (60, 2))
    counts = np.zeros((cells.n_cells, 60))
    for g in range(60):
        gene, _ = gene_of(cells, sets, g)
        kb = np.repeat([np.exp(log_decay[g, 0]), np.inf, np.exp(log_decay[g, 1])], np.diff(gene.splits))
        weight = np.repeat(np.abs(rng.normal(size=3)), np.diff(gene.splits)) * np.exp2(-gene.distance / kb)
        c = weight @ gene.rates
        rate = rng.lognormal(0, 0.5) * (c - c.mean()) / c.std() + rng.normal(0.5, 0.5)
        theta = rng.gamma(2.0, 2.0)
        counts[:, g] = rng.poisson(rng.gamma(theta, np.exp(np.minimum(rate + cells.offset, 7)) / theta))
    return fit_regulation(replace(cells, counts=sparse.csc_matrix(counts)), sets), log_decay


def test_intervals_hold_planted_distances_at_their_level(planted: tuple[RegulationFit, np.ndarray]) -> None:
    """About 120 distances: 0.95 within 99.9 % of the binomial distribution, 0.87 to 1."""
    fit, truth = planted
    there = np.isfinite(fit.decay_mean_kb)
    assert there.sum() >= 110
    inside = (np.log(fit.decay_low_kb) <= truth) & (truth <= np.log(fit.decay_high_kb))
    assert inside[there].mean() >= 0.87
    # the intervals say something: on average clearly shorter than the prior's
    width = np.log(fit.decay_high_kb / fit.decay_low_kb)[there]
    assert width.mean() < 0.8 * 2 * 1.96 * 1.2


def test_mean_is_nearer_to_planted_distances_than_the_maximum(planted: tuple[RegulationFit, np.ndarray]) -> None:
    fit, truth = planted
    there = np.isfinite(fit.decay_mean_kb)

    def error(kb: np.ndarray) -> float:
        return float(np.sqrt(np.mean((np.log(kb) - truth)[there] ** 2)))

    assert error(fit.decay_mean_kb) < error(fit.lite.decay_kb)
    assert error(fit.decay_mean_kb) < 0.8 * float(np.sqrt(np.mean((math.log(15) - truth)[there] ** 2)))


def test_without_information_the_prior_remains(problem: tuple[Cells, PeakSets, RegulationFit]) -> None:
    """Likelihood divided by a huge factor: mean 15 kb, interval of a normal density cut where the grid ends."""
    cells, sets, fit = problem
    found = posterior(cells, sets, fit, 0, heterogeneity=1e9)
    assert np.log(found.mean_kb) == pytest.approx([math.log(15)] * 2, abs=0.05)
    cut = stats.truncnorm((REACH[0] - math.log(15)) / 1.2, 3, loc=math.log(15), scale=1.2)
    assert np.log(found.low_kb) == pytest.approx([cut.ppf(0.025)] * 2, abs=0.1)
    assert np.log(found.high_kb) == pytest.approx([cut.ppf(0.975)] * 2, abs=0.1)


def test_heterogeneity_is_the_statistic_over_its_degrees_of_freedom() -> None:
    assert heterogeneity_factor(30.0, 7) == pytest.approx(5.0)
    assert heterogeneity_factor(2.0, 7) == 1.0
    assert heterogeneity_factor(-0.1, 1) == 1.0


def test_stage_result_uses_the_lack_of_fit(problem: tuple[Cells, PeakSets, RegulationFit]) -> None:
    cells, sets, fit = problem
    for g in GENES:
        factor = heterogeneity_factor(float(fit.gene_statistic[g]), cells.topics.shape[1])
        found = posterior(cells, sets, fit, g, heterogeneity=factor)
        assert fit.decay_mean_kb[g] == pytest.approx(found.mean_kb, rel=1e-3, nan_ok=True)
        assert fit.decay_low_kb[g] == pytest.approx(found.low_kb, rel=1e-3, nan_ok=True)
        assert fit.decay_high_kb[g] == pytest.approx(found.high_kb, rel=1e-3, nan_ok=True)


def test_a_set_without_peaks_has_no_distance(problem: tuple[Cells, PeakSets, RegulationFit]) -> None:
    cells, sets, _ = problem
    index, distance, region = sets.of(0)
    assert len({*region.tolist()}) > 1
    only = replace(
        take_genes(sets, np.array([0])),
        indptr=np.array([0, int((region == 2).sum())]),
        peak=index[region == 2],
        distance=distance[region == 2],
        region=region[region == 2],
    )
    fit = fit_regulation(replace(cells, counts=cells.counts[:, [0]]), only)
    assert np.isnan(fit.decay_mean_kb[0]).tolist() == [True, False]
    assert np.isnan(fit.decay_low_kb[0]).tolist() == [True, False]
    assert fit.decay_low_kb[0, 1] < fit.decay_mean_kb[0, 1] < fit.decay_high_kb[0, 1]
