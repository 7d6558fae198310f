from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.trajectory.terminal_states import (
    absorbing_sets,
    fate_probabilities,
    find_terminal_states,
    leading_left_eigenvector,
    pseudotime_maxima,
    recurrent_classes,
)
from mira_nb.errors import ConvergenceError, InputError


def gambler(n: int, p: float) -> sparse.csr_matrix:
    """Walk on 0..n, up with probability p, absorbed at both ends."""
    chain = sparse.lil_matrix((n + 1, n + 1))
    chain[0, 0] = chain[n, n] = 1
    for i in range(1, n):
        chain[i, i + 1], chain[i, i - 1] = p, 1 - p
    return chain.tocsr()


@pytest.mark.parametrize("p", [0.5, 0.6, 0.35])
def test_gamblers_ruin(p: float) -> None:
    n = 30
    fates = fate_probabilities(gambler(n, p), [np.array([0]), np.array([n])])
    i = np.arange(n + 1)
    ratio = (1 - p) / p
    wanted = i / n if p == 0.5 else (1 - ratio**i) / (1 - ratio**n)
    np.testing.assert_allclose(fates[:, 1], wanted, atol=1e-10)
    np.testing.assert_allclose(fates.sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(5))
def test_fates_equal_the_fundamental_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.random((25, 25)) * (rng.random((25, 25)) < 0.4) + 1e-3
    dense /= dense.sum(axis=1, keepdims=True)
    ends = [np.array([3, 7]), np.array([11]), np.array([20])]
    absorbing = np.concatenate(ends)
    rest = np.setdiff1d(np.arange(25), absorbing)
    inverse = np.linalg.inv(np.eye(len(rest)) - dense[np.ix_(rest, rest)])
    wanted = np.column_stack([inverse @ dense[np.ix_(rest, cells)].sum(axis=1) for cells in ends])
    np.testing.assert_allclose(fate_probabilities(sparse.csr_matrix(dense), ends)[rest], wanted, atol=1e-9)


def test_cells_that_cannot_reach_an_end_and_overlapping_ends_are_refused() -> None:
    chain = sparse.block_diag([gambler(5, 0.5), gambler(5, 0.5)]).tocsr()
    with pytest.raises(ConvergenceError, match="6 cells"):
        fate_probabilities(chain, [np.array([0]), np.array([5])])
    with pytest.raises(InputError, match="share"):
        fate_probabilities(gambler(5, 0.5), [np.array([0]), np.array([0, 5])])


def two_armed(seed: int, n: int = 60) -> tuple[sparse.csr_matrix, sparse.csr_matrix, np.ndarray, tuple[int, int]]:
    """A fork with two absorbing cells, cells in random order: the eigenvalue 1 is exactly twofold."""
    rng = np.random.default_rng(seed)
    arm = n // 3
    edges = [(i, i + 1) for i in range(arm)]
    edges += [(arm if i == 0 else arm + i, arm + i + 1) for i in range(arm)]
    edges += [(arm if i == 0 else 2 * arm + i, 2 * arm + i + 1) for i in range(arm)]
    size = 3 * arm + 1
    depth = np.zeros(size)
    for a, b in edges:
        depth[b] = depth[a] + 1
    order = rng.permutation(size)
    graph, chain = sparse.lil_matrix((size, size)), sparse.lil_matrix((size, size))
    for a, b in edges:
        graph[order[a], order[b]] = graph[order[b], order[a]] = 1.0
        chain[order[a], order[b]] = rng.random() + 0.1
        chain[order[b], order[a]] = 0.2 * rng.random()
    ends = (int(order[2 * arm]), int(order[3 * arm]))
    for end in ends:
        chain[end, :] = 0
        chain[end, end] = 1.0
    chain = chain.tocsr()
    chain = sparse.csr_matrix(sparse.diags(1 / np.asarray(chain.sum(axis=1)).ravel()) @ chain)
    time = np.empty(size)
    time[order] = depth + rng.random(size) * 0.1
    return chain, graph.tocsr(), time, ends


@pytest.mark.parametrize("seed", range(30))
def test_two_absorbing_cells_are_found_for_every_seed(seed: int) -> None:
    chain, graph, time, ends = two_armed(seed)
    found = find_terminal_states(chain, graph, time, min_cells=5)
    assert set(found.cells.tolist()) == set(ends)
    assert sorted(int(cells[0]) for cells in recurrent_classes(chain)) == sorted(ends)
    accepted = found.table[found.table["accepted"]]
    np.testing.assert_allclose(accepted["eigenvalue"], 1, atol=1e-6)


def test_small_and_low_maxima_are_rejected_with_reasons() -> None:
    chain, graph, time, _ = two_armed(0)
    found = find_terminal_states(chain, graph, time, min_cells=1000)
    assert len(found.cells) == 1
    assert found.table["reason"].str.contains("fewer than 1000").any()
    low = find_terminal_states(chain, graph, time, min_prominence=0.9, min_cells=1)
    assert low.table["reason"].str.contains("below 0.9").any()


def test_maxima_of_a_path_with_known_prominences() -> None:
    #        0  1  2  3  4  5  6
    heights = np.array([0.0, 5, 3, 8, 1, 2, 1.5])
    graph = sparse.diags([np.ones(6), np.ones(6)], [-1, 1]).tocsr()
    found = {item.peak: item for item in pseudotime_maxima(graph, heights)}
    assert set(found) == {1, 3, 5}
    assert found[3].prominence == 1
    assert found[3].parent == -1
    assert found[1].prominence == pytest.approx(2 / 8)
    assert found[1].parent == 3
    assert found[5].prominence == pytest.approx(1 / 8)
    assert found[5].region.tolist() == [5, 6]


def test_leading_left_eigenvector_equals_dense_eigenvectors() -> None:
    rng = np.random.default_rng(1)
    dense = rng.random((12, 12))
    dense /= dense.sum(axis=1, keepdims=True)
    region = np.arange(2, 9)
    value, vector = leading_left_eigenvector(sparse.csr_matrix(dense), region)
    values, vectors = np.linalg.eig(dense[np.ix_(region, region)].T)
    lead = values.real.argmax()
    assert value == pytest.approx(values[lead].real, abs=1e-8)
    np.testing.assert_allclose(vector, np.abs(vectors[:, lead]) / np.abs(vectors[:, lead]).sum(), atol=1e-7)


def test_absorbing_sets_hold_the_nearest_cells_of_the_region() -> None:
    space = np.arange(20.0)[:, None]
    sets = absorbing_sets(space, [np.arange(0, 8), np.arange(12, 20)], np.array([2, 19]), n_cells=3)
    assert sets[0].tolist() == [1, 2, 3]
    assert sets[1].tolist() == [17, 18, 19]
