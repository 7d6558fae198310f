"""Stages regulation and drivers on a small set: keys, columns, reasons, links between the stages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from mira_nb.core.regulation.deletion import driver_test
from mira_nb.core.regulation.model import PeakRates, log_rate, peak_weights
from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import ResourceError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.drivers.params import DriversParams
from mira_nb.stages.drivers.stage import DriversStage
from mira_nb.stages.regulation.branches import find_branches
from mira_nb.stages.regulation.links import COLUMNS, named_factors
from mira_nb.stages.regulation.params import RegulationParams
from mira_nb.stages.regulation.report import prior_interval
from mira_nb.stages.regulation.stage import RegulationStage
from mira_nb.stages.result import Result, apply_slots
from tests.core.regulation_data import small_problem
from tests.messages import refused
from tests.stages.wording import coded, codes, numbers

GENES = [f"Gene{i}" for i in range(12)]


def multiome() -> mudata.MuData:
    """The small problem as the topic stages would leave it; gene 11 and the last ten peaks are not modelled."""
    import anndata as ad

    cells, _, peaks, _ = small_problem(k=4)
    rng = np.random.default_rng(9)
    n = cells.n_cells
    obs = pd.DataFrame({"state": np.where(np.arange(n) % 2, "odd", "even")}, index=[f"cell{i}" for i in range(n)])
    rna = ad.AnnData(sparse.csr_matrix(cells.counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=GENES))
    extra = pd.concat([peaks, peaks.iloc[:10].assign(chrom="chr9")], ignore_index=True)
    extra.index = [f"{c}:{s}-{e}" for c, s, e in zip(extra["chrom"], extra["start"], extra["end"], strict=True)]
    is_open = rng.random((n, len(extra))) < 0.1
    atac = ad.AnnData(sparse.csr_matrix(is_open, dtype=np.float32), obs=obs.copy(), var=extra)
    rna.var["modelled"] = np.arange(12) != 11
    atac.var["modelled"] = np.arange(len(extra)) < len(peaks)
    atac.obsm["X_topics"] = cells.topics
    atac.uns["topic_model"] = cells.decoder.to_arrays()
    rna.obsm["X_topics"] = rng.dirichlet(np.ones(3), n)
    decoder = Decoder(rng.normal(0, 0.1, (3, 11)), np.zeros(11), np.ones(11), np.ones(11), np.log(np.full(11, 30.0)))
    rna.uns["topic_model"] = decoder.to_arrays()
    activations = np.full((12, 3), np.nan)
    activations[:11] = decoder.activations().T
    rna.varm["topic_activations"] = activations
    rna.obs["effective_read_depth"] = np.exp(cells.log_depth)
    hits = sparse.random(len(extra), 7, density=0.2, format="csr", random_state=rng)
    atac.varm["motif_hits"] = sparse.csr_matrix(hits != 0, dtype=np.float32)
    atac.uns["motifs"] = pd.DataFrame({"id": [f"M{i}" for i in range(7)], "name": ["A", "A", "B", "C", "D", "E", "F"]})
    data = mudata.MuData({"rna": rna, "atac": atac})
    data.obs["leiden"] = pd.Categorical(np.where(cells.topics[:, 0] > 0.3, "0", "1"))
    data.obsm["X_umap"] = rng.normal(size=(n, 2))
    return data


@pytest.fixture(scope="module")
def tss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, _, _, table = small_problem(k=4)
    path = tmp_path_factory.mktemp("tss") / "tss.tsv"
    frame = pd.DataFrame(
        {
            "chrom": "1",
            "start": table["tss"],
            "end": table["tss"] + 1,
            "strand": table["strand"],
            "gene_symbol": [f"GENE{i}" for i in range(12)],
        }
    ).drop(index=4)
    frame.to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture(scope="module")
def regulated(tss: Path) -> tuple[mudata.MuData, Result]:
    data = multiome()
    context = Context(seed=3, resources=Resources(tss=tss))
    result = RegulationStage().run(data, RegulationParams(window_kb=400, null_genes=60, show_genes=["gene0"]), context)
    apply_slots(data, result.slots)
    return data, result


def table(result: Result, name: str) -> pd.DataFrame:
    return next(item.frame for item in result.tables if item.name == name)


def test_keys_and_columns_of_the_contract(regulated: tuple[mudata.MuData, Result]) -> None:
    data, result = regulated
    rna = data.mod["rna"]
    for name in ("lite_prediction", "nite_prediction", "chromatin_differential"):
        assert rna.layers[name].shape == rna.shape
        assert np.isnan(rna.layers[name][:, [4, 11]]).all()
        assert np.isfinite(np.delete(rna.layers[name], [4, 11], axis=1)).all()
    genes = table(result, "genes").set_index("gene")
    assert list(rna.varm["rp_parameters"].index) == GENES
    for column in ("a_upstream", "a_proximal", "a_downstream"):
        expected = rna.varm["rp_parameters"][column].reindex(genes.index)
        assert np.allclose(genes[column], expected, equal_nan=True)
    assert np.allclose(genes["nite_score"], rna.var["nite_score"].reindex(genes.index), equal_nan=True)
    assert {"n_peaks", "status"} <= set(genes.columns)
    assert np.isfinite(data.obs["nite_score"]).all()
    assert rna.var["nite_pvalue"].between(0, 1).sum() == 10
    ratio = np.log(rna.layers["lite_prediction"] / rna.layers["nite_prediction"])
    assert np.allclose(ratio, rna.layers["chromatin_differential"], atol=1e-4, equal_nan=True)


def test_links_of_peaks_and_genes(regulated: tuple[mudata.MuData, Result]) -> None:
    data, result = regulated
    links = table(result, "peak_gene_links")
    genes = table(result, "genes").set_index("gene")
    assert list(links.columns) == list(COLUMNS)
    fitted = genes[genes["nite_score"].notna()]
    assert links.groupby("gene").size().to_dict() == fitted["n_peaks"].to_dict()
    np.testing.assert_allclose(links.groupby("gene")["lite_share"].sum(), 1.0, atol=1e-3)
    assert (links["pvalue"].diff().dropna() >= 0).all()
    known = links["pvalue"].notna()
    np.testing.assert_allclose(
        links.loc[known, "adj_pvalue"], stats.false_discovery_control(links.loc[known, "pvalue"].to_numpy())
    )
    assert links["background"].isna().all()  # all modelled peaks lie on one chromosome
    row = links[links["gene"] == GENES[0]].iloc[0]
    start, end = (int(part) for part in row["peak"].split(":")[1].split("-"))
    signed = ((start + end) / 2 - genes.loc[GENES[0], "tss"]) * (1 if genes.loc[GENES[0], "strand"] == "+" else -1)
    assert row["distance"] == round(signed)
    assert (np.sign(links["distance"])[links["region"] == "upstream"] == -1).all()
    parameters = data.mod["rna"].varm["rp_parameters"].loc[GENES[0]]
    mine = links[links["gene"] == GENES[0]].set_index("peak")
    rates = PeakRates(*_accessibility(data)).block(data.mod["atac"].var_names.get_indexer(mine.index)).mean(axis=1)
    kb = mine["distance"].abs() / 1e3
    weight = np.select(
        [mine["region"] == "upstream", mine["region"] == "downstream"],
        [
            parameters["a_upstream"] * 2 ** (-kb / parameters["decay_upstream_kb"]),
            parameters["a_downstream"] * 2 ** (-kb / parameters["decay_downstream_kb"]),
        ],
        parameters["a_proximal"],
    )
    np.testing.assert_allclose(mine["lite_share"], weight * rates / (weight * rates).sum(), atol=2e-6)


def _accessibility(data: mudata.MuData) -> tuple[Decoder, np.ndarray, np.ndarray]:
    decoder = Decoder.from_arrays(data.mod["atac"].uns["topic_model"])
    topics = np.asarray(data.mod["atac"].obsm["X_topics"])
    return decoder, topics, decoder.log_normalizer(topics)


def test_links_name_expressed_factors_with_a_site(regulated: tuple[mudata.MuData, Result]) -> None:
    data = regulated[0].copy()
    atac = data.mod["atac"]
    names = ["Gene3", "Gene3", "nothing", "Gene5::Gene3", "Gene5::none", "Gene7", "Gene5"]
    atac.uns["motifs"] = pd.DataFrame({"id": [f"M{i}" for i in range(7)], "name": names})
    found = SimpleNamespace(data=data)
    peaks = np.arange(20)
    linked = peaks % 2 == 0
    shown = named_factors(found, peaks, linked)  # type: ignore[arg-type]
    hits = atac.varm["motif_hits"].toarray() > 0
    assert hits[peaks[linked]].any()
    assert "".join(shown[peak] for peak in peaks[linked])
    for peak in peaks:
        expected = {names[m] for m in np.flatnonzero(hits[peak])} - {"nothing", "Gene5::none"}
        assert set(shown[peak].split("; ")) - {""} == (expected if linked[peak] else set())


def test_decay_distances_are_posterior_means_with_an_interval(regulated: tuple[mudata.MuData, Result]) -> None:
    _, result = regulated
    genes = table(result, "genes")
    for side in ("upstream", "downstream"):
        low, mean, high = (genes[f"decay_{side}_{part}kb"] for part in ("low_", "", "high_"))
        there = (genes["status"] == "ok") & (genes[f"n_{side}"] > 0)
        assert there.any()
        assert ((low < mean) & (mean < high))[there].all()
        assert mean[~there].isna().all()
        assert f"decay_{side}_mean_kb" not in genes, "one name for one thing"
        shown = genes[f"decay_{side}_map_kb"]
        assert (shown.isna() | ((low <= shown) & (shown <= high))).all(), "no maximum outside its interval"
        width = np.log(high / low) / (2 * 1.96 * 1.2)
        assert (genes[f"decay_{side}_informed"] == (width <= 0.75)).all()
    caption = next(item.caption for item in result.tables if item.name == "genes")
    for column in ("decay_*_kb", "decay_*_low_kb", "decay_*_high_kb", "decay_*_map_kb"):
        assert f"{column} " in caption
    found = next(item for item in result.metrics if item.name == "Decay distances that the data tell")
    assert found.value == genes[["decay_upstream_informed", "decay_downstream_informed"]].to_numpy().sum()
    assert np.allclose(prior_interval(RegulationParams()), (15 / np.exp(1.96 * 1.2), 15 * np.exp(1.96 * 1.2)))
    assert {1.4, 158} <= set(numbers(caption)), "the prior's interval"
    assert {int(genes["nite"].sum()), int((genes["status"] == "ok").sum())} <= set(numbers(caption))
    assert "[@wedderburn1974quasi]" in result.methods


def test_models_keep_the_maximum_a_posteriori(regulated: tuple[mudata.MuData, Result]) -> None:
    """The stored parameters reproduce the stored LITE prediction; the posterior means would not."""
    from mira_nb.stages.drivers.scores import stored_lite
    from mira_nb.stages.shared.regulation_cells import build_cells

    data, result = regulated
    genes = table(result, "genes").set_index("gene")
    stored = data.mod["rna"].varm["rp_parameters"].reindex(genes.index)
    for side in ("upstream", "downstream"):
        for ours, theirs in (("", "mean_"), ("low_", "low_"), ("high_", "high_"), ("map_", "")):
            shown, kept = genes[f"decay_{side}_{ours}kb"], stored[f"decay_{side}_{theirs}kb"]
            if ours == "map_":  # the table leaves out what lies outside its interval
                kept = kept.where(kept.between(genes[f"decay_{side}_low_kb"], genes[f"decay_{side}_high_kb"]))
            assert np.array_equal(shown, kept, equal_nan=True)
    names, position, sets, lite = stored_lite(data)
    g = names.index("Gene0")
    cells, modelled = build_cells(data, position)
    rates = PeakRates(cells.decoder, cells.topics, cells.peak_normalizer)
    peaks, distance, region = sets.of(g)
    block = rates.block(np.searchsorted(modelled, peaks))
    layer = data.mod["rna"].layers["lite_prediction"][:, position[g]]

    def departure(decay_kb: np.ndarray) -> float:
        c = peak_weights(distance, region, lite.a[g], decay_kb) @ block
        rate = log_rate(c, gamma=lite.gamma[g], bias=lite.bias[g], bn_mean=lite.bn_mean[g], bn_sd=lite.bn_sd[g])
        return float(np.abs(rate - cells.log_normalizer - np.log(layer)).max())

    assert departure(lite.decay_kb[g]) < 1e-4
    means = genes.loc["Gene0", ["decay_upstream_kb", "decay_downstream_kb"]].to_numpy(float)
    assert departure(means) > 1e-3


def test_genes_without_a_model_are_named(regulated: tuple[mudata.MuData, Result]) -> None:
    _, result = regulated
    genes = table(result, "genes").set_index("gene")
    assert genes.loc["Gene4", "status"] == "no transcription start site"
    assert "Gene11" not in genes.index, "not modelled by the expression topic model"
    missing = coded(result.alerts, "regulation.no_model")
    assert missing.level == "info", "one gene of eleven is no reason to worry"
    assert numbers(missing.title) == [1, 11]
    assert "no transcription start site" in missing.cause
    assert coded(result.alerts, "regulation.renamed_chromosomes").level == "info"


def test_poorly_measured_accessibility_is_said(tss: Path) -> None:
    """Fewer open peaks per cell leave more unexplained by error alone; beyond a quarter an alert says so."""
    from dataclasses import replace

    from mira_nb.stages.regulation.compute import compute
    from mira_nb.stages.regulation.report import alerts, metrics

    error, params = [], RegulationParams(window_kb=400, null_genes=80)
    for is_open in (0.01, 0.5):
        data = multiome()
        atac = data.mod["atac"]
        atac.X = sparse.csr_matrix(np.random.default_rng(1).random(atac.shape) < is_open, dtype=np.float32)
        found = compute(data, params, Context(resources=Resources(tss=tss)), lambda fraction, message: None)
        (shown,) = (metric for metric in metrics(found) if metric.name == "Unexplained fraction by error alone")
        assert shown.key
        assert shown.value == found.error_share
        error.append(found.error_share)
    assert error[0] > 2 * error[1]
    alert = coded(alerts(replace(found, error_share=0.42)), "regulation.poorly_measured")
    assert alert.level == "warning"
    assert numbers(alert.title) == [42]
    ok = found.ok
    medians = (np.median(x) for x in (found.n_open, found.sets.n_peaks[ok], found.fit.n_expressing[ok]))
    assert numbers(alert.cause) == [int(x) for x in medians]
    assert alert.remedy
    for fine in (0.2, float("nan")):
        assert "regulation.poorly_measured" not in codes(alerts(replace(found, error_share=fine)))


def test_tests_state_their_n_and_figures_are_drawn(regulated: tuple[mudata.MuData, Result]) -> None:
    data, result = regulated
    tests = table(result, "cell_nite_tests")
    counts = data.obs["leiden"].value_counts()
    assert dict(zip(tests["group_1"], tests["n_1"], strict=True)) == counts.to_dict()
    names = {figure.name for figure in result.figures}
    assert names >= {"nite_distribution", "cell_nite_map", "lite_expression", "differential_maps", "local_peaks"}
    for figure in result.figures:
        assert figure.caption
        if figure.image:
            assert figure.image.startswith(b"\x89PNG"), figure.name
        else:
            chart = figure.chart if isinstance(figure.chart, dict) else figure.chart.to_dict()
            assert {"mark", "layer", "hconcat", "vconcat", "concat", "facet", "spec"} & set(chart), figure.name


def test_bedgraph_holds_the_weights_of_the_local_peaks(regulated: tuple[mudata.MuData, Result]) -> None:
    data, result = regulated
    file = next(file for file in result.files if file.path == "exports/Gene0.bedgraph")
    lines = file.content.decode().splitlines()[1:]
    stored = data.mod["rna"].uns["peak_sets"]
    own = stored["peak"][stored["indptr"][0] : stored["indptr"][1]]
    var = data.mod["atac"].var.iloc[np.sort(own)]
    got = [tuple(line.split("\t")[:3]) for line in lines]
    assert len(got) > 1
    assert got == [(str(c), str(s), str(e)) for c, s, e in zip(var["chrom"], var["start"], var["end"], strict=True)]
    assert all(float(line.split("\t")[3]) >= 0 for line in lines)


def test_drivers_use_the_stored_models(regulated: tuple[mudata.MuData, Result], tmp_path: Path) -> None:
    data, _ = regulated
    data.write(tmp_path / "run.h5mu")
    again = mudata.read(tmp_path / "run.h5mu")
    params = DriversParams(queries={"mine": ["GENE0", "gene2", "Gene6", "nobody"]}, n_top=5)
    context = Context(seed=3)
    result = DriversStage().run(again, params, context)
    apply_slots(again, result.slots)
    scores = again.mod["rna"].varm["isd_scores"]
    assert list(scores.columns) == ["A M0", "A M1", "B", "C", "D", "E", "F"]
    assert scores.loc[["Gene4", "Gene11"]].isna().all().all()
    drivers = table(result, "driver_factors")
    assert list(drivers.columns)[:10] == [
        "query", "factor", "motif_id", "statistic", "pvalue", "adj_pvalue", "effect_size", "called", "n_query",
        "n_background",
    ]  # fmt: skip
    assert (drivers["called"] == (drivers["adj_pvalue"] < 0.05)).all()
    mine = drivers[drivers["query"] == "mine"].set_index("motif_id")
    values = scores.drop(index=["Gene4", "Gene11"])
    expected = driver_test(
        values.to_numpy(), values.index.isin(["Gene0", "Gene2", "Gene6"]), names=[f"M{i}" for i in range(7)]
    )
    assert np.allclose(mine["pvalue"], expected["pvalue"].reindex(mine.index), rtol=1e-5)
    assert (mine["n_query"] == 3).all()
    assert (mine["n_background"] == 7).all()
    # the key figure counts factors, beside the number of factors; pairs with a gene set are in its explanation
    counts = {metric.name: metric for metric in result.metrics if metric.key and metric.unit == "factors"}
    assert counts["Factors"].value == drivers["motif_id"].nunique() == 7
    assert counts["Driver factors"].value == drivers.loc[drivers["called"], "motif_id"].nunique()
    assert int(drivers["called"].sum()) in numbers(counts["Driver factors"].help)
    queries = table(result, "queries").set_index("query")["same_as"]
    assert all(name not in others.split(", ") for name, others in queries.items())
    unknown = coded(result.alerts, "drivers.unknown_genes")
    assert numbers(unknown.title) == [1]
    assert (unknown.level, unknown.cause) == ("warning", "nobody")
    direct = DriversStage().run(data, params, context)
    assert np.allclose(table(direct, "driver_factors")["pvalue"], drivers["pvalue"])
    for figure in result.figures:
        assert figure.chart.to_dict()


def test_mistakes_are_named(regulated: tuple[mudata.MuData, Result], tss: Path, tmp_path: Path) -> None:
    data, _ = regulated
    stage = RegulationStage()
    assert stage.missing(Resources()) == "--tss"
    with refused("regulation.genes_unknown", missing=["nobody"]):
        stage.run(data, RegulationParams(genes=["gene1", "nobody"]), Context(resources=Resources(tss=tss)))
    wrong = tmp_path / "other.tsv"
    wrong.write_text("chrom\tstart\tend\tstrand\tgene_symbol\nchr1\t5\t6\t+\tXYZ\n")
    with refused("regulation.no_peak_near", ResourceError, n_genes=11):
        stage.run(data, RegulationParams(), Context(resources=Resources(tss=wrong)))
    with refused("drivers.no_models", StoreError):
        DriversStage().run(multiome(), DriversParams(), Context())
    with refused("drivers.compare_unknown", compare=["x", "y"]):
        DriversStage().run(data, DriversParams(compare=["x", "y"], n_top=5), Context())


def test_primed_genes_follow_the_stated_rule(tss: Path) -> None:
    """A gene open at the branch, silent there and high in one end state is primed; one expressed there is not."""
    from dataclasses import replace

    from mira_nb.stages.regulation.compute import compute
    from mira_nb.stages.regulation.primed import primed_counts, primed_genes
    from mira_nb.stages.regulation.streams import stream_figures, stream_frame

    data = multiome()
    n = data.n_obs
    state = np.array(["root", "A", "B"])[np.arange(n) % 3]
    data.obs["lineage_state"] = state
    data.obs["pseudotime"] = np.where(
        state == "root", 0.2 + 0.2 * np.linspace(0, 1, n), 0.5 + 0.5 * np.linspace(0, 1, n)
    )
    data.uns["lineage_tree"] = {
        "node": np.array(["root", "A", "B"]),
        "parent": np.array(["", "root", "root"]),
        "branch_time": np.array([0.4, np.nan, np.nan]),
    }
    counts = np.random.default_rng(0).poisson(0.5, (n, 12)).astype(np.float32) + 1
    counts[:, 0] = np.where(state == "A", 40, 0)
    counts[:, 1] = np.where(state == "A", 40, 0)
    counts[:, 2] = np.where(state == "B", 0, 40)
    data.mod["rna"].X = sparse.csr_matrix(counts)
    params = RegulationParams(window_kb=400, null_genes=40, branch_cells=30)
    found = compute(data, params, Context(resources=Resources(tss=tss)), lambda fraction, message: None)
    low, high = found.fit.nite_log_rate.copy(), found.fit.lite_log_rate.copy()
    high[:, :3] = low[:, :3] + np.array([0.5, 0.05, 0.5], dtype=np.float32)
    statistic = found.fit.gene_statistic.copy()
    statistic[:3] = 500.0
    found = replace(found, fit=replace(found.fit, lite_log_rate=high, nite_log_rate=low, gene_statistic=statistic))
    fates = np.full((n, 2), 0.5)
    fates[state == "A"], fates[state == "B"] = [0.9, 0.1], [0.1, 0.9]
    data.obsm["fate_probabilities"] = pd.DataFrame(fates, columns=["A", "B"], index=data.obs_names)
    (stream,) = stream_figures(found)
    shares = stream_frame(found).groupby(["lineage", "pseudotime"])["value"].sum()
    assert np.allclose(shares, 1, atol=0.02), "topic shares add up to one along each lineage"
    assert list(dict.fromkeys(stream_frame(found)["lineage"])) == ["A", "B"], "in the order of their names"
    (streams,) = stream_figures(found)
    times = [panel["layer"][0]["encoding"]["x"]["title"] for panel in streams.chart.to_dict()["vconcat"]]
    assert times == [None, "Pseudotime"], "the title of the axis they share stands below the last"
    assert stream.chart.to_dict()
    table = primed_genes(found).set_index(["lineage", "gene"])
    assert table.loc[("A", "Gene0"), "class"] == "primed"
    assert table.loc[("A", "Gene1"), "class"] == "not primed"
    assert table.loc[("A", "Gene2"), "class"] == "at branch"
    called = dict(zip(found.genes, found.called, strict=True))
    assert table["nite"].tolist() == [called[gene] for gene in table.index.get_level_values("gene")]
    counts = primed_counts(found, table.reset_index())
    assert counts.primed == (table["class"] == "primed").sum()
    assert counts.both == sum(called[gene] for _, gene in table.index[table["class"] == "primed"])
    assert (counts.above_score, counts.called) == ((found.nite_score[found.ok] > 5).sum(), found.called.sum())
    assert table.loc[("A", "Gene0"), "terminal"]
    assert not table.loc[("A", "Gene2"), "terminal"]
    assert ("B", "Gene0") not in table.index
    assert table.loc[("A", "Gene0"), "differential"] == pytest.approx(0.5, abs=1e-4)
    # two branches at one pseudotime: the inner one has no cells, and its precursor is the state before
    data.uns["lineage_tree"] = {
        "node": np.array(["root", "A, B", "A", "B", "C"]),
        "parent": np.array(["", "root", "A, B", "A, B", "root"]),
        "branch_time": np.array([0.4, 0.4, np.nan, np.nan, np.nan]),
    }
    found = replace(found, branches=find_branches(data, found.params, Resources()))
    coinciding = primed_genes(found).set_index(["lineage", "gene"])
    assert set(coinciding["branch"]) == {"A, B"}
    pd.testing.assert_series_equal(coinciding["terminal"].sort_index(), table["terminal"].sort_index())
