"""Fitted LITE and NITE models with the names of genes, peaks and cells, and the null distribution of their test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.chromosomes import ChromosomeMatch, match_chromosomes
from mira_nb.core.regulation.fit import RegulationFit
from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.links import CellDepths, LinkPlan, LinkTests, score_links
from mira_nb.core.regulation.model import Cells
from mira_nb.core.regulation.null_distribution import NullDistribution
from mira_nb.core.regulation.scores import NullDraw, chromatin_differential, nite_score
from mira_nb.core.statistics.rank_tests import benjamini_hochberg
from mira_nb.counts import positive_per_row
from mira_nb.errors import ResourceError
from mira_nb.keys import ATAC, LEIDEN, LINEAGE_STATE, RNA
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import cell_groups, topic_frame
from mira_nb.stages.shared.regulation_cells import build_cells
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats, Ints, Progress

from .branches import Branch, find_branches
from .decay import decay_columns
from .fitting import Fitted, fit_with_null, nite_pvalue
from .gene_models import gene_models
from .half_cells import HalfCells, calls_of_halves
from .inputs import chosen_genes, peak_sets

if TYPE_CHECKING:
    from mudata import MuData

    from .params import RegulationParams

TEXTS = Texts(__package__)

_GENES = 256
"""Genes of a layer that are computed together."""


@dataclass(frozen=True)
class RegulationOutput:
    """Results of the stage regulation; arrays over genes follow `genes`.

    Attributes
    ----------
    genes
        Names of the genes that were asked for.
    position
        Their positions in the RNA matrix, (G,).
    modelled_peaks
        Positions of the peaks of the accessibility model in the ATAC matrix.
    cells
        Counts, offsets, topics and imputed accessibility of the cells.
    sets
        Peaks of each gene, numbered among `modelled_peaks`.
    fit
        LITE and NITE models, statistics and log rates, (cells, G).
    nite_share
        Fraction of the gain in log-likelihood of NITE over a constant rate that LITE does not reach, (G,).
    null
        Null distribution of the NITE test; None with too few simulated genes.
    error_share
        `nite_share` that 5 % of the genes simulated under LITE exceed by chance and errors of the accessibility
        estimates alone; NaN without a null distribution.
    halves
        Calls of some genes with half of the cells; None where not asked for or with too few cells or genes.
    n_open
        Open modelled peaks of each cell, (cells,).
    links
        Tests of every pair of a gene and a peak, in the order of `sets`.
    chromosomes
        How chromosome names of the TSS file were matched with those of the peaks.
    n_tss_rows
        Rows of the TSS table.
    tss_findings
        What reading the TSS file found.
    branches
        Branches of the lineage tree and those that the user names.
    models
        Bodies and exons of the genes; empty where the TSS file has none.
    """

    data: MuData
    params: RegulationParams
    context: Context
    genes: list[str]
    position: Ints
    modelled_peaks: Ints
    cells: Cells
    sets: PeakSets
    fit: RegulationFit
    nite_share: Floats
    null: NullDistribution | None
    error_share: float
    halves: HalfCells | None
    n_open: Ints
    links: LinkTests
    chromosomes: ChromosomeMatch
    n_tss_rows: int
    tss_findings: tuple[Any, ...]
    branches: list[Branch]
    models: dict[str, Any]

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """Genes with both models."""
        return self.fit.fitted

    @cached_property
    def status(self) -> NDArray[np.object_]:
        """Per gene "ok" or the reason why there is no model, (G,)."""
        return self.fit.status

    @cached_property
    def nite_score(self) -> Floats:
        """NITE score of the genes, (G,)."""
        return nite_score(self.fit.gene_statistic, self.fit.n_expressing)

    @cached_property
    def cell_score(self) -> Floats:
        """NITE score of the cells over the fitted genes, (cells,)."""
        return nite_score(self.fit.cell_statistic, self.fit.n_expressed)

    @cached_property
    def pvalue(self) -> Floats:
        """p-value of the NITE test under the chosen null distribution, (G,)."""
        return nite_pvalue(self.fit.gene_statistic, self.null, self.params, self.cells.topics.shape[1])

    @cached_property
    def fdr(self) -> Floats:
        """Benjamini-Hochberg adjusted p-values over the fitted genes, (G,)."""
        return benjamini_hochberg(self.pvalue)

    @cached_property
    def link_fdr(self) -> Floats:
        """Benjamini-Hochberg adjusted p-values of the pairs of fitted genes and peaks, in the order of `sets`."""
        owner = np.repeat(np.arange(len(self.genes)), self.sets.n_peaks)
        return benjamini_hochberg(np.where(self.ok[owner], self.links.pvalue, np.nan))

    @cached_property
    def called(self) -> NDArray[np.bool_]:
        """Genes called NITE, (G,): a significant test and a relevant departure from LITE."""
        return np.asarray((self.fdr < self.params.level) & (self.nite_share >= self.params.min_share))

    @cached_property
    def differential(self) -> NDArray[np.float32]:
        """Chromatin differential, cells x genes, natural log."""
        return chromatin_differential(self.fit.lite_log_rate, self.fit.nite_log_rate)

    def _values(self, what: str, genes: slice) -> NDArray[np.float32]:
        """Return chromatin differential or predicted composition rho of some genes, cells x genes."""
        if what == "differential":
            return chromatin_differential(self.fit.lite_log_rate[:, genes], self.fit.nite_log_rate[:, genes])
        rate = self.fit.lite_log_rate if what == "lite" else self.fit.nite_log_rate
        return np.exp(rate[:, genes] - self.cells.log_normalizer[:, None].astype(np.float32))

    def layer(self, what: str) -> NDArray[np.float32]:
        """Return a layer, cells x all genes of the RNA matrix, NaN where a gene has no model."""
        rna = self.data.mod[RNA]
        out = np.full((rna.n_obs, rna.n_vars), np.nan, dtype=np.float32)
        for start in range(0, len(self.position), _GENES):
            genes = slice(start, start + _GENES)
            out[:, self.position[genes]] = self._values(what, genes)
        return out

    def per_gene(self, values: NDArray) -> Floats:
        """Return values over all genes of the RNA matrix, NaN where there is none."""
        out = np.full(self.data.mod[RNA].n_vars, np.nan)
        out[self.position] = values
        return out

    def parameters(self) -> pd.DataFrame:
        """Return the parameters of both models over all genes of the RNA matrix; NITE's carry the prefix ``nite_``.

        All are maxima a posteriori, also the decay distances, with which the other parameters go together; LITE's
        posterior mean and interval of the decay distances stand beside them.
        """
        columns: dict[str, NDArray] = {}
        for prefix, fits in (("", self.fit.lite), ("nite_", self.fit.nite)):
            columns |= {
                f"{prefix}a_upstream": fits.a[:, 0],
                f"{prefix}a_proximal": fits.a[:, 1],
                f"{prefix}a_downstream": fits.a[:, 2],
                f"{prefix}decay_upstream_kb": fits.decay_kb[:, 0],
                f"{prefix}decay_downstream_kb": fits.decay_kb[:, 1],
                f"{prefix}gamma": fits.gamma,
                f"{prefix}bias": fits.bias,
                f"{prefix}theta": fits.theta,
                f"{prefix}bn_mean": fits.bn_mean,
                f"{prefix}bn_sd": fits.bn_sd,
                f"{prefix}log_likelihood": fits.log_likelihood,
            }
        columns |= decay_columns(self.fit, plain="map")
        if self.fit.nite.a_topics is not None:
            names = topic_frame(self.data, ATAC).columns
            columns |= {f"nite_a_{name}": self.fit.nite.a_topics[:, t] for t, name in enumerate(names)}
        return pd.DataFrame(
            {name: self.per_gene(values) for name, values in columns.items()}, index=self.data.mod[RNA].var_names
        )

    def stored_sets(self) -> dict[str, Any]:
        """Return the peak sets for later stages; ``peak`` counts over all peaks of the accessibility matrix."""
        sets = self.sets
        return {
            "genes": np.array(self.genes, dtype=object).astype(str),
            "indptr": sets.indptr,
            "peak": self.modelled_peaks[sets.peak],
            "distance": sets.distance,
            "region": sets.region.astype(np.int64),
            "chrom": sets.chrom.astype(str),
            "tss": sets.tss,
            "strand": sets.strand.astype(str),
            "normalizer": self.params.normalizer,
        }

    @cached_property
    def groups(self) -> tuple[str, pd.Series]:
        """The grouping of cells used in figures and tests: states of the tree, else the annotation, else clusters."""
        if LINEAGE_STATE in self.data.obs:
            return "lineage state", self.data.obs[LINEAGE_STATE].astype(str).replace(
                {"": "no state", "nan": "no state"}
            )
        given = cell_groups(self.data, self.context.resources)
        if given is not None:
            return str(given.name), given
        if LEIDEN in self.data.obs:
            return "cluster", self.data.obs[LEIDEN].astype(str)
        return "cells", pd.Series("all", index=self.data.obs_names)


def _open_peaks(data: MuData, modelled: Ints, *, own_data: bool) -> tuple[sparse.csc_matrix, NDArray[np.int64]]:
    """Return where the modelled peaks are open, (cells, modelled peaks), a byte each, and their number by cell.

    Own data loses the counts of peaks, the largest array there is: the caller reads them no more.
    """
    matrix = sparse.csr_matrix(data.mod[ATAC].X)
    rows = sparse.csr_matrix((matrix.data != 0, matrix.indices, matrix.indptr), shape=matrix.shape)
    del matrix
    if own_data:
        data.mod[ATAC].X = None
    if len(modelled) < rows.shape[1]:
        rows = rows[:, modelled]
    return sparse.csc_matrix(rows).astype(np.int8, copy=False), positive_per_row(rows)


def _halves(
    found: Fitted, cells: Cells, sets: PeakSets, n_open: NDArray, params: RegulationParams, context: Context,
    progress: Progress,
) -> HalfCells | None:  # fmt: skip
    """Return calls with half of the cells, where they are asked for and there are enough."""
    if not params.learning_curve:
        return None
    return calls_of_halves(
        found,
        cells,
        sets,
        n_open,
        params,
        seed=context.seed,
        n_threads=context.n_threads,
        progress=lambda fraction, message: progress(0.95 + 0.05 * fraction, message),
    )


def compute(data: MuData, params: RegulationParams, context: Context, progress: Progress) -> RegulationOutput:
    """Assign peaks to genes, fit LITE and NITE, learn the null of the NITE test, test pairs of peaks and genes.

    Raises
    ------
    ResourceError
        No transcription start sites were given, or no gene has a peak in its window.
    InputError
        A requested gene, or a group or topic of a branch, is not in the data.
    StoreError
        A topic model is missing or does not fit the data.
    """
    from mira_nb.io.tss import read_tss
    from mira_nb.io.tss_genes import name_sites

    branches = find_branches(data, params, context.resources)  # a wrong name is refused before anything is fitted
    path = context.resources.tss
    if path is None:
        raise TEXTS.error(ResourceError, "no_tss")
    table = read_tss(path)
    position = chosen_genes(data, params)
    names = [str(name) for name in data.mod[RNA].var_names[position]]
    progress(0.0, "cells and normalisers")
    cells, modelled_peaks = build_cells(data, position, gauge=params.normalizer)
    progress(0.02, "peaks around transcription start sites")
    sites = name_sites(table, data.mod[RNA].var).frame
    sets, peaks = peak_sets(data, params, sites, names, modelled_peaks, path)
    is_open, n_open = _open_peaks(data, modelled_peaks, own_data=context.own_data)
    found = fit_with_null(
        cells,
        sets,
        NullDraw(np.random.default_rng([context.seed, 7]), params.null_genes, n_open),
        params,
        n_threads=context.n_threads,
        progress=lambda fraction, message: progress(0.05 + 0.8 * fraction, message),
    )
    links = score_links(
        is_open,
        cells.counts,
        depths=CellDepths(np.exp(cells.log_depth), n_open),
        sets=sets,
        peak_chrom=peaks["chrom"].to_numpy(),
        generator=np.random.default_rng([context.seed, 8]),
        plan=LinkPlan(params.link_permutations, params.link_background),
        n_threads=context.n_threads,
        progress=lambda fraction, _: progress(0.85 + 0.1 * fraction, "links of peaks and genes"),
    )
    return RegulationOutput(
        data=data,
        params=params,
        context=context,
        genes=names,
        position=position,
        modelled_peaks=modelled_peaks,
        cells=cells,
        sets=sets,
        fit=found.fit,
        nite_share=found.share,
        null=found.null,
        error_share=found.error_share,
        halves=_halves(found, cells, sets, n_open, params, context, progress),
        n_open=n_open,
        links=links,
        chromosomes=match_chromosomes(table.frame["chrom"], peaks["chrom"]),
        n_tss_rows=len(table.frame),
        tss_findings=tuple(table.findings),
        branches=branches,
        models=gene_models(sites, sets, peaks["chrom"]),
    )
