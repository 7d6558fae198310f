"""Pseudotime and lineages at several depths of expression, from topics and from PCA and LSI.

    python -m tests.benchmarks.depth FOLDER [FOLDER ...]

Each FOLDER holds ``rna.h5ad``, ``atac.h5ad``, ``truth.npz`` and ``truth.json`` of a simulated set;
``python -m tests.benchmarks --parts depth`` simulates the embedded data at each depth. Numbers of topics are those
planted, the start cell is the planted root. Prints one JSON line per set and method.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import mira_nb
from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.trajectory.infer import Settings, build_manifold, differentiate
from mira_nb.datasets.simulate import SimulationParams, simulate

DEPTHS = (200.0, 500.0, 1000.0, 2000.0)
LATE = 0.8
"""Planted time after which a terminal cell of a lineage counts as its end."""


@dataclass(frozen=True)
class Planted:
    """A simulated set and what was planted in it.

    Attributes
    ----------
    name
        What it is called in the output.
    mdata
        The checked pair.
    time, lineage
        (cells,) planted pseudotime and lineage.
    n_topics
        Planted number of topics.
    root
        Name of the first cell.
    """

    name: str
    mdata: Any
    time: NDArray[np.float64]
    lineage: NDArray[np.str_]
    n_topics: int
    root: str


@dataclass(frozen=True)
class Found:
    """What a method found: (cells,) pseudotime, NaN where it has none, and positions of the terminal cells."""

    pseudotime: NDArray[np.float64]
    ends: list[int]


def read_planted(folder: Path) -> Planted:
    """Read a set written by a simulator."""
    truth, arrays = json.loads((folder / "truth.json").read_text()), np.load(folder / "truth.npz")
    lineage = ad.read_h5ad(folder / "rna.h5ad", backed="r").obs["true_lineage"].astype(str).to_numpy()
    mdata = mira_nb.read(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")
    return Planted(folder.name, mdata, arrays["pseudotime"], lineage, int(truth["K"]), str(truth["root_cell"]))


def simulate_planted(depth: float, seed: int) -> Planted:
    """Simulate the embedded data at a depth of expression (mean counts per cell)."""
    made = simulate(SimulationParams(depth=depth, seed=seed))
    obs = pd.DataFrame(index=pd.Index(made.cells.names))
    genes = pd.DataFrame(index=pd.Index(made.genome.genes["gene_symbol"].astype(str)))
    peaks = made.genome.peaks[["chrom", "start", "end"]].copy()
    peaks.index = pd.Index([f"{c}:{s}-{e}" for c, s, e in peaks.itertuples(index=False)])
    mdata = mira_nb.pair(
        ad.AnnData(made.expression, obs=obs, var=genes), ad.AnnData(made.accessibility, obs=obs.copy(), var=peaks)
    )
    lineage = np.array(["A", "B", "C"])[made.cells.lineage]
    return Planted(
        f"embedded, depth {depth:g}",
        mdata,
        made.cells.pseudotime,
        lineage,
        len(made.cells.topics),
        str(made.cells.names[0]),
    )


def from_topics(planted: Planted, *, seed: int = 0) -> Found:
    """Run this package's stages up to the trajectory; adds PCA and LSI to the data on the way."""
    data, k = planted.mdata, planted.n_topics
    mira_nb.topics_rna(data, n_topics=k, seed=seed)
    mira_nb.topics_atac(data, n_topics=k, seed=seed)
    mira_nb.joint(data, seed=seed)
    mira_nb.trajectory(data, start_cell=planted.root, draw_unsupported=True, seed=seed)
    tree = data.uns["lineage_tree"]
    return Found(data.obs["pseudotime"].to_numpy(float), _positions(planted, tree["terminal_cells"]))


