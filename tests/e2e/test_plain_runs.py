"""Runs of real data without any option end well, whatever the data cannot say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.commands import mira_nb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ALWAYS = ("prepare", "tuning_rna", "tuning_atac", "topics_rna", "topics_atac", "joint", "trajectory", "comparisons")


def stages(folder: Path) -> dict[str, dict[str, object]]:
    entries: dict[str, dict[str, object]] = json.loads((folder / "run.json").read_text())["stages"]
    return entries


def inputs(data: Path, name: str) -> list[str | Path]:
    if name == "pbmc_muon":
        return ["--mudata", data / name / "test_rna_atac.h5mu"]
    return ["--rna", data / name / "rna.h5ad", "--atac", data / name / "atac.h5ad"]


@pytest.mark.parametrize("name", ["pbmc_muon", "pbmc300"])
def test_plain_run_ends_well_and_a_stage_without_groups_is_skipped(
    shared_data: Path, name: str, tmp_path: Path
) -> None:
    command = ["run", *inputs(shared_data / "data", name), "--out", tmp_path / "run"]
    plain = mira_nb(*command)
    assert plain.returncode == 0, plain.stderr
    found = stages(tmp_path / "run")
    for stage, entry in found.items():
        assert entry["status"] == ("done" if stage in ALWAYS else "skipped"), stage
        assert entry["status"] == "done" or entry["reason"], stage
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
    # no group is as large as this
    again = mira_nb(*command, "--set", "comparisons.min_cells=1000")
    assert again.returncode == 0, again.stderr
    entry = stages(tmp_path / "run")["comparisons"]
    assert entry["status"] == "skipped"
    assert "no two groups of at least 1000 cells" in str(entry["reason"])
    assert "no two groups of at least 1000 cells" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "stages" / "comparisons" / "skipped.ipynb").exists()
