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

from .scores import K_NEIGHBORS, Representation
from .sets import CellSet

LIKE_FOR_LIKE = "regulation.other_promoters=keep"
"""The reference computes the mask of other genes' promoters and discards it."""


TUNED = ("n_topics", "initial_pseudocounts", "start_power", "shrinkage_power", "holdout_fraction")
"""Settings of a topic model that the tuning chooses."""


def run(cells: CellSet, out: Path) -> None:
    """Run the pipeline, whole for a simulation and up to the joint space for real data; what is done is taken over."""
    if cells.truth:
        _finish(["demo", "--seed", str(cells.seed)], [LIKE_FOR_LIKE], out)
    else:
        run_joint(cells, [], out)


def run_joint(cells: CellSet, settings: list[str], out: Path) -> None:
    """Run the pipeline from files up to the joint space."""
    files = [part for name in ("rna", "atac") for part in (f"--{name}", str(cells.folder / f"{name}.h5ad"))]
    _finish(["run", *files, "--until", "joint", "--seed", str(cells.seed)], settings, out)


def tuned(folder: Path) -> list[str]:
    """Return the settings that the tuning of a run chose, as ``STAGE.NAME=VALUE``."""
    out = []
    for stage in ("topics_rna", "topics_atac"):
        record = json.loads((folder / "stages" / stage / "stage.json").read_text(encoding="utf-8"))
        used = {row["name"]: row.get("used", row.get("value")) for row in record["parameters"]}
        out += [f"{stage}.{name}={used[name]}" for name in TUNED]
    return out


def _finish(command: list[str], settings: list[str], out: Path) -> None:
    given = [part for value in settings for part in ("--set", value)]
    done = mira_nb(*command, *given, "--out", out)
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
