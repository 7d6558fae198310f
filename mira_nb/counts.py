"""Rules for count matrices, once for reading files, for data given to a stage and for the topic model.

Only stored values of a sparse matrix are looked at, block by block; nothing dense of a matrix's size is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.sentences import entries, fill, refuse

_PACKAGE: Final = "mira_nb"
"""Package whose folder ``texts`` holds the words."""
Likeness = Literal["", "scaled", "logarithms", "same_total", "imputed", "shared_reads", "low", "other"]
Problem = Literal["text", "nan", "negative", "fractions", "above_one", "empty"]
_TEST_BLOCK: Final = 1_000_000
_TOLERANCE: Final = 1e-4  # values this close to an integer are rounded: float files of counts are common
_EQUAL_TOTALS: Final = 0.06  # relative spread; depths of cells differ by 20 % and more
PER_CELL: Final = 1e4
"""Counts per cell that expression is scaled to wherever it is shown or tested."""


@dataclass(frozen=True)
class ValueProblem:
    """Why a matrix is not made of counts.

    Attributes
    ----------
    kind
        What is wrong.
    n_values
        How many stored values are affected.
    examples
        Up to five of them.
    where
        Row and column of the first.
    largest
        Largest stored value.
    like
        What the values seem to be ('' when nothing can be said); ``shared_reads``: counts of multi-mapping reads.
    whole
        Fraction of whole numbers among the first.
    """

    kind: Problem
    n_values: int = 0
    examples: tuple[float, ...] = ()
    where: tuple[int, int] | None = None
    like: Likeness = ""
    whole: float = 0.0
    largest: float = 0.0

    @property
    def guess(self) -> str:
        """What the values seem to be, in words."""
        return fill(_words()["guesses"][self.like], {"whole": self.whole}) if self.like else ""


def find_problem(matrix: sparse.csr_matrix, *, binary: bool = False) -> ValueProblem | None:
    """Return the first reason why a matrix is not made of counts, or None.

    Counts are finite, not negative and within 1e-4 of a whole number; a matrix without any is no count matrix.

    Parameters
    ----------
    matrix
        Cells x features; zeros may be stored.
    binary
        Whether values above one are a problem too (accessibility: 0 = closed, 1 = open).
    """
    if matrix.shape[0] == 0 or matrix.shape[1] == 0 or matrix.nnz == 0:
        return ValueProblem("empty")
    tests: dict[Problem, Callable[[np.ndarray], np.ndarray]] = {}
    if matrix.dtype.kind == "f":
        tests["nan"] = lambda values: ~np.isfinite(values)
    if matrix.dtype.kind in "fi":
        tests["negative"] = lambda values: values < 0
    if matrix.dtype.kind == "f":
        tests["fractions"] = _fractional
    if binary:
        tests["above_one"] = lambda values: values > 1 + _TOLERANCE
    for kind, test in tests.items():
        bad = _where(matrix.data, test)
        if len(bad):
            return _describe(kind, matrix, bad)
    return None


def _fractional(values: np.ndarray) -> np.ndarray:
    rounded = np.rint(values)
    return (np.abs(values - rounded) > _TOLERANCE) | ((rounded == 0) & (values != 0))


def _where(values: np.ndarray, test: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the positions of stored values that satisfy `test`, evaluated block-wise to bound memory."""
    starts = range(0, max(len(values), 1), _TEST_BLOCK)
    return np.concatenate([np.flatnonzero(test(values[i : i + _TEST_BLOCK])) + i for i in starts])


def _describe(kind: Problem, matrix: sparse.csr_matrix, positions: np.ndarray) -> ValueProblem:
    first = int(positions[0])
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    examples = tuple(float(value) for value in np.unique(matrix.data[positions[:1000]])[:5])
    like, whole = _guess(matrix) if kind in {"fractions", "negative"} else ("", 0.0)
    where = row, int(matrix.indices[first])
    return ValueProblem(kind, len(positions), examples, where, like, whole, float(matrix.data.max()))


def _guess(matrix: sparse.csr_matrix) -> tuple[Likeness, float]:
    """Guess what values that are not counts are, from the first rows; also return how many of them are whole."""
    head = matrix[:200]
    filled = np.diff(head.indptr) > 0
    if not filled.any():
        return "", 0.0
    whole = float((head.data == np.rint(head.data)).mean())
    if head.data.min() < 0:
        return "scaled", whole

    def constant(sums: np.ndarray) -> bool:
        return bool(len(sums) > 1 and sums.std() < 1e-3 * sums.mean())

    head = head[filled].astype(np.float64)
    logs = head.copy()
    with np.errstate(over="ignore"):
        logs.data = np.expm1(np.minimum(logs.data, 50.0))
    if constant(np.asarray(logs.sum(axis=1)).ravel()):
        return "logarithms", whole
    if constant(np.asarray(head.sum(axis=1)).ravel()):
        return "same_total", whole
    density = head.nnz / (head.shape[0] * head.shape[1])
    if density > 0.9:
        return "imputed", whole
    if whole > 0.5:
        return "shared_reads", whole
    return ("low" if head.data.max() < 20 else "other"), whole


