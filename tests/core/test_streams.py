from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import savgol_filter

from mira_nb.core.trajectory.streams import (
    Band,
    order_by_peak,
    smooth_tree,
    smoothing_weights,
    stack,
    swarm_offsets,
    tree_paths,
    window_means,
)

NODES = pd.DataFrame(
    {
        "node": ["root", "A", "B, C", "B", "C"],
        "parent": ["", "root", "root", "B, C", "B, C"],
        "branch_time": [0.3, np.nan, 0.6, np.nan, np.nan],
        "n_cells": [1, 1, 1, 1, 1],
    }
)


def cells(n: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    time, lineage = np.sort(rng.random(n)), rng.integers(0, 3, n)
    late = np.where(lineage == 0, "A", np.where(time > 0.6, np.array(["", "B", "C"])[lineage], "B, C"))
    return time, np.where(time <= 0.3, "root", late).astype(object)


def test_equals_scipy_on_even_spacing() -> None:
    rng = np.random.default_rng(0)
    time, values = np.arange(101.0), rng.normal(size=101)
    weights = smoothing_weights(time, time, window=20.0, degree=2, min_cells=1)
    ours, theirs = weights @ values, savgol_filter(values, 21, 2)
    np.testing.assert_allclose(ours[10:-10], theirs[10:-10], atol=1e-9)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_keeps_polynomials_of_its_degree_at_uneven_spacing(degree: int) -> None:
    rng = np.random.default_rng(1)
    time = np.sort(rng.beta(0.5, 2, 300))
    values = np.polynomial.Polynomial(rng.normal(size=degree + 1))(time)
    grid = np.linspace(0, time.max(), 40)
    weights = smoothing_weights(time, grid, window=0.1, degree=degree, min_cells=20)
    wanted = np.interp(grid, time, values) if degree == 0 else None
    polynomial = np.polynomial.Polynomial.fit(time, values, degree)(grid)
    np.testing.assert_allclose(weights @ values, polynomial if wanted is None else values[0], atol=1e-6)
    assert (np.diff(weights.indptr) >= 20).all()


def test_repeated_cells_count_like_a_bootstrap_sample() -> None:
    rng = np.random.default_rng(2)
    time, values = rng.random(80), rng.random(80)
    counts = rng.multinomial(80, np.full(80, 1 / 80)).astype(float)
    repeated = np.repeat(np.arange(80), counts.astype(int))
    grid = np.linspace(0.2, 0.8, 7)
    ours = smoothing_weights(time, grid, window=0.4, min_cells=1, cell_weights=counts) @ values
    literal = smoothing_weights(time[repeated], grid, window=0.4, min_cells=1) @ values[repeated]
    np.testing.assert_allclose(ours, literal, atol=1e-8)


def test_layout_has_children_begin_where_the_parent_ends() -> None:
    time, states = cells()
    segments = tree_paths(NODES, time, states).segments.set_index("node")
    assert segments.loc["A", "start"] == segments.loc["root", "end"] == 0.3
    assert segments.loc["B", "start"] == segments.loc["B, C", "end"] == 0.6
    assert sorted(segments.loc[["A", "B", "C"], "lane"]) == [0, 1, 2]
    assert segments.loc["B, C", "lane"] == segments.loc[["B", "C"], "lane"].mean()
    assert segments.loc["root", "lane"] == segments.loc[["A", "B, C"], "lane"].mean()
    assert segments["end"].max() == time.max()


def test_streams_recover_planted_curves_in_every_branch_with_bands() -> None:
    time, states = cells(3000)
    rng = np.random.default_rng(3)
    early, late_a = np.exp(-((time / 0.3) ** 2)), np.where(states == "A", np.maximum(time - 0.3, 0), 0)
    values = pd.DataFrame({"late": late_a, "early": early}) + rng.normal(0, 0.05, (3000, 2))
    paths = tree_paths(NODES, time, states)
    smooth = smooth_tree(paths, time, states, values, band=Band(30, np.random.default_rng(0)))
    for node in NODES["node"]:
        part = smooth[(smooth["node"] == node) & (smooth["feature"] == "early")]
        np.testing.assert_allclose(part["value"], np.exp(-((part["pseudotime"] / 0.3) ** 2)), atol=0.05)
    a = smooth[(smooth["node"] == "A") & (smooth["feature"] == "late") & (smooth["pseudotime"] > 0.4)]
    np.testing.assert_allclose(a["value"], a["pseudotime"] - 0.3, atol=0.05)
    assert ((a["low"] <= a["value"] + 0.02) & (a["high"] >= a["value"] - 0.02)).all()
    assert order_by_peak(smooth) == ["early", "late"]


def test_stacked_streams_are_as_tall_as_their_sum_and_do_not_overlap() -> None:
    time, states = cells()
    values = pd.DataFrame(np.random.default_rng(0).dirichlet(np.ones(4), len(time)), columns=list("wxyz"))
    paths = tree_paths(NODES, time, states)
    smooth = smooth_tree(paths, time, states, values)
    stacked = stack(smooth, paths, order_by_peak(smooth))
    np.testing.assert_allclose(stacked["top"] - stacked["bottom"], stacked["value"])
    for _, part in stacked.groupby(["node", "pseudotime"]):
        part = part.sort_values("bottom")
        np.testing.assert_allclose(part["top"].to_numpy()[:-1], part["bottom"].to_numpy()[1:], atol=1e-12)
    late = stacked[stacked["pseudotime"] > 0.9].groupby("node").agg(low=("bottom", "min"), high=("top", "max"))
    late = late.sort_values("low")
    assert (late["high"].to_numpy()[:-1] < late["low"].to_numpy()[1:]).all()


def test_window_means_equal_plain_means() -> None:
    time, states = cells()
    values = pd.DataFrame({"x": np.arange(len(time), dtype=float)})
    table = window_means(time, states, tree_paths(NODES, time, states), values, n_bins=10)
    row = table[table["lineage"] == "B"].iloc[4]
    inside = np.isin(states, ["root", "B, C", "B"]) & (time >= row["start"]) & (time < row["end"])
    assert row["value"] == pytest.approx(values["x"][inside].mean())
    assert row["n_cells"] == inside.sum()


def test_cells_without_pseudotime_are_left_out() -> None:
    time, states = cells(400)
    time, states = np.append(time, np.nan), np.append(states, np.nan)
    paths = tree_paths(NODES, time, states)
    values = pd.DataFrame({"x": np.append(np.ones(400), 1e9)})
    assert smooth_tree(paths, time, states, values)["value"].max() == pytest.approx(1)


def test_swarm_spreads_within_its_width_without_chance() -> None:
    time, states = cells()
    lanes = pd.Categorical(states).codes.astype(float)
    offsets = swarm_offsets(time, lanes)
    assert np.abs(offsets).max() <= 0.4
    assert offsets.tobytes() == swarm_offsets(time, lanes).tobytes()
    assert offsets.std() > 0.05
