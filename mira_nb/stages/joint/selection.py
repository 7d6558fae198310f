"""Cells that are analysed (``--subset``) and labels of their clusters (``--labels``).

Labels name clusters of all cells, and a subset may be one of clusters or labels. Only then the joint space of all cells
is computed beside that of the subset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.keys import LEIDEN, RNA, X_UMAP_PCA
from mira_nb.stages.shared.cells import MISSING_GROUP, take_cells

from .space import JointSpace, joint_space

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.io.subset import Subset
    from mira_nb.stages.base import Context

    from .params import JointParams


@dataclass(frozen=True)
class Selection:
    """Cells that are analysed.

    Attributes
    ----------
    data
        The cells, with their joint space.
    space
        Their joint space.
    n_all
        Cells of the input.
    subset, mask
        What was asked for, and (all cells,) which cells these are; None: all cells are analysed.
    clusters
        (cells,) cluster of the cells among the clusters of all cells; None where these were not needed.
    labels
        (cells,) label of that cluster; None without a table of labels.
    all_clusters
        One row per cluster of all cells: cluster, label, n_cells, n_subset; None where they were not needed.
    values
        (cells,) value of each cell in the subset's column.
    all_map
        (all cells, 2) map of all cells by their expression, where there is one.
    """

    data: MuData
    space: JointSpace
    n_all: int
    subset: Subset | None = None
    mask: NDArray[np.bool_] | None = None
    clusters: pd.Categorical | None = None
    labels: pd.Categorical | None = None
    all_clusters: pd.DataFrame | None = None
    values: pd.Series | None = None
    all_map: NDArray[np.float64] | None = None

    def record(self) -> dict[str, Any]:
        """Return what is stored of a subset; empty without one."""
        if self.subset is None or self.mask is None:
            return {}
        values = np.array(self.subset.values, dtype=object).astype(str)
        return {"column": self.subset.column, "values": values, "mask": self.mask}


def select(data: MuData, params: JointParams, context: Context) -> Selection:
    """Choose the cells to analyse and compute their joint space.

    Raises
    ------
    InputError
        The subset or a cluster of the table of labels does not exist.
    """
    from mira_nb.io.subset import made_later, parse_subset, subset_cells

    if context.resources.subset is None:
        space = joint_space(data, params, context)
        labels = _labels(space.clusters, context)
        return Selection(data, space, data.n_obs, clusters=space.clusters, labels=labels)
    subset = parse_subset(context.resources.subset)
    later = made_later(subset, data.obs)
    clusters = labels = table = None
    if later or context.resources.labels is not None:
        clusters = joint_space(data, params, context, whose=" of all cells").clusters
        labels = _labels(clusters, context)
    column = (clusters if subset.column == LEIDEN else labels) if later else data.obs[subset.column]
    mask = subset_cells(subset, pd.Series(column))
    if clusters is not None:
        table = _all_clusters(clusters, labels, mask)
        clusters = clusters[mask]
    labels = None if labels is None else labels[mask].remove_unused_categories()
    part = take_cells(data, mask)
    space = joint_space(part, params, context, whose=" of the subset")
    return Selection(
        data=part,
        space=space,
        n_all=data.n_obs,
        subset=subset,
        mask=mask,
        clusters=clusters,
        labels=labels,
        all_clusters=table,
        values=pd.Series(column)[mask],
        all_map=np.asarray(data.mod[RNA].obsm[X_UMAP_PCA]) if X_UMAP_PCA in data.mod[RNA].obsm else None,
    )


def _labels(clusters: pd.Categorical, context: Context) -> pd.Categorical | None:
    """Return the label of every cell by the table given; None without one."""
    from mira_nb.io.cluster_labels import label_cells, read_cluster_labels

    path = context.resources.labels
    return None if path is None else label_cells(read_cluster_labels(path), clusters, missing=MISSING_GROUP)


def _all_clusters(clusters: pd.Categorical, labels: pd.Categorical | None, mask: NDArray[np.bool_]) -> pd.DataFrame:
    """Return sizes and labels of the clusters of all cells, and how many of their cells are analysed."""
    rows = []
    for name in clusters.categories:
        inside = np.asarray(clusters == name)
        label = {} if labels is None else {"label": str(labels[inside][0])}
        rows.append({"cluster": name, **label, "n_cells": int(inside.sum()), "n_subset": int((inside & mask).sum())})
    return pd.DataFrame(rows)
