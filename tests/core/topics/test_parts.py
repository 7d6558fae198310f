"""Closed forms: prior, schedules, residuals, elementary functions, batches, settings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numba import njit
from scipy import sparse, special, stats

from mira_nb.core.numerics import single as numerics
from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.data import CellData, check_counts, column_totals, equal_batches, pooled_shares
from mira_nb.core.topics.decoder import Decoder
from mira_nb.core.topics.kernels.embedding import to_columns
from mira_nb.core.topics.prior import alpha_log_moments, laplace_moments
from mira_nb.core.topics.residuals import deviance_residuals
from mira_nb.core.topics.schedule import Course, kl_weight, one_cycle
from mira_nb.core.topics.settings import Modality, TopicSettings, learning_rates, topics_for_size
from mira_nb.core.topics.shrinkage import held_out_power, shrinkage_factors
from mira_nb.errors import InputError, ParameterError


@pytest.mark.parametrize("k", [2, 7, 30])
@pytest.mark.parametrize("j", [5.0, 50.0])
def test_log_normal_has_the_moments_of_the_gamma(k, j):
    loc, scale = alpha_log_moments(k, j)
    gamma = stats.gamma(2, scale=j / (2 * k))
    log_normal = stats.lognorm(scale, scale=math.exp(loc))
    assert log_normal.mean() == pytest.approx(gamma.mean())
    assert log_normal.var() == pytest.approx(gamma.var())


def test_laplace_moments_by_the_hessian_of_the_dirichlet_in_softmax_coordinates():
    """ProdLDA's diagonal is that of the inverse Hessian of -log Dirichlet(softmax z), projected to sum zero."""
    alpha = np.array([0.7, 2.0, 5.0, 1.3])
    k, total = len(alpha), alpha.sum()
    mean, variance = laplace_moments(alpha, "prodlda")
    np.testing.assert_allclose(special.softmax(mean), alpha / total)
    assert abs(mean.sum()) < 1e-12
    mode = alpha / total
    hessian = total * (np.diag(mode) - np.outer(mode, mode))
    np.testing.assert_allclose(np.diag(np.linalg.pinv(hessian)), _projected(alpha, k), rtol=1e-10)
    np.testing.assert_allclose(variance, _projected(alpha, k), rtol=1e-12)
    _, paper = laplace_moments(alpha, "laplace")
    np.testing.assert_allclose(paper, 1 / alpha * (1 - 2 / k) + 1 / (k * alpha))
    for name in ("laplace", "prodlda"):
        tensors = laplace_moments(torch.tensor(alpha), name)
        for found, wanted in zip(tensors, laplace_moments(alpha, name), strict=True):
            np.testing.assert_allclose(found.numpy(), wanted)


def _projected(alpha, k):
    """Diagonal of P diag(1 / alpha) P with P = I - 11'/k."""
    p = np.eye(k) - 1 / k
    return np.diag(p @ np.diag(1 / alpha) @ p)


def test_one_cycle_peaks_at_a_third_and_ends_near_zero():
    for anneal in ("cosine", "linear"):
        rates = [one_cycle(s, 301, 1e-3, 1e-2, peak_at=1 / 3, anneal=anneal) for s in range(301)]
        assert rates[0] == pytest.approx(1e-3)
        assert int(np.argmax(rates)) == 100
        assert max(rates) == pytest.approx(1e-2)
        assert rates[-1] == pytest.approx(1e-6)
        assert (np.diff(rates[:101]) > 0).all()
        assert (np.diff(rates[100:]) < 0).all()
    assert one_cycle(50, 301, 1e-3, 1e-2, peak_at=1 / 3, anneal="linear") == pytest.approx(5.5e-3)


