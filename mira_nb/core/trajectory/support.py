"""Trajectory evidence: whether there is a trajectory at all, and whether both assays see it.

In cells of one type the topics still vary, but mostly by noise; a shortest-path distance orders such cells just as
confidently as a differentiation. Two things tell them apart. Noise is not shared: a real progress can be predicted
from expression alone and from accessibility alone, and the two predictions agree cell by cell. And noise is round: a
differentiation is a long path through few states at a time, so that a random walk needs many steps from one end to the
other, which shows as a second eigenvalue of the diffusion map close to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.typing import Floats

Verdict = Literal["supported", "weak", "none"]

SUPPORTED: Final = 0.6
"""Correlation of the assays from which a trajectory is supported; planted forks give 0.995 to 0.997."""
UNSUPPORTED: Final = 0.4
"""Correlation below which there is none on a short path; halfway between noise and what is supported."""
NOISE: Final = 0.2
"""Correlation below which there is none at all: one planted type, whose assays share nothing, gives -0.04 to 0.06 in
11 draws of 700 to 2,000 cells; 398 oligodendrocyte cells of 82 open peaks each, along a real path, give 0.37."""
SLOW: Final = 0.95
"""Second eigenvalue from which a path is long; planted forks of 700 cells give 0.998."""
ROUND: Final = 0.9
"""Second eigenvalue below which cells are a round cloud: one planted type gives 0.89 to 0.90 at 700 cells, 0.91 to 0.92
at 1,000 of 2,000; the correlation has to tell those apart."""
EIGENVALUE_CELLS: Final = 1000
"""Cells of the sample, so that the eigenvalue can be compared between data sets: it rises with the density."""


@dataclass(frozen=True)
class SupportRules:
    """Bounds of the verdict; defaults and their sources are the constants of this module.

    Attributes
    ----------
    supported, unsupported, noise
        Correlations of the assays: supported from the first, none below the second (on a long path below the third).
    slow, round
        Second eigenvalues: a long path from the first, a round cloud, and so no trajectory, below the second.
    """

    supported: float = SUPPORTED
    unsupported: float = UNSUPPORTED
    noise: float = NOISE
    slow: float = SLOW
    round: float = ROUND


@dataclass(frozen=True)
class TrajectoryEvidence:
    """Evidence for a trajectory.

    Attributes
    ----------
    correlation
        Pearson correlation over cells between the pseudotimes predicted from either assay alone; near 1 for a real
        progress, near 0 for noise.
    explained_rna, explained_atac
        Correlation of each prediction with pseudotime itself.
    eigenvalue
        Second eigenvalue of the diffusion map of at most 1,000 cells; near 1 for a long path, about 0.8 to 0.9 for a
        round cloud.
    n_cells
        Cells over which the correlation was taken.
    rules
        Bounds of the verdict.
    """

    correlation: float
    explained_rna: float
    explained_atac: float
    eigenvalue: float
    n_cells: int
    rules: SupportRules = SupportRules()

    @property
    def verdict(self) -> Verdict:
        """Return ``supported``, ``weak`` or ``none``.

        Shallow accessibility agrees with expression little even along a real path (see :data:`NOISE`); where the path
        is long, agreement above that of noise is enough for ``weak``.
        """
        rules = self.rules
        least = rules.noise if self.eigenvalue >= rules.slow else rules.unsupported
        if not (self.correlation >= least and self.eigenvalue >= rules.round):
            return "none"
        return "supported" if self.correlation >= rules.supported and self.eigenvalue >= rules.slow else "weak"


def judge_support(
    pseudotime: Floats,
    rna: Floats,
    atac: Floats,
    *,
    k: int = 30,
    max_cells: int = 20_000,
    seed: int = 0,
    rules: SupportRules | None = None,
) -> TrajectoryEvidence:
    """Compare what each assay alone says of pseudotime, and measure how long the path is.

    Parameters
    ----------
    pseudotime
        (n,) values.
    rna, atac
        (n, d) log-ratio coordinates of the topics of each assay.
    k
        Neighbours averaged to predict; the cell's own value does not enter.
    max_cells
        A random sample of this size is used above it.
    rules
        Bounds of the verdict; None: the defaults.
    """
    chosen = _sample(len(pseudotime), max_cells, seed)
    target = np.asarray(pseudotime, dtype=np.float64)[chosen]
    predictions = []
    for space in (rna, atac):
        indices = nearest_neighbors(space[chosen], k=k, seed=seed).indices
        predictions.append(target[indices].mean(axis=1))
    return TrajectoryEvidence(
        correlation=_correlation(*predictions),
        explained_rna=_correlation(predictions[0], target),
        explained_atac=_correlation(predictions[1], target),
        eigenvalue=second_eigenvalue(np.column_stack([rna, atac]), seed=seed),
        n_cells=len(chosen),
        rules=rules or SupportRules(),
    )


def second_eigenvalue(points: Floats, *, k: int = 15, max_cells: int = EIGENVALUE_CELLS, seed: int = 0) -> float:
    """Compute the second eigenvalue of the diffusion map (adaptive kernel, Manhattan neighbours) of a sample of cells.

    The sample makes the number comparable between data sets: a walk crosses a denser cloud in more steps.
    """
    from scipy.sparse.linalg import eigsh

    from .pseudotime import adaptive_kernel

    sample = points[_sample(len(points), max_cells, seed)]
    if len(sample) < k + 2:
        return 0.0
    kernel = adaptive_kernel(nearest_neighbors(sample, k=k, metric="manhattan", seed=seed).to_sparse())
    root = np.sqrt(np.asarray(kernel.sum(axis=1)).ravel())
    symmetric = sparse.diags(1 / root) @ kernel @ sparse.diags(1 / root)
    values = eigsh(symmetric, k=2, which="LA", v0=root + root.mean() * 0.1 * np.cos(np.arange(len(root))))[0]
    return float(np.sort(values)[0])


def _sample(n: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """Return rows of a random sample, ascending; all when there are few."""
    if n <= wanted:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, 7]).choice(n, wanted, replace=False))


def _correlation(first: Floats, second: Floats) -> float:
    """Return the Pearson correlation, 0 where one side does not vary."""
    if np.std(first) <= 1e-12 or np.std(second) <= 1e-12:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
