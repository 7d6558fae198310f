"""Many runs: the batch file from the command line, and the Snakemake recipe of the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mira_nb.datasets.write import write_demo
from mira_nb.run.store import RunStore
from tests.e2e.commands import mira_nb

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_batch_file_makes_runs_and_one_page(tmp_path: Path) -> None:
    files = write_demo(tmp_path / "data", size="small", seed=0)
    file = tmp_path / "runs.yaml"
    file.write_text(f"""
        all: {{rna: {files.spec.rna}, atac: {files.spec.atac}, until: prepare}}
        runs: {{one: {{}}, lost: {{rna: none.h5ad}}, two: {{seed: 1}}, three: {{title: Like one}}}}
    """)
    done = mira_nb("run", "--batch-file", file, "--out", tmp_path / "runs")
    assert done.returncode == 1
    assert "failed: lost (1 of 4 runs)" in done.stderr
    assert "taken over from one" in done.stderr
    assert pd.read_csv(tmp_path / "runs" / "runs.csv")["status"].tolist() == ["done", "failed", "done", "done"]
    page = (tmp_path / "runs" / "comparison.html").read_text()
    assert "Comparison of 3 runs" in page
    assert "Run lost has no results" in page
    assert RunStore(tmp_path / "runs" / "three").read_record()["title"] == "Like one"
    # a mistake in the file is the user's, and nothing runs
    file.write_text("runs: {a: {params: {joint: {resolution: -1}}}}")
    assert mira_nb("run", "--batch-file", file, "--out", tmp_path / "none").returncode == 2
    assert not (tmp_path / "none").exists()


@pytest.fixture(scope="module")
def snakemake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snakemake in an environment of its own: mira_nb does not need it."""
    place = os.environ.get("MIRA_NB_ACCEPTANCE_DIR")
    folder = (Path(place) if place else tmp_path_factory.mktemp("workflow")) / "snakemake"
    program = folder / "bin" / "snakemake"
    if not program.exists():
        pins = ROOT / "requirements" / "snakemake.txt"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(pins)], check=True)
    return program


@pytest.mark.e2e
@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_the_snakemake_recipe_runs(tmp_path: Path, snakemake: Path) -> None:
    files = write_demo(tmp_path / "data", size="small", seed=0)
    table = {
        "run": ["s1", "s2"],
        "rna": [files.spec.rna] * 2,
        "atac": [files.spec.atac] * 2,
        "options": ["--until prepare", "--until prepare --seed 1"],
    }
    pd.DataFrame(table).to_csv(tmp_path / "samples.tsv", sep="\t", index=False)
    recipe = ROOT / "docs" / "examples" / "workflows" / "Snakefile"
    command = [
        str(snakemake), "--snakefile", str(recipe), "--cores", "1", "--keep-going",
        "--config", "samples=samples.tsv", f"mira_nb={sys.executable} -m mira_nb",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Comparison of 2 runs" in (tmp_path / "runs" / "comparison.html").read_text()
    assert RunStore(tmp_path / "runs" / "s2").read_record()["seed"] == 1
    again = subprocess.run([*command, "--dry-run"], cwd=tmp_path, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr
