from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mira_nb.core.trajectory.alignment import _share_before, align_pseudotime, refine_ends
from mira_nb.core.trajectory.lineage_tree import (
    branch_time,
    divergence,
    lineage_tree,
    threshold_sweep,
)
from mira_nb.errors import InputError

NAMES = ["A", "B", "C"]


def planted(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fates that are exactly the start's before 0.35 (A | B, C) and 0.6 (B | C), and sharpen after."""
    rng = np.random.default_rng(seed)
    time, lineage = rng.random(n), rng.integers(0, 3, n)
    time[0] = 0.0
    sharp_1 = np.clip((time - 0.35) / 0.1, 0, 1)
    sharp_2 = np.clip((time - 0.6) / 0.1, 0, 1)
    base = np.array([0.3, 0.4, 0.3])
    fates = np.tile(base, (n, 1))
    for i in range(n):
        own = np.array([1.0, 0, 0]) if lineage[i] == 0 else np.array([0, 4 / 7, 3 / 7])
        fates[i] = (1 - sharp_1[i]) * base + sharp_1[i] * own
        if lineage[i] > 0:
            fates[i] = (1 - sharp_2[i]) * fates[i] + sharp_2[i] * np.eye(3)[lineage[i]]
    state = np.where(time <= 0.35, "root", np.where(lineage == 0, "A", np.where(time <= 0.6, "B, C", "x")))
    state = np.where(state == "x", np.array(NAMES)[lineage], state)
    return time, fates, state


@pytest.mark.parametrize("seed", range(5))
def test_planted_tree_is_found_with_its_times_and_states(seed: int) -> None:
    time, fates, state = planted(seed=seed)
    tree = lineage_tree(time, fates, NAMES, start=0, threshold=1e-6, rule="first_cell")
    assert tree.nodes["node"].tolist()[0] == "root"
    assert dict(zip(tree.nodes["node"], tree.nodes["parent"], strict=True)) == {
        "root": "",
        "A": "root",
        "B, C": "root",
        "B": "B, C",
        "C": "B, C",
    }
    times = tree.nodes.set_index("node")["branch_time"]
    assert times["root"] == time[time > 0.35].min()
    assert times["B, C"] == time[(time > 0.6) & (state != "A")].min()
    assert times[NAMES].isna().all()
    # The first cell past a branch stands at the branch time itself and still belongs to the parent.
    assert (tree.states != state).sum() <= 2
    assert tree.nodes["n_cells"].sum() == len(time)
    assert tree.path("C") == ["root", "B, C", "C"]


def brute_force_branch_time(s: np.ndarray, pa: np.ndarray, pb: np.ndarray, start: int, eps: float) -> float:
    best = math.inf
    for i in range(len(s)):
        if pa[i] < pa[start] - 1e-9 and pb[i] < pb[start] - 1e-9:
            continue
        force = math.log(max(pa[i], 1e-12) / max(pb[i], 1e-12)) - math.log(
            max(pa[start], 1e-12) / max(pb[start], 1e-12)
        )
        if abs(force) > eps:
            best = min(best, s[i])
    return best


@pytest.mark.parametrize("seed", range(20))
def test_branch_time_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fates = rng.dirichlet(np.ones(3), 40)
    s = rng.random(40)
    for eps in (0.01, 0.5, 2.0):
        ours = branch_time(s, fates[:, 0], fates[:, 1], 3, eps, "first_cell")
        assert ours == brute_force_branch_time(s, fates[:, 0], fates[:, 1], 3, eps)


@pytest.mark.parametrize("seed", range(10))
def test_merging_takes_the_latest_pair_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fates, s = rng.dirichlet(np.ones(4) * 3, 60), rng.random(60)
    names = ["w", "x", "y", "z"]
    tree = lineage_tree(s, fates, names, start=0, threshold=1.0, rule="first_cell")
    pairs = {
        pair: brute_force_branch_time(s, fates[:, pair[0]], fates[:, pair[1]], 0, 1.0)
        for pair in itertools.combinations(range(4), 2)
    }
    latest = max(pairs, key=lambda pair: pairs[pair])
    assert frozenset(names[k] for k in latest) in tree.topology()
    # Children never split before their parent.
    times = tree.nodes.set_index("node")["branch_time"]
    for node, parent in zip(tree.nodes["node"], tree.nodes["parent"], strict=True):
        if parent and np.isfinite(times[node]):
            assert times[node] >= times[parent]


def test_topology_and_names_do_not_depend_on_the_order_of_lineages() -> None:
    time, fates, _ = planted()
    wanted = lineage_tree(time, fates, NAMES, start=0, threshold=0.1)
    for order in itertools.permutations(range(3)):
        names = [NAMES[k] for k in order]
        tree = lineage_tree(time, fates[:, list(order)], names, start=0, threshold=0.1)
        assert tree.topology() == wanted.topology()
        assert set(tree.nodes["node"]) == set(wanted.nodes["node"]) == {"root", "B, C", *NAMES}
        swept = threshold_sweep(time, fates[:, list(order)], names, start=0, thresholds=[0.1])
        assert set(swept["split"]) == {"A / B, C", "B / C"}


def test_lineages_that_never_diverge_share_their_path() -> None:
    fates = np.tile([0.5, 0.5], (10, 1))
    tree = lineage_tree(np.arange(10.0), fates, ["a", "b"], start=0, threshold=0.5)
    assert tree.shared == (("a", "b"),)
    assert (tree.states == "root").all()
    assert tree.nodes["branch_time"].iloc[0] == 9


def test_one_lineage_is_a_tree_of_one_node() -> None:
    tree = lineage_tree(np.arange(5.0), np.ones((5, 1)), ["only"], start=0, threshold=1)
    assert tree.nodes["node"].tolist() == ["only"]
    assert (tree.states == "only").all()
    assert tree.nodes["parent"].tolist() == [""]


def test_divergence_is_zero_at_the_start_and_guarded_at_zero() -> None:
    force = divergence(np.array([0.4, 1.0, 0.0]), np.array([0.6, 0.0, 1.0]), 0)
    assert force[0] == 0
    assert np.isfinite(force).all()
    assert force[1] > 20
    assert force[2] < -20


def test_names_that_collide_with_the_root_stay_unique() -> None:
    time, fates, _ = planted(200)
    tree = lineage_tree(time, fates, ["root", "B", "C"], start=0, threshold=0.1)
    assert tree.nodes["node"].is_unique


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="not unique"):
        lineage_tree(np.zeros(3), np.ones((3, 2)) / 2, ["a", "a"], start=0, threshold=1)
    with pytest.raises(InputError, match="missing"):
        lineage_tree(np.array([0, np.nan, 1]), np.ones((3, 2)) / 2, ["a", "b"], start=0, threshold=1)
    with pytest.raises(InputError, match="shape"):
        lineage_tree(np.zeros(3), np.ones((2, 2)) / 2, ["a", "b"], start=0, threshold=1)


