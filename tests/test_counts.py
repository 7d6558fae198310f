"""Rules for counts against plain loops over all values, and the same verdict from their callers."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy import sparse

from mira_nb import counts
from mira_nb.core.topics.data import check_counts
from mira_nb.counts import Likeness, Problem, ValueProblem, count_error, find_problem, finish_counts
from mira_nb.errors import InputError
from mira_nb.sentences import entries
from tests.messages import refused

GOOD = np.array([[1, 0, 2], [0, 3, 0]], dtype=np.float64)


def changed(value: float) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(GOOD)
    matrix.data[1] = value  # row 0, column 2
    return matrix


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2.0, None), (2.00001, None), (0.0, None), (1e9, None),
        (np.nan, "nan"), (np.inf, "nan"), (-1.0, "negative"),
        (2.5, "fractions"), (1e-5, "fractions"), (2.001, "fractions"),
    ],
)  # fmt: skip
def test_one_value_decides(value: float, kind: str | None) -> None:
    matrix = changed(value)
    problem = find_problem(matrix)
    assert (problem.kind if problem else None) == kind
    if problem is None:
        kept = check_counts(matrix, "expression")
        assert kept.dtype == np.float32
        np.testing.assert_array_equal(kept.toarray(), np.rint(matrix.toarray()))
        assert (kept.data != 0).all()
        assert matrix.data[1] == value, "the given matrix is not changed"
        return
    assert (problem.n_values, problem.where) == (1, (0, 2))
    with pytest.raises(InputError) as caught:
        check_counts(matrix, "expression")
    assert str(caught.value) == str(count_error(problem, source="the expression matrix"))


def test_bad_values_are_counted_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mira_nb.counts._TEST_BLOCK", 7)
    rng = np.random.default_rng(0)
    values = rng.integers(0, 5, (30, 20)).astype(float)
    values[rng.random(values.shape) < 0.1] += 0.25
    bad = [(i, j) for i in range(30) for j in range(20) if values[i, j] != int(values[i, j])]
    problem = find_problem(sparse.csr_matrix(values))
    assert problem is not None
    assert (problem.kind, problem.n_values, problem.where) == ("fractions", len(bad), bad[0])
    assert problem.largest == values.max()


def test_binary_matrices_hold_zeros_and_ones() -> None:
    problem = find_problem(sparse.csr_matrix(GOOD), binary=True)
    assert problem is not None
    assert (problem.kind, problem.n_values, problem.where) == ("above_one", 2, (0, 2))
    assert find_problem(sparse.csr_matrix(GOOD > 0, dtype=np.float32), binary=True) is None
    with refused("counts_above_one", n_values=2, largest=3.0) as caught:
        check_counts(GOOD, "accessibility")
    assert "cell 0, feature 2" in str(caught.value)


def test_every_problem_has_words() -> None:
    kinds, like = get_args(Problem), get_args(Likeness)
    assert set(kinds) == {code.removeprefix("counts_") for code in entries("mira_nb", "errors.yaml")}
    assert {"", *entries("mira_nb", "counts.yaml")["guesses"]} == set(like)
    for kind in kinds:
        for where in (None, (1, 0)):
            problem = ValueProblem(kind, 2, (0.5, 1.25), where, "shared_reads", 0.9, 3.0)
            error = count_error(problem, source="a.h5ad: X", cells=["c1", "c'2"], features=["g"], tried=["raw"])
            assert (error.code, error.values["source"]) == (f"input.counts_{kind}", "a.h5ad: X")
            if "cell" in error.values and where:
                assert (error.values["cell"], error.values["feature"]) == ("c'2", "g")
                assert "cell \"c'2\", feature 'g'" in error.message


def test_matrices_without_counts_are_empty() -> None:
    for shape in ((0, 3), (3, 0), (3, 3)):
        problem = find_problem(sparse.csr_matrix(shape, dtype=np.float32))
        assert problem is not None
        assert problem.kind == "empty"


def test_finished_counts_are_sorted_whole_and_without_zeros() -> None:
    matrix = sparse.csr_matrix((np.array([2.00001, 1.0, 0.0]), np.array([2, 0, 1]), np.array([0, 3])), shape=(1, 3))
    done = finish_counts(matrix)
    assert (done.dtype, done.indices.tolist(), done.data.tolist()) == (np.float32, [0, 2], [1.0, 2.0])


def test_values_above_zero_are_counted_without_stored_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_TEST_BLOCK", 7)
    matrix = sparse.random(30, 20, density=0.3, format="csr", random_state=0)
    matrix.data[::3] = 0
    np.testing.assert_array_equal(counts.positive_per_row(matrix), (matrix.toarray() > 0).sum(axis=1))
    assert counts.positive_per_row(sparse.csr_matrix((3, 4))).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(counts.positive_per_column(matrix), (matrix.toarray() > 0).sum(axis=0))
    assert counts.positive_per_column(sparse.csr_matrix((3, 2))).tolist() == [0, 0]
    assert counts.all_whole(np.arange(20.0))
    assert counts.all_whole(np.array([]))
    assert not counts.all_whole(np.append(np.arange(20.0), 3.00001))
