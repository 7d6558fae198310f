"""Sparse counts of a topic mixture at any size, for timing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

BLOCK = 500


def write_counts(folder: Path, *, n_cells: int, n_genes: int, n_peaks: int, n_topics: int = 7, seed: int = 0) -> None:
    """Write rna.npz and atac.npz (CSR, cells x features; peaks 0 or 1).

    A cell draws its proportions from a sparse Dirichlet distribution, its counts from the mixed profile: about 4,000
    molecules and 3,000 fragments a cell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    proportions = rng.dirichlet(np.full(n_topics, 0.2), n_cells)
    for name, n_features, depth in (("rna", n_genes, 4000), ("atac", n_peaks, 3000)):
        profiles = rng.gamma(0.3, size=(n_topics, n_features)) + 0.01
        profiles /= profiles.sum(1, keepdims=True)
        blocks = []
        for first in range(0, n_cells, BLOCK):
            part = proportions[first : first + BLOCK]
            mixed = part @ profiles
            depths = rng.lognormal(np.log(depth), 0.3, len(part)).astype(int)
            counts = np.stack([rng.multinomial(n, p / p.sum()) for n, p in zip(depths, mixed, strict=True)])
            blocks.append(sparse.csr_matrix(counts.astype(np.float32)))
        matrix = sparse.vstack(blocks, format="csr")
        if name == "atac":
            matrix.data[:] = 1.0
        matrix = matrix[:, np.flatnonzero(np.asarray(matrix.sum(0)).ravel() > 0)]
        sparse.save_npz(folder / f"{name}.npz", matrix, compressed=False)
