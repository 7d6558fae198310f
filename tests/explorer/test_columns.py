"""Counts by column are written once, however many pages ask for them at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import mudata
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from mira_nb.counts import log_expression, scaled
from mira_nb.explorer.columns import Columns


def test_pages_that_ask_at_once_write_one_whole_file(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    original = Columns._write

    def counted(self: Columns) -> None:
        written.append(self.path)
        original(self)

    monkeypatch.setattr(Columns, "_write", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Columns(run_folder, "rna").make(), range(16)))
    assert len(written) == 1
    with mudata.set_options(pull_on_update=False):
        counts = mudata.read_h5mu(run_folder / "cache" / "input.h5mu")["rna"].X.toarray()
    with h5py.File(Columns(run_folder, "rna").path) as file:
        assert file["data"][:].sum() == counts.sum()


def test_expression_is_scanpys() -> None:
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(0.7, (40, 15)) * (np.arange(40) != 3)[:, None], dtype=np.float64)
    data = sc.AnnData(counts.copy())
    totals = np.asarray(counts.sum(axis=1)).ravel()
    with pytest.warns(UserWarning, match="zero counts"):
        sc.pp.normalize_total(data, target_sum=1e4)
    np.testing.assert_allclose(scaled(counts, totals).toarray(), data.X.toarray(), rtol=1e-12)
    sc.pp.log1p(data)
    np.testing.assert_allclose(log_expression(counts, totals).toarray(), data.X.toarray(), rtol=1e-12)
    # of some genes, by the totals of all
    np.testing.assert_allclose(log_expression(counts[:, :4], totals).toarray(), data.X.toarray()[:, :4], rtol=1e-12)
