"""Checked counts, and batches of cells in the layouts that the objective wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln

from mira_nb.core.topics.kernels.embedding import to_columns
from mira_nb.counts import all_whole, count_error, find_problem, finish_counts
from mira_nb.errors import InputError

from .residuals import Residuals, deviance_residuals
from .settings import Modality

MIN_CELLS = 10


@dataclass(frozen=True)
class Columns:
    """A batch stored by features: feature j has entries ``pointers[j]`` to ``pointers[j + 1]``."""

    pointers: NDArray[np.int64]
    cells: NDArray[np.int32]
    values: NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Some cells: where their counts are, counts by columns (accessibility) and the encoder's input.

    Attributes
    ----------
    counts, cells
        Counts of all cells, and positions of the batch's cells in them.
    largest
        Largest count of any cell.
    depth
        (cells,) sum of counts.
    constant
        Terms of the log-likelihood that depend on the counts alone, summed over the batch.
    columns, encoder_columns
        Accessibility by peaks: all of them, and those the encoder reads.
    residuals
        (cells, encoder genes) deviance residuals of expression.
    """

    counts: sparse.csr_matrix
    cells: NDArray[np.intp]
    largest: float
    depth: NDArray[np.floating]
    constant: float
    columns: Columns | None
    encoder_columns: Columns | None
    residuals: NDArray[np.floating] | None

    @property
    def n_cells(self) -> int:
        """Number of cells in the batch."""
        return len(self.depth)


def check_counts(counts: Any, modality: Modality) -> sparse.csr_matrix:
    """Return counts (cells x features, sparse or dense) as CSR float32 of whole numbers without stored zeros.

    Raises
    ------
    InputError
        The matrix has not two dimensions, or its values are not counts (accessibility: not 0 or 1); a matrix without
        any count is left to the caller.
    """
    if sparse.issparse(counts):
        matrix: Any = cast(Any, counts).tocsr()
    else:
        array = np.asarray(counts)
        if array.ndim != 2:
            raise InputError(f"the {modality} counts have {array.ndim} dimension(s)", expected="cells x features")
        matrix = sparse.csr_matrix(array)
    problem = find_problem(matrix, binary=modality == "accessibility")
    if problem is not None and problem.kind != "empty":
        raise count_error(problem, source=f"the {modality} matrix")
    values = matrix.data
    if not all_whole(values) or not matrix.has_canonical_format or (values.size and values.min() == 0):
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix = finish_counts(matrix)
    elif matrix.dtype != np.float32:
        matrix = matrix.astype(np.float32)
    return sparse.csr_matrix(matrix)


def check_encoder(encoder: NDArray[np.bool_] | None, n_features: int, modality: Modality) -> NDArray[np.bool_]:
    """Validate and return the mask of encoder features (all when None)."""
    if encoder is None:
        return np.ones(n_features, bool)
    mask = np.asarray(encoder, bool)
    if mask.shape != (n_features,):
        raise InputError(f"{mask.size} encoder flags for {n_features} {modality} features", expected="one per feature")
    if not mask.any():
        raise InputError(f"no {modality} feature is given to the encoder", remedy="lower the feature thresholds")
    return mask


