from __future__ import annotations

import numpy as np

from mira_nb.core.trajectory.programmes import side_programmes, topic_variation


def planted(n: int = 900, *, cycle: bool) -> tuple[np.ndarray, np.ndarray]:
    """Three states along a path in both assays and, where asked for, a fourth topic at any strength in every state."""
    rng = np.random.default_rng(4)
    time = rng.random(n)
    states = np.column_stack([np.exp(-(((time - centre) / 0.15) ** 2)) for centre in (0.0, 0.5, 1.0)]) + 0.02
    states /= states.sum(axis=1, keepdims=True)
    strength = 0.02 + 0.6 * rng.beta(0.7, 1.2, n)[:, None]
    weights = np.hstack([states * (1 - strength), strength]) if cycle else states
    drawn = [rng.gamma(100 * weights) + 1e-9 for _ in range(2)]
    rna, atac = (item / item.sum(axis=1, keepdims=True) for item in drawn)
    return rna, atac[:, ::-1]


def test_a_programme_of_every_state_is_told_from_topics_of_states():
    rna, atac = planted(cycle=True)
    assert [(item.rna, item.atac) for item in side_programmes(rna, atac)] == [(3, 0)]
    variation = {item.rna: item.variation for item in topic_variation(rna, atac)}
    assert set(variation) == {0, 1, 2, 3}
    assert variation[3] > 5 * max(variation[k] for k in range(3))
    assert side_programmes(rna, atac, least=1.0) == []


def test_states_alone_have_none():
    assert side_programmes(*planted(cycle=False)) == []


def test_two_topics_of_either_assay_are_always_left():
    rng = np.random.default_rng(0)
    shared = rng.dirichlet(np.ones(3), size=400)
    found = side_programmes(shared, shared, least=1e-6)
    assert len(found) <= 1
    assert side_programmes(shared[:, :2], shared[:, :2], least=1e-6) == []
