"""New cells in the topics and the joint space of a run: held-out half of the embedded data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

import mira_nb
from mira_nb.cli import app
from mira_nb.errors import InputError
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.run.pipeline import RunRequest, open_run
from mira_nb.run.session import Session
from mira_nb.run.store import RunStore, read_h5mu
from mira_nb.stages.base import no_progress
from mira_nb.stages.registry import get_stage
from tests.messages import refused

STAGES: dict[str, dict[str, Any]] = {
    "prepare": {},
    "topics_rna": {"n_topics": 4, "n_epochs": 12},
    "topics_atac": {"n_topics": 4, "n_epochs": 12},
    "joint": {},
}


def halves(source: Path, folder: Path) -> tuple[InputSpec, InputSpec]:
    specs = []
    for half in (0, 1):
        for name in ("rna", "atac"):
            ad.read_h5ad(source / f"{name}.h5ad")[half::2].copy().write_h5ad(folder / f"{name}{half}.h5ad")
        specs.append(InputSpec(rna=folder / f"rna{half}.h5ad", atac=folder / f"atac{half}.h5ad"))
    return specs[0], specs[1]


def run_stages(spec: InputSpec, folder: Path, stages: dict[str, dict[str, Any]], groups: str) -> Path:
    store = RunStore(folder)
    open_run(RunRequest(spec=spec, resources=Resources(groups=groups), out=folder), store)
    for name, values in stages.items():
        stage = get_stage(name)
        session = Session(stage, store, stage.Params(**values), seed=0, progress=no_progress)
        session.run()
        session.save()
    return folder


@pytest.fixture(scope="module")
def half_run(tmp_path_factory: pytest.TempPathFactory, small_demo: Any) -> tuple[Path, InputSpec]:
    """Run of every other cell of the embedded data, and the files of the cells between."""
    folder = tmp_path_factory.mktemp("halves")
    seen, held_out = halves(small_demo.folder, folder)
    return run_stages(seen, folder / "run", STAGES, "cell_type"), held_out


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_topics_of_the_run_own_cells_are_given_again(half_run: tuple[Path, InputSpec], modality: Any) -> None:
    model = mira_nb.load_model(half_run[0], modality)
    reference = RunStore(half_run[0]).load_data(STAGES)
    topics = model.transform(reference.mod[modality])
    np.testing.assert_allclose(topics, reference.mod[modality].obsm["X_topics"], atol=1e-5)
    assert list(topics.columns) == [f"{'e' if modality == 'rna' else 'a'}{i}" for i in range(1, 5)]


def test_shuffled_features_give_the_same_topics_and_missing_ones_are_said(half_run: tuple[Path, InputSpec]) -> None:
    model = mira_nb.load_model(half_run[0], "rna")
    new = ad.read_h5ad(half_run[1].rna)
    order = np.random.default_rng(0).permutation(new.n_vars)
    np.testing.assert_array_equal(model.match(new).positions, new.var_names.get_indexer(model.features))
    expected = model.transform(new)
    pd.testing.assert_frame_equal(model.transform(new[:, order].copy()), expected)
    gone = list(model.features[3:6])
    fewer = new[:, ~new.var_names.isin(gone)].copy()
    fewer.X = sparse.diags((np.arange(new.n_obs) > 0).astype(np.float32)) @ fewer.X  # no count in the first cell
    with pytest.warns(UserWarning, match="modelled genes|model's") as said:
        topics = model.transform(fewer)
    texts = " ".join(str(item.message) for item in said)
    assert all(name in texts for name in gone)
    assert str(new.obs_names[0]) in texts
    assert topics.attrs["n_missing"] == 3
    assert topics.iloc[0].isna().all()
    assert topics.iloc[1:].notna().all(axis=None)


def test_missing_genes_pull_the_topics_of_no_cell(half_run: tuple[Path, InputSpec]) -> None:
    """Genes of one topic unmeasured: its mean proportion stays nearer to the complete one than with zeros."""
    model = mira_nb.load_model(half_run[0], "rna")
    new = ad.read_h5ad(half_run[1].rna)
    complete = model.transform(new)
    bias, bias_of_zeros = [], []
    for topic, weights in zip(model.topic_names, model.fit.decoder.activations(), strict=True):
        measured = ~new.var_names.isin(model.features[np.argsort(-weights)[: len(model.features) // 5]])
        with pytest.warns(UserWarning, match="taken as unmeasured"):
            unmeasured = model.transform(new[:, measured].copy())
        zeroed = new.copy()
        zeroed.X = sparse.csr_matrix(new.X @ sparse.diags(measured.astype(np.float32)))
        bias.append(abs((unmeasured - complete)[topic].mean()))
        bias_of_zeros.append(abs((model.transform(zeroed) - complete)[topic].mean()))
    assert np.mean(bias) < 0.7 * np.mean(bias_of_zeros)


def test_peaks_are_matched_by_exact_coordinates_where_names_differ(half_run: tuple[Path, InputSpec]) -> None:
    model = mira_nb.load_model(half_run[0], "atac")
    new = ad.read_h5ad(half_run[1].atac)
    expected = model.transform(new)
    renamed = new.copy()
    renamed.var_names = [f"peak{i}" for i in range(new.n_vars)]
    pd.testing.assert_frame_equal(model.transform(renamed), expected)
    assert model.match(renamed).n_by_name == 0
    assert model.match(renamed).n_by_coordinates == len(model.features)
    moved = renamed.copy()
    moved.var["start"] += 1
    with refused("shared.no_common_feature", InputError):
        model.transform(moved)


def test_held_out_half_is_projected(half_run: tuple[Path, InputSpec], tmp_path: Path) -> None:
    run, new = half_run
    out = tmp_path / "out"
    command = ["project", "--rna", str(new.rna), "--atac", str(new.atac), "--onto", str(run), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    labels = pd.read_csv(out / "labels.csv").set_index("cell")
    truth = ad.read_h5ad(new.rna).obs["cell_type"].astype(str).loc[labels.index]
    majority = truth.value_counts(normalize=True).iloc[0]
    right = labels["label"].to_numpy() == truth.to_numpy()
    assert right.mean() > (1 + majority) / 2
    sure = labels["confidence"] == 1
    assert right[sure].mean() >= right.mean()
    assert labels["confidence"].between(0, 1, inclusive="right").all()
    data = read_h5mu(out / "projected.h5mu")
    reference = RunStore(run).load_data(STAGES)
    assert data.obsm["X_joint"].shape == (data.n_obs, 6)
    assert (data.obsm["X_umap"] >= reference.obsm["X_umap"].min(0) - 1e-5).all()
    page = (out / "projection.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "mean map position" in page
    facts = json.loads((out / "projection.json").read_text())
    assert facts["label_column"] == "cell_type"
    for name in ("rna", "atac"):
        topics = pd.read_csv(out / f"topics_{name}.csv", index_col="cell")
        np.testing.assert_allclose(topics.sum(1), 1, atol=1e-6)
        match = facts["matching"][name]
        assert match["n_by_name"] + match["n_by_coordinates"] + match["n_missing"] == match["n_features"]


def test_projecting_the_reference_lands_on_itself(half_run: tuple[Path, InputSpec]) -> None:
    from mira_nb.stages.joint.params import JointParams
    from mira_nb.stages.joint.projection import project

    reference = RunStore(half_run[0]).load_data(STAGES)
    joint = reference.obsm["X_joint"].copy()
    new = RunStore(half_run[0]).load_data(["prepare"])
    found = project(new, reference, JointParams(), column="leiden", n_neighbors=1)
    np.testing.assert_allclose(found.data.obsm["X_joint"], joint, atol=1e-3)
    assert (found.labels["label"].to_numpy() == reference.obs["leiden"].astype(str).to_numpy()).all()


def test_a_run_without_topics_is_refused(half_run: tuple[Path, InputSpec], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json"):
        mira_nb.load_model(tmp_path, "rna")
    with pytest.raises(InputError, match="modality"):
        mira_nb.load_model(half_run[0], "protein")  # type: ignore[arg-type]
    copy = tmp_path / "run"
    shutil.copytree(half_run[0], copy)
    record = json.loads((copy / "run.json").read_text())
    record["stages"]["topics_atac"]["status"] = "pending"
    (copy / "run.json").write_text(json.dumps(record))
    with refused("run.run_stage_not_done", InputError):
        mira_nb.load_model(copy, "atac")
