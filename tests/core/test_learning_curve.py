"""Learning curves: planted topics by number of cells, and the parts of the NITE calls with half of the cells."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from mira_nb.core.regulation.fit import fit_regulation
from mira_nb.core.regulation.learning_curve import Calls, compare, comparisons, halve, spread_over, take_cells
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.core.tuning.factorise import Factoriser
from mira_nb.core.tuning.held_out import cell_scores
from mira_nb.core.tuning.learning_curve import (
    FRACTIONS,
    HELD_OUT,
    N_REPEATS,
    WHOLE,
    FactorisedRefit,
    FittedRefit,
    KeptOut,
    fewest_cells,
    learning_curve,
    part_of_cells,
)
from mira_nb.run.compute import LocalCompute
from tests.core.regulation_data import small_problem

N_TOPICS = 5


def planted(n_cells, seed, *, depth=60, n_features=250, n_topics=N_TOPICS):
    """Counts of mixed cells of planted topics, too shallow for the topics to be seen in a few of them."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(n_topics, 0.5), n_cells)
    profiles = rng.gamma(0.3, 1.0, (n_topics, n_features)) + 0.1
    profiles /= profiles.sum(1, keepdims=True)
    return sparse.csr_matrix(rng.poisson(topics @ profiles * depth), dtype=np.float32), topics.astype(np.float32)


def curve_of(counts, seed, *, n_topics=N_TOPICS, **rest):
    refit = FactorisedRefit(Factoriser("expression", seed, 1), counts, n_topics)
    kept_out = KeptOut.draw(counts, seed)
    reference, _ = refit(np.arange(counts.shape[0]), 900, kept_out)
    return learning_curve(refit, counts, reference, seed=seed, **rest)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_topics_come_back_the_better_the_more_cells_are_fitted(seed):
    counts, _ = planted(400, seed)
    curve = curve_of(counts, seed)
    summary = curve.summary
    assert summary["fraction"].tolist() == pytest.approx([*FRACTIONS, WHOLE])
    assert summary["n_cells"].tolist() == [100, 200, 320, 400]
    quarter, half, most, whole = summary["correlation"]
    assert quarter < half < most, summary
    assert whole - quarter == pytest.approx(curve.shortfall(0.25))
    assert curve.shortfall(0.25) > 0.1
    assert (summary["correlation_low"] <= summary["correlation"]).all()
    assert (summary["correlation_high"] >= summary["correlation"]).all()
    # counts of cells that no part has are more likely under more cells, beyond the error
    gain, error = summary["gain"].iloc[1:3], summary["gain_se"].iloc[1:3]
    assert np.all(gain > error)
    assert gain.sum() > 2 * np.hypot(*error)
    assert summary["log_likelihood"].isna().tolist() == [False, False, False, True]
    assert len(curve.table) == 4 * N_REPEATS * N_TOPICS


def test_all_cells_from_the_same_seed_are_the_model_itself():
    counts, _ = planted(420, 3)
    refit = FactorisedRefit(Factoriser("expression", 0, 1), counts, N_TOPICS)
    reference, _ = refit(np.arange(420), 0, KeptOut.draw(counts, 0))
    curve = learning_curve(partial(always_key, refit), counts, reference, seed=0, fractions=())
    assert curve.table["fraction"].unique().tolist() == [WHOLE]
    np.testing.assert_allclose(curve.table["correlation"], 1, atol=1e-6)


def always_key(refit, cells, key, kept_out):
    return refit(cells, 0, kept_out)


@pytest.mark.parametrize("seed", [0, 5])
def test_a_curve_is_the_same_for_a_seed_and_on_two_processes(seed):
    counts, _ = planted(400, 1)
    one = curve_of(counts, seed)
    compute = LocalCompute(2)
    try:
        two = curve_of(counts, seed, run_all=compute.map)
    finally:
        compute.close()
    assert one.table.equals(two.table)
    assert one.summary.equals(two.summary)
    assert not one.table.equals(curve_of(counts, seed + 1).table)


