"""Neighbours in a reference, votes and positions, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mira_nb.core.representation.transfer import Placement, mean_position, place, vote
from mira_nb.errors import InputError


def test_neighbours_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    reference, new = rng.normal(size=(60, 4)), rng.normal(size=(9, 4))
    new[0] += 50
    found = place(reference, new, k=5)
    distances = cdist(new, reference, "cityblock")
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :5])
    own = np.sort(cdist(reference, reference, "cityblock"), axis=1)[:, 1:6].mean(1)
    assert found.limit == pytest.approx(np.quantile(own, 0.99), rel=1e-5)
    assert found.outside[0]


def test_votes_count_neighbours_and_ties_go_to_the_nearer() -> None:
    placement = Placement(
        np.array([[0, 1, 2, 3], [0, 2, 1, 3]]), np.array([[1.0, 2, 3, 4], [1, 2, 3, 9]]), np.zeros(2, bool), 1.0
    )
    label, confidence = vote(np.array(["b", "a", "a", "a"]), placement)
    assert list(label) == ["a", "a"]
    np.testing.assert_allclose(confidence, [0.75, 0.75])
    label, confidence = vote(np.array(["b", "b", "a", "a"]), placement)
    assert list(label) == ["b", "b"]  # means 1.5 < 3.5 and 2 < 5.5
    np.testing.assert_allclose(confidence, 0.5)
    np.testing.assert_allclose(mean_position(np.arange(8.0).reshape(4, 2), placement), [[3, 4], [3, 4]])


def test_spaces_must_agree() -> None:
    with pytest.raises(InputError, match="3 coordinates"):
        place(np.zeros((5, 2)), np.zeros((1, 3)))
