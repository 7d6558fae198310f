"""Fits: planted recovery, determinism, storage, and inputs that break careless implementations."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import logsumexp, softmax

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics import fitting, nmf, train, warmstart
from mira_nb.core.topics.data import CellData
from mira_nb.core.topics.decoder import log_share_per_count
from mira_nb.core.topics.fit import TopicFit, fit_topic_model
from mira_nb.core.topics.nmf import Factorisation, Pseudocounts, Steps, kl_nmf, project
from mira_nb.core.topics.settings import TopicSettings, learning_rates
from mira_nb.core.topics.shrinkage import POWERS
from mira_nb.core.topics.warmstart import by_reproducibility
from mira_nb.errors import Cancelled, InputError

QUICK = {"n_topics": 3, "n_epochs": 4, "batch_size": 64, "restarts": 1, "warmup_epochs": 2}


def planted(modality: str, n: int = 600, n_features: int = 150, k: int = 3, seed: int = 0):
    """Linear mixtures of k programmes: counts and the true topics."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(k, 0.4), n)
    features = rng.gamma(1.0, 1.0, (k, n_features)) + 0.05
    features[np.arange(n_features) % k, np.arange(n_features)] *= 8
    features /= features.sum(1, keepdims=True)
    rho = topics @ features
    if modality == "expression":
        mean = 800 * rng.lognormal(0, 0.3, (n, 1)) * rho
        return sparse.csr_matrix(rng.poisson(rng.gamma(5.0, mean / 5.0)).astype(np.float32)), topics
    rate = 60 * rng.lognormal(0, 0.3, (n, 1)) * rho
    return sparse.csr_matrix((rng.random(rho.shape) < 1 - np.exp(-rate)).astype(np.float32)), topics


def matched(true, found):
    corr = np.corrcoef(true.T, found.T)[: true.shape[1], true.shape[1] :]
    rows, columns = linear_sum_assignment(-corr)
    return corr[rows, columns]


@pytest.fixture(scope="module", params=["expression", "accessibility"])
def quick(request):
    counts, _ = planted(request.param, n=200)
    return request.param, counts, fit_topic_model(counts, modality=request.param, settings=TopicSettings(**QUICK))


@pytest.mark.parametrize("start", ["nmf", "random"])
@pytest.mark.parametrize(("modality", "wanted"), [("expression", 0.95), ("accessibility", 0.9)])
def test_planted_topics_are_found(modality, wanted, start):
    counts, topics = planted(modality)
    settings = TopicSettings(n_topics=3, n_epochs=40, batch_size=64, initialisation=start)
    fit = fit_topic_model(counts, modality=modality, settings=settings, seed=1)
    assert matched(topics, fit.topics).min() > wanted
    profile = np.asarray(counts.sum(0)).ravel() + 0.5
    profile = float(np.asarray(counts.sum(0)).ravel() @ np.log(profile / profile.sum())) / counts.sum()
    assert fit.log_likelihood_per_count(counts) > profile + 0.05
    held_out = fit.history["held_out_elbo"].to_numpy()
    assert held_out[-1] > held_out[0]


def test_factorisation_finds_planted_topics_and_climbs():
    counts, topics = planted("expression")
    with Workers(2) as workers:
        found = kl_nmf(counts, 3, np.random.default_rng(0), workers, steps=Steps(200))
        short = kl_nmf(counts, 3, np.random.default_rng(0), workers, steps=Steps(5))
        again = project(counts, found.features, workers, n_iterations=200)
    assert matched(topics, found.topics).min() > 0.97
    assert found.log_likelihood > short.log_likelihood
    np.testing.assert_allclose(found.topics.sum(1), 1, rtol=1e-4)
    np.testing.assert_allclose(found.features.sum(0), 1, rtol=1e-4)
    np.testing.assert_allclose(again, found.topics, atol=0.02)
    rho = found.topics @ found.features.T
    coo = counts.tocoo()
    expected = (coo.data * np.log(rho[coo.row, coo.col])).sum() / coo.data.sum()
    assert found.log_likelihood == pytest.approx(expected, abs=1e-3)