def test_parts_leave_out_the_cells_that_are_scored():
    counts, _ = planted(400, 2)
    kept_out = KeptOut.draw(counts, 4)
    assert len(kept_out.others) == round(400 * (1 - HELD_OUT))
    parts = [part_of_cells(400, kept_out, 4, fraction, repeat) for fraction in FRACTIONS for repeat in (0, 1)]
    assert all(np.isin(part, kept_out.others).all() and len(np.unique(part)) == len(part) for part in parts)
    assert not np.array_equal(parts[2], parts[3])
    assert part_of_cells(400, kept_out, 4, WHOLE, 0).tolist() == list(range(400))
    out = np.setdiff1d(np.arange(400), kept_out.others)
    assert float((kept_out.observed + kept_out.scored).sum()) == float(counts[out].sum())


@pytest.mark.parametrize("n_topics", [5, 40])
def test_too_few_cells_have_no_curve(n_topics):
    fewest = fewest_cells(n_topics)
    assert fewest == {5: 400, 40: 800}[n_topics]
    counts, _ = planted(fewest - 1, 0, n_topics=n_topics)
    reference = np.full((fewest - 1, n_topics), 1 / n_topics, np.float32)
    refit = FactorisedRefit(Factoriser("expression", 0, 1), counts, n_topics)
    assert learning_curve(refit, counts, reference, seed=0) is None


def test_refits_by_the_topic_model_score_counts_of_cells_it_has_not_seen():
    counts, truth = planted(160, 0, depth=300, n_features=120, n_topics=3)
    settings = TopicSettings.for_modality("expression", n_topics=3, n_epochs=20)
    refit = FittedRefit(counts, np.ones(120, bool), "expression", settings, 0, 1)
    kept_out = KeptOut.draw(counts, 0)
    topics, scores = refit(kept_out.others[:100], 1, kept_out)
    assert topics.shape == truth.shape
    np.testing.assert_allclose(topics.sum(1), 1, atol=1e-5)
    pooled = np.asarray(counts[kept_out.others].sum(0), np.float64).ravel() + 0.5
    flat = cell_scores(kept_out.scored, (pooled / pooled.sum()).astype(np.float32)[:, None], np.ones((len(scores), 1)))
    assert scores.sum() > flat.sum()


def test_genes_are_spread_over_their_scores():
    score = np.random.default_rng(0).permutation(np.arange(1000.0))
    score[:100] = np.nan
    genes = spread_over(score, 30)
    assert len(genes) == 30
    found = np.sort(score[genes])
    known = np.sort(score[100:])
    assert np.abs(np.searchsorted(known, found) - (np.arange(30) + 0.5) * 30).max() <= 1
    assert spread_over(score, 2000).tolist() == list(range(100, 1000))


def test_halves_share_no_cell():
    first, second = halve(31, np.random.default_rng(0))
    assert len(first) == len(second) == 15
    assert not set(first) & set(second)


def test_agreement_is_that_of_sets():
    score = np.array([5.0, 4.0, 3.0, 2.0, np.nan])
    a = Calls("half 1", 10, score, np.array([True, True, False, False, False]))
    b = Calls("all cells", 20, score[[1, 0, 2, 3, 4]], np.array([True, False, True, False, True]))
    row = compare(a, b)
    assert (row["n_genes"], row["nite_first"], row["nite_second"], row["nite_both"]) == (4, 2, 2, 1)
    assert row["jaccard"] == pytest.approx(1 / 3)
    # two of four and two of four at random: one of four by both, three by either
    assert row["jaccard_chance"] == pytest.approx(1 / 3)
    assert row["spearman"] == pytest.approx(0.8)
    itself = compare(a, a)
    assert (itself["jaccard"], itself["spearman"]) == pytest.approx((1, 1))
    none = replace(a, called=np.zeros(5, bool))
    assert np.isnan(compare(none, none)["jaccard"])
    assert comparisons(b, (a, none))["first"].tolist() == ["half 1", "half 1", "half 1"]


def test_some_cells_are_fitted_as_if_there_were_no_others():
    cells, sets, _, _ = small_problem(n_cells=120, n_genes=4, n_peaks=60)
    rows, genes = np.arange(0, 120, 2), np.arange(4)
    part = take_cells(cells, rows, genes)
    assert part.n_cells == 60
    np.testing.assert_array_equal(part.counts.toarray(), cells.counts.toarray()[rows])
    np.testing.assert_allclose(part.peak_normalizer, cells.decoder.log_normalizer(part.topics))
    whole = take_cells(cells, np.arange(120), genes)
    np.testing.assert_array_equal(
        fit_regulation(whole, sets, posterior=False).gene_statistic,
        fit_regulation(cells, sets, posterior=False).gene_statistic,
    )
