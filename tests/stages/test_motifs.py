from __future__ import annotations

import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import openpyxl
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import fisher_exact

from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import ResourceError, StoreError
from mira_nb.io.motif_names import factor_genes
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.motifs.hits import describe_motifs
from mira_nb.stages.motifs.params import MotifsParams
from mira_nb.stages.motifs.stage import MotifsStage
from mira_nb.stages.result import apply_slots
from tests.stages.multiome import add_topics, planted_multiome
from tests.stages.wording import coded, codes, numbers

# sites of three factors; the fourth motif is the third again, the fifth is too short for p < 1e-5
SITES = {"Gene0": "TGACCTTTGACC", "GENE1": "GGGCGTAATTCA", "gene2::GENE6": "ATTGCATCATCG"}
CONTRACT = ["topic", "motif_id", "factor", "odds_ratio", "log10_pvalue", "pvalue", "adj_pvalue"]


def jaspar(identifier: str, name: str, site: str) -> str:
    """Matrix of 100 sites like this one, with a few other letters that differ between positions."""
    counts = np.random.default_rng(len(site)).integers(0, 4, (4, len(site)))
    counts[["ACGT".index(letter) for letter in site], np.arange(len(site))] += 90
    lines = [f"{base} [ {' '.join(map(str, row))} ]\n" for base, row in zip("ACGT", counts, strict=True)]
    return f">{identifier}\t{name}\n" + "".join(lines)


@pytest.fixture(scope="module")
def resources(tmp_path_factory) -> Resources:
    """A genome in which peaks number i carry the site of factor i mod 4 (three times in four), named without chr."""
    folder = tmp_path_factory.mktemp("motifs")
    rng = np.random.default_rng(0)
    letters = rng.choice(list("ACGT"), 300_000)
    for i in range(300):
        if i % 4 < 3 and i % 16 < 12:
            site = list(SITES.values())[i % 4]
            at = i * 1000 + [0, 150, 300 - len(site)][i % 3]
            letters[at : at + len(site)] = list(site)
    genome = folder / "genome.fa.gz"
    text = "".join(letters)
    lines = "\n".join(text[i : i + 60] for i in range(0, len(text), 60))
    genome.write_bytes(gzip.compress(f">1 test\n{lines}\n".encode()))
    motifs = folder / "motifs.jaspar"
    content = [jaspar(f"MA{i}.1", name, site) for i, (name, site) in enumerate(SITES.items())]
    content += [jaspar("MA3.1", "GENE10", SITES["gene2::GENE6"]), jaspar("MA4.1", "ELSEWHERE", "ACGTCA")]
    motifs.write_text("".join(content), encoding="utf-8")
    return Resources(genome=genome, motifs=motifs)


def prepared():
    data = add_topics(planted_multiome(n_cells=90))
    atac = data.mod["atac"]
    modelled = np.ones(300, dtype=bool)
    modelled[[3, 7]] = False
    atac.var["modelled"] = modelled
    activations = atac.varm["topic_activations"]
    activations[~modelled] = np.nan
    n = int(modelled.sum())
    decoder = Decoder(activations[modelled].T, np.zeros(n), np.ones(n), np.ones(n), np.zeros(n))
    atac.uns["topic_model"] = decoder.to_arrays()
    data.obsm["X_umap"] = np.random.default_rng(0).normal(size=(90, 2))
    return data


@pytest.fixture(scope="module")
def data():
    return prepared()


@pytest.fixture(scope="module")
def result(data, resources):
    seen: list[float] = []
    context = Context(resources=resources, progress=lambda fraction, message: seen.append(fraction))
    out = MotifsStage().run(data, MotifsParams(), context)
    assert seen == sorted(seen)
    return out


def slot(result, key):
    return next(value for item, value in result.slots.items() if item.key == key)


def table(result, name):
    return next(item.frame for item in result.tables if item.name == name)


def test_planted_sites_are_hits(result):
    hits = slot(result, "motif_hits")
    assert sparse.issparse(hits)
    assert hits.shape == (300, 5)
    i = np.arange(300)
    planted = (i % 16 < 12)[:, None] & (i[:, None] % 4 == np.arange(3))
    found = hits[:, :3].toarray() > 0
    assert found[planted].all()
    assert (found & ~planted).sum() <= 12  # 5.4 expected by chance
    np.testing.assert_array_equal(hits[:, 2].toarray(), hits[:, 3].toarray())


