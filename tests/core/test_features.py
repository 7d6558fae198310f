from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mira_nb.core.representation.features import (
    gene_dispersions,
    log_normalize,
    select_genes,
    select_peaks,
)
from mira_nb.errors import InputError


@pytest.fixture
def counts() -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.5, 2.0, size=300) * rng.gamma(1.0, 1.0, size=(120, 300))
    return sparse.csr_matrix(rng.poisson(rate))


def brute_force_table(counts: sparse.csr_matrix) -> pd.DataFrame:
    """Seurat's recipe, dense and without scanpy: loops over genes and bins."""
    dense = counts.toarray().astype(float)
    dense *= 1e4 / dense.sum(axis=1, keepdims=True)
    mean = np.log1p(dense.mean(axis=0))
    dispersion = np.log(dense.var(axis=0, ddof=1) / dense.mean(axis=0))
    edges = np.linspace(mean.min(), mean.max(), 21)
    place = np.clip(np.searchsorted(edges, mean, side="left"), 1, 20)
    norm = np.empty_like(mean)
    for gene in range(len(mean)):
        inside = dispersion[place == place[gene]]
        norm[gene] = 1.0 if len(inside) == 1 else (dispersion[gene] - inside.mean()) / inside.std(ddof=1)
    return pd.DataFrame({"mean": mean, "dispersion": dispersion, "normalised_dispersion": norm})


def test_dispersions_equal_brute_force(counts):
    varying = counts[:, np.asarray(counts.sum(axis=0)).ravel() > 0]
    ours, expected = gene_dispersions(varying), brute_force_table(varying)
    assert list(ours.columns) == list(expected.columns)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    assert (expected["normalised_dispersion"] == 1.0).any(), "a gene alone in its bin is part of the case"


def test_selection_equals_the_published_thresholds(counts):
    varying = counts[:, np.asarray(counts.sum(axis=0)).ravel() > 0]
    expected = brute_force_table(varying)
    chosen = select_genes(varying, min_genes=0, encoder_min_genes=0)
    modelled = (expected["mean"] > 0.0125) & (expected["normalised_dispersion"] > 0)
    np.testing.assert_array_equal(chosen.modelled, modelled)
    np.testing.assert_array_equal(chosen.encoder, modelled & (expected["normalised_dispersion"] > 0.5))
    np.testing.assert_array_equal(chosen.variable, chosen.encoder)
    assert 0 < chosen.encoder.sum() < chosen.modelled.sum() < len(expected)
    assert (chosen.n_filled, chosen.n_added) == (0, 0)


def test_selection_equals_scanpys_own_thresholds(counts):
    varying = counts[:, np.asarray(counts.sum(axis=0)).ravel() > 0]
    data = AnnData(varying.astype(np.float64))
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    chosen = select_genes(varying, min_genes=0, encoder_min_genes=0)
    for least, ours in ((0.0, chosen.modelled), (0.5, chosen.variable)):
        found = sc.pp.highly_variable_genes(data, min_mean=0.0125, max_mean=np.inf, min_disp=least, inplace=False)
        alone = chosen.table["normalised_dispersion"].to_numpy() == 1.0
        np.testing.assert_array_equal(ours[~alone], found["highly_variable"].to_numpy()[~alone])


