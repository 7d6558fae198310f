"""Matrices of one modality that could all be its counts: how they differ, and which is derived from which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.counts import ValueProblem, find_problem, finish_counts, suspicion
from mira_nb.errors import InputError
from mira_nb.keys import ATAC

from .formats import RawModality
from .messages import refusal

Candidate = tuple[str, sparse.csr_matrix, pd.DataFrame]
"""Name of the matrix, its values, and its features."""
_ROWS: Final = 10_000


def layer_of(key: str) -> str:
    """Return the word after ``--layer`` for a matrix."""
    return {"X": "X", "raw.X": "raw"}.get(key, key[8:-2])


def load(raw: RawModality, key: str) -> tuple[ValueProblem | None, Candidate]:
    """Load one matrix and say why it does not hold counts (None when it does).

    Raises
    ------
    InputError
        When the matrix is malformed.
    """
    try:
        matrix, var = raw.matrices[key]()
        problem = find_problem(matrix)
    except ValueError as error:
        if "could not convert" not in str(error) and "invalid literal" not in str(error):
            raise refusal(InputError, "matrix_malformed", source=raw.source, matrix=key, error=error) from error
        return ValueProblem("text"), (key, sparse.csr_matrix((0, 0)), raw.var)
    return problem, (key, matrix if problem is not None else finish_counts(matrix), var)


def load_rival(raw: RawModality, key: str) -> Candidate | None:
    """Load a matrix that is only compared: None when it holds no counts or cannot be read.

    The first values tell most matrices of other kinds, some of which are too large to be read for nothing.
    """
    try:
        head = raw.heads.get(key)
        if head is not None:
            problem = find_problem(sparse.csr_matrix(np.ravel(head()).reshape(1, -1)))
            if problem is not None and problem.kind != "empty":
                return None
        problem, found = load(raw, key)
    except Exception:  # whatever is wrong with it, it is not needed
        return None
    return found if problem is None else None


def totals(matrix: sparse.csr_matrix) -> str:
    """Return how many counts a matrix holds, in words."""
    per_cell = np.asarray(matrix.sum(axis=1)).ravel()
    return f"{matrix.sum():,.0f} counts of {matrix.shape[1]:,} features, {np.median(per_cell):,.0f} per cell (median)"


@dataclass(frozen=True)
class Difference:
    """How the values of one matrix differ from those of another.

    Attributes
    ----------
    missing
        Features of the first that the other does not have.
    smaller, larger
        Values that are smaller, and larger, in the other matrix.
    """

    missing: int = 0
    smaller: int = 0
    larger: int = 0

    def __bool__(self) -> bool:
        return bool(self.missing or self.smaller or self.larger)

    def words(self, other: str) -> str:
        """Describe the difference from the matrix `other`."""
        if self.missing:
            return f"{self.missing:,} features are not in {other}"
        return f"{self.smaller + self.larger:,} values differ from {other}"


def difference(one: Candidate, other: Candidate, *, pattern: bool = False) -> Difference:
    """Compare two matrices over the features of the first.

    Parameters
    ----------
    pattern
        Whether only which values are above zero counts.
    """
    n_features = one[1].shape[1]
    where = other[2].index.get_indexer(one[2].index) if other[2].index.is_unique else np.arange(n_features)
    missing = int(((where < 0) | (where >= other[1].shape[1])).sum())
    if missing:
        return Difference(missing=missing)
    same_order = n_features == other[1].shape[1] and bool((where == np.arange(n_features)).all())
    smaller = larger = 0
    for start in range(0, one[1].shape[0], _ROWS):  # in blocks, since the difference is as large as both together
        rows = slice(start, start + _ROWS)
        left, right = one[1][rows], other[1][rows]
        right = right if same_order else right[:, where]
        changed = (right.sign() - left.sign() if pattern else right - left).data
        smaller += int((changed < 0).sum())
        larger += int((changed > 0).sum())
    return Difference(0, smaller, larger)


@dataclass
class Choice:
    """The matrix that is taken, and the others with counts that differ from it.

    Attributes
    ----------
    taken
        The matrix.
    role
        ``rna`` or ``atac``.
    fixed
        Whether its name says that it holds the counts, so that no other matrix replaces it.
    by_values
        Whether it was taken for its values alone.
    others
        Of each other matrix: ``matrix``, ``totals``, ``difference`` in words.
    """

    taken: Candidate
    role: str
    fixed: bool
    by_values: bool = False
    others: list[Mapping[str, str]] = field(default_factory=list)

    def compare(self, rival: Candidate) -> None:
        """Note a matrix that differs, and take it when the one taken so far seems to be derived from it."""
        # accessibility is binarised: cut sites and fragments of the same peaks are the same data
        pattern = self.role == ATAC and rival[0] != "X"
        pair = (rival, self.taken) if self.taken[0] == "raw.X" else (self.taken, rival)
        found = difference(*pair, pattern=pattern)
        if not found or (pair[1] is rival and _binarised(*pair, found)):
            return
        taken = self.taken
        if not self.fixed and self.role != ATAC and _less_derived(rival, taken, found):
            self.taken, rival = rival, taken
        self.others.append(
            {"matrix": rival[0], "totals": totals(rival[1]), "difference": found.words(self.taken[0])},
        )


def _binarised(one: Candidate, other: Candidate, found: Difference) -> bool:
    """Return whether the other matrix only says where the first has counts."""
    return not found.missing and not found.larger and one[1].nnz == other[1].nnz and other[1].max() <= 1


def _less_derived(rival: Candidate, taken: Candidate, found: Difference) -> bool:
    """Return whether what is taken seems to be made from the rival.

    Corrections for ambient molecules, filters and parts take counts away, some of them altogether. Where every value
    stays above zero, the larger matrix may as well be scaled or count reads instead of molecules.
    """
    doubts = [_doubtful(candidate[1]) for candidate in (rival, taken)]
    if doubts[0] != doubts[1]:
        return doubts[1]
    return not found.missing and not found.smaller and rival[1].nnz > taken[1].nnz


def _doubtful(matrix: sparse.csr_matrix) -> bool:
    """Return whether whole numbers are unlikely to be counts of expression: 0 and 1 only, or rounded values."""
    largest: Any = matrix.max()
    return bool(largest <= 1) or bool(suspicion(matrix))
