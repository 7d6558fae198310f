"""Tables, figures, metrics, alerts and methods text of the stage prepare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.charts.qc import quantile_table
from mira_nb.keys import (
    ENCODER,
    HIGHLY_VARIABLE,
    HVG,
    MODELLED,
    PCA,
    PCS,
    X_LSI,
    X_PCA,
    X_UMAP_LSI,
    X_UMAP_PCA,
)
from mira_nb.stages.result import Alert, Metric, Slot, Table

from .compute import DEPTH_LABELS, PrepareOutput

FEW_CELLS = 500
FEW_COUNTS = 500
FEW_PEAKS = 200


def slots(done: PrepareOutput) -> dict[Slot, Any]:
    """Return what later stages read: chosen features and the standard representations."""
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
    }


def _scanpy_slots(done: PrepareOutput) -> dict[Slot, Any]:
    """Return what ``sc.pl.pca*`` and ``sc.pl.highly_variable_genes`` look for, under scanpy's own names."""
    table = done.genes.table
    loadings = np.zeros((len(table), done.pca.loadings.shape[1]), dtype=np.float32)
    loadings[done.genes.encoder] = done.pca.loadings
    return {
        Slot("rna", "varm", PCS): loadings,
        Slot("rna", "uns", PCA): {
            "params": {"zero_center": True, "mask_var": HIGHLY_VARIABLE},
            "variance": done.pca.variance,
            "variance_ratio": done.pca.explained,
        },
        Slot("rna", "var", HIGHLY_VARIABLE): done.genes.encoder,
        Slot("rna", "var", "means"): table["mean"].to_numpy(),
        Slot("rna", "var", "dispersions"): table["dispersion"].to_numpy(),
        Slot("rna", "var", "dispersions_norm"): table["normalised_dispersion"].to_numpy(),
        Slot("rna", "uns", HVG): {"flavor": "seurat"},
    }


def tables(done: PrepareOutput) -> list[Table]:
    """Tabulate every step of the feature selection; quantiles over the cells."""
    genes, peaks, params = done.genes, done.peaks, done.params
    n_genes, n_peaks = len(genes.table), len(peaks.modelled)
    rows = [
        ("both", "cells", done.n_cells, 0, "cells with both assays, in the order given"),
        ("rna", "genes given", n_genes, 0, "genes with counts in the checked input"),
        ("rna", "mean above threshold", n_genes - genes.n_low_mean, genes.n_low_mean, f"log(1+mean)>{params.min_mean}"),
        (
            "rna",
            "modelled",
            int(genes.modelled.sum()),
            genes.n_low_dispersion,
            f"and log(variance/mean)>{params.min_dispersion}",
        ),
        (
            "rna",
            "read by the encoder",
            int(genes.encoder.sum()),
            int(genes.modelled.sum() - genes.encoder.sum()),
            f"normalised dispersion>{params.encoder_min_dispersion}"
            + (f"; {genes.n_added} of next highest dispersion added" if genes.n_added else ""),
        ),
        ("atac", "peaks given", n_peaks, 0, "peaks in the checked input"),
        ("atac", "modelled", int(peaks.modelled.sum()), peaks.n_never_open, "open in at least one cell"),
        (
            "atac",
            "read by the encoder",
            int(peaks.encoder.sum()),
            int(peaks.modelled.sum() - peaks.encoder.sum()),
            f"at most {params.encoder_max_peaks:,}, drawn at random",
        ),
    ]
    qc = pd.DataFrame(rows, columns=["modality", "step", "n", "n_dropped", "rule"])
    batch = done.annotations.batch
    cells = quantile_table(done.depths.rename(columns=DEPTH_LABELS), batch)
    return [
        Table(
            "qc",
            "Features kept at each step",
            "n: what is left after the step; n_dropped: what this step left out. Features that are not modelled have "
            "no topic activation; modelled features outside the encoder do.",
            qc,
        ),
        Table(
            "qc_cells",
            "Depth of the cells",
            "Quantiles over the cells (q05: 5 % of the cells lie below)"
            + ("." if batch is None else f", for all cells and for each {batch.name}."),
            cells,
        ),
    ]


