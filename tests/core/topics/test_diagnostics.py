"""Predictive moments against draws, sparsity against closed forms, baselines against dense algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.topics.data import part_of_cells
from mira_nb.core.topics.decoder import Decoder
from mira_nb.core.topics.diagnostics import effective_number, expected_effective_number, predictive
from mira_nb.core.tuning.baselines import compare_baselines, svd_score
from mira_nb.core.tuning.held_out import SMOOTHING, make_split


def decoder(rng, k=3, n_features=40, dispersion=True):
    """A decoder of random weights."""
    return Decoder(
        beta=rng.normal(size=(k, n_features)), bn_mean=rng.normal(size=n_features) * 0.1,
        bn_var=np.ones(n_features), gamma=np.full(n_features, 0.8), bias=rng.normal(size=n_features),
        dispersion=rng.uniform(0.5, 4, n_features) if dispersion else None,
    )  # fmt: skip


@pytest.mark.parametrize("expression", [True, False])
def test_expected_moments_are_those_of_many_draws(expression):
    rng = np.random.default_rng(0)
    model, n_cells, n_draws = decoder(rng, dispersion=expression), 25, 4000
    topics = rng.dirichlet(np.ones(3), n_cells)
    depth = rng.integers(20, 80, n_cells).astype(float)
    rho = model.composition(topics)
    if expression:
        rate = (depth[:, None] * rho)[None] * rng.gamma(model.dispersion, 1 / model.dispersion, (n_draws, *rho.shape))
        draws = rng.poisson(rate)
    else:
        draws = np.stack([rng.multinomial(int(n), p / p.sum(), n_draws) for n, p in zip(depth, rho, strict=True)], 1)
    pooled = draws.reshape(-1, rho.shape[1])
    found = predictive(sparse.csr_matrix(draws[0]), model, topics, depth if expression else None)
    np.testing.assert_allclose(found.mean[:, 1], pooled.mean(0), rtol=0.08, atol=0.01)
    np.testing.assert_allclose(found.variance[:, 1], pooled.var(0), rtol=0.15, atol=0.01)
    np.testing.assert_allclose(found.zeros[:, 1], (pooled == 0).mean(0), atol=0.01)
    np.testing.assert_allclose(found.detected[:, 1], (draws > 0).sum(2).mean(0), rtol=0.02)
    if expression:
        np.testing.assert_allclose(found.depth_sd, draws.sum(2).std(0), rtol=0.1)
    np.testing.assert_allclose(found.variance[:, 0], draws[0].var(0))
    np.testing.assert_allclose(found.zeros[:, 0], (draws[0] == 0).mean(0))


def test_large_data_are_read_at_evenly_spaced_cells():
    rng = np.random.default_rng(1)
    counts = sparse.csr_matrix(rng.poisson(1.0, (100, 40)))
    found = predictive(counts, decoder(rng), rng.dirichlet(np.ones(3), 100), np.full(100, 40.0), max_values=800)
    assert len(found.cells) == 20
    assert found.cells[0] == 0
    assert found.cells[-1] == 99


def test_effective_numbers():
    np.testing.assert_allclose(effective_number(np.array([[1, 0, 0], [0.5, 0.5, 0], [1 / 3] * 3])), [1, 2, 3])
    rng = np.random.default_rng(2)
    assert expected_effective_number(np.full(4, 1e4), rng) == pytest.approx(4, rel=1e-3)
    assert expected_effective_number(np.full(4, 1e-3), rng) == pytest.approx(1, abs=0.01)


class Known:
    """A model whose topics of cells are known: what it gives held-out cells is the truth."""

    modality = "accessibility"

    def __init__(self, model: Decoder, topics: np.ndarray, held_out: np.ndarray) -> None:
        self.decoder, self.topics, self.held_out, self.n_topics = model, topics, held_out, model.n_topics

    def encode(self, counts, *, n_threads=1):
        return self.topics[self.held_out]


def planted() -> tuple[Known, sparse.csr_matrix, np.ndarray, np.random.Generator]:
    """Return a model with known topics, counts drawn from it, and which cells are held out."""
    rng = np.random.default_rng(3)
    model = decoder(rng, n_features=200, dispersion=False)
    topics = rng.dirichlet(np.full(3, 0.2), 400)
    counts = sparse.csr_matrix(np.stack([rng.multinomial(300, p / p.sum()) for p in model.composition(topics)]))
    held_out = np.arange(400) % 5 == 0
    return Known(model, topics, held_out), counts, held_out, rng


def test_true_topics_beat_every_baseline_and_nmf_beats_the_profile():
    known, counts, held_out, rng = planted()
    table = compare_baselines(known, counts[~held_out], counts[held_out], rng).set_index("method")
    assert list(table.index) == ["model", "profile", "nmf", "svd"]
    assert table.loc["model", "model_gain"] == 0
    assert (table.loc[["profile", "nmf", "svd"], "model_gain"] > 0).all()
    assert table.loc["nmf", "log_likelihood"] > table.loc["profile", "log_likelihood"]
    assert (table["n_cells"] == 80).all()
    assert (table["n_training_cells"] == 320).all()
    assert compare_baselines(known, counts, counts[:0], rng).empty


def test_simpler_models_read_a_part_of_many_counts():
    known, counts, held_out, rng = planted()
    cells, training = np.flatnonzero(~held_out), counts[~held_out]
    np.testing.assert_array_equal(part_of_cells(counts, cells, training.nnz, rng), cells)
    part = part_of_cells(counts, cells, training.nnz // 2, rng)
    assert (len(part), np.isin(part, cells).all(), (np.diff(part) > 0).all()) == (160, True, True)
    table = compare_baselines(known, counts[part], counts[held_out], rng, n_training=320).set_index("method")
    assert table["n_training_cells"].to_dict() == {"model": 320, "profile": 160, "nmf": 160, "svd": 160}
    whole = compare_baselines(known, training, counts[held_out], rng).set_index("method")
    # half as many cells change the simpler models' values by far less than the models differ
    assert (table["log_likelihood"] - whole["log_likelihood"]).abs().max() < 0.3 * whole.loc["profile", "model_gain"]


def test_svd_score_is_that_of_dense_algebra():
    rng = np.random.default_rng(4)
    split = make_split(sparse.csr_matrix(rng.poisson(1.0, (60, 25)).astype(np.float32)), rng)
    train, seen = (x.toarray() / x.toarray().sum(1, keepdims=True) for x in (split.training, split.observed))
    axes = np.linalg.svd(train, full_matrices=False)[2][:4]
    values = np.maximum(seen @ axes.T @ axes, 0)
    mixed = (1 - SMOOTHING) * values / values.sum(1, keepdims=True) + SMOOTHING * split.pooled
    np.testing.assert_allclose(svd_score(split, 4), (split.scored.toarray() * np.log(mixed)).sum(1), rtol=1e-5)
    assert math.isfinite(svd_score(split, 10_000).sum())
