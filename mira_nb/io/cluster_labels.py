"""Tables that merge and name clusters (``--labels``): one row per cluster, with columns ``cluster`` and ``label``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError
from mira_nb.text import clean_label, cut_label, from_spreadsheet_cell

from .cell_table import read_cell_table

_OPTION: Final = "--labels"
_EXPECTED: Final = "columns cluster and label, one row per cluster; clusters of the same label become one"
_REMEDY: Final = (
    "take the table clusters.csv of the stage joint, add a column label, and save it as CSV; it is needed anew "
    "whenever the clusters change"
)


@dataclass(frozen=True)
class ClusterLabels:
    """Names of clusters.

    Attributes
    ----------
    path
        The file.
    labels
        Label by cluster; clusters with an empty label are left out.
    sizes
        Number of cells by cluster, where the table says so (column ``n_cells``).
    """

    path: Path
    labels: Mapping[str, str]
    sizes: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, each once, in the order of the table."""
        return tuple(dict.fromkeys(self.labels.values()))


def read_cluster_labels(path: Path) -> ClusterLabels:
    """Read a table of labels; further columns are ignored, but for ``n_cells``.

    Raises
    ------
    InputError
        The file is no table, lacks a column, names a cluster twice or none at all.
    """
    path = Path(path)
    columns = "columns cluster and label"
    table = read_cell_table(path, option=_OPTION, rows="one row per cluster", columns=columns)
    found = {str(name).strip().lower(): str(name) for name in reversed(table.columns)}
    lacking = [name for name in ("cluster", "label") if name not in found]
    if lacking:
        raise InputError(
            f"{path} ({_OPTION}) has no column {' and no column '.join(lacking)}; its columns are "
            f"{', '.join(map(repr, table.columns[:8]))}.",
            expected=f"{_EXPECTED}.",
            remedy=f"{_REMEDY}.",
        )
    clusters = [str(value).strip() for value in table[found["cluster"]]]
    twice = pd.Index(clusters)[pd.Index(clusters).duplicated()].unique()
    if len(twice):
        raise InputError(
            f"{path} ({_OPTION}) names the cluster {', '.join(map(repr, twice[:5]))} more than once.",
            expected=f"{_EXPECTED}.",
            remedy="keep one row for every cluster.",
        )
    texts = [cut_label(clean_label(from_spreadsheet_cell(str(text)).strip())) for text in table[found["label"]]]
    labels = {cluster: text for cluster, text in zip(clusters, texts, strict=True) if text}
    if not labels:
        raise InputError(
            f"{path} ({_OPTION}): the column label is empty.", expected=f"{_EXPECTED}.", remedy="fill it in."
        )
    return ClusterLabels(path, labels, _sizes(table, found, clusters))


def _sizes(table: pd.DataFrame, found: Mapping[str, str], clusters: list[str]) -> dict[str, int]:
    """Return the number of cells by cluster, for rows that say it as a whole number."""
    if "n_cells" not in found:
        return {}
    texts = [str(text).strip() for text in table[found["n_cells"]]]
    return {cluster: int(text) for cluster, text in zip(clusters, texts, strict=True) if text.isdecimal()}


def label_cells(table: ClusterLabels, clusters: pd.Categorical, *, missing: str) -> pd.Categorical:
    """Return the label of every cell; cells of clusters without one get `missing`.

    Parameters
    ----------
    table
        The labels.
    clusters
        (cells,) cluster of every cell.

    Raises
    ------
    InputError
        The table names clusters that do not exist, or was made for clusters of other sizes.
    """
    known = [str(name) for name in clusters.categories]
    given = dict.fromkeys([*table.labels, *table.sizes])
    unknown = [name for name in given if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise InputError(
            f"{table.path} ({_OPTION}): there is no cluster {', '.join(map(repr, unknown[:5]))}"
            + (f" (close: {close[0]!r})" if close else ""),
            expected=f"some of the {len(known)} clusters of the stage joint: {', '.join(known)}",
            remedy=_REMEDY,
        )
    codes = np.asarray(clusters.codes)
    sizes = np.bincount(codes[codes >= 0], minlength=len(known))
    other = [name for name, size in table.sizes.items() if size != sizes[known.index(name)]]
    if other:
        name = other[0]
        raise InputError(
            f"{table.path} ({_OPTION}) was made for other clusters: it gives cluster {name} {table.sizes[name]:,} "
            f"cells, but it has {sizes[known.index(name)]:,}",
            expected="the clusters of this run",
            remedy=f"{_REMEDY}; leave the column n_cells out if the labels are right all the same",
        )
    names = [table.labels.get(name, missing) for name in known]
    order = list(dict.fromkeys([*(name for name in table.names if name in names), *names]))
    return pd.Categorical(np.array(names, dtype=object)[codes], categories=order)
