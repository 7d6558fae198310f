"""Cell annotations that both modalities hold, as evidence for or against a pairing of their cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

_TOLERATED: Final = 0.01
_LEAST_VALUES: Final = 2


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
        if len(wrong) > _TOLERATED * len(left) and (np.sort(left) == np.sort(right)).all():
            yield str(name), wrong


def _as_text(column: Any) -> np.ndarray | None:
    """Return the values as text, None for a name that two columns have."""
    if isinstance(column, pd.DataFrame):
        return None
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=str)
