"""Alternatives of the defaults, and how a set of topics scores each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy import sparse
from scipy.stats import spearmanr

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.representation.projections import joint_representation
from mira_nb.core.trajectory import infer
from mira_nb.core.trajectory.infer import Differentiation, Manifold, Settings, build_manifold, differentiate
from mira_nb.core.trajectory.pseudotime import shortest_path_pseudotime
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.trajectory.compute import settings_of
from mira_nb.stages.trajectory.params import TrajectoryParams
from mira_nb.typing import Floats
from tests.scoreboard.scores import K_NEIGHBORS, label_accuracy

from .sets import FLOOR, SPLITS, TopicSet, Truth


@dataclass(frozen=True)
class Question:
    """A default and what could stand in its place.

    Attributes
    ----------
    parameter
        Stage and name.
    values
        The default and its alternatives.
    decides
        Scores by which the default is judged.
    shown
        Further scores of the tables.
    """

    parameter: str
    values: tuple[Any, ...]
    decides: tuple[str, ...]
    shown: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the parameter within its stage."""
        return self.parameter.split(".")[1]

    @property
    def default(self) -> Any:
        """Value of the package as it is."""
        params: Any = JointParams() if self.parameter.startswith("joint.") else TrajectoryParams()
        return getattr(params, self.name)


QUESTIONS = (
    Question("joint.weights", ("reliability", "balanced"), ("accuracy", "spearman", "topology"), ("branch_error",)),
    Question("trajectory.clock", ("lineages", "paths"), ("spearman", "branch_error", "topology"), ("time_error",)),
    Question(
        "trajectory.topic_weight",
        (0.0, 0.25, 0.5, 0.75, 1.0),
        ("spearman", "branch_error", "topology"),
        ("time_error",),
    ),
    Question(
        "trajectory.backstep",
        (0.0, 0.5, 1.0, 1.5, 3.0),
        ("spearman", "fate", "branch_error", "topology"),
        ("back",),
    ),
)

LEAST_GAIN = {"accuracy": 0.005, "spearman": 0.005, "fate": 0.02, "branch_error": 0.01, "topology": 0.3}
"""Mean difference that counts; smaller ones are no reason to prefer either."""
LOWER = ("branch_error",)
"""Scores of which less is better."""


@contextmanager
def shared_paths() -> Iterator[None]:
    """Compute the shortest paths of a manifold once: no alternative here changes them, and they take most of the time.

    Graphs must outlive the block.
    """
    known: dict[tuple[int, bytes], Floats] = {}

    def paths(graph: sparse.csr_matrix, waypoints: np.ndarray, **_: Any) -> Floats:
        key = (id(graph), waypoints.tobytes())
        if key not in known:
            known[key] = shortest_path_pseudotime(graph, waypoints)
        return known[key].copy()

    with patch.object(infer, "shortest_path_pseudotime", paths):
        yield


def score_all(cells: TopicSet) -> dict[str, dict[str, dict[str, float]]]:
    """Return parameter -> value -> scores; real data without a planted truth answer the first question only."""
    if cells.truth is None:
        return {"joint.weights": {value: accuracy_of(cells, value) for value in QUESTIONS[0].values}}
    with shared_paths():
        return _score_all(cells)


def _score_all(cells: TopicSet) -> dict[str, dict[str, dict[str, float]]]:
    manifolds = {value: _manifold(cells, value) for value in QUESTIONS[0].values}
    usual = score(cells, manifolds[QUESTIONS[0].default], TrajectoryParams())
    out: dict[str, dict[str, dict[str, float]]] = {}
    for question in QUESTIONS:
        found: dict[str, dict[str, float]] = {}
        for value in question.values:
            if question.parameter == "joint.weights":
                own = score(cells, manifolds[value], TrajectoryParams()) | accuracy_of(cells, value)
            elif value == question.default:
                own = usual
            else:
                own = score(cells, manifolds[QUESTIONS[0].default], TrajectoryParams(**{question.name: value}))
            found[str(value)] = own
        out[question.parameter] = found
    return out


def coordinates(cells: TopicSet, weighting: str) -> Floats:
    """Return the joint space under one weighting of the assays."""
    weights = cells.weights if weighting == "reliability" else (1.0, 1.0)
    return joint_representation(cells.rna, cells.atac, floor=FLOOR, weights=weights)


def accuracy_of(cells: TopicSet, weighting: str) -> dict[str, float]:
    """Return the cross-validated accuracy of the labels among neighbours in the joint space."""
    near = nearest_neighbors(coordinates(cells, weighting), k=K_NEIGHBORS, metric="manhattan")
    return {"accuracy": label_accuracy(near, cells.labels)}


def _manifold(cells: TopicSet, weighting: str) -> Manifold:
    space = coordinates(cells, weighting)
    graph = nearest_neighbors(space, k=JointParams().n_neighbors, metric="manhattan").to_sparse()
    return build_manifold(graph, 0, Settings())


def score(cells: TopicSet, manifold: Manifold, params: TrajectoryParams) -> dict[str, float]:
    """Infer the trajectory from the planted root and compare it with what was planted."""
    assert cells.truth is not None
    topics = np.hstack([cells.rna, cells.atac])[manifold.cells]
    found = differentiate(manifold, settings_of(params), topics=topics)
    truth = Truth(cells.truth.time[manifold.cells], cells.truth.lineage[manifold.cells])
    return compare(found, truth) | {"connected": len(manifold.cells) / len(cells.labels)}


def compare(found: Differentiation, truth: Truth) -> dict[str, float]:
    """Return the scores of an inferred trajectory.

    spearman, time_error: rank correlation with planted time, and mean absolute difference; topology: 1 where three
    lineages end in the planted ones and join in the planted order; branch_error: mean absolute error of the branch
    times, only where the topology is right; fate: mean probability of the planted lineage in cells beyond its own
    branch; back: fraction of the transport map's mass that goes back in shortest-path pseudotime.
    """
    ends = truth.lineage[found.ends]
    name_of = dict(zip(found.lineages, ends.tolist(), strict=True))
    joined = {frozenset(name_of[leaf] for leaf in group) for group in found.tree.topology()}
    right = sorted(ends) == [0, 1, 2] and joined == {frozenset({0, 1, 2}), frozenset({1, 2})}
    out = {
        "spearman": float(spearmanr(found.pseudotime, truth.time).statistic),
        "time_error": float(np.abs(found.pseudotime - truth.time).mean()),
        "topology": float(right),
        "fate": fate_score(found.fates, ends, truth),
        "back": backward_mass(found.chain, found.path_pseudotime),
    }
    if right:
        times = np.sort(found.tree.nodes["branch_time"].dropna().to_numpy(float))
        out["branch_error"] = float(np.abs(times - np.asarray(SPLITS)).mean())
    return out


def fate_score(fates: Floats, ends: np.ndarray, truth: Truth) -> float:
    """Return the mean probability of the planted lineage in cells beyond its own branch; 0 for one without an end."""
    per_lineage = np.stack([fates[:, ends == k].sum(axis=1) for k in range(3)], axis=1)
    own = np.where(truth.lineage == 0, SPLITS[0], SPLITS[1])
    late = truth.time > own
    return float(per_lineage[late, truth.lineage[late]].mean())


def backward_mass(chain: sparse.csr_matrix, time: Floats) -> float:
    """Return the mean probability, over cells, that a step leads to an earlier cell."""
    steps = chain.tocoo()
    back = time[steps.col] < time[steps.row]
    return float(steps.data[back].sum() / chain.shape[0])