def test_projection_reaches_each_cells_optimum():
    counts, _ = planted("expression", n=12)
    rng = np.random.default_rng(2)
    features = rng.dirichlet(np.ones(150), 3).T.astype(np.float32)
    with Workers(2) as workers:
        found = project(counts, features, workers)
        exact = project(counts, features, workers, n_iterations=5000, tolerance=1e-7)
    np.testing.assert_allclose(found, exact, atol=0.02)
    for row, topics in zip(counts.toarray(), exact, strict=True):
        best = minimize(
            lambda z, x=row: -(x @ np.log(features @ np.exp(z - logsumexp(z)))) / x.sum(), np.zeros(3), tol=1e-10
        )
        assert row @ np.log(features @ topics) / row.sum() == pytest.approx(-best.fun, abs=1e-5)


PRIORS = {"priors": Pseudocounts(topics=2.0, features=1.0)}


def test_pseudocounts_give_the_posterior_mode():
    rng = np.random.default_rng(4)
    counts = sparse.csr_matrix(rng.poisson(rng.gamma(1.0, 3.0, (8, 6))).astype(np.float32))
    pooled = counts.toarray().sum(0) + 1e-3
    prior = 1.0 * 6 * pooled[:, None] / pooled.sum()

    def objective(topics, features):
        return (
            float((counts.toarray() * np.log(topics @ features.T)).sum())
            + 2.0 * np.log(topics).sum()
            + (prior * np.log(features)).sum()
        ) / counts.sum()

    def negative(flat):
        topics, features = flat[:16].reshape(8, 2), flat[16:].reshape(6, 2)
        return -objective(softmax(topics, axis=1), softmax(features, axis=0))

    with Workers(1) as workers:
        found = kl_nmf(counts, 2, rng, workers, steps=Steps(5000, 1e-9), **PRIORS)
        again = project(counts, found.features, workers, n_iterations=5000, tolerance=1e-7, topic_pseudocounts=2.0)
    start = np.concatenate([np.log(found.topics).ravel(), np.log(found.features).ravel()]).astype(float)
    best = minimize(negative, start, tol=1e-12)
    assert found.log_likelihood == pytest.approx(-best.fun, abs=1e-5)
    assert objective(found.topics.astype(float), found.features.astype(float)) == pytest.approx(-best.fun, abs=1e-5)
    np.testing.assert_allclose(again, found.topics, atol=2e-3)


def test_pseudocounts_keep_a_weak_topic_from_noise():
    rng = np.random.default_rng(5)
    weak = 0.3 * rng.beta(0.5, 1.5, (600, 1))
    topics = np.hstack([rng.dirichlet([0.6, 0.6, 0.6], 600) * (1 - weak), weak])
    contrast = np.where(rng.random((400, 4)) < 0.1, rng.gamma(8.0, 1.0, (400, 4)), 1.0)
    features = contrast * rng.gamma(2.0, 1.0, (400, 1))
    features /= features.sum(0)
    counts = sparse.csr_matrix(rng.poisson(100 * topics @ features.T).astype(np.float32))

    def recovered(**priors):
        with Workers(1) as workers:
            runs = [kl_nmf(counts, 4, np.random.default_rng(s), workers, **priors) for s in range(5)]
        return float(np.mean([matched(topics, run.topics).min() for run in runs]))

    assert recovered(**PRIORS) > recovered() + 0.05


@pytest.mark.parametrize("priors", [{}, PRIORS])
def test_order_of_reading_does_not_matter(monkeypatch, priors):
    counts, _ = planted("accessibility", n=100)
    with Workers(2) as workers:
        by_cells = kl_nmf(counts, 3, np.random.default_rng(0), workers, steps=Steps(20), **priors)
        monkeypatch.setattr(nmf, "CACHE", 0)
        by_features = kl_nmf(counts, 3, np.random.default_rng(0), workers, steps=Steps(20), **priors)
    assert by_features.n_iterations == by_cells.n_iterations
    assert by_features.log_likelihood == pytest.approx(by_cells.log_likelihood, abs=1e-5)
    np.testing.assert_allclose(by_features.topics, by_cells.topics, atol=1e-3)
    np.testing.assert_allclose(by_features.features, by_cells.features, atol=1e-4)


