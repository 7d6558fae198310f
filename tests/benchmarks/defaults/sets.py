"""Topic proportions that defaults are judged on: planted ones with noise, and fitted ones, of several kinds of data."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import anndata as ad
import numpy as np
import pandas as pd

import mira_nb
from mira_nb.core.representation.projections import ilr
from mira_nb.core.representation.reliability import split_half_reliability
from mira_nb.datasets.simulate import SimulationParams, simulate
from mira_nb.datasets.simulate_cells import FIRST_SPLIT, SECOND_SPLIT, Sampling
from mira_nb.keys import ATAC, RNA, X_TOPICS
from mira_nb.run.store import read_h5mu
from mira_nb.stages.base import Context
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.joint.weights import modality_weights
from mira_nb.typing import Floats

EMBEDDED: tuple[str, ...] = get_args(Sampling)
"""Kinds made by the embedded simulator, named by how they sample time."""
PEER = "peer"
SIZES: dict[str, dict[str, Any]] = {
    "embedded": {"n_cells": 1000, "n_genes": 600, "n_peaks": 4000},
    PEER: {"cells": 1000, "genes": 1200, "peaks": 5000},
}
SPLITS = (FIRST_SPLIT, SECOND_SPLIT)
"""Planted branch times: those of both simulators."""
NOISE = {RNA: 0.2, ATAC: 0.6}
"""Standard deviation of the noise on planted log proportions: accessibility is the shallower assay."""
FLOOR = JointParams().floor


@dataclass(frozen=True)
class Truth:
    """What was planted: time and lineage (0, 1, 2 for A, B, C) of each cell; cell 0 is the root."""

    time: Floats
    lineage: np.ndarray


@dataclass(frozen=True)
class TopicSet:
    """Topic proportions of both assays.

    Attributes
    ----------
    kind, seed
        Kind of data; seed of data and fit.
    source
        ``planted`` (with noise), or ``fitted``.
    rna, atac
        (n, K) proportions.
    weights
        Weights of the assays in the joint space by their reliability.
    labels
        (n,) annotated or planted states.
    truth
        None for real data.
    """

    kind: str
    seed: int
    source: str
    rna: Floats
    atac: Floats
    weights: tuple[float, float]
    labels: np.ndarray
    truth: Truth | None


@dataclass(frozen=True)
class Simulated:
    """A simulated pair with its truth."""

    data: Any
    planted: dict[str, Floats]
    labels: np.ndarray
    truth: Truth


def embedded(sampling: Sampling, seed: int) -> Simulated:
    """Simulate the embedded data with one way of sampling time."""
    made = simulate(SimulationParams(**SIZES["embedded"], seed=seed, sampling=sampling))
    cells, obs = made.cells, pd.DataFrame(index=pd.Index(made.cells.names))
    genes = pd.DataFrame(index=pd.Index(made.genome.genes["gene_symbol"].astype(str)))
    peaks = made.genome.peaks[["chrom", "start", "end"]].copy()
    peaks.index = pd.Index([f"{c}:{s}-{e}" for c, s, e in peaks.itertuples(index=False)])
    pair = mira_nb.pair(
        ad.AnnData(made.expression, obs=obs, var=genes), ad.AnnData(made.accessibility, obs=obs.copy(), var=peaks)
    )
    planted = {RNA: cells.theta_rna, ATAC: cells.theta_atac}
    return Simulated(pair, planted, cells.state.astype(str), Truth(cells.pseudotime, cells.lineage))


def peer(script: Path, folder: Path, seed: int) -> Simulated:
    """Simulate by a script of another author, which writes files as this package's simulator does."""
    if not (folder / "truth.npz").exists():
        sizes = [part for name, value in SIZES[PEER].items() for part in (f"--{name}", str(value))]
        command = [sys.executable, str(script), *sizes, "--seed", str(seed), "--out", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    labels = ad.read_h5ad(folder / "rna.h5ad").obs["true_state"].astype(str).to_numpy()
    with np.load(folder / "truth.npz") as arrays:
        planted = {name: arrays[f"theta_{name}"].astype(float) for name in (RNA, ATAC)}
        truth = Truth(arrays["pseudotime"], arrays["lineage"])
    return Simulated(mira_nb.read(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad"), planted, labels, truth)


def simulated(kind: str, seed: int, work: Path, script: Path | None) -> Simulated:
    """Simulate a set of one kind."""
    if kind != PEER:
        return embedded(kind, seed)  # type: ignore[arg-type]
    if script is None:
        raise SystemExit("the kind peer needs --peer FILE, the script of the simulator")
    return peer(script, work / f"peer-{seed}", seed)


def noisy(kind: str, seed: int, made: Simulated) -> TopicSet:
    """Disturb the planted proportions; weights are the reliability of two halves with twice the variance of noise."""
    found, reliability = {}, {}
    for number, (name, size) in enumerate(NOISE.items()):
        rng = np.random.default_rng([seed, 17, number])
        logs = np.log(np.maximum(made.planted[name], FLOOR))
        whole, *halves = (
            _proportions(logs + rng.normal(0, scale * size, logs.shape)) for scale in (1, np.sqrt(2), np.sqrt(2))
        )
        found[name] = whole
        reliability[name] = split_half_reliability(*(ilr(half, floor=FLOOR) for half in halves))
    top = max(reliability.values())
    weights = (reliability[RNA] / top, reliability[ATAC] / top)
    return TopicSet(kind, seed, "planted", found[RNA], found[ATAC], weights, made.labels, made.truth)


def _proportions(logs: Floats) -> Floats:
    values = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def fitted(kind: str, seed: int, made: Simulated, work: Path) -> TopicSet:
    """Fit both topic models with the planted number of topics, once; kept in the folder `work`."""
    file = work / f"{kind}-{seed}.npz"
    if not file.exists():
        data = made.data
        mira_nb.prepare(data, seed=seed)
        mira_nb.topics_rna(data, n_topics=made.planted[RNA].shape[1], seed=seed)
        mira_nb.topics_atac(data, n_topics=made.planted[ATAC].shape[1], seed=seed)
        weights = modality_weights(data, "reliability", floor=FLOOR, context=Context(seed=seed, n_threads=1))
        topics: dict[str, Any] = {name: np.asarray(data.mod[name].obsm[X_TOPICS], float) for name in (RNA, ATAC)}
        np.savez(file, weights=[weights.rna, weights.atac], facts=json.dumps(weights.reliability), **topics)
    with np.load(file) as kept:
        rna, atac = kept[RNA], kept[ATAC]
        weights_kept = (float(kept["weights"][0]), float(kept["weights"][1]))
    return TopicSet(kind, seed, "fitted", rna, atac, weights_kept, made.labels, made.truth)


def of_run(kind: str, seed: int, folder: Path, column: str) -> TopicSet:
    """Read topics and labels of real data from a run folder; cells without a label are left out."""
    data = read_h5mu(folder / "results.h5mu")
    weights = modality_weights(data, "reliability", floor=FLOOR, context=Context(seed=seed, n_threads=1))
    if weights.fallback:
        raise SystemExit(f"{folder}: reliability was not measured ({weights.fallback})")
    columns = [frame[column] for frame in (data.obs, data.mod[RNA].obs) if column in frame]
    if not columns:
        raise SystemExit(f"{folder}: no cell annotation {column}")
    labelled = columns[0].notna().to_numpy()
    rna, atac = (np.asarray(data.mod[name].obsm[X_TOPICS], float)[labelled] for name in (RNA, ATAC))
    labels = columns[0].astype(str).to_numpy()[labelled]
    return TopicSet(kind, seed, "fitted", rna, atac, (weights.rna, weights.atac), labels, None)
