"""Choice of the number of topics on planted data, and its parts against closed forms and brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.nmf import kl_nmf
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.core.topics.shrinkage import POWERS
from mira_nb.core.tuning.folds import fold_of_cells
from mira_nb.core.tuning.halving import penalty, survives
from mira_nb.core.tuning.held_out import cell_scores, difference, make_split, thin
from mira_nb.core.tuning.paper import settled
from mira_nb.core.tuning.result import Processors, SearchPlan
from mira_nb.core.tuning.rule import LEAST_GAIN, LEAST_GAIN_OF_FITS, Curve
from mira_nb.core.tuning.sample import draw_sample
from mira_nb.core.tuning.short_fit import ShortFit, short_fit
from mira_nb.core.tuning.stability import assess, correlation, match
from mira_nb.core.tuning.study import study_name
from mira_nb.core.tuning.tune import size_rule, tune
from mira_nb.errors import InputError


def planted(n_topics, *, n_cells=400, n_features=300, depth=400, seed=0, binary=False):
    """Counts of cells that are mostly of one of `n_topics` topics, each with features of its own."""
    rng = np.random.default_rng(seed)
    topics = 0.8 * np.eye(n_topics)[rng.integers(n_topics, size=n_cells)] + 0.2 * rng.dirichlet(
        np.full(n_topics, 0.5), n_cells
    )
    profiles = rng.gamma(1.0, 1.0, n_features) * (
        1 + 12.0 * (np.arange(n_features)[None] % (n_topics + 1) == np.arange(n_topics)[:, None])
    )
    profiles /= profiles.sum(1, keepdims=True)
    rate = topics @ profiles * depth
    counts = rng.random(rate.shape) < 1 - np.exp(-rate) if binary else rng.poisson(rate)
    return sparse.csr_matrix(counts, dtype=np.float32), topics


@pytest.mark.parametrize(("n_topics", "modality"), [(3, "expression"), (6, "expression"), (4, "accessibility")])
def test_quick_finds_the_planted_number(n_topics, modality):
    counts, _ = planted(n_topics, binary=modality == "accessibility")
    found = tune(counts, modality=modality, plan=SearchPlan(n_trials=12, n_seeds=3))
    assert abs(found.n_topics - n_topics) <= 1
    assert found.n_topics in found.curve["n_topics"].tolist()
    assert len(found.trials) <= 12
    assert found.n_steps > 0
    row = found.curve.set_index("n_topics").loc[found.n_topics]
    assert row["gain"] == pytest.approx(found.profile_loss - row["loss"], abs=1e-9)


def test_quick_does_not_depend_on_threads_or_runs():
    counts, _ = planted(4)
    runs = [
        tune(counts, modality="expression", plan=SearchPlan(n_seeds=2), seed=3, processors=Processors(n_threads=n))
        for n in (1, 2)
    ]
    assert runs[0].n_topics == runs[1].n_topics
    assert runs[0].settings == runs[1].settings
    np.testing.assert_array_equal(runs[0].trials["loss"], runs[1].trials["loss"])
    np.testing.assert_array_equal(runs[0].stability.matched, runs[1].stability.matched)


def test_bounds_and_budget_are_kept():
    counts, _ = planted(6)
    found = tune(counts, modality="expression", plan=SearchPlan(bounds=(2, 4), n_seeds=0))
    assert found.n_topics == 4
    assert found.stability is None
    assert found.curve["n_topics"].between(2, 4).all()
    few = tune(counts, modality="expression", plan=SearchPlan(n_trials=3, n_seeds=0))
    assert len(few.trials) == 3


def test_mode_none_is_the_size_rule():
    counts, _ = planted(3)
    found = tune(counts, modality="expression", plan=SearchPlan(mode="none"))
    assert found.n_topics == size_rule(counts, "expression") == found.size_rule
    assert found.stability is None
    assert not len(found.trials)


def test_too_few_cells_are_refused():
    counts, _ = planted(3)
    with pytest.raises(InputError, match="at least 10 cells"):
        tune(counts[:3], modality="expression")


def test_thinned_halves_make_up_the_counts():
    counts, _ = planted(3)
    first, second = thin(counts, np.random.default_rng(0))
    assert (first + second != counts).nnz == 0
    assert first.sum() / counts.sum() == pytest.approx(0.5, abs=0.01)
    split = make_split(counts, np.random.default_rng(1), fraction=0.25)
    assert split.training.shape[0] == 300
    assert split.observed.shape == split.scored.shape
    assert split.pooled.sum() == pytest.approx(1)


def test_scores_are_those_of_dense_algebra():
    rng = np.random.default_rng(0)
    counts = sparse.random(70, 20, 0.4, "csr", np.float32, random_state=rng)
    features = rng.dirichlet(np.ones(20), 4).T.astype(np.float32)
    topics = rng.dirichlet(np.ones(4), 70).astype(np.float32)
    wanted = (counts.toarray() * np.log(topics.astype(float) @ features.T)).sum(1)
    np.testing.assert_allclose(cell_scores(counts, features, topics), wanted, rtol=1e-5)


def test_difference_is_the_paired_mean_and_error():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([0.5, 2.5, 3.0])
    gap, error = difference(a, b, 10.0)
    assert gap == pytest.approx(0.1)
    assert error == pytest.approx(np.std([0.5, -0.5, 1.0], ddof=1) * np.sqrt(3) / 10)


def curve_of(gains, *, noise=0.0, n_cells=50, least_gain=LEAST_GAIN):
    """Curve whose gain per count over the profile is given by number of topics."""
    rng = np.random.default_rng(0)
    profile = rng.normal(-700, 50, n_cells)
    scores = {k: profile + gain * 100 + noise * rng.normal(size=n_cells) for k, gain in gains.items()}
    return Curve(scores, profile, 100.0 * n_cells, least_gain)


def test_rule_stops_where_topics_gain_little():
    just = LEAST_GAIN * 0.3 / 3
    assert curve_of({2: 0.2, 3: 0.3, 4: 0.3 + 0.9 * just, 5: 0.3 + 1.8 * just}).choice() == 3
    assert curve_of({2: 0.2, 3: 0.3, 4: 0.3 + 1.1 * just, 5: 0.3 + 1.2 * just}).choice() == 4
    # a plateau that a larger number leaves again is not the end
    assert curve_of({2: 0.2, 3: 0.2, 4: 0.4}).choice() == 4


def test_rule_of_fits_of_accessibility_takes_the_maximum():
    assert LEAST_GAIN_OF_FITS["accessibility"] is None
    assert curve_of({2: 0.2, 3: 0.3, 4: 0.301, 5: 0.3005}, least_gain=None).choice() == 4
    assert curve_of({2: 0.2, 3: 0.3, 4: 0.301, 5: 0.3005}).choice() == 3


def test_rule_does_not_follow_noise():
    gains = {2: 0.001, 3: 0.00102, 4: 0.00104}
    assert curve_of(gains, noise=3.0).choice() <= 3
    smallest = curve_of(gains, noise=3.0).one_standard_error()
    assert smallest in gains


def test_matching_is_the_best_of_all():
    rng = np.random.default_rng(1)
    a, b = rng.dirichlet(np.ones(4), 60), rng.dirichlet(np.ones(4), 60)
    table = correlation(a, b)
    np.testing.assert_allclose(table, np.corrcoef(a.T, b.T)[:4, 4:])
    columns, found = match(a, b)
    best = max(sum(table[i, p[i]] for i in range(4)) for p in itertools.permutations(range(4)))
    assert found.sum() == pytest.approx(best)
    assert sorted(columns) == [0, 1, 2, 3]


def test_flags_of_topics():
    rng = np.random.default_rng(2)
    topics = rng.dirichlet(np.full(4, 0.3), 200).astype(np.float32)
    topics[:, 3] *= 0.05
    features = rng.dirichlet(np.full(80, 0.2), 4).T.astype(np.float32)
    features[:, 1] = features[:, 0] * rng.uniform(0.95, 1.05, 80)
    other = topics.copy()
    other[:, 2] = rng.permutation(other[:, 2])
    found = assess(topics, features, np.full(80, 1 / 80), [other, other])
    assert found.table["flag"].tolist() == ["duplicate", "duplicate", "single", "dead"]
    assert found.table["duplicate_of"].tolist() == [2, 1, 0, 0]
    assert found.table["found_in"].tolist() == [2, 2, 0, 2]


def test_intervals_are_those_of_the_matched_topics():
    rng = np.random.default_rng(3)
    topics = rng.dirichlet(np.full(3, 0.3), 150).astype(np.float32)
    refits = [np.clip(topics + shift, 0, 1).astype(np.float32) for shift in (-0.02, 0.05)]
    order = [2, 0, 1]
    found = assess(topics, rng.dirichlet(np.ones(40), 3).T, np.full(40, 1 / 40), [fit[:, order] for fit in refits])
    fits = np.stack([topics, *refits])
    np.testing.assert_array_equal(found.low, fits.min(0))
    np.testing.assert_array_equal(found.high, fits.max(0))
    np.testing.assert_allclose(found.table["interval"], (fits.max(0) - fits.min(0)).mean(0), rtol=1e-5)
    np.testing.assert_array_equal(found.refits, np.stack(refits))
    alone = assess(topics, rng.dirichlet(np.ones(40), 3).T, np.full(40, 1 / 40), [])
    np.testing.assert_array_equal(alone.low, alone.high)
    assert alone.table["interval"].isna().all()


def test_sample_keeps_to_its_bounds(monkeypatch):
    counts, _ = planted(3)
    monkeypatch.setattr("mira_nb.core.tuning.sample.MAX_NONZEROS", counts.nnz // 4)
    monkeypatch.setattr("mira_nb.core.tuning.sample.MAX_FEATURES", 200)
    monkeypatch.setattr("mira_nb.core.tuning.sample.MIN_SAMPLED_CELLS", 50)
    part = draw_sample(counts, np.random.default_rng(0))
    assert part.counts.shape == (len(part.cells), len(part.features))
    assert len(part.features) <= 200
    assert part.counts.nnz <= 1.1 * counts.nnz / 4
    assert (part.counts != counts[part.cells][:, part.features]).nnz == 0
    monkeypatch.setattr("mira_nb.counts._TEST_BLOCK", 1000)
    again = draw_sample(counts, np.random.default_rng(0))
    np.testing.assert_array_equal(again.cells, part.cells)
    np.testing.assert_array_equal(again.features, part.features)
    # the bound is kept by the values among the read features alone
    stored = np.diff(counts[:, part.features].tocsr().indptr)
    assert len(part.cells) == max(50, int((stored > 1).sum() * (counts.nnz // 4) / stored[stored > 1].sum()))


BRIEF = TopicSettings(n_epochs=2, warmup_epochs=1)
"""For the whole fit that is compared with baselines, where it is not looked at."""

CLIMBS = [
    ("accessibility", 3, 3, {2, 3, 4}),
    ("accessibility", 3, 5, {2, 3, 4, 5, 6}),
    ("accessibility", 3, 8, {2, 3, 4, 5, 6, 7, 8, 10}),
    ("accessibility", 3, 16, {2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20}),
    ("accessibility", 3, 2, {2, 3, 4}),
    ("accessibility", 6, 6, {5, 6, 8}),
    ("accessibility", 6, 3, {2, 3, 4, 5, 6, 8}),
    ("expression", 3, 3, {3, 4, 5}),
    ("expression", 3, 8, {3, 4, 5, 6, 8, 10, 13}),
    ("expression", 3, 2, {3, 4, 5}),
]
"""Modality, planted topics (those that factorisations choose), best of the fits, numbers fitted."""


@pytest.mark.parametrize(("modality", "n_planted", "best", "fitted"), CLIMBS)
def test_short_fits_climb_from_the_choice_of_factorisations(monkeypatch, modality, n_planted, best, fitted):
    """Accessibility up and down to the highest likelihood; expression upwards, two numbers ahead."""
    seen = []

    def scored(split, encoder, modality, trial, **rest):
        settings, start = trial
        assert start.topics.shape == (split.training.shape[0], settings.n_topics)
        seen.append(settings.n_topics)
        n_cells = split.scored.shape[0]
        loss = abs(settings.n_topics - best) * 50.0 + settings.initial_pseudocounts * 1e-6
        return ShortFit(np.full(n_cells, -700.0 - loss), 100.0 * n_cells, 1, 1, np.ones((n_cells, 1)))

    monkeypatch.setattr("mira_nb.core.tuning.quick.short_fit", scored)
    counts, _ = planted(n_planted, n_cells=150)
    if modality == "accessibility":
        counts.data[:] = 1
    found = tune(counts, modality=modality, settings=BRIEF, plan=SearchPlan(n_seeds=0))
    assert set(found.fitted["n_topics"]) == fitted
    assert found.n_topics == (best if modality == "accessibility" else max(best, n_planted))
    assert (found.trials["phase"] == "model").sum() == len(found.fitted)
    # at the choice J = K / 2, and for expression a start from squared proportions
    assert len(seen) == len(found.fitted) + (2 if modality == "expression" else 1)


@pytest.mark.parametrize(("best", "tried"), [(0.1, 2), (1.5, 2), (3.0, 3), (20.0, 3), (50.0, 3)])
def test_larger_pseudocounts_are_tried_where_smaller_ones_cost_likelihood(monkeypatch, best, tried):
    """J = 1.5, 3 and 50 at three topics, under likelihoods with their maximum over log J at `best`."""
    seen = []

    def scored(split, encoder, modality, trial, **rest):
        settings, _ = trial
        n_cells, j = split.scored.shape[0], settings.initial_pseudocounts
        loss = abs(np.log(j / best)) * 10.0 + abs(settings.n_topics - 3) * 100.0
        if settings.n_topics == 3 and settings.start_power == 1:
            seen.append(j)
        return ShortFit(np.full(n_cells, -700.0 - loss), 100.0 * n_cells, 1, 1, np.ones((n_cells, 1)))

    monkeypatch.setattr("mira_nb.core.tuning.quick.short_fit", scored)
    found = tune(planted(3, n_cells=150)[0], modality="expression", settings=BRIEF, plan=SearchPlan(n_seeds=0))
    assert found.n_topics == 3
    assert sorted(seen) == sorted([3.0, 1.5, 50.0][:tried])
    assert found.settings["initial_pseudocounts"] == min(seen, key=lambda j: abs(np.log(j / best)))


def test_other_settings_stay(monkeypatch):
    """What is not searched is that of the settings given."""
    seen = []

    def recorded(split, encoder, modality, trial, **rest):
        seen.append(trial[0])
        return short_fit(split, encoder, modality, trial, **rest)

    monkeypatch.setattr("mira_nb.core.tuning.quick.short_fit", recorded)
    counts, _ = planted(3, n_cells=150)
    given = replace(TopicSettings(), n_hidden=16, dropout=0.1)
    found = tune(counts, modality="expression", plan=SearchPlan(n_seeds=0), settings=given)
    assert {item.n_hidden for item in seen} == {16}
    assert {item.n_topics for item in seen} == set(found.fitted["n_topics"])
    of_choice = {item.initial_pseudocounts for item in seen if item.n_topics == found.n_topics}
    assert {found.n_topics / 2, float(found.n_topics)} <= of_choice <= {found.n_topics / 2, float(found.n_topics), 50.0}
    assert {item.initial_pseudocounts for item in seen if item.n_topics != found.n_topics} == set(
        map(float, set(found.fitted["n_topics"]) - {found.n_topics})
    )
    assert found.settings["shrinkage_power"] in POWERS
    without = tune(counts, modality="expression", plan=SearchPlan(n_seeds=0), settings=replace(given, shrinkage="none"))
    assert "shrinkage_power" not in without.settings


def test_power_of_the_shrinkage_is_the_likeliest_for_held_out_cells():
    """Every power tried by hand on the held-out cells of the same split, features without contrasts among the rest."""
    counts, _ = planted(3, n_cells=200)
    noise = np.random.default_rng(5).poisson(0.05, (200, 300))
    counts = sparse.csr_matrix(sparse.hstack([counts, noise]))
    settings = TopicSettings(
        n_topics=3, n_hidden=16, learning_rate_min=2e-3, learning_rate_max=2e-2, holdout_fraction=0.0
    )
    encoder = np.ones(counts.shape[1], bool)
    split = make_split(counts, np.random.default_rng([4, 3]))
    with Workers(1) as workers:
        start = kl_nmf(split.training, 3, np.random.default_rng(0), workers)
    found = short_fit(split, encoder, "expression", (settings, start), n_steps=60, seed=4, n_threads=1)
    likely = {}
    for power in POWERS:
        fit = fit_topic_model(
            split.training, modality="expression", encoder_features=encoder, seed=4, n_threads=1, start=start,
            settings=replace(settings, n_epochs=found.n_epochs, shrinkage_power=power),
        )  # fmt: skip
        topics = fit.encode(split.observed)
        rho = fit.decoder.log_composition(topics)
        likely[power] = float(split.scored.multiply(rho).sum())
    assert found.shrinkage_power == max(likely, key=likely.__getitem__)
    assert found.shrinkage_power > 0


# ---------------------------------------------------------------- the published search
QUICK_FITS = TopicSettings(
    learning_rate_min=2e-3, learning_rate_max=2e-2, n_hidden=16, warmup_epochs=2, holdout_fraction=0.0
)


def search(counts, folder=None, *, n_trials=6, **rest):
    return tune(
        counts,
        modality="expression",
        plan=SearchPlan(mode="paper", bounds=(2, 6), n_trials=n_trials, n_folds=3, n_seeds=0),
        settings=QUICK_FITS,
        seed=1,
        folder=folder,
        **rest,
    )


@pytest.fixture(scope="module")
def small():
    return planted(3, n_cells=150, n_features=60, depth=150)[0]


@pytest.fixture(scope="module")
def undisturbed(small):
    return search(small)


def test_paper_compares_finalists_and_prunes(undisturbed):
    trials = undisturbed.trials
    assert (trials["phase"] == "search").sum() == 6
    finalists = trials[trials["state"] == "compared"]
    assert len(finalists) == 5
    chosen = finalists.loc[finalists["loss"].idxmin()]
    assert chosen["n_topics"] == undisturbed.n_topics
    assert chosen["initial_pseudocounts"] == undisturbed.settings["initial_pseudocounts"]
    for row in trials[trials["phase"] == "search"].itertuples():
        folds = [float(loss) for loss in row.fold_losses.split()]
        assert len(folds) == row.folds
        wanted = 0.01 * 2 ** (1 - row.folds) if row.state == "pruned" else 0.0
        assert row.penalty == pytest.approx(wanted)
        assert row.loss == pytest.approx(np.mean(folds) + wanted, abs=2e-6)
        assert (row.folds < 3) == (row.state == "pruned")
    assert set(trials.loc[trials["trial"] < 4, "state"]) == {"complete"}, "the first batch has no earlier trials"


class Stopped(Exception):
    pass


@pytest.mark.parametrize("calls", [2, 4, 6])
def test_a_stopped_search_goes_on_to_the_same_end(small, undisturbed, tmp_path, calls):
    """Stopped after some reports of progress, in the middle of batches; the journal holds what was done."""
    seen = []

    def stop(fraction, message):
        seen.append(message)
        if len(seen) == calls:
            raise Stopped

    with pytest.raises(Stopped):
        search(small, tmp_path, progress=stop)
    resumed = search(small, tmp_path)
    assert resumed.trials.equals(undisturbed.trials)
    assert resumed.n_topics == undisturbed.n_topics
    again = search(small, tmp_path)
    assert again.trials.equals(undisturbed.trials)
    assert not [name for name in again.seconds if name.startswith(("trial", "finalist"))], "nothing is computed twice"


def test_another_seed_or_other_counts_are_another_study(small):
    name = study_name(small, "expression", 1)
    assert name == study_name(small.copy(), "expression", 1)
    assert name != study_name(small, "expression", 2)
    changed = small.copy()
    changed.data[0] += 1
    assert name != study_name(changed, "expression", 1)


def test_pruning_is_that_of_brute_force():
    rng = np.random.default_rng(5)
    for _ in range(200):
        earlier = [tuple(rng.normal(size=rng.integers(1, 6))) for _ in range(rng.integers(0, 12))]
        losses = tuple(rng.normal(size=rng.integers(1, 5)))
        fold = len(losses)
        means = sorted([np.mean(losses), *(np.mean(other[:fold]) for other in earlier if len(other) >= fold)])
        kept = means[: -(-len(means) // 3)]
        assert survives(losses, earlier) == (np.mean(losses) <= kept[-1] + 1e-12)


def test_penalty_halves_with_every_fold():
    assert [penalty(n, 1.0) for n in (1, 2, 3, 4)] == [1.0, 0.5, 0.25, 0.125]


def test_search_ends_when_suggestions_agree():
    assert not settled([7] * 7)
    assert settled([3, 12, *[7, 8] * 4])
    assert not settled([7, 8, 7, 9, 8, 8, 7, 8])


def test_folds_are_even_and_depend_on_the_seed_only():
    folds = fold_of_cells(103, 5, 2)
    assert sorted(np.bincount(folds)) == [20, 20, 21, 21, 21]
    np.testing.assert_array_equal(folds, fold_of_cells(103, 5, 2))
    assert (folds != fold_of_cells(103, 5, 3)).any()


@pytest.mark.slow
def test_two_processes_give_the_same_trials(small, undisturbed):
    from mira_nb.run.compute import LocalCompute

    assert search(small, processors=Processors(run_all=LocalCompute(2).map)).trials.equals(undisturbed.trials)


def test_equally_good_priors_are_told_by_error_and_size():
    def fit(gap, noise):
        rng = np.random.default_rng(0)
        return ShortFit(np.full(100, -700.0) - gap * 100 + noise * rng.normal(size=100), 1e4, 2, 10, np.ones((1, 1)))

    best = fit(0.0, 0.0)
    assert fit(0.9e-3, 0.0).within_error_of(best)
    assert not fit(1.1e-3, 0.0).within_error_of(best)
    assert fit(3e-3, 100.0).within_error_of(best), "within its standard error"
