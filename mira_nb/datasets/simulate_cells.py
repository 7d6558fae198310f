"""Simulated cells: their positions on a branching differentiation and their topic proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

LINEAGES: Final = ("A", "B", "C")
FIRST_SPLIT: Final = 0.35
SECOND_SPLIT: Final = 0.60
TRAJECTORY_TOPICS: Final = ("root", "prog", "progBC", "A", "B", "C")
_STATES: Final = ("Root", "Progenitor", "Progenitor BC", "A", "B", "C")
_CONCENTRATION: Final = 80.0
Sampling = Literal["even", "late", "bursts"]
"""How cells are spread over time: evenly over time and lineages; mostly late, as in adult tissue; or in two bursts,
with lineages of 50, 30 and 20 %."""
SAMPLINGS: Final = get_args(Sampling)
BURSTS: Final = (0.25, 0.8)
"""Times around which half of the cells stand when they are sampled in bursts, with a standard deviation of .08."""
BURST_LINEAGES: Final = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Cells:
    """Simulated cells.

    Attributes
    ----------
    names
        Barcodes. Cell 0 is the root, cells 1 to 3 are the latest of lineages A, B, C.
    pseudotime
        True time in [0, 1].
    lineage
        0, 1, 2 for A, B, C: where the cell is heading, also before the splits.
    state
        Segment of the tree: Root, Progenitor, Progenitor BC, A, B, C.
    batch
        Batch number.
    theta_rna, theta_atac
        Cells x topics, rows sum to 1; accessibility runs ahead of expression.
    topics
        Topic names.
    """

    names: np.ndarray
    pseudotime: np.ndarray
    lineage: np.ndarray
    state: np.ndarray
    batch: np.ndarray
    theta_rna: np.ndarray
    theta_atac: np.ndarray
    topics: tuple[str, ...]


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Return the smoothstep of x: 0 below 0, 1 above 1, 3 x^2 - 2 x^3 in between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def trajectory_weights(time: np.ndarray, lineage: np.ndarray) -> np.ndarray:
    """Return the proportion of each trajectory topic at a position of the tree root -> progenitor -> {A | (B | C)}.

    Parameters
    ----------
    time
        (n,) in [0, 1].
    lineage
        (n,) 0, 1, 2.

    Returns
    -------
    array
        n x 6, rows sum to 1, continuous in time along each lineage.
    """
    late = smoothstep((time - FIRST_SPLIT) / 0.35)
    root = np.exp(-((time / 0.18) ** 2))
    progenitor = np.exp(-(((time - 0.32) / 0.14) ** 2)) * (1.0 - 0.65 * late)
    between = smoothstep((time - FIRST_SPLIT) / 0.15) * (1.0 - smoothstep((time - SECOND_SPLIT) / 0.25))
    columns = [root, progenitor, np.where(lineage > 0, between, 0.0)]
    for index, split in enumerate((FIRST_SPLIT, SECOND_SPLIT, SECOND_SPLIT)):
        columns.append(np.where(lineage == index, smoothstep((time - split) / (0.8 * (1.0 - split))), 0.0))
    weights = np.stack(columns, axis=1) + 0.01
    return weights / weights.sum(axis=1, keepdims=True)


def make_cells(
    n_cells: int,
    *,
    lead: float,
    n_batches: int,
    trajectory: bool,
    rng: np.random.Generator,
    sampling: Sampling = "even",
) -> Cells:
    """Place cells on the tree and draw their topic proportions.

    Parameters
    ----------
    n_cells
        At least 4.
    lead
        How far (in pseudotime) chromatin runs ahead of expression.
    n_batches
        Cells are assigned to batches at random.
    trajectory
        False: one cell type, every cell has the same topic proportions (negative control).
    sampling
        How cells are spread over time and lineages.
    """
    time, lineage = _sampled(n_cells, sampling, rng)
    time[0] = 0.0
    time[1:4], lineage[1:4] = 1.0, (0, 1, 2)
    # a programme of its own, such as the cell cycle: in every state, from hardly to strongly without a gap, so that
    # it does not split the differentiation into two copies
    cycling = 0.02 + 0.9 * rng.beta(0.6, 1.2, n_cells)
    cycling[:4] = 0.01
    names = _barcodes(n_cells, rng)
    batch = rng.integers(0, max(1, n_batches), n_cells)
    topics = (*TRAJECTORY_TOPICS, "cycle")
    if not trajectory:
        weights = _with_cycle(trajectory_weights(np.full(n_cells, 0.32), np.zeros(n_cells, int)), np.full(n_cells, 0.1))
        return Cells(
            names, np.zeros(n_cells), np.zeros(n_cells, int), np.full(n_cells, "Single type", dtype=object), batch,
            weights, weights.copy(), topics,
        )  # fmt: skip
    ahead = np.clip(time + lead, 0.0, 1.0)
    theta_rna = _dirichlet(_CONCENTRATION * _with_cycle(trajectory_weights(time, lineage), cycling), rng)
    theta_atac = _dirichlet(_CONCENTRATION * _with_cycle(trajectory_weights(ahead, lineage), cycling), rng)
    return Cells(names, time, lineage, _states(time, lineage), batch, theta_rna, theta_atac, topics)


def _sampled(n_cells: int, sampling: Sampling, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw time and lineage of the cells."""
    if sampling == "bursts":
        lineage = rng.choice(3, n_cells, p=BURST_LINEAGES)
        centre = np.where(rng.random(n_cells) < 0.5, *BURSTS)
        burst = np.clip(rng.normal(centre, 0.08), 0.0, 1.0)
        return np.where(rng.random(n_cells) < 0.5, burst, rng.random(n_cells)), lineage
    lineage = rng.integers(0, 3, n_cells)
    time = rng.random(n_cells)
    return (np.sqrt(time) if sampling == "late" else time), lineage


def cell_table(cells: Cells, *, n_batches: int) -> pd.DataFrame:
    """Return the table of cells an experimenter would have: annotation and, when there are several, the batch."""
    frame = pd.DataFrame({"cell_type": pd.Categorical(cells.state)}, index=pd.Index(cells.names))
    if n_batches > 1:
        frame["batch"] = pd.Categorical([f"batch{number + 1}" for number in cells.batch])
    return frame


def _with_cycle(weights: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    return np.concatenate([weights * (1.0 - fraction)[:, None], fraction[:, None]], axis=1)


def _dirichlet(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draws = rng.gamma(alpha) + 1e-12
    return draws / draws.sum(axis=1, keepdims=True)


def _states(time: np.ndarray, lineage: np.ndarray) -> np.ndarray:
    conditions = [
        time < 0.16,
        time < FIRST_SPLIT,
        (lineage > 0) & (time < SECOND_SPLIT),
        lineage == 0,
        lineage == 1,
    ]
    return np.select(conditions, list(_STATES[:5]), default=_STATES[5]).astype(object)


def _barcodes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return distinct 16-letter barcodes with the usual suffix."""
    letters = np.array(list("ACGT"))
    out: dict[str, None] = {}
    while len(out) < n:
        for row in rng.integers(0, 4, (n, 16)):
            out["".join(letters[row]) + "-1"] = None
    return np.array(list(out)[:n], dtype=object)
