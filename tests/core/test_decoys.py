"""Decoys of driver factors: what they keep, effects against scipy and permutations, and calibration of the test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from mira_nb.core.regulation.decoys import decoy_test, make_decoys, peak_strata, set_effects
from mira_nb.core.regulation.motif_families import matrix_families, matrix_similarity


def test_decoys_keep_the_number_of_sites_in_every_stratum() -> None:
    rng = np.random.default_rng(0)
    covariates = np.column_stack([rng.random(400) < 0.2, rng.random(400), rng.random(400)])
    strata = peak_strata(covariates, n_bins=3)
    assert strata.max() + 1 == 2 * 3 * 3
    for stratum in range(strata.max() + 1):  # one kind of peak each
        assert len(np.unique(covariates[strata == stratum, 0])) == 1
    hits = sparse.csr_matrix(rng.random((400, 12)) < rng.uniform(0.02, 0.3, 12))
    decoys, source = make_decoys(hits, strata, n_decoys=30, generator=np.random.default_rng(1))
    assert set(source) == set(range(12))
    for column, factor in enumerate(source):
        own, moved = (np.flatnonzero(x.toarray().ravel()) for x in (hits[:, factor], decoys[:, column]))
        np.testing.assert_array_equal(np.bincount(strata[own], minlength=18), np.bincount(strata[moved], minlength=18))
        assert not np.array_equal(own, moved)
    again, _ = make_decoys(hits, strata, n_decoys=30, generator=np.random.default_rng(1))
    assert (decoys != again).nnz == 0
    few, source = make_decoys(hits, strata, n_decoys=4, generator=np.random.default_rng(1))
    assert few.shape == (400, 4)
    sites = np.asarray(hits.sum(0)).ravel()
    assert (np.diff(sites[source]) >= 0).all()
    assert make_decoys(hits * 0, strata, n_decoys=4, generator=rng)[0].shape == (400, 0)


def test_effects_are_those_of_mann_and_whitney_with_the_spread_of_permutations() -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(60, 3)), 1)  # with ties
    queries = np.zeros((2, 60), dtype=bool)
    queries[0, :20], queries[1, 15:45] = True, True
    effect, error = set_effects(scores, queries)
    for q in range(2):
        for h in range(3):
            u = stats.mannwhitneyu(scores[queries[q], h], scores[~queries[q], h]).statistic
            n_1, n_2 = queries[q].sum(), (~queries[q]).sum()
            assert effect[q, h] == pytest.approx(2 * u / (n_1 * n_2) - 1)
    permuted = np.stack([set_effects(rng.permutation(scores), queries)[0] for _ in range(4000)])
    np.testing.assert_allclose(permuted.std(axis=0), error, rtol=0.04)


def test_random_sites_are_called_as_often_as_stated_and_planted_ones_are_found() -> None:
    """Scores share programmes over neighbouring genes, so that the plain test is far from its level."""
    rng = np.random.default_rng(3)
    n_genes, n_programmes = 300, 8
    programme = np.repeat(np.eye(n_programmes), n_genes // n_programmes + 1, axis=0)[:n_genes]
    queries = np.stack([rng.permutation(n_genes) < 80 for _ in range(2)])
    queries[0] = programme[:, :2].any(axis=1)  # a set that is a programme

    def scored(n: int) -> np.ndarray:
        return programme @ rng.normal(size=(n_programmes, n)) + rng.normal(size=(n_genes, n))

    null, decoys = scored(4000), scored(200)
    design = np.zeros((4000, 1))
    found = decoy_test(null, decoys, queries, design=design, decoy_design=np.zeros((200, 1)))
    assert (found.pvalue < 0.05).mean(axis=1) == pytest.approx(0.05, abs=0.02)
    effect, error = set_effects(null, queries)
    assert (stats.norm.sf(effect / error)[0] < 0.05).mean() > 0.2  # what the test is for
    assert ((found.low <= 0) & (found.high >= 0)).mean() == pytest.approx(0.95, abs=0.02)
    planted = scored(20) + 3.0 * queries[1][:, None]
    tested = decoy_test(planted, decoys, queries, design=design[:20], decoy_design=np.zeros((200, 1)))
    assert (tested.low[1] > 0.3).all()


def test_what_the_number_of_sites_explains_is_no_excess() -> None:
    rng = np.random.default_rng(4)
    queries = (np.arange(200) < 60)[None]
    sites = rng.uniform(2, 6, 150)
    decoys = rng.normal(size=(200, 150)) + 0.2 * queries.T * sites
    own = np.tile([2.5, 4.0, 5.5], 40)
    factors = rng.normal(size=(200, 120)) + 0.2 * queries.T * own
    found = decoy_test(factors, decoys, queries, design=own[:, None], decoy_design=sites[:, None])
    assert (found.effect.reshape(40, 3).mean(0) > 0.2).all()
    assert np.abs(found.excess.reshape(40, 3).mean(0)).max() < 0.05
    assert (found.pvalue < 0.05).mean() == pytest.approx(0.05, abs=0.04)
    with pytest.raises(ValueError, match="more decoys"):
        decoy_test(factors, decoys[:, :2], queries, design=own[:, None], decoy_design=sites[:2, None])


def test_families_by_matrices() -> None:
    rng = np.random.default_rng(5)
    motif = rng.dirichlet(np.full(4, 0.2), 10).T * 100
    turned = motif[::-1, ::-1]
    shifted = np.column_stack([motif[:, 2:], np.full((4, 2), 25.0)])
    other = rng.dirichlet(np.full(4, 0.2), 10).T * 100
    assert matrix_similarity(motif, motif) == pytest.approx(1)
    assert matrix_similarity(motif, turned) == pytest.approx(1)
    assert 0.7 < matrix_similarity(motif, shifted) < 1
    assert matrix_similarity(motif, other) < 0.7
    assert matrix_similarity(motif, np.full((4, 8), 25.0)) == 0
    assert matrix_families([motif, other, turned, shifted]).tolist() == [0, 1, 0, 0]
