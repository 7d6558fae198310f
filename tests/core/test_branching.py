"""Branch time of one pair: closed forms, brute force and the limits of both rules."""

from __future__ import annotations

import numpy as np
import pytest

from mira_nb.core.trajectory.branching import CUT, RampFit, first_cell, parting_time


def fork(n: int = 600, *, at: float = 0.6, width: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log ratios that stay near 0 up to `at`, then part to either side: cells in random order."""
    rng = np.random.default_rng(seed)
    time = rng.random(n)
    side = rng.choice([-1.0, 1.0], n)
    force = side * 3 * np.clip((time - at) / width, 0, 1) + rng.normal(0, 0.05, n)
    return time, force


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("width", [1e-9, 0.05, 0.2])
def test_the_foot_is_where_a_planted_fork_begins(seed: int, width: float) -> None:
    time, force = fork(width=width, seed=seed)
    # The log ratio rises in a straight line, so its square leaves zero late, by a part of the way to the cut.
    assert 0.6 - 0.02 <= parting_time(time, force, 0.5) <= 0.6 + 0.02 + width / 3


def test_a_step_without_noise_is_found_at_the_last_cell_before_it() -> None:
    time = np.linspace(0, 1, 101)
    assert parting_time(time, np.where(time > 0.5, 2.0, 0.0), 0.5) == pytest.approx(0.5)


def test_a_ramp_of_the_square_is_found_at_its_foot() -> None:
    time = np.linspace(0, 1, 101)
    force = np.sqrt(np.clip((time - 0.4) / 0.2, 0, 1))
    assert parting_time(time, force, 0.5) == pytest.approx(0.4)


def test_one_outlier_moves_the_first_cell_only() -> None:
    time, force = fork()
    moved = force.copy()
    moved[int(np.abs(time - 0.2).argmin())] = 8.0
    assert parting_time(time, moved, 0.5, "first_cell") == pytest.approx(0.2, abs=0.01)
    assert parting_time(time, moved, 0.5) == pytest.approx(parting_time(time, force, 0.5), abs=0.02)


def test_values_beyond_the_cut_change_nothing() -> None:
    time, force = fork(width=1e-9)
    assert parting_time(time, force * 10 ** (np.abs(force) > 2), 0.5) == parting_time(time, force, 0.5)


@pytest.mark.parametrize("seed", range(10))
def test_first_cell_is_the_minimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time, force = rng.random(50), rng.normal(0, 1, 50)
    assert first_cell(time, force, 0.5) == time[np.abs(force) > 0.5].min()


def brute_force(time: np.ndarray, force: np.ndarray, eps: float) -> tuple[float, float]:
    """Foot and sum of squares of the best ramp by solving every least-squares problem."""
    rise = np.minimum(np.abs(force) / eps, CUT) ** 2
    knots, best = np.unique(time), (np.inf, np.inf)
    for i, foot in enumerate(knots):
        for top in knots[i:]:
            ramp = np.clip((time - foot) / (top - foot), 0, 1) if top > foot else (time > foot).astype(float)
            design = np.column_stack([np.ones_like(ramp), ramp])
            fit = np.linalg.lstsq(design, rise, rcond=None)[0]
            loss = float(((rise - fit[0] - fit[1] * ramp) ** 2).sum())
            if fit[1] > 1e-9 and loss < best[1] - 1e-9:
                best = (float(foot), loss)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_the_ramp_is_the_best_of_all(seed: int) -> None:
    time, force = fork(40, at=0.5, seed=seed)
    fit = RampFit.prepare(time, force, 0.5)
    assert fit.branch_time() == pytest.approx(brute_force(time, force, 0.5)[0])


def test_the_order_of_cells_and_the_unit_of_pseudotime_do_not_matter() -> None:
    time, force = fork()
    order = np.random.default_rng(0).permutation(len(time))
    assert parting_time(time[order], force[order], 0.5) == parting_time(time, force, 0.5)
    assert parting_time(7 * time, force, 0.5) == pytest.approx(7 * parting_time(time, force, 0.5))
    assert parting_time(time, -force, 0.5) == parting_time(time, force, 0.5)


@pytest.mark.parametrize("rule", ["ramp", "first_cell"])
def test_no_cell_and_all_cells_beyond_the_threshold(rule: str) -> None:
    time = np.array([0.3, 0.1, 0.2, 0.9])
    assert parting_time(time, np.zeros(4), 0.5, rule) == np.inf
    assert parting_time(time, np.full(4, 2.0), 0.5, rule) == 0.1
    assert parting_time(np.empty(0), np.empty(0), 0.5, rule) == np.inf
    assert parting_time(np.array([0.4]), np.array([1.0]), 0.5, rule) == 0.4


def test_two_cells() -> None:
    assert parting_time(np.array([0.0, 1.0]), np.array([0.0, 3.0]), 0.5) == 0.0


def test_a_few_stray_cells_are_no_branch() -> None:
    time = np.linspace(0, 1, 200)
    force = np.zeros(200)
    force[[60, 100]] = 3.0
    assert parting_time(time, force, 0.5) == np.inf
    assert parting_time(time, force, 0.5, "first_cell") == time[60]
