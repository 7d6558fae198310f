"""Deviance residuals of counts under a constant-composition model (Extended Methods, Encoder network architecture).

With depth n_i and pooled fraction pi_j, the binomial deviance residual of a count x is

    sign(x - n pi) sqrt(2 [x log(x / (n pi)) + (n - x) log((n - x) / (n - n pi))])

At a zero it is -sqrt(-2 n log(1 - pi)): a product of a cell factor and a gene factor, so only the residuals at
non-zero counts are stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

CLIP = 10.0
"""Residuals are clipped at +-10, for stability (``docs/decisions/08-encoder-rna.md``)."""


@dataclass(frozen=True)
class Residuals:
    """Residuals of cells x encoder genes: those at non-zero counts (CSR) and the factors of those at zeros."""

    stored: sparse.csr_matrix
    cell_factor: NDArray[np.float32]
    gene_factor: NDArray[np.float32]

    def rows(self, cells: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return dense residuals of some cells, (len(cells), genes), clipped at +-10."""
        stored = self.stored
        out = np.empty((len(cells), stored.shape[1]), np.float32)
        _fill(cells, stored.indptr, stored.indices, stored.data, self.cell_factor, self.gene_factor, out)
        return out


@njit(cache=True, nogil=True)
def _fill(
    cells: Any, indptr: Any, genes: Any, values: Any, cell_factor: Any, gene_factor: Any, out: Any
) -> None:  # fmt: skip
    """Write residuals at zeros, then those at counts, of each cell while its row is in the cache."""
    for i in range(cells.shape[0]):
        cell, row = cells[i], out[i]
        factor = cell_factor[cell]
        for j in range(row.shape[0]):
            row[j] = max(-factor * gene_factor[j], np.float32(-CLIP))
        for p in range(indptr[cell], indptr[cell + 1]):
            row[genes[p]] = values[p]


def deviance_residuals(
    counts: sparse.csr_matrix, depth: NDArray[np.floating], shares: NDArray[np.floating]
) -> Residuals:
    """Compute residuals of ``counts`` (cells x genes) given depths over all modelled genes and pooled fractions."""
    n = np.asarray(depth, np.float64)
    # a gene never seen in training has no expectation: its residual is bounded by half a count of that depth
    pi = np.clip(np.asarray(shares, np.float64), 1e-9, 1 - 1e-9)
    values = np.empty(counts.nnz, np.float32)
    _at_counts(n, pi, counts.indptr, counts.indices, counts.data, values)
    stored = sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    seen = np.where(np.asarray(shares) > 0, pi, 0.0)
    return Residuals(stored, np.sqrt(n).astype(np.float32), np.sqrt(-2 * np.log1p(-seen)).astype(np.float32))


@njit(cache=True, nogil=True)
def _at_counts(depth: Any, shares: Any, indptr: Any, genes: Any, counts: Any, values: Any) -> None:
    """Fill in residuals of non-zero counts one at a time: double-precision arrays of them would be the largest."""
    for i in range(depth.shape[0]):
        n = depth[i]
        for p in range(indptr[i], indptr[i + 1]):
            x, pi = np.float64(counts[p]), shares[genes[p]]
            deviance = x * math.log(x / (n * pi))
            if x < n:
                deviance += (n - x) * math.log((n - x) / (n - n * pi))
            root = math.sqrt(2 * max(deviance, 0.0))
            values[p] = min(root, CLIP) if x > n * pi else max(-root, -CLIP)
