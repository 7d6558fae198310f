"""Test single pairs of a peak and a gene: whether the gene's expression goes with the peak being open.

LITE weighs the peaks of a gene by their distance alone, so that its weights do not say which of two neighbours counts.
Here each pair is tested by itself, in two ways:

* Permuted cells: the partial correlation over cells of the log expression and the open peak, given the log read depths
  of both assays, against the same with the gene's residuals permuted over cells (one-sided, positive). Correlations of
  permuted cells have mean 0 and variance 1/(N - 1) exactly; their tails depend on how often peak and gene are seen.
  Those of all pairs in the same quartiles of both are therefore pooled, which gives p-values fine enough for a false
  discovery rate over all pairs.
* Other chromosomes: the rank of the correlation among peaks of other chromosomes that are open about as often. Cells
  differ in whole programmes, and a gene goes with every peak of its programme: a pair can be beyond doubt by the first
  test and common by the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.errors import InputError
from mira_nb.typing import Floats, Ints, Progress

from .fit import results_in_order
from .geometry import PeakSets
from .permuted import OpenPeaks, places, tails

_PEAKS: Final = 4096
"""Peaks whose values are widened together."""
BLOCK: Final = 256
"""Genes of one chromosome at a time, which bounds the dense (genes, cells) array."""

STRATA: Final = 4
"""Quantile groups of peaks, and of genes, within which permuted correlations are pooled."""

BINS: Final = 10
"""Quantile groups of accessibility within which peaks of other chromosomes are comparable."""

FEWEST_BACKGROUND: Final = 20
"""Comparable peaks of other chromosomes below which there is no rank among them."""

_NOTHING: Final = 1e-9
"""Fraction of a vector's squared length below which what the read depths leave of it is rounding noise."""


@dataclass(frozen=True)
class LinkTests:
    """Tests of every pair of a gene and a peak of its set, in the order of the peak sets, (pairs,) each.

    Attributes
    ----------
    correlation
        Partial correlation over cells; NaN where peak or gene do not vary.
    pvalue
        One-sided p-value against permuted cells; NaN like the correlation.
    background
        Fraction of comparable peaks of other chromosomes with at least this correlation, the pair itself counted; NaN
        with fewer than :data:`FEWEST_BACKGROUND` of them.
    n_permuted
        Permuted correlations behind each p-value.
    """

    correlation: Floats
    pvalue: Floats
    background: Floats
    n_permuted: Ints


@dataclass(frozen=True)
class _Open:
    """Which peaks are open in which cells, and what the read depths explain of it.

    Attributes
    ----------
    matrix
        (N, P) ones and zeros, CSC.
    basis
        (N, Q) orthonormal basis of intercept and log read depths.
    explained
        (P, Q) products of peaks and basis.
    length
        (P,) length of what the basis leaves of a peak; NaN where that is nothing.
    """

    matrix: sparse.csc_matrix
    basis: Floats
    explained: Floats
    length: Floats

    @classmethod
    def make(cls, is_open: sparse.spmatrix, depths: Floats) -> _Open:
        matrix = sparse.csc_matrix(is_open, dtype=np.int8)  # an eighth of the width of what is computed with it
        matrix.eliminate_zeros()
        matrix.data[:] = 1
        basis = _basis(depths)
        explained = np.empty((matrix.shape[1], basis.shape[1]))
        for start in range(0, len(explained), _PEAKS):
            part = slice(start, start + _PEAKS)
            explained[part] = matrix[:, part].T.astype(np.float64) @ basis
        total = np.diff(matrix.indptr).astype(np.float64)
        left = total - (explained**2).sum(axis=1)
        length = np.sqrt(np.where(left > _NOTHING * np.maximum(total, 1.0), left, np.nan))
        return cls(matrix, basis, explained, length)


def _basis(depths: Floats) -> Floats:
    """Return an orthonormal basis of the intercept and the log depths, (N, Q); what does not vary is left out."""
    columns = np.log(np.maximum(depths, 1e-3))
    columns = columns - columns.mean(axis=0)
    spread = columns.std(axis=0)
    varying = columns[:, spread > 1e-9] / spread[spread > 1e-9]
    left, size, _ = np.linalg.svd(varying, full_matrices=False)
    kept = left[:, size > 1e-6 * max(size.max(initial=0.0), 1e-12)]
    return np.ascontiguousarray(np.column_stack([np.full(len(columns), len(columns) ** -0.5), kept]))


@dataclass(frozen=True)
class CellDepths:
    """Read depths of the cells.

    Attributes
    ----------
    expression
        (N,) read depth of expression.
    n_open
        (N,) open peaks of each cell.
    """

    expression: NDArray
    n_open: NDArray


