"""LITE and NITE against a plain, slow rewriting of the methods' formulas and scipy's optimiser."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, sparse, stats
from scipy.special import logsumexp

from mira_nb.core.regulation import kernels
from mira_nb.core.regulation.fit import AT_BOUND, OK, RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.model import Cells, PeakRates, Priors, expression_normalizer
from mira_nb.core.regulation.null_distribution import fit_null
from mira_nb.core.regulation.scores import (
    NullDraw,
    chromatin_differential,
    nite_score,
    simulate_lite,
    simulate_null,
    take_genes,
)
from mira_nb.core.regulation.search import FitOptions, tail_counts
from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import Cancelled, InputError
from tests.core.regulation_data import small_problem


@pytest.fixture(scope="module")
def problem() -> tuple[Cells, PeakSets]:
    cells, sets, _, _ = small_problem()
    return cells, sets


@pytest.fixture(scope="module")
def fitted(problem: tuple[Cells, PeakSets]) -> RegulationFit:
    return fit_regulation(*problem)


def plain_model(
    cells: Cells, sets: PeakSets, g: int, *, a: np.ndarray, decay: np.ndarray, gamma: float, bias: float, theta: float,
    a_topics: np.ndarray | None, priors: Priors,
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    """Cell by cell as in the Extended Methods: log rate, log likelihood of each cell, log prior."""
    index, distance, region = sets.of(g)
    logits = [[float(z @ w + c) for w, c in zip(*_affine(cells.decoder), strict=True)] for z in cells.topics]
    rho = np.exp(np.array(logits) - logsumexp(logits, axis=1)[:, None])
    c = np.zeros(cells.n_cells)
    for i in range(cells.n_cells):
        for peak, d, eta in zip(index, distance, region, strict=True):
            half = {0: decay[0], 1: math.inf, 2: decay[1]}[int(eta)]
            c[i] += a[eta] * 1e4 * rho[i, peak] * 2.0 ** (-(d / 1000) / half)
        if a_topics is not None:
            c[i] += float(a_topics @ cells.topics[i])
    lam = gamma * (c - c.mean()) / c.std() + bias
    mean = np.exp(cells.log_depth) * np.exp(lam) / np.exp(cells.log_normalizer)
    counts = cells.counts[:, [g]].toarray().ravel()
    likelihood = stats.nbinom.logpmf(counts, theta, theta / (theta + mean))
    sets_there = {int(eta) for eta in region}
    prior = stats.norm.logpdf(math.log(gamma), priors.gamma_log_mean, priors.gamma_log_sd)
    prior += stats.norm.logpdf(bias, 0, priors.bias_sd)
    prior -= stats.norm.logpdf(0, 0, priors.gamma_log_sd) + stats.norm.logpdf(0, 0, priors.bias_sd)
    for eta, half in ((0, decay[0]), (2, decay[1])):
        if eta in sets_there:
            prior -= 0.5 * (math.log(half / priors.decay_median_kb) / priors.decay_log_sd) ** 2
    if a_topics is None:
        prior += (priors.theta_shape - 1) * math.log(theta) - priors.theta_rate * theta
    return lam, likelihood, prior


def _affine(decoder: Decoder) -> tuple[np.ndarray, np.ndarray]:
    scale = decoder.gamma / np.sqrt(decoder.bn_var + decoder.eps)
    return (decoder.beta * scale).T, decoder.bias - decoder.bn_mean * scale


@pytest.mark.parametrize("model", ["lite", "nite"])
@pytest.mark.parametrize("g", [0, 1, 5])
def test_reported_parameters_give_the_reported_likelihood(
    problem: tuple[Cells, PeakSets], fitted: RegulationFit, g: int, model: str
) -> None:
    cells, sets = problem
    fits = getattr(fitted, model)
    topics = None if fits.a_topics is None else fits.a_topics[g]
    lam, likelihood, prior = plain_model(
        cells, sets, g, a=np.nan_to_num(fits.a[g]), decay=fits.decay_kb[g], gamma=fits.gamma[g], bias=fits.bias[g],
        theta=fits.theta[g], a_topics=topics, priors=Priors(),
    )  # fmt: skip
    assert np.allclose(getattr(fitted, f"{model}_log_rate")[:, g], lam, rtol=1e-5, atol=1e-5)
    assert fits.log_likelihood[g] == pytest.approx(likelihood.sum(), rel=1e-6)
    assert fits.log_posterior[g] == pytest.approx(likelihood.sum() + prior, rel=1e-6)


def test_nite_keeps_the_dispersion_and_scores_follow(problem: tuple[Cells, PeakSets], fitted: RegulationFit) -> None:
    assert np.allclose(fitted.nite.theta, fitted.lite.theta)
    statistic = 2 * (fitted.nite.log_likelihood - fitted.lite.log_likelihood)
    assert np.allclose(fitted.gene_statistic, statistic, rtol=1e-8, atol=1e-8)
    assert fitted.cell_statistic.sum() == pytest.approx(statistic.sum())
    expressing = np.asarray((problem[0].counts > 0).sum(axis=0)).ravel()
    expected = [s / (1 + n / np.median(expressing)) for s, n in zip(statistic, expressing, strict=True)]
    assert np.allclose(nite_score(fitted.gene_statistic, fitted.n_expressing), expected)
    differential = chromatin_differential(fitted.lite_log_rate, fitted.nite_log_rate)
    ratio = np.exp(fitted.lite_log_rate) / np.exp(fitted.nite_log_rate)
    assert np.allclose(differential, np.log(ratio), atol=1e-5)


def test_topic_genes_score_above_genes_that_follow_their_peaks(fitted: RegulationFit) -> None:
    score = nite_score(fitted.gene_statistic, fitted.n_expressing)
    assert np.median(score[1::2]) > 5 * np.median(score[0::2])


def kernel_inputs(cells: Cells, sets: PeakSets, g: int, *, nite: bool) -> tuple[kernels.Inputs, np.ndarray]:
    index, distance, region = sets.of(g)
    rates = np.ascontiguousarray(cells.decoder.composition(cells.topics, index).T * 1e4)
    splits = np.concatenate([[0], np.cumsum([(region == eta).sum() for eta in range(3)])]).astype(np.int64)
    near = rates[splits[1] : splits[2]].sum(axis=0)
    near = near - near.mean()
    near = near / near.std() if near.std() > 0 else near
    counts = cells.counts[:, [g]].toarray().ravel()
    topics = (
        np.ascontiguousarray((cells.topics - cells.topics.mean(axis=0)).T) if nite else np.zeros((0, cells.n_cells))
    )
    prior = Priors().packed(theta_fixed=nite)
    inputs = kernels.Inputs(
        rates, distance / 1e3, splits, near, counts, cells.offset, tail_counts(counts), topics, prior
    )
    return inputs, np.empty((kernels.N_WORK, cells.n_cells))


@pytest.mark.parametrize("nite", [False, True])
@pytest.mark.parametrize("g", range(4))
def test_gradient_equals_finite_differences(problem: tuple[Cells, PeakSets], g: int, nite: bool) -> None:
    cells, sets = problem
    inputs = kernel_inputs(cells, sets, g, nite=nite)
    rng = np.random.default_rng(g)
    x = np.array([2.0, 3.0, 0.4, 0.2, 0.5, 0.2, 0.8, *rng.normal(0, 0.4, len(inputs[0].topics))])
    slopes = np.empty(len(x))
    kernels.objective(x, *inputs, slopes)

    def value(at: np.ndarray) -> float:
        return kernels.objective(at, *inputs, np.empty(len(x)))[0]

    numeric = optimize.approx_fprime(x, value, 1e-6)
    if nite:
        numeric[6] = 0.0
    assert np.allclose(slopes, numeric, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("model", ["lite", "nite"])
def test_map_is_at_least_as_high_as_scipy_from_five_starts(
    problem: tuple[Cells, PeakSets], fitted: RegulationFit, model: str
) -> None:
    """scipy's L-BFGS-B on the same posterior; all genes, five random starts each."""
    cells, sets = problem
    rng = np.random.default_rng(5)
    fits = getattr(fitted, model)
    for g in range(len(sets.genes)):
        inputs = kernel_inputs(cells, sets, g, nite=model == "nite")
        size = 7 + len(inputs[0].topics)
        there = np.diff(inputs[0].splits) > 0
        bounds = [(-3, 8), (-3, 8), *[(0, None) if t else (0, 0) for t in there], (None, None), (-4, 5)]
        bounds += [(None, None)] * (size - 7)

        def loss(x: np.ndarray, inputs: tuple = inputs, size: int = size) -> tuple[float, np.ndarray]:
            slopes = np.empty(size)
            return kernels.objective(x, *inputs, slopes)[0], slopes

        best = math.inf
        for _ in range(5):
            start = np.array(
                [*rng.normal(2.7, 0.8, 2), *(rng.uniform(0.1, 0.8, 3) * there), rng.normal(0, 0.5),
                 math.log(fitted.lite.theta[g]), *rng.normal(0, 0.2, size - 7)]
            )  # fmt: skip
            if model == "nite":
                bounds[6] = (start[6], start[6])
            best = min(best, optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).fun)
        index, _, region = sets.of(g)
        constant = float(np.sum([math.lgamma(y + 1) for y in inputs[0].counts]))
        assert fits.log_posterior[g] >= -best - constant - 1e-3 - 1e-6 * abs(best), (g, index.shape, region)