def test_a_panel_is_modelled_whole_but_its_components_are_of_variable_genes(counts):
    published = select_genes(counts, min_genes=0, encoder_min_genes=0)
    n_passed = int(published.modelled.sum())
    filled = select_genes(counts, min_genes=n_passed + 9)
    assert filled.n_filled == 9
    assert filled.modelled.sum() == n_passed + 9
    score = filled.table["normalised_dispersion"].to_numpy()
    left_out = ~filled.modelled & (filled.table["mean"].to_numpy() > 0.0125)
    assert score[filled.modelled & ~published.modelled].min() >= np.nanmax(score[left_out])
    whole = select_genes(counts)
    assert whole.modelled.sum() == ((whole.table["mean"] > 0.0125) & np.isfinite(whole.table["dispersion"])).sum()
    for chosen in (filled, whole):
        np.testing.assert_array_equal(chosen.variable, published.variable)
    few = select_genes(counts[:, :4], encoder_min_dispersion=5.0)
    np.testing.assert_array_equal(few.variable, few.encoder)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_cell_gets_the_same_total(seed):
    rng = np.random.default_rng(seed)
    counts = sparse.csr_matrix(rng.poisson(0.7, size=(rng.integers(2, 12), rng.integers(1, 9))))
    before = counts.copy()
    normalized = log_normalize(counts, target_sum=100)
    assert normalized.dtype == np.float32
    has_counts = np.asarray(counts.sum(axis=1)).ravel() > 0
    np.testing.assert_allclose(
        np.expm1(normalized.toarray().astype(float)).sum(axis=1), np.where(has_counts, 100, 0), rtol=1e-5
    )
    assert (counts != before).nnz == 0


def test_minimum_number_of_encoder_genes_is_filled_by_dispersion(counts):
    plain = select_genes(counts, encoder_min_genes=0)
    n_plain = int(plain.encoder.sum())
    more = select_genes(counts, encoder_min_genes=n_plain + 1, encoder_fill_genes=n_plain + 7)
    assert more.n_added == 7
    enough = select_genes(counts, encoder_min_genes=n_plain, encoder_fill_genes=n_plain + 7)
    np.testing.assert_array_equal(enough.encoder, plain.encoder)
    added = more.encoder & ~plain.encoder
    left_out = more.modelled & ~more.encoder
    score = more.table["normalised_dispersion"].to_numpy()
    assert added.sum() == 7
    assert score[added].min() >= np.nanmax(score[left_out])


def test_silent_and_constant_genes_are_not_modelled_and_counted(counts):
    dense = counts.toarray()
    dense[:, 0] = 0
    chosen = select_genes(sparse.csr_matrix(dense))
    assert not chosen.modelled[0]
    assert chosen.n_low_mean + chosen.n_low_dispersion + chosen.modelled.sum() == dense.shape[1]
    assert chosen.n_low_mean >= 1


def test_too_few_genes_are_refused_by_name():
    with pytest.raises(InputError, match=r"prepare\.min_mean"):
        select_genes(sparse.csr_matrix(np.zeros((5, 10))))


def test_identical_genes_do_not_crash():
    counts = sparse.csr_matrix(np.tile([[1], [3], [0], [9]], (1, 5)))
    table = gene_dispersions(counts)
    assert np.allclose(table["mean"], table["mean"].iloc[0])


def test_peaks_all_modelled_and_encoder_capped():
    rng = np.random.default_rng(1)
    peaks = sparse.random(40, 500, density=0.2, random_state=1, format="csr")
    peaks.data[:] = 1
    peaks = sparse.csr_matrix(peaks.multiply(np.r_[np.zeros(3), np.ones(497)]))
    chosen = select_peaks(peaks, encoder_max_peaks=100, rng=rng)
    is_open = np.asarray(peaks.sum(axis=0)).ravel() > 0
    np.testing.assert_array_equal(chosen.modelled, is_open)
    assert chosen.encoder.sum() == 100
    assert chosen.n_never_open == (~is_open).sum() >= 3
    assert not (chosen.encoder & ~chosen.modelled).any()
    again = select_peaks(peaks, encoder_max_peaks=100, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(chosen.encoder, again.encoder)
    everything = select_peaks(peaks, rng=rng)
    np.testing.assert_array_equal(everything.encoder, everything.modelled)


def test_explicit_zeros_do_not_count_as_open():
    peaks = sparse.csr_matrix(np.ones((3, 5)))
    peaks.data[peaks.indices == 2] = 0
    assert select_peaks(peaks, rng=np.random.default_rng(0)).modelled.tolist() == [True, True, False, True, True]
