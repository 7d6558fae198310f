"""Tables, metrics, alerts and methods text of the stage prepare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.charts.qc import quantile_table
from mira_nb.keys import (
    ENCODER,
    FRIP,
    HIGHLY_VARIABLE,
    HVG,
    MODELLED,
    N_FRAGMENTS,
    NUCLEOSOME_SIGNAL,
    PCA,
    PCS,
    TSS_ENRICHMENT,
    X_LSI,
    X_PCA,
    X_UMAP_LSI,
    X_UMAP_PCA,
)
from mira_nb.stages.result import Alert, Metric, Slot, Table
from mira_nb.stages.texts import Texts

from .compute import DEPTH_LABELS, PrepareOutput

TEXTS = Texts(__package__)

FEW_CELLS = 500
FEW_COUNTS = 500
FEW_PEAKS = 200
LEAST_RECOUNT = 0.8
FRAGMENT_LABELS = {
    N_FRAGMENTS: "fragments per cell",
    FRIP: "fraction of fragments in peaks",
    NUCLEOSOME_SIGNAL: "nucleosome signal",
    TSS_ENRICHMENT: "TSS enrichment",
}


def slots(done: PrepareOutput) -> dict[Slot, Any]:
    """Return what later stages read: selected features and the standard representations."""
    table = done.genes.table
    return {
        Slot("rna", "var", MODELLED): done.genes.modelled,
        Slot("rna", "var", ENCODER): done.genes.encoder,
        Slot("rna", "var", "mean_expression"): table["mean"].to_numpy(),
        Slot("rna", "var", "dispersion"): table["dispersion"].to_numpy(),
        Slot("rna", "var", "normalised_dispersion"): table["normalised_dispersion"].to_numpy(),
        Slot("atac", "var", MODELLED): done.peaks.modelled,
        Slot("atac", "var", ENCODER): done.peaks.encoder,
        Slot("rna", "obsm", X_PCA): done.pca.coordinates,
        Slot("rna", "obsm", X_UMAP_PCA): done.umap_pca,
        Slot("atac", "obsm", X_LSI): done.lsi.coordinates,
        Slot("atac", "obsm", X_UMAP_LSI): done.umap_lsi,
        **_scanpy_slots(done),
        **{Slot("atac", "obs", key): values for key, values in done.fragment_measures().items()},
    }


def _scanpy_slots(done: PrepareOutput) -> dict[Slot, Any]:
    """Return what ``sc.pl.pca*`` and ``sc.pl.highly_variable_genes`` look for, under scanpy's own names."""
    table = done.genes.table
    loadings = np.zeros((len(table), done.pca.loadings.shape[1]), dtype=np.float32)
    loadings[done.genes.variable] = done.pca.loadings
    return {
        Slot("rna", "varm", PCS): loadings,
        Slot("rna", "uns", PCA): {
            "params": {"zero_center": True, "mask_var": HIGHLY_VARIABLE},
            "variance": done.pca.variance,
            "variance_ratio": done.pca.explained,
        },
        Slot("rna", "var", HIGHLY_VARIABLE): done.genes.variable,
        Slot("rna", "var", "means"): table["mean"].to_numpy(),
        Slot("rna", "var", "dispersions"): table["dispersion"].to_numpy(),
        Slot("rna", "var", "dispersions_norm"): table["normalised_dispersion"].to_numpy(),
        Slot("rna", "uns", HVG): {"flavor": "seurat"},
    }