def test_sweep_reports_every_split_and_later_times_for_larger_thresholds() -> None:
    time, fates, _ = planted()
    sweep = threshold_sweep(time, fates, NAMES, start=0, thresholds=[0.1, 0.5, 1, 2])
    assert len(sweep) == 8
    assert sweep["topology"].nunique() == 1
    for _, part in sweep.groupby("split"):
        assert part["branch_time"].is_monotonic_increasing


def test_alignment_undoes_different_speeds_and_keeps_order_in_nodes() -> None:
    time, fates, state = planted(3000)
    # Lineage A runs at a third of the speed of B and C after the branch.
    slow = np.where(state == "A", 0.35 + (time - 0.35) / 3, time)
    tree = lineage_tree(slow, fates, NAMES, start=0, threshold=1e-6)
    aligned = align_pseudotime(slow, tree, resolution=0.0)
    # Cells are spread evenly over time, so aligned pseudotime is the time itself.
    assert np.abs(aligned - time).max() < 0.05
    assert aligned.min() == 0
    assert aligned.max() == 1
    for node in tree.nodes["node"]:
        inside = np.flatnonzero(tree.states == node)
        order = inside[np.argsort(slow[inside])]
        assert (np.diff(aligned[order]) >= 0).all()


def test_plateau_is_not_stretched_by_noise() -> None:
    rng = np.random.default_rng(0)
    time = np.sort(rng.random(1000))
    flat = np.minimum(time, 0.7) + rng.normal(0, 0.002, 1000)
    tree = lineage_tree(flat, np.ones((1000, 1)), ["a"], start=0, threshold=1)
    share = _share_before(flat, flat, np.ones(1000), -np.inf, np.inf, 0.05)
    plateau = share[time > 0.7]
    assert np.ptp(plateau) < 0.1
    assert abs(plateau.mean() - 0.85) < 0.03
    assert (tree.states == "a").all()


def test_topics_order_a_plateau_that_paths_cannot() -> None:
    rng = np.random.default_rng(0)
    time, fates, state = planted(3000)
    # Lineage A stands still after 0.6 but for noise; a topic goes on rising.
    stuck = np.where(state == "A", np.minimum(time, 0.6), time) + rng.normal(0, 0.005, 3000)
    topics = np.column_stack([time, 1 - time]) + rng.normal(0, 0.02, (3000, 2))
    tree = lineage_tree(stuck, fates, NAMES, start=0, threshold=0.1)
    late = (state == "A") & (time > 0.65) & (tree.states == "A")
    refined = refine_ends(stuck, tree, topics)
    assert np.corrcoef(stuck[late], time[late])[0, 1] < 0.2
    assert np.corrcoef(refined[late], time[late])[0, 1] > 0.9
    np.testing.assert_array_equal(refined[tree.states == "root"], stuck[tree.states == "root"])
    np.testing.assert_array_equal(refine_ends(stuck, tree, topics, weight=0.0), stuck)
