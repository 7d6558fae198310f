"""The subset of the cells to analyse (``--subset COLUMN=VALUE,...``)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.errors import InputError
from mira_nb.keys import CELL_LABEL, LEIDEN
from mira_nb.text import suggest

from .cluster_labels import read_cluster_labels
from .messages import Finding, finding, refusal

OPTION: Final = "--subset"
MIN_CELLS: Final = 30
"""Cells that a subset needs at least."""
LATER: Final = (LEIDEN, CELL_LABEL)
"""Columns that the stage joint makes: clusters of all cells, and the labels given to them."""


@dataclass(frozen=True)
class Subset:
    """Cells whose annotation `column` has one of the `values`."""

    column: str
    values: tuple[str, ...]


def parse_subset(text: str) -> Subset:
    """Read ``COLUMN=VALUE,...``.

    Raises
    ------
    InputError
        The text has another form.
    """
    column, sign, rest = text.partition("=")
    values = next(csv.reader([rest], skipinitialspace=True), [])
    values = list(dict.fromkeys(value.strip() for value in values))
    if not (sign and column.strip() and values and all(values)):
        raise refusal(InputError, "subset_not_understood", text=text)
    return Subset(column.strip(), tuple(values))


def subset_text(column: str, values: Sequence[str]) -> str:
    """Return a subset as :func:`parse_subset` reads it; values with commas or quotation marks are quoted."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(values)
    return f"{column}={row.getvalue()}"


def made_later(subset: Subset, obs: pd.DataFrame) -> bool:
    """Return whether the column is one that the stage joint makes; one of that name in the input is meant itself."""
    return subset.column in LATER and subset.column not in obs


def subset_cells(subset: Subset, column: pd.Series) -> NDArray[np.bool_]:
    """Return which cells belong to a subset.

    Parameters
    ----------
    subset
        Column and values asked for.
    column
        (cells,) the column; values are compared as text, whole numbers without a decimal point.

    Raises
    ------
    InputError
        A value does not occur, or too few cells have one of the values.
    """
    text = column_text(column)
    known = list(dict.fromkeys(text.dropna()))
    unknown = [value for value in subset.values if value not in known]
    if unknown:
        raise refusal(
            InputError,
            "subset_value_unknown",
            column=subset.column,
            unknown=list(map(repr, unknown)),
            close=suggest(unknown[0], sorted(known)),
        )
    chosen = text.isin(subset.values).to_numpy(bool)
    if chosen.sum() < MIN_CELLS:
        raise refusal(
            InputError,
            "subset_too_small",
            column=subset.column,
            values=subset.values,
            n_cells=int(chosen.sum()),
            min_cells=MIN_CELLS,
        )
    return chosen


def column_text(column: pd.Series) -> pd.Series:
    """Return an annotation as text, missing values as missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() == column.dropna().round()).all():
        column = column.astype("Int64")
    return column.astype(object).map(str, na_action="ignore")


def check_subset(obs: pd.DataFrame, text: str, *, labels: Path | None) -> list[Finding]:
    """Check a subset against the annotations of the input; clusters and labels are checked when they are there.

    Parameters
    ----------
    obs
        Annotations of all cells.
    text
        ``COLUMN=VALUE,...``.
    labels
        Table of labels of the clusters.

    Raises
    ------
    InputError
        There is no such column or value, or the subset is too small.
    """
    subset = parse_subset(text)
    if made_later(subset, obs):
        return _check_later(subset, labels)
    if subset.column not in obs:
        raise refusal(
            InputError,
            "subset_column_unknown",
            column=subset.column,
            close=suggest(subset.column, map(str, obs)),
            leiden=LEIDEN,
            cell_label=CELL_LABEL,
        )
    n = int(subset_cells(subset, obs[subset.column]).sum())
    if n == len(obs):
        return [finding("subset_of_all", text=text, n_cells=n)]
    return [finding("subset_taken", n_cells=n, n_all=len(obs), column=subset.column, values=subset.values)]


def _check_later(subset: Subset, labels: Path | None) -> list[Finding]:
    if subset.column == LEIDEN:
        return []
    if labels is None:
        raise refusal(InputError, "subset_without_labels", column=subset.column)
    names = read_cluster_labels(labels).names
    unknown = [value for value in subset.values if value not in names]
    if unknown:
        raise refusal(
            InputError,
            "subset_label_unknown",
            column=subset.column,
            labels=labels,
            unknown=list(map(repr, unknown)),
            close=suggest(unknown[0], names),
        )
    return []