def test_course_follows_both_schedules_and_can_be_shortened():
    settings = TopicSettings()
    course = Course(90, 1e-3, 1e-2, settings)
    made = np.array([course.next() for _ in range(60)])
    expected = [
        (one_cycle(s, 90, 1e-3, 1e-2, peak_at=1 / 3, anneal="cosine"), kl_weight(s, 90, "linear")) for s in range(60)
    ]
    np.testing.assert_allclose(made, expected)
    course.end_in(40)
    assert (course.left, course.shortened) == (30, False)
    course.end_in(10)
    assert (course.left, course.shortened) == (10, True)
    rest = np.array([course.next() for _ in range(10)])
    assert course.left == 0
    # goes on from where it was, down to the end of the whole schedule
    assert rest[0, 0] == pytest.approx(one_cycle(60, 90, 1e-3, 1e-2, peak_at=1 / 3, anneal="cosine"))
    assert (np.diff(rest[:, 0]) < 0).all()
    assert rest[-1, 0] == pytest.approx(1e-6)
    assert (rest[:, 1] == 1).all()


def test_kl_weight_is_one_from_the_middle_on():
    weights = np.array([kl_weight(s, 101, "linear") for s in range(101)])
    np.testing.assert_allclose(weights[:51], np.arange(51) / 50)
    assert (weights[50:] == 1).all()
    cyclic = np.array([kl_weight(s, 300, "cyclic") for s in range(300)])
    assert [cyclic[i] for i in (0, 100, 200)] == pytest.approx([0, 0, 0], abs=1e-9)
    assert cyclic[[50, 99, 150, 250, 299]] == pytest.approx(np.ones(5))
    assert {kl_weight(s, 300, "none") for s in range(300)} == {1.0}


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ({}, (5e-4, 5e-3)),
        ({"learning_rate_max": 0.1}, (0.01, 0.1)),
        ({"learning_rate_min": 1e-3}, (1e-3, 5e-3)),
        ({"learning_rate_min": 0.02}, (0.02, 0.04)),
        ({"learning_rate_min": 0.01, "learning_rate_max": 0.03}, (0.01, 0.03)),
    ],
)
def test_learning_rates_that_are_not_given_follow_from_those_that_are(given, rates):
    assert learning_rates(TopicSettings(**given), "expression") == pytest.approx(rates)


def test_accessibility_has_a_peak_of_its_own():
    assert learning_rates(TopicSettings(), "accessibility") == pytest.approx((2e-3, 2e-2))


def test_column_totals_equal_a_plain_sum():
    matrix = sparse.random(1300, 40, 0.1, format="csr", random_state=0, dtype=np.float32)
    cells = np.random.default_rng(0).permutation(1300)[:1100]
    np.testing.assert_allclose(column_totals(matrix, cells), matrix.toarray()[cells].sum(0, dtype=float), rtol=1e-12)


@njit
def each_exp(x, out):
    for i in range(x.shape[0]):
        out[i] = numerics.exp(x[i])


@njit
def each_log1p(x, out):
    for i in range(x.shape[0]):
        out[i] = numerics.log1p(x[i])


def test_fast_exponential_and_logarithm():
    x = np.linspace(-80, 80, 200_001).astype(np.float32)
    out = np.empty_like(x)
    each_exp(x, out)
    assert np.abs(out / np.exp(x.astype(float)) - 1).max() < 3e-7
    u = np.exp(np.linspace(-25, 20, 200_001)).astype(np.float32)
    out = np.empty_like(u)
    each_log1p(u, out)
    assert np.abs(out / np.log1p(u.astype(float)) - 1).max() < 3e-7
    assert np.isfinite(out).all()


