"""Is this matrix made of counts? Checks on sparse values only; nothing dense is ever made of a whole matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from scipy import sparse

from mira_nb.errors import InputError

Problem = Literal["text", "nan", "negative", "fractions", "empty"]
_CHUNK_VALUES: Final = 20_000_000
_TEST_BLOCK: Final = 1_000_000
_TOLERANCE: Final = 1e-4  # values this close to an integer are rounded: float files of counts are common


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
    guess
        What the values seem to be, in words ('' when nothing can be said).
    """

    kind: Problem
    n_values: int = 0
    examples: tuple[float, ...] = ()
    where: tuple[int, int] | None = None
    guess: str = ""


def to_csr(given: Any, *, copy: bool = True) -> sparse.csr_matrix:
    """Any two-dimensional matrix (dense, CSC, COO, an HDF5 data set, bool, text numbers) as CSR with zeros removed.

    Dense input is converted in blocks of rows, so that no second dense copy is made. ``copy=False`` allows changes to
    the given sparse matrix.

    Raises
    ------
    ValueError
        When values are not numbers, the matrix is not two-dimensional, or sparse indices are out of range.
    """
    matrix: Any = given
    if sparse.issparse(given):
        csr: sparse.csr_matrix = sparse.csr_matrix(matrix)  # arrays become matrices
        if copy and np.shares_memory(csr.data, matrix.data):
            csr = csr.copy()
        csr.check_format(full_check=True)
        csr.sum_duplicates()
        if csr.dtype == object:
            csr = csr.astype(np.float64)
        if csr.dtype == bool:
            csr = csr.astype(np.float32)
        csr.eliminate_zeros()
        return csr
    if getattr(matrix, "ndim", 0) != 2:
        raise ValueError(f"the matrix has {getattr(matrix, 'ndim', 0)} dimensions instead of two")
    n_rows, n_columns = matrix.shape
    step = max(1, _CHUNK_VALUES // max(1, n_columns))
    blocks = [sparse.csr_matrix(_numeric(matrix[i : i + step])) for i in range(0, n_rows, step)]
    if not blocks:
        return sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)
    return blocks[0] if len(blocks) == 1 else sparse.vstack(blocks, format="csr")


def _numeric(block: Any) -> np.ndarray:
    values = np.asarray(block)
    if values.dtype == np.float16:  # unknown to sparse matrices
        return values.astype(np.float32)
    if values.dtype.kind in "iuf":
        return values
    return values.astype(np.float32 if values.dtype.kind == "b" else np.float64)


def find_problem(matrix: sparse.csr_matrix) -> ValueProblem | None:
    """First reason why `matrix` (CSR, cells x features) is not made of counts, or None."""
    if matrix.shape[0] == 0 or matrix.shape[1] == 0 or matrix.nnz == 0:
        return ValueProblem("empty")
    tests: dict[Problem, Callable[[np.ndarray], np.ndarray]] = {}
    if matrix.dtype.kind == "f":
        tests["nan"] = lambda values: ~np.isfinite(values)
    if matrix.dtype.kind in "fi":
        tests["negative"] = lambda values: values < 0
    if matrix.dtype.kind == "f":
        tests["fractions"] = _fractional
    for kind, test in tests.items():
        bad = _where(matrix.data, test)
        if len(bad):
            return _problem(kind, matrix, bad)
    return None


def _fractional(values: np.ndarray) -> np.ndarray:
    rounded = np.rint(values)
    return (np.abs(values - rounded) > _TOLERANCE) | (rounded == 0)


def _where(values: np.ndarray, test: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Positions at which a test holds, in blocks, so that no array of the values' size is made."""
    starts = range(0, len(values), _TEST_BLOCK)
    return np.concatenate([np.flatnonzero(test(values[i : i + _TEST_BLOCK])) + i for i in starts])


def _problem(kind: Problem, matrix: sparse.csr_matrix, positions: np.ndarray) -> ValueProblem:
    first = int(positions[0])
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    examples = tuple(float(value) for value in np.unique(matrix.data[positions[:1000]])[:5])
    guess = _guess(matrix) if kind in {"fractions", "negative"} else ""
    return ValueProblem(kind, len(positions), examples, (row, int(matrix.indices[first])), guess)


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
            f"counts of reads that match several genes, shared between them ({whole:.0%} of the values are whole; "
            "STARsolo --soloMultiMappers EM or alevin-fry): count unique reads only, or round them with np.rint"
        )
    if head.data.max() < 20:
        return "log-normalised (or TF-IDF) values"
    return "normalised or corrected values"


def finish_counts(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Turn checked counts into float32 CSR with sorted indices and exact integers."""
    if matrix.dtype.kind == "f":
        np.rint(matrix.data, out=matrix.data)
    out = matrix.astype(np.float32, copy=False)
    out.eliminate_zeros()
    out.sort_indices()
    return out


def count_error(
    problem: ValueProblem, *, source: str, key: str, cells: Any, features: Any, tried: tuple[str, ...] = ()
) -> InputError:
    """One clear message for a matrix that is not made of counts.

    Parameters
    ----------
    problem
        What :func:`find_problem` found.
    source, key
        File and matrix, e.g. ``rna.h5ad`` and ``X``.
    cells, features
        Names, to say where the first bad value is.
    tried
        Other places that were looked at for counts.
    """
    where = ""
    if problem.where is not None:
        row, column = problem.where
        where = f" First at cell {str(cells[row])!r}, feature {str(features[column])!r}."
    shown = ", ".join(f"{value:.6g}" for value in problem.examples)
    elsewhere = f" No counts in {', '.join(tried)} either." if tried else ""
    remedy = "give the file with raw counts in X, or put them into layers['counts']."
    expected = "raw counts: whole numbers, zero or above."
    if problem.kind == "empty":
        n_cells, n_features = len(cells), len(features)
        return InputError(
            f"{source}: {key} is empty ({n_cells:,} cells x {n_features:,} features, no count above zero).{elsewhere}",
            expected=expected,
            remedy="check the step that wrote the file; " + remedy,
        )
    if problem.kind == "text":
        return InputError(f"{source}: {key} holds values that are not numbers.", expected=expected, remedy=remedy)
    noun = {"nan": "missing or infinite", "negative": "negative", "fractions": "fractional"}[problem.kind]
    guess = f" They look like {problem.guess}." if problem.guess else ""
    return InputError(
        f"{source}: {key} is not made of counts: {problem.n_values:,} {noun} values, e.g. {shown}."
        f"{guess}{where}{elsewhere}",
        expected=expected,
        remedy=remedy,
    )