def test_result_does_not_depend_on_threads_or_company(problem: tuple[Cells, PeakSets], fitted: RegulationFit) -> None:
    cells, sets = problem
    some = np.array([3, 0])
    part = fit_regulation(replace(cells, counts=cells.counts[:, some]), take_genes(sets, some), n_threads=1)
    assert np.array_equal(part.gene_statistic, fitted.gene_statistic[some])
    assert np.array_equal(part.lite.a, fitted.lite.a[some], equal_nan=True)
    assert np.array_equal(part.decay_mean_kb, fitted.decay_mean_kb[some], equal_nan=True)


def test_genes_without_a_model_carry_a_reason(problem: tuple[Cells, PeakSets]) -> None:
    cells, sets = problem
    counts = sparse.lil_matrix(cells.counts)
    counts[:, 2] = 0
    counts[0, 6] = 3e9
    without = take_genes(sets, np.arange(len(sets.genes)))
    status = without.status.copy()
    status[4] = "no transcription start site"
    found = fit_regulation(replace(cells, counts=sparse.csc_matrix(counts)), replace(without, status=status))
    assert found.status[2] == "expressed in 0 cells, fewer than 10"
    assert found.status[4] == "no transcription start site"
    assert found.status[6] == "a cell has 3,000,000,000 counts, more than 100,000"
    assert np.isnan(found.lite.gamma[[2, 4, 6]]).all()
    assert np.isnan(found.decay_mean_kb[[2, 4, 6]]).all()
    assert np.isnan(found.lite_log_rate[:, [2, 4, 6]]).all()
    assert np.delete(found.fitted, [2, 4, 6]).all()
    assert not found.fitted[[2, 4, 6]].any()


