"""Stability of this package's trajectories: ten random subsamples of 95 % of the cells, fitted anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from anndata import read_h5ad

from mira_nb.datasets.simulate_cells import FIRST_SPLIT, SECOND_SPLIT

from . import ours
from .scores import planted_trajectory
from .sets import CellSet

N_SUBSAMPLES, FRACTION = 10, 0.95


def draw(n_cells: int, seed: int) -> Iterable[np.ndarray]:
    """Return the rows of each subsample, in their order; the start cell, row 0, is in all of them."""
    rng = np.random.default_rng(seed)
    for _ in range(N_SUBSAMPLES):
        others = rng.choice(np.arange(1, n_cells), size=round(FRACTION * n_cells) - 1, replace=False)
        yield np.concatenate([[0], np.sort(others)])


def part(cells: CellSet, rows: np.ndarray, folder: Path) -> CellSet:
    """Write a subsample, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("rna", "atac"):
        read_h5ad(cells.folder / f"{name}.h5ad")[rows].copy().write_h5ad(folder / f"{name}.h5ad")
    truth = {name: values[rows] for name, values in cells.truth.items()}
    return replace(
        cells, rna=cells.rna[rows], atac=cells.atac[rows], labels=cells.labels[rows], folder=folder, truth=truth
    )


def score(cells: CellSet, whole: Path, work: Path) -> dict[str, float]:
    """Return what the subsamples of a simulation give: means, and standard deviations between subsamples.

    Topic models are fitted with the settings that the run of all cells, in the folder `whole`, chose. Branch times are
    those of the subsamples in which the topology is right.
    """
    order, right, times, settings = [], [], [], ours.tuned(whole)
    for number, rows in enumerate(draw(len(cells.labels), cells.seed)):
        drawn = part(cells, rows, work / "data" / f"{cells.key}-part-{number}")
        out = work / "runs" / f"{cells.key}-part-{number}"
        ours.run_joint(drawn, settings, out)
        rho, branches = planted_trajectory(ours.read(out), drawn.truth)
        order.append(rho)
        right.append(len(branches) > 0)
        times += [branches] if len(branches) else []
    found = {"n": len(order), "spearman": np.mean(order), "spearman_sd": np.std(order, ddof=1)}
    found["right"] = sum(right)
    if len(times) > 1:
        for name, planted, values in zip(
            ("first", "second"), (FIRST_SPLIT, SECOND_SPLIT), np.transpose(times), strict=True
        ):
            found |= {f"{name}_planted": planted, name: values.mean(), f"{name}_sd": values.std(ddof=1)}
    return {name: float(value) for name, value in found.items()}
