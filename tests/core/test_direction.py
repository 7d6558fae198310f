from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import ttest_ind

from mira_nb.core.trajectory.direction import (
    chromatin_lead,
    judge_direction,
    lead_matrix,
    level_matrix,
    over_refits,
    path_positions,
)


def bump(at: np.ndarray, centre: float) -> np.ndarray:
    return 0.6 * np.exp(-(((at - centre) / 0.2) ** 2))


@pytest.mark.parametrize("lead", [-0.04, 0.0, 0.04])
def test_planted_lead_is_found_and_changes_sign_with_the_path(lead):
    rng = np.random.default_rng(0)
    at = rng.random(2000)
    centres = (0.2, 0.5, 0.8)
    rna = np.column_stack([bump(at, c) for c in centres]) + rng.normal(scale=0.05, size=(2000, 3))
    # Another scale and level of the accessibility topic are no lead.
    atac = 0.1 + 0.7 * np.column_stack([bump(at + lead, c) for c in centres]) + rng.normal(scale=0.05, size=(2000, 3))
    found = chromatin_lead(at, rna, atac)[0]
    assert found == pytest.approx(lead, abs=0.008)
    assert chromatin_lead(1 - at, rna, atac)[0] == pytest.approx(-found, abs=1e-9)


def chain(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distances from both ends of a chain of 1,500 cells, and topics of which accessibility leads by .03."""
    at = np.sort(rng.random(1500))
    rna = np.column_stack([bump(at, c) for c in (0.3, 0.7)]) + rng.normal(scale=0.05, size=(1500, 2))
    atac = np.column_stack([bump(at + 0.03, c) for c in (0.7, 0.3)]) + rng.normal(scale=0.05, size=(1500, 2))
    return np.stack([at - at[0], at[-1] - at]), rna, atac


def test_lead_orders_the_ends_of_a_chain_and_needs_partners():
    rng = np.random.default_rng(1)
    distances, rna, atac = chain(rng)
    lead, z = lead_matrix(distances, np.array([0, 1499]), rna, atac, rng=rng)
    assert lead[0, 1] == pytest.approx(0.03, abs=0.01)
    assert lead[1, 0] == -lead[0, 1]
    assert z[0, 1] > 3
    noise = rng.random((1500, 2))
    assert np.isnan(lead_matrix(distances, np.array([0, 1499]), rna, noise, rng=rng)[1]).all()


def test_positions_on_a_path_leave_out_its_side_branches():
    # A chain of eleven cells with a branch of three at its middle.
    rows, cols = [*range(10), 5, 11, 12], [*range(1, 11), 11, 12, 13]
    graph = sparse.csr_matrix((np.ones(13), (rows, cols)), shape=(14, 14))
    distances = sparse.csgraph.dijkstra(graph.maximum(graph.T), directed=False, indices=[0, 10])
    position, on = path_positions(*distances, 10.0)
    np.testing.assert_allclose(position[:11], np.arange(11) / 10)
    assert on.tolist() == [True] * 11 + [False] * 3


def test_levels_are_compared_by_welchs_statistic():
    values = np.random.default_rng(2).normal(size=60) * np.repeat([1.0, 2.0, 3.0], 20)
    hoods = np.arange(60).reshape(3, 20)
    found = level_matrix(values, hoods)
    for i in range(3):
        for j in range(3):
            expected = ttest_ind(values[hoods[i]], values[hoods[j]], equal_var=False).statistic if i != j else 0.0
            assert found[i, j] == pytest.approx(expected)


def test_levels_of_unknown_cells_are_left_out():
    values = np.random.default_rng(3).normal(size=40)
    values[[3, 25, 31]] = np.nan
    first, second = values[:20], values[20:]
    expected = ttest_ind(first[np.isfinite(first)], second[np.isfinite(second)], equal_var=False).statistic
    assert level_matrix(values, np.arange(40).reshape(2, 20))[0, 1] == pytest.approx(expected)


def test_lead_on_some_cells_is_that_of_these_cells():
    rng = np.random.default_rng(4)
    distances, rna, atac = chain(rng)
    cells = np.arange(0, 1500, 2)
    rna[1::2] = np.nan
    lead, z = lead_matrix(distances, np.array([0, 1499]), rna, atac, rng=rng, cells=cells)
    assert lead[0, 1] == pytest.approx(0.03, abs=0.015)
    assert z[0, 1] > 2


def test_evidence_over_refits_has_their_scatter_in_its_error():
    """Simulated estimates with a sampling error that fits share and a fit error of their own: z has variance 1."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(4000):
        shared, own = rng.normal(), rng.normal(scale=2.0, size=40)
        found.append(over_refits([np.array([[0.0, shared + x], [-shared - x, 0.0]]) for x in own])[0, 1])
    # the mean's variance is 1 + 4 / 40, that of the error 1 + 4
    assert np.var(found) == pytest.approx((1 + 4 / 40) / 5, rel=0.1)
    alone = np.array([[0.0, 3.0], [-3.0, 0.0]])
    np.testing.assert_array_equal(over_refits([alone]), alone)
    np.testing.assert_allclose(over_refits([alone, alone, alone]), alone)
    np.testing.assert_array_equal(over_refits([alone, np.full((2, 2), np.nan)]), alone)
    assert abs(over_refits([alone, -alone])[0, 1]) < 1e-12


def before(order: list[int], z: float) -> np.ndarray:
    """Return the matrix of evidence that places the tips in an order, each before the next by z."""
    place = np.argsort(order)
    return z * (place[None, :] - place[:, None]).astype(float)


def test_direction_needs_two_decisive_kinds_and_none_against():
    first, other = before([1, 0, 2], 3.0), before([0, 1, 2], 3.0)
    weak, missing = before([0, 1, 2], 0.5), np.full((3, 3), np.nan)
    both = judge_direction({"a": first, "b": first, "c": weak, "d": missing})
    assert both.established
    assert both.order[0] == 1
    assert set(both.certainty) == {"a", "b", "c"}
    assert both.named["c"] == (0, False)
    np.testing.assert_allclose(both.certainty["a"], [-3, 3, -6])
    assert not judge_direction({"a": first, "b": weak}).established
    assert not judge_direction({"a": first, "b": first, "c": other}).established
    assert judge_direction({"a": first, "b": weak}, n_needed=1).established
    assert not judge_direction({"a": first, "b": first}, decisive=4).established
    assert not judge_direction({"a": missing}).established
