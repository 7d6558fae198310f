"""Slots, tables, metrics, alerts and methods text of the stage joint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csgraph

from mira_nb.core.representation.neighbors import LEIDEN_ITERATIONS
from mira_nb.keys import (
    ATAC,
    CONNECTIVITIES,
    DISTANCES,
    JOINT_CONNECTIVITIES,
    JOINT_DISTANCES,
    JOINT_WEIGHTS,
    LEIDEN,
    NEIGHBORS,
    RNA,
    UMAP,
    X_JOINT,
    X_UMAP,
    X_UMAP_TOPICS,
)
from mira_nb.stages.result import Alert, Metric, Slot, Table

from .compute import Comparison, JointOutput
from .weights import Weights

LOW_WEIGHT = 0.5
REPRESENTATIONS = ("PCA", "RNA topics", "LSI", "ATAC topics", "joint")


def _leading(means: pd.Series, *, n: int = 3) -> str:
    top = means.sort_values(ascending=False, kind="stable").head(n)
    return ", ".join(f"{name} {value:.2f}" for name, value in top.items())


def slots(joined: JointOutput) -> dict[Slot, Any]:
    """Return what later stages read: joint space, its graph, clusters and maps."""
    return {
        Slot("joint", "obsm", X_JOINT): joined.joint,
        Slot("joint", "uns", JOINT_WEIGHTS): {RNA: joined.weights.rna, ATAC: joined.weights.atac},
        Slot("joint", "obsm", X_UMAP): joined.maps["joint"],
        Slot("joint", "obsp", JOINT_DISTANCES): joined.neighbors.to_sparse(),
        Slot("joint", "obsp", JOINT_CONNECTIVITIES): joined.graph,
        Slot("joint", "obs", LEIDEN): joined.leiden,
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
    """One row a cluster: size, leading topics, leading group, depth."""
    rows = []
    groups = joined.annotations.groups
    for name in joined.leiden.categories:
        inside = np.asarray(joined.leiden == name)
        row = {
            "cluster": name,
            "n_cells": int(inside.sum()),
            "share": float(inside.mean()),
            "top_rna_topics": _leading(joined.rna_topics[inside].mean()),
            "top_atac_topics": _leading(joined.atac_topics[inside].mean()),
            "median_n_counts": float(joined.depths.loc[inside, "n_counts"].median()),
            "median_n_peaks": float(joined.depths.loc[inside, "n_peaks"].median()),
        }
        if groups is not None:
            counts = groups[inside].value_counts()
            row |= {"top_group": str(counts.index[0]), "top_group_share": float(counts.iloc[0] / inside.sum())}
        rows.append(row)
    return pd.DataFrame(rows)


def tables(joined: JointOutput, comparison: Comparison) -> list[Table]:
    """Clusters; scores of the representations; overlap of neighbourhoods."""
    k = joined.params.compare_neighbors
    groups = joined.annotations.groups
    annotation = "no annotation was given (--groups)" if groups is None else f"annotation: {groups.name}"
    overlap = comparison.overlap.rename_axis("representation").reset_index()
    return [
        Table(
            "clusters",
            "Leiden clusters of the joint representation",
            "Topics: mean proportion over the cluster's cells, the three highest. top_group_share: share of the "
            "cluster's cells that carry its commonest label.",
            cluster_table(joined),
        ),
        Table(
            "representations",
            "How well each representation keeps annotated groups together",
            f"Over {comparison.n_cells:,} cells, k = {k} Euclidean neighbours; {annotation}. neighbor_purity: share of "
            "neighbours with the cell's own label (chance_purity: expected at random). knn_accuracy: labels predicted "
            "by majority vote of the neighbours, 5-fold cross-validation (majority: always guessing the commonest "
            "label). Topics and joint in log-ratio coordinates.",
            comparison.scores,
        ),
        Table(
            "neighborhood_overlap",
            "Shared neighbours between representations",
            f"Mean share of a cell's {k} nearest neighbours in one representation that are also among its {k} nearest "
            f"in the other, over {comparison.n_cells:,} cells; at random {k / max(comparison.n_cells - 1, 1):.4f}.",
            overlap,
        ),
    ]


def metrics(joined: JointOutput, comparison: Comparison) -> list[Metric]:
    """Key figures."""
    out = [
        Metric("Clusters", joined.n_clusters, key=True, help=f"Leiden, resolution {joined.params.resolution}"),
        Metric("Dimensions of the joint space", joined.joint.shape[1], help="expression + accessibility topics - 2"),
        *(
            Metric(
                f"Reliability of the {name.upper()} topics",
                round(value, 4),
                help="share of the variation of their log-ratio coordinates that another sequencing of the same cells "
                "would repeat (split-half, Spearman-Brown); 1 = free of counting noise",
            )
            for name, value in joined.weights.reliability.items()
        ),
        Metric("Weight of RNA in the joint space", round(joined.weights.rna, 4)),
        Metric("Weight of ATAC in the joint space", round(joined.weights.atac, 4)),
        Metric(
            "Neighbours shared by RNA and ATAC topics",
            round(comparison.shared("RNA topics", "ATAC topics"), 4),
            unit="share",
            help=f"of the {joined.params.compare_neighbors} nearest; at random "
            f"{joined.params.compare_neighbors / max(comparison.n_cells - 1, 1):.4f}. Higher: the assays agree",
        ),
    ]
    if comparison.has_groups:
        for name in REPRESENTATIONS:
            out.append(
                Metric(
                    f"Label accuracy, {name}",
                    round(comparison.score(name, "knn_accuracy"), 4),
                    help=f"{joined.params.compare_neighbors} nearest neighbours, 5-fold; guessing gives "
                    f"{comparison.score(name, 'majority'):.3f}",
                    key=name == "joint",
                )
            )
        out.append(Metric("Neighbour purity, joint", round(comparison.score("joint", "neighbor_purity"), 4)))
    return out


def alerts(joined: JointOutput, comparison: Comparison) -> list[Alert]:
    """Say what limits the joint representation."""
    out = []
    n_parts = int(csgraph.connected_components(joined.graph, directed=False)[0])
    if n_parts > 1:
        out.append(
            Alert(
                "info",
                f"The joint neighbour graph falls into {n_parts} unconnected parts",
                "Some groups of cells share no neighbours with the rest.",
                "A trajectory cannot cross the gap; raise joint.n_neighbors to connect them, or study parts apart.",
            )
        )
    weights = joined.weights
    if weights.why_balanced:
        out.append(Alert("info", "Both modalities count the same in the joint space", weights.why_balanced))
    elif min(weights.rna, weights.atac) < LOW_WEIGHT:
        weaker, weight = min(("RNA", weights.rna), ("ATAC", weights.atac), key=lambda pair: pair[1])
        out.append(
            Alert(
                "info",
                f"The joint space rests mostly on one modality: {weaker} has weight {weight:.2f}",
                f"Most of the variation of the {weaker} topics is noise of shallow counts.",
                "joint.weights: balanced gives both the same weight.",
            )
        )
    n_floored = int((joined.rna_topics < joined.params.floor).to_numpy().sum()) + int(
        (joined.atac_topics < joined.params.floor).to_numpy().sum()
    )
    if n_floored:
        out.append(
            Alert("info", f"{n_floored:,} topic proportions below {joined.params.floor:g} were raised to that value")
        )
    if not joined.neighbors.exact:
        out.append(Alert("info", "Neighbours were found by approximate search", "More than 40,000 cells."))
    if comparison.n_without_group:
        out.append(
            Alert("info", f"{comparison.n_without_group:,} cells without annotation were left out of the label scores")
        )
    total = joined.n_cells - comparison.n_without_group
    if comparison.n_cells < total:
        out.append(
            Alert(
                "info", f"Representations were compared on a random sample of {comparison.n_cells:,} of {total:,} cells"
            )
        )
    if comparison.has_groups:
        best = max(comparison.score("RNA topics", "knn_accuracy"), comparison.score("ATAC topics", "knn_accuracy"))
        if comparison.score("joint", "knn_accuracy") < best - 0.02:
            out.append(
                Alert(
                    "warning",
                    "The joint representation separates the annotated groups less well than one modality alone",
                    "The other modality adds noise, or the annotation follows one assay only.",
                    "Look at the topics of the weaker modality; fewer or better trained topics may help.",
                )
            )
    return out


def _weighting(weights: Weights) -> str:
    if not weights.reliability or weights.why_balanced:
        return ", both modalities with the same weight"
    return (
        f", expression with weight {weights.rna:.2f} and accessibility with weight {weights.atac:.2f}, in proportion "
        f"to the split-half reliability of their coordinates ({weights.reliability[RNA]:.2f} and "
        f"{weights.reliability[ATAC]:.2f}: counts were split at random, both halves encoded and correlated, and the "
        "correlation was carried over to full counts by the Spearman-Brown formula [@brown1910]; the published method "
        "gives both the same weight)"
    )


def methods(joined: JointOutput, comparison: Comparison) -> str:
    """Methods sentences."""
    p = joined.params
    search = "exact" if joined.neighbors.exact else "approximate"
    text = (
        f"Topic compositions ({joined.rna_topics.shape[1]} expression, {joined.atac_topics.shape[1]} accessibility "
        "topics) were transformed by the isometric log-ratio [@egozcue2003ilr] and concatenated to a joint space of "
        f"{joined.joint.shape[1]} dimensions [@lynch2022mira]{_weighting(joined.weights)}. "
        f"The {joined.neighbors.k} nearest neighbours of every cell were found by Manhattan distance "
        f"[@aggarwal2001distance] ({search} search); the graph was clustered by "
        f"the Leiden algorithm (resolution {p.resolution:g}, {joined.n_clusters} clusters) [@traag2019leiden] and laid "
        f"out by UMAP (min_dist {p.min_dist:g}) [@mcinnes2018umap]."
    )
    if comparison.has_groups and joined.annotations.groups is not None:
        text += (
            f" Representations were scored on {comparison.n_cells:,} cells by the share of {p.compare_neighbors} "
            f"Euclidean nearest neighbours with the same {joined.annotations.groups.name}, and by the 5-fold "
            "cross-validated accuracy of a nearest-neighbour vote [@pedregosa2011sklearn]."
        )
    return text
