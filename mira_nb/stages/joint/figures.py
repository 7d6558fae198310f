"""Figures of the stage joint: maps, small multiples, marker grids, comparison of representations, clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.charts.embedding import embedding_grid, menu_scatter, small_multiples
from mira_nb.charts.representation import composition_bars, overlap_heatmap, score_chart, topic_heatmaps
from mira_nb.charts.theme import topic_colors
from mira_nb.keys import ATAC, MODELLED, RNA, TOPIC_ACTIVATIONS, X_UMAP_LSI, X_UMAP_PCA
from mira_nb.stages.result import Alert, Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression

from .compute import Comparison, JointOutput

N_CANDIDATES = 10


def choose_markers(joined: JointOutput) -> tuple[list[str], str, list[str]]:
    """Genes to draw, a sentence on how they were chosen, and the names asked for that are not in the data.

    Names match regardless of case. Without names: for each topic the best expressed of its ten most activated genes.
    """
    rna = joined.data.mod[RNA]
    asked = joined.params.markers
    if asked:
        known = {str(name).upper(): str(name) for name in rna.var_names[::-1]}
        found = list(dict.fromkeys(known[name.upper()] for name in asked if name.upper() in known))
        missing = [name for name in asked if name.upper() not in known]
        if found:
            return found, "Genes chosen by the user (parameter markers).", missing
    else:
        missing = []
    if TOPIC_ACTIVATIONS not in rna.varm:
        return [], "", missing
    activations = np.asarray(rna.varm[TOPIC_ACTIVATIONS], dtype=float)
    scores = np.where(np.isfinite(activations), activations, -np.inf)
    if MODELLED in rna.var:
        scores[~rna.var[MODELLED].to_numpy(bool)] = -np.inf
    totals = np.asarray(rna.X.sum(axis=0)).ravel()
    genes: list[str] = []
    for topic in range(scores.shape[1]):
        best = np.argsort(-scores[:, topic], kind="stable")[:N_CANDIDATES]
        best = best[np.isfinite(scores[best, topic])]
        order = best[np.argsort(-totals[best], kind="stable")]
        fresh = [str(rna.var_names[i]) for i in order if str(rna.var_names[i]) not in genes]
        genes += fresh[:1]
    how = f"One gene a topic (the best expressed of the topic's {N_CANDIDATES} most activated genes)"
    cut = genes[: joined.params.n_markers]
    return cut, f"{how}{', the first topics only' if len(cut) < len(genes) else ''}.", missing


def marker_alerts(joined: JointOutput) -> list[Alert]:
    """Name the marker genes asked for that the data do not hold."""
    missing = choose_markers(joined)[2]
    if not missing:
        return []
    return [
        Alert(
            "warning",
            f"{len(missing)} of the genes to draw are not in the data: {', '.join(missing[:10])}",
            "No gene of that name, upper and lower case ignored.",
            "Correct joint.markers.",
        )
    ]


def _topic_values(joined: JointOutput) -> pd.DataFrame:
    return pd.concat([joined.rna_topics, joined.atac_topics], axis=1).reset_index(drop=True)


def _menu_values(joined: JointOutput) -> pd.DataFrame:
    values = joined.annotations.frame().reset_index(drop=True)
    values.index = pd.RangeIndex(joined.n_cells)
    values["cluster (leiden)"] = pd.Categorical(joined.leiden)
    values = pd.concat([values, _topic_values(joined)], axis=1)
    values["log10 RNA counts"] = np.log10(joined.depths["n_counts"].to_numpy() + 1)
    values["log10 open peaks"] = np.log10(joined.depths["n_peaks"].to_numpy() + 1)
    return values


def map_figures(joined: JointOutput) -> list[Figure]:
    """Draw the joint space and of each modality's topics, with a menu."""
    values = _menu_values(joined)
    out = []
    for name, layout, what in (
        ("umap_joint", joined.maps["joint"], "joint representation"),
        ("umap_rna_topics", joined.maps[RNA], "expression topics alone"),
        ("umap_atac_topics", joined.maps[ATAC], "accessibility topics alone"),
    ):
        chart, packed = menu_scatter(coordinates(layout), values, title=f"UMAP of the {what}")
        out.append(
            Figure(
                name,
                f"UMAP of the {what}",
                f"Cells (n = {joined.n_cells:,}); the menu chooses the colour: annotation, cluster, the proportion of "
                "each expression topic (e...) and accessibility topic (a...), depth. A good topic lights up one "
                "connected region; depth should not draw the same picture.",
                chart=chart,
                packed=packed,
                section="Maps",
            )
        )
    return out


