"""Data that methods are scored on: real sets with annotated cells, and simulations with planted truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from anndata import read_h5ad
from scipy import sparse

from mira_nb.datasets.write import write_demo

SIMULATIONS = (0, 1, 2)
"""Seeds of the embedded simulation."""


@dataclass(frozen=True)
class CellSet:
    """Paired counts of the same cells.

    Attributes
    ----------
    name, seed
        Name of the set; seed of the simulation and of the methods (0 for real data).
    rna, atac
        (cells, genes) counts and (cells, peaks) zeros and ones.
    labels
        (cells,) annotated or planted cell state.
    folder
        Where the files are.
    digest
        First 16 digits of the SHA-256 of counts and labels.
    truth
        Planted arrays; empty for real data.
    """

    name: str
    seed: int
    rna: sparse.csr_matrix
    atac: sparse.csr_matrix
    labels: np.ndarray
    folder: Path
    digest: str = ""
    truth: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name and seed."""
        return f"{self.name}-{self.seed}"


def digest(*arrays: Any) -> str:
    """Return the first 16 digits of the SHA-256 of sparse matrices and arrays, whatever their integer width."""
    found = hashlib.sha256()
    for array in arrays:
        if sparse.issparse(array):
            matrix = sparse.csr_matrix(array)
            matrix.sort_indices()
            for part, kind in ((matrix.indptr, "<i8"), (matrix.indices, "<i8"), (matrix.data, "<f8")):
                found.update(np.ascontiguousarray(part.astype(kind)).tobytes())
        else:
            found.update("\n".join(map(str, np.asarray(array).ravel())).encode())
    return found.hexdigest()[:16]


def _made(name: str, seed: int, folder: Path, label: str, truth: dict[str, Any]) -> CellSet:
    rna, atac = (read_h5ad(folder / f"{part}.h5ad") for part in ("rna", "atac"))
    counts, peaks = sparse.csr_matrix(rna.X), sparse.csr_matrix(atac.X)
    peaks.data = np.ones_like(peaks.data)
    labels = rna.obs[label].astype(str).to_numpy()
    return CellSet(name, seed, counts, peaks, labels, folder, digest(counts, peaks, labels), truth)


def cortex(data: Path, _: Path, seed: int) -> CellSet:
    """Read SNARE-seq of the adult mouse cortex (Chen et al. 2019), 10,309 cells, 15 annotated clusters."""
    return _made("cortex", seed, data / "snareseq_mouse_cortex", "cluster", {})


def embedded(_: Path, work: Path, seed: int) -> CellSet:
    """Simulate the embedded data: 1,200 cells on a tree of three lineages."""
    folder = work / "data" / f"embedded-{seed}"
    demo = write_demo(folder, seed=seed)
    with np.load(demo.truth, allow_pickle=False) as arrays:
        truth = {name: arrays[name] for name in ("theta_rna", "theta_atac", "pseudotime", "lineage")}
    return _made("embedded", seed, folder, "cell_type", truth)


SETS: dict[str, tuple[Callable[[Path, Path, int], CellSet], tuple[int, ...]]] = {
    "cortex": (cortex, (0,)),
    "embedded": (embedded, SIMULATIONS),
}
"""How each set is made, and its seeds."""
