from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.trajectory.terminal_states import (
    absorbing_sets,
    fate_probabilities,
    find_terminal_states,
    leading_left_eigenvector,
    pseudotime_maxima,
    recurrent_states,
)
from mira_nb.errors import ConvergenceError, InputError


def gambler(n: int, p: float) -> sparse.csr_matrix:
    """Walk on 0..n, up with probability p, absorbed at both ends."""
    chain = sparse.lil_matrix((n + 1, n + 1))
    chain[0, 0] = chain[n, n] = 1
    for i in range(1, n):
        chain[i, i + 1], chain[i, i - 1] = p, 1 - p
    return chain.tocsr()


@pytest.mark.parametrize("p", [0.5, 0.6, 0.35, 0.001])
def test_gamblers_ruin(p: float) -> None:
    n = 30
    fates = fate_probabilities(gambler(n, p), [np.array([0]), np.array([n])])
    i = np.arange(n + 1)
    ratio = (1 - p) / p
    wanted = i / n if p == 0.5 else (1 - ratio**i) / (1 - ratio**n)
    np.testing.assert_allclose(fates[:, 1], wanted, rtol=1e-12)
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


@pytest.mark.parametrize("leak", [1e-12, 1e-17, 1e-100, 1e-300])
def test_a_nearly_closed_class_keeps_its_digits(leak: float) -> None:
    """Forty cells joined by random symmetric weights, with one vanishing way to each end from two of them.

    Such a walk is reversible: it crosses every edge equally often in the long run, and so leaves to either end in
    proportion to the weights of the two ways, 3 to 7, wherever it began (but for the chance of leaving at once).
    """
    n = 40
    rng = np.random.default_rng(0)
    weights = np.zeros((n + 2, n + 2))
    weights[:n, :n] = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.3), 1)
    weights[range(n - 1), range(1, n)] = 1 / 3
    weights += weights.T
    weights[4, n], weights[31, n + 1] = 3 * leak, 7 * leak
    weights[n, n] = weights[n + 1, n + 1] = 1.0
    chain = sparse.csr_matrix(weights / weights.sum(axis=1, keepdims=True))
    fates = fate_probabilities(chain, [np.array([n]), np.array([n + 1])])
    np.testing.assert_allclose(fates[:n], np.tile([0.3, 0.7], (n, 1)), atol=max(100 * leak, 1e-13))


def test_nested_nearly_closed_classes_equal_exact_arithmetic() -> None:
    """Pairs of cells that nearly never part, in a class that nearly never ends, solved in fractions."""
    steps = {
        (0, 1): 0, (1, 0): 0, (1, 2): -40, (2, 3): 0, (3, 2): 0, (2, 1): -45, (3, 4): -90, (4, 5): 0, (5, 4): 0,
        (5, 0): -30, (4, 6): -70, (0, 7): -130, (5, 7): -71,
    }  # fmt: skip
    n = 8
    exact = [[Fraction(0)] * n for _ in range(n)]
    for (i, j), power in steps.items():
        exact[i][j] = Fraction(10) ** power * (i + j + 1)
    dense = np.array([[float(value) for value in row] for row in exact])
    dense[6, 6] = dense[7, 7] = 1.0
    # (D - A) B = R in fractions, D the sums of the rows
    left = [[(sum(exact[i]) if i == j else Fraction(0)) - exact[i][j] for j in range(6)] for i in range(6)]
    right = [[exact[i][6], exact[i][7]] for i in range(6)]
    for i in range(6):
        for j in range(6):
            if i != j:
                factor = left[j][i] / left[i][i]
                left[j] = [a - factor * b for a, b in zip(left[j], left[i], strict=True)]
                right[j] = [a - factor * b for a, b in zip(right[j], right[i], strict=True)]
    wanted = [[float(value / left[i][i]) for value in right[i]] for i in range(6)]
    found = fate_probabilities(sparse.csr_matrix(dense), [np.array([6]), np.array([7])])
    np.testing.assert_allclose(found[:6], wanted, rtol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_fates_equal_palantirs_on_its_own_chain(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Absorption at single cells on Palantir's Markov chain, by its solver and by ours."""
    import warnings

    import pandas as pd
    from palantir.core import _construct_markov_chain, _differentiation_entropy

    rng = np.random.default_rng(seed)
    points = pd.DataFrame(rng.random((150, 2)), index=[f"c{i}" for i in range(150)])
    time = points[0]
    ends = [str(points.index[cell]) for cell in np.argsort(time.to_numpy())[[-1, -2]]]
    chain = sparse.csr_matrix(_construct_markov_chain(points, 20, time, 1))
    rows = [points.index.get_loc(end) for end in ends]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, theirs = _differentiation_entropy(points, np.array(ends), 20, 1, time)
    ours = fate_probabilities(chain, [np.array([row]) for row in rows])
    np.testing.assert_allclose(ours, theirs.loc[points.index, ends].to_numpy(), atol=1e-10)
    assert "Markov chain" in capsys.readouterr().out


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
    assert sorted(int(cells[0]) for cells in recurrent_states(chain)) == sorted(ends)
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
