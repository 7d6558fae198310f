"""Feature selection and standard representations of the stage prepare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mira_nb.core.quality.fragments import FragmentCounts, Recount, compare_recount
from mira_nb.core.representation.features import GeneSelection, PeakSelection
from mira_nb.core.representation.projections import Projection
from mira_nb.keys import ATAC, FRIP, N_FRAGMENTS, NUCLEOSOME_SIGNAL, RNA, TSS_ENRICHMENT
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import CellAnnotations, cell_annotations, cell_depths

from .fragments import count_cells
from .limits import failing_cells

if TYPE_CHECKING:
    from mudata import MuData

    from .params import PrepareParams


DEPTH_LABELS = {
    "n_counts": "RNA counts per cell",
    "n_genes": "genes per cell",
    "n_peaks": "open peaks per cell",
}


@dataclass(frozen=True)
class PrepareOutput:
    """All that the stage computed."""

    data: MuData
    params: PrepareParams
    annotations: CellAnnotations
    depths: pd.DataFrame
    genes: GeneSelection
    peaks: PeakSelection
    pca: Projection
    lsi: Projection
    umap_pca: np.ndarray
    umap_lsi: np.ndarray
    fragments: FragmentCounts | None = None
    recount: Recount | None = None
    with_sites: bool = False
    n_failing: int = 0
    """Cells below the thresholds of quality: none in a run, which leaves them out when it reads the input."""

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.depths)

    def fragment_measures(self) -> dict[str, np.ndarray]:
        """Return the measures of the cells from their fragments by the key of obs; empty without fragments."""
        if self.fragments is None:
            return {}
        sites = {TSS_ENRICHMENT: self.fragments.tss_enrichment} if self.with_sites else {}
        return {
            N_FRAGMENTS: self.fragments.n_fragments,
            FRIP: self.fragments.frip,
            NUCLEOSOME_SIGNAL: self.fragments.nucleosome_signal,
            **sites,
        }

    def lsi_depth_correlation(self) -> float:
        """Return the absolute Spearman correlation of the first LSI component with the open peaks (NaN if constant)."""
        first, depth = self.lsi.coordinates[:, 0], self.depths["n_peaks"].to_numpy()
        if np.ptp(first) == 0 or np.ptp(depth) == 0:
            return float("nan")
        return float(abs(spearmanr(first, depth).statistic))


def compute(data: MuData, params: PrepareParams, context: Context) -> PrepareOutput:
    """Select features and compute PCA, LSI and their UMAPs."""
    from mira_nb.core.representation.features import log_normalize, select_genes, select_peaks
    from mira_nb.core.representation.neighbors import embed
    from mira_nb.core.representation.projections import lsi, pca

    annotations = cell_annotations(data, context.resources)
    depths = cell_depths(data)
    context.progress(0.05, "choosing genes and peaks")
    rna, atac = data.mod[RNA], data.mod[ATAC]
    genes = select_genes(
        rna.X,
        min_mean=params.min_mean,
        min_dispersion=params.min_dispersion,
        min_genes=params.modelled_min_genes,
        encoder_min_dispersion=params.encoder_min_dispersion,
        encoder_min_genes=params.encoder_min_genes,
        encoder_fill_genes=params.encoder_fill_genes,
        target_sum=params.target_sum,
    )
    peaks = select_peaks(
        atac.X, encoder_max_peaks=params.encoder_max_peaks, rng=np.random.default_rng([context.seed, 1])
    )
    context.progress(0.15, "principal components of expression")
    expression = log_normalize(rna.X, target_sum=params.target_sum)[:, np.flatnonzero(genes.variable)]
    components = pca(expression, n_components=params.n_pcs, seed=context.seed)
    del expression
    context.progress(0.25, "latent semantic indexing of accessibility")
    topics = lsi(atac.X, n_components=params.n_lsi, seed=context.seed)
    layouts = {}
    for step, (name, projection) in enumerate((("pca", components), ("lsi", topics))):
        context.progress(0.4 + 0.25 * step, f"UMAP of {name.upper()}")
        layouts[name] = embed(projection.coordinates, k=params.n_neighbors, min_dist=params.min_dist, seed=context.seed)
    fragments = None
    if context.resources.fragments is not None:
        context.progress(0.86, "counting fragments")
        fragments = count_cells(context.resources.fragments, context.resources.tss, list(data.obs_names), atac.var)
    failing = failing_cells(data, params, context.resources, fragments)
    return PrepareOutput(
        data=data,
        params=params,
        annotations=annotations,
        depths=depths,
        genes=genes,
        peaks=peaks,
        pca=components,
        lsi=topics,
        umap_pca=layouts["pca"],
        umap_lsi=layouts["lsi"],
        fragments=fragments,
        recount=None if fragments is None else compare_recount(atac.X, fragments),
        with_sites=context.resources.tss is not None,
        n_failing=int(np.logical_or.reduce(list(failing.values())).sum()) if failing else 0,
    )
