from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact, hypergeom
from statsmodels.stats.multitest import multipletests

from mira_nb.core.statistics.enrichment import COLUMNS, over_representation, top_features, unique_symbols
from mira_nb.errors import ParameterError
from mira_nb.io.gene_sets import read_gene_sets


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(400)]
    sets = {f"set {i}": list(rng.choice(genes, rng.integers(5, 40), replace=False)) for i in range(30)}
    sets["nothing"] = ["X1", "X2"]
    queries = {"e1": list(rng.choice(genes, 60, replace=False)), "e2": sets["set 3"] + genes[:20]}
    return genes, sets, queries


def test_rows_equal_fisher_and_statsmodels(example):
    _, sets, queries = example
    table = over_representation(queries, sets, ontology="example", background=1000)
    assert tuple(table.columns) == COLUMNS
    for topic, part in table.groupby("topic"):
        assert len(part) == len(sets)
        query = set(queries[topic])
        for row in part.itertuples():
            members = set(sets[row.term])
            a = len(query & members)
            b, c = len(query) - a, len(members) - a
            d = 1000 - a - b - c
            test = fisher_exact([[a, b], [c, d]], alternative="greater")
            assert row.pvalue == pytest.approx(test.pvalue, rel=1e-8)
            assert row.overlap == f"{a}/{len(members)}"
            assert set(filter(None, row.genes.split(";"))) == query & members
            if b and c:
                assert row.odds_ratio == pytest.approx(test.statistic)
        expected = multipletests(part["pvalue"], method="fdr_bh")[1]
        np.testing.assert_allclose(part["adj_pvalue"], expected)
        assert part["pvalue"].is_monotonic_increasing


def test_planted_set_comes_first(example):
    _, sets, queries = example
    table = over_representation(queries, sets, ontology="example", background=1000)
    assert table[table["topic"] == "e2"].iloc[0]["term"] == "set 3"


def test_gene_background_restricts_queries_and_sets(example):
    genes, sets, queries = example
    universe = genes[:200]
    table = over_representation(queries, sets, ontology="example", background=universe)
    assert "nothing" not in set(table["term"])
    row = table[(table["topic"] == "e1") & (table["term"] == "set 5")].iloc[0]
    query, members = set(queries["e1"]) & set(universe), set(sets["set 5"]) & set(universe)
    k = len(query & members)
    assert row["overlap"] == f"{k}/{len(members)}"
    assert row["pvalue"] == pytest.approx(hypergeom.sf(k - 1, 200, len(members), len(query)))


def test_case_does_not_matter():
    table = over_representation({"e1": ["Sox2", "SOX2", "Pax6"]}, {"s": ["SOX2", "PAX6", "MYC"]}, ontology="o")
    assert table.loc[0, "overlap"] == "2/3"
    assert table.loc[0, "genes"] == "SOX2;PAX6"
    assert unique_symbols(["a", "A", " b ", ""]) == ["A", "B"]


def test_background_too_small_is_refused():
    with pytest.raises(ParameterError, match="background"):
        over_representation({"e1": ["a", "b", "c"]}, {"s": ["a"]}, ontology="o", background=2)


def test_top_features_rank_modelled_ones_only():
    activations = np.array([[3.0, 0], [np.nan, np.nan], [5, 1], [4, 9]])
    modelled = np.array([True, True, True, False])
    assert top_features(activations, list("abcd"), n_top=2) == [["c", "d"], ["d", "c"]]
    assert top_features(activations, list("abcd"), n_top=9, modelled=modelled) == [["c", "a"], ["c", "a"]]


def test_gseapy_gives_the_same_p_values(example):
    import gseapy

    _, sets, queries = example
    theirs = gseapy.enrich(gene_list=queries["e1"], gene_sets=sets, background=1000, outdir=None, no_plot=True)
    theirs = theirs.results.set_index("Term")["P-value"]
    ours = over_representation(queries, sets, ontology="o", background=1000)
    ours = ours[ours["topic"] == "e1"].set_index("term")["pvalue"]
    np.testing.assert_allclose(ours[theirs.index], theirs, rtol=1e-6)


PUBLISHED = ("table_1_HF_enrichments.xlsx", "table_3_IFE_enrichments.xlsx", "table_5_brain_enrichments.xlsx")


def published_rows(folder: Path) -> pd.DataFrame:
    parts = []
    for name in PUBLISHED:
        for sheet, table in pd.read_excel(folder / name, sheet_name=None).items():
            if len(table):
                rows = table[table["ontology"] == "WikiPathways_2019_Human"]
                parts.append(rows.assign(sheet=f"{name}:{sheet}"))
    return pd.concat(parts, ignore_index=True)


def test_published_p_values_follow_from_500_genes_and_a_background_of_20000(shared_data):
    library = read_gene_sets(shared_data / "data" / "genesets" / "WikiPathways_2019_Human.gmt")
    rows = published_rows(shared_data / "data" / "reference")
    assert len(rows) == 195  # seven of them differ from the GMT in white space only
    terms = {re.sub(r"\s+", " ", term): genes for term, genes in library.sets.items()}
    worst = 0.0
    for row in rows.itertuples():
        found = [gene.upper() for gene in ast.literal_eval(row.genes)]
        # the published lists name the overlap only: fill the query up to 500 with genes of no set
        query = found + [f"FILLER{i}" for i in range(500 - len(found))]
        term = re.sub(r"\s+", " ", row.term)
        result = over_representation({"e": query}, {term: terms[term]}, ontology="WikiPathways_2019_Human")
        assert result.loc[0, "overlap"].split("/")[0] == str(len(found))
        worst = max(worst, abs(result.loc[0, "pvalue"] / row.pvalue - 1))
    assert worst < 0.003
