"""In-silico deletion against a plain rewriting of the methods, cell by cell and factor by factor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse, stats

from mira_nb.core.regulation.deletion import Sampling, delete_factors, driver_test, quantile_normalise, stratified_cells
from mira_nb.core.regulation.fit import RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.model import Cells
from mira_nb.core.regulation.scores import take_genes
from mira_nb.errors import InputError
from tests.core.regulation_data import small_problem


@pytest.fixture(scope="module")
def problem() -> tuple[Cells, PeakSets, RegulationFit, sparse.csr_matrix]:
    cells, sets, _, _ = small_problem()
    rng = np.random.default_rng(4)
    hits = sparse.random(cells.decoder.n_features, 15, density=0.15, format="csr", random_state=rng)
    hits = sparse.hstack([hits, np.ones((cells.decoder.n_features, 1)), np.zeros((cells.decoder.n_features, 1))])
    return cells, sets, fit_regulation(cells, sets), sparse.csr_matrix(hits)


def plain_quantiles(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The k-th smallest value becomes the k-th smallest target; equal values share the mean."""
    ordered = sorted(target)
    out = np.empty(len(values))
    for i, value in enumerate(values):
        places = [k for k, other in enumerate(sorted(values)) if other == value]
        out[i] = np.mean([ordered[k] for k in places])
    return out


def test_quantile_normalisation() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=30)
    for values in (rng.normal(size=30), rng.integers(0, 5, 30).astype(float), np.zeros(30)):
        assert np.allclose(quantile_normalise(values, target), plain_quantiles(values, target))


def plain_score(cells: Cells, sets: PeakSets, fit: RegulationFit, g: int, sites: np.ndarray) -> float:
    index, distance, region = sets.of(g)
    rho = cells.decoder.composition(cells.topics)[:, index] * 1e4
    lite = fit.lite
    weight = [
        np.nan_to_num(lite.a[g])[eta]
        * (1.0 if eta == 1 else 2 ** (-(d / 1e3) / lite.decay_kb[g][0 if eta == 0 else 1]))
        for d, eta in zip(distance, region, strict=True)
    ]
    keep = ~sites[index]
    c = np.array([sum(w * r for w, r in zip(weight, row, strict=True)) for row in rho])
    masked = np.array([sum(w * r for w, r, k in zip(weight, row, keep, strict=True) if k) for row in rho])
    counts = cells.counts[:, [g]].toarray().ravel()
    total = []
    for values in (plain_quantiles(masked, c), c):
        lam = lite.gamma[g] * (values - lite.bn_mean[g]) / lite.bn_sd[g] + lite.bias[g]
        mean = np.exp(lam + cells.log_depth - cells.log_normalizer)
        theta = lite.theta[g]
        total.append(stats.nbinom.logpmf(counts, theta, theta / (theta + mean)).sum())
    return -2 * (total[0] - total[1])


@pytest.mark.parametrize("g", [0, 1, 6])
def test_scores_equal_the_plain_formula(
    problem: tuple[Cells, PeakSets, RegulationFit, sparse.csr_matrix], g: int
) -> None:
    cells, sets, fit, hits = problem
    found = delete_factors(cells, sets, fit.lite, hits, sampling=Sampling(10_000))
    dense = hits.toarray() != 0
    for factor in (0, 3, 7, 15):
        expected = plain_score(cells, sets, fit, g, dense[:, factor])
        assert found.scores[g, factor] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert found.scores[g, 16] == 0.0
    assert found.n_sites[g, 15] == sets.n_peaks[g]


def test_scores_depend_on_nothing_but_gene_and_seed(
    problem: tuple[Cells, PeakSets, RegulationFit, sparse.csr_matrix],
) -> None:
    cells, sets, fit, hits = problem
    whole = delete_factors(cells, sets, fit.lite, hits, sampling=Sampling(100, seed=1), n_threads=2)
    again = delete_factors(cells, sets, fit.lite, hits, sampling=Sampling(100, seed=1), n_threads=1)
    other = delete_factors(cells, sets, fit.lite, hits, sampling=Sampling(100, seed=2))
    assert np.array_equal(whole.scores, again.scores)
    assert not np.array_equal(whole.scores, other.scores)
    assert (whole.n_cells == 100).all()
    some = np.array([5])
    one = fit_regulation(replace(cells, counts=cells.counts[:, some]), take_genes(sets, some))
    part = replace(cells, counts=cells.counts[:, some])
    alone = delete_factors(part, take_genes(sets, some), one.lite, hits, sampling=Sampling(100, seed=1))
    assert np.allclose(alone.scores[0], whole.scores[5], rtol=1e-6)


def test_hits_of_other_peaks_are_refused(problem: tuple[Cells, PeakSets, RegulationFit, sparse.csr_matrix]) -> None:
    cells, sets, fit, hits = problem
    with pytest.raises(InputError, match="peaks"):
        delete_factors(cells, sets, fit.lite, hits[:-1])


@pytest.mark.parametrize("n_bins", [1, 5, 20])
def test_stratified_sample(n_bins: int) -> None:
    rng = np.random.default_rng(0)
    expression = np.where(rng.random(3000) < 0.9, 0.0, rng.gamma(2.0, 1.0, 3000))
    chosen = stratified_cells(expression, n_cells=600, n_bins=n_bins, generator=np.random.default_rng(1))
    assert len(chosen) == len(set(chosen)) == 600
    assert np.array_equal(chosen, np.sort(chosen))
    if n_bins > 1:
        assert (expression[chosen] > 0).mean() > 1.5 * (expression > 0).mean()
    value = expression + expression.mean()
    order = np.argsort(-value, kind="stable")
    first = order[: int(np.searchsorted(np.cumsum(value[order]), value.sum() / n_bins))]
    expected = min(len(first), 600 // n_bins)
    assert np.isin(chosen, first).sum() >= expected - 2
    assert np.array_equal(stratified_cells(expression, n_cells=4000, n_bins=5, generator=rng), np.arange(3000))


def test_stratified_sample_of_a_gene_without_counts() -> None:
    chosen = stratified_cells(np.zeros(100), n_cells=30, n_bins=20, generator=np.random.default_rng(0))
    assert len(set(chosen)) == 30


def test_driver_test_equals_scipy() -> None:
    rng = np.random.default_rng(2)
    scores = rng.gamma(1.0, 1.0, (60, 9)).round(1)
    scores[50] = np.nan
    query = np.arange(60) < 17
    scores[:17, 4] += 1.5
    found = driver_test(scores, query, names=[f"f{i}" for i in range(9)])
    background = ~query & ~np.isnan(scores[:, 0])
    for j in range(9):
        test = stats.mannwhitneyu(scores[query, j], scores[background, j], alternative="greater", method="asymptotic")
        assert found["pvalue"].iloc[j] == pytest.approx(test.pvalue, rel=1e-9)
        assert found["statistic"].iloc[j] == test.statistic
    assert np.allclose(found["adj_pvalue"], stats.false_discovery_control(found["pvalue"]))
    assert found.index[found["pvalue"].argmin()] == "f4"
    assert set(found["n_background"]) == {42}
    assert math.isclose(found["n_query"].iloc[0], 17)
    with pytest.raises(InputError, match="query"):
        driver_test(scores, np.zeros(60, bool))
