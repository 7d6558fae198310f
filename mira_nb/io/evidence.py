"""What obs of both modalities holds, as evidence for or against a pairing of their cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from .samples import bare_barcodes

TOLERATED: Final = 0.01
"""Fraction of pairs that may differ."""
_LEAST_VALUES: Final = 2
_UNIQUE: Final = 0.5
"""Values per cell of a column that identifies cells; so many of them occur in the other modality too."""
_NUMBERED: Final = r"^([A-Za-z]*[ _.:-]?)(\d{1,9})$"
_UNLIKE: Final = 0.1
_MANY: Final = 0.25
_AGREEMENT: Final = 0.5


def row_numbers(names: pd.Index | pd.Series) -> np.ndarray | None:
    """Return the numbers in names such as 12 or Cell_12, None where names are of another kind or differ in more."""
    parts = pd.Series(np.asarray(names, dtype=object)).astype(str).str.extract(_NUMBERED)
    if not len(parts) or parts[1].isna().any() or parts[0].nunique() > 1:
        return None
    return parts[1].astype(np.int64).to_numpy()


def counted_from(names: pd.Index | pd.Series) -> int | None:
    """Return 0 or 1 where names are the numbers of all rows, counted from it; else None."""
    numbers = row_numbers(names)
    if numbers is None:
        return None
    numbers = np.sort(numbers)
    whole = bool((numbers == np.arange(len(numbers)) + numbers[0]).all())
    return int(numbers[0]) if whole and numbers[0] <= 1 else None


def barcode_columns(obs: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns of obs that hold barcodes, as bare sequences."""
    out: dict[str, pd.Series] = {}
    for name in obs.columns:
        column: Any = obs[name]
        if isinstance(column, pd.DataFrame) or pd.api.types.is_numeric_dtype(column):
            continue
        bare = bare_barcodes(column)
        if bare.notna().mean() > 0.9 and bare.nunique() > _UNIQUE * len(bare):
            out[str(name)] = bare
    return out


def identifiers(rna: pd.DataFrame, atac: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the columns of both modalities that identify cells: text, nearly unique, most of it in both.

    Numbers of rows are left out: each modality counts its own.
    """
    out = {}
    for name, left, right in _shared_text(rna, atac):
        unique = min(len(np.unique(values)) / max(len(values), 1) for values in (left, right)) > _UNIQUE
        if not unique or counted_from(pd.Series(left)) is not None or np.char.isdigit(left).all():
            continue
        if np.isin(left, right).mean() >= _UNIQUE:
            out[name] = (left, right)
    return out


def agreeing(rna: pd.DataFrame, atac: pd.DataFrame) -> list[str]:
    """Return the identifiers that are the same in nearly all pairs."""
    pairs = identifiers(rna, atac).items()
    return [name for name, (left, right) in pairs if (left != right).mean() <= TOLERATED]


def contradictions(
    rna: pd.DataFrame, atac: pd.DataFrame, *, numbered: bool
) -> Iterator[tuple[str, np.ndarray, bool, bool]]:
    """Yield annotations that are those of other cells under a pairing.

    Parameters
    ----------
    rna, atac
        Annotations of the paired cells, row by row.
    numbered
        Whether the pairing is one by numbers of rows, so that groups of cells count as evidence too.

    Yields
    ------
    str, ndarray, bool, bool
        Name of the column, the rows that differ, whether it holds exactly the same values in both, and whether this
        speaks against names of any kind: identifiers that were made for each modality by itself do not.
    """
    for name, wrong in permuted_annotations(rna, atac):
        yield name, wrong, True, True
    for name, (left, right) in identifiers(rna, atac).items():
        wrong = np.flatnonzero(left != right)
        if len(wrong) > TOLERATED * len(left):
            yield name, wrong, False, numbered
    if numbered:
        for name, left, right in _shared_text(rna, atac):
            wrong = np.flatnonzero(left != right)
            if len(wrong) > _MANY * len(left) and _groups_of_other_cells(left, right):
                yield name, wrong, False, True


def _groups_of_other_cells(left: np.ndarray, right: np.ndarray) -> bool:
    """Return whether two columns of labels have nearly the same groups, but hardly more cells in common than by chance.

    Labels such as 3 or C3 are left out: those of two clusterings mean nothing to each other.
    """
    labels = np.unique([*left, *right])
    if not _LEAST_VALUES <= len(labels) <= 0.1 * len(left) or pd.Series(labels).str.fullmatch(r"[A-Za-z]?\d+").any():
        return False
    fractions = [np.array([(values == label).mean() for label in labels]) for values in (left, right)]
    chance = float(fractions[0] @ fractions[1])
    alike = 0.5 * float(np.abs(fractions[0] - fractions[1]).sum()) <= _UNLIKE
    return alike and float((left == right).mean()) - chance < _AGREEMENT * (1 - chance)


def differing(rna: pd.DataFrame, atac: pd.DataFrame) -> dict[str, int]:
    """Return in how many pairs annotations of both modalities differ, where they do."""
    counts = {name: int((left != right).sum()) for name, left, right in _shared_text(rna, atac)}
    return {name: n_differ for name, n_differ in counts.items() if n_differ}


def _shared_text(rna: pd.DataFrame, atac: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the columns that both have and that hold no numbers, as text."""
    for name in rna.columns.intersection(atac.columns):
        left, right = (_as_text(frame[name]) for frame in (rna, atac))
        numeric = any(pd.api.types.is_numeric_dtype(frame[name]) for frame in (rna, atac) if left is not None)
        if left is not None and right is not None and not numeric:
            yield str(name), left, right


def permuted_annotations(rna: pd.DataFrame, atac: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield annotations that hold the same values in both modalities, but not for the same cells.

    A clustering of each modality by itself gives other numbers of cells per label; the same numbers for other cells
    mean that one annotation was written for both, and that the cells are paired wrongly.

    Parameters
    ----------
    rna, atac
        Annotations of the paired cells, row by row.

    Yields
    ------
    str, ndarray
        Name of the column, and the rows that differ.
    """
    for name in rna.columns.intersection(atac.columns):
        left, right = (_as_text(frame[name]) for frame in (rna, atac))
        if left is None or right is None or len(np.unique(left)) < _LEAST_VALUES:
            continue
        wrong = np.flatnonzero(left != right)
        if len(wrong) > TOLERATED * len(left) and (np.sort(left) == np.sort(right)).all():
            yield str(name), wrong


def _as_text(column: Any) -> np.ndarray | None:
    """Return the values as text, None for a name that two columns have."""
    if isinstance(column, pd.DataFrame):
        return None
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=str)
