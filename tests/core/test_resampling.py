"""Intervals of branch times: the formula against its closed form, and whole trajectories of a planted fork."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.representation.projections import ilr
from mira_nb.core.trajectory import resampling
from mira_nb.core.trajectory.infer import Differentiation, Settings, build_manifold, differentiate
from mira_nb.core.trajectory.resampling import Space, resampled_branch_times
from mira_nb.datasets.simulate_cells import make_cells

SETTINGS = Settings(n_neighbors=15, min_cells=10, n_waypoints=60)


@pytest.fixture(scope="module")
def planted() -> tuple[Differentiation, int, Space]:
    cells = make_cells(400, lead=0.0, n_batches=1, trajectory=True, rng=np.random.default_rng(1))
    topics = np.hstack([cells.theta_rna, cells.theta_atac])
    joint = np.hstack([np.asarray(ilr(part)) for part in (cells.theta_rna, cells.theta_atac)])
    graph = nearest_neighbors(joint, k=15, metric="manhattan").to_sparse()
    manifold = build_manifold(graph, 0, SETTINGS)
    assert len(manifold.cells) == 400
    ends = [1, 2, 3]  # the simulator's last cells
    found = differentiate(manifold, SETTINGS, terminal_cells=ends, topics=topics)
    return found, manifold.start, Space(joint, 15, topics)


def test_intervals_of_a_planted_fork_hold_the_estimate(planted) -> None:
    found, start, space = planted
    first, again = (
        resampled_branch_times(found, start, space, SETTINGS, rng=np.random.default_rng(0), n_resamples=4)
        for _ in range(2)
    )
    assert first.equals(again)
    times = found.tree.nodes["branch_time"].dropna()
    np.testing.assert_allclose(sorted(first["branch_time"]), sorted(times))
    assert (first["low"] < first["branch_time"]).all()
    assert (first["high"] > first["branch_time"]).all()
    assert (first["n_resamples"] <= 4).all()


@pytest.mark.parametrize("largest", [100, 1000])
def test_the_error_is_that_of_all_cells(planted, monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    found, start, space = planted
    drawn, sizes = [], []

    def one(cells, *_):
        rng = np.random.default_rng(len(drawn))
        sizes.append(len(cells))
        drawn.append(rng.normal(0.5, 0.01, 2))
        return drawn[-1]

    monkeypatch.setattr(resampling, "_times_of_sample", one)
    monkeypatch.setattr(resampling, "LARGEST_SAMPLE", largest)
    table = resampled_branch_times(found, start, space, SETTINGS, rng=np.random.default_rng(0), n_resamples=30)
    size = min(200, largest)
    assert all(size <= n <= size + 4 for n in sizes)
    error = np.std(drawn, axis=0, ddof=1) / np.sqrt(400 / size - 1)
    np.testing.assert_allclose(table["high"] - table["branch_time"], norm.ppf(0.975) * error)
    np.testing.assert_allclose(table["branch_time"] - table["low"], norm.ppf(0.975) * error)


def test_no_interval_where_most_samples_lack_the_branch(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    found, start, space = planted
    numbers = iter(range(10))
    monkeypatch.setattr(
        resampling,
        "_times_of_sample",
        lambda *_: np.array([0.3 + 0.01 * (n := next(numbers)), 0.6 if n > 6 else np.nan]),
    )
    table = resampled_branch_times(found, start, space, SETTINGS, rng=np.random.default_rng(0), n_resamples=10)
    assert table["n_resamples"].tolist() == [10, 3]
    assert np.isfinite(table.loc[0, ["low", "high"]].astype(float)).all()
    assert table.loc[1, ["low", "high"]].isna().all()
