from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import hypergeom

from mira_nb.core.trajectory.direction import find_tips
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.trajectory.evidence import genes_at_depth
from mira_nb.stages.trajectory.params import TrajectoryParams
from mira_nb.stages.trajectory.stage import TrajectoryStage
from tests.stages.differentiation import differentiating

PROPOSED = Context(resources=Resources(groups="stage"))


def run(data):
    return TrajectoryStage().run(
        data,
        TrajectoryParams.parse("trajectory", {"n_waypoints": 60, "n_resamples": 0, "branch_resamples": 0}),
        PROPOSED,
    )


def test_genes_at_equal_depth_are_those_of_hypergeometric_draws():
    counts = np.random.default_rng(0).poisson(0.6, size=(30, 50))
    counts[0] *= 10
    depth = counts.sum(axis=1)
    drawn = int(np.floor(np.quantile(depth, 0.1)))
    expected = [
        sum(1 - hypergeom.pmf(0, n, x, min(drawn, n)) for x in row[row > 0])
        for row, n in zip(counts, depth, strict=True)
    ]
    found = genes_at_depth(sparse.csr_matrix(counts.astype(np.float32)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # Ten times the depth of the same profile: far more genes detected, the same number at equal depth.
    rng = np.random.default_rng(1)
    profile = rng.dirichlet(np.full(400, 0.5))
    drawn_cells = np.vstack([rng.multinomial(n, profile, size=40) for n in (100, 1000)]).astype(np.float32)
    detected, rarefied = (drawn_cells > 0).sum(axis=1), genes_at_depth(sparse.csr_matrix(drawn_cells))
    assert detected[40:].mean() > 2 * detected[:40].mean()
    assert rarefied[40:].mean() == pytest.approx(rarefied[:40].mean(), rel=0.03)


def test_tips_lie_on_no_path_between_others():
    # A star of three arms of four cells around cell 0; candidates: three ends, the centre, the middle of an arm.
    rows, cols = [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    graph = sparse.csr_matrix((np.ones(12), (rows, cols)), shape=(13, 13))
    graph = graph.maximum(graph.T).tocsr()
    found, distances = find_tips(graph, [4, 0, 8, 10, 12])
    assert found.tolist() == [True, False, True, False, True]
    assert distances[0, [0, 4, 8]].tolist() == [4, 0, 8]
    assert find_tips(graph, [4, 8])[0].all()
    # Two cells of one tip stand for one tip, and do not rule each other out.
    assert find_tips(graph, [4, 3, 8, 12, 11])[0].tolist() == [True, False, True, True, False]


def test_depth_alone_does_not_choose_the_start():
    data = differentiating(1500)
    before = run(data)
    late = data.mod["rna"].obs["stage"].to_numpy() != "early"
    deeper = data.copy()
    counts = data.mod["rna"].X.toarray()
    counts[late] *= 5
    deeper.mod["rna"].X = sparse.csr_matrix(counts)
    after = run(deeper)
    cells = [
        next(item.frame for item in result.tables if item.name == "start_candidates").query("chosen")["cell"].iloc[0]
        for result in (before, after)
    ]
    assert cells[0] == cells[1]