def test_start_of_large_data_is_bounded(monkeypatch):
    counts, topics = planted("accessibility", n=400)
    data = CellData(counts, "accessibility", np.ones(150, bool), None)
    seen = []

    def spy(sample, *arguments, **options):
        seen.append((sample.nnz, sample.shape[0], options["steps"].most))
        return kl_nmf(sample, *arguments, **options)

    monkeypatch.setattr(warmstart, "kl_nmf", spy)
    monkeypatch.setattr(warmstart, "MAX_START_NONZEROS", counts.nnz // 2)
    monkeypatch.setattr(warmstart, "SCOUT_CELLS", 100)
    with Workers(1) as workers:
        found = warmstart.factorise(
            data, np.arange(400), 3, 4, np.random.default_rng(0), workers, lambda fraction: None
        )
    scouts, finalists = seen[:4], seen[4:]
    assert all(cells == 100 and limit == 25 for _, cells, limit in scouts)
    assert len(finalists) == 2
    assert all(0.4 * counts.nnz < size < 0.6 * counts.nnz and limit == 100 for size, _, limit in finalists)
    assert found.topics.shape == (400, 3)
    assert matched(topics, found.topics).min() > 0.9


def test_likelihood_of_binary_counts_is_that_of_single_logarithms():
    counts, _ = planted("accessibility", n=120)
    common = counts.copy()
    # a count of two takes the branch of single logarithms; the rest of its cell and all others stay as they are
    common.data[0] = 2
    with Workers(1) as workers:
        for matrix in (counts, common):
            found = kl_nmf(matrix, 3, np.random.default_rng(0), workers, steps=Steps(1, 0.0))
            rng = np.random.default_rng(0)
            pooled = np.asarray(matrix.sum(0, dtype=np.float64)).ravel() + 1e-3
            topics = rng.dirichlet(np.full(3, 5.0), matrix.shape[0]).astype(np.float32)
            drawn = rng.gamma(5.0, 0.2, (matrix.shape[1], 3)) * pooled[:, None]
            start = Factorisation(topics, (drawn / drawn.sum(0)).astype(np.float32), 0.0, 0)
            assert found.log_likelihood == pytest.approx(log_share(matrix, start), rel=1e-6)


def test_continued_factorisation_begins_where_it_is_told():
    counts, _ = planted("expression", n=150, n_features=60)
    with Workers(1) as workers:
        first = kl_nmf(counts, 3, np.random.default_rng(0), workers, steps=Steps(30, 0.0))
        more = kl_nmf(
            counts, 3, np.random.default_rng(1), workers, start=(first.topics, first.features), steps=Steps(1)
        )
    assert more.log_likelihood == pytest.approx(log_share(counts, first), rel=1e-6)


def log_share(counts, found):
    rho = found.topics.astype(float) @ found.features.T.astype(float)
    coo = counts.tocoo()
    return float((coo.data * np.log(rho[coo.row, coo.col])).sum() / coo.data.sum())


@pytest.mark.parametrize("priors", [{}, PRIORS])
def test_stretched_steps_never_lose_likelihood(priors):
    counts, _ = planted("expression", n=150, n_features=60)
    with Workers(1) as workers:
        runs = [
            kl_nmf(counts, 4, np.random.default_rng(3), workers, steps=Steps(n, 0.0), **priors) for n in range(1, 41)
        ]
    reported = np.array([run.log_likelihood for run in runs])
    assert (np.diff(reported) >= -1e-9).all()
    for run in runs[::5] if not priors else ():
        # what is handed back is one plain update past the likelihood that is reported
        assert log_share(counts, run) >= run.log_likelihood - 1e-6


def test_stretched_steps_reach_the_optimum_of_an_independent_solver():
    from sklearn.decomposition import NMF

    counts, _ = planted("expression", n=200, n_features=60)
    with Workers(1) as workers:
        found = kl_nmf(counts, 3, np.random.default_rng(0), workers, steps=Steps(600, 1e-8))
    solver = NMF(3, init="random", solver="mu", beta_loss="kullback-leibler", tol=1e-9, max_iter=4000, random_state=0)
    cells = solver.fit_transform(counts.astype(np.float64))
    rho = cells @ solver.components_
    rho /= rho.sum(1, keepdims=True)
    coo = counts.tocoo()
    optimum = float((coo.data * np.log(rho[coo.row, coo.col])).sum() / coo.data.sum())
    assert log_share(counts, found) == pytest.approx(optimum, abs=2e-5)
    assert found.n_iterations < solver.n_iter_ / 2


def test_result_is_complete(quick):
    modality, counts, fit = quick
    assert fit.topics.shape == (200, 3)
    np.testing.assert_allclose(fit.topics.sum(1), 1)
    assert (np.diff(fit.topics.mean(0)) <= 0).all()
    assert fit.history["epoch"].tolist() == [1, 2, 3, 4]
    assert np.isfinite(fit.history.to_numpy(float)).all()
    assert fit.held_out.sum() == 10
    assert (fit.read_depth is None) == (modality == "accessibility")
    dense = fit.decoder.composition(fit.topics)
    coo = counts.tocoo()
    expected = (coo.data * np.log(dense[coo.row, coo.col])).sum() / coo.data.sum()
    assert log_share_per_count(counts, fit.decoder, fit.topics) == pytest.approx(expected)


def test_prediction_is_deterministic_and_does_not_depend_on_company(quick):
    _, counts, fit = quick
    first, second = fit.encode(counts), fit.encode(counts)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, fit.topics, atol=1e-6)
    np.testing.assert_allclose(fit.encode(counts[7]), fit.topics[7:8], atol=1e-5)