def test_enrichment_has_the_published_schema_and_finds_the_planted_factors(data, result):
    frame = table(result, "motif_enrichment")
    assert list(frame.columns) == CONTRACT
    assert len(frame) == 3 * 5
    assert frame.groupby("topic", sort=False).first()["factor"].tolist() == list(SITES)
    hits = slot(result, "motif_hits")
    modelled = data.mod["atac"].var["modelled"].to_numpy()
    activations = data.mod["atac"].varm["topic_activations"][modelled]
    top = np.argsort(-activations[:, 1], kind="stable")[: round(0.2 * 298)]
    inside = np.zeros(298, dtype=bool)
    inside[top] = True
    column = hits[modelled][:, 1].toarray().ravel() > 0
    cells = [[(inside & column).sum(), (inside & ~column).sum()], [(~inside & column).sum(), (~inside & ~column).sum()]]
    row = frame[(frame["topic"] == "a2") & (frame["motif_id"] == "MA1.1")].iloc[0]
    assert row["pvalue"] == pytest.approx(fisher_exact(cells, alternative="greater").pvalue, rel=1e-8)
    odds = table(result, "motif_odds")
    assert (odds["odds_low"] <= odds["odds_high"]).all()


def test_scores_follow_the_topics(data, result):
    scores = slot(result, "motif_scores")
    assert list(scores.index) == list(data.obs_names)
    np.testing.assert_allclose(scores.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(scores.std(ddof=0)[:4], 1, atol=1e-4)
    topics = data.mod["atac"].obsm["X_topics"]
    for k, name in enumerate(SITES):
        related = [np.corrcoef(scores[name], topics[:, j])[0, 1] for j in range(3)]
        assert int(np.argmax(related)) == k


def test_motif_table_maps_names_to_genes_without_case(result):
    motifs = slot(result, "motifs")
    assert motifs["id"].tolist() == [f"MA{i}.1" for i in range(5)]
    assert motifs["genes"].tolist() == ["Gene0", "Gene1", "Gene2;Gene6", "Gene10", ""]
    assert motifs["in_expr"].tolist() == [True, True, True, True, False]
    assert motifs["hit_pvalue"].tolist()[:4] == [1e-5] * 4
    assert motifs["hit_pvalue"].iloc[4] == pytest.approx(4.0**-6)
    assert motifs["family"].iloc[2] == motifs["family"].iloc[3] == "gene2::GENE6 and 1 similar"


def test_findings_and_limits_are_said(result):
    assert codes(result.alerts) == ["motifs.input_finding", "motifs.short_motifs"]
    renamed, short = result.alerts
    assert "chr1" in renamed.cause, "what the genome's reader found is passed on"
    assert numbers(short.title) == [1, 5, 1e-5]
    assert numbers(short.cause)[0] == pytest.approx(4.0**-6, rel=0.05)


def test_workbook_and_figures(result):
    book = openpyxl.load_workbook(io.BytesIO(result.files[0].content))
    assert result.files[0].path == "tables/motif_enrichment.xlsx"
    assert book.sheetnames == ["a1", "a2", "a3"]
    assert next(iter(book["a1"].values)) == tuple(CONTRACT[1:])
    names = [figure.name for figure in result.figures]
    expected = ["motif_bars", "topic_scatter", "motif_scores", "motif_score_maps", "families", "family_expression"]
    assert names == expected
    for figure in result.figures:
        if figure.image is None:
            assert len(json.dumps(figure.chart.to_dict())) < 100_000
        else:
            assert figure.image.startswith(b"\x89PNG")
    assert "[@korhonen2017moods]" in result.methods
    assert {5, 1e-5, 60, 238} <= set(numbers(result.methods)), "motifs, p-value, top peaks, other peaks"
    caption = next(item.caption for item in result.tables if item.name == "motif_enrichment")
    n_enriched = int((table(result, "motif_enrichment")["adj_pvalue"] < 0.05).sum())
    assert {60, 298, 5, n_enriched} <= set(numbers(caption))


def test_expression_of_the_planted_factor_follows_its_motif(result):
    factors = table(result, "motif_factors").set_index("gene")
    # Gene0 and Gene1 belong to the expression programmes of states 0 and 1, as their sites do
    assert factors.loc["Gene0", "correlation"] > 0.5
    assert factors.loc["Gene1", "correlation"] > 0.5
    assert factors.loc["Gene0", "adj_pvalue"] < 1e-4


def test_slots_survive_a_file(data, result, tmp_path):
    import mudata

    copy = data.copy()
    apply_slots(copy, result.slots)
    copy.write(tmp_path / "x.h5mu")
    back = mudata.read_h5mu(tmp_path / "x.h5mu")
    assert (back.mod["atac"].varm["motif_hits"] != slot(result, "motif_hits")).nnz == 0
    assert list(back.mod["atac"].uns["motifs"]["name"]) == list(slot(result, "motifs")["name"])
    np.testing.assert_allclose(back.obsm["motif_scores"]["Gene0"], slot(result, "motif_scores")["Gene0"])


class Pool:
    """Spreads the work over threads, in order."""

    n_workers = 2

    def map(self, function, items):
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(function, items)


def test_workers_change_nothing(data, resources, result):
    again = MotifsStage().run(data, MotifsParams(), Context(resources=resources, compute=Pool()))
    assert (slot(again, "motif_hits") != slot(result, "motif_hits")).nnz == 0
    pd.testing.assert_frame_equal(table(again, "motif_enrichment"), table(result, "motif_enrichment"))


def test_given_hits_are_used_instead_of_a_scan(data, result, tmp_path):
    motifs = slot(result, "motifs")
    given = ad.AnnData(
        slot(result, "motif_hits"),
        obs=pd.DataFrame(index=data.mod["atac"].var_names),
        var=pd.DataFrame({"id": motifs["id"].to_numpy(), "name": motifs["name"].to_numpy()}, index=motifs["id"]),
    )
    path = tmp_path / "hits.h5ad"
    given.write_h5ad(path)
    context = Context(resources=Resources(motif_hits=path))
    read = MotifsStage().run(data, MotifsParams(), context)
    pd.testing.assert_frame_equal(table(read, "motif_enrichment"), table(result, "motif_enrichment"))
    assert "[@korhonen2017moods]" not in read.methods, "nothing was scanned"
    assert numbers(read.methods)[0] == 5
    assert MotifsStage().missing(Resources()) == "--motif-hits or --genome with --motifs"


def test_peaks_outside_the_genome_are_counted_and_not_tested(resources):
    data = prepared()
    data.mod["atac"].var.iloc[10:20, data.mod["atac"].var.columns.get_loc("chrom")] = "chrUn"
    out = MotifsStage().run(data, MotifsParams(), Context(resources=resources))
    outside = [alert for alert in out.alerts if alert.code == "motifs.input_finding" and numbers(alert.title) == [10]]
    assert len(outside) == 1
    assert numbers(coded(out.alerts, "motifs.untested_peaks").title) == [10, 298]
    assert table(out, "motif_odds")["n_peaks"].iloc[0] == 288
    assert slot(out, "motif_hits")[10:20].nnz == 0


def test_factors_to_draw_can_be_named(data, resources):
    params = MotifsParams(show=["ma1.1", "gene0", "nobody"])
    out = MotifsStage().run(data, params, Context(resources=resources))
    scores = next(figure for figure in out.figures if figure.name == "motif_scores")
    assert set(scores.packed["cells"].columns) == {"x", "y", "GENE1", "Gene0"}
    assert "nobody" in coded(out.alerts, "motifs.unknown_factors").title


def test_bad_input(data, resources, tmp_path):
    bare = planted_multiome(n_cells=20)
    with pytest.raises(StoreError, match="topics_atac"):
        MotifsStage().run(bare, MotifsParams(), Context(resources=resources))
    broken = replace(resources, genome=Path(tmp_path / "no.fa"))
    with pytest.raises(ResourceError, match=r"no\.fa"):
        MotifsStage().run(data, MotifsParams(), Context(resources=broken))


def test_names_of_factors():
    assert factor_genes("Ahr::Arnt") == ["AHR", "ARNT"]
    assert factor_genes("JUN(var.2)") == ["JUN"]
    assert factor_genes("FOS::JUN.VAR.2") == ["FOS", "JUN"]
    assert factor_genes("Nkx2-5") == ["NKX2-5"]
    frame = describe_motifs(["M1", "M2", "M3"], ["A/B", "SOX2", "SOX2"], ["Sox2"])
    assert frame["label"].tolist() == ["A-B", "SOX2 M2", "SOX2 M3"]
    assert frame["in_expr"].tolist() == [False, True, True]
