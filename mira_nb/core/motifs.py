"""Motif scanning (MOODS), enrichment of motifs in topics, and motif scores of cells.

Extended Methods, "Topic Analysis" and "Motif score".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.statistics.contingency import association, log10_benjamini_hochberg
from mira_nb.errors import InputError
from mira_nb.typing import Floats

Matrix = tuple[tuple[float, ...], ...]
Mapper = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]

UNIFORM: Final = (0.25, 0.25, 0.25, 0.25)
WINDOW: Final = 7
BLOCK_LETTERS: Final = 2_000_000
_JOIN_LETTERS: Final = 100_000


@dataclass(frozen=True)
class MotifScan:
    """Motifs ready to scan; small, picklable, hashable.

    Attributes
    ----------
    matrices
        Log-odds matrix of each motif: four rows A, C, G, T.
    thresholds
        Smallest score that is a hit.
    hit_pvalues
        Chance that one position scores that high: the p value asked for (MOODS rounds scores to 1/2000, so that the
        next score below may still count), or, for motifs so short that even their perfect match is more likely than
        that, the chance of the perfect match.
    background
        Letter frequencies behind scores and thresholds.
    """

    matrices: tuple[Matrix, ...]
    thresholds: tuple[float, ...]
    hit_pvalues: tuple[float, ...]
    background: tuple[float, float, float, float]

    @property
    def n_motifs(self) -> int:
        """Number of motifs."""
        return len(self.matrices)


def letter_frequencies(sequences: Sequence[str]) -> tuple[float, float, float, float]:
    """Compute frequencies of A, C, G, T over all sequences and both strands (so A = T and C = G)."""
    gc = sum(sequence.count("G") + sequence.count("C") for sequence in sequences)
    at = sum(sequence.count("A") + sequence.count("T") for sequence in sequences)
    if gc + at == 0:
        raise InputError("the sequences hold no letter A, C, G or T")
    share = gc / (gc + at) / 2
    return (0.5 - share, share, share, 0.5 - share)


def prepare_motifs(
    counts: Sequence[Floats],
    *,
    pvalue: float = 1e-5,
    background: tuple[float, float, float, float] = UNIFORM,
    pseudocount: float = 0.01,
) -> MotifScan:
    """Turn count matrices into log-odds matrices with score thresholds by MOODS.

    Parameters
    ----------
    counts
        Matrices 4 x width, rows A, C, G, T, not negative.
    pvalue
        Chance of a hit at one position of random sequence.
    background
        Letter frequencies of that random sequence.
    pseudocount
        Added to each position, shared out by the background.
    """
    from MOODS import tools

    matrices, thresholds, reached = [], [], []
    for matrix in counts:
        if matrix.ndim != 2 or matrix.shape[0] != 4:
            raise InputError(f"a motif matrix of shape {matrix.shape}", expected="four rows A, C, G, T")
        log_odds = tools.log_odds(np.asarray(matrix, dtype=float).tolist(), list(background), pseudocount)
        threshold = tools.threshold_from_p(log_odds, list(background), pvalue)
        matrices.append(tuple(tuple(float(value) for value in row) for row in log_odds))
        thresholds.append(float(threshold))
        reached.append(max(pvalue, _best_chance(np.asarray(log_odds), background)))
    return MotifScan(tuple(matrices), tuple(thresholds), tuple(reached), background)


def _best_chance(log_odds: Floats, background: Sequence[float]) -> float:
    """Return the chance of the highest possible score at one position."""
    best = np.isclose(log_odds, log_odds.max(axis=0))
    return float(np.prod((best * np.asarray(background)[:, None]).sum(axis=0)))


@lru_cache(maxsize=2)
def _scanners(scan: MotifScan) -> list[tuple[Any, NDArray[np.int64]]]:
    """Build MOODS scanners of both strands, and the motif behind each of their matrices.

    A scanner's window must not be wider than its shortest motif, or hits at the ends of sequences are lost.
    """
    from MOODS import tools
    from MOODS.scan import Scanner

    groups: dict[int, list[int]] = {}
    for i, matrix in enumerate(scan.matrices):
        groups.setdefault(min(WINDOW, len(matrix[0])), []).append(i)
    out = []
    for window, members in sorted(groups.items()):
        matrices, thresholds = [], []
        for i in members:
            forward = [list(row) for row in scan.matrices[i]]
            matrices += [forward, [list(row) for row in tools.reverse_complement(forward)]]
            thresholds += [scan.thresholds[i]] * 2
        scanner = Scanner(window)
        scanner.set_motifs(matrices, list(scan.background), thresholds)
        out.append((scanner, np.repeat(np.array(members, dtype=np.int64), 2)))
    return out


def scan_block(scan: MotifScan, sequences: Sequence[str]) -> sparse.csr_matrix:
    """Find which motif occurs in which sequence, on either strand: (sequences, motifs), 0/1.

    Sequences are joined by N, which no motif matches, so that MOODS is called seldom.
    """
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    for first, last in _groups([len(sequence) + 1 for sequence in sequences], _JOIN_LETTERS):
        joined = "N".join(sequences[first:last])
        starts = np.concatenate([[0], np.cumsum([len(text) + 1 for text in sequences[first:last]])[:-1]])
        for scanner, motif in _scanners(scan):
            for number, found in enumerate(scanner.scan(joined)):
                if len(found):
                    positions = np.fromiter((match.pos for match in found), dtype=np.int64, count=len(found))
                    hit = np.unique(np.searchsorted(starts, positions, side="right") - 1)
                    rows.append(hit + first)
                    columns.append(np.full(len(hit), motif[number]))
    shape = (len(sequences), scan.n_motifs)
    if not rows:
        return sparse.csr_matrix(shape, dtype=np.float32)
    row, column = np.concatenate(rows), np.concatenate(columns)
    hits = sparse.csr_matrix((np.ones(len(row), dtype=np.float32), (row, column)), shape=shape)
    hits.data[:] = 1.0
    return hits


def _groups(lengths: Sequence[int], limit: int) -> Iterator[tuple[int, int]]:
    """Cut a list into runs of about `limit` letters each."""
    first, total = 0, 0
    for i, length in enumerate(lengths):
        if total and total + length > limit:
            yield first, i
            first, total = i, 0
        total += length
    if lengths:
        yield first, len(lengths)


def scan_sequences(
    scan: MotifScan,
    sequences: Sequence[str],
    *,
    mapper: Mapper = map,
    progress: Callable[[float], None] | None = None,
    block_letters: int = BLOCK_LETTERS,
) -> sparse.csr_matrix:
    """Scan all sequences, (sequences, motifs), 0/1 float32; blocks may go to other processes.

    Parameters
    ----------
    sequences
        Letters A, C, G, T; any other letter breaks a site. Empty sequences have no hits.
    mapper
        ``map`` or one that spreads the work, results in order.
    progress
        Called with the fraction done after each block.
    """
    blocks = [list(sequences[i:j]) for i, j in _groups([len(text) + 1 for text in sequences], block_letters)]
    parts = []
    for part in mapper(partial(scan_block, scan), blocks):
        parts.append(part)
        if progress is not None:
            progress(len(parts) / len(blocks))
    if not parts:
        return sparse.csr_matrix((0, scan.n_motifs), dtype=np.float32)
    return sparse.csr_matrix(sparse.vstack(parts, format="csr"))


def topic_enrichment(
    activations: Floats, hits: sparse.csr_matrix, *, top_quantile: float = 0.2, topics: Sequence[str]
) -> pd.DataFrame:
    """Test each motif for enrichment in the most activated peaks of each topic against the other peaks.

    Parameters
    ----------
    activations
        (peaks, topics) topic activations of the peaks tested, all finite.
    hits
        (peaks, motifs) 0/1.
    top_quantile
        Fraction of the peaks that counts as a topic's top; ties keep the order of the peaks.
    topics
        Names of the topics.

    Returns
    -------
    pandas.DataFrame
        One row per topic and motif (topic by topic, motifs in order): topic, motif (column of `hits`), odds_ratio,
        odds_low, odds_high (95 %), log10_pvalue, pvalue, adj_pvalue, log10_adj_pvalue, n_hits_top, n_hits, n_top,
        n_peaks. One-sided Fisher exact test, Benjamini-Hochberg over the motifs of a topic.
    """
    n_peaks, n_motifs = hits.shape
    n_top = round(n_peaks * top_quantile)
    if not 0 < n_top < n_peaks:
        raise InputError(
            f"the top {top_quantile:.3g} of {n_peaks} peaks", expected="some peaks in the top and some outside"
        )
    n_hits = np.asarray(hits.sum(axis=0), dtype=np.int64).ravel()
    parts = []
    for column, topic in enumerate(topics):
        top = np.argsort(-activations[:, column], kind="stable")[:n_top]
        inside = np.asarray(hits[np.sort(top)].sum(axis=0), dtype=np.int64).ravel()
        found = association(inside, n_peaks, n_hits, n_top)
        adjusted = log10_benjamini_hochberg(found.log10_pvalue)
        parts.append(
            pd.DataFrame(
                {
                    "topic": topic,
                    "motif": np.arange(n_motifs),
                    "odds_ratio": found.odds_ratio,
                    "odds_low": found.odds_low,
                    "odds_high": found.odds_high,
                    "log10_pvalue": found.log10_pvalue,
                    "pvalue": found.pvalue,
                    "adj_pvalue": np.power(10.0, adjusted),
                    "log10_adj_pvalue": adjusted,
                    "n_hits_top": inside,
                    "n_hits": n_hits,
                    "n_top": n_top,
                    "n_peaks": n_peaks,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def raw_motif_scores(
    topics: Floats, weights: Floats, offset: Floats, log_normalizer: Floats, hits: sparse.csr_matrix
) -> Floats:
    r"""Compute query log-likelihoods Q_ih = sum over the cistrome C_h of log rho_ik, (cells, motifs).

    With log rho_ik = Z_i W_k + c_k - log n_i, the sum over peaks is Z (W H) + c H - log n_i \|C_h\|: no array of
    cells x peaks is needed.

    Parameters
    ----------
    topics
        (cells, K).
    weights, offset
        (K, peaks) and (peaks,): the decoder's logits are ``topics @ weights + offset``.
    log_normalizer
        (cells,) log of the sum of exp(logits) over all modelled peaks.
    hits
        (peaks, motifs) 0/1, the same peaks.
    """
    transposed = sparse.csr_matrix(hits.T)
    summed = np.asarray(transposed @ weights.T).T
    constant = np.asarray(transposed @ offset)
    size = np.asarray(hits.sum(axis=0), dtype=np.float64).ravel()
    return topics @ summed + constant - log_normalizer[:, None] * size


def normalize_motif_scores(scores: Floats) -> Floats:
    """Scale every cell to Euclidean norm 1 over the factors, then standardise each factor over the cells.

    Factors without variation (such as those without any hit) become 0.
    """
    norm = np.linalg.norm(scores, axis=1, keepdims=True)
    unit = np.divide(scores, norm, out=np.zeros_like(scores, dtype=np.float64), where=norm > 0)
    centered = unit - unit.mean(axis=0)
    spread = centered.std(axis=0)
    tolerance = 1e-12 * np.maximum(np.abs(unit).max(axis=0, initial=0.0), 1e-300)
    return np.divide(centered, spread, out=np.zeros_like(centered), where=spread > tolerance)


def motif_families(hits: sparse.csr_matrix, *, min_similarity: float = 0.4) -> NDArray[np.int64]:
    """Group motifs that hit the same peaks, by average linkage of the cosine similarity of their hits.

    Factors of one group cannot be told apart by their motifs. Numbered by first member; motifs without hits are alone.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    n = hits.shape[1]
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    size = np.sqrt(np.asarray(hits.sum(axis=0), dtype=np.float64).ravel())
    shared = np.asarray((hits.T @ hits).todense(), dtype=np.float64)
    scale = np.outer(size, size)
    similarity = np.divide(shared, scale, out=np.zeros_like(shared), where=scale > 0)
    distance = np.clip(1.0 - similarity, 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    labels = fcluster(tree, t=1.0 - min_similarity, criterion="distance")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.int64)


def rank_correlation(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Compute the Spearman correlation of matching columns of two tables, with two-sided p (t approximation).

    Constant columns give NaN.
    """
    from scipy.stats import rankdata
    from scipy.stats import t as student

    n = len(x)
    ranks_x, ranks_y = rankdata(x, axis=0), rankdata(y, axis=0)
    ranks_x = ranks_x - ranks_x.mean(axis=0)
    ranks_y = ranks_y - ranks_y.mean(axis=0)
    scale = np.sqrt((ranks_x**2).sum(axis=0) * (ranks_y**2).sum(axis=0))
    rho = np.divide((ranks_x * ranks_y).sum(axis=0), scale, out=np.full(x.shape[1], np.nan), where=scale > 0)
    rho = np.clip(rho, -1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(rho) * np.sqrt((n - 2) / (1 - rho**2))
    return rho, np.asarray(2 * student.sf(statistic, n - 2))
