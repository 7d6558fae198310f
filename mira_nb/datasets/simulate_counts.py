"""Simulated programmes and counts: which peaks open with which topic, and what drives each gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse

from .simulate_cells import LINEAGES, Cells
from .simulate_factors import Factor
from .simulate_genome import PROMOTER, Genome

WINDOW: Final = 300_000
RP_COLUMNS: Final = ("D_up_kb", "D_down_kb", "a_up", "a_down", "a_promoter", "gamma")
# fraction of gene domains (five neighbours each) of each class; the rest are programme and constant genes
_LITE_DOMAINS, _NITE_DOMAINS = 0.30, 0.25
_BLOCK: Final = 256


@dataclass(frozen=True)
class Genes:
    """What drives each gene.

    Attributes
    ----------
    kind
        LITE (local peaks), NITE (an accessibility topic, its local peaks are flat), programme (mixture of expression
        topics), constant.
    topic
        The topic it follows, -1 for constant genes.
    base
        Log rate without any drive.
    fold
        Topics x genes: fold increase by each expression topic (programme genes).
    dispersion
        Negative binomial dispersion (variance = mean + mean^2 / dispersion).
    factor_gene
        Row of each factor's own gene.
    """

    kind: np.ndarray
    topic: np.ndarray
    base: np.ndarray
    fold: np.ndarray
    dispersion: np.ndarray
    factor_gene: np.ndarray


@dataclass(frozen=True)
class Peaks:
    """Topic of each peak (-1: none) and each topic's distribution over peaks (topics x peaks, rows sum to 1)."""

    topic: np.ndarray
    beta: np.ndarray


def make_genes(genome: Genome, factors: Sequence[Factor], topics: Sequence[str], *, rng: np.random.Generator) -> Genes:
    """Assign classes by domain of neighbouring genes, so that LITE and NITE genes have no peaks in common."""
    n, n_topics = len(genome.genes), len(topics)
    domain = genome.genes["domain"].to_numpy()
    order = rng.permutation(domain.max() + 1)
    n_lite, n_nite = round(_LITE_DOMAINS * len(order)), round(_NITE_DOMAINS * len(order))
    kind = np.full(n, "programme", dtype=object)
    kind[np.isin(domain, order[:n_lite])] = "LITE"
    kind[np.isin(domain, order[n_lite : n_lite + n_nite])] = "NITE"
    mixed = np.flatnonzero(kind == "programme")
    factor_gene = np.sort(rng.permutation(mixed)[: len(factors)])
    constant = mixed[rng.random(len(mixed)) < 0.25]
    kind[np.setdiff1d(constant, factor_gene)] = "constant"

    topic = rng.integers(0, n_topics, n)
    lineage_topics = [topics.index(name) for name in LINEAGES]
    driven = np.isin(kind, ("LITE", "NITE"))
    late = driven & (rng.random(n) < 0.6)
    topic[late] = rng.choice(lineage_topics, int(late.sum()))
    other = driven & ~late
    topic[other] = rng.choice([k for k in range(n_topics) if k not in lineage_topics], int(other.sum()))
    topic[kind == "constant"] = -1
    base = np.where(driven, rng.normal(0.3, 0.4, n), rng.normal(-0.7, 0.8, n))
    fold = np.zeros((n_topics, n))
    rows = np.flatnonzero(kind == "programme")
    fold[topic[rows], rows] = np.exp(rng.normal(2.6, 0.35, len(rows)))
    second = rows[rng.random(len(rows)) < 0.15]
    fold[rng.integers(0, n_topics, len(second)), second] += np.exp(rng.normal(1.8, 0.3, len(second)))
    for row, factor in zip(factor_gene, factors, strict=True):
        if factor.kind == "planted":
            topic[row] = topics.index(factor.lineage)
            fold[:, row] = 0.0
            fold[topic[row], row], base[row] = np.exp(2.8), -0.2
    return Genes(kind, topic, base, fold, np.exp(rng.normal(np.log(5), 0.4, n)), factor_gene)


def make_peaks(genome: Genome, genes: Genes, n_topics: int, *, contrast: float, rng: np.random.Generator) -> Peaks:
    """Assign topics to peaks: near a LITE gene mostly its own, near a NITE gene none, elsewhere any, two in five."""
    nearest = genome.peaks["nearest"].to_numpy()
    distance = genome.peaks["distance"].to_numpy()
    n_peaks = len(nearest)
    draw = rng.random(n_peaks)
    kind = genes.kind[nearest]
    topic = np.full(n_peaks, -1)
    local = (kind == "LITE") & (draw < 0.85 * np.exp(-distance / 40_000))
    topic[local] = genes.topic[nearest[local]]
    free = ~np.isin(kind, ("LITE", "NITE")) & (draw < 0.4)
    topic[free] = rng.integers(0, n_topics, int(free.sum()))
    log_rate = rng.normal(0, 0.7, n_peaks) + np.where(distance <= PROMOTER, 0.8, 0.0)
    rates = np.repeat(log_rate[None], n_topics, axis=0) + rng.normal(0, 0.1, (n_topics, n_peaks))
    rows = np.flatnonzero(topic >= 0)
    rates[topic[rows], rows] += rng.normal(contrast, 0.3, len(rows))
    beta = np.exp(rates)
    return Peaks(topic, beta / beta.sum(axis=1, keepdims=True))


