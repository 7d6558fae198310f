"""Cells left out by thresholds of quality when the input is read."""

from __future__ import annotations

import numpy as np
import pytest

import mira_nb
from mira_nb.errors import InputError, ParameterError
from mira_nb.io.resources import Resources
from mira_nb.io.spec import CheckedPair
from mira_nb.run.inputs import leave_out_cells
from mira_nb.stages.prepare.limits import failing_cells, thresholds
from mira_nb.stages.prepare.params import PrepareParams


@pytest.fixture(scope="module")
def data(shared_data):
    folder = shared_data / "data" / "pbmc300"
    return mira_nb.read(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")


def test_all_are_off(data):
    assert thresholds(PrepareParams()) == {}
    assert failing_cells(data, PrepareParams(), Resources()) == {}


def test_cells_are_counted_by_threshold(data):
    counts = np.asarray(data.mod["rna"].X.sum(axis=1)).ravel()
    genes = np.asarray((data.mod["rna"].X > 0).sum(axis=1)).ravel()
    peaks = np.asarray((data.mod["atac"].X > 0).sum(axis=1)).ravel()
    limits = {"min_counts": 60, "max_counts": 140, "min_genes": 35, "min_peaks": 300}
    kept = (counts >= 60) & (counts <= 140) & (genes >= 35) & (peaks >= 300)
    assert 20 < kept.sum() < data.n_obs
    left = leave_out_cells(CheckedPair(data), PrepareParams(**limits), Resources())
    assert list(left.data.obs_names) == list(data.obs_names[kept])
    assert left.dropped == {"cells_below_thresholds": int((~kept).sum())}
    said = left.findings[-1]
    assert said.code == "input.cells_left_out"
    assert {item["name"]: item["n"] for item in said.values["reasons"]} == {
        "min_counts": (counts < 60).sum(),
        "max_counts": (counts > 140).sum(),
        "min_genes": (genes < 35).sum(),
        "min_peaks": (peaks < 300).sum(),
    }


def test_too_few_cells_are_refused(data):
    with pytest.raises(InputError) as refused:
        leave_out_cells(CheckedPair(data), PrepareParams(min_counts=10**6), Resources())
    assert refused.value.code == "input.too_few_cells_pass"


def test_tss_enrichment_needs_fragments(data):
    with pytest.raises(ParameterError) as refused:
        failing_cells(data, PrepareParams(min_tss_enrichment=2), Resources())
    assert refused.value.code == "prepare.tss_enrichment_needs"
