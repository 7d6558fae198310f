"""A run folder whose results are known: small, made by hand, without running a stage."""

from __future__ import annotations

import json
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

N_CELLS, N_GENES, N_PEAKS = 40, 12, 30


def make_results() -> mudata.MuData:
    rng = np.random.default_rng(5)
    cells = [f"{''.join(rng.choice(list('ACGT'), 16))}-1" for _ in range(N_CELLS)]
    genes = pd.DataFrame(index=[f"GENE{i}" for i in range(N_GENES)])
    genes["gene_ids"] = [f"ENSG{i:011d}.3" for i in range(N_GENES - 1)] + ["no id"]
    genes["nite_score"], genes["nite_fdr"] = rng.random(N_GENES), rng.random(N_GENES)
    start = np.arange(N_PEAKS) * 1000 + 500
    peaks = pd.DataFrame(
        {"chrom": np.where(np.arange(N_PEAKS) < 20, "chr2", "chr10"), "start": start, "end": start + 400}
    )
    peaks.loc[3, "start"] = peaks.loc[2, "end"] - 150  # overlaps the peak before
    peaks.index = pd.Index(peaks["chrom"] + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str))
    peaks = peaks.iloc[rng.permutation(N_PEAKS)]  # files need not be sorted
    rna = AnnData(sparse.csr_matrix(rng.poisson(2.0, (N_CELLS, N_GENES)).astype(np.float32)), var=genes)
    atac = AnnData(sparse.csr_matrix((rng.random((N_CELLS, N_PEAKS)) < 0.4).astype(np.float32)), var=peaks)
    rna.obs_names = atac.obs_names = cells
    for part, k in ((rna, 3), (atac, 4)):
        part.obsm["X_topics"] = rng.dirichlet(np.ones(k), N_CELLS)
        part.varm["topic_activations"] = rng.normal(size=(part.n_vars, k))
    atac.varm["topic_activations"][0] = np.nan  # not modelled
    a = rng.random((N_GENES, 3))
    a[4] = np.nan  # no estimate
    rna.varm["rp_parameters"] = pd.DataFrame(
        np.column_stack([a, rng.uniform(1, 30, (N_GENES, 2))]),
        index=rna.var_names,
        columns=["a_upstream", "a_proximal", "a_downstream", "decay_upstream_kb", "decay_downstream_kb"],
    )
    n_linked = rng.integers(0, 6, 5)
    rna.uns["peak_sets"] = {
        "genes": np.array([f"GENE{i}" for i in (7, 0, 4, 2, 9)]),
        "indptr": np.concatenate([[0], np.cumsum(n_linked)]),
        "peak": np.concatenate([rng.choice(N_PEAKS, n, replace=False) for n in n_linked]),
        "distance": rng.uniform(0, 50_000, n_linked.sum()),
        "region": rng.integers(0, 3, n_linked.sum()).astype(np.int8),
        "tss": np.array([700, 800, 900, 1000, 1100]),
        "strand": np.array(["+", "-", "+", "-", "+"]),
        "chrom": np.array(["chr2"] * 5),
    }
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData({"rna": rna, "atac": atac})
    data.obs["cell_type"] = pd.Categorical([["T/B", "T B", "N"][i % 3] for i in range(N_CELLS)])
    data.obs["leiden"] = pd.Categorical([str(i % 2) for i in range(N_CELLS)])
    data.obs["pseudotime"] = rng.random(N_CELLS)
    data.obs["nite_score"] = rng.random(N_CELLS)
    data.obsm["X_umap"] = rng.normal(size=(N_CELLS, 2))
    fates = rng.dirichlet(np.ones(2), N_CELLS)
    data.obsm["fate_probabilities"] = pd.DataFrame(fates, index=data.obs_names, columns=["A", "B"])
    data.obsp["joint_connectivities"] = sparse.random(N_CELLS, N_CELLS, 0.1, format="csr", random_state=1)
    return data


@pytest.fixture(scope="module")
def results() -> mudata.MuData:
    return make_results()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with mudata.set_options(pull_on_update=False):
        make_results().write_h5mu(folder / "results.h5mu")
    (folder / "run.json").write_text(json.dumps({"schema": 1, "resources": {"groups": "cell_type"}, "stages": {}}))
    return folder
