"""What stands under the pictures of the explorer's page."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from mira_nb.panels.explorer import Explorer


@pytest.mark.parametrize("verdict", ["supported", "not supported"])
def test_curves_along_pseudotime_carry_the_verdict_on_it(run_folder: Path, verdict: str) -> None:
    rows = pd.DataFrame({"subject": ["trajectory"], "verdict": [verdict]})
    (run_folder / "stages" / "trajectory" / "tables").mkdir(parents=True, exist_ok=True)
    rows.to_csv(run_folder / "stages" / "trajectory" / "tables" / "verdict.csv", index=False)
    record = {"key": "k", **{name: [] for name in ("parameters", "alerts", "metrics", "tables", "figures", "files")}}
    (run_folder / "stages" / "trajectory" / "stage.json").write_text(json.dumps(record))
    explorer = Explorer(run_folder)
    explorer.show("gene:GATA1")
    assert ("need not be one of development" in explorer.pictures.value) == (verdict == "not supported")
    explorer.show("column:leiden")
    assert "need not be" not in explorer.pictures.value, "labels have no curve"
