from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse

from mira_nb.errors import InputError, ParameterError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context
from mira_nb.stages.prepare.params import PrepareParams
from mira_nb.stages.prepare.stage import PrepareStage
from mira_nb.stages.result import Result, apply_slots
from tests.stages.multiome import planted_multiome


@pytest.fixture(scope="module")
def done():
    data = planted_multiome()
    before = data.mod["rna"].X.copy()
    resources = Resources(groups="state", batch="sample")
    seen: list[float] = []
    context = Context(resources=resources, progress=lambda fraction, message: seen.append(fraction))
    result = PrepareStage().run(data, PrepareParams(), context)
    assert seen == sorted(seen)
    assert (before != data.mod["rna"].X).nnz == 0
    assert "modelled" not in data.mod["rna"].var
    return data, result


def by_name(items, name):
    return next(item for item in items if item.name == name)


def test_slots_are_those_of_the_contract(done):
    data, result = done
    copy = data.copy()
    apply_slots(copy, result.slots)
    rna, atac = copy.mod["rna"], copy.mod["atac"]
    for part in (rna, atac):
        assert part.var["modelled"].dtype == bool
        assert not (part.var["encoder"] & ~part.var["modelled"]).any()
    n_variable = int(rna.var["highly_variable"].sum())
    assert 3 <= n_variable < rna.var["encoder"].sum()
    assert rna.obsm["X_pca"].shape == (210, min(50, n_variable - 1))
    assert atac.obsm["X_lsi"].shape == (210, 50)
    assert rna.obsm["X_umap_pca"].shape == atac.obsm["X_umap_lsi"].shape == (210, 2)


def test_scanpy_finds_pca_and_variable_genes_by_its_own_names(done, tmp_path):
    import matplotlib as mpl
    import mudata

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    data, result = done
    copy = data.copy()
    apply_slots(copy, result.slots)
    copy.write(tmp_path / "x.h5mu")
    rna = mudata.read_h5mu(tmp_path / "x.h5mu")["rna"]
    axis = sc.pl.pca(rna, color="state", show=False)
    np.testing.assert_allclose(np.asarray(axis.collections[0].get_offsets()), rna.obsm["X_pca"][:, :2], rtol=1e-5)
    sc.pl.pca_variance_ratio(rna, n_pcs=10, show=False)
    shown = [line.get_text() for line in plt.gca().texts]
    assert [text for text in shown if text.startswith("PC")][:2] == ["PC1", "PC2"]
    sc.pl.highly_variable_genes(rna, show=False)
    plt.close("all")
    # by scanpy alone, from the counts
    own = rna.copy()
    sc.pp.normalize_total(own, target_sum=1e4)
    sc.pp.log1p(own)
    sc.pp.scale(own, zero_center=False)
    own.X = own.X.toarray()
    sc.pp.pca(own, n_comps=rna.obsm["X_pca"].shape[1], svd_solver="full", random_state=0)
    np.testing.assert_allclose(np.abs(own.obsm["X_pca"][:, :5]), np.abs(rna.obsm["X_pca"][:, :5]), atol=1e-2)
    np.testing.assert_allclose(own.uns["pca"]["variance"][:5], rna.uns["pca"]["variance"][:5], rtol=1e-3)
    np.testing.assert_array_equal((rna.varm["PCs"] != 0).any(axis=1), rna.var["highly_variable"])


def test_maps_separate_the_planted_states(done):
    from mira_nb.core.representation.agreement import neighbor_purity
    from mira_nb.core.representation.neighbors import nearest_neighbors

    data, result = done
    states = data.mod["rna"].obs["state"].to_numpy()
    maps = {slot: value for slot, value in result.slots.items() if slot.element == "obsm"}
    assert {slot.modality for slot in maps} == {"rna", "atac"}
    for slot, value in maps.items():
        assert neighbor_purity(nearest_neighbors(value, k=10), states).mean() > 0.8, slot


def test_qc_table_accounts_for_every_feature(done):
    data, result = done
    table = by_name(result.tables, "qc").frame
    rna = table[table["modality"] == "rna"].set_index("step")
    assert rna.loc["genes given", "n"] == data.mod["rna"].n_vars
    dropped = rna.loc[["mean above threshold", "modelled"], "n_dropped"].sum()
    assert rna.loc["modelled", "n"] + dropped == data.mod["rna"].n_vars
    cells = by_name(result.tables, "qc_cells").frame
    assert set(cells["cells"]) == {"all", "s1", "s2"}
    counts = np.asarray(data.mod["rna"].X.sum(axis=1)).ravel()
    row = cells[(cells["quantity"] == "RNA counts per cell") & (cells["cells"] == "all")].iloc[0]
    assert row["median"] == np.median(counts)


def test_figures_are_small_valid_and_explained(done):
    _, result = done
    names = {figure.name for figure in result.figures}
    assert names == {"depth", "depth_by_batch", "dispersion", "umap_pca", "umap_lsi"}
    for figure in result.figures:
        spec = json.dumps(figure.chart.to_dict())
        assert len(spec) < 60_000
        assert len(figure.caption) > 60
    assert "state" in by_name(result.figures, "umap_pca").packed["cells"]


