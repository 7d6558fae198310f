"""Selection of features: which genes and peaks are modelled, and which of them the encoder networks read.

Extended Methods, "Feature selection for expression topic model" and "... for accessibility topic model". Depth
normalisation, means and dispersions are scanpy's (``flavor="seurat"``), in double precision.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.counts import positive_per_column
from mira_nb.errors import InputError
from mira_nb.typing import Floats

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]

N_BINS = 20
"""Bins of mean expression within which dispersions are standardised: scanpy's default, as in Seurat."""


@dataclass(frozen=True)
class GeneSelection:
    """Result of :func:`select_genes`.

    Attributes
    ----------
    table
        One row per gene, in the order of the counts: ``mean`` (log1p of the mean normalised expression), ``dispersion``
        (log of variance over mean of the normalised expression; NaN for a constant gene of mean zero),
        ``normalised_dispersion`` (z-score within bins of similar mean; NaN where undefined), ``modelled``, ``encoder``,
        ``variable`` (highly variable by the published rule, whatever the minimum numbers add to the other two).
    n_filled
        How many genes are modelled although their normalised dispersion is not above the threshold, because fewer than
        the minimum passed it.
    n_added
        How many genes the encoder reads although their normalised dispersion is not above the threshold, because
        fewer than the minimum passed it.
    n_low_mean, n_low_dispersion
        How many genes are not modelled for their mean and, among the others, for their dispersion.
    """

    table: pd.DataFrame
    n_filled: int
    n_added: int
    n_low_mean: int
    n_low_dispersion: int

    @property
    def modelled(self) -> Mask:
        """(genes,) True where the topic model explains the gene."""
        return self.table["modelled"].to_numpy(bool)

    @property
    def encoder(self) -> Mask:
        """(genes,) True where the encoder reads the gene."""
        return self.table["encoder"].to_numpy(bool)

    @property
    def variable(self) -> Mask:
        """(genes,) True where the gene is highly variable: what principal components are made from."""
        return self.table["variable"].to_numpy(bool)


def log_normalize(counts: sparse.csr_matrix, *, target_sum: float = 1e4) -> sparse.csr_matrix:
    """Return depth-normalised, log(1 + x) transformed expression (Extended Methods, Normalized expression).

    ``scanpy.pp.normalize_total`` and ``scanpy.pp.log1p``; cells without counts stay zero.

    Parameters
    ----------
    counts
        (cells, genes) raw counts; not changed.
    target_sum
        Total of every cell before the logarithm.

    Returns
    -------
    (cells, genes), float32.
    """
    return sparse.csr_matrix(_log_normalized(counts, target_sum).X, dtype=np.float32)


def _log_normalized(counts: sparse.csr_matrix, target_sum: float) -> AnnData:
    """Return log-normalised expression in double precision, as scanpy leaves it."""
    import scanpy as sc
    from anndata import AnnData

    data = AnnData(sparse.csr_matrix(counts, dtype=np.float64, copy=True))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some cells have zero counts")
        sc.pp.normalize_total(data, target_sum=target_sum)
    sc.pp.log1p(data)
    return data


def gene_dispersions(counts: sparse.csr_matrix, *, target_sum: float = 1e4) -> pd.DataFrame:
    """Compute mean, dispersion and normalised dispersion of every gene by ``scanpy.pp.highly_variable_genes``.

    The dispersion is log(variance / mean) of the depth-normalised expression. The normalised dispersion is its z-score
    among the genes of the same bin of mean expression (20 bins of equal width of log(1 + mean)); a gene alone in its
    bin has normalised dispersion 1.

    Parameters
    ----------
    counts
        (cells, genes) raw counts.
    target_sum
        Total of every cell after depth normalisation.

    Returns
    -------
    pandas.DataFrame
        Columns mean, dispersion, normalised_dispersion (NaN where undefined); one row per gene.
    """
    import scanpy as sc

    data = _log_normalized(counts, target_sum)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = sc.pp.highly_variable_genes(data, flavor="seurat", n_bins=N_BINS, inplace=False)
    return pd.DataFrame(
        {
            "mean": found["means"].to_numpy(np.float64),
            "dispersion": found["dispersions"].to_numpy(np.float64),
            "normalised_dispersion": found["dispersions_norm"].replace([np.inf, -np.inf], np.nan).to_numpy(np.float64),
        }
    )


