"""A small paired data set with planted states for the tests of the stages."""

from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

STATES = ("left", "middle", "right")


def planted_multiome(
    *, n_cells: int = 210, n_genes: int = 120, n_peaks: int = 300, seed: int = 0, depth: float = 300.0
) -> mudata.MuData:
    """Three states, each with its own genes and peaks; obs ``state`` and ``sample``; var chrom, start, end."""
    rng = np.random.default_rng(seed)
    state = np.arange(n_cells) % 3
    topics = rng.dirichlet(np.full(3, 0.3), n_cells) * 0.25 + 0.75 * np.eye(3)[state]
    programmes = np.ones((3, n_genes)) + 15.0 * (np.arange(n_genes)[None, :] % 4 == np.arange(3)[:, None])
    rate = topics @ (programmes / programmes.sum(axis=1, keepdims=True))
    counts = rng.poisson(rate * depth * rng.lognormal(0, 0.3, (n_cells, 1)))
    sites = np.full((3, n_peaks), 0.05) + 0.45 * (np.arange(n_peaks)[None, :] % 4 == np.arange(3)[:, None])
    is_open = rng.random((n_cells, n_peaks)) < topics @ sites
    obs = pd.DataFrame(
        {"state": np.array(STATES)[state], "sample": np.where(rng.random(n_cells) < 0.5, "s1", "s2")},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame(index=[f"Gene{i}" for i in range(n_genes)])
    start = np.arange(n_peaks) * 1000
    peaks = pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + 300}, index=[f"chr1:{s}-{s + 300}" for s in start]
    )
    data = mudata.MuData(
        {
            "rna": ad.AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs=obs, var=var),
            "atac": ad.AnnData(sparse.csr_matrix(is_open, dtype=np.float32), obs=obs.copy(), var=peaks),
        }
    )
    return data


def add_topics(data: mudata.MuData) -> mudata.MuData:
    """Give the planted set topics and activations as a topic model would leave them."""
    rng = np.random.default_rng(1)
    state = np.array([STATES.index(value) for value in data.mod["rna"].obs["state"]])
    for name in ("rna", "atac"):
        part = data.mod[name]
        noise = rng.dirichlet(np.full(3, 2.0), part.n_obs)
        part.obsm["X_topics"] = 0.7 * np.eye(3)[state] + 0.3 * noise
        activations = rng.normal(size=(part.n_vars, 3)) * 0.3
        activations += 3.0 * (np.arange(part.n_vars)[:, None] % 4 == np.arange(3)[None, :])
        if "modelled" in part.var:
            activations[~part.var["modelled"].to_numpy(bool)] = np.nan
        part.varm["topic_activations"] = activations
    return data
