"""Stage comparisons on planted groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from mira_nb.errors import InputError, ParameterError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context, Result
from mira_nb.stages.comparisons import ComparisonsParams, ComparisonsStage

CONTRACT = [
    "quantity", "group_1", "group_2", "n_1", "n_2", "median_1", "median_2", "effect_size", "pvalue", "adj_pvalue",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from mira_nb.io.datasets import write_demo
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
    assert {"topic_sharing", "redundancy", "genes", "nite", "effects"} <= set(names)
    for figure in result.figures:
        figure.chart.to_dict()


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
    with pytest.raises(ParameterError, match="lineage_state"):
        run(data, grouping="lineage_state")
    with pytest.raises(ParameterError, match="A - B"):
        run(data, pairs=["A - B"])
    with pytest.raises(ParameterError, match="NOGENE"):
        run(data, genes=["NOGENE"])
    with pytest.raises(InputError, match="group"):
        run(data, min_cells=1000)
