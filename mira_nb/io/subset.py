"""The subset of the cells to analyse (``--subset COLUMN=VALUE,...``)."""

from __future__ import annotations

import csv
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
from .spec import Finding

OPTION: Final = "--subset"
MIN_CELLS: Final = 30
"""Cells that a subset needs at least."""
LATER: Final = (LEIDEN, CELL_LABEL)
"""Columns that the stage joint makes: clusters of all cells, and the labels given to them."""
_EXPECTED: Final = "COLUMN=VALUE,..., such as cell_type=OPC,oligodendrocyte; a value with a comma stands in quotes"


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
        raise InputError(f"{OPTION} {text!r} is not understood.", expected=f"{_EXPECTED}.", remedy="correct it.")
    return Subset(column.strip(), tuple(values))


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
        raise InputError(
            f"{OPTION} {subset.column}: no cell has the value {', '.join(map(repr, unknown))}; "
            f"{suggest(unknown[0], sorted(known))}.",
            expected=f"{_EXPECTED}.",
            remedy="correct the value; `mira-nb check` lists the annotations.",
        )
    chosen = text.isin(subset.values).to_numpy(bool)
    if chosen.sum() < MIN_CELLS:
        raise InputError(
            f"{OPTION} {subset.column}={','.join(subset.values)}: only {int(chosen.sum())} cells.",
            expected=f"at least {MIN_CELLS} cells.",
            remedy="add values.",
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
        raise InputError(
            f"{OPTION} {subset.column!r}: no cell annotation has this name; {suggest(subset.column, map(str, obs))}.",
            expected=f"{_EXPECTED}; {LEIDEN} stands for the clusters of all cells, {CELL_LABEL} for their labels.",
            remedy="correct the name; `mira-nb check` lists the annotations.",
        )
    n = int(subset_cells(subset, obs[subset.column]).sum())
    if n == len(obs):
        return [Finding("warning", f"{OPTION} {text} takes all {n:,} cells", "every cell has one of the values")]
    return [
        Finding(
            "info",
            f"{OPTION} takes {n:,} of {len(obs):,} cells",
            f"{subset.column} = {', '.join(subset.values)}; topics are learned from all cells, everything after them "
            "uses the subset",
        )
    ]


def _check_later(subset: Subset, labels: Path | None) -> list[Finding]:
    if subset.column == LEIDEN:
        return []
    if labels is None:
        raise InputError(
            f"{OPTION} {subset.column}: the clusters have no labels.",
            expected="a table of labels beside it.",
            remedy="give --labels TABLE.",
        )
    names = read_cluster_labels(labels).names
    unknown = [value for value in subset.values if value not in names]
    if unknown:
        raise InputError(
            f"{OPTION} {subset.column}: {labels} has no label {', '.join(map(repr, unknown))}; "
            f"{suggest(unknown[0], names)}.",
            expected="labels of the table given with --labels.",
            remedy="correct the label.",
        )
    return []
