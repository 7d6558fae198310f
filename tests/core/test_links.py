"""Tests of pairs of peaks and genes: dense arithmetic, planted pairs, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from mira_nb.core.regulation.geometry import PeakSets
from mira_nb.core.regulation.links import CellDepths, LinkPlan, LinkTests, score_links
from mira_nb.core.statistics.rank_tests import benjamini_hochberg
from mira_nb.errors import InputError

N, GENES, PER_GENE = 400, 30, 20


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, PeakSets, np.ndarray]:
    """Genes on two chromosomes with their own peaks; the first peak of every third gene opens with it."""
    rng = np.random.default_rng(seed)
    depth = rng.lognormal(0, 0.5, N)
    level = rng.lognormal(0, 0.8, (N, GENES))
    counts = rng.poisson(level * depth[:, None])
    logit = rng.normal(-1.5, 0.7, GENES * PER_GENE) + np.log(depth)[:, None]
    for g in range(0, GENES, 3):
        logit[:, g * PER_GENE] += 1.5 * np.log(level[:, g])
    is_open = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
    is_open[:, 5] = False
    chrom = np.array(["chr1" if g < GENES // 2 else "chr2" for g in range(GENES)], dtype=object)
    zeros = np.zeros(GENES, dtype=np.int64)
    sets = PeakSets(
        genes=tuple(f"g{g}" for g in range(GENES)),
        indptr=np.arange(GENES + 1) * PER_GENE,
        peak=np.arange(GENES * PER_GENE),
        distance=np.tile(np.arange(PER_GENE) * 1000.0, GENES),
        region=np.full(GENES * PER_GENE, 2, dtype=np.int8),
        chrom=chrom,
        tss=zeros,
        strand=np.full(GENES, "+", dtype=object),
        n_tss=zeros,
        n_masked=zeros,
        own_promoter_masked=zeros.astype(bool),
        status=np.full(GENES, "ok", dtype=object),
    )
    return is_open, counts, depth, sets, np.repeat(chrom, PER_GENE)


def scored(seed: int = 0, *, shuffled: bool = False, n_threads: int = 1, **plan: int) -> LinkTests:
    is_open, counts, depth, sets, chrom = problem(seed)
    cells = np.random.default_rng(9).permutation(N) if shuffled else np.arange(N)
    return score_links(
        sparse.csr_matrix(is_open),
        sparse.csr_matrix(counts[cells]),
        depths=CellDepths(depth[cells], is_open.sum(axis=1)),
        sets=sets,
        peak_chrom=chrom,
        generator=np.random.default_rng(seed),
        plan=LinkPlan(**plan),
        n_threads=n_threads,
    )


def test_correlations_are_those_of_regression_residuals() -> None:
    is_open, counts, depth, sets, _ = problem()
    found = scored(n_permutations=10)
    design = np.column_stack([np.ones(N), np.log(depth), np.log(is_open.sum(axis=1))])
    expression = np.log1p(counts * (np.median(depth) / depth)[:, None])

    def residual(values: np.ndarray) -> np.ndarray:
        return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

    for pair in (0, 7, 60, 333):
        expected = stats.pearsonr(residual(is_open[:, pair].astype(float)), residual(expression[:, pair // PER_GENE]))
        assert found.correlation[pair] == pytest.approx(expected.statistic, abs=1e-10)
    assert np.isnan(found.correlation[5])
    assert np.isnan(found.pvalue[5])
    assert np.isfinite(np.delete(found.pvalue, 5)).all()
    assert len(sets.peak) == len(found.pvalue)


def test_pvalues_agree_with_permutations_of_one_pair_by_hand() -> None:
    """Each pair against 2,000 permutations of its own, by the formula of the statistic."""
    is_open, counts, depth, _, _ = problem()
    found = scored(n_permutations=200)
    design = np.column_stack([np.ones(N), np.log(depth), np.log(is_open.sum(axis=1))])
    hat = design @ np.linalg.pinv(design)
    rng = np.random.default_rng(4)
    pairs = np.r_[0, 1:5, 6:200:9]
    own = []
    for pair in pairs:
        y = np.log1p(counts[:, pair // PER_GENE] * np.median(depth) / depth)
        y = y - hat @ y
        x = is_open[:, pair] - hat @ is_open[:, pair]
        y, x = y / np.linalg.norm(y), x / np.linalg.norm(x)
        permuted = np.array([rng.permutation(y) @ x for _ in range(2000)])
        own.append((1 + (permuted >= x @ y).sum()) / 2001)
    assert np.abs(found.pvalue[pairs] - own).max() < 0.06
    assert np.abs(found.pvalue[pairs] - own).mean() < 0.015


def test_rank_among_other_chromosomes_by_brute_force() -> None:
    is_open, _, _, _, chrom = problem()
    found = scored(n_permutations=10, n_background=10_000)
    openness = is_open.sum(axis=0)
    group = np.searchsorted(np.quantile(openness, np.arange(1, 10) / 10), openness, side="left")
    every = scored_all_pairs()
    for pair in (0, 9, 100, 444):
        gene = pair // PER_GENE
        others = every[gene][(group == group[pair]) & (chrom != chrom[pair]) & (openness > 0)]
        expected = (1 + (others >= found.correlation[pair]).sum()) / (1 + len(others))
        assert found.background[pair] == pytest.approx(expected)


def scored_all_pairs() -> np.ndarray:
    """(genes, peaks) correlations by regression."""
    is_open, counts, depth, _, _ = problem()
    design = np.column_stack([np.ones(N), np.log(depth), np.log(is_open.sum(axis=1))])
    hat = design @ np.linalg.pinv(design)
    y = np.log1p(counts * (np.median(depth) / depth)[:, None])
    y, x = y - hat @ y, is_open - hat @ is_open
    with np.errstate(invalid="ignore"):
        return (y / np.linalg.norm(y, axis=0)).T @ (x / np.linalg.norm(x, axis=0))


def test_planted_pairs_are_found_and_others_are_not() -> None:
    found = scored()
    called = np.flatnonzero(benjamini_hochberg(found.pvalue) < 0.05)
    planted = np.arange(0, GENES, 3) * PER_GENE
    assert set(planted) <= set(called)
    assert len(called) <= len(planted) + 2
    assert np.nanmedian(found.background[planted]) < 0.05


def test_unpaired_cells_give_uniform_pvalues_and_no_link() -> None:
    found = scored(shuffled=True)
    known = found.pvalue[np.isfinite(found.pvalue)]
    assert stats.kstest(known, "uniform").pvalue > 0.01
    assert not (benjamini_hochberg(known) < 0.05).any()


def test_threads_do_not_change_the_result_and_wrong_shapes_are_refused() -> None:
    one, two = scored(n_permutations=10, n_threads=1), scored(n_permutations=10, n_threads=2)
    np.testing.assert_array_equal(one.pvalue, two.pvalue)
    is_open, counts, depth, sets, chrom = problem()
    with pytest.raises(InputError, match="399"):
        score_links(
            is_open, counts, depths=CellDepths(depth[1:], depth), sets=sets, peak_chrom=chrom,
            generator=np.random.default_rng(0),
        )  # fmt: skip
