"""Small simulated cells, peaks and genes for the tests of the regulatory potential models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.regulation.geometry import PeakSets, gene_peaks
from mira_nb.core.regulation.model import Cells
from mira_nb.core.topics.decoder import Decoder


def small_problem(
    *, n_cells: int = 240, n_genes: int = 12, n_peaks: int = 160, k: int = 4, seed: int = 0
) -> tuple[Cells, PeakSets, pd.DataFrame, pd.DataFrame]:
    """Genes on one chromosome that follow nearby peaks (even numbers) or one topic (odd numbers)."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(k, 0.4), n_cells)
    decoder = Decoder(
        beta=rng.normal(0, 1.2, (k, n_peaks)),
        bn_mean=rng.normal(0, 0.1, n_peaks),
        bn_var=rng.uniform(0.5, 1.5, n_peaks),
        gamma=rng.uniform(0.7, 1.3, n_peaks),
        bias=rng.normal(0, 0.7, n_peaks),
    )
    middle = np.sort(rng.choice(np.arange(500, 1_500_000, 600), n_peaks, replace=False))
    peaks = pd.DataFrame({"chrom": "chr1", "start": middle - 250, "end": middle + 250})
    tss = pd.DataFrame(
        {
            "gene": [f"g{i}" for i in range(n_genes)],
            "chrom": "chr1",
            "tss": np.sort(rng.choice(middle, n_genes, replace=False)) + 300,
            "strand": np.where(rng.random(n_genes) < 0.5, "+", "-"),
        }
    )
    sets = gene_peaks(peaks, tss, tss["gene"].tolist(), window=400_000)
    rho = decoder.composition(topics)
    depth = rng.lognormal(np.log(2000), 0.3, n_cells)
    log_normalizer = np.log(400.0) + 0.2 * topics[:, 0]
    rate = np.empty((n_cells, n_genes))
    for g in range(n_genes):
        index, distance, region = sets.of(g)
        weight = np.where(region == 1, 0.8, np.exp2(-distance / 1e3 / 12.0))
        c = rho[:, index] @ weight if g % 2 == 0 else topics[:, g % k]
        rate[:, g] = (c - c.mean()) / max(c.std(), 1e-12) + 0.3
    mean = np.exp(rate + np.log(depth)[:, None] - log_normalizer[:, None])
    counts = rng.poisson(rng.gamma(3.0, mean / 3.0)).astype(float)
    cells = Cells.build(
        sparse.csc_matrix(counts),
        log_depth=np.log(depth),
        log_normalizer=log_normalizer,
        topics=topics,
        decoder=decoder,
    )
    return cells, sets, peaks, tss