def tables(done: PrepareOutput) -> list[Table]:
    """Return the steps of the feature selection and the depth of the cells."""
    genes, peaks, params = done.genes, done.peaks, done.params
    n_genes, n_peaks = len(genes.table), len(peaks.modelled)
    rows = [
        ("both", "cells", done.n_cells, 0, TEXTS.text("rule_cells")),
        ("rna", "genes given", n_genes, 0, TEXTS.text("rule_genes_given")),
        (
            "rna",
            "mean above threshold",
            n_genes - genes.n_low_mean,
            genes.n_low_mean,
            TEXTS.text("rule_mean", least=params.min_mean),
        ),
        (
            "rna",
            "modelled",
            int(genes.modelled.sum()),
            genes.n_low_dispersion,
            TEXTS.text("rule_dispersion", least=params.min_dispersion, n_filled=genes.n_filled),
        ),
        (
            "rna",
            "read by the encoder",
            int(genes.encoder.sum()),
            int(genes.modelled.sum() - genes.encoder.sum()),
            TEXTS.text("rule_encoder", least=params.encoder_min_dispersion, n_added=genes.n_added),
        ),
        ("atac", "peaks given", n_peaks, 0, TEXTS.text("rule_peaks_given")),
        ("atac", "modelled", int(peaks.modelled.sum()), peaks.n_never_open, TEXTS.text("rule_open")),
        (
            "atac",
            "read by the encoder",
            int(peaks.encoder.sum()),
            int(peaks.modelled.sum() - peaks.encoder.sum()),
            TEXTS.text("rule_encoder_peaks", most=params.encoder_max_peaks),
        ),
    ]
    qc = pd.DataFrame(rows, columns=["modality", "step", "n", "n_dropped", "rule"])
    batch = done.annotations.batch
    return [
        TEXTS.table(
            "qc",
            qc,
            n_genes=n_genes,
            n_genes_modelled=int(genes.modelled.sum()),
            n_peaks=n_peaks,
            n_peaks_modelled=int(peaks.modelled.sum()),
        ),
        TEXTS.table(
            "qc_cells",
            quantile_table(done.depths.rename(columns=DEPTH_LABELS), batch),
            n_cells=done.n_cells,
            batch=None if batch is None else batch.name,
        ),
        *_fragment_tables(done),
    ]


def _fragment_tables(done: PrepareOutput) -> list[Table]:
    measures = done.fragment_measures()
    if done.fragments is None or done.recount is None:
        return []
    frame = pd.DataFrame({FRAGMENT_LABELS[key]: values for key, values in measures.items()})
    filled = frame[done.fragments.n_fragments > 0]
    if filled.empty:
        return []
    batch = done.annotations.batch
    quantiles = quantile_table(filled.fillna(0), None if batch is None else batch[filled.index.to_numpy()])
    return [TEXTS.table("fragments", quantiles, n_cells=len(filled), n_without=len(frame) - len(filled))]


def metrics(done: PrepareOutput) -> list[Metric]:
    """Return the key figures of the data."""
    median = done.depths.median()
    genes, peaks, pca = done.genes, done.peaks, done.pca
    return [
        TEXTS.metric("cells", done.n_cells),
        TEXTS.metric("genes_modelled", int(genes.modelled.sum()), n_genes=len(genes.table)),
        TEXTS.metric("peaks_modelled", int(peaks.modelled.sum()), n_peaks=len(peaks.modelled)),
        TEXTS.metric("genes_encoder", int(genes.encoder.sum())),
        TEXTS.metric("peaks_encoder", int(peaks.encoder.sum()), max_peaks=done.params.encoder_max_peaks),
        TEXTS.metric("median_counts", float(median["n_counts"])),
        TEXTS.metric("median_genes", float(median["n_genes"])),
        TEXTS.metric("median_peaks", float(median["n_peaks"])),
        TEXTS.metric("pca_variance", round(float(pca.explained.sum()), 4), n_components=pca.coordinates.shape[1]),
        TEXTS.metric("lsi_depth", round(done.lsi_depth_correlation(), 3)),
        *_fragment_metrics(done),
    ]


def _fragment_metrics(done: PrepareOutput) -> list[Metric]:
    if done.fragments is None or done.recount is None or not done.fragments.n_fragments.any():
        return []
    measures = done.fragment_measures()
    n_fragments = measures[N_FRAGMENTS]
    out = [
        TEXTS.metric("median_fragments", float(np.median(n_fragments[n_fragments > 0]))),
        TEXTS.metric("median_frip", round(float(np.nanmedian(measures[FRIP])), 3)),
        TEXTS.metric("median_nucleosome", round(float(np.nanmedian(measures[NUCLEOSOME_SIGNAL])), 2)),
    ]
    if done.with_sites:
        out.append(TEXTS.metric("median_tss", round(float(np.nanmedian(measures[TSS_ENRICHMENT])), 1)))
    recount = done.recount
    found = TEXTS.metric(
        "recount",
        round(recount.jaccard, 3),
        rule=recount.rule,
        n_given=recount.n_given,
        n_recounted=recount.n_recounted,
        n_both=recount.n_both,
    )
    return [*out, found]


