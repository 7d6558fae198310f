"""The locus view: weights of the LITE model, accessibility by group, and the files for genome browsers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from mira_nb.core.regulation.geometry import gene_peaks
from mira_nb.core.regulation.model import peak_weights
from mira_nb.report.build import build_report
from mira_nb.report.explore import coverage, locus, models, packing
from mira_nb.report.explore.source import results
from mira_nb.run.store import write_h5mu
from tests.report.conftest import until
from tests.report.synthetic import RunFolder
from tests.report.test_browser import axe, saved
from tests.report.test_explore import search, shown

GENES = ("FORWARD", "BACKWARD", "UNFITTED")
GROUPS = ("low", "high")


def regulation_run(root: Path) -> tuple[Path, MuData]:
    """Run folder of 40 cells, 3 genes and 60 peaks in no order on two chromosomes; the third gene has no model."""
    rng = np.random.default_rng(3)
    n, n_peaks = 40, 60
    start = rng.permutation(np.arange(n_peaks) * 7_001 + 100)
    peaks = pd.DataFrame({"chrom": rng.choice(["chr2", "chr10"], n_peaks), "start": start, "end": start + 400})
    peaks.index = [f"p{i}" for i in range(n_peaks)]
    tss = pd.DataFrame(
        {"gene": GENES, "chrom": ["chr2", "chr10", "chr2"], "tss": [150_000, 250_000, 1_000], "strand": ["+", "-", "+"]}
    )
    sets = gene_peaks(peaks, tss, GENES)
    index = pd.Index([f"c{i}" for i in range(n)])
    rna = AnnData(sparse.csr_matrix(rng.poisson(3, (n, 3)), dtype=np.float32), obs=pd.DataFrame(index=index))
    rna.var_names = list(GENES)
    rna.var["modelled"] = True
    atac = AnnData(sparse.csr_matrix(rng.random((n, n_peaks)) < 0.3, dtype=np.float32), obs=pd.DataFrame(index=index))
    atac.var = peaks
    atac.varm["motif_hits"] = sparse.csr_matrix((rng.random((n_peaks, 2)) < 0.4).astype(np.float32))
    atac.uns["motifs"] = pd.DataFrame({"name": ["TF1", "TF2"]})
    rna.uns["peak_sets"] = {
        "genes": np.array(GENES), "indptr": sets.indptr, "peak": sets.peak, "distance": sets.distance,
        "region": sets.region.astype(np.int64), "chrom": sets.chrom.astype(str), "tss": sets.tss,
        "strand": sets.strand.astype(str),
    }  # fmt: skip
    columns = ["a_upstream", "a_proximal", "a_downstream", "decay_upstream_kb", "decay_downstream_kb"]
    values = [[0.5, 1.5, 1.0, 12.0, 30.0], [0.25, 0.75, 1.25, 50.0, 8.0], [np.nan] * 5]
    rna.varm["rp_parameters"] = pd.DataFrame(values, index=list(GENES), columns=columns)
    rna.layers["lite_prediction"] = rng.random((n, 3)).astype(np.float32) / 1e3
    rna.layers["nite_prediction"] = rng.random((n, 3)).astype(np.float32) / 1e3
    data = MuData({"rna": rna, "atac": atac})
    data.obs["leiden"] = np.where(np.arange(n) < 15, GROUPS[0], GROUPS[1])
    data.obsm["X_umap"] = rng.normal(size=(n, 2))
    run = RunFolder(root)
    run.stage("joint").save()
    run.stage("regulation").save()
    rows = [{"query": "q", "factor": "TF2", "called": True, "adj_pvalue": 0.01, "effect_size": 0.5}]
    run.stage("drivers").table("driver_factors", pd.DataFrame(rows)).save()
    write_h5mu(data, run.finish() / "results.h5mu")
    return root, data


def peaks_of(data: MuData, gene: int) -> pd.DataFrame:
    """Brute force: every peak of a gene with its weight and accessibility, by chromosome and start."""
    sets, x = data["rna"].uns["peak_sets"], data["atac"].X.toarray().astype(float)
    part = slice(sets["indptr"][gene], sets["indptr"][gene + 1])
    row = data["rna"].varm["rp_parameters"].iloc[gene].to_numpy()
    out = data["atac"].var.iloc[sets["peak"][part]].copy()
    out["region"] = sets["region"][part]
    out["weight"] = peak_weights(sets["distance"][part], sets["region"][part], row[:3], row[3:])
    for name in GROUPS:
        cells = (data.obs["leiden"] == name).to_numpy()
        out[name] = 1e6 * x[cells][:, sets["peak"][part]].sum(axis=0) / x[cells].sum()
    out["hit"] = data["atac"].varm["motif_hits"].toarray()[sets["peak"][part], 1] > 0
    return out.sort_values(["chrom", "start"])


def test_loci_are_those_of_the_regulation_stage(tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    with results(root) as file:
        found = locus.read_loci(file, ["BACKWARD", "UNFITTED", "FORWARD"], "leiden", ["TF2", "TF9"])
    assert found is not None
    assert list(found.facts["genes"]) == ["BACKWARD", "FORWARD"]
    sets = packing.read_file(packing.to_file(found.sets, n_cells=found.n_peaks, cells=""))
    assert sets["members"][0] == ("BACKWARD", "FORWARD")
    assert sets["hits"][0] == ("TF2",)
    for place, gene in ((0, 1), (1, 0)):
        wanted = peaks_of(data, gene)
        members = sets["members"][1][:, place]
        assert members[members > 0].tolist() == (wanted["region"] + 1).tolist()
    x = data["rna"].X.toarray()
    low = (data.obs["leiden"] == "low").to_numpy()
    observed = 1e4 * (x[:, 1] / x.sum(axis=1))[low].mean()
    assert found.facts["groups"] == ["high", "low"]
    assert found.facts["genes"]["BACKWARD"]["observed"][1] == pytest.approx(observed, rel=1e-6)
    lite = 1e4 * data["rna"].layers["lite_prediction"][low, 1].mean()
    assert found.facts["genes"]["BACKWARD"]["lite"][1] == pytest.approx(lite, rel=1e-5)


def test_genes_that_vary_most_keep_their_loci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, _ = regulation_run(tmp_path / "r")
    with results(root) as file:
        whole = locus.read_loci(file, GENES, "", [])
        assert whole is not None
        monkeypatch.setattr(locus, "ROOM", whole.n_bytes - 1)
        found = locus.read_loci(file, GENES, "", [])
        monkeypatch.setattr(locus, "ROOM", 1)
        assert locus.read_loci(file, GENES, "", []) is None
    assert found is not None
    assert (list(found.facts["genes"]), found.n_left_out) == (["FORWARD"], 1)
    assert found.facts["groups"] == ["all cells"]


@pytest.mark.browser
@pytest.mark.parametrize(("gene", "place"), [("FORWARD", 0), ("BACKWARD", 1)])
def test_the_page_gives_weights_accessibility_and_hits(
    page_offline: Any, tmp_path: Path, gene: str, place: int
) -> None:
    root, data = regulation_run(tmp_path / "r")
    page = page_offline.open(build_report(root), f"#explore:gene/{gene}")
    shown(page, f"gene/{gene}")
    view = page.locator("#explore-locus")
    wanted = peaks_of(data, place)
    rows = pd.read_csv(io.BytesIO(saved(page, lambda: view.locator("[data-kind=csv]").click())))
    assert rows["start"].tolist() == wanted["start"].tolist()
    assert rows["region"].tolist() == [("upstream", "proximal", "downstream")[r] for r in wanted["region"]]
    assert np.allclose(rows["weight"], wanted["weight"], rtol=1e-6)
    assert rows["hit of TF2"].tolist() == wanted["hit"].astype(int).tolist()
    for name in GROUPS:
        assert np.allclose(rows[f"open per million, {name}"], wanted[name], rtol=1e-9)
    text = saved(page, lambda: view.locator("[data-kind=bedgraph]").click()).decode()
    parts = text.split("track ")[1:]
    assert [re.search('name="(.*?)"', part)[1] for part in parts] == [  # type: ignore[index]
        f"{gene} LITE weight", "accessibility high", "accessibility low",
    ]  # fmt: skip
    first = list(csv.reader(parts[0].splitlines()[1:], delimiter="\t"))
    assert [(row[0], int(row[1]), int(row[2])) for row in first] == list(
        zip(wanted["chrom"], wanted["start"], wanted["end"], strict=True)
    )
    best = wanted["weight"].max()
    assert f"{len(wanted)} peaks; the largest weight, {best:.4g}" in view.locator(".plot").get_attribute("aria-label")
    svg = ElementTree.fromstring(saved(page, lambda: view.locator("[data-kind=svg]").click()))
    assert gene in [node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert page_offline.errors == []


@pytest.mark.browser
def test_a_session_for_igv_names_files_that_are_in_its_archive(page_offline: Any, tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    page = page_offline.open(build_report(root), "#explore")
    assert not page.locator("#explore-locus .plot").is_visible()
    until(page, "document.querySelector('#explore').dataset.shown")
    search(page, "FORWARD")
    shown(page, "gene/FORWARD")
    view = page.locator("#explore-locus")
    assert view.locator(".plot").is_visible()
    caption = view.locator(".caption").inner_text()
    assert "this run knows start sites alone" in caption
    assert "fragments" not in caption
    content = saved(page, lambda: view.locator("[data-kind=igv]").click())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        session = ElementTree.fromstring(archive.read("session.xml"))
        named = [node.get("path") for node in session.iter("Resource")]
        assert sorted([*named, "session.xml"]) == sorted(archive.namelist())
        hits = archive.read("driver_hits.bed").decode().splitlines()
    assert len(hits) == peaks_of(data, 0)["hit"].sum()
    assert re.fullmatch(r"chr2:\d+-\d+", session.get("locus", ""))

    def span() -> int:
        svg = saved(page, lambda: view.locator("[data-kind=svg]").click()).decode()
        return len(re.findall("<circle", svg))

    view.locator("[data-move=all]").click()
    whole = span()
    view.locator("[data-move=in]").click()
    view.locator("[data-move=in]").click()
    assert span() < whole
    assert axe(page) == []
    search(page, "UNFITTED")
    shown(page, "gene/UNFITTED")
    assert "UNFITTED has no fitted LITE model" in view.locator(".plot").get_attribute("aria-label")
    assert page_offline.errors == []


def with_surroundings(root: Path, data: MuData) -> None:
    """Put gene models and coverage into the results: FORWARD has two exons, OTHER a body, BACKWARD only its site."""
    data["rna"].uns["gene_models"] = {
        "genes": np.array(["FORWARD", "OTHER", "FAR"]), "chrom": np.array(["chr2", "chr2", "chr2"]),
        "start": np.array([150_000, 120_000, 9_000_000]), "end": np.array([180_000, 141_000, 9_000_500]),
        "tss": np.array([150_000, 140_999, 9_000_000]), "strand": np.array(["+", "-", "+"]),
        "indptr": np.array([0, 2, 2, 2]), "exon_start": np.array([150_000, 179_000]),
        "exon_end": np.array([150_700, 180_000]),
    }  # fmt: skip
    rng = np.random.default_rng(5)
    cuts = sparse.csr_matrix(rng.poisson(0.7, (2, 1_100)))
    data["atac"].uns["coverage"] = {
        "width": 100, "chrom": np.array(["chr10", "chr2"]), "start": np.array([200_000, 95_000]),
        "n_bins": np.array([500, 600]),
        "groupings": {
            "0": {"name": "gone", "groups": np.array(["x"]), "fragments": np.array([1]), "cuts": cuts[:1]},
            "1": {"name": "leiden", "groups": np.array(["low", "high"]), "fragments": np.array([500_000, 2_000_000]),
                  "cuts": cuts},
        },
    }  # fmt: skip
    write_h5mu(data, root / "results.h5mu")


def test_gene_models_of_neighbours_and_what_is_left_out_first(tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    with_surroundings(root, data)
    with results(root) as file:
        stored = models.read_models(file)
        whole = locus.read_loci(file, GENES, "leiden", [])
    assert stored is not None
    assert whole is not None
    forward = ["FORWARD", 150_000, 30_000, "+", [0, 700, 28_300, 1_000]]
    other = ["OTHER", 120_000, 21_000, "-", []]
    assert whole.facts["models"] == {"chr2": [forward, other]}
    sites = {"OTHER": {"chrom": "chr2", "tss": 140_999}}
    assert models.model_facts(stored, sites, 10_000) == {"chr2": [forward, other]}
    assert models.model_facts(stored, sites, 9_000) == {"chr2": [other]}
    bare = [*forward[:-1], []]
    assert models.model_facts(stored, sites, 10_000, room=1) == {"chr2": [bare, other]}
    size = len(gzip.compress(json.dumps({"chr2": [bare, other]}, separators=(",", ":")).encode()))
    assert models.model_facts(stored, sites, 10_000, room=size) == {"chr2": [bare, other]}


@pytest.mark.parametrize("part", [1, 0.9, 0.6, 0.35, 0.2])
def test_coverage_is_that_of_the_run_whatever_bins_it_is_joined_to(tmp_path: Path, part: float) -> None:
    root, data = regulation_run(tmp_path / "r")
    with_surroundings(root, data)
    with results(root) as file:
        inputs = locus.read_inputs(file, "leiden", [])
    assert inputs is not None
    assert inputs.coverage is not None
    sites = {"BACKWARD": {"chrom": "chr10", "tss": 250_000}, "FORWARD": {"chrom": "chr2", "tss": 150_000}}
    whole = coverage.coverage_of(inputs.coverage, sites)
    assert whole is not None
    room = int(part * whole.n_bytes)
    found = coverage.coverage_of(inputs.coverage, sites, room=room)
    assert found is not None
    assert found.n_bytes <= room
    _, values = packing.read_file(packing.to_file([found.values], n_cells=found.n_bins, cells=""))["coverage"]
    stored = data["atac"].uns["coverage"]
    cuts = stored["groupings"]["1"]["cuts"].toarray()[[1, 0]]  # groups in natural order: high, low
    starts = np.concatenate([200_000 + 100 * np.arange(500), 95_000 + 100 * np.arange(600)])
    chroms = np.repeat(["chr10", "chr2"], [500, 600])
    tss = np.where(chroms == "chr10", 250_000, 150_000)
    kept = (starts + 100 > tss - coverage.REACH) & (starts <= tss + coverage.REACH)
    if part == 1:
        assert found.facts["width"] == 100
        assert found.facts["fragments"] == [2_000_000, 500_000]
    else:
        assert found.facts["width"] > 100 or len(found.facts["windows"]) == 1
    first = 0
    for chrom, start, n in found.facts["windows"]:
        for step in range(n):
            low = start + step * found.facts["width"]
            inside = kept & (chroms == chrom) & (starts >= low) & (starts < low + found.facts["width"])
            assert values[first + step].tolist() == cuts[:, inside].sum(axis=1).tolist()
        first += n
    assert first == found.n_bins
    assert coverage.coverage_of(inputs.coverage, sites, room=1) is None
    assert coverage.coverage_of(inputs.coverage, {"FAR": {"chrom": "chr3", "tss": 5}}) is None


def test_coverage_of_unions_of_what_was_counted(tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    with_surroundings(root, data)
    cuts = data["atac"].uns["coverage"]["groupings"]["1"]["cuts"].toarray()
    whole = pd.Series(pd.Categorical(["all"] * data.n_obs), index=data.obs_names)
    half = pd.Series(pd.Categorical(np.where(np.arange(data.n_obs) % 2, "odd", "even")), index=data.obs_names)
    some = pd.Series(pd.Categorical(np.where(data.obs["leiden"] == "low", "low", None)), index=data.obs_names)
    with results(root) as file:
        found = locus.read_inputs(file, whole, [])
        assert locus.read_inputs(file, half, []).coverage is None  # type: ignore[union-attr]
        assert locus.read_inputs(file, some, []).coverage is None  # type: ignore[union-attr]
    assert found is not None
    assert found.coverage is not None
    assert found.coverage.fragments.tolist() == [2_500_000]
    assert found.coverage.cuts.toarray().tolist() == [cuts.sum(axis=0).tolist()]


@pytest.mark.browser
def test_the_page_draws_genes_and_fragments_and_gives_them_to_browsers(page_offline: Any, tmp_path: Path) -> None:
    root, data = regulation_run(tmp_path / "r")
    with_surroundings(root, data)
    page = page_offline.open(build_report(root), "#explore:gene/FORWARD")
    shown(page, "gene/FORWARD")
    view = page.locator("#explore-locus")
    caption = view.locator(".caption").inner_text()
    assert "boxes are exons" in caption
    assert "cuts per bin of 100 bp" in caption
    view.locator("[data-move=all]").click()
    svg = ElementTree.fromstring(saved(page, lambda: view.locator("[data-kind=svg]").click()))
    texts = [node.text or "" for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"genes", "FORWARD", "OTHER"} <= set(texts)
    assert "FAR" not in texts
    assert any(text.startswith("fragments, 0 to") for text in texts)
    with zipfile.ZipFile(io.BytesIO(saved(page, lambda: view.locator("[data-kind=igv]").click()))) as archive:
        genes = [line.split("\t") for line in archive.read("genes.bed").decode().splitlines()]
        name = next(name for name in archive.namelist() if "fragments_high" in name)
        track = [line.split("\t") for line in archive.read(name).decode().splitlines()]
    assert genes == [
        ["chr2", "120000", "141000", "OTHER", "0", "-", "120000", "141000", "0", "1", "21000", "0"],
        ["chr2", "150000", "180000", "FORWARD", "0", "+", "150000", "180000", "0", "2", "700,1000", "0,29000"],
    ]
    cuts = data["atac"].uns["coverage"]["groupings"]["1"]["cuts"].toarray()[1, 500:]
    wanted = {95_000 + 100 * i: cuts[i] / 2 for i in np.flatnonzero(cuts) if 99_900 < 95_000 + 100 * i <= 200_000}
    assert {int(row[1]): float(row[3]) for row in track if int(row[1]) > 99_900} == pytest.approx(wanted)
    assert "fragments high" in saved(page, lambda: view.locator("[data-kind=bedgraph]").click()).decode()
    search(page, "BACKWARD")  # a gene of which only the site is known, beside models
    shown(page, "gene/BACKWARD")
    svg = ElementTree.fromstring(saved(page, lambda: view.locator("[data-kind=svg]").click()))
    assert "BACKWARD" in [node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert axe(page) == []
    assert page_offline.errors == []
