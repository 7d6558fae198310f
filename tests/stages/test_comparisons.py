"""Stage comparisons on planted groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import vl_convert
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_rel

from mira_nb.charts import packed
from mira_nb.charts.markers import volcano
from mira_nb.core.statistics.sample_tests import SAMPLE_COLUMNS
from mira_nb.errors import NotApplicable, ParameterError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.comparisons.markers import markers
from mira_nb.stages.comparisons.params import ComparisonsParams
from mira_nb.stages.comparisons.stage import ComparisonsStage
from mira_nb.stages.result import Result
from mira_nb.stages.texts import Texts
from tests.messages import refused
from tests.stages.wording import coded, codes

CONTRACT = [
    "quantity", "group_1", "group_2", "n_1", "n_2", "median_1", "median_2", "effect_size", "pvalue", "adj_pvalue",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from mira_nb.datasets.write import write_demo
    from mira_nb.io.read import read_input

    folder: Path = tmp_path_factory.mktemp("demo")
    mdata = read_input(write_demo(folder, size="small").spec).data
    rng = np.random.default_rng(0)
    for modality in mdata.mod.values():
        modality.var["modelled"] = True
        modality.obsm["X_topics"] = rng.dirichlet(np.full(4, 0.5), mdata.n_obs)
    mdata.obs["nite_score"] = rng.random(mdata.n_obs) + (mdata.obs["cell_type"] == "A").to_numpy()
    mdata.obs["leiden"] = [str(i % 3) for i in range(mdata.n_obs)]
    return mdata


def run(data, **params: object) -> Result:  # type: ignore[no-untyped-def]
    context = Context(resources=Resources(groups="cell_type"))
    return ComparisonsStage().run(data, ComparisonsParams(**params), context)  # type: ignore[arg-type]


def test_tests_follow_the_contract_and_equal_scipy(data) -> None:  # type: ignore[no-untyped-def]
    result = run(data)
    frame = next(table.frame for table in result.tables if table.name == "group_tests")
    assert list(frame.columns[: len(CONTRACT)]) == CONTRACT
    rows = frame[(frame["kind"] == "cell NITE score") & (frame["group_1"] == "A")]
    labels = data.obs["cell_type"].astype(str).to_numpy()
    for row in rows.itertuples():
        one, two = (data.obs["nite_score"].to_numpy()[labels == name] for name in (row.group_1, row.group_2))
        assert row.pvalue == pytest.approx(mannwhitneyu(one, two, method="asymptotic").pvalue, rel=1e-9)
        assert row.effect_size > 0.5
        assert row.adj_pvalue < 1e-3
    names = [figure.name for figure in result.figures]
    assert {
        "topic_sharing",
        "redundancy",
        "volcano",
        "marker_dots",
        "marker_heatmap",
        "genes",
        "nite",
        "effects",
    } <= set(names)
    for figure in result.figures:
        figure.chart.to_dict()
    assert [name for name in names if name.startswith("genes")] == ["genes"], "all genes are one figure"


def test_planted_genes_come_first_in_their_lineage(data) -> None:  # type: ignore[no-untyped-def]
    result = run(data, contrast="rest")
    frame = next(table.frame for table in result.tables if table.name == "group_tests")
    genes = frame[(frame["kind"] == "gene") & (frame["group_2"] == "rest")]
    for lineage in ("A", "B", "C"):
        best = genes[genes["group_1"] == lineage].nlargest(1, "effect_size").iloc[0]
        assert best["effect_size"] > 0.6
        assert best["adj_pvalue"] < 1e-6


def test_other_groupings_and_named_pairs(data) -> None:  # type: ignore[no-untyped-def]
    assert "leiden" in run(data, grouping="leiden").methods
    named = run(data, pairs=["A | B", "C | rest"])
    frame = next(table.frame for table in named.tables if table.name == "group_tests")
    assert set(zip(frame["group_1"], frame["group_2"], strict=True)) == {("A", "B"), ("C", "rest")}


def test_mistakes_are_named(data) -> None:  # type: ignore[no-untyped-def]
    with refused("comparisons.no_such_grouping", ParameterError, grouping="lineage_state"):
        run(data, grouping="lineage_state")
    with refused("comparisons.pair_not_understood", ParameterError, text="A - B"):
        run(data, pairs=["A - B"])
    with refused("comparisons.genes_unknown", ParameterError, unknown=["NOGENE"]):
        run(data, genes=["NOGENE"])


def test_without_two_groups_the_next_grouping_is_compared(data) -> None:  # type: ignore[no-untyped-def]
    import mudata

    with mudata.set_options(pull_on_update=False):
        one = data.copy()
    for part in (one, one.mod["rna"], one.mod["atac"]):
        if "cell_type" in part.obs:
            part.obs["cell_type"] = "same"
    result = run(one)
    told = coded(result.alerts, "comparisons.passed_over")
    assert "leiden is compared" in told.title
    assert "cell_type 1" in told.cause
    pd.testing.assert_frame_equal(result.table("group_tests"), run(data, grouping="leiden").table("group_tests"))
    assert "comparisons.passed_over" not in codes(run(data).alerts)


def test_without_two_groups_at_all_there_is_nothing_to_compare(data) -> None:  # type: ignore[no-untyped-def]
    found = {"min_cells": 1000, "found": {"cell_type": 0, "leiden": 0}}
    with refused("comparisons.no_two_groups", NotApplicable, **found) as told:
        run(data, min_cells=1000)
    assert isinstance(told.value, NotApplicable)
    assert told.value.remedy
    assert told.value.remedy in told.value.reason


@pytest.fixture(scope="module")
def sampled(data):  # type: ignore[no-untyped-def]
    """Four samples; s4 holds no cell of A, and one topic differs between A and B in every sample."""
    mdata = data.copy()
    rng = np.random.default_rng(3)
    labels = mdata.obs["cell_type"].astype(str).to_numpy()
    sample = rng.choice(np.array(["s1", "s2", "s3", "s4"], dtype=object), mdata.n_obs)
    sample[(labels == "A") & (sample == "s4")] = "s1"
    sample[:5] = None
    mdata.obs["animal"] = sample
    topics = mdata.mod["rna"].obsm["X_topics"].copy()
    topics[labels == "A", 0] += 3
    mdata.mod["rna"].obsm["X_topics"] = topics / topics.sum(axis=1, keepdims=True)
    return mdata


def run_sampled(mdata, **params: object) -> Result:  # type: ignore[no-untyped-def]
    context = Context(resources=Resources(groups="cell_type", batch="animal"))
    return ComparisonsStage().run(mdata, ComparisonsParams(min_cells_per_sample=3, **params), context)  # type: ignore[arg-type]


def group_tests(result: Result) -> pd.DataFrame:
    return next(table.frame for table in result.tables if table.name == "group_tests")


def sample_result(row) -> str:  # type: ignore[no-untyped-def]
    return Texts("mira_nb.stages.comparisons").text(
        "sample_result",
        difference=row.sample_difference,
        low=row.sample_low,
        high=row.sample_high,
        constant=False,
        adj_pvalue=row.sample_adj_pvalue,
        n_samples=row.n_samples,
    )


def test_tests_over_samples_equal_scipy(sampled) -> None:  # type: ignore[no-untyped-def]
    frame = group_tests(run_sampled(sampled))
    assert list(frame.columns) == [*CONTRACT, "kind", *SAMPLE_COLUMNS, "sample_adj_pvalue"]
    cells = pd.DataFrame(
        {
            "value": sampled.obs["nite_score"].to_numpy(),
            "group": sampled.obs["cell_type"].astype(str).to_numpy(),
            "sample": sampled.obs["animal"].to_numpy(),
        }
    ).dropna()
    means = cells.pivot_table(index="sample", columns="group", values="value", aggfunc="mean")
    sizes = cells.pivot_table(index="sample", columns="group", values="value", aggfunc="size", fill_value=0)
    rows = frame[frame["kind"] == "cell NITE score"]
    for row in rows.itertuples():
        pair = [row.group_1, row.group_2]
        held = means.loc[(sizes[pair] >= 3).all(axis=1), pair]
        assert row.n_samples == len(held) == (3 if "A" in pair else 4)
        assert row.sample_pvalue == pytest.approx(ttest_rel(*held.to_numpy().T).pvalue)
        assert row.sample_difference == pytest.approx((held[pair[0]] - held[pair[1]]).mean())
    np.testing.assert_allclose(
        rows["sample_adj_pvalue"], false_discovery_control(rows["sample_pvalue"].to_numpy(float)), rtol=1e-9
    )
    # the columns over cells are those of a run without samples
    plain = group_tests(run(sampled))
    assert list(plain.columns) == [*CONTRACT, "kind"]
    pd.testing.assert_frame_equal(frame[[*CONTRACT, "kind"]], plain)


def test_figures_and_words_over_samples(sampled) -> None:  # type: ignore[no-untyped-def]
    result = run_sampled(sampled)
    figures = {figure.name: figure for figure in result.figures}
    marks = [row for rows in figures["topics_samples"].chart.to_dict()["datasets"].values() for row in rows]
    labels, topic = sampled.obs["cell_type"].astype(str), sampled.mod["rna"].obsm["X_topics"][:, 0]
    row = group_tests(result).query("quantity == 'e1' and n_samples == 3").nlargest(1, "effect_size").iloc[0]
    cells = (sampled.obs["animal"] == "s2").to_numpy() & (labels == "A").to_numpy()
    assert row["group_1"] == "A"
    assert any(
        mark.get("sample") == "s2" and mark["group"] == "A" and mark["value"] == pytest.approx(topic[cells].mean())
        for mark in marks
    )
    for name in ("genes_samples", "topics_samples"):
        assert "animal" in figures[name].caption
    genes = [panel["title"] for row in figures["genes"].chart.to_dict()["vconcat"] for panel in row["hconcat"]]
    assert len(genes) > 1
    assert all(f"{gene}: " in figures["genes"].caption for gene in genes)
    # the caption gives difference, interval, p and n of the pairs that are drawn with brackets
    nite = group_tests(result).query("kind == 'cell NITE score' and adj_pvalue < 0.05 and n_samples >= 3")
    for row in nite.itertuples():
        assert f"{row.group_1} vs {row.group_2} {sample_result(row)}" in figures["nite"].caption
    assert len(nite) >= 1
    assert "animal" in result.methods
    assert "[@student1908error]" in result.methods
    held = next(metric for metric in result.metrics if metric.name == "Gene differences that hold over samples")
    frame = group_tests(result).query("kind == 'gene' and adj_pvalue < 0.05 and n_samples >= 3")
    same = frame["sample_difference"] * frame["effect_size"] > 0
    n_held = int((same & (frame["sample_adj_pvalue"] < 0.05)).sum())
    assert held.key
    assert held.value == f"{n_held / len(frame):.0%} ({n_held:,} of {len(frame):,})"
    assert not {"comparisons.cells_as_replicates", "comparisons.untested_over_samples"} & set(codes(result.alerts))


def test_without_enough_samples_the_reader_is_told(sampled, data) -> None:  # type: ignore[no-untyped-def]
    alone = run(data)
    told = coded(alone.alerts, "comparisons.cells_as_replicates")
    assert (told.level, "--batch" in told.remedy) == ("info", True)
    assert not any("samples" in figure.name for figure in alone.figures)
    assert not any("adj. p = " in figure.caption for figure in alone.figures)
    assert "[@student1908error]" not in alone.methods

    two = sampled.copy()
    labels = two.obs["cell_type"].astype(str)
    two.obs["animal"] = two.obs["animal"].where((labels != "A") | two.obs["animal"].isin(["s1", "s2"]), None)
    result = run_sampled(two, pairs=["A | B", "B | C"])
    frame = group_tests(result)
    assert frame.loc[frame["group_1"] == "A", "n_samples"].eq(2).all()
    assert frame.loc[frame["group_1"] == "A", "sample_pvalue"].isna().all()
    assert frame.loc[frame["group_1"] == "B", "sample_pvalue"].notna().all()
    told = coded(result.alerts, "comparisons.untested_over_samples")
    assert told.level == "info"
    assert "1 of 2" in told.title
    assert "A vs B" in told.cause
    assert "B vs C" not in told.cause

    none = run_sampled(two, pairs=["A | B"])
    assert not any("samples" in figure.name for figure in none.figures)
    assert "[@student1908error]" not in none.methods
    assert "1 of 1" in coded(none.alerts, "comparisons.untested_over_samples").title


def test_groups_left_out_and_groups_of_the_same_data_are_reported(data) -> None:  # type: ignore[no-untyped-def]
    sizes = data.obs["cell_type"].value_counts()
    smallest = int(sizes.min())
    result = run(data, min_cells=smallest + 1)
    told = coded(result.alerts, "comparisons.small_groups")
    assert told.level == "warning"
    for name, size in sizes[sizes == smallest].items():
        assert f"{name} ({size})" in told.cause
    assert coded(run(data, grouping="leiden").alerts, "comparisons.groups_from_same_data").level == "info"
    assert "comparisons.groups_from_same_data" not in codes(result.alerts)


def test_markers_are_higher_than_in_every_compared_group() -> None:
    rows = [
        ("G1", "A", "B", 0.9, 0.01), ("G1", "A", "C", 0.5, 0.01), ("G2", "A", "B", 0.8, 0.01),
        ("G2", "A", "C", 0.7, 0.01), ("G3", "A", "B", 0.9, 0.01), ("G3", "A", "C", 0.9, 0.2),
        ("G4", "A", "B", -0.6, 0.01), ("G4", "B", "C", 0.4, 0.01), ("G5", "A", "B", 0.9, 0.01),
        ("G5", "A", "C", -0.1, 0.01),
    ]  # fmt: skip
    tests = pd.DataFrame(rows, columns=["quantity", "group_1", "group_2", "effect_size", "adj_pvalue"])
    assert markers(tests, ["A", "B", "C"], alpha=0.05, n=2) == {"A": ["G2", "G1"], "B": ["G4"], "C": ["G5"]}
    rest = tests.assign(group_2="rest").drop_duplicates("quantity")
    assert markers(rest, ["A", "rest"], alpha=0.05, n=9) == {
        "A": ["G1", "G3", "G5", "G2"],
        "rest": [],
    }


def test_marker_figures_show_the_planted_genes(data) -> None:  # type: ignore[no-untyped-def]
    result = run(data)
    dots = result.figure("marker_dots").chart.to_dict()
    rows = pd.DataFrame(next(iter(dots["datasets"].values())))
    counts = pd.DataFrame(data.mod["rna"].X.toarray(), columns=data.mod["rna"].var_names)
    labels = data.obs["cell_type"].astype(str).to_numpy()
    row = rows.iloc[0]
    assert row["expressing"] == pytest.approx((counts.loc[labels == row["group"], row["gene"]] > 0).mean())
    assert rows.groupby("gene")["relative"].max().tolist() == [1.0] * rows["gene"].nunique()
    legends = vl_convert.vegalite_to_vega(dots)["legends"]
    assert [legend["title"] for legend in legends] == ["mean / largest", "cells expressing"]
    volcano = result.figure("volcano")
    svg = vl_convert.vegalite_to_svg(packed.inline(volcano.chart, volcano.packed))
    frame = next(table.frame for table in result.tables if table.name == "group_tests")
    contrast = volcano.chart.to_dict()["params"][0]["value"]
    first = frame[(frame["kind"] == "gene") & (frame["group_1"] + " against " + frame["group_2"] == contrast)]
    assert svg.count('aria-roledescription="circle"') == len(first)
    strongest = first[first["adj_pvalue"] < 0.05].assign(size=first["effect_size"].abs()).nlargest(3, "size")
    assert all(f">{gene}</text>" in svg for gene in strongest["quantity"])
    assert set(result.figure("marker_heatmap").chart.to_dict()["layer"][0]["encoding"]["x"]["sort"]) == set(labels)


def test_nothing_is_named_in_a_volcano_without_significant_genes() -> None:
    tests = pd.DataFrame({"gene": ["X", "Y"], "effect_size": [0.9, -0.9], "adj_pvalue": [0.06, 1.0]})
    tests["contrast"] = "A against B"
    chart, data = volcano(tests, contrasts=["A against B"], level=0.05)
    svg = vl_convert.vegalite_to_svg(packed.inline(chart, data))
    assert ">X</text>" not in svg
    assert svg.count('aria-roledescription="circle"') == 2
