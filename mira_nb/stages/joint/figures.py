"""Figures of the stage joint: maps, topics, representation benchmark, clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mira_nb.charts.embedding import embedding_grid, menu_scatter, small_multiples
from mira_nb.charts.projection import overlay
from mira_nb.charts.representation import (
    composition_bars,
    partner_heatmap,
    score_chart,
    topic_heatmaps,
)
from mira_nb.charts.theme import topic_colors
from mira_nb.core.topics.partners import mutual_best
from mira_nb.io.subset import column_text
from mira_nb.keys import ATAC, RNA, X_UMAP_LSI, X_UMAP_PCA
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.stages.shared.flags import marked, topic_flags
from mira_nb.stages.texts import Texts

from .compute import N_CANDIDATES, Comparison, JointOutput, choose_markers

TEXTS = Texts(__package__)


def _topic_values(joined: JointOutput) -> pd.DataFrame:
    return pd.concat([joined.rna_topics, joined.atac_topics], axis=1).reset_index(drop=True)


def _menu_values(joined: JointOutput) -> pd.DataFrame:
    values = joined.annotations.frame().reset_index(drop=True)
    values.index = pd.RangeIndex(joined.n_cells)
    if joined.labels is not None:
        values = pd.concat([pd.DataFrame({"label": pd.Categorical(joined.labels)}), values], axis=1)
    values["cluster (leiden)"] = pd.Categorical(joined.leiden)
    values = pd.concat([values, _topic_values(joined)], axis=1)
    values["log10 RNA counts"] = np.log10(joined.depths["n_counts"].to_numpy() + 1)
    values["log10 open peaks"] = np.log10(joined.depths["n_peaks"].to_numpy() + 1)
    return values


def map_figures(joined: JointOutput) -> list[Figure]:
    """Draw the UMAPs of the joint space and of each modality's topics, with a colour menu."""
    values = _menu_values(joined)
    out = []
    for name, layout in (
        ("umap_joint", joined.maps["joint"]),
        ("umap_rna_topics", joined.maps[RNA]),
        ("umap_atac_topics", joined.maps[ATAC]),
    ):
        figure = TEXTS.figure(name, n_cells=joined.n_cells)
        chart, packed = menu_scatter(coordinates(layout), values)
        out.append(replace(figure, chart=chart, packed=packed))
    return out


def _subset_figure(joined: JointOutput) -> list[Figure]:
    """Draw the cells that are analysed among all cells; nothing without a subset."""
    chosen = joined.selection
    if chosen.subset is None or chosen.mask is None or chosen.all_map is None:
        return []
    names = column_text(pd.Series(chosen.values)).to_numpy(dtype=object)
    image = overlay(chosen.all_map, chosen.all_map[chosen.mask], names)
    column = chosen.subset.column
    return [TEXTS.figure("subset", image=image, column=column, n_cells=joined.n_cells, n_all=chosen.n_all)]


def topic_figures(joined: JointOutput) -> list[Figure]:
    """Draw all topics of each modality on the joint map (Extended Data Figs. 3c-d, 6b, 7, 10, 11)."""
    joint, flags = coordinates(joined.maps["joint"]), topic_flags(joined.data)
    out = []
    for name, topics in (("topics_rna", joined.rna_topics), ("topics_atac", joined.atac_topics)):
        colors = topic_colors(list(topics.columns))
        labels = marked(topics.columns, flags)
        panels = topics.reset_index(drop=True).set_axis(labels, axis=1)
        shades = {label: colors[plain] for label, plain in zip(labels, topics.columns, strict=True)}
        image = small_multiples(joint, panels, colors=shades)
        out.append(TEXTS.figure(name, image=image, n_cells=joined.n_cells, n_topics=topics.shape[1]))
    return out


def partner_figure(joined: JointOutput) -> list[Figure]:
    """Draw how the topics of the two assays correlate, with the pairs that are each other's best match."""
    between = joined.topic_correlation
    pairs = [(between.index[row], between.columns[column]) for row, column in mutual_best(between.to_numpy())]
    chart = partner_heatmap(between, pairs)
    return [TEXTS.figure("partners", chart, n_cells=joined.n_cells, n_pairs=len(pairs))]


def _marker_figure(joined: JointOutput) -> list[Figure]:
    markers = choose_markers(joined)
    if not markers.genes:
        return []
    maps = {
        "PCA": np.asarray(joined.data.mod[RNA].obsm[X_UMAP_PCA]),
        "RNA topics": joined.maps[RNA],
        "LSI": np.asarray(joined.data.mod[ATAC].obsm[X_UMAP_LSI]),
        "ATAC topics": joined.maps[ATAC],
        "joint": joined.maps["joint"],
    }
    grid = embedding_grid(
        {name: coordinates(layout) for name, layout in maps.items()},
        gene_expression(joined.data, markers.genes).reset_index(drop=True),
    )
    return [
        TEXTS.figure(
            "markers",
            image=grid,
            genes=markers.genes,
            n_cells=joined.n_cells,
            chosen_by=markers.chosen_by,
            n_candidates=N_CANDIDATES,
            cut=markers.cut,
        )
    ]


def comparison_figures(joined: JointOutput, comparison: Comparison) -> list[Figure]:
    """Draw markers on five representations and label scores (Extended Data Figs. 3a-b, 9a-d)."""
    out = _marker_figure(joined)
    if comparison.has_groups and joined.annotations.groups is not None:
        out.append(
            TEXTS.figure(
                "representation_scores",
                score_chart(comparison.scores),
                groups=joined.annotations.groups.name,
                k=comparison.k,
                n_cells=comparison.n_cells,
            )
        )
    return out


def cluster_figures(joined: JointOutput) -> list[Figure]:
    """Draw the topic composition of the clusters, and their groups and batches."""
    labels = np.asarray(joined.leiden.astype(str))
    means = [
        ("expression topics", joined.rna_topics.groupby(labels).mean()),
        ("accessibility topics", joined.atac_topics.groupby(labels).mean()),
    ]
    out = [TEXTS.figure("cluster_topics", topic_heatmaps(means))]
    annotations = joined.annotations
    for name, annotation in (("cluster_groups", annotations.groups), ("cluster_batch", annotations.batch)):
        if annotation is None:
            continue
        counts = pd.crosstab(labels, annotation.to_numpy())
        long = counts.rename_axis("cluster").reset_index().melt("cluster", var_name="category", value_name="n_cells")
        long["fraction"] = long["n_cells"] / long.groupby("cluster")["n_cells"].transform("sum")
        chart = composition_bars(long[long["n_cells"] > 0], category=str(annotation.name))
        out.append(TEXTS.figure(name, chart, annotation=annotation.name, n_cells=joined.n_cells))
    return out


def figures(joined: JointOutput, comparison: Comparison) -> list[Figure]:
    """Return all figures in the order of the report."""
    return [
        *_subset_figure(joined),
        *map_figures(joined),
        *topic_figures(joined),
        *partner_figure(joined),
        *comparison_figures(joined, comparison),
        *cluster_figures(joined),
    ]