@pytest.mark.parametrize("theta", [0.01, 0.7, 30.0])
def test_gamma_terms_equal_scipy(theta):
    for count in (0, 1, 2, 8, 9, 40, 1000):
        value, slope = numerics.gamma_terms(float(count), theta)
        scaled = special.gammaln(count + theta) - special.gammaln(theta) - count * math.log(theta)
        assert value == pytest.approx(scaled, rel=1e-9, abs=1e-10)
        assert slope == pytest.approx(special.digamma(count + theta) - special.digamma(theta), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_tables_of_gamma_terms_equal_scipy(dtype, within):
    theta = np.geomspace(0.01, 1e4, 50).astype(dtype)
    values, slopes = np.empty((2, 33, 50), dtype)
    numerics.gamma_tables(theta, values, slopes)
    count, exact = np.arange(33.0)[:, None], theta.astype(float)
    # poch(theta, x) = gamma(theta + x) / gamma(theta)
    np.testing.assert_allclose(values, np.log(special.poch(exact, count) / exact**count), rtol=within, atol=1e-12)
    wanted = special.digamma(count + exact) - special.digamma(exact)
    np.testing.assert_allclose(slopes, wanted, rtol=within, atol=1e-12)


@pytest.mark.parametrize("n", [1, 5, 63, 64, 65, 128, 200])
def test_largest_is_the_maximum_of_the_first_values(n):
    values = np.random.default_rng(n).normal(size=256).astype(np.float32) - 5
    for place in range(n):
        found = values.copy()
        found[place], found[n:] = 3.0, 9.0
        assert numerics.largest(found, n) == 3.0


def test_deviance_residuals_equal_the_binomial_formula():
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(rng.gamma(0.5, 2.0, (30, 40))).astype(float))
    counts = counts[np.asarray(counts.sum(1)).ravel() > 0]
    depth, shares = np.asarray(counts.sum(1)).ravel(), pooled_shares(counts, np.arange(counts.shape[0]))
    found = deviance_residuals(counts, depth, shares).rows(np.arange(counts.shape[0]))
    x, n, mean = counts.toarray(), depth[:, None], depth[:, None] * shares
    full = stats.binom.logpmf(x, n, x / n) - stats.binom.logpmf(x, n, shares)
    expected = np.clip(np.sign(x - mean) * np.sqrt(2 * np.maximum(full, 0)), -10, 10)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_unseen_gene_and_large_residuals_stay_finite():
    counts = sparse.csr_matrix(np.array([[0.0, 500.0, 3.0], [0.0, 0.0, 700.0]]))
    found = deviance_residuals(counts, np.array([503.0, 700.0]), np.array([0.0, 1e-3, 0.999])).rows(np.arange(2))
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 10
    assert (found[:, 0] == 0).all()


@pytest.mark.parametrize("n", [2, 3, 10, 129, 257, 1000])
@pytest.mark.parametrize("size", [2, 64, 128])
def test_batches_cover_every_cell_once_and_none_is_alone(n, size):
    parts = list(equal_batches(np.arange(n), size))
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))
    lengths = [len(p) for p in parts]
    assert min(lengths) >= 2
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= max(size, 3)


def test_columns_equal_scipy():
    matrix = sparse.random(20, 50, 0.2, format="csr", random_state=0, dtype=np.float32)
    pointers, cells = np.zeros(51, np.int64), np.empty(matrix.nnz, np.int32)
    values = np.empty(matrix.nnz, np.float32)
    to_columns(50, matrix.indptr, matrix.indices, matrix.data, pointers, cells, values)
    expected = matrix.tocsc()
    np.testing.assert_array_equal(pointers, expected.indptr)
    np.testing.assert_array_equal(cells, expected.indices)
    np.testing.assert_array_equal(values, expected.data)