def select_genes(
    counts: sparse.csr_matrix,
    *,
    min_mean: float = 0.0125,
    min_dispersion: float = 0.0,
    min_genes: int = 2000,
    encoder_min_dispersion: float = 0.5,
    encoder_min_genes: int = 2000,
    encoder_fill_genes: int = 2000,
    target_sum: float = 1e4,
) -> GeneSelection:
    """Choose modelled genes and encoder genes.

    Both thresholds are on the normalised dispersion, the quantity that ``min_disp`` of
    ``scanpy.pp.highly_variable_genes`` means. Modelled: mean above `min_mean` and normalised dispersion above
    `min_dispersion`. It is a z-score, so about half of any genes fail, those of a panel that was selected before too:
    when fewer than `min_genes` pass, the varying genes of next highest normalised dispersion are modelled with them.

    Encoder: modelled genes whose normalised dispersion is above `encoder_min_dispersion`. When fewer than
    `encoder_min_genes` pass, the threshold would starve the encoder, which is limited for speed only: it then reads
    the `encoder_fill_genes` modelled genes of highest normalised dispersion, or all. A cell's topics know nothing of
    genes that the encoder does not read, though the decoder models them.

    Highly variable: mean above `min_mean` and normalised dispersion above `encoder_min_dispersion`, never filled up
    (Extended Methods, "Representation comparisons"); fewer than three are too few for principal components, which are
    then those of the encoder's genes.

    Raises
    ------
    InputError
        Fewer than three genes pass.
    """
    table = gene_dispersions(counts, target_sum=target_sum)
    enough = table["mean"].to_numpy() > min_mean
    score = table["normalised_dispersion"].fillna(-np.inf).to_numpy()
    varying = enough & np.isfinite(table["dispersion"].to_numpy())
    modelled, n_filled = _filled(enough & (score > min_dispersion), varying, score, below=min_genes, to=min_genes)
    if modelled.sum() < 3:
        raise InputError(
            f"only {int(modelled.sum())} of {len(table)} genes have a mean above {min_mean} and a normalised "
            f"dispersion above {min_dispersion}",
            expected="at least 3 genes that vary between cells",
            remedy="lower prepare.min_mean or prepare.min_dispersion, or check that the matrix holds raw counts",
        )
    variable = enough & (score > encoder_min_dispersion)
    most = max(encoder_fill_genes, encoder_min_genes)
    encoder, n_added = _filled(modelled & variable, modelled, score, below=encoder_min_genes, to=most)
    table["modelled"], table["encoder"] = modelled, encoder
    table["variable"] = variable if variable.sum() >= 3 else encoder
    return GeneSelection(
        table=table,
        n_filled=n_filled,
        n_added=n_added,
        n_low_mean=int((~enough).sum()),
        n_low_dispersion=int((enough & ~modelled).sum()),
    )


def _filled(passed: Mask, candidates: Mask, score: Floats, *, below: int, to: int) -> tuple[Mask, int]:
    """Fill a selection of fewer than `below` genes up to `to` genes, those of highest score first; count the added."""
    if passed.sum() >= min(below, candidates.sum()):
        return passed, 0
    order = np.argsort(-score, kind="stable")
    added = order[candidates[order] & ~passed[order]][: max(to - int(passed.sum()), 0)]
    out = passed.copy()
    out[added] = True
    return out, len(added)


@dataclass(frozen=True)
class PeakSelection:
    """Result of :func:`select_peaks`: masks over peaks, and how many peaks are open in no cell."""

    modelled: Mask
    encoder: Mask
    n_never_open: int


def select_peaks(
    counts: sparse.csr_matrix, *, encoder_max_peaks: int = 100_000, rng: np.random.Generator
) -> PeakSelection:
    """Model every peak that is open in some cell; the encoder reads all or a random subset of them.

    Parameters
    ----------
    counts
        (cells, peaks) binary accessibility.
    encoder_max_peaks
        Above this number the encoder reads a random subset of this size.
    rng
        Draws the subset.

    Raises
    ------
    InputError
        Fewer than three peaks are open anywhere.
    """
    matrix = sparse.csr_matrix(counts)
    modelled = positive_per_column(matrix) > 0
    if modelled.sum() < 3:
        raise InputError(
            f"only {int(modelled.sum())} of {len(modelled)} peaks are open in any cell",
            expected="at least 3 open peaks",
            remedy="check that the accessibility matrix is the right one",
        )
    candidates = np.flatnonzero(modelled)
    encoder = modelled.copy()
    if len(candidates) > encoder_max_peaks:
        encoder = np.zeros_like(modelled)
        encoder[rng.choice(candidates, size=encoder_max_peaks, replace=False)] = True
    return PeakSelection(modelled=modelled, encoder=encoder, n_never_open=int((~modelled).sum()))
