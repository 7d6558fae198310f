"""A run folder with every kind of value, made without computing a stage."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.run.slots import write_slots
from mira_nb.stages.registry import stage_names
from mira_nb.stages.result import Slot

CELLS, GENES, PEAKS = 60, 12, 20


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(CELLS)]
    rna = ad.AnnData(sparse.csr_matrix(rng.poisson(2.0, (CELLS, GENES)).astype(np.float32)))
    atac = ad.AnnData(sparse.csr_matrix((rng.random((CELLS, PEAKS)) < 0.4).astype(np.float32)))
    rna.obs_names = atac.obs_names = names
    rna.var_names = ["GATA1", "GATA2", *(f"G{i}" for i in range(2, GENES))]
    atac.var_names = [f"chr1:{100 * i}-{100 * i + 50}" for i in range(PEAKS)]
    rna.obs["kind"] = pd.Categorical(["a", "b"] * (CELLS // 2))
    rna.obs["name"] = names
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData({"rna": rna, "atac": atac})
        root = tmp_path / "run"
        (root / "cache").mkdir(parents=True)
        data.write_h5mu(root / "cache" / "input.h5mu")
    topics = rng.dirichlet(np.ones(3), CELLS)
    slots = {
        "joint": {
            Slot("joint", "obsm", "X_umap"): rng.normal(size=(CELLS, 2)) * [3, 1],
            Slot("joint", "obsm", "X_joint"): rng.normal(size=(CELLS, 4)),
            Slot("joint", "obs", "leiden"): pd.Categorical(np.repeat(["0", "1", "10"], CELLS // 3)),
        },
        "topics_rna": {
            Slot("rna", "obsm", "X_topics"): topics,
            Slot("rna", "varm", "topic_activations"): rng.normal(size=(GENES, 3)),
        },
        "trajectory": {Slot("joint", "obs", "pseudotime"): np.linspace(0, 1, CELLS)},
        "motifs": {
            Slot("joint", "obsm", "motif_scores"): pd.DataFrame({"GATA1": rng.normal(size=CELLS)}, index=names),
            Slot("atac", "uns", "motifs"): pd.DataFrame({"label": ["GATA1"], "name": ["GATA1"]}, index=["0"]),
        },
        "regulation": {Slot("rna", "layers", "chromatin_differential"): rng.normal(size=(CELLS, GENES))},
    }
    tables = {
        "topics_rna": {"top_features": "topic,feature,activation,rank\ne1,GATA1,2.5,1\ne2,G5,1.5,1\n"},
        "regulation": {"genes": "gene,nite_score,nite,n_peaks\nGATA1,12.5,True,9\n"},
    }
    for stage, values in slots.items():
        folder = root / "stages" / stage
        (folder / "tables").mkdir(parents=True)
        write_slots(folder / "slots.h5", values)
        (folder / "stage.json").write_text("{}")
        for name, text in tables.get(stage, {}).items():
            (folder / "tables" / f"{name}.csv").write_text(text)
    entries = {name: {"status": "done" if name in slots else "pending", "key": name} for name in stage_names()}
    (root / "run.json").write_text(json.dumps({"schema": 1, "input_key": "k", "stages": entries}))
    return root
