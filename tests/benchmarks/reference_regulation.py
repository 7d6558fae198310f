"""Fits LITE and NITE and deletes factors in silico with mira-multiome 2.1.1; prints what a gene took as JSON."""

import argparse
import json
import sys
import time
from pathlib import Path

import anndata
import mira
import numpy as np
import pandas as pd
import torch
from mira.topic_model import base
from reference import drop_verbose, peak_mb
from scipy import sparse


def load(folder):
    """Read both matrices with the names that the reference asks for."""
    peaks = pd.read_csv(folder / "peaks.tsv", sep="\t")
    out = []
    for name in ("rna", "atac"):
        data = anndata.AnnData(sparse.load_npz(folder / f"{name}.npz"))
        data.obs_names = [f"cell{i}" for i in range(data.n_obs)]
        data.layers["counts"] = data.X
        out.append(data)
    rna, atac = out
    rna.var_names = [f"g{i}" for i in range(rna.n_vars)]
    atac.var[["chr", "start", "end"]] = peaks[["chrom", "start", "end"]].to_numpy()[: atac.n_vars]
    atac.var[["start", "end"]] = atac.var[["start", "end"]].astype(int)
    hits = sparse.load_npz(folder / "hits.npz").astype(np.float32)
    names = [f"TF{i}" for i in range(hits.shape[1])]
    atac.varm["motifs_hits"] = hits.tocsc()
    atac.uns["motifs"] = {"id": names, "name": names, "parsed_name": names, "in_expr_data": [True] * len(names)}
    return rna, atac


def topic_model(data, options, **own):
    """Fit one topic model and predict the topics."""
    model = mira.topics.make_model(
        *data.shape, num_topics=options.topics, num_epochs=options.epochs, batch_size=options.batch, seed=0, **own
    )
    model.fit(data)
    model.predict(data)
    return model


def main():
    """Fit and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("topics", "epochs", "batch", "threads", "genes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base.OneCycleLR_Wrapper.__init__ = drop_verbose
    rna, atac = load(options.folder)
    expression = topic_model(rna, options, feature_type="expression", counts_layer="counts")
    accessibility = topic_model(atac, options, feature_type="accessibility", atac_encoder="light")
    # its NITE model cannot be evaluated on the double precision that its topic model stores
    atac.obsm["X_topic_compositions"] = atac.obsm["X_topic_compositions"].astype(np.float32)
    mira.tl.get_distance_to_TSS(
        atac,
        tss_data=pd.read_csv(options.folder / "tss.tsv", sep="\t"),
        peak_chrom="chr", peak_start="start", peak_end="end", gene_id="gene_symbol",
        gene_chrom="chrom", gene_start="start", gene_end="end", gene_strand="strand",
        genome_file=str(options.folder / "genome.tsv"),
    )  # fmt: skip
    data = {"expr_adata": rna, "atac_adata": atac}
    best = np.argsort(-np.asarray(rna.X.sum(axis=0)).ravel(), kind="stable")[: options.genes]
    genes = [f"g{i}" for i in best]
    lite = mira.rp.LITE_Model(
        expr_model=expression, accessibility_model=accessibility, counts_layer="counts", genes=genes
    )
    wall, cpu = time.perf_counter(), time.process_time()
    lite.fit(**data)
    nite = lite.spawn_NITE_model()
    nite.fit(**data)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    wall_deletion, cpu_deletion = time.perf_counter(), time.process_time()
    lite.probabilistic_isd(**data, n_samples=1500)
    wall_deletion, cpu_deletion = time.perf_counter() - wall_deletion, time.process_time() - cpu_deletion
    n = len(genes)
    result = {
        "fit_gene_s": wall / n, "fit_gene_cpu_s": cpu / n, "deletion_gene_s": wall_deletion / n,
        "deletion_gene_cpu_s": cpu_deletion / n, "genes_fitted": len(nite.genes), "peak_mb": peak_mb(),
    }  # fmt: skip
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
