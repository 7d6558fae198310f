"""Many runs from one file: what is read, what fails apart, what is taken over."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mira_nb.errors import ParameterError
from mira_nb.run.batch import batch_request, read_batch, run_batch, write_outcomes
from mira_nb.run.pipeline import RunRequest, run_pipeline
from mira_nb.run.store import RunStore, read_h5mu

sys.path.insert(0, str(Path(__file__).parent))
import fakes
from test_pipeline import request_, write_pair

from tests.messages import refused

__all__ = ["request_"]


def write(folder: Path, text: str) -> Path:
    path = folder / "runs.yaml"
    path.write_text(text)
    return path


def test_settings_of_a_run_win_over_those_of_all_and_of_the_command_line(tmp_path: Path) -> None:
    text = """
        all: {rna: data/rna.h5ad, atac: /far/atac.h5ad, gene-sets: a.gmt, motifs: "jaspar:vertebrates",
              params: {joint: {resolution: 1, min_dist: 0.2}}}
        runs:
          plain:
          other: {mudata: b.h5mu, seed: 3, gene_sets: [b.gmt, c.gmt], params: {joint: {resolution: 2}}}
    """
    runs = read_batch(write(tmp_path, text), {"seed": 1, "title": "T", "params": {"prepare": {}}})
    assert list(runs) == ["plain", "other"]
    plain, other = runs["plain"], runs["other"]
    assert plain["seed"] == 1
    assert plain["rna"] == str(tmp_path / "data" / "rna.h5ad")
    assert plain["atac"] == "/far/atac.h5ad"
    assert plain["motifs"] == "jaspar:vertebrates"
    assert plain["params"]["joint"] == {"resolution": 1, "min_dist": 0.2}
    assert other["params"]["joint"] == {"resolution": 2, "min_dist": 0.2}
    assert "rna" not in other  # a run with an input of its own
    found = batch_request({name: value for name, value in other.items() if name != "motifs"}, tmp_path / "out")
    assert found.spec.kind() == "mudata"
    assert found.resources.gene_sets == (tmp_path / "b.gmt", tmp_path / "c.gmt")
    assert (found.seed, found.title) == (3, "T")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("runs: {}", "batch_names_no_run"),
        ("[1]", "batch_other_form"),
        ("runs: {a: 1}", "batch_value_form"),
        ("runs: {a: {rma: x}}", "batch_setting_unknown"),
        ("all: {seed: x}\nruns: {a: }", "batch_seed"),
        ("runs: {../a: }", "batch_run_name"),
        ("runs: {a: , A: }", "batch_run_name"),
        ("runs:\n  a:\n  a:", "batch_not_yaml"),
        ("runs: {a: {params: {joint: {resolution: -1}}}}", "batch_run_refused"),
        ("runs: {a: {params: {joined: {}}}}", "batch_run_refused"),
        ("runs: {a: {until: end}}", "batch_run_refused"),
        ("some: {}\nruns: {a: }", "batch_keys_unknown"),
        ("runs: {a: {rna: [1]}}", "batch_text"),
    ],
)
def test_mistakes_in_the_file_are_refused_before_anything_runs(tmp_path: Path, text: str, code: str) -> None:
    with refused(f"run.{code}", ParameterError):
        read_batch(write(tmp_path, text))


def batch(folder: Path, runs: dict[str, Any]) -> list[Any]:
    write_pair(folder)
    file = write(folder, json.dumps({"all": {"rna": "rna.h5ad", "atac": "atac.h5ad"}, "runs": runs}))
    return list(run_batch(read_batch(file), folder / "runs"))


def test_runs_fail_apart_and_equal_stages_are_taken_over(request_: RunRequest, tmp_path: Path) -> None:
    changed = {"params": {"topics_atac": {"scale": 2.0}}}
    missing = {"rna": "none.h5ad", "atac": "atac.h5ad"}
    found = batch(tmp_path, {"one": {}, "lost": missing, "two": changed})
    assert [item.failed for item in found] == [False, True, False]
    assert "none.h5ad" in found[1].message
    assert fakes.RUNS["topics_rna"] == 1
    assert fakes.RUNS["topics_atac"] == fakes.RUNS["drivers"] == 2
    assert found[2].outcome.statuses["topics_rna"] == "done"
    table = pd.read_csv(write_outcomes(found, tmp_path / "runs"), keep_default_na=False)
    assert table["status"].tolist() == ["done", "failed", "done"]
    # what was taken over is what a run of its own would hold
    alone = run_pipeline(replace(request_, parameters=changed["params"], out=tmp_path / "alone"))
    assert alone.failed == ()
    a, b = (read_h5mu(folder / "results.h5mu").obs for folder in (tmp_path / "alone", tmp_path / "runs" / "two"))
    pd.testing.assert_frame_equal(a, b)
    # and the run goes on by itself
    again = run_pipeline(replace(request_, parameters=changed["params"], out=tmp_path / "runs" / "two"))
    assert again.computed == ()


def test_a_damaged_result_is_not_taken_over(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    (RunStore(request_.out).stage_dir("topics_rna") / "tables" / "t.csv").write_text("a\n9\n")
    run_pipeline(replace(request_, out=tmp_path / "other", donors=(request_.out,)))
    assert fakes.RUNS["prepare"] == 1
    assert fakes.RUNS["topics_rna"] == 2


def test_an_executed_notebook_taken_over_names_its_new_folder(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    old, new = request_.out.resolve(), (tmp_path / "other").resolve()
    path = RunStore(old).notebook_path("prepare")
    beside = f"{old}-2"
    path.write_text(json.dumps({"source": f'run_dir = "{old}"', "run_dir": str(old), "beside": beside}))
    run_pipeline(replace(request_, out=new, donors=(old,)))
    taken = json.loads(RunStore(new).notebook_path("prepare").read_text())
    assert taken == {"source": f'run_dir = "{new}"', "run_dir": str(new), "beside": beside}
    assert json.loads(path.read_text())["run_dir"] == str(old)
