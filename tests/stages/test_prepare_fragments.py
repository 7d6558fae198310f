"""The stage prepare with the fragments of a real run."""

from __future__ import annotations

import numpy as np
import pytest

import mira_nb
from mira_nb.run import check_regions
from mira_nb.stages.base import Context
from mira_nb.stages.prepare.limits import failing_cells
from mira_nb.stages.prepare.params import PrepareParams
from mira_nb.stages.prepare.stage import PrepareStage
from mira_nb.stages.result import Slot


@pytest.fixture(scope="module")
def done(shared_data):
    folder = shared_data / "data" / "pbmc_muon"
    data = mira_nb.read(mudata=folder / "test_rna_atac.h5mu")
    resources = mira_nb.Resources(
        fragments=folder / "test_rna_atac_fragments.tsv.gz", tss=shared_data / "data" / "tss" / "lisa2_hg38.refseq.gz"
    )
    stage = PrepareStage()
    return stage.run(data, stage.Params(), Context(resources=resources))


def test_measures_of_the_cells(done):
    fragments = done.slots[Slot("atac", "obs", "n_fragments")]
    assert fragments.sum() == 26_568  # counted with zgrep by barcode
    assert np.nanmedian(done.slots[Slot("atac", "obs", "frip")]) > 0.5
    assert np.nanmedian(done.slots[Slot("atac", "obs", "tss_enrichment")]) > 4


def test_the_matrix_is_confirmed(done):
    """The file holds 500 kb around 45 genes: what is in it was counted as cuts, and all of it is in the matrix."""
    agreement = next(metric for metric in done.metrics if metric.name == "Agreement of the peaks with their fragments")
    assert agreement.value > 0.85
    assert "(13,150)" in agreement.help  # of 13,154: 4 are of cells without any fragment
    assert agreement.help.startswith("11,584 open peaks are found both")
    assert "cuts in a peak (11,584)" in agreement.help
    assert not any(alert.code == "prepare.recount_differs" for alert in done.alerts)


def test_figures_and_table(done):
    assert {"fragment_sizes", "tss_profile"} <= {figure.name for figure in done.figures}
    table = next(table for table in done.tables if table.name == "fragments").frame
    assert set(table["quantity"]) >= {"TSS enrichment", "nucleosome signal"}
    assert "granja2021archr" in done.methods


def test_only_fragments_make_start_sites_count():
    stage, given = PrepareStage(), mira_nb.Resources(tss="t.bed")
    assert "tss" not in stage.used_resources(given)
    assert "tss" in stage.used_resources(mira_nb.Resources(tss="t.bed", fragments="f.tsv"))


def test_check_says_how_many_cells_a_threshold_of_tss_enrichment_keeps(shared_data, monkeypatch):
    folder = shared_data / "data" / "pbmc_muon"
    data = mira_nb.read(mudata=folder / "test_rna_atac.h5mu")
    resources = mira_nb.Resources(
        fragments=folder / "test_rna_atac_fragments.tsv.gz", tss=shared_data / "data" / "tss" / "lisa2_hg38.refseq.gz"
    )
    (found,) = check_regions.describe_fragments(data, resources)
    assert found.code == "input.cells_by_tss_enrichment"
    for kept in found.values["kept"]:
        left_out = failing_cells(data, PrepareParams(min_tss_enrichment=kept["least"]), resources)["min_tss_enrichment"]
        assert 0 < kept["n"] == (~left_out).sum() < data.n_obs
    monkeypatch.setattr(check_regions, "_MOST_BYTES", 1000)
    (found,) = check_regions.describe_fragments(data, resources)
    assert found.code == "input.fragments_not_counted"
    assert check_regions.describe_fragments(data, mira_nb.Resources(tss=resources.tss)) == []
