"""The simulated data hold what they claim: the truth is recomputed from the data or by brute force."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment

from mira_nb.datasets.simulate import Simulation, SimulationParams, simulate
from mira_nb.datasets.simulate_cells import (
    BURST_LINEAGES,
    BURSTS,
    FIRST_SPLIT,
    SECOND_SPLIT,
    make_cells,
    trajectory_weights,
)
from mira_nb.datasets.simulate_counts import RP_COLUMNS, local_weights
from mira_nb.datasets.simulate_factors import consensus_counts
from mira_nb.datasets.write import SIZES, write_demo
from mira_nb.errors import ParameterError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.gene_sets import read_gene_sets
from mira_nb.io.genome import read_sequences
from mira_nb.io.motif_files import read_motifs
from mira_nb.io.motif_hits import read_motif_hits
from mira_nb.io.read import read_input
from mira_nb.io.tss import read_tss

LETTERS = np.array(list("ACGT"))


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(SimulationParams(**SIZES["small"]))


@pytest.fixture(scope="module")
def large() -> Simulation:
    return simulate(SimulationParams())


def digests(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_demo(tmp_path / name, size="small", seed=seed)
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    same = {name for name in first if first[name] == other[name]}
    assert same <= {"motifs.jaspar"}


def test_global_random_state_is_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(SimulationParams(**SIZES["small"]))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_files_are_read_without_any_finding(small_demo):
    pair = read_input(small_demo.spec)
    assert pair.findings == ()
    assert pair.dropped == {}
    assert (pair.data["rna"].shape, pair.data["atac"].shape) == ((300, 200), (300, 1200))
    assert check_annotations(pair.data, small_demo.resources) == ()
    resources = small_demo.resources
    assert read_tss(resources.tss).frame["gene"].tolist() == pair.data["rna"].var_names.tolist()
    assert len(read_motifs(resources.motifs)) == 24
    assert read_gene_sets(resources.gene_sets[0]).findings == ()
    assert read_sequences(resources.genome, pair.data["atac"].var).findings == ()
    assert read_motif_hits(small_demo.motif_hits, pair.data["atac"].var).known.all()


def test_resource_files_agree_with_the_simulation(small, small_demo):
    pair = read_input(small_demo.spec)
    sequences = read_sequences(small_demo.resources.genome, pair.data["atac"].var).sequences
    assert sequences == ["".join(LETTERS[row]) for row in small.sequences]
    hits = read_motif_hits(small_demo.motif_hits, pair.data["atac"].var).hits
    brute = np.zeros(hits.shape, dtype=bool)
    brute[small.sites.peak, small.sites.factor] = True
    np.testing.assert_array_equal(hits.toarray() > 0, brute)
    tss = read_tss(small_demo.resources.tss).frame
    np.testing.assert_array_equal(tss["tss"], small.genome.genes["tss"])
    with gzip.open(small_demo.resources.genome) as handle:
        size = sum(len(line) for line in handle)
    assert size < 10e6


def test_symbols_are_plain_and_distinct(large):
    symbols = large.genome.genes["gene_symbol"]
    assert symbols.is_unique
    assert symbols.str.fullmatch(r"[A-Z]{4,7}\d{0,2}").all()
    assert not symbols.str.fullmatch(r"(MARCH|SEPT?|DEC)\d+").any()


def test_topics_along_the_tree():
    before = np.linspace(0, FIRST_SPLIT, 50)
    weights = [trajectory_weights(before, np.full(50, k)) for k in range(3)]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[1], weights[2])
    between = np.linspace(0, SECOND_SPLIT, 50)
    np.testing.assert_array_equal(*(trajectory_weights(between, np.full(50, k)) for k in (1, 2)))
    fine = np.linspace(0, 1, 2001)
    for lineage in range(3):
        path = trajectory_weights(fine, np.full(2001, lineage))
        np.testing.assert_allclose(path.sum(1), 1)
        assert np.abs(np.diff(path, axis=0)).max() < 0.02
        assert path[-1].argmax() == 3 + lineage
        assert path[0].argmax() == 0


def test_cells(small):
    cells = small.cells
    for theta in (cells.theta_rna, cells.theta_atac):
        assert theta.shape == (300, 7)
        np.testing.assert_allclose(theta.sum(1), 1)
    assert cells.pseudotime[0] == 0
    assert cells.pseudotime[1:4].tolist() == [1, 1, 1]
    assert cells.lineage[1:4].tolist() == [0, 1, 2]
    assert len(set(cells.names)) == 300
    late = cells.pseudotime > SECOND_SPLIT
    np.testing.assert_array_equal(cells.state[late], np.array(["A", "B", "C"])[cells.lineage[late]])


def planted_distribution(sampling: str):
    """Distribution function of time, and fractions of the lineages."""
    if sampling == "late":
        return lambda t: np.clip(t, 0, 1) ** 2, [1 / 3] * 3
    if sampling == "bursts":
        around = [stats.norm(centre, 0.08) for centre in BURSTS]
        return lambda t: 0.5 * np.clip(t, 0, 1) + 0.25 * sum(burst.cdf(t) for burst in around), BURST_LINEAGES
    return lambda t: np.clip(t, 0, 1), [1 / 3] * 3


@pytest.mark.parametrize("sampling", ["even", "late", "bursts"])
def test_cells_have_the_planted_density_of_time(sampling):
    cells = make_cells(6000, lead=0.0, n_batches=1, trajectory=True, rng=np.random.default_rng(0), sampling=sampling)
    distribution, fractions = planted_distribution(sampling)
    time = cells.pseudotime[4:]
    # the normal bursts reach beyond 1 in less than one cell in five hundred; these are put at 1
    inside = time[time < 1]
    assert len(inside) > 0.995 * len(time)
    assert stats.kstest(inside, distribution).pvalue > 0.01
    expected = len(time) * np.asarray(fractions)
    assert stats.chisquare(np.bincount(cells.lineage[4:]), expected).pvalue > 0.01
    # time and lineage are drawn apart from each other
    assert stats.kruskal(*(time[cells.lineage[4:] == k] for k in range(3))).pvalue > 0.01


def test_even_sampling_is_the_default_and_has_not_changed(small):
    assert small.params.sampling == "even"
    found = hashlib.sha256()
    for array in (small.cells.pseudotime, small.cells.lineage):
        found.update(np.ascontiguousarray(array).tobytes())
    for counts in (small.expression, small.accessibility):
        for array in (counts.indices, counts.data):
            found.update(array.astype(np.int64).tobytes())
    assert found.hexdigest()[:16] == "1a9754d023f11adb"


def test_sampling_reaches_the_files_from_the_command_line(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from mira_nb.cli import commands

    asked = []
    monkeypatch.setattr("mira_nb.run.pipeline.run_pipeline", lambda request, sink: asked.append(request.out))
    monkeypatch.setattr(commands, "_finish", lambda result: None)
    found = CliRunner().invoke(commands.app, ["demo", "--out", str(tmp_path), "--size", "small", "--sampling", "late"])
    assert (found.exit_code, asked) == (0, [tmp_path]), found.output
    with np.load(tmp_path / "data" / "truth.npz") as arrays:
        truth = arrays["pseudotime"]
    wanted = simulate(SimulationParams(**SIZES["small"], sampling="late"))
    np.testing.assert_array_equal(truth, wanted.cells.pseudotime)
    assert json.loads((tmp_path / "data" / "truth.json").read_text())["params"]["sampling"] == "late"


def test_unknown_sampling():
    with pytest.raises(ParameterError, match="sampling 'odd' is unknown"):
        SimulationParams(sampling="odd")


def test_counts_follow_the_true_rates(large):
    """Sums over cells must lie within their sampling error of what the truth predicts."""
    mean = large.rho * large.depth_rna[:, None]
    variance = mean + mean**2 / large.genes.dispersion
    z = (np.asarray(large.expression.sum(0)).ravel() - mean.sum(0)) / np.sqrt(variance.sum(0))
    assert np.abs(z).max() < 5
    assert 0.9 < z.std() < 1.1
    p_open = -np.expm1(-large.depth_atac[:, None] * (large.cells.theta_atac @ large.peaks.beta))
    z = (np.asarray(large.accessibility.sum(0)).ravel() - p_open.sum(0)) / np.sqrt((p_open * (1 - p_open)).sum(0))
    assert np.abs(z).max() < 5.5
    assert 0.95 < z.std() < 1.05
    assert abs(large.accessibility.nnz / np.prod(large.accessibility.shape) - 0.12) < 0.01
    assert abs(large.expression.sum() / 1200 - 2500) < 100


def reference_rates(simulation: Simulation) -> np.ndarray:
    """Log rate of every gene relative to a gene that nothing drives, which removes the normalisation."""
    constant = int(np.flatnonzero(simulation.genes.kind == "constant")[0])
    return np.log(simulation.rho / simulation.rho[:, [constant]]) + simulation.genes.base[constant]


def test_lite_genes_follow_their_local_peaks(small):
    """The regulatory potential, summed peak by peak as the methods write it, explains the log rate exactly."""
    log_rate = reference_rates(small)
    genes, peaks = small.genome.genes, small.genome.peaks
    promoters = [(row.chrom, row.tss, number) for number, row in enumerate(genes.itertuples())]
    access = small.cells.theta_atac @ small.peaks.beta
    rows = np.flatnonzero(np.isfinite(small.rp_parameters[:, 0]))
    assert len(rows) > 30
    for gene in rows[:12]:
        target, (d_up, d_down, a_up, a_down, a_promoter, gamma) = genes.iloc[gene], small.rp_parameters[gene]
        potential = np.zeros(300)
        for number, peak in enumerate(peaks.itertuples()):
            centre = (peak.start + peak.end) // 2
            offset = (centre - target.tss) * (1 if target.strand == "+" else -1)
            if peak.chrom != target.chrom or abs(offset) > 300_000:
                continue
            near = [other for chrom, tss, other in promoters if chrom == peak.chrom and abs(centre - tss) <= 1500]
            if near and gene not in near:
                continue
            if abs(offset) <= 1500:
                weight = a_promoter
            else:
                weight = (
                    a_up * 2 ** (-abs(offset) / 1e3 / d_up)
                    if offset < 0
                    else a_down * 2 ** (-abs(offset) / 1e3 / d_down)
                )
            potential += weight * access[:, number]
        z = (potential - potential.mean()) / potential.std()
        np.testing.assert_allclose(log_rate[:, gene], small.genes.base[gene] + gamma * z, atol=1e-6)


def test_decay_halves_over_the_decay_distance(small):
    gene = int(np.flatnonzero(small.genes.kind == "LITE")[3])
    wide = np.array([1e9, 1e9, 1.0, 1.0, 1.0, 1.0])
    short = np.array([7.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    index, flat = local_weights(small.genome, gene, wide)
    again, weights = local_weights(small.genome, gene, short)
    np.testing.assert_array_equal(index, again)
    np.testing.assert_allclose(flat, 1, atol=1e-6)
    target = small.genome.genes.iloc[gene]
    centre = ((small.genome.peaks["start"] + small.genome.peaks["end"]) // 2).to_numpy()[index]
    offset = (centre - target["tss"]) * (1 if target["strand"] == "+" else -1)
    for side, distance in ((offset < -1500, 7e3), (offset > 1500, 3e3)):
        assert side.sum() > 3
        slope = np.polyfit(np.abs(offset[side]), np.log2(weights[side]), 1)[0]
        assert slope == pytest.approx(-1 / distance)


def test_nite_genes_follow_a_topic_and_their_peaks_do_not(large):
    log_rate = reference_rates(large)
    rows = np.flatnonzero(large.genes.kind == "NITE")
    assert len(rows) > 150
    for gene in rows[:40]:
        x = large.cells.theta_atac[:, large.genes.topic[gene]]
        slope, intercept = large.rp_parameters[gene, RP_COLUMNS.index("gamma")], large.genes.base[gene]
        np.testing.assert_allclose(log_rate[:, gene], intercept + slope * (x - x.mean()) / x.std(), atol=1e-6)
    near_nite = np.isin(large.genome.peaks["nearest"], rows)
    assert (large.peaks.topic[near_nite] == -1).all()
    near_lite = large.genes.kind[large.genome.peaks["nearest"]] == "LITE"
    own = large.peaks.topic == large.genes.topic[large.genome.peaks["nearest"]]
    assert own[near_lite].mean() > 0.6


def test_sites_lie_where_they_are_said_to_and_do_not_overlap(small):
    sites = small.sites
    widths = np.array([factor.width for factor in small.factors])
    order = np.lexsort((sites.offset, sites.peak))
    peak, begin = sites.peak[order], sites.offset[order]
    end = begin + widths[sites.factor[order]]
    assert begin.min() >= 0
    assert end.max() <= 400
    assert (begin[1:] >= end[:-1])[peak[1:] == peak[:-1]].all()
    # read each site on its strand: letter frequencies must be the factor's matrix
    for number, factor in enumerate(small.factors):
        rows = np.flatnonzero(sites.factor == number)
        letters = small.sequences[sites.peak[rows, None], sites.offset[rows, None] + np.arange(factor.width)]
        minus = sites.strand[rows] < 0
        letters[minus] = 3 - letters[minus][:, ::-1]
        observed = np.stack([(letters == base).sum(0) for base in range(4)])
        expected = factor.counts / factor.counts.sum(0) * len(rows)
        z = (observed - expected) / np.sqrt(np.maximum(expected * (1 - expected / len(rows)), 0.5))
        assert np.abs(z).max() < 5


def test_planted_sites_pass_the_usual_thresholds(small):
    """MOODS finds the planted sites from the sequences alone, and few others."""
    scan, tools = pytest.importorskip("MOODS.scan"), pytest.importorskip("MOODS.tools")
    background = [0.25] * 4
    planted = np.zeros((len(small.factors), small.params.n_peaks), dtype=bool)
    planted[small.sites.factor, small.sites.peak] = True
    forward = [tools.log_odds(f.counts.astype(float).tolist(), background, 0.1) for f in small.factors]
    both = [*forward, *(tools.reverse_complement(matrix) for matrix in forward)]
    for pvalue, least, most in ((1e-4, 0.98, 0.10), (1e-5, 0.93, 0.02)):
        scanner = scan.Scanner(7)
        scanner.set_motifs(both, background, [tools.threshold_from_p(matrix, background, pvalue) for matrix in both])
        found = np.zeros_like(planted)
        for column, row in enumerate(small.sequences):
            for number, hits in enumerate(scanner.scan("".join(LETTERS[row]))):
                found[number % len(forward), column] |= len(hits) > 0
        assert found[planted].mean() > least
        assert found[~planted].mean() < most


def test_planted_factors_mark_their_lineage(large):
    """Fisher's test: planted factors in their lineage's peaks, decoys in promoters, the others nowhere."""
    hits = np.zeros((len(large.factors), large.params.n_peaks), dtype=bool)
    hits[large.sites.factor, large.sites.peak] = True
    topics = large.cells.topics
    promoter = large.genome.peaks["distance"].to_numpy() <= 1500

    def pvalue(hit, group):
        table = [[(hit & group).sum(), (hit & ~group).sum()], [(~hit & group).sum(), (~hit & ~group).sum()]]
        return stats.fisher_exact(table, alternative="greater")[1]

    kinds = [factor.kind for factor in large.factors]
    assert (kinds.count("planted"), kinds.count("promoter-decoy"), len(kinds)) == (6, 3, 24)
    others = []
    for factor, hit in zip(large.factors, hits, strict=True):
        if factor.kind == "planted":
            assert pvalue(hit, large.peaks.topic == topics.index(factor.lineage)) < 1e-50
        elif factor.kind == "promoter-decoy":
            assert pvalue(hit, promoter) < 1e-50
        else:
            others += [pvalue(hit, large.peaks.topic == topics.index(name)) for name in "ABC"]
    assert min(others) > 1e-4


def test_factor_genes_are_expressed_along_their_lineage(large):
    rates = np.exp(reference_rates(large))
    planted = [factor for factor in large.factors if factor.kind == "planted"]
    assert {factor.lineage for factor in planted} == {"A", "B", "C"}
    for factor in planted:
        row = large.genome.genes.index[large.genome.genes["gene_symbol"] == factor.name][0]
        topic = large.cells.theta_rna[:, large.cells.topics.index(factor.lineage)]
        assert np.corrcoef(rates[:, row], topic)[0, 1] > 0.9999


def test_topics_can_be_learned(small):
    """KL-NMF recovers every topic from the counts (the reference point for topic models)."""
    from sklearn.decomposition import NMF

    for matrix, truth, least in (
        (small.expression, small.cells.theta_rna, 0.93),
        (small.accessibility, small.cells.theta_atac, 0.85),
    ):
        model = NMF(
            7, beta_loss="kullback-leibler", solver="mu", init="nndsvda", max_iter=400, tol=1e-6, random_state=0
        )
        dense = matrix.toarray().astype(np.float64)
        weights = model.fit_transform(dense) * model.components_.sum(1)
        weights /= weights.sum(1, keepdims=True)
        r = np.corrcoef(truth.T, weights.T)[:7, 7:]
        matched = r[linear_sum_assignment(-r)]
        assert matched.min() > least


def test_gene_sets_hold_the_programmes(small_demo):
    sets = read_gene_sets(small_demo.resources.gene_sets[0]).sets
    genes = pd.read_csv(small_demo.folder / "truth_genes.tsv", sep="\t", keep_default_na=False)
    for topic in json.loads(small_demo.truth_json.read_text())["topics"]:
        own = set(genes["gene_symbol"][genes["topic"] == topic])
        members = set(sets[f"Programme {topic}"])
        shared = len(own & members)
        assert stats.hypergeom.sf(shared - 1, len(genes), len(own), len(members)) < 1e-6
    decoys = [name for name in sets if re.match("Unrelated", name)]
    assert len(decoys) == 25


def test_truth_files_fit_the_counts(small_demo, small):
    truth = np.load(small_demo.truth, allow_pickle=False)
    named = json.loads(small_demo.truth_json.read_text())
    np.testing.assert_allclose(truth["theta_rna"], small.cells.theta_rna, atol=1e-6)
    assert truth["beta_atac"].shape == (7, 1200)
    assert named["root_cell"] == small_demo.resources.start_cell
    genes = ad.read_h5ad(small_demo.spec.rna).var_names
    assert set(named["lite_genes"]) | set(named["nite_genes"]) <= set(genes)
    assert set(named["planted_factors"]) <= set(genes)
    assert set(named["rp_genes"]) <= set(named["lite_genes"]) | set(named["nite_genes"])
    assert named["branch_times"] == {"A|B,C": FIRST_SPLIT, "B|C": SECOND_SPLIT}


def test_batches(tmp_path):
    one = simulate(SimulationParams(**SIZES["small"], n_batches=1))
    two = simulate(SimulationParams(**SIZES["small"], n_batches=2, batch_effect=0.8))
    for simulation, least, most in ((two, 0.6, 1.1), (one, 0.0, 0.35)):
        half = simulation.cells.batch > 0 if simulation is two else np.arange(300) % 2 > 0
        counts = simulation.expression.toarray()
        often = counts.mean(0) > 3
        expected = (simulation.rho * simulation.depth_rna[:, None])[:, often]
        ratio = np.log(counts[half][:, often].sum(0) / expected[half].sum(0))
        ratio -= np.log(counts[~half][:, often].sum(0) / expected[~half].sum(0))
        assert least <= ratio.std() <= most
    demo = write_demo(tmp_path, size="small", n_batches=3)
    pair = read_input(demo.spec)
    assert pair.data.obs["batch"].nunique() == 3
    assert check_annotations(pair.data, demo.resources) == ()


def test_negative_control(tmp_path):
    demo = write_demo(tmp_path, size="small", trajectory=False)
    pair = read_input(demo.spec)
    assert pair.data.obs["cell_type"].nunique() == 1
    truth, named = np.load(demo.truth), json.loads(demo.truth_json.read_text())
    assert np.ptp(truth["theta_rna"], axis=0).max() == 0
    assert np.ptp(truth["rho_rna"], axis=0).max() < 1e-7
    assert named["lineages"] == named["lite_genes"] == named["nite_genes"] == []
    assert named["branch_times"] == named["planted_factors"] == {}
    # nothing but sampling noise: the leading correlation between cells is that of independent counts
    rates = truth["rho_rna"][0]
    depth = truth["depth_rna"]
    counts = pair.data["rna"].X.toarray()
    mean = depth[:, None] * rates
    residual = (counts - mean) / np.sqrt(mean + mean**2 / truth["dispersion"])
    top = np.linalg.svd(residual, compute_uv=False)[0]
    assert top < 1.25 * (np.sqrt(300) + np.sqrt(200))


def test_matrices():
    counts = consensus_counts("ACGTRN")
    np.testing.assert_array_equal(counts.sum(0), 400)
    assert counts[:, :4].argmax(0).tolist() == [0, 1, 2, 3]
    assert counts[0, 4] + counts[2, 4] > 370
    np.testing.assert_array_equal(counts[:, 5], 100)


@pytest.mark.parametrize("change", [{"n_cells": 10}, {"n_genes": 20}, {"n_peaks": 100}])
def test_too_small(change):
    with pytest.raises(ParameterError, match="cannot simulate"):
        SimulationParams(**change)


def test_unknown_size(tmp_path):
    with pytest.raises(ParameterError, match="size 'huge' is unknown"):
        write_demo(tmp_path, size="huge")