def test_same_seed_same_result(done):
    data, result = done
    again = PrepareStage().run(data, PrepareParams(), Context(resources=Resources(groups="state", batch="sample")))
    assert len(result.slots) > 5
    assert set(again.slots) == set(result.slots)
    for slot, value in result.slots.items():
        np.testing.assert_equal(value, again.slots[slot])


def test_encoder_peaks_are_capped_reproducibly():
    data = planted_multiome(n_cells=60)
    params = PrepareParams(encoder_max_peaks=100)

    def chosen(seed: int) -> np.ndarray:
        result = PrepareStage().run(data, params, Context(seed=seed))
        return next(v for s, v in result.slots.items() if s.modality == "atac" and s.key == "encoder")

    assert chosen(0).sum() == 100
    np.testing.assert_array_equal(chosen(0), chosen(0))
    assert (chosen(0) != chosen(1)).any()


def run(data, **resources) -> Result:
    return PrepareStage().run(data, PrepareParams(), Context(resources=Resources(**resources)))


def test_tiny_data_with_constant_and_silent_genes_work():
    data = planted_multiome(n_cells=25, n_genes=12, n_peaks=20)
    dense = data.mod["rna"].X.toarray()
    dense[:, 0], dense[:, 1] = 5, 0
    data.mod["rna"].X = sparse.csr_matrix(dense)
    result = run(data)
    modelled = next(v for s, v in result.slots.items() if s.modality == "rna" and s.key == "modelled")
    assert not modelled[1]
    alerts = {alert.code: alert for alert in result.alerts}
    assert alerts["prepare.few_cells"].level == "warning"
    assert "25" in alerts["prepare.few_cells"].title
    assert {"prepare.shallow_accessibility", "prepare.encoder_genes_added"} <= set(alerts)


def test_alerts_say_what_is_the_case(done):
    """210 cells of about 300 counts and 50 open peaks, the smaller half of the genes below the encoder's threshold."""
    data, result = done
    alerts = {alert.code: alert for alert in result.alerts}
    assert list(alerts) == [
        "prepare.few_cells",
        "prepare.shallow_expression",
        "prepare.shallow_accessibility",
        "prepare.modelled_genes_added",
        "prepare.encoder_genes_added",
    ]
    counts = np.median(np.asarray(data.mod["rna"].X.sum(axis=1)))
    assert f"{counts:,.0f}" in alerts["prepare.shallow_expression"].title
    table = by_name(result.tables, "qc").frame
    rule = table[(table["modality"] == "rna") & (table["step"] == "read by the encoder")]["rule"].item()
    assert alerts["prepare.encoder_genes_added"].title.split()[0] in rule
    rule = table[(table["modality"] == "rna") & (table["step"] == "modelled")]["rule"].item()
    assert alerts["prepare.modelled_genes_added"].title.split()[0] in rule


def test_cells_that_fail_a_threshold_are_said_where_nobody_left_them_out():
    """The function takes the cells as they are; a run has left them out before."""
    data = planted_multiome(n_cells=60)
    counts = np.asarray(data.mod["rna"].X.sum(axis=1)).ravel()
    least = int(np.sort(counts)[5])
    found = [
        {alert.code: alert.title for alert in PrepareStage().run(data, PrepareParams(min_counts=n), Context()).alerts}
        for n in (least, 1)
    ]
    assert found[0]["prepare.cells_fail_thresholds"].startswith(f"{(counts < least).sum()} of 60 ")
    assert "prepare.cells_fail_thresholds" not in found[1]


def test_peaks_that_are_never_open_are_reported():
    data = planted_multiome(n_cells=60)
    matrix = data.mod["atac"].X.tolil()
    matrix[:, :7] = 0
    data.mod["atac"].X = matrix.tocsr()
    alert = next(alert for alert in run(data).alerts if alert.code == "prepare.never_open_peaks")
    assert alert.level == "info"
    n_closed = int((data.mod["atac"].X.sum(axis=0) == 0).sum())
    assert n_closed >= 7
    assert alert.title.startswith(f"{n_closed} ")


def test_unknown_annotation_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"--groups celltype.*\n.*sample, state"):
        run(planted_multiome(n_cells=30), groups="celltype")


def test_missing_annotations_become_a_category():
    data = planted_multiome(n_cells=40)
    data.mod["rna"].obs["state"] = data.mod["rna"].obs["state"].where(np.arange(40) > 4)
    result = run(data, groups="state")
    colors = by_name(result.figures, "umap_pca").packed["cells"]["state"].astype(str)
    assert (colors == "not annotated").sum() == 5


def test_methods_carry_the_numbers_of_the_run(done):
    _, result = done
    modelled = next(v for s, v in result.slots.items() if s.modality == "rna" and s.key == "modelled")
    assert f"{int(modelled.sum()):,} genes" in result.methods
    assert "[@wolf2018scanpy]" in result.methods


def test_bad_parameters_are_refused():
    with pytest.raises(ParameterError, match=r"prepare\.n_pcs"):
        PrepareParams.parse("prepare", {"n_pcs": 1})
