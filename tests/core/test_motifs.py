from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from MOODS import tools
from scipy import sparse
from scipy.stats import fisher_exact, spearmanr
from statsmodels.stats.multitest import multipletests

from mira_nb.core.motifs import (
    letter_frequencies,
    motif_families,
    normalize_motif_scores,
    prepare_motifs,
    rank_correlation,
    raw_motif_scores,
    scan_block,
    scan_sequences,
    topic_enrichment,
)
from mira_nb.core.statistics.contingency import log10_benjamini_hochberg
from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_motif(width: int, rng: np.random.Generator) -> np.ndarray:
    return np.round(rng.dirichlet(np.full(4, 0.15), size=width).T * 50)


def brute_force(scan, sequences) -> np.ndarray:
    """Score every position of both strands, letter by letter."""
    out = np.zeros((len(sequences), scan.n_motifs))
    for i, sequence in enumerate(sequences):
        for strand in (sequence, sequence.translate(COMPLEMENT)[::-1]):
            codes = np.array(["ACGT".find(letter) for letter in strand], dtype=int)
            for j, matrix in enumerate(scan.matrices):
                values = np.array(matrix)
                width = values.shape[1]
                for start in range(len(codes) - width + 1):
                    window = codes[start : start + width]
                    if (window >= 0).all():
                        score = sum(values[letter, k] for k, letter in enumerate(window))
                        out[i, j] = max(out[i, j], score >= scan.thresholds[j] - 1e-9)
    return out


@pytest.fixture(scope="module")
def motifs():
    rng = np.random.default_rng(5)
    return [random_motif(width, rng) for width in (4, 5, 6, 7, 8, 9, 11, 14, 4, 12)]


def test_hits_equal_brute_force_with_n_short_sequences_and_ends(motifs):
    rng = np.random.default_rng(0)
    scan = prepare_motifs(motifs, pvalue=2e-3)
    sequences = ["".join(rng.choice(list("ACGTN"), 60, p=[0.24, 0.24, 0.24, 0.24, 0.04])) for _ in range(60)]
    sequences += ["", "A", "ACGT", "NNNNNNNNNNNN", "acgt".upper() * 3]
    expected = brute_force(scan, sequences)
    assert 100 < expected.sum() < expected.size / 2
    np.testing.assert_array_equal(scan_block(scan, sequences).toarray(), expected)


@pytest.mark.parametrize("width", [4, 5, 6, 7, 8, 12])
@pytest.mark.parametrize("reverse", [False, True])
def test_no_hit_is_lost_at_the_ends(width, reverse):
    rng = np.random.default_rng(width)
    motif = random_motif(width, rng)
    site = "".join("ACGT"[i] for i in motif.argmax(axis=0))
    site = site.translate(COMPLEMENT)[::-1] if reverse else site
    longer = random_motif(15, rng)
    scan = prepare_motifs([motif, longer], pvalue=1e-4)
    hits = scan_block(scan, [site, "N" * 20 + site, site + "N" * 20, "N" * 5 + site + "N" * 5])
    assert hits[:, 0].toarray().ravel().tolist() == [1, 1, 1, 1]
    assert hits[:, 1].nnz == 0


def test_thresholds_are_those_of_moods_and_short_motifs_say_what_they_reach(motifs):
    scan = prepare_motifs(motifs, pvalue=1e-5)
    for matrix, counts, threshold in zip(scan.matrices, motifs, scan.thresholds, strict=True):
        log_odds = tools.log_odds(counts.tolist(), [0.25] * 4, 0.01)
        assert threshold == tools.threshold_from_p(log_odds, [0.25] * 4, 1e-5)
        np.testing.assert_allclose(matrix, log_odds)
    assert scan.hit_pvalues[0] >= 4.0**-4
    assert scan.hit_pvalues[7] == 1e-5


def test_rate_of_hits_in_random_sequence_is_the_p_value():
    rng = np.random.default_rng(2)
    background = (0.3, 0.2, 0.2, 0.3)
    scan = prepare_motifs([random_motif(10, rng) for _ in range(20)], pvalue=1e-4, background=background)
    sequences = ["".join(rng.choice(list("ACGT"), 1000, p=background)) for _ in range(200)]
    rate = scan_block(scan, sequences).sum() / (20 * 200 * 2 * 991)
    assert 0.4e-4 < rate <= 1.1e-4


def test_blocks_workers_and_pickling_change_nothing(motifs):
    rng = np.random.default_rng(3)
    scan = prepare_motifs(motifs, pvalue=1e-3)
    sequences = ["".join(rng.choice(list("ACGT"), rng.integers(5, 120))) for _ in range(80)]
    whole = scan_block(scan, sequences)
    seen: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        parts = scan_sequences(
            pickle.loads(pickle.dumps(scan)), sequences, mapper=pool.map, progress=seen.append, block_letters=500
        )
    assert (parts != whole).nnz == 0
    assert seen[-1] == 1
    assert seen == sorted(seen)
    assert scan_sequences(scan, []).shape == (0, len(motifs))


def test_letter_frequencies_are_strand_symmetric():
    assert letter_frequencies(["GGCN", "A"]) == pytest.approx((0.125, 0.375, 0.375, 0.125))
    with pytest.raises(InputError):
        letter_frequencies(["NN"])