def plan_hits(
    genome: Genome, peaks: Peaks, factors: Sequence[Factor], topics: Sequence[str], *, rng: np.random.Generator
) -> np.ndarray:
    """Draw which factors have a site in which peaks (factors x peaks, bool)."""
    promoter = genome.peaks["distance"].to_numpy() <= PROMOTER
    hits = np.zeros((len(factors), len(promoter)), dtype=bool)
    for row, factor in enumerate(factors):
        if factor.kind == "planted":
            probability = np.where(peaks.topic == topics.index(factor.lineage), 0.5, 0.02)
        elif factor.kind == "promoter-decoy":
            probability = np.where(promoter, 0.5, 0.03)
        else:
            probability = np.full(len(promoter), rng.uniform(0.01, 0.1))
        hits[row] = rng.random(len(promoter)) < probability
    return hits


def local_weights(genome: Genome, gene: int, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a gene's peaks and their weights: a * 2^(-distance / D), strand-aware, without decay at the promoter.

    Peaks in the promoter (1.5 kb) of another gene are left out (Extended Methods, regulatory potential).

    Parameters
    ----------
    parameters
        :data:`RP_COLUMNS` of this gene.
    """
    row = genome.genes.iloc[gene]
    centre = ((genome.peaks["start"] + genome.peaks["end"]) // 2).to_numpy()
    offset = (centre - row["tss"]) * (1 if row["strand"] == "+" else -1)
    near = (genome.peaks["chrom"] == row["chrom"]).to_numpy() & (np.abs(offset) <= WINDOW)
    foreign = (genome.peaks["distance"] <= PROMOTER).to_numpy() & (genome.peaks["nearest"] != gene).to_numpy()
    index = np.flatnonzero(near & ~foreign)
    away = np.abs(offset[index]) / 1e3
    d_up, d_down, a_up, a_down, a_promoter = parameters[:5]
    weights = np.where(
        away * 1e3 <= PROMOTER,
        a_promoter,
        np.where(offset[index] < 0, a_up * 0.5 ** (away / d_up), a_down * 0.5 ** (away / d_down)),
    )
    return index, weights


def expression_rates(
    genome: Genome, genes: Genes, peaks: Peaks, cells: Cells, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's distribution over genes, and the regulatory parameters it was made with.

    LITE: log rate = base + gamma * z(regulatory potential); NITE: base + gamma * z(accessibility topic); programme:
    exp(base) * (1 + theta_rna @ fold).

    Returns
    -------
    rho
        Cells x genes, rows sum to 1.
    parameters
        Genes x 6, :data:`RP_COLUMNS`; NaN where a gene has none.
    """
    log_rate = genes.base + np.log1p(cells.theta_rna @ genes.fold)
    n = len(genes.kind)
    parameters = np.full((n, len(RP_COLUMNS)), np.nan)
    half = np.exp(rng.normal(np.log(10.0), 0.5, (n, 2)))
    strength = np.abs(rng.normal(0, 1, (n, 3))) + 0.2
    gamma = rng.uniform(0.7, 1.1, n)
    for gene in np.flatnonzero(genes.kind == "LITE"):
        drawn = np.concatenate([half[gene], strength[gene], gamma[gene : gene + 1]])
        index, weights = local_weights(genome, int(gene), drawn)
        if len(index):
            potential = cells.theta_atac @ (peaks.beta[:, index] @ weights)
            log_rate[:, gene] += gamma[gene] * _standardise(potential)
            parameters[gene] = drawn
    for gene in np.flatnonzero(genes.kind == "NITE"):
        log_rate[:, gene] += gamma[gene] * _standardise(cells.theta_atac[:, genes.topic[gene]])
        parameters[gene, -1] = gamma[gene]
    rho = np.exp(log_rate)
    return rho / rho.sum(axis=1, keepdims=True), parameters


def _standardise(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-12 * abs(values.mean()) + 1e-300 else np.zeros_like(values)


def draw_expression(
    rho: np.ndarray, depth: np.ndarray, dispersion: np.ndarray, *, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Draw negative binomial counts, cells x genes, in blocks of cells."""
    blocks = []
    for begin in range(0, len(rho), _BLOCK):
        mean = rho[begin : begin + _BLOCK] * depth[begin : begin + _BLOCK, None]
        blocks.append(sparse.csr_matrix(rng.poisson(rng.gamma(dispersion, mean / dispersion)).astype(np.float32)))
    return sparse.vstack(blocks, format="csr")


def draw_accessibility(
    theta: np.ndarray, beta: np.ndarray, depth: np.ndarray, *, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Draw open peaks, cells x peaks: at least one fragment of a Poisson number, in blocks of cells."""
    blocks = []
    for begin in range(0, len(theta), _BLOCK):
        mean = (theta[begin : begin + _BLOCK] @ beta) * depth[begin : begin + _BLOCK, None]
        is_open = rng.random(mean.shape) < -np.expm1(-mean)
        blocks.append(sparse.csr_matrix(is_open.astype(np.float32)))
    return sparse.vstack(blocks, format="csr")


def fragments_for(theta: np.ndarray, beta: np.ndarray, open_fraction: float) -> float:
    """Return the mean number of fragments that opens `open_fraction` of the peaks (bisection, first 200 cells)."""
    probability = theta[:200] @ beta
    low, high = 0.01 * beta.shape[1], 50.0 * beta.shape[1]
    for _ in range(50):
        middle = np.sqrt(low * high)
        if -np.expm1(-middle * probability).mean() < open_fraction:
            low = middle
        else:
            high = middle
    return float(np.sqrt(low * high))
