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

Problem = Literal["text", "nan", "negative", "fractions", "above_one", "empty"]
_TEST_BLOCK: Final = 1_000_000
_TOLERANCE: Final = 1e-4  # values this close to an integer are rounded: float files of counts are common
_EQUAL_TOTALS: Final = 0.06  # relative spread; depths of cells differ by 20 % and more
PER_CELL: Final = 1e4
"""Counts per cell that expression is scaled to wherever it is shown or tested."""
SHARED_READS: Final = "counts of reads that match several genes"
"""How the guess begins that fractions are counts of multi-mapping reads."""
_NOUNS: Final = {"nan": "missing or infinite", "negative": "negative", "fractions": "fractional"}


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
    guess
        What the values seem to be, in words ('' when nothing can be said).
    """

    kind: Problem
    n_values: int = 0
    examples: tuple[float, ...] = ()
    where: tuple[int, int] | None = None
    guess: str = ""
    largest: float = 0.0


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
    starts = range(0, len(values), _TEST_BLOCK)
    return np.concatenate([np.flatnonzero(test(values[i : i + _TEST_BLOCK])) + i for i in starts])


def _describe(kind: Problem, matrix: sparse.csr_matrix, positions: np.ndarray) -> ValueProblem:
    first = int(positions[0])
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    examples = tuple(float(value) for value in np.unique(matrix.data[positions[:1000]])[:5])
    guess = _guess(matrix) if kind in {"fractions", "negative"} else ""
    return ValueProblem(
        kind, len(positions), examples, (row, int(matrix.indices[first])), guess, float(matrix.data.max())
    )


def _guess(matrix: sparse.csr_matrix) -> str:
    """Guess what values that are not counts are, from the first rows."""
    head = matrix[:200]
    filled = np.diff(head.indptr) > 0
    if not filled.any():
        return ""
    if head.data.min() < 0:
        return "scaled (z-scored), denoised or batch-corrected values"

    def constant(sums: np.ndarray) -> bool:
        return bool(len(sums) > 1 and sums.std() < 1e-3 * sums.mean())

    head = head[filled].astype(np.float64)
    logs = head.copy()
    with np.errstate(over="ignore"):
        logs.data = np.expm1(np.minimum(logs.data, 50.0))
    if constant(np.asarray(logs.sum(axis=1)).ravel()):
        return "log-normalised values: log(1 + x) of counts scaled to the same total in each cell"
    if constant(np.asarray(head.sum(axis=1)).ravel()):
        return "normalised values: every cell has the same total"
    density = head.nnz / (head.shape[0] * head.shape[1])
    if density > 0.9:
        return "denoised or imputed values: hardly any zeros"
    whole = float((head.data == np.rint(head.data)).mean())
    if whole > 0.5:
        return (
            f"{SHARED_READS}, shared between them ({whole:.0%} of the values are whole; "
            "STARsolo --soloMultiMappers EM or alevin-fry): count unique reads only, or round them with np.rint"
        )
    if head.data.max() < 20:
        return "log-normalised (or TF-IDF) values"
    return "normalised or corrected values"


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
        return f"all cells have nearly the same total ({np.median(totals):,.0f}, spread {spread:.1%})"
    least = np.array([matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]].min() for row in rows[:2000]])
    above = float((least > 1).mean())
    if above > 0.5:
        return f"the smallest value above zero is {np.median(least):.0f} in the median cell, and above 1 in {above:.0%}"
    return ""


def finish_counts(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return checked counts as float32 CSR with sorted indices and exact integers; `matrix` may be changed."""
    if matrix.dtype.kind == "f":
        np.rint(matrix.data, out=matrix.data)
    out = matrix.astype(np.float32, copy=False)
    out.eliminate_zeros()
    out.sort_indices()
    return out


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
    elsewhere = f" No counts in {', '.join(tried)} either." if tried else ""
    remedy = "give the file with raw counts in X, or put them into layers['counts']."
    expected = "raw counts: whole numbers, zero or above."
    if problem.kind == "empty":
        n_cells, n_features = len(cells), len(features)
        return InputError(
            f"{source} is empty ({n_cells:,} cells x {n_features:,} features, no count above zero).{elsewhere}",
            expected=expected,
            remedy="check the step that wrote the file; " + remedy,
            code="input.counts_empty",
            values={"source": source, "n_cells": n_cells, "n_features": n_features},
        )
    if problem.kind == "text":
        message = f"{source} holds values that are not numbers."
        return InputError(message, expected=expected, remedy=remedy, code="input.counts_text")
    where, place = "", dict[str, Any](tried=list(tried))
    if problem.where is not None:
        row, column = problem.where
        cell = repr(str(cells[row])) if len(cells) else str(row)
        feature = repr(str(features[column])) if len(features) else str(column)
        where = f" First at cell {cell}, feature {feature}."
        place |= {"cell": cell.strip("'"), "feature": feature.strip("'")}
    if problem.kind == "above_one":
        return InputError(
            f"{source} is not binary: {problem.n_values:,} values above 1, values up to {problem.largest:.0f}.{where}",
            expected="0 and 1 (peak closed or open).",
            remedy="set every positive count to 1, as mira_nb.read and mira_nb.pair do.",
            code="input.counts_above_one",
            values={"source": source, "n_values": problem.n_values, "largest": problem.largest},
        )
    shown = ", ".join(f"{value:.6g}" for value in problem.examples)
    guess = f" They look like {problem.guess}." if problem.guess else ""
    return InputError(
        f"{source} is not made of counts: {problem.n_values:,} {_NOUNS[problem.kind]} values, e.g. {shown}."
        f"{guess}{where}{elsewhere}",
        expected=expected,
        remedy=remedy,
        code=f"input.counts_{problem.kind}",
        values={"source": source, "n_values": problem.n_values, "examples": list(problem.examples)} | place,
    )


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