def test_simulated_counts_stay_bounded_where_a_model_extrapolates(
    problem: tuple[Cells, PeakSets], fitted: RegulationFit
) -> None:
    cells, _ = problem
    rate = fitted.lite_log_rate.copy()
    rate[0] = 40.0
    drawn = simulate_lite(replace(fitted, lite_log_rate=rate), cells, np.arange(3), np.random.default_rng(0)).toarray()
    most = 10 * cells.counts.max(axis=0).toarray().ravel()[:3] + 10
    assert (drawn <= most).all()
    assert (drawn[0] > 0.8 * most).all()


def test_wrong_shapes_are_refused_and_cancelling_works(problem: tuple[Cells, PeakSets]) -> None:
    cells, sets = problem
    with pytest.raises(InputError, match="shape"):
        fit_regulation(replace(cells, counts=cells.counts[:, :3]), sets)

    def stop(fraction: float, message: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        fit_regulation(cells, sets, progress=stop)


def test_null_is_calibrated_on_genes_simulated_under_lite(
    problem: tuple[Cells, PeakSets], fitted: RegulationFit
) -> None:
    cells, sets = problem
    simulated = simulate_null(fitted, cells, sets, draw=NullDraw(np.random.default_rng(3), n_genes=240))
    null = fit_null(simulated.statistic, n_topics=cells.topics.shape[1])
    # 240 genes: the 99.9 % range of a binomial proportion around 0.05
    assert 0.01 <= null.null_rate <= 0.105
    assert null.pvalue(np.array([0.0, 1e6, np.nan])) == pytest.approx([1.0, 0.0, np.nan], nan_ok=True)


def test_fits_for_the_null_leave_the_decay_posterior_out(
    problem: tuple[Cells, PeakSets], fitted: RegulationFit
) -> None:
    cells, sets = problem
    found = fit_regulation(cells, sets, posterior=False)
    assert np.isnan(found.decay_mean_kb).all()
    np.testing.assert_array_equal(found.gene_statistic, fitted.gene_statistic)


def test_normaliser_does_not_depend_on_the_gauge_of_the_decoder() -> None:
    rng = np.random.default_rng(0)
    topics = rng.dirichlet(np.ones(3), 50)
    decoder = Decoder(rng.normal(size=(3, 40)), np.zeros(40), np.ones(40), np.ones(40), rng.normal(size=40), eps=0.0)
    moved = replace(decoder, beta=decoder.beta + rng.normal(size=(3, 1)))
    assert np.allclose(decoder.composition(topics), moved.composition(topics))
    assert np.allclose(expression_normalizer(decoder, topics), expression_normalizer(moved, topics))
    assert not np.allclose(
        expression_normalizer(decoder, topics, gauge="model"), expression_normalizer(moved, topics, gauge="model")
    )


@pytest.mark.parametrize("weight", [0.01, 0.0])
def test_a_side_without_a_near_peak_cannot_vanish(weight: float) -> None:
    """Expression follows the nearest of a few far peaks, which only a vanishing decay distance isolates."""
    rng = np.random.default_rng(2)
    cells, _, _, _ = small_problem(n_genes=1, n_cells=600)
    rates = PeakRates(cells.decoder, cells.topics, cells.peak_normalizer).block(np.arange(40))
    wanted = 3
    against = np.argsort(np.corrcoef(rates)[wanted])[:12]
    rate = (rates[wanted] - rates[wanted].mean()) / rates[wanted].std()
    counts = rng.poisson(np.exp(cells.offset + rate))[:, None]
    peaks = np.array([wanted, *against])
    distance = np.array([20_000.0, *np.linspace(22_000, 60_000, 12)])
    zeros = np.zeros(1, dtype=np.int64)
    sets = PeakSets(
        ("g",), np.array([0, len(peaks)]), peaks, distance, np.zeros(len(peaks), dtype=np.int8),
        np.array(["chr1"], dtype=object), zeros, np.array(["+"], dtype=object), zeros, zeros, zeros.astype(bool),
        np.array(["ok"], dtype=object),
    )  # fmt: skip
    fit = fit_regulation(
        replace(cells, counts=sparse.csc_matrix(counts, dtype=float)), sets, options=FitOptions(nearest_weight=weight)
    )
    least = 20.0 / np.log2(1 / 0.01)
    decay = fit.lite.decay_kb[0, 0]
    if weight:
        assert decay == pytest.approx(least, rel=1e-5)
        assert fit.status[0] == AT_BOUND
    else:
        assert decay < 0.7 * least
        assert fit.status[0] == OK
    assert fit.fitted[0]
