"""The tutorial runs from top to bottom and leaves the keys it talks about."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "tutorial.ipynb"
CHECK = """
obs, rna, atac = mdata.obs, mdata["rna"], mdata["atac"]
assert abs(rna.obsm["X_topics"].sum(axis=1) - 1).max() < 1e-3
assert {"X_joint", "X_umap", "fate_probabilities", "motif_scores"} <= set(mdata.obsm)
assert {"leiden", "pseudotime", "nite_score"} <= set(obs)
assert {"topic_activations", "rp_parameters", "isd_scores"} <= set(rna.varm)
assert "motif_hits" in atac.varm
"""


def test_the_tutorial_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 2
