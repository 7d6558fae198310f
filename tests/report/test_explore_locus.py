"""The locus view: weights of the LITE model, accessibility by group, and the files for genome browsers."""

from __future__ import annotations

import csv
import io
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
from mira_nb.report.explore import locus, packing
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
