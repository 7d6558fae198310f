"""Fits LITE and NITE and deletes factors in silico with this package; prints what a gene took as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.regulation.deletion import delete_factors
from mira_nb.core.regulation.fit import fit_regulation
from mira_nb.core.regulation.geometry import gene_peaks
from mira_nb.core.regulation.model import Cells, expression_normalizer
from mira_nb.core.regulation.scores import take_genes
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.io.tss import read_tss
from mira_nb.run.memory import peak_rss_mb


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("topics", "epochs", "batch", "threads", "genes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    settings = TopicSettings(n_topics=options.topics, n_epochs=options.epochs, batch_size=options.batch)
    counts = {name: sparse.load_npz(options.folder / f"{name}.npz") for name in ("rna", "atac")}
    expression, accessibility = (
        fit_topic_model(counts[name], modality=kind, settings=settings, seed=0, n_threads=options.threads)
        for name, kind in (("rna", "expression"), ("atac", "accessibility"))
    )
    chosen = np.argsort(-np.asarray(counts["rna"].sum(axis=0)).ravel(), kind="stable")[: options.genes]
    cells = Cells.build(
        sparse.csc_matrix(counts["rna"])[:, chosen],
        log_depth=np.log(expression.read_depth),
        log_normalizer=expression_normalizer(expression.decoder, expression.topics),
        topics=accessibility.topics,
        decoder=accessibility.decoder,
    )
    peaks = pd.read_csv(options.folder / "peaks.tsv", sep="\t")
    sets = gene_peaks(peaks, read_tss(options.folder / "tss.tsv").frame, [f"g{i}" for i in chosen])
    hits = sparse.load_npz(options.folder / "hits.npz")
    few = replace(cells, counts=cells.counts[:, :2])
    # compile
    delete_factors(few, take_genes(sets, np.arange(2)), fit_regulation(few, take_genes(sets, np.arange(2))).lite, hits)

    fit, wall, cpu = timed(lambda: fit_regulation(cells, sets, n_threads=options.threads))
    _, wall_deletion, cpu_deletion = timed(
        lambda: delete_factors(cells, sets, fit.lite, hits, n_threads=options.threads)
    )
    n = len(chosen)
    result = {
        "fit_gene_s": wall / n, "fit_gene_cpu_s": cpu / n, "deletion_gene_s": wall_deletion / n,
        "deletion_gene_cpu_s": cpu_deletion / n, "genes_fitted": int((fit.status == "ok").sum()),
        "peak_mb": peak_rss_mb(),
    }  # fmt: skip
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
