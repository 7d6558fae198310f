"""Tables that merge and name clusters (``--labels``): one row per cluster, with columns ``cluster`` and ``label``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError
from mira_nb.text import clean_label, cut_label, from_spreadsheet_cell

from .cell_table import read_cell_table
from .delimited import MISSING
from .messages import refusal

_OPTION: Final = "--labels"


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
        raise refusal(
            InputError, "labels_column_missing", path=path, lacking=lacking, columns=list(map(repr, table.columns[:8]))
        )
    clusters = [str(value).strip() for value in table[found["cluster"]]]
    twice = pd.Index(clusters)[pd.Index(clusters).duplicated()].unique()
    if len(twice):
        raise refusal(InputError, "cluster_named_twice", path=path, clusters=list(map(repr, twice[:5])))
    texts = [cut_label(clean_label(from_spreadsheet_cell(str(text)).strip())) for text in table[found["label"]]]
    labels = {cluster: text for cluster, text in zip(clusters, texts, strict=True) if text not in MISSING}
    if not labels:
        raise refusal(InputError, "labels_empty", path=path)
    return ClusterLabels(path, labels, _sizes(table, found, clusters))


def _sizes(table: pd.DataFrame, found: Mapping[str, str], clusters: list[str]) -> dict[str, int]:
    """Return the number of cells by cluster, for rows that say it as a whole number."""
    if "n_cells" not in found:
        return {}
    texts = [str(text).strip() for text in table[found["n_cells"]]]
    plain = [re.sub(r"\.0+$", "", text.replace(",", "")) for text in texts]
    return {cluster: int(text) for cluster, text in zip(clusters, plain, strict=True) if text.isdecimal()}


def _whole_names(table: ClusterLabels, known: list[str]) -> ClusterLabels:
    """Return the table with clusters as they are called, where a spreadsheet or pandas wrote 3.0 for 3."""
    named = {name: re.sub(r"\.0+$", "", name) for name in (*table.labels, *table.sizes)}
    if set(named) & set(known) or not set(named.values()) <= set(known):
        return table
    labels = {named[name]: label for name, label in table.labels.items()}
    return replace(table, labels=labels, sizes={named[name]: size for name, size in table.sizes.items()})


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
    table = _whole_names(table, known)
    given = dict.fromkeys([*table.labels, *table.sizes])
    unknown = [name for name in given if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise refusal(
            InputError,
            "cluster_unknown",
            path=table.path,
            clusters=list(map(repr, unknown[:5])),
            close=close,
            n_known=len(known),
            known=known,
        )
    codes = np.asarray(clusters.codes)
    sizes = np.bincount(codes[codes >= 0], minlength=len(known))
    other = [name for name, size in table.sizes.items() if size != sizes[known.index(name)]]
    if other:
        name = other[0]
        raise refusal(
            InputError,
            "labels_of_other_clusters",
            path=table.path,
            cluster=name,
            n_given=table.sizes[name],
            n_cells=sizes[known.index(name)],
        )
    names = [table.labels.get(name, missing) for name in known]
    order = list(dict.fromkeys([*(name for name in table.names if name in names), *names]))
    return pd.Categorical(np.array(names, dtype=object)[codes], categories=order)
