from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import eigsh
from scipy.stats import spearmanr

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.trajectory.infer import Settings, build_manifold, differentiate
from mira_nb.core.trajectory.pseudotime import (
    adaptive_kernel,
    choose_waypoints,
    diffusion_map,
    fill_sinks,
    local_scale,
    neighbor_graph,
    shortest_path_pseudotime,
    split_components,
    transport_map,
)
from mira_nb.core.trajectory.support import judge_support, second_eigenvalue


def fork(n: int = 900, seed: int = 0, noise: float = 0.015) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y-shaped cloud in four dimensions; the first cell is the root. Returns points, time and arm."""
    rng = np.random.default_rng(seed)
    time, arm = rng.random(n), rng.integers(0, 2, n)
    time[0] = 0.0
    points = np.zeros((n, 4))
    points[:, 0] = np.minimum(time, 0.4)
    past = np.maximum(time - 0.4, 0)
    points[:, 1] = np.where(arm == 0, past, 0)
    points[:, 2] = np.where(arm == 1, past, 0)
    return points + rng.normal(0, noise, points.shape), time, arm


@pytest.fixture(scope="module")
def forked() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return fork()


def joint_graph(points: np.ndarray, k: int = 15) -> sparse.csr_matrix:
    return nearest_neighbors(points, k=k, metric="manhattan").to_sparse()


def test_diffusion_map_equals_the_symmetric_eigenproblem(forked: tuple[np.ndarray, ...]) -> None:
    graph = joint_graph(forked[0])
    found = diffusion_map(graph, n_components=6, n_used=4)
    kernel = adaptive_kernel(graph)
    root = np.sqrt(np.asarray(kernel.sum(axis=1)).ravel())
    symmetric = sparse.diags(1 / root) @ kernel @ sparse.diags(1 / root)
    values, vectors = eigsh(symmetric, k=6, which="LA", v0=root)
    values, vectors = values[::-1], vectors[:, ::-1] / root[:, None]
    np.testing.assert_allclose(found.eigenvalues, values, atol=1e-3)
    assert found.space.shape == (len(forked[0]), 3)
    for k in range(3):
        assert abs(np.corrcoef(found.space[:, k], vectors[:, k + 1])[0, 1]) > 0.99


def test_kernel_is_symmetric_and_survives_duplicates() -> None:
    points = np.repeat(np.random.default_rng(0).random((30, 3)), 3, axis=0)
    kernel = adaptive_kernel(joint_graph(points, k=5))
    assert abs(kernel - kernel.T).max() < 1e-12
    assert np.isfinite(kernel.data).all()


def test_fork_is_ordered_and_its_ends_found(forked: tuple[np.ndarray, ...]) -> None:
    points, time, arm = forked
    settings = Settings(n_waypoints=100)
    result = differentiate(build_manifold(joint_graph(points), 0, settings), settings, topics=points)
    assert spearmanr(result.pseudotime, time)[0] > 0.98
    assert len(result.ends) == 2
    assert set(arm[result.ends]) == {0, 1}
    assert (time[result.ends] > 0.8).all()
    assert result.tree.topology() == frozenset({frozenset(result.lineages)})
    late = time > 0.55
    chosen = result.fates.argmax(axis=1)
    same = np.array([arm[end] for end in result.ends])[chosen]
    assert (same[late] == arm[late]).mean() > 0.99
    split = result.tree.nodes["branch_time"].iloc[0]
    assert abs(np.interp(split, np.sort(result.pseudotime), np.sort(time)) - 0.4) < 0.06
    np.testing.assert_allclose(np.asarray(result.chain.sum(axis=1)).ravel(), 1)


@pytest.mark.parametrize("seed", range(4))
def test_number_of_ends_does_not_depend_on_the_sample(seed: int) -> None:
    points, _, arm = fork(700, seed=10 + seed)
    settings = Settings(n_waypoints=60)
    result = differentiate(build_manifold(joint_graph(points), 0, settings), settings, topics=points)
    assert sorted(arm[result.ends]) == [0, 1]


def test_same_input_gives_the_same_bytes(forked: tuple[np.ndarray, ...]) -> None:
    settings = Settings(n_waypoints=50)
    graph = joint_graph(forked[0])
    one, two = (differentiate(build_manifold(graph, 0, settings, seed=seed), settings) for seed in (0, 1))
    assert one.pseudotime.tobytes() == two.pseudotime.tobytes()
    assert one.fates.tobytes() == two.fates.tobytes()
    assert one.tree.nodes.equals(two.tree.nodes)


def test_given_terminal_cells_pseudotime_and_fates_replace_ours(forked: tuple[np.ndarray, ...]) -> None:
    import pandas as pd

    points, time, arm = forked
    settings = Settings(n_waypoints=50)
    manifold = build_manifold(joint_graph(points), 0, settings)
    late = [int(np.flatnonzero(arm == k)[time[arm == k].argmax()]) for k in (0, 1)]
    chosen = differentiate(manifold, settings, terminal_cells=late)
    assert chosen.ends.tolist() == late
    given = differentiate(manifold, settings, pseudotime=time * 10)
    np.testing.assert_allclose(given.pseudotime, (time - time.min()) / np.ptp(time))
    fates = pd.DataFrame({"x": np.where(arm == 0, 3.0, 1.0), "y": np.where(arm == 0, 1.0, 3.0)})
    taken = differentiate(manifold, settings, fates=fates)
    assert taken.lineages == ("x", "y")
    np.testing.assert_allclose(taken.fates.sum(axis=1), 1)
    assert taken.terminal is None


def test_other_components_are_named_and_left_out() -> None:
    points = np.vstack([fork(300)[0], np.random.default_rng(1).random((40, 4)) + 50, np.zeros((20, 4)) - 50])
    points[-20:] += np.random.default_rng(2).normal(0, 0.1, (20, 4))
    graph = joint_graph(points)
    cells, others = split_components(graph, 0)
    assert cells.tolist() == list(range(300))
    assert [(item.label, len(item.cells)) for item in others] == [("component 2", 40), ("component 3", 20)]
    manifold = build_manifold(graph, 310, Settings())
    assert manifold.cells.tolist() == list(range(300, 340))
    assert manifold.start == 10


def test_gaps_in_the_multiscale_space_are_bridged() -> None:
    space = np.vstack([np.random.default_rng(0).random((50, 2)), np.random.default_rng(1).random((50, 2)) + 100])
    joint = sparse.lil_matrix((100, 100))
    joint[3, 70] = joint[10, 80] = 1.0
    _, graph = neighbor_graph(space, joint.tocsr(), k=5)
    assert csgraph.connected_components(graph, directed=False)[0] == 1
    assert abs(graph - graph.T).max() == 0
    crossing = graph[:50, 50:].tocoo()
    assert crossing.nnz == 1


def test_pseudotime_on_a_line_is_the_position() -> None:
    x = np.sort(np.random.default_rng(3).random(400))[:, None]
    _, graph = neighbor_graph(x, sparse.csr_matrix((400, 400)), k=10)
    found = shortest_path_pseudotime(graph, choose_waypoints(x, start=0, n_waypoints=20))
    np.testing.assert_allclose(found / found.max(), (x - x[0]).ravel() / np.ptp(x), atol=1e-3)


@pytest.mark.parametrize("seed", range(2))
def test_pseudotime_equals_palantirs_by_the_same_waypoints(seed: int) -> None:
    """Palantir counts a cell among its own neighbours, and returns values scaled to 1."""
    import contextlib
    import io

    import pandas as pd
    from palantir.core import _compute_pseudotime

    graph = joint_graph(fork(500, seed=seed)[0])
    manifold = build_manifold(graph, 0, Settings())
    space = pd.DataFrame(manifold.diffusion.space)
    chosen = choose_waypoints(manifold.diffusion.space, start=0, n_waypoints=80)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs, _ = _compute_pseudotime(space, 0, 31, space.index[chosen], 1)
    ours = shortest_path_pseudotime(manifold.graph, chosen)
    np.testing.assert_allclose(ours / ours.max(), theirs, atol=1e-6)


def test_waypoints_start_with_the_start_cell_and_spread() -> None:
    space = np.random.default_rng(0).random((500, 3))
    chosen = choose_waypoints(space, start=17, n_waypoints=30)
    assert chosen[0] == 17
    assert len(set(chosen.tolist())) == len(chosen) <= 30
    for column in space.T:
        assert {int(column.argmin()), int(column.argmax())} <= set(chosen.tolist())


def test_transport_map_has_no_long_backward_edge(forked: tuple[np.ndarray, ...]) -> None:
    points, time, _ = forked
    neighbors, graph = neighbor_graph(points, joint_graph(points), k=20)
    sigma = local_scale(neighbors)
    np.testing.assert_array_equal(sigma, neighbors.distances[:, 20 // 3 - 1])
    chain = transport_map(graph, sigma, time, backstep=0.5).tocoo()
    assert (time[chain.col] >= time[chain.row] - 0.5 * sigma[chain.row]).all()
    np.testing.assert_allclose(np.asarray(chain.tocsr().sum(axis=1)).ravel(), 1)


def test_fill_sinks_levels_inner_maxima_only() -> None:
    heights = np.array([0.0, 2.0, 1.0, 3.0, 4.0])
    graph = sparse.diags([np.ones(4), np.ones(4)], [-1, 1]).tocsr()
    np.testing.assert_array_equal(fill_sinks(heights, graph, np.array([4])), [0, 1, 1, 3, 4])


def test_noise_of_one_cell_type_is_not_a_trajectory() -> None:
    rng = np.random.default_rng(0)
    rna, atac = rng.normal(size=(800, 5)), rng.normal(size=(800, 5))
    noise = judge_support(rna[:, 0] + atac[:, 0], rna, atac)
    assert noise.verdict == "none"
    assert abs(noise.correlation) < 0.2
    assert noise.eigenvalue < 0.9
    hidden = rng.random(800)
    way = np.column_stack([np.cos(3 * hidden), np.sin(3 * hidden), hidden]) * 8
    seen = judge_support(hidden, way + rng.normal(size=(800, 3)) * 0.3, way + rng.normal(size=(800, 3)) * 0.3)
    assert seen.verdict == "supported"
    assert seen.eigenvalue > 0.95
    assert judge_support(np.ones(800), rna, atac).correlation == 0


def test_assays_that_share_a_round_cloud_make_no_trajectory() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(900, 7))
    spaces = [shared + rng.normal(size=shared.shape) * 0.2 for _ in range(2)]
    cloud = judge_support(shared[:, 0], *spaces)
    assert cloud.correlation > 0.8
    assert cloud.eigenvalue < 0.9
    assert cloud.verdict == "none"


def test_second_eigenvalue_is_that_of_the_dense_problem() -> None:
    points = np.random.default_rng(2).normal(size=(120, 3))
    kernel = adaptive_kernel(joint_graph(points)).toarray()
    values = np.sort(np.linalg.eigvals(kernel / kernel.sum(axis=1, keepdims=True)).real)
    assert second_eigenvalue(points) == pytest.approx(values[-2], abs=1e-8)


@pytest.mark.parametrize(
    ("correlation", "eigenvalue", "verdict"),
    [
        (0.9, 0.99, "supported"),
        (0.9, 0.93, "weak"),
        (0.5, 0.99, "weak"),
        (0.3, 0.97, "weak"),  # shallow accessibility along a long way
        (0.3, 0.93, "none"),  # the same agreement in a rounder cloud
        (0.1, 0.99, "none"),
        (0.9, 0.85, "none"),  # one type of cells, which both assays order alike
    ],
)
def test_verdict_weighs_agreement_and_length(correlation: float, eigenvalue: float, verdict: str) -> None:
    from mira_nb.core.trajectory.support import TrajectoryEvidence

    assert TrajectoryEvidence(correlation, 0.9, 0.9, eigenvalue, 400).verdict == verdict
