"""Figures of the stage prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mira_nb.charts.embedding import menu_scatter
from mira_nb.charts.qc import depth_by_batch, depth_histograms, dispersion_plot
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates

from .compute import DEPTH_LABELS, PrepareOutput

if TYPE_CHECKING:
    pass


def figures(done: PrepareOutput) -> list[Figure]:
    """Depth distributions, mean against dispersion, and the two standard maps."""
    labelled = done.depths.rename(columns=DEPTH_LABELS)
    out = [
        Figure(
            "depth",
            "Depth of the cells",
            f"Distribution over the {done.n_cells:,} cells; the axis is logarithmic, the line is the median. Good data "
            "have one hump in each panel; a second hump on the left points to empty droplets or dying cells, a long "
            "tail on the right to doublets.",
            chart=depth_histograms(labelled),
            section="Quality",
        )
    ]
    if done.annotations.batch is not None:
        out.append(
            Figure(
                "depth_by_batch",
                f"Depth by {done.annotations.batch.name}",
                "Bar: middle half of the cells; line: 5 % to 95 %; tick: median. Batches should lie at similar depths; "
                "one that lies much lower can form a cluster of its own.",
                chart=depth_by_batch(labelled, done.annotations.batch),
                section="Quality",
            )
        )
    chart, packed = dispersion_plot(done.genes.table)
    out.append(
        Figure(
            "dispersion",
            "Choice of genes",
            f"Every point is a gene (n = {len(done.genes.table):,}). Horizontal: log(1 + mean normalised expression); "
            "vertical: log(variance / mean). The encoder reads the genes that vary most among those of similar mean; "
            "all modelled genes get topic activations. Marker genes should stand out at the top.",
            chart=chart,
            packed=packed,
            section="Features",
        )
    )
    return [*out, *_maps(done)]


def _maps(done: PrepareOutput) -> list[Figure]:
    values = done.annotations.frame()
    for column, label in DEPTH_LABELS.items():
        values[f"log10 {label}"] = np.log10(done.depths[column].to_numpy() + 1)
    out = []
    for name, layout, what in (
        ("umap_pca", done.umap_pca, f"{done.pca.coordinates.shape[1]} principal components of expression"),
        ("umap_lsi", done.umap_lsi, f"{done.lsi.coordinates.shape[1]} LSI components of accessibility"),
    ):
        title = f"UMAP of {'expression (PCA)' if name == 'umap_pca' else 'accessibility (LSI)'}"
        chart, packed = menu_scatter(coordinates(layout), values, title=title)
        out.append(
            Figure(
                name,
                title,
                f"Cells (n = {done.n_cells:,}) laid out by the {what}; the menu chooses the colour. Distances between "
                "far groups mean little. A gradient of depth across the whole map says that depth, not cell state, "
                "shapes this representation.",
                chart=chart,
                packed=packed,
                section="Standard representations",
            )
        )
    return out
