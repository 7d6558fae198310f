"""Slots, tables, metrics, alerts and methods text of the stage joint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from natsort import natsorted
from scipy.sparse import csgraph

from mira_nb.core.representation.neighbors import EXACT_LIMIT, LEIDEN_ITERATIONS
from mira_nb.core.topics.partners import mutual_best
from mira_nb.keys import (
    ATAC,
    CELL_LABEL,
    CONNECTIVITIES,
    DISTANCES,
    JOINT_CONNECTIVITIES,
    JOINT_DISTANCES,
    JOINT_WEIGHTS,
    LEIDEN,
    NEIGHBORS,
    RNA,
    SUBSET,
    UMAP,
    X_JOINT,
    X_UMAP,
    X_UMAP_TOPICS,
)
from mira_nb.stages.result import Alert, Metric, Slot, Table
from mira_nb.stages.shared.cells import MISSING_GROUP
from mira_nb.stages.texts import Texts

from .compute import Comparison, JointOutput, choose_markers
from .weights import MIN_CELLS

TEXTS = Texts(__package__)

LOW_WEIGHT = 0.5


def _leading(means: pd.Series, *, n: int = 3) -> str:
    top = means.sort_values(ascending=False, kind="stable").head(n)
    return ", ".join(f"{name} {value:.2f}" for name, value in top.items())


def slots(joined: JointOutput) -> dict[Slot, Any]:
    """Return what later stages read: the joint space, its graph, clusters and maps, and which cells they are of."""
    subset = {Slot("joint", "uns", SUBSET): record} if (record := joined.selection.record()) else {}
    labels = {} if joined.labels is None else {Slot("joint", "obs", CELL_LABEL): joined.labels}
    return {
        **subset,
        Slot("joint", "obsm", X_JOINT): joined.joint,
        Slot("joint", "uns", JOINT_WEIGHTS): {RNA: joined.weights.rna, ATAC: joined.weights.atac},
        Slot("joint", "obsm", X_UMAP): joined.maps["joint"],
        Slot("joint", "obsp", JOINT_DISTANCES): joined.neighbors.to_sparse(),
        Slot("joint", "obsp", JOINT_CONNECTIVITIES): joined.graph,
        Slot("joint", "obs", LEIDEN): joined.leiden,
        **labels,
        Slot("rna", "obsm", X_UMAP_TOPICS): joined.maps[RNA],
        Slot("atac", "obsm", X_UMAP_TOPICS): joined.maps[ATAC],
        **_scanpy_slots(joined),
    }


def _scanpy_slots(joined: JointOutput) -> dict[Slot, Any]:
    """Return what scanpy's functions look for under their own names.

    ``sc.tl.leiden`` and ``sc.tl.umap`` of the joint object, ``sc.pl.umap`` of either modality, whose map is the joint
    one. A column ``leiden`` of the user's in a modality stays as it is.
    """
    params, seed = joined.params, joined.seed
    neighbors = {
        "n_neighbors": joined.neighbors.k + 1,  # scanpy counts the cell itself
        "method": "umap",
        "metric": joined.neighbors.metric,
        "random_state": seed,
        "use_rep": X_JOINT,
    }
    leiden = {
        "resolution": params.resolution,
        "random_state": seed,
        "n_iterations": LEIDEN_ITERATIONS,
        "flavor": "igraph",
        "obsp": JOINT_CONNECTIVITIES,
    }
    graph = {"connectivities_key": CONNECTIVITIES, "distances_key": DISTANCES, "params": neighbors}
    out: dict[Slot, Any] = {
        # without a key given, scanpy looks for the graph under these two names only
        Slot("joint", "obsp", CONNECTIVITIES): joined.graph,
        Slot("joint", "obsp", DISTANCES): joined.neighbors.to_sparse(),
        Slot("joint", "uns", NEIGHBORS): graph,
        Slot("joint", "uns", UMAP): {"params": {"min_dist": params.min_dist, "random_state": seed}},
        Slot("joint", "uns", LEIDEN): {"params": leiden},
        Slot("rna", "obsm", X_UMAP): joined.maps["joint"],
        Slot("atac", "obsm", X_UMAP): joined.maps["joint"],
    }
    for modality in (RNA, ATAC):
        part = joined.data.mod[modality]
        before = part.uns.get(LEIDEN, {}).get("params", {}).get("obsp")
        if LEIDEN not in part.obs or before == JOINT_CONNECTIVITIES:
            out[Slot(modality, "obs", LEIDEN)] = joined.leiden
            out[Slot(modality, "uns", LEIDEN)] = {"params": leiden}
    return out


def cluster_table(joined: JointOutput) -> pd.DataFrame:
    """Return one row per cluster: size, leading topics, leading group, depth."""
    rows = []
    groups = joined.annotations.groups
    for name in joined.leiden.categories:
        inside = np.asarray(joined.leiden == name)
        # one label, but for clusters of a subset, which may hold several clusters of all cells
        label = {} if joined.labels is None else {"label": str(joined.labels[inside].value_counts().idxmax())}
        row = {
            "cluster": name,
            **label,
            "n_cells": int(inside.sum()),
            "fraction": float(inside.mean()),
            "top_rna_topics": _leading(joined.rna_topics[inside].mean()),
            "top_atac_topics": _leading(joined.atac_topics[inside].mean()),
            "median_n_counts": float(joined.depths.loc[inside, "n_counts"].median()),
            "median_n_peaks": float(joined.depths.loc[inside, "n_peaks"].median()),
        }
        if groups is not None:
            counts = groups[inside].value_counts()
            row |= {"top_group": str(counts.index[0]), "top_group_fraction": float(counts.iloc[0] / inside.sum())}
        rows.append(row)
    return pd.DataFrame(rows)


def partner_table(joined: JointOutput) -> pd.DataFrame:
    """Return one row per pair of topics of the two assays: their correlation, and whether they match best mutually."""
    between = joined.topic_correlation
    values = between.to_numpy(dtype=np.float64)
    best = set(mutual_best(values))
    rows = [
        {"topic": topic, "match": match, "correlation": float(values[i, j]), "mutual": (i, j) in best}
        for i, topic in enumerate(between.index)
        for j, match in enumerate(between.columns)
    ]
    return pd.DataFrame(rows).sort_values(["mutual", "correlation"], ascending=False, kind="stable")


def tables(joined: JointOutput, comparison: Comparison) -> list[Table]:
    """Return the clusters, the scores of the representations and the overlap of their neighbourhoods."""
    groups = None if joined.annotations.groups is None else joined.annotations.groups.name
    n_cells, k = comparison.n_cells, comparison.k
    overlap = comparison.overlap.rename_axis("representation").reset_index()
    whole = joined.selection.all_clusters
    labelled, subset = joined.labels is not None, joined.selection.subset is not None
    return [
        TEXTS.table(
            "clusters",
            cluster_table(joined),
            n_clusters=joined.n_clusters,
            groups=groups,
            labelled=labelled,
            subset=subset,
        ),
        *([] if whole is None else [TEXTS.table("all_clusters", whole, labelled=labelled)]),
        TEXTS.table("partners", partner_table(joined), n_cells=joined.n_cells),
        TEXTS.table("representations", comparison.scores, n_cells=n_cells, k=k, groups=groups),
        TEXTS.table(
            "neighborhood_overlap",
            overlap,
            n_cells=n_cells,
            k=k,
            chance=comparison.chance_overlap,
        ),
        *_confounding_tables(joined),
    ]


def _confounding_tables(joined: JointOutput) -> list[Table]:
    if joined.confounding is None:
        return []
    annotations = joined.annotations
    return [
        TEXTS.table(
            "confounding",
            joined.confounding,
            batch=None if annotations.batch is None else annotations.batch.name,
            groups=None if annotations.groups is None else annotations.groups.name,
            least=joined.params.batch_variance,
        )
    ]


def _confounding_alerts(joined: JointOutput) -> list[Alert]:
    table = joined.confounding
    if table is None or not table["follows_batch"].any():
        return []
    found = table[table["follows_batch"]]
    name = None if joined.annotations.batch is None else joined.annotations.batch.name
    has_groups = joined.annotations.groups is not None
    return [
        TEXTS.alert(
            "follow_batch",
            features=[f"{kind} {feature}" for kind, feature in zip(found["kind"], found["name"], strict=True)],
            batch=name,
            least=joined.params.batch_variance,
            most=float(found["beyond_groups" if has_groups else "by_batch"].max()),
            has_groups=has_groups,
        )
    ]


def metrics(joined: JointOutput, comparison: Comparison) -> list[Metric]:
    """Return the key figures of the joint space, its clusters and the representation benchmark."""
    weights, k = joined.weights, comparison.k
    shared = round(comparison.shared("RNA topics", "ATAC topics"), 4)
    out = [
        *_subset_metrics(joined),
        TEXTS.metric("clusters", joined.n_clusters, resolution=joined.params.resolution),
        *_label_metrics(joined),
        TEXTS.metric("dimensions", joined.joint.shape[1]),
        *(
            TEXTS.metric("reliability", round(value, 4), modality=name.upper())
            for name, value in weights.reliability.items()
        ),
        TEXTS.metric("weight", round(weights.rna, 4), modality="RNA"),
        TEXTS.metric("weight", round(weights.atac, 4), modality="ATAC"),
        TEXTS.metric("shared_neighbors", shared, k=k, chance=comparison.chance_overlap),
    ]
    if comparison.has_groups:
        accuracy, majority = comparison.score("joint", "knn_accuracy"), comparison.score("joint", "majority")
        out.append(TEXTS.metric("label_accuracy", round(accuracy, 4), k=k, majority=majority))
    return out


def _named(joined: JointOutput) -> list[str]:
    """Return the labels that cells have, without the mark of cells that have none."""
    return [] if joined.labels is None else [name for name in joined.labels.categories if name != MISSING_GROUP]


def _unnamed(joined: JointOutput) -> list[str]:
    """Return the clusters without a label, where labels were given."""
    if joined.labels is None:
        return []
    clusters = pd.Series(joined.selection.clusters)
    return natsorted(clusters[np.asarray(joined.labels == MISSING_GROUP)].unique())


def _subset_metrics(joined: JointOutput) -> list[Metric]:
    subset = joined.selection.subset
    if subset is None:
        return []
    n_all = joined.selection.n_all
    return [TEXTS.metric("subset", joined.n_cells, n_all=n_all, column=subset.column, values=subset.values)]


def _label_metrics(joined: JointOutput) -> list[Metric]:
    if joined.labels is None:
        return []
    n_clusters = pd.Series(joined.selection.clusters).nunique()
    n_named = n_clusters - len(_unnamed(joined))
    return [TEXTS.metric("labels", len(_named(joined)), n_named=n_named, n_clusters=n_clusters)]


def alerts(joined: JointOutput, comparison: Comparison) -> list[Alert]:
    """Return what limits the joint representation, its comparison, and the genes that could not be drawn."""
    out = []
    subset = joined.selection.subset
    if subset is not None:
        n_all = joined.selection.n_all
        column, values = subset.column, subset.values
        out.append(TEXTS.alert("subset", n_cells=joined.n_cells, n_all=n_all, column=column, values=values))
    n_parts = int(csgraph.connected_components(joined.graph, directed=False)[0])
    if n_parts > 1:
        out.append(TEXTS.alert("disconnected_graph", n_parts=n_parts))
    out += _weight_alerts(joined)
    floor = joined.params.floor
    n_floored = sum(int((topics < floor).to_numpy().sum()) for topics in (joined.rna_topics, joined.atac_topics))
    if n_floored:
        out.append(TEXTS.alert("floored_proportions", n_floored=n_floored, floor=floor))
    if not joined.neighbors.exact:
        out.append(TEXTS.alert("approximate_neighbors", limit=EXACT_LIMIT))
    out += _comparison_alerts(joined, comparison)
    out += _confounding_alerts(joined)
    unnamed = _unnamed(joined)
    if unnamed and joined.labels is not None:
        n_cells = int((joined.labels == MISSING_GROUP).sum())
        out.append(TEXTS.alert("unnamed_clusters", clusters=unnamed, n_cells=n_cells, missing=MISSING_GROUP))
    missing = choose_markers(joined).missing
    if missing:
        out.append(TEXTS.alert("unknown_markers", missing=missing))
    return out


def _weight_alerts(joined: JointOutput) -> list[Alert]:
    weights = joined.weights
    if weights.fallback:
        return [
            TEXTS.alert(
                "equal_weights",
                reason=weights.fallback,
                modality=weights.fallback_modality,
                min_cells=MIN_CELLS,
            )
        ]
    weight, modality = min((weights.rna, "RNA"), (weights.atac, "ATAC"))
    return [TEXTS.alert("unequal_weights", modality=modality, weight=weight)] if weight < LOW_WEIGHT else []


def _comparison_alerts(joined: JointOutput, comparison: Comparison) -> list[Alert]:
    out = []
    if comparison.n_without_group:
        out.append(TEXTS.alert("cells_without_group", n_cells=comparison.n_without_group))
    total = joined.n_cells - comparison.n_without_group
    if comparison.n_cells < total:
        out.append(TEXTS.alert("sampled_benchmark", n_sampled=comparison.n_cells, n_cells=total))
    if comparison.has_groups:
        joint = comparison.score("joint", "knn_accuracy")
        best = max(comparison.score("RNA topics", "knn_accuracy"), comparison.score("ATAC topics", "knn_accuracy"))
        if joint < best - 0.02:
            out.append(TEXTS.alert("joint_less_accurate", joint=joint, best=best))
    return out


def methods(joined: JointOutput, comparison: Comparison) -> str:
    """Return the methods paragraph with the numbers of this run."""
    params, weights, groups = joined.params, joined.weights, joined.annotations.groups
    subset = joined.selection.subset
    return TEXTS.methods(
        subset=None if subset is None else {"column": subset.column, "values": list(subset.values)},
        n_cells=joined.n_cells,
        n_all=joined.selection.n_all,
        all_clusters=None if joined.selection.all_clusters is None else len(joined.selection.all_clusters),
        n_rna_topics=joined.rna_topics.shape[1],
        n_atac_topics=joined.atac_topics.shape[1],
        n_dimensions=joined.joint.shape[1],
        weighted=bool(weights.reliability) and not weights.fallback,
        weight_rna=weights.rna,
        weight_atac=weights.atac,
        reliability_rna=weights.reliability.get(RNA),
        reliability_atac=weights.reliability.get(ATAC),
        n_neighbors=joined.neighbors.k,
        exact=joined.neighbors.exact,
        resolution=params.resolution,
        n_clusters=joined.n_clusters,
        labels=_named(joined),
        min_dist=params.min_dist,
        groups=groups.name if comparison.has_groups and groups is not None else None,
        n_compared=comparison.n_cells,
        k=comparison.k,
    )
