"""Fits the reference implementation (mira-multiome 2.1.1) to one set, in its own environment; writes an .npz.

Its own recommended parameters, the light accessibility encoder (the one it allows without a GPU), and the patches
without which it does not run with a current torch.
"""

import argparse
import json
from pathlib import Path

import anndata
import mira
import numpy as np
import pandas as pd
import torch
from mira.topic_model import base
from scipy import sparse


def drop_verbose(self, optimizer, **options):
    """Set the schedule up without an argument that current torch no longer has."""
    options.pop("verbose", None)
    torch.optim.lr_scheduler.OneCycleLR.__init__(self, optimizer, options.pop("max_lr"), **options)


def read(folder, name):
    """Read counts, without features that no cell has."""
    data = anndata.read_h5ad(folder / f"{name}.h5ad")
    data.X = sparse.csr_matrix(data.X, dtype=np.float32)
    if name == "atac":
        data.X.data[:] = 1
    data = data[:, np.asarray(data.X.sum(0)).ravel() > 0].copy()
    data.layers["counts"] = data.X.copy()
    return data


def fit(data, seed, topics, **own):
    """Fit one topic model and predict the topics."""
    model = mira.topics.make_model(*data.shape, num_topics=topics, seed=seed, **own)
    model.fit(data)
    model.predict(data)
    return model


def regulation(folder, expression, accessibility, rna, atac):
    """Return NITE scores by gene and the factors that the driver test calls, for the planted genes of the truth."""
    facts = json.loads((folder / "truth.json").read_text())
    atac.obsm["X_topic_compositions"] = atac.obsm["X_topic_compositions"].astype(np.float32)
    atac.var = atac.var.rename(columns={"chrom": "chr"})
    ends = atac.var.groupby("chr", observed=True)["end"].max() + 1_000_000
    sizes = folder / "genome.sizes"
    ends.to_csv(sizes, sep="\t", header=False)
    mira.tl.get_distance_to_TSS(
        atac, tss_data=pd.read_csv(folder / "tss.tsv", sep="\t"), peak_chrom="chr", peak_start="start", peak_end="end",
        gene_id="gene_symbol", gene_chrom="chrom", gene_start="start", gene_end="end", gene_strand="strand",
        genome_file=str(sizes),
    )  # fmt: skip
    hits = anndata.read_h5ad(folder / "motif_hits.h5ad")
    names = [str(name) for name in hits.var["name"]]
    atac.varm["motifs_hits"] = sparse.csc_matrix(hits[atac.var_names].X)
    atac.uns["motifs"] = {"id": names, "name": names, "parsed_name": names, "in_expr_data": [True] * len(names)}
    data = {"expr_adata": rna, "atac_adata": atac}
    genes = [gene for gene in facts["rp_genes"] if gene in set(rna.var_names)]
    lite = mira.rp.LITE_Model(
        expr_model=expression, accessibility_model=accessibility, counts_layer="counts", genes=genes
    )
    lite.fit(**data)
    nite = lite.spawn_NITE_model()
    nite.fit(**data)
    lite.predict(**data)
    nite.predict(**data)
    mira.tl.get_NITE_score_genes(rna)
    score = {gene: float(rna.var["NITE_score"][gene]) for gene in nite.genes}
    lite.probabilistic_isd(**data, n_samples=1500)
    tests = []
    fitted = set(lite.genes)
    for lineage in facts["lineages"]:
        query = [g for g in genes if g in fitted and facts["gene_target"][g] == lineage]
        tests += mira.tl.driver_TF_test(rna, geneset=query)
    order = sorted(tests, key=lambda one: one["pval"])
    bound = [one["pval"] * len(order) / (rank + 1) for rank, one in enumerate(order)]
    adjusted = np.minimum.accumulate(np.asarray(bound)[::-1])[::-1]
    called = sorted(
        {one.get("name", one.get("factor_name")) for one, q in zip(order, adjusted, strict=True) if q < 0.05}
    )
    return score, called


def main():
    """Fit, and keep topics, features and scores."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--topics", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base.OneCycleLR_Wrapper.__init__ = drop_verbose
    rna, atac = read(options.folder, "rna"), read(options.folder, "atac")
    expression = fit(rna, options.seed, options.topics, feature_type="expression", counts_layer="counts")
    accessibility = fit(atac, options.seed, options.topics, feature_type="accessibility", atac_encoder="light")
    kept = {name: part.obsm["X_topic_compositions"] for name, part in (("rna", rna), ("atac", atac))}
    points = np.hstack([rna.obsm["X_umap_features"], atac.obsm["X_umap_features"]])
    facts = {}
    if (options.folder / "truth.json").exists():
        np.savez(options.out, points=points, facts=json.dumps(facts), **kept)  # kept, should what follows fail
        score, called = regulation(options.folder, expression, accessibility, rna, atac)
        facts = {"nite": score, "called": called}
    np.savez(options.out, points=points, facts=json.dumps(facts), **kept)


if __name__ == "__main__":
    main()
