"""Checks of the names given with --groups, --batch, --start-cell and --subset against the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mira_nb.errors import InputError
from mira_nb.text import suggest

from .messages import Finding, finding, refusal
from .resources import Resources
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
        raise refusal(
            InputError, "annotation_unknown", option=option, name=name, close=suggest(name, map(str, obs.columns))
        )
    column = obs[name]
    n_values = int(column.nunique(dropna=True))
    if n_values == 0:
        raise refusal(InputError, "annotation_empty", option=option, name=name)
    if pd.api.types.is_float_dtype(column) and not (column.dropna() == column.dropna().round()).all():
        raise refusal(
            InputError, "annotation_of_measurements", option=option, name=name, least=column.min(), most=column.max()
        )
    if n_values > max(_MAX_GROUPS, 2) and n_values > 0.5 * len(column):
        raise refusal(
            InputError,
            "annotation_too_fine",
            option=option,
            name=name,
            n_values=n_values,
            n_cells=len(column),
            max_groups=_MAX_GROUPS,
        )
    findings = []
    if option == "--groups" and pd.api.types.is_integer_dtype(column) and n_values > 1:
        findings.append(
            finding(
                "annotation_of_codes",
                option=option,
                name=name,
                n_values=n_values,
                least=column.min(),
                most=column.max(),
            )
        )
    if n_values == 1:
        only = str(column.dropna().iloc[0])
        findings.append(finding("annotation_of_one_value", option=option, name=name, only=only))
    labels = pd.Series(column.dropna().astype(str).unique(), dtype=object)
    alike = labels[labels.str.split().str.join(" ").str.lower().duplicated(keep=False)]
    if len(alike):
        findings.append(finding("labels_alike", option=option, name=name, labels=list(map(repr, alike.iloc[:4]))))
    n_missing = int(column.isna().sum())
    if n_missing:
        findings.append(finding("annotation_incomplete", option=option, name=name, n_missing=n_missing))
    return findings


def _check_cell(names: pd.Index, cell: str) -> None:
    if cell in names:
        return
    bare = cell.split("-")[0]
    starts = [str(name) for name in names if str(name).startswith(bare)][:3] if bare else []
    hint = f"close: {', '.join(map(repr, starts))}" if starts else suggest(cell, names, shown=3)
    raise refusal(InputError, "start_cell_unknown", cell=cell, close=hint)