def topic_figures(joined: JointOutput) -> list[Figure]:
    """All topics of a modality on the joint map (Extended Data Figs. 3c-d, 6b, 7, 10, 11)."""
    joint = coordinates(joined.maps["joint"])
    out = []
    for name, what, topics in (
        ("topics_rna", "Expression", joined.rna_topics),
        ("topics_atac", "Accessibility", joined.atac_topics),
    ):
        image = small_multiples(joint, topics.reset_index(drop=True), colors=topic_colors(list(topics.columns)))
        out.append(
            Figure(
                name,
                f"{what} topics on the joint map",
                f"One panel a topic (n = {joined.n_cells:,} cells), grey: absent, colour: the topic's proportion. "
                "Topics should be sparse (each in few cells) and not repeat each other.",
                image=image,
                alt=f"{topics.shape[1]} small maps of the cells, one for each {what.lower()} topic",
                section="Topics",
            )
        )
    return out


def comparison_figures(joined: JointOutput, comparison: Comparison) -> list[Figure]:
    """Marker grid over five representations, scores and overlap (Extended Data Figs. 3a-b, 9a-d)."""
    maps = {
        "PCA": np.asarray(joined.data.mod[RNA].obsm[X_UMAP_PCA]),
        "RNA topics": joined.maps[RNA],
        "LSI": np.asarray(joined.data.mod[ATAC].obsm[X_UMAP_LSI]),
        "ATAC topics": joined.maps[ATAC],
        "joint": joined.maps["joint"],
    }
    out = []
    genes, how, _ = choose_markers(joined)
    if genes:
        grid = embedding_grid(
            {name: coordinates(layout) for name, layout in maps.items()},
            gene_expression(joined.data, genes).reset_index(drop=True),
        )
        out.append(
            Figure(
                "markers",
                "Marker genes on every representation",
                f"Rows: genes; columns: UMAPs of the standard representations (PCA, LSI), of the topics of each assay "
                f"and of both. Colour: log-normalised expression (n = {joined.n_cells:,} cells). {how} A good "
                "representation shows each marker in one connected region, neighbouring states beside each other.",
                image=grid,
                alt=f"{len(genes)} genes drawn on five maps of the cells",
                section="Representations compared",
            )
        )
    k = joined.params.compare_neighbors
    if comparison.has_groups and joined.annotations.groups is not None:
        out.append(
            Figure(
                "representation_scores",
                f"Agreement with {joined.annotations.groups.name}",
                f"Left: share of a cell's {k} nearest neighbours with its own label. Right: accuracy of predicting the "
                f"label from the {k} nearest neighbours (5-fold cross-validation). n = {comparison.n_cells:,} cells; "
                "dashed: chance. Longer is better; the joint space should be at least as good as the better assay. "
                "An annotation made from one assay favours that assay.",
                chart=score_chart(comparison.scores),
                section="Representations compared",
            )
        )
    out.append(
        Figure(
            "neighborhood_overlap",
            "Shared neighbours between representations",
            f"Mean share of a cell's {k} nearest neighbours that two representations have in common "
            f"(n = {comparison.n_cells:,} cells; at random {k / max(comparison.n_cells - 1, 1):.4f}). RNA against ATAC "
            "topics tells how far the assays agree on the state of single cells.",
            chart=overlap_heatmap(comparison.overlap, k=k),
            section="Representations compared",
        )
    )
    return out


def cluster_figures(joined: JointOutput) -> list[Figure]:
    """Topic composition of the clusters, and their groups and batches."""
    labels = np.asarray(joined.leiden.astype(str))
    means = [
        ("expression topics", joined.rna_topics.groupby(labels).mean()),
        ("accessibility topics", joined.atac_topics.groupby(labels).mean()),
    ]
    out = [
        Figure(
            "cluster_topics",
            "Topics of the clusters",
            "Mean proportion of each topic over the cells of each cluster. A cluster led by one topic of each assay is "
            "a clean state; clusters with the same topics are steps along one process.",
            chart=topic_heatmaps(means),
            section="Clusters",
        )
    ]
    for role, annotation in (("groups", joined.annotations.groups), ("batch", joined.annotations.batch)):
        if annotation is None:
            continue
        counts = pd.crosstab(labels, annotation.to_numpy())
        long = counts.rename_axis("cluster").reset_index().melt("cluster", var_name="category", value_name="n_cells")
        long["share"] = long["n_cells"] / long.groupby("cluster")["n_cells"].transform("sum")
        reading = (
            "Clusters of one colour match the annotation."
            if role == "groups"
            else "Clusters made of one batch alone may be technical."
        )
        out.append(
            Figure(
                f"cluster_{role}",
                f"{annotation.name} of the clusters",
                f"Share of each {annotation.name} among the cells of each cluster (n = {joined.n_cells:,}). {reading}",
                chart=composition_bars(long[long["n_cells"] > 0], category=str(annotation.name)),
                section="Clusters",
            )
        )
    return out


def figures(joined: JointOutput, comparison: Comparison) -> list[Figure]:
    """All figures in the order of the report."""
    return [
        *map_figures(joined),
        *topic_figures(joined),
        *comparison_figures(joined, comparison),
        *cluster_figures(joined),
    ]
