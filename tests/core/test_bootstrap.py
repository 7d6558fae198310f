"""Bootstrapped accessibility: against scipy's maximum, at the limits of depth, and what it does to the null of NITE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, sparse, stats

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.regulation.bootstrap import _design, _Problem, bootstrap_accessibility
from mira_nb.core.regulation.fit import fit_regulation
from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.model import Cells, PeakRates, peak_weights
from mira_nb.core.regulation.null_distribution import fit_null
from mira_nb.core.regulation.scores import NullDraw, simulate_null
from tests.core.regulation_data import small_problem


@pytest.fixture(scope="module")
def problem() -> tuple[Cells, PeakSets]:
    cells, sets, _, _ = small_problem(n_genes=60, n_peaks=300)
    return cells, sets


def log_rates(cells: Cells, peaks: np.ndarray) -> np.ndarray:
    rates = np.log(PeakRates(cells.decoder, cells.topics, cells.peak_normalizer).block(peaks))
    return rates - rates.mean(axis=1, keepdims=True)


def test_estimate_is_the_maximum_of_the_penalised_likelihood(problem: tuple[Cells, PeakSets]) -> None:
    cells, _ = problem
    design, back, middle = _design(cells.topics)
    assert np.allclose(np.cov(design[:, 1:].T, bias=True), np.eye(design.shape[1] - 1))
    common = np.argsort(-cells.decoder.composition(cells.topics).mean(axis=0))[:5]
    weights, offset = (part[..., common] for part in cells.decoder.affine())
    truth = np.vstack([offset + middle @ weights, np.linalg.pinv(back) @ weights])
    assert np.allclose(design @ truth, cells.topics @ weights + offset), "the design spans the decoder"
    exposure = 30.0 * np.exp(-cells.peak_normalizer)
    drawn = _Problem.draw(design, exposure, truth, np.random.default_rng(1), Workers(2))
    information = np.einsum("na,np,nb->pab", design, exposure[:, None] * np.exp(design @ truth), design)
    assert np.allclose(drawn.information, information)
    found = drawn.solve(3.0)
    for peak in range(5):
        assert drawn.drawn[peak].sum() > 5

        def loss(x: np.ndarray, y: np.ndarray = drawn.drawn[peak]) -> float:
            eta = design @ x
            return float((exposure * np.exp(eta)).sum() - y @ eta + 1.5 * (x[1:] ** 2).sum())

        best = optimize.minimize(loss, truth[:, peak], options={"gtol": 1e-8})
        assert np.allclose(found[:, peak], best.x, atol=2e-3)


def test_many_cells_give_the_fitted_accessibility_back(problem: tuple[Cells, PeakSets]) -> None:
    """The error falls with the open cells, only the peaks asked for change, and the same seed gives the same draw."""
    cells, _ = problem
    peaks, error = np.arange(0, 300, 3), []
    others = np.setdiff1d(np.arange(300), peaks)
    for times in (1, 10, 100):
        data = replace(
            cells, topics=np.tile(cells.topics, (times, 1)), peak_normalizer=np.tile(cells.peak_normalizer, times)
        )
        n_open = np.full(data.n_cells, 15)
        again, twin = (
            bootstrap_accessibility(data, n_open, peaks, generator=np.random.default_rng(0), n_threads=n)
            for n in (1, 2)
        )
        assert np.array_equal(twin.decoder.beta, again.decoder.beta)
        new = replace(data, decoder=again.decoder)
        error.append(float(np.sqrt(np.mean((log_rates(new, peaks) - log_rates(data, peaks)) ** 2))))
        assert np.allclose(log_rates(new, others), log_rates(data, others))
    # ten times the cells: the error falls by about sqrt(10)
    assert error[1] < error[0] / 1.8
    assert error[2] == pytest.approx(error[1] / np.sqrt(10), rel=0.3)


def test_new_weights_vary_as_much_as_the_old(problem: tuple[Cells, PeakSets]) -> None:
    """The prior holds back noise, the more the fewer cells are open."""
    cells, _ = problem
    peaks, precision = np.arange(300), []
    design, back, middle = _design(cells.topics)
    weights, offset = cells.decoder.affine()
    truth = np.vstack([offset + middle @ weights, np.linalg.pinv(back) @ weights])
    for depth in (60, 12):
        n_open = np.full(cells.n_cells, depth)
        again = bootstrap_accessibility(cells, n_open, peaks, generator=np.random.default_rng(2))
        count = (n_open[:, None] * cells.decoder.composition(cells.topics)).sum(axis=0)
        new = np.linalg.pinv(back) @ again.decoder.affine()[0]
        assert float(count @ (new**2).sum(0)) == pytest.approx(float(count @ (truth[1:] ** 2).sum(0)), rel=0.15)
        precision.append(again.precision)
    exposure = 12 * np.exp(-cells.peak_normalizer)
    free = _Problem.draw(design, exposure, truth, np.random.default_rng(2), Workers(1)).solve(0.0)
    assert float(count @ (free[1:] ** 2).sum(0)) > 1.3 * float(count @ (truth[1:] ** 2).sum(0))
    assert precision[1] > 0.1


def test_null_allows_for_errors_of_accessibility(problem: tuple[Cells, PeakSets]) -> None:
    """Genes follow true accessibility, but an estimate is known: taken as exact, it makes them NITE."""
    true, sets = problem
    rng = np.random.default_rng(5)
    n_open = np.full(true.n_cells, 30)
    rates = PeakRates(true.decoder, true.topics, true.peak_normalizer)
    columns = []
    for g in range(len(sets.genes)):
        peaks, distance, region = sets.of(g)
        c = peak_weights(distance, region, np.ones(3), np.array([15.0, 15.0])) @ rates.block(peaks)
        mean = np.exp(true.offset + (c - c.mean()) / c.std() + 0.5)
        columns.append(rng.poisson(rng.gamma(4.0, mean / 4.0)))
    estimate = bootstrap_accessibility(true, n_open, np.arange(300), generator=rng).decoder
    cells = replace(true, decoder=estimate, counts=sparse.csc_matrix(np.column_stack(columns), dtype=float))
    fit = fit_regulation(cells, sets)
    rejected = {}
    for name, depth in (("exact", None), ("estimated", n_open)):
        simulated = simulate_null(fit, cells, sets, draw=NullDraw(np.random.default_rng(6), n_genes=120, n_open=depth))
        null = fit_null(simulated.statistic, n_topics=cells.topics.shape[1])
        rejected[name] = float((null.pvalue(fit.gene_statistic) < 0.05).mean())
        assert 0 <= simulated.unexplained.min() <= simulated.unexplained.max() <= 1
    assert rejected["exact"] > 0.4
    # the 99.9 % range of 60 genes at 0.05
    assert rejected["estimated"] <= stats.binom.ppf(0.999, 60, 0.05) / 60


def test_null_is_drawn_among_the_genes_asked_for(problem: tuple[Cells, PeakSets]) -> None:
    cells, sets = problem
    fit = fit_regulation(cells, sets)
    some = np.arange(60) % 2 == 0
    few = simulate_null(fit, cells, sets, draw=NullDraw(np.random.default_rng(1), n_genes=40, among=some))
    silent = replace(fit, status=np.where(some, fit.status, "left out").astype(object))
    same = simulate_null(silent, cells, sets, draw=NullDraw(np.random.default_rng(1), n_genes=40))
    assert np.array_equal(few.statistic, same.statistic)
    none = NullDraw(np.random.default_rng(1), among=np.zeros_like(some))
    assert len(simulate_null(fit, cells, sets, draw=none).statistic) == 0
