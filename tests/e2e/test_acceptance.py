"""Whole real data, and the published search for the number of topics, run to their ends.

A run is kept in the acceptance folder, so that a test that was stopped goes on with the stage it was at.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from mira_nb.run.store import read_h5mu
from tests.e2e.acceptance import folder, page, record
from tests.e2e.commands import mira_nb
from tests.e2e.test_plain_runs import ALWAYS, stages

N_TRIALS = 32
"""Trials of the published search."""


def long(test: Any) -> Any:
    """Mark a test as one of the long ones."""
    for mark in (pytest.mark.e2e, pytest.mark.slow, pytest.mark.acceptance, pytest.mark.timeout(7200)):
        test = mark(test)
    return test


def kept_run(name: str, *command: str | Path) -> Path:
    """Run a command into a kept folder; what is computed already is taken over."""
    out = folder() / name
    started = time.monotonic()
    done = mira_nb(*command, "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    minutes = (time.monotonic() - started) / 60
    if minutes > 1:  # not a run that found everything done
        record(f"{name}: run", "minutes", minutes)
    return out


def label_accuracy(embedding: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of 30 nearest neighbours in five folds."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(KNeighborsClassifier(30), embedding, labels, cv=folds).mean())


def log_ratios(proportions: np.ndarray) -> np.ndarray:
    logs = np.log(np.maximum(proportions, 1e-8))
    return logs - logs.mean(1, keepdims=True)


@pytest.fixture(scope="module")
def cortex(shared_data: Path) -> Path:
    data = shared_data / "data" / "snareseq_mouse_cortex"
    return kept_run("cortex", "run", "--rna", data / "rna.h5ad", "--atac", data / "atac.h5ad")


@long
class TestCortex:
    def test_plain_run_ends_well(self, cortex: Path) -> None:
        found = stages(cortex)
        for stage in ALWAYS:
            assert found[stage]["status"] == "done", stage
        for stage, entry in found.items():
            assert entry["status"] == "done" or entry["reason"], stage

    def test_topics_and_joint_space_keep_the_published_cell_types(self, cortex: Path) -> None:
        """Bounds are those below which a modality has lost its types; wanted are those of ten and 25 topics."""
        data = read_h5mu(cortex / "results.h5mu")
        column = next(obs["cluster"] for obs in (data.obs, data["rna"].obs, data["atac"].obs) if "cluster" in obs)
        labels = column.astype(str).to_numpy()
        spaces = {
            "RNA": (log_ratios(data["rna"].obsm["X_topics"]), 0.80, ".827"),
            "ATAC": (log_ratios(data["atac"].obsm["X_topics"]), 0.66, ".696"),
            "joint": (np.asarray(data.obsm["X_joint"]), 0.80, ".828"),
        }
        accuracy = {}
        for name, (space, _, wanted) in spaces.items():
            accuracy[name] = label_accuracy(space, labels)
            record("cortex: label accuracy", name, accuracy[name], wanted)
        for modality in ("rna", "atac"):
            n_topics = data[modality].obsm["X_topics"].shape[1]
            record("cortex: label accuracy", f"{modality.upper()} topics chosen", str(n_topics))
        assert all(accuracy[name] > least for name, (_, least, _) in spaces.items()), accuracy


@pytest.fixture(scope="module")
def published() -> Path:
    sets = [f"tuning_{m}.{setting}" for m in ("rna", "atac") for setting in ("mode=paper", f"n_trials={N_TRIALS}")]
    options = [text for setting in sets for text in ("--set", setting)]
    return kept_run("paper", "demo", "--until", "topics_atac", *options)


@long
class TestPublishedSearch:
    @pytest.mark.parametrize("modality", ["rna", "atac"])
    def test_it_ends_by_its_own_rule(self, published: Path, modality: str) -> None:
        """All trials, or the last eight suggestions within one topic; then the best five on held-out cells."""
        trials = pd.read_csv(published / "stages" / f"tuning_{modality}" / "tables" / "trials.csv")
        searched = trials[trials["phase"] == "search"]
        last = searched["n_topics"].tail(8)
        assert len(searched) == N_TRIALS or last.max() - last.min() <= 1
        assert set(searched["state"]) == {"complete", "pruned"}
        finalists = trials[trials["phase"] == "finalists"]
        assert 1 < len(finalists) <= 5
        chosen = finalists.loc[finalists["loss"].idxmin(), "n_topics"]
        model = read_h5mu(published / "results.h5mu")[modality]
        assert model.obsm["X_topics"].shape[1] == chosen
        record("published search, embedded data", f"{modality.upper()} topics chosen (7 planted)", str(chosen))
        record("published search, embedded data", f"{modality.upper()} trials", str(len(searched)))


def test_the_page_shows_every_recorded_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRA_NB_ACCEPTANCE_DIR", str(tmp_path))
    record("b", "second", 0.12345, ".1")
    record("b", "second", 0.6789, ".1")
    record("a", "first", "7 and 7")
    lines = page(tmp_path / "figures").splitlines()[-2:]
    assert lines[0].startswith("| a | first | 7 and 7 |  |")
    assert lines[1].startswith("| b | second | 0.679 | .1 |")


def test_accuracy_of_labels_that_are_separate_is_one_and_of_noise_chance() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 100)
    assert label_accuracy(np.column_stack([labels == "a", rng.normal(0, 0.01, 200)]).astype(float), labels) == 1
    assert math.isclose(label_accuracy(rng.normal(size=(200, 2)), rng.permutation(labels)), 0.5, abs_tol=0.15)
    proportions = rng.dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(log_ratios(proportions).sum(1), 0, atol=1e-9)
    assert (rankdata(log_ratios(proportions)[0]) == rankdata(proportions[0])).all()
