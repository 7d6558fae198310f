"""Rows of this package: whole runs by the command line, at the defaults but for what makes rows comparable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.run.store import read_h5mu
from mira_nb.version import __version__
from tests.e2e.commands import mira_nb

from .methods import TOPICS
from .scores import K_NEIGHBORS, Representation
from .sets import CellSet

LIKE_FOR_LIKE = "regulation.other_promoters=keep"
"""The reference computes the mask of other genes' promoters and discards it."""


def run(cells: CellSet, out: Path) -> None:
    """Run the pipeline, whole for a simulation and up to the joint space for real data; what is done is taken over."""
    if not cells.truth:
        run_joint(cells, out)
        return
    _finish(["demo", "--seed", str(cells.seed), "--set", LIKE_FOR_LIKE, *_topics(cells)], out)


def run_joint(cells: CellSet, out: Path) -> None:
    """Run the pipeline from files up to the joint space; for a simulation with the planted number of topics."""
    files = [str(cells.folder / name) for name in ("rna.h5ad", "atac.h5ad")]
    given = ["--seed", str(cells.seed), *_topics(cells)] if cells.truth else []
    _finish(["run", "--rna", files[0], "--atac", files[1], "--until", "joint", *given], out)


def _topics(cells: CellSet) -> list[str]:
    given = [f"topics_{name}.n_topics={TOPICS[cells.name]}" for name in ("rna", "atac")]
    return [part for value in given for part in ("--set", value)]


def _finish(command: list[str], out: Path) -> None:
    done = mira_nb(*command, "--out", out)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])


def read(folder: Path) -> Representation:
    """Read the joint space, the topics and the scores against planted regulation from a run folder."""
    data = read_h5mu(folder / "results.h5mu")
    points = np.asarray(data.obsm["X_joint"])
    topics = {name: np.asarray(data.mod[name].obsm["X_topics"]) for name in ("rna", "atac")}
    truth = folder / "data"
    extra = regulation_scores(folder, truth) if (truth / "truth.json").exists() else {}
    near = nearest_neighbors(points, k=K_NEIGHBORS, metric="manhattan")
    return Representation(near, points, topics, f"mira_nb {__version__}", extra)


def regulation_scores(folder: Path, truth: Path) -> dict[str, float]:
    """Score NITE and drivers of a run of the embedded data; nothing for stages that did not run."""
    out: dict[str, float] = {}
    genes = folder / "stages" / "regulation" / "tables" / "genes.csv"
    if genes.exists():
        kind = pd.read_csv(truth / "truth_genes.tsv", sep="\t", index_col="gene_symbol")["kind"]
        table = pd.read_csv(genes).set_index("gene")
        out["nite_auc"] = nite_auc(pd.to_numeric(table["nite_score"]), kind)
    drivers = folder / "stages" / "drivers" / "tables" / "driver_factors.csv"
    if drivers.exists():
        facts = json.loads((truth / "truth.json").read_text(encoding="utf-8"))
        table = pd.read_csv(drivers)
        called = set(table.loc[table["called"].astype(str) == "True", "factor"])
        out["driver_f1"] = f1(called, set(facts["planted_factors"]))
    return out


def nite_auc(score: pd.Series, kind: pd.Series) -> float:
    """Return the area under the ROC curve of a score for planted NITE against planted LITE genes."""
    kind = kind.reindex(score.index)
    planted = kind.isin(["LITE", "NITE"]) & score.notna()
    return float(roc_auc_score(kind[planted] == "NITE", score[planted]))


def f1(called: set[str], planted: set[str]) -> float:
    """Return the harmonic mean of precision and recall; 0 where nothing right is called."""
    right = len(called & planted)
    return 2 * right / (len(called) + len(planted)) if right else 0.0
