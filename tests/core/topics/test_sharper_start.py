"""A start from proportions raised to a power: closed form, and purer cells on planted topics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.nmf import Factorisation
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.core.topics.warmstart import sharpened
from mira_nb.core.tuning.result import SearchPlan
from mira_nb.core.tuning.tune import tune
from mira_nb.errors import ParameterError

from .test_fit import matched


def test_proportions_are_raised_and_sum_to_one_again():
    topics = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    found = Factorisation(topics, np.ones((4, 3)), -1.0, 7)
    raised = sharpened(found, 2.0)
    np.testing.assert_allclose(raised.topics, [[2 / 3, 1 / 6, 1 / 6], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert raised.features is found.features
    assert sharpened(found, 1.0) is found
    with pytest.raises(ParameterError, match="start_power"):
        TopicSettings(start_power=0.5)


def effective(topics):
    """Exponential of the entropy of the proportions, mean over cells."""
    return float(np.exp(-(topics * np.log(topics + 1e-12)).sum(1)).mean())


def nearly_pure(seed: int, k: int = 5, n: int = 500, n_features: int = 200, depth: float = 800):
    """Counts of cells that hardly mix their programmes, and the planted proportions."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(k, 0.12), n)
    features = rng.gamma(1.0, 1.0, (k, n_features)) + 0.05
    features[np.arange(n_features) % k, np.arange(n_features)] *= 8
    features /= features.sum(1, keepdims=True)
    mean = depth * rng.lognormal(0, 0.3, (n, 1)) * (topics @ features)
    return sparse.csr_matrix(rng.poisson(rng.gamma(5.0, mean / 5.0)).astype(np.float32)), topics


@pytest.mark.parametrize("seed", range(3))
def test_cells_come_out_nearer_to_their_planted_purity(seed):
    counts, topics = nearly_pure(seed)
    common = {"n_topics": 5, "n_epochs": 20, "batch_size": 64, "restarts": 3, "initial_pseudocounts": 2.5}
    plain, sharp = (
        fit_topic_model(
            counts,
            modality="expression",
            settings=TopicSettings.for_modality("expression", start_power=power, **common),
            seed=seed,
        ).topics
        for power in (1.0, 2.0)
    )
    planted = effective(topics)
    assert planted < effective(sharp) < effective(plain) - 0.25 * (effective(plain) - planted)
    assert matched(topics, sharp).mean() > matched(topics, plain).mean() - 0.002
    assert np.abs(sharp.sum(1) - 1).max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_a_quick_tuning_squares_only_where_held_out_cells_are_likelier(seed):
    """Cells that hardly mix start purer; of shallow cells the factorisation is too pure already."""
    plan = SearchPlan(bounds=(5, 5), n_seeds=0)
    for depth, wanted in ((800, 2.0), (25, 1.0)):
        counts, _ = nearly_pure(seed, n=300, depth=depth)
        settings = TopicSettings.for_modality("expression", n_epochs=2)  # of the whole fit, which is not looked at
        found = tune(counts, modality="expression", settings=settings, plan=plan)
        start = found.trials[found.trials["phase"] == "start"]
        assert start["start_power"].tolist() == [2.0]
        assert found.settings["start_power"] == wanted