@dataclass(frozen=True)
class LinkPlan:
    """How finely pairs are tested.

    Attributes
    ----------
    n_permutations
        Permutations of the cells.
    n_background
        Largest number of comparable peaks of other chromosomes.
    """

    n_permutations: int = 100
    n_background: int = 200


PLAN: Final = LinkPlan()


def score_links(
    is_open: sparse.spmatrix,
    counts: sparse.spmatrix,
    *,
    depths: CellDepths,
    sets: PeakSets,
    peak_chrom: NDArray,
    generator: np.random.Generator,
    plan: LinkPlan = PLAN,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> LinkTests:
    """Test all pairs of the peak sets.

    Parameters
    ----------
    is_open
        (N, P) accessibility; a peak counts as open where it is not 0.
    counts
        (N, G) raw counts of the genes of `sets`.
    depths
        Read depths of the cells in both assays.
    sets
        Peaks of each gene, numbered among the P.
    peak_chrom
        (P,) chromosome of each peak, named as in ``sets.chrom``.
    plan
        Numbers of permutations and of peaks of other chromosomes.
    n_threads
        Genes at the same time; the result does not depend on it.

    Raises
    ------
    InputError
        Numbers of cells, genes or peaks do not go together.
    """
    n, n_peaks = is_open.shape
    depth, n_open = depths.expression, depths.n_open
    if counts.shape != (n, len(sets.genes)) or len(peak_chrom) != n_peaks or len(depth) != n or len(n_open) != n:
        raise InputError(
            f"counts {counts.shape}, depth {len(depth)}, open peaks {len(n_open)}, chromosomes {len(peak_chrom)}",
            expected=f"{n} cells, {len(sets.genes)} genes, {n_peaks} peaks",
        )
    peaks = _Open.make(is_open, np.column_stack([depth, n_open]))
    columns = sparse.csc_matrix(counts)
    report = progress or (lambda _fraction, _message: None)
    work = _Work(peaks, columns, np.asarray(depth, dtype=np.float64), sets)
    observed, background = work.observe(np.asarray(peak_chrom).astype(str), plan.n_background, generator)
    report(0.2, "correlations of peaks and genes")
    pvalue, n_permuted = work.permute(
        observed,
        plan.n_permutations,
        generator,
        n_threads,
        lambda fraction, message: report(0.2 + 0.8 * fraction, message),
    )
    return LinkTests(observed, pvalue, background, n_permuted)


@dataclass(frozen=True)
class _Work:
    """The data of all pairs."""

    peaks: _Open
    counts: sparse.csc_matrix
    depth: Floats
    sets: PeakSets

    def residuals(self, genes: Ints) -> Floats:
        """Return what the read depths leave of log expression, length 1 (0 where nothing is left), (genes, N)."""
        scale = float(np.median(self.depth)) / np.maximum(self.depth, 1e-3)
        values = np.log1p(self.counts[:, genes].toarray().T * scale)
        total = (values**2).sum(axis=1)
        values -= (values @ self.peaks.basis) @ self.peaks.basis.T
        square = (values**2).sum(axis=1)
        length = np.sqrt(np.where(square > _NOTHING * np.maximum(total, 1e-300), square, np.inf))
        return np.ascontiguousarray(values / length[:, None])

    def observe(
        self, peak_chrom: NDArray[np.str_], n_background: int, generator: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Return correlations of all pairs and their ranks among comparable peaks of other chromosomes."""
        sets, peaks = self.sets, self.peaks
        observed, rank = np.full((2, len(sets.peak)), np.nan)
        openness = np.diff(peaks.matrix.indptr)
        groups = _quantile_groups(openness.astype(np.float64), BINS)
        by_peak = peaks.matrix.T.tocsr()
        for chrom in dict.fromkeys(sets.chrom[sets.n_peaks > 0]):
            genes = np.flatnonzero((sets.chrom == chrom) & (sets.n_peaks > 0))
            elsewhere = np.flatnonzero((peak_chrom != str(chrom)) & np.isfinite(peaks.length))
            chosen = [
                np.sort(generator.permutation(elsewhere[groups[elsewhere] == group])[:n_background])
                for group in range(BINS)
            ]
            for start in range(0, len(genes), BLOCK):
                block = genes[start : start + BLOCK]
                residual = self.residuals(block)
                others = [np.sort(self._correlate(by_peak, residual, part), axis=0) for part in chosen]
                for column, gene in enumerate(block):
                    part = slice(sets.indptr[gene], sets.indptr[gene + 1])
                    mine = sets.peak[part]
                    own = self._correlate(by_peak, residual[column : column + 1], mine).ravel()
                    if not residual[column].any():
                        own[:] = np.nan
                    observed[part] = own
                    rank[part] = _ranks(own, groups[mine], others, column)
        return observed, rank

    def _correlate(self, by_peak: sparse.csr_matrix, residual: Floats, index: Ints) -> Floats:
        """Return (peaks, genes) correlations; residuals are orthogonal to the basis and of length 1."""
        return np.asarray(by_peak[index].astype(np.float64) @ residual.T) / self.peaks.length[index][:, None]

    def permute(
        self,
        observed: Floats,
        n_permutations: int,
        generator: np.random.Generator,
        n_threads: int,
        progress: Progress,
    ) -> tuple[Floats, Ints]:
        """Return p-values of the pairs and the number of permuted correlations behind each."""
        sets, matrix = self.sets, self.peaks.matrix
        owner = np.repeat(np.arange(len(sets.genes)), sets.n_peaks)
        known = np.isfinite(observed)
        strata = np.full(len(observed), -1)
        seen = np.diff(self.counts.indptr)[owner].astype(np.float64)
        often = np.diff(matrix.indptr)[sets.peak].astype(np.float64)
        strata[known] = _quantile_groups(often[known], STRATA) * STRATA + _quantile_groups(seen[known], STRATA)
        order = np.lexsort((observed, strata))
        ordered, bounds = observed[order], np.searchsorted(strata[order], np.arange(STRATA**2 + 1))
        above = np.zeros(len(observed) + STRATA**2, dtype=np.int64)
        blocks = np.flatnonzero(np.bincount(owner[known], minlength=len(sets.genes)))
        for start in range(0, len(blocks), BLOCK):
            genes = blocks[start : start + BLOCK]
            permuted = np.argsort(generator.random((n_permutations, matrix.shape[0])), axis=1).astype(np.int32)
            residual = self.residuals(genes)
            explained = np.stack([residual[:, cells] @ self.peaks.basis for cells in permuted], axis=1)
            task = _Task(self, genes, residual, np.ascontiguousarray(permuted.T), explained, strata, ordered, bounds)
            for _, found in results_in_order(
                task, len(genes), n_threads=n_threads, progress=_quiet, message="permuted cells"
            ):
                above += np.bincount(found, minlength=len(above))
            progress((start + len(genes)) / len(blocks), "permuted cells")
        return tails(above, order, bounds, n_permutations)


@dataclass(frozen=True)
class _Task:
    """Places of the permuted correlations of one gene after the other.

    Attributes
    ----------
    residual
        (genes, N).
    cells
        (N, B) cell whose residual stands at each cell.
    explained
        (genes, B, Q) products of the permuted residuals and the basis.
    strata
        (pairs,) stratum; -1 where there is no correlation.
    ordered, bounds
        Observed correlations by stratum and size; where each stratum begins, and the end.
    """

    work: _Work
    genes: Ints
    residual: Floats
    cells: NDArray[np.int32]
    explained: Floats
    strata: Ints
    ordered: Floats
    bounds: Ints

    def __call__(self, i: int) -> Ints:
        sets, peaks = self.work.sets, self.work.peaks
        part = slice(sets.indptr[self.genes[i]], sets.indptr[self.genes[i] + 1])
        out: Ints = places(
            self.residual[i], self.cells, self.explained[i], sets.peak[part], self.strata[part],
            OpenPeaks(peaks.matrix.indptr, peaks.matrix.indices, peaks.explained, peaks.length),
            self.ordered, self.bounds,
        )  # fmt: skip
        return out


def _quiet(_fraction: float, _message: str) -> None:
    """Ignore progress."""


def _quantile_groups(values: Floats, n: int) -> Ints:
    """Return the number of the group of nearly equal size by value, 0 to n - 1; equal values share a group."""
    edges = np.quantile(values, np.arange(1, n) / n) if len(values) else np.zeros(n - 1)
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def _ranks(own: Floats, groups: Ints, others: list[Floats], column: int) -> Floats:
    """Return (1 + number of others at least as high) / (1 + number of others) in the peak's group; NaN with few."""
    out = np.full(len(own), np.nan)
    for group in np.unique(groups):
        values, mine = others[group][:, column], (groups == group) & np.isfinite(own)
        if len(values) >= FEWEST_BACKGROUND:
            below = np.searchsorted(values, own[mine], side="left")
            out[mine] = (1 + len(values) - below) / (1 + len(values))
    return out
