"""Reading real data sets; skipped where they are not there."""

from __future__ import annotations

import pytest

from mira_nb.errors import InputError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.read import read_input
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from tests.messages import codes


def test_snare_seq_cortex(shared_data):
    folder = shared_data / "data" / "snareseq_mouse_cortex"
    pair = read_input(InputSpec(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad"))
    assert pair.data["rna"].shape == (10_309, 1_677)
    assert pair.data["atac"].n_vars + pair.dropped["peaks_without_counts"] == 25_734
    assert set(pair.dropped) == {"peaks_without_counts"}
    assert pair.data["atac"].X.max() == 1
    assert "peaks_binarised" in codes(pair.findings)
    assert check_annotations(pair.data, Resources(groups="cluster", batch="batch")) == ()


def test_denoised_values_are_refused(shared_data):
    folder = shared_data / "data" / "pbmc10k_loci"
    spec = InputSpec(rna=folder / "pbmc10k_51genes_rna_denoised.h5ad", atac=folder / "pbmc10k_51loci_atac.h5ad")
    with pytest.raises(InputError, match=r"is not made of counts.*denoised"):
        read_input(spec)


def test_tiles_named_after_genes(shared_data):
    folder = shared_data / "data" / "pbmc10k_loci"
    spec = InputSpec(
        rna=folder / "pbmc10k_scarlink_3genes_rna.h5ad", atac=folder / "pbmc10k_scarlink_3loci_tiles_atac.h5ad"
    )
    pair = read_input(spec)
    assert pair.data.n_obs + pair.dropped["cells_without_counts"] == 9_460
    assert set(pair.data["atac"].var["end"] - pair.data["atac"].var["start"]) == {500}