def alerts(done: PrepareOutput) -> list[Alert]:
    """Return warnings about few cells and shallow counts, and what the feature selection changed."""
    out = []
    median = done.depths.median()
    if done.n_cells < FEW_CELLS:
        out.append(TEXTS.alert("few_cells", n_cells=done.n_cells, threshold=FEW_CELLS))
    if median["n_counts"] < FEW_COUNTS:
        out.append(TEXTS.alert("shallow_expression", median=median["n_counts"], threshold=FEW_COUNTS))
    if median["n_peaks"] < FEW_PEAKS:
        out.append(TEXTS.alert("shallow_accessibility", median=median["n_peaks"], threshold=FEW_PEAKS))
    if done.genes.n_filled:
        out.append(
            TEXTS.alert(
                "modelled_genes_added",
                n_filled=done.genes.n_filled,
                n_passed=int(done.genes.modelled.sum()) - done.genes.n_filled,
                min_dispersion=done.params.min_dispersion,
                min_genes=done.params.modelled_min_genes,
            )
        )
    if done.genes.n_added:
        out.append(
            TEXTS.alert(
                "encoder_genes_added",
                n_added=done.genes.n_added,
                n_passed=int(done.genes.encoder.sum()) - done.genes.n_added,
                min_dispersion=done.params.encoder_min_dispersion,
                min_genes=done.params.encoder_min_genes,
            )
        )
    if done.n_failing:
        out.append(TEXTS.alert("cells_fail_thresholds", n_cells=done.n_failing, n_all=done.n_cells))
    if done.peaks.n_never_open:
        out.append(TEXTS.alert("never_open_peaks", n_peaks=done.peaks.n_never_open))
    return [*out, *_fragment_alerts(done)]


def _fragment_alerts(done: PrepareOutput) -> list[Alert]:
    """Return warnings about rows left out, cells without fragments, and peaks that a recount does not confirm."""
    if done.fragments is None or done.recount is None:
        return []
    out = []
    if done.fragments.n_bad:
        out.append(TEXTS.alert("fragments_left_out", n_rows=done.fragments.n_bad, example=done.fragments.first_bad))
    n_without = int((done.fragments.n_fragments == 0).sum())
    if n_without:
        out.append(TEXTS.alert("cells_without_fragments", n_cells=n_without, n_all=done.n_cells))
    recount = done.recount
    if recount.n_outside:
        out.append(TEXTS.alert("peaks_without_fragments", n_peaks=recount.n_outside, n_all=len(done.peaks.modelled)))
    if recount.n_given and recount.jaccard < LEAST_RECOUNT:
        out.append(
            TEXTS.alert(
                "recount_differs",
                jaccard=recount.jaccard,
                n_given=recount.n_given,
                n_recounted=recount.n_recounted,
                n_both=recount.n_both,
            )
        )
    return out


def methods(done: PrepareOutput) -> str:
    """Return the methods paragraph with the numbers of this run."""
    genes, peaks, params = done.genes, done.peaks, done.params
    return TEXTS.methods(
        n_cells=done.n_cells,
        target_sum=params.target_sum,
        n_genes_modelled=int(genes.modelled.sum()),
        min_mean=params.min_mean,
        min_dispersion=params.min_dispersion,
        n_filled=genes.n_filled,
        n_genes_variable=int(genes.variable.sum()),
        n_genes_encoder=int(genes.encoder.sum()),
        encoder_min_dispersion=params.encoder_min_dispersion,
        n_added=genes.n_added,
        n_peaks_modelled=int(peaks.modelled.sum()),
        n_peaks_encoder=int(peaks.encoder.sum()),
        n_pcs=done.pca.coordinates.shape[1],
        n_lsi=done.lsi.coordinates.shape[1],
        n_neighbors=params.n_neighbors,
        min_dist=params.min_dist,
        fragments=done.fragments is not None,
        with_sites=done.with_sites,
    )