def test_topic_enrichment_equals_fisher_and_statsmodels():
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(400, 3))
    hits = (rng.random((400, 12)) < rng.uniform(0.02, 0.5, 12)).astype(np.float32)
    hits[:, 0] = activations[:, 1] + rng.normal(0, 0.5, 400) > 1
    table = topic_enrichment(activations, sparse.csr_matrix(hits), top_quantile=0.2, topics=["a1", "a2", "a3"])
    assert len(table) == 36
    for topic, part in table.groupby("topic"):
        order = np.argsort(-activations[:, int(topic[1]) - 1])
        top, rest = hits[order[:80]], hits[order[80:]]
        for row in part.itertuples():
            a, c = top[:, row.motif].sum(), rest[:, row.motif].sum()
            test = fisher_exact([[a, 80 - a], [c, 320 - c]], alternative="greater")
            assert row.pvalue == pytest.approx(test.pvalue, rel=1e-8)
            assert row.log10_pvalue == pytest.approx(np.log10(test.pvalue), abs=1e-7)
            assert row.odds_ratio == pytest.approx(test.statistic)
            assert row.odds_low <= row.odds_ratio <= row.odds_high
        np.testing.assert_allclose(part["adj_pvalue"], multipletests(part["pvalue"], method="fdr_bh")[1])
    assert table.loc[table["pvalue"].idxmin(), ["topic", "motif"]].tolist() == ["a2", 0]


def test_strong_enrichment_keeps_its_order_below_the_smallest_float():
    activations = np.arange(50_000.0)[::-1, None]
    hits = np.zeros((50_000, 2), dtype=np.float32)
    hits[:6000, 0] = 1
    hits[:9000, 1] = 1
    table = topic_enrichment(activations, sparse.csr_matrix(hits), top_quantile=0.2, topics=["a1"])
    assert (table["pvalue"] == 0).all()
    assert table["log10_pvalue"].iloc[1] < table["log10_pvalue"].iloc[0] < -3000
    assert np.isfinite(table["log10_adj_pvalue"]).all()


def test_log_adjustment_equals_statsmodels():
    p = np.random.default_rng(1).random(50) ** 3
    np.testing.assert_allclose(10 ** log10_benjamini_hochberg(np.log10(p)), multipletests(p, method="fdr_bh")[1])
    assert len(log10_benjamini_hochberg([])) == 0


def test_scores_equal_the_plain_sum_over_the_cistrome():
    rng = np.random.default_rng(0)
    decoder = Decoder(
        rng.normal(size=(3, 40)),
        rng.normal(size=40),
        rng.uniform(0.5, 2, 40),
        rng.normal(size=40),
        rng.normal(size=40),
    )
    topics = rng.dirichlet(np.ones(3), 25)
    hits = (rng.random((40, 6)) < 0.3).astype(np.float32)
    hits[:, 5] = 0
    weights, offset = decoder.affine()
    found = raw_motif_scores(topics, weights, offset, decoder.log_normalizer(topics), sparse.csr_matrix(hits))
    log_rho = np.log(decoder.composition(topics))
    expected = np.array([[log_rho[i, hits[:, h] > 0].sum() for h in range(6)] for i in range(25)])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    scores = normalize_motif_scores(found)
    unit = expected / np.sqrt((expected**2).sum(axis=1, keepdims=True))
    for h in range(5):
        np.testing.assert_allclose(scores[:, h], (unit[:, h] - unit[:, h].mean()) / unit[:, h].std(), rtol=1e-6)
    assert (scores[:, 5] == 0).all()


def test_families_join_motifs_that_hit_the_same_peaks():
    rng = np.random.default_rng(0)
    base = rng.random((500, 3)) < 0.1
    columns = [base[:, 0], base[:, 0] & (rng.random(500) < 0.9), base[:, 1], base[:, 2], base[:, 2], np.zeros(500)]
    hits = sparse.csr_matrix(np.column_stack(columns).astype(np.float32))
    assert motif_families(hits).tolist() == [0, 0, 1, 2, 2, 3]
    assert motif_families(hits[:, :1]).tolist() == [0]


def test_rank_correlation_equals_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.poisson(1.0, (80, 4)).astype(float), rng.normal(size=(80, 4))
    y[:, 1] += x[:, 1]
    x[:, 3] = 0
    rho, p = rank_correlation(x, y)
    for column in range(3):
        test = spearmanr(x[:, column], y[:, column])
        assert rho[column] == pytest.approx(test.statistic)
        assert p[column] == pytest.approx(test.pvalue, rel=1e-6)
    assert np.isnan(rho[3])


def test_bad_input_is_named():
    with pytest.raises(InputError, match="four rows"):
        prepare_motifs([np.ones((3, 5))])
    with pytest.raises(InputError, match="top"):
        topic_enrichment(np.ones((3, 1)), sparse.csr_matrix(np.ones((3, 2))), top_quantile=0.01, topics=["a1"])


def test_ctcf_is_found_in_its_chip_seq_peaks(shared_data):
    from mira_nb.io.motif_files import read_motifs

    folder = shared_data / "data"
    motifs = read_motifs(folder / "motifs" / "JASPAR2024_CORE_vertebrates_879.jaspar")
    ctcf = next(motif for motif in motifs if motif.name == "CTCF")
    lines = (folder / "genome" / "Gm12878.CTCF.top500.w200.fa").read_text(encoding="utf-8").upper().splitlines()
    sequences = [line for line in lines if not line.startswith(">")]
    assert len(sequences) == 500
    scan = prepare_motifs([ctcf.counts], pvalue=1e-4)
    assert scan_block(scan, sequences).mean() >= 0.9
    shuffled = ["".join(np.random.default_rng(i).permutation(list(text))) for i, text in enumerate(sequences)]
    assert scan_block(scan, shuffled).mean() < 0.2