def test_same_seed_same_result_whatever_the_threads_and_global_state_untouched(quick):
    modality, counts, fit = quick
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    random.seed(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone(), random.getstate()  # noqa: NPY002
    again = fit_topic_model(counts, modality=modality, settings=TopicSettings(**QUICK), n_threads=2)
    np.testing.assert_array_equal(again.topics, fit.topics)
    np.testing.assert_array_equal(again.decoder.beta, fit.decoder.beta)
    other = fit_topic_model(counts, modality=modality, settings=TopicSettings(**QUICK), seed=1)
    assert np.abs(other.topics - fit.topics).max() > 1e-4
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert random.getstate() == before[2]


def test_saved_and_loaded_model_predicts_the_same(quick, tmp_path):
    _, counts, fit = quick
    path = tmp_path / "model.npz"
    fit.save(path)
    loaded = TopicFit.load(path)
    np.testing.assert_array_equal(loaded.encode(counts), fit.encode(counts))
    np.testing.assert_array_equal(loaded.topics, fit.topics)
    np.testing.assert_array_equal(loaded.decoder.activations(), fit.decoder.activations())
    assert loaded.settings == fit.settings
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fiub" for name in stored.files)


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
@pytest.mark.parametrize("n", [12, 60, 129, 257])
def test_odd_numbers_of_cells(modality, n):
    """Fewer cells than a batch, and one cell more than whole batches."""
    counts, _ = planted(modality, n=n)
    fit = fit_topic_model(counts, modality=modality, settings=TopicSettings(**QUICK | {"batch_size": 128}))
    assert np.isfinite(fit.topics).all()
    assert len(fit.history) == 4
    assert fit.encode(counts[:1]).shape == (1, 3)


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
def test_empty_cells_and_features(modality):
    counts, _ = planted(modality, n=100)
    lil = counts.tolil()
    lil[5] = 0
    lil[50] = 0
    lil[:, 4] = 0
    counts = lil.tocsr()
    fit = fit_topic_model(counts, modality=modality, settings=TopicSettings(**QUICK))
    assert fit.n_empty == 2
    assert np.isfinite(fit.topics).all()
    others = np.delete(fit.topics, [5, 50], 0)
    np.testing.assert_allclose(fit.topics[5], others.mean(0), rtol=1e-6)
    assert np.isfinite(fit.decoder.activations()).all()
    assert np.isfinite(fit.encode(counts)).all()


def test_dense_and_integer_counts_give_the_same_as_sparse(quick):
    modality, counts, fit = quick
    dense = fit_topic_model(counts.toarray().astype(np.int64), modality=modality, settings=TopicSettings(**QUICK))
    np.testing.assert_array_equal(dense.topics, fit.topics)


def test_refusals_name_the_reason():
    counts, _ = planted("expression", n=40)
    for bad, word in ((counts * 0.5, "fractional"), (counts[:5], "at least 10 cells"), (counts * 0, "at least 10")):
        with pytest.raises(InputError, match=word):
            fit_topic_model(bad, modality="expression", settings=TopicSettings(**QUICK))
    with pytest.raises(InputError, match="not binary"):
        fit_topic_model(counts, modality="accessibility", settings=TopicSettings(**QUICK))
    with pytest.raises(InputError, match="topics for 40 cells"):
        fit_topic_model(counts, modality="expression", settings=TopicSettings(**QUICK | {"n_topics": 40}))
    with pytest.raises(InputError, match="encoder"):
        fit_topic_model(counts, modality="expression", encoder_features=np.zeros(150, bool))
    fit = fit_topic_model(counts, modality="expression", settings=TopicSettings(**QUICK))
    with pytest.raises(InputError, match="149 features"):
        fit.encode(counts[:, :149])


def test_progress_can_cancel():
    counts, _ = planted("expression", n=60)

    def stop(fraction: float, message: str) -> None:
        if "epoch" in message:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        fit_topic_model(counts, modality="expression", settings=TopicSettings(**QUICK), progress=stop)


def test_exact_epochs_unless_stopped_early():
    counts, _ = planted("expression", n=200)
    fixed = TopicSettings(**QUICK | {"n_epochs": 12, "learning_rate_min": 1e-3, "learning_rate_max": 1e-2})
    assert len(fit_topic_model(counts, modality="expression", settings=fixed).history) == 12
    early = TopicSettings(**QUICK | {"n_epochs": 300, "early_stopping": 2, "holdout_fraction": 0.2, "batch_size": 160})
    fit = fit_topic_model(counts, modality="expression", settings=early)
    assert 150 <= len(fit.history) < 300
    assert (fit.history["kl_weight"].iloc[-1]) == 1


def test_automatic_epochs_are_a_budget_of_steps_ended_by_the_held_out_gain(monkeypatch):
    counts, _ = planted("expression", n=300)
    auto = QUICK | {"n_epochs": "auto", "holdout_fraction": 0.2, "batch_size": 24}
    settings = TopicSettings(**auto)
    monkeypatch.setattr(train, "LEAST_GAIN", -np.inf)
    # 240 training cells are 10 steps per epoch
    monkeypatch.setattr(fitting, "AUTO_STEPS", 205)
    whole = fit_topic_model(counts, modality="expression", settings=settings)
    assert len(whole.history) == whole.settings.n_epochs == 20
    monkeypatch.setattr(train, "LEAST_GAIN", np.inf)
    short = fit_topic_model(counts, modality="expression", settings=settings)
    # full KL weight in epoch 11, then a quarter of those epochs
    assert len(short.history) == short.settings.n_epochs == 14
    assert short.history["learning_rate"].iloc[-1] == pytest.approx(whole.history["learning_rate"].iloc[-1])
    assert short.history["kl_weight"].iloc[-1] == 1
    # without annealing, not before the learning rate has peaked (step 67)
    full = fit_topic_model(counts, modality="expression", settings=replace(settings, kl_schedule="none"))
    assert len(full.history) == 9
    assert (full.history["kl_weight"] == 1).all()
    unseen = fit_topic_model(
        counts, modality="expression", settings=TopicSettings(**auto | {"holdout_fraction": 0.0, "batch_size": 30})
    )
    assert len(unseen.history) == 20


def test_epochs_and_warm_up_given_by_the_user_are_exact():
    counts, _ = planted("expression", n=200)
    fit = fit_topic_model(counts, modality="expression", settings=TopicSettings(**QUICK))
    assert (len(fit.history), fit.settings.warmup_epochs) == (4, 2)
    auto = fit_topic_model(counts, modality="expression", settings=TopicSettings(**QUICK | {"warmup_epochs": "auto"}))
    # 190 cells are 3 steps per epoch
    assert auto.settings.warmup_epochs == 100


def test_given_learning_rates_are_kept_and_auto_ones_reported(quick):
    _, _, fit = quick
    assert 0 < fit.settings.learning_rate_min < fit.settings.learning_rate_max
    rates = (fit.settings.learning_rate_min, fit.settings.learning_rate_max)
    assert rates == learning_rates(TopicSettings(), fit.modality)
    assert fit.history["learning_rate"].max() <= fit.settings.learning_rate_max


def test_encoder_subset_models_every_feature():
    counts, topics = planted("accessibility", n=400)
    mask = np.arange(150) % 2 == 0
    settings = TopicSettings(n_topics=3, n_epochs=20, batch_size=64)
    fit = fit_topic_model(counts, modality="accessibility", settings=settings, encoder_features=mask)
    assert fit.decoder.n_features == 150
    assert matched(topics, fit.topics).min() > 0.8
    silent = counts.copy().tolil()
    silent[:, ~mask] = 0
    depth_only = fit.encode(sparse.csr_matrix(silent))
    assert depth_only.shape == fit.topics.shape


def test_shrinkage_is_an_option_that_needs_held_out_cells():
    counts, _ = planted("accessibility", n=200)
    common = {**QUICK, "n_epochs": 10}
    for change in ({"shrinkage": "none"}, {"holdout_fraction": 0.0}):
        fit = fit_topic_model(counts, modality="accessibility", settings=TopicSettings(**common, **change))
        assert fit.shrinkage_power == 0
    with_option = fit_topic_model(counts, modality="accessibility", settings=TopicSettings(**common))
    assert with_option.shrinkage_power in POWERS


def test_a_given_power_of_the_shrinkage_is_used_without_held_out_cells():
    counts, _ = planted("accessibility", n=200)
    common = {**QUICK, "n_epochs": 10, "holdout_fraction": 0.0}
    trained, half, whole = (
        fit_topic_model(counts, modality="accessibility", settings=TopicSettings(**common, shrinkage_power=power))
        for power in (0.0, 0.5, 1.0)
    )
    assert half.shrinkage_power == 0.5
    np.testing.assert_array_equal(half.topics, trained.topics)
    factor = whole.decoder.gamma / trained.decoder.gamma
    assert factor.min() < 0.9
    np.testing.assert_allclose(half.decoder.gamma, trained.decoder.gamma * np.sqrt(factor), rtol=1e-4)


def test_start_is_the_likeliest_among_the_reproducible():
    rng = np.random.default_rng(0)
    common = rng.dirichlet(np.full(4, 0.5), 300).astype(np.float32)
    odd = rng.dirichlet(np.full(4, 0.5), 300).astype(np.float32)

    def trial(topics, likelihood):
        order = rng.permutation(4)
        noisy = (topics + rng.uniform(0, 0.02, topics.shape))[:, order]
        return Factorisation(noisy.astype(np.float32), np.ones((5, 4), np.float32), likelihood, 1)

    trials = [trial(common, -7.3), trial(odd, -7.0), trial(common, -7.1), trial(common, -7.2)]
    assert by_reproducibility(trials) == [2, 3, 0, 1]
    assert by_reproducibility(trials[:2]) == [1, 0]


def test_given_start_is_taken_or_refused():
    counts, topics = planted("expression", n=150, n_features=60)
    settings = TopicSettings(**QUICK, holdout_fraction=0.0)
    with Workers(1) as workers:
        start = kl_nmf(counts, 3, np.random.default_rng(0), workers)
    fit = fit_topic_model(counts, modality="expression", settings=settings, start=start)
    assert matched(topics, fit.topics).min() > 0.9
    other = replace(start, topics=start.topics[:, ::-1].copy(), features=start.features[:, ::-1].copy())
    assert not np.array_equal(
        fit_topic_model(counts, modality="expression", settings=settings, start=other).topics, fit.topics
    )
    with pytest.raises(InputError, match="the start has"):
        fit_topic_model(counts[:140], modality="expression", settings=settings, start=start)
