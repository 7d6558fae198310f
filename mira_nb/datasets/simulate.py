"""A branching differentiation seen by expression and accessibility, simulated from one seed, with its truth.

Root -> progenitor -> {A | (B | C)}. Cells are mixtures of topics that change smoothly along the tree, plus one
programme of its own (``cycle``). Peaks belong to topics; genes are driven by the peaks around them (LITE), by a topic
but not by their peaks (NITE), by a mixture of topics, or not at all. Factors have real motif sites in the peaks'
sequences; two drive each lineage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mira_nb.errors import ParameterError

from .simulate_cells import SAMPLINGS, Cells, Sampling, make_cells
from .simulate_counts import (
    Genes,
    Peaks,
    draw_accessibility,
    draw_expression,
    expression_rates,
    fragments_for,
    make_genes,
    make_peaks,
    plan_hits,
)
from .simulate_factors import Factor, make_factors
from .simulate_genome import Genome, Sites, make_genome, peak_sequences, plant_sites


@dataclass(frozen=True)
class SimulationParams:
    """Size and nature of a simulated data set.

    Attributes
    ----------
    n_cells, n_genes, n_peaks
        Size.
    seed
        Everything follows from it.
    depth
        Mean expression counts per cell.
    open_fraction
        Mean fraction of peaks open per cell.
    contrast
        Mean log fold by which a peak is more open in its own topic.
    lead
        How far accessibility runs ahead of expression, in pseudotime.
    n_batches
        1: no batch effect; more: every gene and peak gets a batch-specific factor.
    batch_effect
        Standard deviation of the log of that factor.
    trajectory
        False: one cell type without any structure, a negative control.
    sampling
        How cells are spread over time and lineages: ``even``; ``late``, mostly near the ends; ``bursts``, half of them
        around two times and lineages of unequal size.
    """

    n_cells: int = 1_200
    n_genes: int = 900
    n_peaks: int = 7_000
    seed: int = 0
    depth: float = 2_500.0
    open_fraction: float = 0.12
    contrast: float = 2.1
    lead: float = 0.04
    n_batches: int = 1
    batch_effect: float = 0.3
    trajectory: bool = True
    sampling: Sampling = "even"

    def __post_init__(self) -> None:
        """Validate that the sizes can hold what is planted."""
        if self.n_cells < 50 or self.n_genes < 150 or self.n_peaks < 2 * self.n_genes:
            raise ParameterError(
                f"cannot simulate {self.n_cells} cells x {self.n_genes} genes x {self.n_peaks} peaks",
                expected="at least 50 cells, 150 genes, and twice as many peaks as genes.",
                remedy="choose a larger size.",
            )
        if self.sampling not in SAMPLINGS:
            raise ParameterError(
                f"sampling {self.sampling!r} is unknown",
                expected=", ".join(SAMPLINGS),
                remedy="choose one of these.",
            )


@dataclass(frozen=True)
class Simulation:
    """A simulated data set and everything it was made from.

    Attributes
    ----------
    expression
        Counts, cells x genes, CSR float32.
    accessibility
        0/1, cells x peaks, CSR float32.
    rho
        True distribution over genes of each cell.
    rp_parameters
        Genes x 6 (see :data:`mira_nb.datasets.simulate_counts.RP_COLUMNS`).
    depth_rna, depth_atac
        Expected counts and fragments of each cell.
    sequences
        Peaks x 400, codes 0 to 3 for A, C, G, T.
    """

    params: SimulationParams
    cells: Cells
    genome: Genome
    factors: tuple[Factor, ...]
    genes: Genes
    peaks: Peaks
    sites: Sites
    sequences: np.ndarray
    rho: np.ndarray
    rp_parameters: np.ndarray
    depth_rna: np.ndarray
    depth_atac: np.ndarray
    expression: sparse.csr_matrix
    accessibility: sparse.csr_matrix


def simulate(params: SimulationParams) -> Simulation:
    """Simulate a data set; the same parameters give the same data."""
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(params.seed).spawn(6)]
    for_cells, for_genome, for_drive, for_sites, for_counts, for_batch = streams
    cells = make_cells(
        params.n_cells,
        lead=params.lead,
        n_batches=params.n_batches,
        trajectory=params.trajectory,
        rng=for_cells,
        sampling=params.sampling,
    )
    genome = make_genome(params.n_genes, params.n_peaks, rng=for_genome)
    factors = make_factors(for_drive)
    genes = make_genes(genome, factors, cells.topics, rng=for_drive)
    genome.genes.loc[genes.factor_gene, "gene_symbol"] = [factor.name for factor in factors]
    peaks = make_peaks(genome, genes, len(cells.topics), contrast=params.contrast, rng=for_drive)
    hits = plan_hits(genome, peaks, factors, cells.topics, rng=for_sites)
    sites = plant_sites(hits, factors, rng=for_sites)
    sequences = peak_sequences(genome, sites, factors, rng=for_sites)
    rho, rp_parameters = expression_rates(genome, genes, peaks, cells, rng=for_drive)

    n = params.n_cells
    depth_rna = np.exp(for_counts.normal(np.log(params.depth) - 0.5 * 0.3**2, 0.3, n))
    fragments = fragments_for(cells.theta_atac, peaks.beta, params.open_fraction)
    depth_atac = np.exp(for_counts.normal(np.log(fragments), 0.3, n))
    rows_of: list[np.ndarray] = []
    blocks: list[tuple[sparse.csr_matrix, sparse.csr_matrix]] = []
    for number in np.unique(cells.batch):
        rows = np.flatnonzero(cells.batch == number)
        rna_factor, atac_factor = np.ones(params.n_genes), np.ones(params.n_peaks)
        if number:  # the first batch is the reference
            rna_factor = np.exp(for_batch.normal(0, params.batch_effect, params.n_genes))
            atac_factor = np.exp(for_batch.normal(0, params.batch_effect, params.n_peaks))
        rates = rho[rows] * rna_factor
        rates /= rates.sum(axis=1, keepdims=True)
        beta = peaks.beta * atac_factor
        rows_of.append(rows)
        blocks.append(
            (
                draw_expression(rates, depth_rna[rows], genes.dispersion, rng=for_counts),
                draw_accessibility(cells.theta_atac[rows], beta, depth_atac[rows], rng=for_counts),
            )
        )
    order = np.argsort(np.concatenate(rows_of))
    expression, accessibility = (
        sparse.csr_matrix(sparse.vstack(parts, format="csr")[order]) for parts in zip(*blocks, strict=True)
    )
    return Simulation(
        params, cells, genome, factors, genes, peaks, sites, sequences, rho, rp_parameters, depth_rna, depth_atac,
        expression, accessibility,
    )  # fmt: skip
