"""What the charts of quality, representations, enrichment and motifs are fed with."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import vl_convert

from mira_nb.charts import enrichment, motifs, packed, qc, representation


@pytest.fixture
def depths() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"counts": rng.poisson(300, 500), "peaks": rng.poisson(20, 500)})


def test_histogram_counts_every_cell_once(depths):
    table = qc.histogram_table(depths)
    assert table.groupby("quantity")["n_cells"].sum().tolist() == [500, 500]
    for name, part in table.groupby("quantity"):
        inside = part[(part["left"] - 1 <= depths[name].median()) & (depths[name].median() <= part["right"])]
        assert len(inside) >= 1
    constant = qc.histogram_table(pd.DataFrame({"x": np.zeros(7)}))
    assert constant["n_cells"].sum() == 7


def test_quantiles_equal_numpy_for_all_and_each_batch(depths):
    batch = pd.Series(np.where(np.arange(500) % 3 == 0, "b", "a"), name="sample")
    table = qc.quantile_table(depths, batch).set_index(["quantity", "cells"])
    assert table.loc[("counts", "all"), "q05"] == np.quantile(depths["counts"], 0.05)
    assert table.loc[("peaks", "b"), "median"] == np.median(depths["peaks"][::3])
    assert table.loc[("peaks", "b"), "n_cells"] == 167


def test_genes_without_dispersion_are_left_out_of_the_plot():
    genes = pd.DataFrame(
        {
            "mean": [1.0, 2, 3],
            "dispersion": [0.5, np.nan, 1],
            "modelled": [True, False, True],
            "encoder": [False, False, True],
        }
    )
    chart, data = qc.dispersion_plot(genes)
    assert data["genes"]["use"].tolist() == ["modelled", "read by the encoder"]
    assert json.dumps(packed.inline(chart.to_dict(), data))


def test_many_categories_are_pooled_within_their_cluster():
    rows = [(f"c{i}", f"g{j}", 1, 1 / 300) for i in range(10) for j in range(300)]
    table = pd.DataFrame(rows, columns=["cluster", "category", "n_cells", "fraction"])
    spec = representation.composition_bars(table, category="sample").to_dict()
    data = pd.DataFrame(next(iter(spec["datasets"].values())))
    assert len(data) <= representation.MAX_ROWS
    np.testing.assert_allclose(data.groupby("cluster")["fraction"].sum(), 1)
    assert "other" in set(data["category"])


def terms() -> pd.DataFrame:
    rows = [
        (f"e{k}", f"term {i} " + "x" * 80 * (i == 0), "GO", 10.0 ** -(20 - i), 10.0 ** -(19 - i), np.inf, "1/2", "A;B")
        for k in (1, 2, 10)
        for i in range(20)
    ]
    names = ["topic", "term", "ontology", "pvalue", "adj_pvalue", "odds_ratio", "overlap", "genes"]
    return pd.DataFrame(rows, columns=names)


def test_enrichment_charts_sort_topics_naturally_and_survive_infinite_odds():
    spec = enrichment.term_bars(terms()).to_dict()
    assert json.dumps(spec).count("Infinity") == 0
    options = next(item["bind"]["options"] for item in spec["params"] if "bind" in item)
    assert options == ["e1", "e2", "e10"]
    data = pd.concat([pd.DataFrame(rows) for rows in spec["datasets"].values() if "label" in rows[0]])
    assert data["label"].str.len().max() <= enrichment.MAX_LABEL
    assert data.groupby("topic").size().tolist() == [12, 12, 12]
    dots = enrichment.term_dots(terms()).to_dict()
    assert json.dumps(dots).count("Infinity") == 0


def test_motif_scatter_begins_with_the_two_strongest_topics():
    wide = pd.DataFrame({"label": ["X", "Y"], "a1": [1.0, 2], "a2": [50.0, 1], "a10": [3.0, 9]})
    chart, data = motifs.topic_scatter(wide)
    values = {item["name"]: item.get("value") for item in chart.to_dict()["params"]}
    assert (values[motifs.X_MENU], values[motifs.Y_MENU]) == ("a2", "a10")
    assert data["motifs"] is wide


def test_motif_scatter_names_only_what_is_enriched():
    wide = pd.DataFrame({"label": ["X", "Y", "Z"], "a1": [1.0, 2, 9], "a2": [50.0, 1, 3]})
    for least, names in ((0.0, {"X", "Y", "Z"}), (5.0, {"X", "Z"}), (1e300, set())):
        chart, data = motifs.topic_scatter(wide, least=least)
        svg = vl_convert.vegalite_to_svg(packed.inline(chart, data))
        assert set(re.findall(r">([XYZ])</text>", svg)) == names