def metrics(done: PrepareOutput) -> list[Metric]:
    """Key figures of the data."""
    median = done.depths.median()
    return [
        Metric("Cells", done.n_cells, key=True, help="cells measured by both assays"),
        Metric("Genes modelled", int(done.genes.modelled.sum()), key=True, help="of all genes given"),
        Metric("Peaks modelled", int(done.peaks.modelled.sum()), key=True, help="of all peaks given"),
        Metric("Genes read by the encoder", int(done.genes.encoder.sum())),
        Metric("Peaks read by the encoder", int(done.peaks.encoder.sum())),
        Metric("Median RNA counts per cell", float(median["n_counts"]), help="above 1,000 is comfortable", key=True),
        Metric("Median genes per cell", float(median["n_genes"])),
        Metric("Median open peaks per cell", float(median["n_peaks"]), help="above 1,000 is comfortable", key=True),
        Metric("Variance explained by the PCA", round(float(done.pca.explained.sum()), 4), unit="share"),
        Metric(
            "Correlation of LSI 1 with depth",
            round(done.lsi_depth_correlation(), 3),
            help="Spearman, absolute; near 1 is usual for the first LSI component",
        ),
    ]


def alerts(done: PrepareOutput) -> list[Alert]:
    """Say what the reader should know about depth and features."""
    out = []
    median = done.depths.median()
    if done.n_cells < FEW_CELLS:
        out.append(
            Alert(
                "warning",
                f"Only {done.n_cells} cells",
                "Topic models learn from covariation over cells; with few cells, topics are unstable.",
                "Read small topics with care; repeat the run with another --seed to see what stays.",
            )
        )
    if median["n_counts"] < FEW_COUNTS:
        out.append(
            Alert(
                "warning",
                f"Shallow expression: median {median['n_counts']:.0f} counts per cell",
                "Few molecules per cell, or a matrix that holds only some genes.",
                "Expect broad topics; give the matrix with all genes if there is one.",
            )
        )
    if median["n_peaks"] < FEW_PEAKS:
        out.append(
            Alert(
                "warning",
                f"Shallow accessibility: median {median['n_peaks']:.0f} open peaks per cell",
                "Few fragments per cell fall into peaks.",
                "Expect accessibility topics to separate broad cell types only.",
            )
        )
    if done.genes.n_added:
        out.append(
            Alert(
                "info",
                f"{done.genes.n_added} genes were added to the encoder's input",
                f"Only {int(done.genes.encoder.sum()) - done.genes.n_added} genes have a normalised dispersion above "
                f"{done.params.encoder_min_dispersion}, fewer than prepare.encoder_min_genes = "
                f"{done.params.encoder_min_genes:,}.",
                "Nothing to do; prepare.encoder_fill_genes sets the number.",
            )
        )
    if done.peaks.n_never_open:
        out.append(Alert("info", f"{done.peaks.n_never_open:,} peaks are open in no cell and are not modelled"))
    return out


def methods(done: PrepareOutput) -> str:
    """Methods sentences with the numbers of this run."""
    p = done.params
    return (
        f"Expression counts of {done.n_cells:,} cells were normalised to {p.target_sum:,.0f} counts per cell and "
        "log-transformed (log(1 + x)); means and dispersions followed Scanpy's recipe [@wolf2018scanpy]. "
        f"{int(done.genes.modelled.sum()):,} genes with mean above {p.min_mean} and dispersion (log variance-to-mean "
        f"ratio) above {p.min_dispersion} were modelled; {int(done.genes.encoder.sum()):,} of them "
        f"(normalised dispersion above {p.encoder_min_dispersion}"
        + (
            f", and, in addition to the published rule, the {done.genes.n_added:,} next highest"
            if done.genes.n_added
            else ""
        )
        + f") were read by the encoder [@lynch2022mira]. All {int(done.peaks.modelled.sum()):,} peaks open in at least "
        f"one cell were modelled, {int(done.peaks.encoder.sum()):,} of them read by the encoder. For comparison, the "
        f"standardised expression of the encoder's genes was reduced to {done.pca.coordinates.shape[1]} principal "
        "components, and accessibility by latent semantic indexing, that is, TF-IDF and truncated singular value "
        f"decomposition to {done.lsi.coordinates.shape[1]} components [@pedregosa2011sklearn; @cusanovich2015lsi]; "
        f"UMAPs used {p.n_neighbors} Euclidean neighbours and min_dist {p.min_dist} [@mcinnes2018umap]."
    )
