"""A small paired set with a planted differentiation, as the stage joint would leave it."""

from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.representation.neighbors import connectivities, nearest_neighbors
from mira_nb.core.representation.projections import joint_representation


def differentiating(
    n_cells: int = 700,
    *,
    seed: int = 0,
    branched: bool = True,
    one_type: bool = False,
    discrete: bool = False,
    lead: float = 0.0,
) -> mudata.MuData:
    """Root, progenitors, then ends A and B (from pseudotime 0.45); obs ``time``, ``lineage``, ``stage``.

    ``one_type``: the same topics in all cells, with noise that the assays do not share. ``discrete``: few cells in
    transit, one in twenty; every other cell's time moves to the nearest of 0, 0.45 and 1. ``lead``: how far
    accessibility runs ahead of expression.
    """
    rng = np.random.default_rng(seed)
    time, lineage = rng.random(n_cells), rng.integers(0, 2 if branched else 1, n_cells)
    time[0] = 0.0
    if discrete:
        types = np.array([0.0, 0.45, 1.0])[np.abs(time[:, None] - [0.0, 0.45, 1.0]).argmin(axis=1)]
        time = np.where(rng.random(n_cells) < 0.05, time, types)
    topics = []
    for ahead in (0.0, lead):
        weights = _weights(time + ahead, lineage)
        if one_type:
            weights[:] = [0.4, 0.3, 0.2, 0.1]
        topics.append(_noisy(weights / weights.sum(axis=1, keepdims=True), rng))
    stage = np.where(time < 0.45, "early", np.where(lineage == 0, "A", "B"))
    obs = pd.DataFrame(
        {"time": time, "lineage": np.array(["A", "B"])[lineage], "stage": stage},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    rates = np.ones((4, 40)) + 12.0 * (np.arange(40)[None, :] % 4 == np.arange(4)[:, None])
    parts = {}
    for name, own in zip(("rna", "atac"), topics, strict=True):
        counts = rng.poisson(own @ rates * 2).astype(np.float32)
        counts = np.minimum(counts, 1) if name == "atac" else counts
        var = pd.DataFrame(index=[f"{name}{i}" for i in range(40)])
        if name == "atac":
            var = var.assign(chrom="chr1", start=np.arange(40) * 1000, end=np.arange(40) * 1000 + 500)
        part = ad.AnnData(sparse.csr_matrix(counts), obs=obs.copy(), var=var)
        part.obsm["X_topics"] = own
        part.varm["topic_activations"] = rates.T - rates.mean()
        part.var["modelled"] = True
        parts[name] = part
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData(parts)
    joint = joint_representation(*topics)
    neighbors = nearest_neighbors(joint, k=15, metric="manhattan")
    data.obsm["X_joint"] = joint
    data.obsm["X_umap"] = joint[:, :2]
    data.obsp["joint_distances"] = neighbors.to_sparse()
    data.obsp["joint_connectivities"] = connectivities(neighbors)
    data.obs["leiden"] = pd.Categorical(stage)
    return data


def _weights(time: np.ndarray, lineage: np.ndarray) -> np.ndarray:
    past = np.clip((time - 0.45) / 0.5, 0, 1)
    columns = [
        np.exp(-((time / 0.25) ** 2)),
        np.exp(-(((time - 0.42) / 0.18) ** 2)),
        np.where(lineage == 0, past, 0.0),
        np.where(lineage == 1, past, 0.0),
    ]
    return np.column_stack(columns) + 0.03


def _noisy(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.gamma(120 * weights) + 1e-6
    return drawn / drawn.sum(axis=1, keepdims=True)
