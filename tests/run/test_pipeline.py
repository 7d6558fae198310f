"""What runs, what is skipped and why, what a failure or a kill leaves standing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mira_nb.cli.terminal import system_message
from mira_nb.errors import Cancelled, InputError, MiraError, ParameterError, StageError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.run import pipeline
from mira_nb.run.contents import REPORT_FILES
from mira_nb.run.open_stage import open_stage
from mira_nb.run.pipeline import RunRequest, run_pipeline
from mira_nb.run.store import RunStore, read_h5mu
from mira_nb.stages import registry
from mira_nb.stages.registry import BUILT_IN

sys.path.insert(0, str(Path(__file__).parent))
import fakes

from tests.messages import refused

CELLS = 30


def write_pair(folder: Path, *, seed: int = 0) -> InputSpec:
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(CELLS)]
    obs = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * (CELLS // 2))}, index=names)
    rna = ad.AnnData(sparse.csr_matrix(rng.poisson(2.0, (CELLS, 12)).astype(np.float32)), obs=obs)
    rna.var_names = [f"G{i}" for i in range(12)]
    atac = ad.AnnData(sparse.csr_matrix((rng.random((CELLS, 20)) < 0.5).astype(np.float32)), obs=obs.copy())
    atac.var_names = [f"chr1:{100 * i}-{100 * i + 50}" for i in range(20)]
    rna.write_h5ad(folder / "rna.h5ad")
    atac.write_h5ad(folder / "atac.h5ad")
    return InputSpec(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")


def run_in_process(stage: str, output: Path, parameters: Mapping[str, Any], **_: Any) -> None:
    try:
        session = open_stage(stage, parameters)
        session.run()
        session.save()
    except MiraError:
        raise
    except Exception as error:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("failed notebook")
        raise StageError(f"stage {stage} failed: {error}") from None
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("{}")


def fake_report(root: Path) -> Path:
    for name in REPORT_FILES:
        (root / name).write_text(json.dumps(RunStore(root).finished()))
    return root / "report.html"


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunRequest]:
    monkeypatch.setitem(sys.modules, "mira_nb.stages._fakes", fakes)
    monkeypatch.setattr(registry, "BUILT_IN", {name: f"mira_nb.stages._fakes:Fake_{name}" for name in BUILT_IN})
    monkeypatch.setattr(pipeline, "execute_template", run_in_process)
    monkeypatch.setattr("mira_nb.report.build.build_report", fake_report)
    registry.get_stage.cache_clear()
    fakes.RUNS.clear()
    fakes.BROKEN.clear()
    fakes.EMPTY.clear()
    yield RunRequest(spec=write_pair(tmp_path), resources=Resources(), out=tmp_path / "out")
    registry.get_stage.cache_clear()


def gene_sets(folder: Path) -> Resources:
    path = folder / "sets.gmt"
    path.write_text("t\t\tG1\tG2\n")
    return Resources(gene_sets=(path,))


def test_everything_runs_once_and_a_second_run_does_nothing(request_: RunRequest) -> None:
    first = run_pipeline(request_)
    assert first.statuses["comparisons"] == "done"
    assert first.statuses["enrichment"] == "skipped"
    assert "--gene-sets" in first.reasons["enrichment"]
    assert first.computed == tuple(name for name in BUILT_IN if name != "enrichment")
    stamp = (request_.out / "results.h5mu").stat().st_mtime_ns
    second = run_pipeline(request_)
    assert second.computed == ()
    assert second.statuses == first.statuses
    assert (request_.out / "results.h5mu").stat().st_mtime_ns == stamp
    assert set(fakes.RUNS.values()) == {1}


def test_values_flow_and_results_hold_them(request_: RunRequest) -> None:
    run_pipeline(request_)
    obs = read_h5mu(request_.out / "results.h5mu").obs
    got = {name: float(obs[f"v_{name}"].iloc[0]) for name in ("prepare", "topics_rna", "joint", "drivers")}
    assert got == {"prepare": 1, "topics_rna": 2, "joint": 5, "drivers": 9}


def test_one_parameter_reruns_only_what_depends_on_it(request_: RunRequest) -> None:
    run_pipeline(request_)
    changed = replace(request_, parameters={"topics_atac": {"scale": 2.0}})
    again = run_pipeline(changed)
    assert again.computed == ("topics_atac", "joint", "motifs", "trajectory", "regulation", "drivers")
    assert float(read_h5mu(request_.out / "results.h5mu").obs["v_drivers"].iloc[0]) == 11


def test_a_resource_unlocks_its_stage_and_what_uses_it(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    again = run_pipeline(replace(request_, resources=gene_sets(tmp_path)))
    assert again.computed == ("enrichment", "comparisons")
    (tmp_path / "sets.gmt").write_text("t\t\tG1\tG3\n")
    third = run_pipeline(replace(request_, resources=gene_sets(tmp_path)))
    assert third.computed == ()
    (tmp_path / "sets.gmt").write_text("other\t\tG1\tG3\n")
    fourth = run_pipeline(replace(request_, resources=Resources(gene_sets=(tmp_path / "sets.gmt",))))
    assert fourth.computed == ("enrichment",)  # it gives the values that it gave before


def test_changed_input_reruns_everything(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    write_pair(tmp_path, seed=1)
    assert "prepare" in run_pipeline(request_).computed
    assert fakes.RUNS["prepare"] == 2


def test_another_seed_reruns_everything(request_: RunRequest) -> None:
    run_pipeline(request_)
    run_pipeline(replace(request_, seed=1))
    assert fakes.RUNS["prepare"] == 2


def test_a_failing_stage_fails_alone_and_is_tried_again(request_: RunRequest) -> None:
    fakes.BROKEN.add("motifs")
    first = run_pipeline(request_)
    assert first.failed == ("motifs",)
    assert first.statuses["drivers"] == "skipped"
    assert first.reasons["drivers"] == "it needs stage motifs, which is failed"
    assert first.statuses["trajectory"] == first.statuses["comparisons"] == "done"
    record = RunStore(request_.out).read_record()["stages"]["motifs"]
    assert "motifs is broken" in record["error"]["message"]
    assert "v_motifs" not in read_h5mu(request_.out / "results.h5mu").obs
    fakes.BROKEN.clear()
    assert run_pipeline(request_).computed == ("motifs", "drivers")


def test_a_stage_with_nothing_to_analyse_is_skipped_and_not_tried_again(request_: RunRequest) -> None:
    fakes.EMPTY.add("motifs")
    first = run_pipeline(request_)
    assert first.failed == ()
    assert first.statuses["motifs"] == first.statuses["drivers"] == "skipped"
    assert first.reasons["motifs"] == "there is one group; give another"
    assert first.statuses["comparisons"] == "done"
    assert "v_motifs" not in read_h5mu(request_.out / "results.h5mu").obs
    again = run_pipeline(request_)
    assert again.computed == ()
    assert fakes.RUNS["motifs"] == 1
    assert again.reasons == first.reasons
    until = run_pipeline(replace(request_, until="prepare"))
    assert until.statuses["motifs"] == "skipped"
    fakes.EMPTY.clear()
    other = run_pipeline(replace(request_, parameters={"motifs": {"scale": 2.0}}))
    assert other.computed == ("motifs", "drivers")
    assert other.statuses["motifs"] == "done"


def test_a_stage_that_becomes_empty_keeps_no_result_in_use(request_: RunRequest) -> None:
    run_pipeline(request_)
    fakes.EMPTY.add("motifs")
    outcome = run_pipeline(replace(request_, parameters={"motifs": {"scale": 2.0}}))
    assert outcome.statuses["motifs"] == outcome.statuses["drivers"] == "skipped"
    assert "v_motifs" not in read_h5mu(request_.out / "results.h5mu").obs
    fakes.EMPTY.clear()
    back = run_pipeline(request_)
    assert back.computed == ()
    assert back.statuses["motifs"] == "done"


def test_a_failure_with_new_parameters_keeps_the_old_result_but_does_not_use_it(request_: RunRequest) -> None:
    run_pipeline(request_)
    fakes.BROKEN.add("motifs")
    outcome = run_pipeline(replace(request_, parameters={"motifs": {"scale": 3.0}}))
    assert outcome.failed == ("motifs",)
    assert "v_motifs" not in read_h5mu(request_.out / "results.h5mu").obs
    fakes.BROKEN.clear()
    back = run_pipeline(request_)
    assert back.computed == ()
    assert back.statuses["drivers"] == "done"
    assert "v_motifs" in read_h5mu(request_.out / "results.h5mu").obs


def test_until_stops_there_and_later_results_are_kept(request_: RunRequest) -> None:
    first = run_pipeline(replace(request_, until="joint"))
    assert first.computed == ("prepare", "tuning_rna", "tuning_atac", "topics_rna", "topics_atac", "joint")
    assert first.statuses["trajectory"] == "pending"
    run_pipeline(request_)
    again = run_pipeline(replace(request_, until="prepare"))
    assert again.computed == ()
    assert again.statuses["drivers"] == "done"


def test_only_runs_one_stage_and_marks_what_depends_on_it(request_: RunRequest) -> None:
    run_pipeline(replace(request_, parameters={"prepare": {"scale": 2.0}}))
    outcome = run_pipeline(replace(request_, only="topics_rna", parameters={"topics_rna": {"scale": 5.0}}))
    assert outcome.computed == ("topics_rna",)
    assert outcome.statuses["prepare"] == outcome.statuses["topics_atac"] == "done"
    assert outcome.statuses["joint"] == "pending"


def test_a_kill_while_storing_leaves_the_old_result(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    run_pipeline(request_)
    before = RunStore(request_.out).stage_record("joint")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mira_nb.run.store.write_slots", killed)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(replace(request_, parameters={"joint": {"scale": 4.0}}))
    monkeypatch.undo()
    assert RunStore(request_.out).stage_record("joint") == before
    assert [p.name for p in (request_.out / "stages").iterdir() if p.name.startswith(".")] == []


def test_a_stop_on_request_keeps_what_was_finished(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(stage: str, output: Path, parameters: Mapping[str, Any], **_: Any) -> None:
        if stage == "joint":
            raise Cancelled("stopped")
        run_in_process(stage, output, parameters)

    monkeypatch.setattr(pipeline, "execute_template", stops)
    with pytest.raises(Cancelled):
        run_pipeline(request_)
    record = RunStore(request_.out).read_record()["stages"]
    assert record["topics_atac"]["status"] == "done"
    assert record["joint"]["status"] == "pending"


def test_two_runs_in_one_folder_exclude_each_other(request_: RunRequest) -> None:
    with pipeline.locked(request_.out), refused("run.folder_in_use", StoreError):
        run_pipeline(request_)


def test_a_foreign_folder_is_refused(request_: RunRequest) -> None:
    request_.out.mkdir()
    (request_.out / "thesis.doc").write_text("x")
    with refused("run.folder_of_others", ParameterError):
        run_pipeline(request_)


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"key": 1}'])
def test_a_damaged_stage_record_is_said_and_recomputed(request_: RunRequest, text: str) -> None:
    run_pipeline(request_)
    (request_.out / "stages" / "joint" / "stage.json").write_text(text)
    said: list[str] = []
    again = run_pipeline(request_, sink=lambda stage, _, message, __: said.append(f"{stage}: {message}"))
    assert again.computed == ("joint",)
    assert any(line.startswith("joint: warning: the stored result is not used") for line in said)
    assert not again.failed


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _edit_keeping_size_and_time(path: Path) -> None:
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("harm", [_truncate, _edit_keeping_size_and_time, Path.unlink])
@pytest.mark.parametrize("file", ["slots.h5", "tables/t.csv"])
def test_damaged_outputs_of_a_stage_are_found_and_recomputed(
    request_: RunRequest, harm: Callable[[Path], None], file: str
) -> None:
    run_pipeline(request_)
    path = request_.out / "stages" / "topics_rna" / file
    before = path.read_bytes()
    (_edit_keeping_size_and_time if harm is _truncate and len(before) < 100 else harm)(path)
    said: list[str] = []
    again = run_pipeline(request_, sink=lambda stage, _, message, __: said.append(f"{stage}: {message}"))
    assert again.computed == ("topics_rna",)
    assert any(file in line and line.startswith("topics_rna: warning") for line in said)
    assert len(path.read_bytes()) == len(before)
    assert run_pipeline(request_).computed == ()


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink])
@pytest.mark.parametrize("name", ["results.h5mu", "cache/input.h5mu", *REPORT_FILES])
def test_damaged_files_of_the_run_are_written_anew(
    request_: RunRequest, name: str, harm: Callable[[Path], object]
) -> None:
    run_pipeline(request_)
    path = request_.out / name
    size = path.stat().st_size
    harm(path)
    assert run_pipeline(request_).computed == ()
    assert path.stat().st_size == size
    assert run_pipeline(request_).computed == ()


def test_a_folder_in_the_place_of_the_report_is_named(request_: RunRequest) -> None:
    run_pipeline(request_)
    (request_.out / "report.html").unlink()
    (request_.out / "report.html").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        run_pipeline(request_)
    text, code = system_message(caught.value)
    assert text.startswith(f"{request_.out / 'report.html'}: ")
    assert "move it away or delete it" in text
    assert code == 2


DAMAGED_RECORDS = [
    "[]", "null", "", "{", "{}", "[" * 100_000, '{"schema": 1, "stages": []}', '{"schema": 1, "stages": {"a": 1}}',
    '{"schema": 1, "written": []}', '{"schema": 1, "input_spec": {"rna": 5}}',
    '{"schema": 1, "inputs": [null]}', '{"schema": 1, "shape": {"cells": "x"}}',
    '{"schema": 1, "stages": {"joint": {"status": "failed", "error": "x"}}}',
    '{"schema": 1, "stages": {"joint": {"outputs": {"a.csv": {"bytes": "3", "sha256": ""}}}}}',
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED_RECORDS, ids=range(len(DAMAGED_RECORDS)))
def test_a_damaged_record_is_put_aside_and_whole_stages_are_kept(request_: RunRequest, text: str) -> None:
    run_pipeline(request_)
    (request_.out / "run.json").write_text(text)
    with pytest.raises(StoreError, match=r"run\.json is damaged"):
        RunStore(request_.out).read_record()
    said: list[str] = []
    again = run_pipeline(request_, sink=lambda stage, _, message, __: said.append(f"{stage}: {message}"))
    assert again.computed == ()
    assert not again.failed
    assert (request_.out / "run.json.damaged-1").read_text() == text
    assert [line for line in said if line.startswith("run.json: warning: ") and "run.json.damaged-1" in line]
    assert run_pipeline(request_).computed == ()


def test_a_folder_in_the_place_of_the_record_is_put_aside(request_: RunRequest) -> None:
    run_pipeline(request_)
    (request_.out / "run.json").unlink()
    (request_.out / "run.json").mkdir()
    assert run_pipeline(request_).computed == ()
    assert (request_.out / "run.json.damaged-1").is_dir()


def test_the_record_of_another_version_is_left_alone(request_: RunRequest) -> None:
    run_pipeline(request_)
    (request_.out / "run.json").write_text('{"schema": 99}')
    with pytest.raises(StoreError, match="schema 99"):
        run_pipeline(request_)
    assert (request_.out / "run.json").read_text() == '{"schema": 99}'


@pytest.mark.parametrize("text", ["[]", "null", "{"])
def test_remembered_hashes_of_another_form_are_made_anew(request_: RunRequest, text: str) -> None:
    run_pipeline(request_)
    (request_.out / "cache" / "hashes.json").write_text(text)
    assert run_pipeline(request_).computed == ()


def test_a_record_without_facts_of_the_input_reads_it_again(request_: RunRequest) -> None:
    run_pipeline(request_)
    path = request_.out / "run.json"
    record = json.loads(path.read_text())
    del record["inputs"], record["shape"]
    path.write_text(json.dumps(record))
    assert run_pipeline(request_).computed == ()
    assert json.loads(path.read_text())["shape"]["cells"] == CELLS


def test_input_replaced_with_equal_size_and_time_is_seen(request_: RunRequest) -> None:
    run_pipeline(request_)
    path = request_.spec.rna
    assert path is not None
    stat = path.stat()
    other = path.parent / "other"
    other.mkdir()
    write_pair(other, seed=5)
    content = (other / "rna.h5ad").read_bytes()
    assert len(content) == stat.st_size
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert len(run_pipeline(request_).computed) == len(BUILT_IN) - 1


def test_unknown_stage_and_parameter_are_refused_before_anything_runs(request_: RunRequest) -> None:
    with pytest.raises(ParameterError, match="nostage"):
        run_pipeline(replace(request_, parameters={"nostage": {}}))
    with pytest.raises(ParameterError, match=r"joint\.scale"):
        run_pipeline(replace(request_, parameters={"joint": {"scale": -1}}))
    with pytest.raises(ParameterError, match=r"joint\.other.*known: scale"):
        run_pipeline(replace(request_, parameters={"joint": {"other": 1}}))
    assert not fakes.RUNS


def test_a_resource_that_cannot_be_used_stops_the_run_before_any_stage(request_: RunRequest, tmp_path: Path) -> None:
    wrong = tmp_path / "m.jaspar"
    wrong.write_text(">M1 x\nA [ 1 2 ]\nC [ 1 ]\nG [ 1 2 ]\nT [ 1 2 ]\n")
    with pytest.raises(InputError, match=r"m\.jaspar.*rows of different lengths"):
        run_pipeline(replace(request_, resources=Resources(motifs=wrong)))
    assert not fakes.RUNS
    run_pipeline(request_)
    done = dict(fakes.RUNS)
    with pytest.raises(InputError, match=r"m\.jaspar"):
        run_pipeline(replace(request_, resources=Resources(motifs=wrong)))
    assert dict(fakes.RUNS) == done


def test_a_stage_that_is_short_of_memory_is_warned_of_and_says_so_when_it_fails(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "available_mb", lambda: 100.0)
    fakes.BROKEN.add("joint")
    said: list[str] = []
    run_pipeline(request_, sink=lambda stage, fraction, message, remaining: said.append(f"{stage} {message}"))
    assert any(text.startswith("prepare warning: stage prepare needs about") for text in said)
    entries = RunStore(request_.out).read_record()["stages"]
    assert entries["prepare"]["status"] == "done"  # advice, not a verdict
    assert "Before it started: stage joint needs about" in entries["joint"]["error"]["message"]
    assert "0.1 GB are free" in entries["joint"]["error"]["message"]
    said.clear()
    monkeypatch.setattr(pipeline, "available_mb", lambda: 1e6)
    run_pipeline(request_, sink=lambda stage, fraction, message, remaining: said.append(message))
    assert not any("needs about" in text for text in said)
