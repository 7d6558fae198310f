"""A small synthetic genome: genes, peaks, and sequences in which motif sites are really planted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from .simulate_factors import Factor, factor_names

GENE_SPACING: Final = 36_000
PEAK_WIDTH: Final = 400
PROMOTER: Final = 1_500
_BIN: Final = 600
_MARGIN: Final = 30_000
_CHROMOSOME: Final = 8_000_000
_SLOT: Final = 20  # sites lie in slots, so that no two overlap
_LETTERS: Final = np.frombuffer(b"ACGT", dtype=np.uint8)
_LINE: Final = 60


@dataclass(frozen=True)
class Genome:
    """Genes and peaks of the synthetic genome.

    Attributes
    ----------
    chromosomes
        Names.
    lengths
        Base pairs of each.
    genes
        Columns chrom, start, end, strand, gene_symbol, tss, domain; one row per gene, along the genome.
    peaks
        Columns chrom, start, end, nearest (row of the nearest gene), distance (bp from peak centre to its TSS, >= 0).
    """

    chromosomes: tuple[str, ...]
    lengths: np.ndarray
    genes: pd.DataFrame
    peaks: pd.DataFrame


@dataclass(frozen=True)
class Sites:
    """Planted motif sites, one entry each: factor and peak rows, offset of the site in the peak, strand (+1, -1)."""

    factor: np.ndarray
    peak: np.ndarray
    offset: np.ndarray
    strand: np.ndarray


def make_genome(n_genes: int, n_peaks: int, *, rng: np.random.Generator) -> Genome:
    """Lay out genes about 36 kb apart and peaks at promoters (9 of 10 genes), around genes and between them."""
    total = n_genes * GENE_SPACING
    n_chromosomes = max(2, round(total / _CHROMOSOME))
    length = -(-(total // n_chromosomes + 2 * _MARGIN) // _BIN) * _BIN
    chromosomes = tuple(f"chr{number + 1}" for number in range(n_chromosomes))
    genes = _genes(n_genes, chromosomes, length, rng)
    code = genes["chrom"].map({name: number for number, name in enumerate(chromosomes)}).to_numpy()
    bins = _peak_bins(code, genes["tss"].to_numpy(), n_chromosomes, length // _BIN, n_peaks, rng)
    chrom, start = bins // (length // _BIN), bins % (length // _BIN) * _BIN + (_BIN - PEAK_WIDTH) // 2
    nearest, distance = nearest_gene(chrom, start + PEAK_WIDTH // 2, code, genes["tss"].to_numpy())
    peaks = pd.DataFrame(
        {
            "chrom": np.array(chromosomes, dtype=object)[chrom],
            "start": start,
            "end": start + PEAK_WIDTH,
            "nearest": nearest,
            "distance": distance,
        }
    )
    return Genome(chromosomes, np.full(n_chromosomes, length), genes, peaks)


def _genes(n: int, chromosomes: Sequence[str], length: int, rng: np.random.Generator) -> pd.DataFrame:
    code = np.sort(np.arange(n) % len(chromosomes))
    tss = np.zeros(n, dtype=np.int64)
    for number in range(len(chromosomes)):
        rows = np.flatnonzero(code == number)
        step = (length - 2 * _MARGIN) / len(rows)
        jitter = rng.uniform(0.15, 0.85, len(rows))  # at least 0.3 of the spacing between neighbours
        tss[rows] = (_MARGIN + (np.arange(len(rows)) + jitter) * step).astype(np.int64)
    strand = np.where(rng.random(n) < 0.5, "+", "-")
    size = rng.integers(3_000, 20_000, n)
    return pd.DataFrame(
        {
            "chrom": np.array(chromosomes, dtype=object)[code],
            "start": np.where(strand == "+", tss, tss - size),
            "end": np.where(strand == "+", tss + size, tss + 1),  # half-open: the first base of - is end - 1
            "strand": strand,
            "gene_symbol": gene_symbols(n, rng),
            "tss": tss,
            "domain": np.arange(n) // 5,
        }
    )


def _peak_bins(
    code: np.ndarray, tss: np.ndarray, n_chromosomes: int, n_bins: int, n_peaks: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw distinct bins (chromosome * n_bins + bin), sorted: promoters, then around genes, then anywhere."""
    with_promoter = np.flatnonzero(rng.random(len(tss)) < 0.9)
    promoters = np.unique(code[with_promoter] * n_bins + tss[with_promoter] // _BIN)[: n_peaks // 2]
    chosen = dict.fromkeys(promoters.tolist())
    while len(chosen) < n_peaks:
        near = rng.random(n_peaks) < 0.75
        gene = rng.integers(0, len(tss), n_peaks)
        offset = rng.choice([-1, 1], n_peaks) * rng.exponential(9_000, n_peaks)
        local = code[gene] * n_bins + np.clip((tss[gene] + offset) // _BIN, 0, n_bins - 1).astype(np.int64)
        anywhere = rng.integers(0, n_chromosomes * n_bins, n_peaks)
        for position in np.where(near, local, anywhere).tolist():
            if len(chosen) == n_peaks:
                break
            chosen.setdefault(position)
    return np.sort(np.array(list(chosen), dtype=np.int64))


def nearest_gene(
    peak_chrom: np.ndarray, centre: np.ndarray, gene_chrom: np.ndarray, tss: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest gene by TSS on the same chromosome, and its distance (genes sorted along the genome)."""
    nearest, distance = np.zeros(len(centre), dtype=np.int64), np.zeros(len(centre), dtype=np.int64)
    for number in np.unique(peak_chrom):
        genes, peaks = np.flatnonzero(gene_chrom == number), np.flatnonzero(peak_chrom == number)
        right = np.searchsorted(tss[genes], centre[peaks])
        left = np.clip(right - 1, 0, len(genes) - 1)
        right = np.clip(right, 0, len(genes) - 1)
        d_left, d_right = np.abs(centre[peaks] - tss[genes[left]]), np.abs(centre[peaks] - tss[genes[right]])
        nearest[peaks] = genes[np.where(d_left <= d_right, left, right)]
        distance[peaks] = np.minimum(d_left, d_right)
    return nearest, distance


def gene_symbols(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return distinct pronounceable symbols of four or five capitals and a number, such as ``TIRKA12``."""
    first, vowel, last = list("BCDFGKLMNPRSTVZ"), list("AEIOU"), list("BDKLMNPRSTX")
    reserved = set(factor_names())
    out: dict[str, None] = {}
    while len(out) < n:
        parts = (rng.choice(first), rng.choice(vowel), rng.choice(last), rng.choice(first), rng.choice(vowel))
        number = int(rng.integers(1, 20))
        symbol = "".join(map(str, parts)) + (str(number) if rng.random() < 0.8 else "")
        if symbol not in reserved:
            out.setdefault(symbol)
    return np.array(list(out), dtype=object)


def plant_sites(hits: np.ndarray, factors: Sequence[Factor], *, rng: np.random.Generator) -> Sites:
    """Choose a place in its peak for every hit, so that no two sites of a peak overlap.

    Parameters
    ----------
    hits
        Factors x peaks, bool.
    """
    n_peaks = hits.shape[1]
    slots = np.argsort(rng.random((n_peaks, PEAK_WIDTH // _SLOT)), axis=1)
    used = np.zeros(n_peaks, dtype=np.int64)
    rows: list[tuple[np.ndarray, ...]] = []
    for index, factor in enumerate(factors):
        peaks = np.flatnonzero(hits[index] & (used < slots.shape[1]))
        shift = rng.integers(0, _SLOT - factor.width + 1, len(peaks))
        offset = slots[peaks, used[peaks]] * _SLOT + shift
        used[peaks] += 1
        rows.append((np.full(len(peaks), index), peaks, offset, rng.choice([-1, 1], len(peaks))))
    columns = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    return Sites(*columns)


def peak_sequences(genome: Genome, sites: Sites, factors: Sequence[Factor], *, rng: np.random.Generator) -> np.ndarray:
    """Draw the sequences of all peaks as codes 0 to 3 for A, C, G, T.

    The background is random and richer in G and C at promoters; every site is drawn letter by letter from its
    factor's own matrix.

    Returns
    -------
    array
        Peaks x 400, uint8.
    """
    n_peaks = len(genome.peaks)
    gc = np.where(genome.peaks["distance"].to_numpy() <= PROMOTER, 0.56, 0.44)[:, None]
    is_gc = rng.random((n_peaks, PEAK_WIDTH)) < gc
    second = rng.random((n_peaks, PEAK_WIDTH)) < 0.5
    codes = np.where(is_gc, np.where(second, 1, 2), np.where(second, 0, 3)).astype(np.uint8)
    for index, factor in enumerate(factors):
        rows = np.flatnonzero(sites.factor == index)
        cumulative = np.cumsum(factor.counts / factor.counts.sum(axis=0), axis=0)
        draws = rng.random((len(rows), 1, factor.width))
        letters = (draws > cumulative[None]).sum(axis=1).clip(max=3).astype(np.uint8)
        minus = sites.strand[rows] < 0
        letters[minus] = 3 - letters[minus][:, ::-1]
        columns = sites.offset[rows, None] + np.arange(factor.width)
        codes[sites.peak[rows, None], columns] = letters
    return codes


def fasta_bytes(genome: Genome, codes: np.ndarray) -> bytes:
    """Write the genome as FASTA, 60 letters per line; N between the peaks, so that it packs well."""
    out = io.BytesIO()
    chrom, start = genome.peaks["chrom"].to_numpy(), genome.peaks["start"].to_numpy()
    for name, length in zip(genome.chromosomes, genome.lengths, strict=True):
        sequence = np.full(int(length), ord("N"), dtype=np.uint8)
        rows = np.flatnonzero(chrom == name)
        sequence[start[rows, None] + np.arange(PEAK_WIDTH)] = _LETTERS[codes[rows]]
        n_full = int(length) // _LINE
        lines = np.full((n_full, _LINE + 1), ord("\n"), dtype=np.uint8)
        lines[:, :_LINE] = sequence[: n_full * _LINE].reshape(n_full, _LINE)
        out.write(f">{name}\n".encode())
        out.write(lines.tobytes())
        if rest := sequence[n_full * _LINE :].tobytes():
            out.write(rest + b"\n")
    return out.getvalue()