def linear_space(planted: Planted) -> NDArray[np.float64]:
    """Return PCA of expression beside LSI of accessibility without its first component, each of total variance 1."""
    parts = [planted.mdata.mod["rna"].obsm["X_pca"], planted.mdata.mod["atac"].obsm["X_lsi"][:, 1:]]
    wide = [np.asarray(part, float) for part in parts]
    return np.hstack([(part - part.mean(0)) / np.sqrt(part.var(0).sum()) for part in wide])


def by_our_trajectory(planted: Planted, space: NDArray[np.float64], *, seed: int = 0) -> Found:
    """Infer the trajectory of a space by this package, without what it takes from topics."""
    joint = nearest_neighbors(space, k=15, seed=seed).to_sparse()
    start = planted.mdata.obs_names.get_loc(planted.root)
    manifold = build_manifold(joint, start, Settings(), seed=seed)
    result = differentiate(manifold, Settings())
    pseudotime = np.full(len(space), np.nan)
    pseudotime[manifold.cells] = result.pseudotime
    return Found(pseudotime, [int(cell) for cell in manifold.cells[result.ends]])


def by_palantir(planted: Planted, space: NDArray[np.float64], *, seed: int = 0) -> Found:
    """Run Palantir at its defaults, in one process."""
    import palantir

    names = planted.mdata.obs_names
    frame = pd.DataFrame(space, index=names)
    with contextlib.redirect_stdout(sys.stderr):
        diffusion = palantir.utils.run_diffusion_maps(frame, seed=seed)
        scaled = palantir.utils.determine_multiscale_space(diffusion)
        result = palantir.core.run_palantir(scaled, planted.root, n_jobs=1, seed=seed)
    pseudotime = result.pseudotime.reindex(names).to_numpy(float)
    return Found(pseudotime, _positions(planted, result.branch_probs.columns))


def _positions(planted: Planted, cells: Any) -> list[int]:
    return [int(planted.mdata.obs_names.get_loc(str(cell))) for cell in cells]


def score(planted: Planted, found: Found) -> dict[str, Any]:
    """Return Spearman's correlation with planted time, lineages with a late terminal cell, and terminal cells."""
    known = np.isfinite(found.pseudotime)
    late = [cell for cell in found.ends if planted.time[cell] > LATE]
    return {
        "spearman": float(stats.spearmanr(found.pseudotime[known], planted.time[known])[0]),
        "lineages_found": len({str(planted.lineage[cell]) for cell in late}),
        "lineages": len(np.unique(planted.lineage)),
        "terminal_cells": len(found.ends),
        "cells": int(known.sum()),
    }


def measure_depth(planted: Planted, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the scores of all methods on one set; a method that fails says so in its row."""
    mira_nb.prepare(planted.mdata, seed=seed)
    space = linear_space(planted)
    methods: dict[str, Callable[[], Found]] = {
        "topics": lambda: from_topics(planted, seed=seed),
        "pca_lsi": lambda: by_our_trajectory(planted, space, seed=seed),
        "pca_lsi_palantir": lambda: by_palantir(planted, space, seed=seed),
        "pca_palantir": lambda: by_palantir(planted, np.asarray(planted.mdata.mod["rna"].obsm["X_pca"]), seed=seed),
    }
    for name, method in methods.items():
        started = time.perf_counter()
        row: dict[str, Any] = {"part": "depth", "data": planted.name, "method": name}
        try:
            row |= score(planted, method())
        except Exception as error:  # of other packages too: a result here
            row["error"] = f"{type(error).__name__}: {error}"
        yield row | {"seconds": time.perf_counter() - started}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown table of all rows."""
    lines = [
        "| data | method | Spearman with planted time | lineages found | terminal cells |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        cells = [row["data"], row["method"]]
        if "error" in row:
            cells += [row["error"].replace("|", "/"), "", ""]
        else:
            cells += [f"{row['spearman']:.3f}", f"{row['lineages_found']} of {row['lineages']}"]
            cells.append(str(row["terminal_cells"]))
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def main() -> None:
    """Measure the sets of some folders."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.depth")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for folder in options.folders:
        for row in measure_depth(read_planted(folder), seed=options.seed):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
