"""Figures of the stage prepare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mira_nb.charts.embedding import menu_scatter
from mira_nb.charts.fragments import site_profile, size_distribution
from mira_nb.charts.qc import depth_by_batch, depth_histograms, dispersion_plot
from mira_nb.core.quality.fragments import NUCLEOSOME
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates
from mira_nb.stages.texts import Texts

from .compute import DEPTH_LABELS, PrepareOutput

TEXTS = Texts(__package__)


def figures(done: PrepareOutput) -> list[Figure]:
    """Draw depth distributions, dispersion against mean expression, and the two standard maps."""
    labelled = done.depths.rename(columns=DEPTH_LABELS)
    median = done.depths.median()
    out = [
        TEXTS.figure(
            "depth",
            depth_histograms(labelled),
            n_cells=done.n_cells,
            median_counts=median["n_counts"],
            median_genes=median["n_genes"],
            median_peaks=median["n_peaks"],
        )
    ]
    batch = done.annotations.batch
    if batch is not None:
        out.append(TEXTS.figure("depth_by_batch", depth_by_batch(labelled, batch), batch=batch.name))
    chart, packed = dispersion_plot(done.genes.table)
    out.append(
        TEXTS.figure(
            "dispersion",
            chart,
            packed=packed,
            n_genes=len(done.genes.table),
            n_modelled=int(done.genes.modelled.sum()),
            n_encoder=int(done.genes.encoder.sum()),
        )
    )
    return [*out, *_fragment_figures(done), *_maps(done)]


def _fragment_figures(done: PrepareOutput) -> list[Figure]:
    """Draw the sizes of the fragments, and cuts around start sites where these were given."""
    found = done.fragments
    if found is None or not found.n_fragments.any():
        return []
    sizes = size_distribution(found.sizes, nucleosome=NUCLEOSOME)
    out = [TEXTS.figure("fragment_sizes", sizes, n_fragments=int(found.n_fragments.sum()))]
    if done.with_sites:
        chart = site_profile(found.normalised_profile)
        out.append(TEXTS.figure("tss_profile", chart, median=float(np.nanmedian(found.tss_enrichment))))
    return out


def _maps(done: PrepareOutput) -> list[Figure]:
    values = done.annotations.frame()
    for column, label in DEPTH_LABELS.items():
        values[f"log10 {label}"] = np.log10(done.depths[column].to_numpy() + 1)
    out = []
    for name, layout, projection in (("umap_pca", done.umap_pca, done.pca), ("umap_lsi", done.umap_lsi, done.lsi)):
        figure = TEXTS.figure(
            name,
            n_cells=done.n_cells,
            n_components=projection.coordinates.shape[1],
            n_variable=int(done.genes.variable.sum()),
        )
        chart, packed = menu_scatter(coordinates(layout), values)
        out.append(replace(figure, chart=chart, packed=packed))
    return out