def test_counts_are_checked():
    good = np.array([[1, 0, 2], [0, 3, 0]])
    assert check_counts(good, "expression").dtype == np.float32
    stored_zero = sparse.csr_matrix((np.array([0.0, 2.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 3))
    assert check_counts(stored_zero, "expression").nnz == 1
    for bad, word in ((good * 0.5, "2 fractional values"), (-good, "3 negative values"), (good * np.nan, "6 missing")):
        with pytest.raises(InputError, match=word):
            check_counts(bad, "expression")
    with pytest.raises(InputError, match="not binary"):
        check_counts(good, "accessibility")
    with pytest.raises(InputError, match="dimension"):
        check_counts(good[0], "expression")


def test_batch_of_a_subset_of_encoder_peaks():
    rng = np.random.default_rng(0)
    counts = check_counts((rng.random((12, 20)) < 0.3).astype(int), "accessibility")
    mask = np.arange(20) % 3 == 0
    data = CellData(counts, "accessibility", mask, None)
    batch = data.batch(np.array([4, 2, 9]))
    expected = counts[[4, 2, 9]].toarray()[:, mask]
    dense = np.zeros_like(expected)
    part = batch.encoder_columns
    dense[part.cells, np.repeat(np.arange(mask.sum()), np.diff(part.pointers))] = part.values
    np.testing.assert_array_equal(dense, expected)


def test_settings_are_checked_and_survive_storage():
    settings = TopicSettings(n_topics=5, learning_rate_max=0.02, dropout=0.1)
    assert TopicSettings.from_dict(settings.to_dict()) == settings
    for values in ({"n_topics": 1}, {"n_epochs": 0}, {"dropout": 1.0}, {"learning_rate_min": -1.0},
                   {"learning_rate_min": 0.1, "learning_rate_max": 0.01}, {"batch_size": 1}):  # fmt: skip
        with pytest.raises(ParameterError, match=next(reversed(values)).split("_max")[0]):
            TopicSettings(**values)


def test_size_rule_grows_slowly_and_is_bounded():
    sizes = [topics_for_size(n, 1000.0, "expression") for n in (1, 10, 500, 2000, 10_000, 100_000, 10**9)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 2
    assert sizes[3:5] == [11, 25]
    assert sizes[-1] <= 40
    assert topics_for_size(10_000, 125.0, "accessibility") == round(25 / 2)
    assert topics_for_size(2000, 1e6, "expression") == topics_for_size(2000, 250.0, "expression")


def contrasts_with_variance(rng, topics, support, variance):
    """Weights of features whose contrasts have the given variance, seen through counts of the given information."""
    centred = topics - topics.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(topics))
    whiten = vectors[:, 1:] / np.sqrt(values[1:])  # the first direction is that in which shares sum to one
    k = topics.shape[1]
    true = rng.normal(size=(k - 1, len(support))) * np.sqrt(variance / (k - 1))
    seen = true + rng.normal(size=true.shape) / np.sqrt(support)
    return whiten @ true, whiten @ seen


@pytest.mark.parametrize("dispersion", [None, 0.5])
def test_shrinkage_factor_has_its_closed_form_when_all_features_share_one_variance(dispersion):
    rng = np.random.default_rng(1)
    topics = rng.dirichlet(np.full(6, 0.5), 500)
    counts = np.tile([20.0, 100.0, 700.0], 1500)
    support = counts if dispersion is None else counts / (1 + counts / 500 / dispersion)
    _, seen = contrasts_with_variance(rng, topics, support, 0.25)
    found = shrinkage_factors(
        counts, seen, topics, np.ones(500), None if dispersion is None else np.full(len(counts), dispersion)
    )
    signal = support * 0.25 / 5
    for count in (20.0, 100.0, 700.0):
        # single features scatter with what they support; their mean is lambda / (1 + lambda)
        own = counts == count
        assert found[own].mean() == pytest.approx((signal / (1 + signal))[own][0], abs=0.05)


def test_shrunk_contrasts_are_close_to_the_best_that_knows_the_truth():
    """Mean squared error over features of three kinds, against the oracle that knows each feature's variance."""
    rng = np.random.default_rng(2)
    topics = rng.dirichlet(np.full(5, 0.5), 800)
    variance = np.repeat([0.0, 0.125, 2.0], 1000)
    support = np.tile([15.0, 60.0, 240.0], 1000)
    true, seen = contrasts_with_variance(rng, topics, support, variance)
    centred = topics - topics.mean(0)
    signal = support * variance / 4

    def error(factors):
        return float(((centred @ (seen * factors - true)) ** 2).mean())

    found = shrinkage_factors(support, seen, topics, np.ones(800))
    assert error(found) < 0.6 * error(np.ones(3000))
    assert error(found) < 1.3 * error(signal / (1 + signal))
    assert (np.diff([np.median(found[variance == v]) for v in (0.0, 0.125, 2.0)]) > 0).all()


def test_held_out_cells_decide_how_far_contrasts_are_shrunk():
    rng = np.random.default_rng(3)
    topics = rng.dirichlet(np.full(4, 0.5), 3000)
    flat = np.arange(80) >= 40
    true = np.where(flat, 0.0, rng.normal(0, 1.2, (4, 80)))
    noisy = true + np.where(flat, rng.normal(0, 0.8, (4, 80)), 0.0)
    rho = np.exp(topics @ true)
    counts = sparse.csr_matrix(rng.poisson(200 * rho / rho.sum(1, keepdims=True)).astype(np.float32))
    factors = np.where(flat, 0.02, 1.0)

    def decoder(weights):
        return Decoder(weights, np.zeros(80), np.ones(80), np.ones(80), np.zeros(80))

    assert held_out_power(factors, decoder(noisy), counts, topics) == 1
    assert held_out_power(np.full(80, 0.5), decoder(true), counts, topics) == 0
    assert held_out_power(factors, decoder(noisy), counts[:0], topics[:0]) == 0


def test_shrinkage_flattens_noise_and_keeps_programmes():
    """Counts of features with and without a programme; weights from one Newton step away from the flat model."""
    rng = np.random.default_rng(0)
    n, k, n_features = 2000, 5, 600
    topics = rng.dirichlet(np.full(k, 0.5), n)
    planted = np.arange(n_features) < 150
    true = np.where(planted, rng.normal(0, 1.5, (k, n_features)), 0.0)
    mean = 0.05 * np.exp(topics @ true) / np.exp(topics @ true).mean(0)
    counts = rng.poisson(mean)
    centred = topics - topics.mean(0)
    weights = np.linalg.pinv(centred.T @ centred) @ centred.T @ (counts / counts.mean(0) - 1)
    factors = shrinkage_factors(counts.sum(0), weights, topics, counts.sum(1))
    assert ((factors > 0) & (factors <= 1)).all()
    assert np.median(factors[~planted]) < 0.2
    assert np.median(factors[planted]) > 0.7
    noise = rng.poisson(0.05, (n, 300))
    flat = np.linalg.pinv(centred.T @ centred) @ centred.T @ (noise / noise.mean(0) - 1)
    assert shrinkage_factors(noise.sum(0), flat, topics, noise.sum(1)).mean() < 0.15
    overdispersed = shrinkage_factors(counts.sum(0), weights, topics, counts.sum(1), np.full(n_features, 0.05))
    assert overdispersed.mean() < factors.mean()


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
def test_constant_of_the_counts_is_that_of_scipy(modality: Modality) -> None:
    counts = sparse.random(20, 30, density=0.4, random_state=np.random.default_rng(2), format="csr", dtype=np.float32)
    counts.data = np.ceil(counts.data * 9) if modality == "expression" else np.ones_like(counts.data)
    data = CellData(counts, modality, np.ones(30, bool), pooled_shares(counts, np.arange(20)))
    cells = np.array([3, 17, 5])
    dense = counts.toarray()[cells].astype(float)
    expected = special.gammaln(dense.sum(1) + 1).sum()
    if modality == "expression":
        expected = -special.gammaln(dense + 1).sum()
    assert data.batch(cells).constant == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_items_made_ahead_come_in_order_and_errors_reach_the_caller(n_threads: int) -> None:
    with Workers(n_threads) as workers:
        assert list(workers.ahead(lambda x: x * x, range(7))) == [x * x for x in range(7)]
        assert list(workers.ahead(str, [])) == []
        with pytest.raises(ZeroDivisionError):
            list(workers.ahead(lambda x: 1 // x, [1, 0, 2]))
