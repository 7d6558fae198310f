from __future__ import annotations

import functools
import io
import json
import re

import numpy as np
import openpyxl
import pytest
from scipy.stats import hypergeom

from mira_nb.errors import ParameterError, ResourceError, StoreError
from mira_nb.io.enrichr import EnrichrClient
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.enrichment.params import EnrichmentParams
from mira_nb.stages.enrichment.stage import EnrichmentStage
from tests.stages.multiome import add_topics, planted_multiome

COLUMNS = ["topic", "term", "ontology", "pvalue", "adj_pvalue", "odds_ratio", "overlap", "genes"]


@pytest.fixture(scope="module")
def data():
    return add_topics(planted_multiome(n_cells=60))


@pytest.fixture
def gmt(tmp_path):
    """Sets of the planted programmes in capitals, a set of other genes, and one with hostile text."""
    lines = ["\t".join([f"programme {k}", "", *[f"GENE{i}" for i in range(120) if i % 4 == k]]) for k in range(3)]
    lines.append("\t".join(["elsewhere", "", *[f"OTHER{i}" for i in range(30)]]))
    lines.append("\t".join(["=1+1</script>", "", "GENE0", "GENE1", "GENE2"]))
    path = tmp_path / "programmes.gmt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(data, path, **params):
    context = Context(resources=Resources(gene_sets=(path,)))
    return EnrichmentStage().run(data, EnrichmentParams(**params), context)


def background_of(result):
    return next(metric.value for metric in result.metrics if metric.name == "Background")


def alerts_of(result):
    return {alert.code: alert for alert in result.alerts}


def test_planted_programmes_are_found(data, gmt):
    result = run(data, gmt, n_top=30)
    table = result.tables[0].frame
    assert list(table.columns) == COLUMNS
    for k in range(3):
        best = table[table["topic"] == f"e{k + 1}"].iloc[0]
        assert best["term"] == f"programme {k}"
        assert best["overlap"] == "30/30"
        assert best["pvalue"] == pytest.approx(hypergeom.sf(29, 20_000, 30, 30), rel=1e-6)
    assert "elsewhere" not in set(table["term"])
    assert next(iter(result.slots.values())) is table
    # five sets were tested, also the one without overlap
    row = table[(table["topic"] == "e1") & (table["term"] == "programme 0")].iloc[0]
    assert row["adj_pvalue"] == pytest.approx(row["pvalue"] * 5, rel=1e-6)


def test_background_is_named_and_matters(data, gmt):
    loose, strict = run(data, gmt, n_top=30), run(data, gmt, n_top=30, background="modelled")
    assert background_of(loose) == 20_000
    assert background_of(strict) == 120
    assert "20,000 genes" in loose.tables[0].caption
    assert "120 modelled genes" in strict.tables[0].caption
    one, other = loose.tables[0].frame.iloc[0], strict.tables[0].frame.iloc[0]
    assert one["pvalue"] < other["pvalue"] == pytest.approx(hypergeom.sf(29, 120, 30, 30), rel=1e-6)
    chosen = run(data, gmt, n_top=30, background=5000)
    assert background_of(chosen) == 5000
    assert "5,000 genes" in chosen.tables[0].caption


def test_case_insensitive_matching_is_said(data, gmt):
    alert = alerts_of(run(data, gmt, n_top=30))["enrichment.gene_sets_finding"]
    assert alert.level == "info"
    assert "90 of 90" in alert.cause


def test_large_share_of_the_modelled_genes_is_said(data, gmt):
    alerts = alerts_of(run(data, gmt))
    assert re.findall(r"\d+", alerts["enrichment.fewer_top_genes"].title) == ["40", "500"]
    assert re.findall(r"\d+", alerts["enrichment.large_fraction"].title) == ["40", "33", "120"]
    assert alerts["enrichment.large_fraction"].remedy.count("enrichment.") == 2
    strict = alerts_of(run(data, gmt, background="modelled"))["enrichment.large_fraction"]
    assert strict.remedy.count("enrichment.") == 1
    assert not {"enrichment.fewer_top_genes", "enrichment.large_fraction"} & set(alerts_of(run(data, gmt, n_top=10)))


def test_workbook_has_one_sheet_a_topic_and_no_formulas(data, gmt):
    result = run(data, gmt, n_top=30)
    assert result.files[0].path == "tables/enrichment.xlsx"
    book = openpyxl.load_workbook(io.BytesIO(result.files[0].content))
    assert book.sheetnames == ["e1", "e2", "e3"]
    table = result.tables[0].frame
    for name in book.sheetnames:
        rows = list(book[name].values)
        assert rows[0] == tuple(COLUMNS[1:])
        assert len(rows) - 1 == (table["topic"] == name).sum()
    cells = [cell for row in book["e1"].iter_rows() for cell in row if str(cell.value).startswith("=")]
    assert all(cell.data_type == "s" for cell in cells)


def test_figures_and_methods(data, gmt):
    result = run(data, gmt, n_top=30)
    assert [figure.name for figure in result.figures] == ["terms", "term_topics"]
    for figure in result.figures:
        assert len(json.dumps(figure.chart.to_dict())) < 100_000
    assert "20,000 genes" in result.methods
    mapped = data.copy()
    mapped.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2))
    last = run(mapped, gmt, n_top=30).figures[-1]
    assert last.name == "example_genes"
    assert last.image.startswith(b"\x89PNG")


def test_listing_is_cut_and_said(data, gmt):
    result = run(data, gmt, n_top=30, max_terms=1)
    assert len(result.tables[0].frame) == 3
    n_all = len(run(data, gmt, n_top=30).tables[0].frame)
    assert n_all > 3
    assert f"({n_all - 3} further" in result.tables[0].caption


def test_unreachable_service_costs_only_its_own_rows(data, gmt, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    impatient = functools.partial(EnrichrClient, sleep=lambda seconds: None)
    monkeypatch.setattr("mira_nb.stages.enrichment.compute.EnrichrClient", impatient)
    result = run(data, gmt, n_top=30, online_libraries=["KEGG_2021_Human"], enrichr_url="http://127.0.0.1:9")
    assert len(result.tables[0].frame) > 0
    alert = alerts_of(result)["enrichment.enrichr_failed"]
    assert alert.level == "warning"
    assert "--gene-sets" in alert.cause


def test_unmatched_symbols_are_warned_of(data, tmp_path):
    path = tmp_path / "other.gmt"
    path.write_text("set\t\tENSG1\tENSG2\n", encoding="utf-8")
    result = run(data, path, n_top=30)
    alert = alerts_of(result)["enrichment.gene_sets_finding"]
    assert alert.level == "warning"
    assert "0 of 2" in alert.title
    assert len(result.tables[0].frame) == 0


def test_bad_input(data, gmt, tmp_path):
    with pytest.raises(StoreError, match="topics_rna"):
        run(planted_multiome(n_cells=20), gmt)
    with pytest.raises(ResourceError, match=r"none\.gmt"):
        run(data, tmp_path / "none.gmt")
    with pytest.raises(ParameterError, match="background"):
        run(data, gmt, n_top=30, background=10)
    with pytest.raises(ParameterError, match="background"):
        EnrichmentParams.parse("enrichment", {"background": "all"})
    assert EnrichmentStage().missing(Resources()) == "--gene-sets"
