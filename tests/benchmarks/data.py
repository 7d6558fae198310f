"""Sparse counts of a topic mixture at any size, for timing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

BLOCK = 500


def write_counts(
    folder: Path, *, n_cells: int, n_genes: int, n_peaks: int, n_topics: int = 7, seed: int = 0, evenness: float = 0.3
) -> None:
    """Write rna.npz and atac.npz (CSR, cells x features; peaks 0 or 1).

    A cell draws its proportions from a sparse Dirichlet distribution, its counts from the mixed profile: about 4,000
    molecules and 3,000 fragments a cell. Profiles are gamma variates of shape `evenness`: the larger, the less topics
    differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    proportions = rng.dirichlet(np.full(n_topics, 0.2), n_cells)
    for name, n_features, depth in (("rna", n_genes, 4000), ("atac", n_peaks, 3000)):
        profiles = rng.gamma(evenness, size=(n_topics, n_features)) + 0.01
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


def write_genome(folder: Path, *, n_genes: int, n_peaks: int, n_factors: int = 60, seed: int = 0) -> None:
    """Write peaks.tsv, tss.tsv, genome.tsv and hits.npz (CSR, peaks x factors) for counts of :func:`write_counts`.

    One peak in 15 kb on five chromosomes, as dense as in real data; 90 % of the genes have a peak at their start site.
    Every factor binds 6 % of the peaks.
    """
    rng = np.random.default_rng([seed, 1])
    n_chromosomes, width = 5, 500
    length = n_peaks * 15_000 // n_chromosomes
    names = np.array([f"chr{i + 1}" for i in range(n_chromosomes)])
    genes = pd.DataFrame({"chrom": rng.choice(names, n_genes), "start": rng.integers(1e5, length - 1e5, n_genes)})
    genes["end"] = genes["start"] + 20_000
    genes["strand"] = rng.choice(["+", "-"], n_genes)
    genes["gene_symbol"] = [f"g{i}" for i in range(n_genes)]
    peaks = pd.DataFrame({"chrom": rng.choice(names, n_peaks), "start": rng.integers(0, length - width, n_peaks)})
    promoters = rng.permutation(n_genes)[: min(int(0.9 * n_genes), n_peaks // 2)]
    site = np.where(genes["strand"] == "+", genes["start"], genes["end"])[promoters]
    peaks.loc[: len(promoters) - 1, "chrom"] = genes["chrom"].to_numpy()[promoters]
    peaks.loc[: len(promoters) - 1, "start"] = site - width // 2
    peaks = peaks.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    peaks["end"] = peaks["start"] + width
    peaks.to_csv(folder / "peaks.tsv", sep="\t", index=False)
    genes.to_csv(folder / "tss.tsv", sep="\t", index=False)
    pd.DataFrame({"chrom": names, "length": length}).to_csv(folder / "genome.tsv", sep="\t", index=False, header=False)
    hits = sparse.random(n_peaks, n_factors, density=0.06, format="csr", random_state=rng, data_rvs=np.ones)
    sparse.save_npz(folder / "hits.npz", hits, compressed=False)
