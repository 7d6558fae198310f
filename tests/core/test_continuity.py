from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.trajectory.continuity import STRETCH, GapRules, committor, emptiest_stretch, judge_continuity
from mira_nb.core.trajectory.lineage_tree import LineageTree


def chain_graph(n: int) -> sparse.csr_matrix:
    ones = np.ones(n - 1)
    return sparse.csr_matrix(sparse.diags([ones, ones], [-1, 1]))


def one_lineage(n: int) -> LineageTree:
    nodes = pd.DataFrame({"node": ["end"], "parent": [""], "branch_time": [np.nan], "n_cells": [n]})
    return LineageTree(nodes, np.full(n, "end", dtype=object), ("end",), 0.5)


def graph_of(points: np.ndarray) -> sparse.csr_matrix:
    directed = nearest_neighbors(points, k=30).to_sparse()
    return sparse.csr_matrix(directed.maximum(directed.T))


def test_committor_of_a_chain_rises_evenly() -> None:
    # Equal resistances in series: closed form.
    found = committor(chain_graph(11), np.array([0]), np.array([10]))
    np.testing.assert_allclose(found, np.arange(11) / 10, atol=1e-6)


def test_committor_is_the_dense_solution() -> None:
    rng = np.random.default_rng(0)
    weights = np.triu(rng.random((40, 40)) * (rng.random((40, 40)) < 0.3), 1)
    weights += weights.T
    first, last = np.array([0, 1]), np.array([38, 39])
    step = weights / weights.sum(axis=1, keepdims=True)
    inner = np.arange(2, 38)
    dense = np.linalg.solve(np.eye(36) - step[np.ix_(inner, inner)], step[np.ix_(inner, last)].sum(axis=1))
    found = committor(sparse.csr_matrix(weights), first, last)
    np.testing.assert_allclose(found[inner], dense, atol=1e-6)
    np.testing.assert_array_equal(found[[0, 1, 38, 39]], [0, 0, 1, 1])


def test_committor_of_cells_that_see_one_end_or_none() -> None:
    graph = sparse.block_diag([chain_graph(4), chain_graph(3), chain_graph(2)], format="csr")
    found = committor(graph, np.array([0]), np.array([6]))
    np.testing.assert_array_equal(found[:7], [0, 0, 0, 0, 1, 1, 1])
    assert np.isnan(found[7:]).all()


def test_emptiest_stretch_against_every_window() -> None:
    values = np.random.default_rng(1).beta(0.4, 0.4, 500)
    count, begin = emptiest_stretch(values)
    ordered = np.sort(values)
    starts = np.arange(ordered[0], ordered[-1] - STRETCH, 0.01)
    assert count == min(((values > a) & (values < a + STRETCH)).sum() for a in starts)
    assert ((values > begin) & (values < begin + STRETCH)).sum() == count
    # A round cloud: no room for a stretch, all cells are in transit.
    assert emptiest_stretch(np.linspace(0.4, 0.6, 50)) == (50, pytest.approx(0.4))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_stream_of_cells_is_continuous_even_where_it_is_thin(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    # A pool of early cells, a thin stream (a third of the density), a pool of late cells.
    hidden = np.concatenate([rng.uniform(0, 0.3, 500), rng.uniform(0.3, 0.7, 230), rng.uniform(0.7, 1, 500)])
    points = np.column_stack([hidden, np.zeros(1230), np.zeros(1230)]) + rng.normal(size=(1230, 3)) * noise
    found = judge_continuity(graph_of(points), hidden, one_lineage(1230))
    assert found.table["verdict"].tolist() == ["continuous"]
    assert found.table["continuity"].iloc[0] > 0.2
    assert found.gapped == ()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_between", [1, 6])
def test_two_populations_joined_by_a_few_cells_are_a_gap(seed: int, n_between: int) -> None:
    rng = np.random.default_rng(seed)
    blobs = [rng.normal(size=(600, 3)) * 0.1, rng.normal(size=(550, 3)) * 0.1 + [1.5, 0, 0]]
    bridge = np.column_stack([np.linspace(0.3, 1.2, n_between), np.zeros((n_between, 2))])
    points = np.vstack([*blobs, bridge])
    found = judge_continuity(graph_of(points), points[:, 0] - points[:, 0].min(), one_lineage(len(points)))
    row = found.table.iloc[0]
    assert row["verdict"] == "gap"
    assert row["continuity"] < 0.05
    before, after = found.sides[0]
    assert (points[before, 0] < 0.9).all()
    assert (points[after, 0] > 0.6).all()
    assert row["pseudotime_before"] < row["pseudotime_after"]
    assert (
        judge_continuity(
            graph_of(points), points[:, 0], one_lineage(len(points)), rules=GapRules(min_continuity=0)
        ).gapped
        == ()
    )


def test_short_ways_are_not_judged() -> None:
    points = np.concatenate([np.linspace(0, 1, 60), np.linspace(9, 10, 60)])[:, None]
    found = judge_continuity(graph_of(points), points[:, 0], one_lineage(120))
    assert found.table["verdict"].tolist() == ["too few cells"]
    assert judge_continuity(chain_graph(3), np.arange(3.0), one_lineage(3)).table["n_in_gap"].tolist() == [0]