def suspicion(matrix: sparse.csr_matrix) -> str:
    """Return why whole numbers may not be counts of molecules ('' when nothing speaks against it).

    Cells differ in depth, and nearly every cell has genes with a single molecule. Rounded values of cells scaled to one
    total, or of their logarithms, lack one or the other.
    """
    n_genes = np.diff(matrix.indptr)
    rows = np.flatnonzero(n_genes >= 10)
    if len(rows) < 50:
        return ""
    totals = np.asarray(matrix.sum(axis=1)).ravel()[rows]
    spread = float(totals.std() / totals.mean())
    if spread < _EQUAL_TOTALS:
        return fill(_words()["suspicions"]["same_total"], {"total": np.median(totals), "spread": spread})
    least = np.array([matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]].min() for row in rows[:2000]])
    above = float((least > 1).mean())
    if above > 0.5:
        return fill(_words()["suspicions"]["no_single"], {"least": np.median(least), "above": above})
    return ""


def finish_counts(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return checked counts as float32 CSR with sorted indices and exact integers; `matrix` may be changed."""
    if matrix.dtype.kind == "f":
        np.rint(matrix.data, out=matrix.data)
    out = matrix.astype(np.float32, copy=False)
    out.eliminate_zeros()
    out.sort_indices()
    return out


def positive_per_row(matrix: sparse.csr_matrix) -> np.ndarray:
    """Count the values above zero of every row, (rows,); stored zeros do not count."""
    others = _where(matrix.data, lambda values: ~(values > 0))
    rows = np.searchsorted(matrix.indptr, others, side="right") - 1
    return np.diff(matrix.indptr).astype(np.int64) - np.bincount(rows, minlength=matrix.shape[0])


def positive_per_column(matrix: sparse.csr_matrix) -> np.ndarray:
    """Count the values above zero of every column, (columns,), block by block: bincount makes wide copies."""
    out = np.zeros(matrix.shape[1], dtype=np.int64)
    for start in range(0, matrix.nnz, _TEST_BLOCK):
        values = slice(start, start + _TEST_BLOCK)
        out += np.bincount(matrix.indices[values][matrix.data[values] > 0], minlength=len(out))
    return out


def all_whole(values: np.ndarray) -> bool:
    """Return whether all values are exactly whole numbers."""
    return values.dtype.kind != "f" or not len(_where(values, lambda part: part != np.rint(part)))


def count_error(
    problem: ValueProblem,
    *,
    source: str,
    cells: Sequence[Any] | Any = (),
    features: Sequence[Any] | Any = (),
    tried: Sequence[str] = (),
) -> InputError:
    """Return the error for a matrix that is not made of counts.

    Parameters
    ----------
    problem
        What :func:`find_problem` found.
    source
        File and matrix, e.g. ``rna.h5ad: X``.
    cells, features
        Names, to say where the first bad value is; without them it is given by numbers from 0.
    tried
        Other places that were looked at for counts.
    """
    values: dict[str, Any] = {"source": source}
    if problem.kind == "empty":
        values |= {"n_cells": len(cells), "n_features": len(features), "tried": list(tried)}
    elif problem.kind != "text":
        values |= {"n_values": problem.n_values, "cell": None, "feature": None}
        if problem.where is not None:
            row, column = problem.where
            values |= {"cell": _name(cells, row), "feature": _name(features, column)}
        if problem.kind == "above_one":
            values["largest"] = problem.largest
        else:
            facts = {"kind": problem.kind, "examples": list(problem.examples), "guess": problem.guess}
            values |= {**facts, "tried": list(tried)}
    return refuse(InputError, _PACKAGE, "input", f"counts_{problem.kind}", values)


def _name(names: Sequence[Any] | Any, position: int) -> str | int:
    """Return a name, or the position where there are no names."""
    return str(names[position]) if len(names) else position


def _words() -> dict[str, Any]:
    return entries(_PACKAGE, "counts.yaml")


def scaled(counts: Any, totals: Any) -> sparse.csr_matrix:
    """Return counts per 10,000 counts of the cell, (cells, features); cells without counts stay zero.

    Parameters
    ----------
    counts
        (cells, features) counts, sparse.
    totals
        (cells,) all counts of each cell, also of features that `counts` leaves out.
    """
    return sparse.csr_matrix(sparse.diags(PER_CELL / np.maximum(totals, 1)) @ counts)


def log_expression(counts: Any, totals: Any) -> sparse.csr_matrix:
    """Return log(1 + counts per 10,000 counts of the cell), see :func:`scaled`."""
    return scaled(counts, totals).log1p()
