"""Checks of the names given with --groups, --batch, --start-cell and --subset against the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mira_nb.errors import InputError
from mira_nb.text import suggest

from .resources import Resources
from .spec import Finding
from .subset import check_subset

if TYPE_CHECKING:
    from mudata import MuData

_MAX_GROUPS = 100


def check_annotations(data: MuData, resources: Resources) -> tuple[Finding, ...]:
    """Check the annotation columns, the subset and the start cell that were named.

    Raises
    ------
    InputError
        When a column or cell does not exist (close names are suggested), or a column cannot serve as groups.

    Returns
    -------
    tuple of Finding
        Columns with a single value or with missing values.
    """
    findings: list[Finding] = []
    for option, name in (("--groups", resources.groups), ("--batch", resources.batch)):
        if name is not None:
            findings += _check_column(data.obs, name, option)
    if resources.subset is not None:
        findings += check_subset(data.obs, resources.subset, labels=resources.labels)
    if resources.start_cell is not None:
        _check_cell(data.obs_names, resources.start_cell)
    return tuple(findings)


def _check_column(obs: pd.DataFrame, name: str, option: str) -> list[Finding]:
    if name not in obs:
        raise InputError(
            f"{option} {name!r}: no cell annotation has this name; {suggest(name, map(str, obs.columns))}.",
            expected="a column of obs of the expression or the accessibility input.",
            remedy="correct the name; `mira-nb check` lists the annotations.",
        )
    column = obs[name]
    n_values = int(column.nunique(dropna=True))
    if n_values == 0:
        raise InputError(
            f"{option} {name!r}: the column is empty.", expected="one value per cell.", remedy="fill it in."
        )
    if pd.api.types.is_float_dtype(column) and not (column.dropna() == column.dropna().round()).all():
        raise InputError(
            f"{option} {name!r}: the column holds measurements ({column.min():.4g} to {column.max():.4g}), not groups.",
            expected="a categorical annotation such as a cell type or a sample.",
            remedy="name another column, or bin this one.",
        )
    if n_values > max(_MAX_GROUPS, 2) and n_values > 0.5 * len(column):
        raise InputError(
            f"{option} {name!r}: {n_values:,} different values in {len(column):,} cells.",
            expected=f"groups of several cells, at most about {_MAX_GROUPS}.",
            remedy="name a column with a cell type, a cluster or a sample.",
        )
    findings = []
    if option == "--groups" and pd.api.types.is_integer_dtype(column) and n_values > 1:
        cause = f"{n_values} whole numbers from {column.min()} to {column.max()}, maybe codes of labels that were lost"
        remedy = (
            "give the labels with --obs TABLE.csv (in R: write.csv(obj[[]], 'TABLE.csv')), or turn factors into text "
            "before saving: obj$x <- as.character(obj$x); numbered clusters are fine."
        )
        findings.append(Finding("warning", f"{option} {name!r} holds numbers instead of labels", cause, remedy))
    if n_values == 1:
        only = str(column.dropna().iloc[0])
        cause = f"every cell is {only!r}, so there is nothing to compare"
        findings.append(Finding("warning", f"{option} {name!r} has a single value", cause))
    n_missing = int(column.isna().sum())
    if n_missing:
        findings.append(
            Finding("warning", f"{option} {name!r} is missing for {n_missing:,} cells", "they belong to no group")
        )
    return findings


def _check_cell(names: pd.Index, cell: str) -> None:
    if cell in names:
        return
    bare = cell.split("-")[0]
    starts = [str(name) for name in names if str(name).startswith(bare)][:3] if bare else []
    hint = f"close: {', '.join(map(repr, starts))}" if starts else suggest(cell, names, shown=3)
    raise InputError(
        f"--start-cell {cell!r}: no cell kept for the analysis has this name; {hint}.",
        expected="the barcode of a cell with counts in both modalities.",
        remedy="correct the name, or leave it out and choose the start of the trajectory later.",
    )
