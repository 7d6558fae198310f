"""The benchmark of defaults: scores against closed forms, verdicts, and a small set from planted topics to the page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.trajectory import infer
from tests.benchmarks.defaults import __main__ as benchmark
from tests.benchmarks.defaults import sets
from tests.benchmarks.defaults.page import cell, page, verdict
from tests.benchmarks.defaults.scores import QUESTIONS, Question, backward_mass, fate_score, shared_paths
from tests.benchmarks.defaults.sets import Truth

BACKSTEP = next(question for question in QUESTIONS if question.name == "backstep")


def rows(question: Question, value: float, **scores: list[tuple[float, float]]) -> list[dict]:
    """Rows of one kind: pairs of the default's score and the alternative's, by seed."""
    made = []
    for seed in range(len(next(iter(scores.values())))):
        default, other = ({name: pairs[seed][side] for name, pairs in scores.items()} for side in (0, 1))
        values = {str(question.default): default, str(value): other}
        made.append({"kind": "toy", "seed": seed, "source": "fitted", "scores": {question.parameter: values}})
    return made


def test_every_default_is_among_its_values():
    for question in QUESTIONS:
        assert question.default in question.values


def test_backward_mass_is_the_chance_of_a_step_back():
    chain = sparse.csr_matrix([[0.0, 1.0, 0.0], [0.25, 0.0, 0.75], [0.5, 0.5, 0.0]])
    assert backward_mass(chain, np.array([0.0, 0.5, 1.0])) == pytest.approx((0.25 + 1.0) / 3)
    assert backward_mass(chain, np.zeros(3)) == 0


def test_fates_count_beyond_the_own_branch():
    truth = Truth(np.array([0.1, 0.4, 0.4, 0.9, 0.9]), np.array([0, 0, 1, 1, 2]))
    fates = np.array([[1, 0, 0], [0.8, 0.1, 0.1], [1, 0, 0], [0.1, 0.5, 0.4], [0, 0.3, 0.7]])
    # cell 2 has not reached the second branch; two columns end in the lineage of cell 3, none in that of cell 4
    assert fate_score(fates, np.array([0, 1, 1]), truth) == pytest.approx((0.8 + 0.9 + 0.0) / 3)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"fate": [(0.7, 0.8), (0.7, 0.75)]}, "better"),
        ({"fate": [(0.7, 0.8), (0.7, 0.69)]}, "even"),
        ({"fate": [(0.7, 0.701), (0.7, 0.701)]}, "even"),
        ({"fate": [(0.8, 0.7), (0.75, 0.7)]}, "worse"),
        ({"branch_error": [(0.1, 0.05), (0.1, 0.02)]}, "better"),
        ({"fate": [(0.7, 0.8), (0.7, 0.75)], "branch_error": [(0.01, 0.1), (0.01, 0.1)]}, "mixed"),
        ({"topology": [(0.0, 1.0), (1.0, 1.0)]}, "better"),
        ({"fate": [(0.7, 0.8), (0.7, 0.75)], "branch_error": [(np.nan, 0.1), (0.01, np.nan)]}, "better"),
    ],
)
def test_verdict(pairs, expected):
    assert verdict(rows(BACKSTEP, 0.5, **pairs), BACKSTEP, 0.5) == expected


def test_cells_tell_missing_seeds():
    assert cell([0.5, np.nan, 0.7]) == "0.600 ± 0.141 (2 of 3)"
    assert cell([np.nan]) == "–"


def test_noise_lowers_reliability_and_keeps_proportions():
    made = sets.embedded("late", 0)
    noisy, again = sets.noisy("late", 0, made), sets.noisy("late", 0, made)
    np.testing.assert_array_equal(noisy.atac, again.atac)
    for part in (noisy.rna, noisy.atac):
        np.testing.assert_allclose(part.sum(1), 1)
    assert noisy.weights[0] == 1 > noisy.weights[1] > 0.5


def test_a_set_is_scored_once_and_a_page_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sets.SIZES, "embedded", {"n_cells": 200, "n_genes": 150, "n_peaks": 300})
    out = tmp_path / "page.md"
    command = ["defaults", "--kinds", "bursts", "--seeds", "0", "--planted-only", "--work", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*command, "--out", str(out)])
    benchmark.main()
    row = json.loads((tmp_path / "scores.jsonl").read_text())
    back = [row["scores"]["trajectory.backstep"][str(value)]["back"] for value in BACKSTEP.values]
    assert back[0] < 0.1 < 0.4 < back[-1]
    text = out.read_text()
    assert "### `trajectory.backstep`" in text
    assert "| bursts | planted |" in text
    monkeypatch.setattr(benchmark, "score_all", lambda cells: pytest.fail("scored again"))
    benchmark.main()
    assert page([row]) == text == out.read_text()


def test_shared_paths_are_those_of_the_package():
    near = sparse.random(40, 40, 0.3, random_state=0, format="csr")
    graph, waypoints = near.maximum(near.T).tocsr(), np.array([0, 5, 9])
    usual = infer.shortest_path_pseudotime(graph, waypoints)
    with shared_paths():
        for _ in range(2):
            np.testing.assert_array_equal(infer.shortest_path_pseudotime(graph, waypoints), usual)