class CellData:
    """Counts of non-empty cells prepared for one modality.

    Parameters
    ----------
    counts
        (cells, features) checked counts; every row must hold at least one count.
    modality
        Which model reads them.
    encoder
        (features,) mask of features the encoder reads.
    shares
        Pooled fractions of the training cells (expression only).
    """

    def __init__(
        self,
        counts: sparse.csr_matrix,
        modality: Modality,
        encoder: NDArray[np.bool_],
        shares: NDArray[np.floating] | None,
    ) -> None:
        self.counts = counts
        self.modality = modality
        self.depth = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
        self._largest = float(counts.data.max(initial=0))
        # of the multinomial log n! (its counts are 0 or 1), of the negative binomial -sum log x!
        self._constants = gammaln(self.depth + 1) if modality == "accessibility" else -log_factorials(counts)
        subset = counts if encoder.all() else counts[:, np.flatnonzero(encoder)].tocsr()
        self._encoder_counts: sparse.csr_matrix | None = None
        self._residuals: Residuals | None = None
        if modality == "expression":
            if shares is None:
                raise ValueError("expression needs pooled fractions")
            self._residuals = deviance_residuals(subset, self.depth, np.asarray(shares)[encoder])
        elif subset is not counts:
            self._encoder_counts = subset

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.counts.shape[0])

    def batch(self, cells: NDArray[np.intp], *, by_columns: bool = True) -> Batch:
        """Return the cells at the given positions; ``by_columns=False`` leaves out what only the likelihood needs."""
        columns = encoder = residuals = None
        if self._residuals is not None:
            residuals = self._residuals.rows(cells)
        else:
            if by_columns or self._encoder_counts is None:
                columns = _columns(self.counts[cells])
            encoder = columns if self._encoder_counts is None else _columns(self._encoder_counts[cells])
        constant = float(self._constants[cells].sum())
        return Batch(
            self.counts, cells, self._largest, self.depth[cells], constant, columns, encoder, residuals
        )  # fmt: skip


def _columns(rows: sparse.csr_matrix) -> Columns:
    pointers = np.zeros(rows.shape[1] + 1, np.int64)
    cells = np.empty(rows.nnz, np.int32)
    values = np.empty(rows.nnz, rows.dtype)
    to_columns(rows.shape[1], rows.indptr, rows.indices, rows.data, pointers, cells, values)
    return Columns(pointers, cells, values)


def equal_batches(cells: NDArray[np.intp], batch_size: int) -> Iterator[NDArray[np.intp]]:
    """Cut positions into batches of at most ``batch_size`` whose sizes differ by at most one.

    None has a single cell (batch normalisation needs two): batches of two become one of three where n is odd.
    """
    yield from np.array_split(cells, n_batches(len(cells), batch_size))


def n_batches(n_cells: int, batch_size: int) -> int:
    """Return the number of batches of :func:`equal_batches`, optimiser steps of an epoch."""
    return max(1, min(-(-n_cells // batch_size), n_cells // 2))


def blocks(n: int, size: int = 512) -> list[slice]:
    """Return consecutive slices of at most ``size`` of ``n`` cells."""
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def log_factorials(counts: sparse.csr_matrix) -> NDArray[np.float64]:
    """Sum of log x! over the counts of every cell, (cells,)."""
    out = np.empty(counts.shape[0])
    for rows in blocks(counts.shape[0]):
        part = counts[rows].astype(np.float64)
        part.data = gammaln(part.data + 1)
        out[rows] = np.asarray(part.sum(axis=1)).ravel()
    return out


def column_totals(counts: sparse.csr_matrix, cells: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum of every feature over the given cells, (features,), without a copy of their counts."""
    out = np.zeros(counts.shape[1])
    for rows in blocks(len(cells)):
        part = counts[cells[rows]]
        out += np.bincount(part.indices, weights=part.data, minlength=counts.shape[1])
    return out


def pooled_shares(counts: sparse.csr_matrix, cells: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the fraction pi_j of each feature in all counts of the given cells, (features,)."""
    totals = column_totals(counts, cells)
    return totals / max(float(totals.sum()), 1.0)


def part_of_cells(
    counts: sparse.csr_matrix, cells: NDArray[np.intp], max_counts: int, rng: np.random.Generator, *,
    least: int = 2, most: int | None = None,
) -> NDArray[np.intp]:  # fmt: skip
    """Return all cells, or a random part with about ``max_counts`` stored counts and ``least`` to ``most`` cells."""
    n_counts = int(np.diff(counts.indptr)[cells].sum())
    n = max(least, len(cells) * max_counts // max(n_counts, 1))
    if most is not None:
        n = min(n, max(most, least))
    if n >= len(cells):
        return cells
    return cells[np.sort(rng.choice(len(cells), n, replace=False))]
