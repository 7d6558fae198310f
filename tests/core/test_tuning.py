"""Choice of the number of topics on planted data, and its parts against closed forms and brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.topics.settings import TopicSettings
from mira_nb.core.tuning.held_out import cell_scores, difference, make_split, thin
from mira_nb.core.tuning.rule import LEAST_GAIN, Curve
from mira_nb.core.tuning.sample import draw_sample
from mira_nb.core.tuning.stability import assess, correlation, match
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
    found = tune(counts, modality=modality, n_trials=12, n_seeds=3)
    assert abs(found.n_topics - n_topics) <= 1
    assert found.n_topics in found.curve["n_topics"].tolist()
    assert len(found.trials) <= 12
    assert found.n_steps > 0
    row = found.curve.set_index("n_topics").loc[found.n_topics]
    assert row["gain"] == pytest.approx(found.profile_loss - row["loss"], abs=1e-9)


def test_quick_does_not_depend_on_threads_or_runs():
    counts, _ = planted(4)
    runs = [tune(counts, modality="expression", n_seeds=2, seed=3, n_threads=n) for n in (1, 2)]
    assert runs[0].n_topics == runs[1].n_topics
    assert runs[0].settings == runs[1].settings
    np.testing.assert_array_equal(runs[0].trials["loss"], runs[1].trials["loss"])
    np.testing.assert_array_equal(runs[0].stability.matched, runs[1].stability.matched)


def test_bounds_and_budget_are_kept():
    counts, _ = planted(6)
    found = tune(counts, modality="expression", bounds=(2, 4), n_seeds=0)
    assert found.n_topics == 4
    assert found.stability is None
    assert found.curve["n_topics"].between(2, 4).all()
    few = tune(counts, modality="expression", n_trials=3, n_seeds=0)
    assert len(few.trials) == 3


def test_mode_none_is_the_size_rule():
    counts, _ = planted(3)
    found = tune(counts, modality="expression", mode="none")
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
    counts = sparse.random(70, 20, 0.4, "csr", np.float32, rng=rng)
    features = rng.dirichlet(np.ones(20), 4).T.astype(np.float32)
    topics = rng.dirichlet(np.ones(4), 70).astype(np.float32)
    wanted = (counts.toarray() * np.log(topics.astype(float) @ features.T)).sum(1)
    np.testing.assert_allclose(cell_scores(counts, features, topics), wanted, rtol=1e-5)


def test_difference_is_the_paired_mean_and_error():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([0.5, 2.5, 3.0])
    gap, error = difference(a, b, 10.0)
    assert gap == pytest.approx(0.1)
    assert error == pytest.approx(np.std([0.5, -0.5, 1.0], ddof=1) * np.sqrt(3) / 10)


def curve_of(gains, *, noise=0.0, n_cells=50):
    """Curve whose gain per count over the profile is given by number of topics."""
    rng = np.random.default_rng(0)
    profile = rng.normal(-700, 50, n_cells)
    scores = {k: profile + gain * 100 + noise * rng.normal(size=n_cells) for k, gain in gains.items()}
    return Curve(scores, profile, 100.0 * n_cells)


def test_rule_stops_where_topics_gain_little():
    just = LEAST_GAIN * 0.3 / 3
    assert curve_of({2: 0.2, 3: 0.3, 4: 0.3 + 0.9 * just, 5: 0.3 + 1.8 * just}).choice() == 3
    assert curve_of({2: 0.2, 3: 0.3, 4: 0.3 + 1.1 * just, 5: 0.3 + 1.2 * just}).choice() == 4
    # a plateau that a larger number leaves again is not the end
    assert curve_of({2: 0.2, 3: 0.2, 4: 0.4}).choice() == 4


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


def test_other_settings_stay(monkeypatch):
    """What is not searched is that of the settings given."""
    seen = []

    def recorded(counts, encoder, modality, settings, **rest):
        seen.append(settings)
        from mira_nb.core.tuning.short_fit import short_fit

        return short_fit(counts, encoder, modality, settings, **rest)

    monkeypatch.setattr("mira_nb.core.tuning.quick.short_fit", recorded)
    counts, _ = planted(3, n_cells=150)
    given = replace(TopicSettings(), n_hidden=16, dropout=0.1)
    found = tune(counts, modality="expression", settings=given, n_seeds=0)
    assert {item.n_hidden for item in seen} == {16}
    assert {item.n_topics for item in seen} == {found.n_topics}
    assert {item.initial_pseudocounts for item in seen} == {found.n_topics / 2, float(found.n_topics), 50.0}
