"""LITE on real genes: log-likelihood of held-out cells against a constant rate and against permuted peaks.

The accessibility topics are of all cells and see no expression; LITE is fitted to nine tenths of the cells, and
predicts the counts of the others from their accessibility. Depth is the same for all that
are compared. Permuted peaks: the gene keeps its number of peaks, their distances and regions, and gets the
accessibility of other peaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from scipy.stats import spearmanr

import mira_nb
from mira_nb.core.regulation.explained import best_bias
from mira_nb.core.regulation.fit import RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets, gene_peaks
from mira_nb.core.regulation.learning_curve import take_cells
from mira_nb.core.regulation.model import Cells, PeakRates, log_rate, negative_binomial, peak_weights, potential
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.io.tss import read_tss

from .sets import digest

N_TOPICS, N_FOLDS, N_PERMUTATIONS = 6, 10, 4


@dataclass(frozen=True)
class Loci:
    """A real set around some genes.

    Attributes
    ----------
    files
        Files in the DATA folder.
    read
        Reads them: counts of genes, counts of peaks, depth of each cell.
    genes
        Genes whose correlation is shown.
    """

    files: tuple[str, ...]
    read: Callable[[list[Path]], tuple[AnnData, AnnData, np.ndarray]]
    genes: tuple[str, ...]

    def there(self, data: Path) -> bool:
        """Return whether all files are there."""
        return all((data / name).exists() for name in (*self.files, TSS))


def _muon(files: list[Path]) -> tuple[AnnData, AnnData, np.ndarray]:
    """Read one MuData; depth is the sum over its 45 genes, since the file has no other."""
    data = mira_nb.read(mudata=files[0])
    rna, atac = data.mod["rna"], data.mod["atac"]
    return rna, atac, np.asarray(rna.X.sum(axis=1), dtype=float).ravel()


def _tiles(files: list[Path]) -> tuple[AnnData, AnnData, np.ndarray]:
    """Read genes and tiles; depth is the cell's count over all genes of the experiment, which is annotated.

    Not with this package's reader: it leaves out cells without a count of any gene, and here those tell as much.
    """
    rna, atac = (read_h5ad(file) for file in files)
    atac.var = atac.var.rename(columns={"chr": "chrom"})
    atac.X.data[:] = 1
    return rna, atac, rna.obs["nCount_RNA"].to_numpy(dtype=float)


TSS = "tss/lisa2_hg38.refseq.gz"
SETS = {
    "loci": Loci(("pbmc_muon/test_rna_atac.h5mu",), _muon, ("CD8A", "KLF4", "LEF1", "MS4A1")),
    "loci10k": Loci(
        ("pbmc10k_loci/pbmc10k_scarlink_3genes_rna.h5ad", "pbmc10k_loci/pbmc10k_scarlink_3loci_tiles_atac.h5ad"),
        _tiles,
        ("CCR7", "HLA-DQB1", "ZEB2"),
    ),
}
"""By the name in the kept rows."""


def load(loci: Loci, data: Path, seed: int) -> tuple[Cells, PeakSets]:
    """Return the cells with their accessibility topics, and the peaks of every gene."""
    rna, atac, depth = loci.read([data / name for name in loci.files])
    model = fit_topic_model(atac.X, modality="accessibility", settings=TopicSettings(n_topics=N_TOPICS), seed=seed)
    cells = Cells.build(
        rna.X,
        log_depth=np.log(np.maximum(depth, 1.0)),
        log_normalizer=np.zeros(len(depth)),
        topics=model.topics,
        decoder=model.decoder,
    )
    peaks = atac.var[["chrom", "start", "end"]].reset_index(drop=True)
    openness = np.asarray((atac.X > 0).mean(axis=0)).ravel()
    starts = read_tss(data / TSS).frame
    return cells, gene_peaks(peaks, starts, list(rna.var_names), openness=openness, other_promoters="keep")


def predicted(fit: RegulationFit, cells: Cells, sets: PeakSets, gene: int) -> np.ndarray:
    """Return the log rate of one gene in cells that the fit need not have seen."""
    index, distance, region = sets.of(gene)
    lite, rates = fit.lite, PeakRates(cells.decoder, cells.topics, cells.peak_normalizer)
    weights = peak_weights(distance, region, lite.a[gene], lite.decay_kb[gene])
    return log_rate(
        potential(rates.block(index), weights),
        gamma=lite.gamma[gene], bias=lite.bias[gene], bn_mean=lite.bn_mean[gene], bn_sd=lite.bn_sd[gene],
    )  # fmt: skip


def held_out(cells: Cells, sets: PeakSets, folds: list[np.ndarray], threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihood gained over a constant rate, (genes,), and the predicted log means, (cells, genes)."""
    n_genes, everything = len(sets.genes), np.arange(cells.n_cells)
    gained, means = np.zeros(n_genes), np.full((cells.n_cells, n_genes), np.nan)
    for fold in folds:
        seen, unseen = (take_cells(cells, rows, np.arange(n_genes)) for rows in (np.setdiff1d(everything, fold), fold))
        fit = fit_regulation(seen, sets, posterior=False, n_threads=threads)
        known = seen.counts.toarray()
        counts = unseen.counts.toarray()
        for gene in range(n_genes):
            if not fit.fitted[gene]:
                gained[gene] = np.nan
                continue
            theta = float(fit.lite.theta[gene])
            means[fold, gene] = unseen.offset + predicted(fit, unseen, sets, gene)
            bias = best_bias(known[:, [gene]], seen.offset, np.array([theta]))[0]
            constant = negative_binomial(counts[:, gene], unseen.offset + bias, theta).sum()
            gained[gene] += negative_binomial(counts[:, gene], means[fold, gene], theta).sum() - constant
    return gained, means


def compare(cells: Cells, sets: PeakSets, seed: int, threads: int = 2) -> pd.DataFrame:
    """Return per gene the log-likelihood over a constant, that with permuted peaks, and Spearman's correlation."""
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(cells.n_cells), N_FOLDS)
    gained, means = held_out(cells, sets, folds, threads)
    n_peaks = cells.decoder.beta.shape[1]
    permuted = []
    for _ in range(N_PERMUTATIONS):
        other = rng.permutation(n_peaks)
        permuted.append(held_out(cells, replace(sets, peak=other[sets.peak]), folds, threads)[0])
    counts, depth = cells.counts.toarray(), np.exp(cells.offset)
    order = [
        float(spearmanr(means[:, gene] - cells.offset, counts[:, gene] / depth).statistic) if known else np.nan
        for gene, known in enumerate(np.isfinite(gained))
    ]
    columns = {"gained": gained, "permuted": np.mean(permuted, axis=0), "spearman": order}
    return pd.DataFrame(columns, index=pd.Index(sets.genes, name="gene"))


def score(loci: Loci, data: Path, seed: int) -> tuple[dict[str, float], str]:
    """Return the scores of the row, and a hash of the data."""
    cells, sets = load(loci, data, seed)
    table = compare(cells, sets, seed)
    known = table[table["gained"].notna()]
    scores = {
        "genes": len(known),
        "above_permuted": int((known["gained"] > known["permuted"]).sum()),
        "above_constant": int((known["gained"] > 0).sum()),
        **{f"spearman_{gene}": float(table["spearman"].get(gene, np.nan)) for gene in loci.genes},
    }
    return scores, digest(cells.counts.tocsr(), list(sets.genes))
