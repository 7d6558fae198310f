"""Versions of a run: made before a result is replaced, within a limit, listed, opened, restored and removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mira_nb.report.build
from mira_nb.cli import app
from mira_nb.errors import ParameterError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.report.reader import read_run as read_report
from mira_nb.run import pipeline
from mira_nb.run.history import LIMIT_VARIABLE, versions
from mira_nb.run.pipeline import RunRequest, run_pipeline
from mira_nb.run.store import RunStore
from mira_nb.run.versions import restore_version
from tests.messages import refused
from tests.panels import fakes


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    """Finished run of the tiny stages."""
    fakes.install()
    monkeypatch.setattr(pipeline, "execute_template", fakes.execute)
    monkeypatch.setattr(mira_nb.report.build, "build_report", fakes.report)
    fakes.write_pair(tmp_path / "data")
    compute(tmp_path / "run")
    yield RunStore(tmp_path / "run")
    fakes.restore()


def compute(root: Path, scale: float = 1.0, **options: object) -> None:
    spec = fakes.InputSpec(rna=root.parent / "data" / "rna.h5ad", atac=root.parent / "data" / "atac.h5ad")
    request = RunRequest(spec, Resources(), root, parameters={"joint": {"scale": scale}}, **options)  # type: ignore[arg-type]
    run_pipeline(request)


def value(store: RunStore, stage: str) -> float:
    record = store.stage_record(stage)
    assert record is not None
    return float(record["metrics"][0]["value"])


def test_one_stage_run_again_keeps_the_complete_run_and_it_comes_back(run: RunStore) -> None:
    root = run.root
    assert versions(root) == []  # nothing was replaced
    (root / "report.html").write_text("the first report")
    before = {name: value(run, name) for name in run.finished()}
    compute(root, 5.0, only="joint")
    (version,) = versions(root)
    assert version.done == tuple(before)
    assert version.report.read_text() == "the first report"
    assert value(run, "joint") == before["joint"] + 4
    states = run.read_record()["stages"]
    assert states["topics_rna"]["status"] == states["enrichment"]["status"] == "done" or "enrichment" not in before
    assert states["trajectory"]["status"] == "pending"
    assert "made before the change of Stage joint" in states["trajectory"]["reason"]

    # the earlier result of what became out of date stays readable, and the report says what it is
    view = {stage.name: stage for stage in read_report(root).stages}
    assert view["trajectory"].record["metrics"][0]["value"] == before["trajectory"]
    assert view["trajectory"].alerts[0]["title"] == "Made before the change of Stage joint"
    assert not any(alert.get("code") == "outdated" for alert in view["joint"].alerts)

    # renewing what depends on it replaces results that the version has: no further one is made
    compute(root, 5.0)
    assert [kept.number for kept in versions(root)] == [1]
    assert value(run, "trajectory") == before["trajectory"] + 4

    assert "is the present state" in restore_version(root, 1)
    assert {name: value(run, name) for name in run.finished()} == before
    assert (root / "report.html").read_text() == "the first report"
    assert [kept.reason for kept in versions(root)] == ["Stage joint was computed again", "version 1 was restored"]
    data = run.load_data(run.finished())
    assert data.obs["v_joint"].iloc[0] == before["joint"]
    stamp = (root / "stages" / "joint" / "stage.json").stat().st_mtime_ns
    compute(root)  # it is whole: nothing is computed again
    assert (root / "stages" / "joint" / "stage.json").stat().st_mtime_ns == stamp
    restore_version(root, 2)
    assert value(run, "trajectory") == before["trajectory"] + 4


def test_over_the_limit_no_version_is_made_and_nothing_is_deleted(
    run: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    compute(run.root, 2.0)
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    spec = fakes.InputSpec.from_json(run.read_record()["input_spec"])
    request = RunRequest(spec, Resources(), run.root, parameters={"joint": {"scale": 3.0}})
    run_pipeline(request, sink=lambda stage, fraction, message, left: said.append(message))
    assert [version.number for version in versions(run.root)] == [1]
    assert any("no version of the earlier results is kept" in text and LIMIT_VARIABLE in text for text in said)
    with refused("run.present_not_kept", StoreError):
        restore_version(run.root, 1)
    restore_version(run.root, 1, discard=True)
    monkeypatch.setenv(LIMIT_VARIABLE, "much")
    with refused("run.limit_not_a_size", ParameterError, given="much"):
        compute(run.root, 4.0)


def test_a_version_survives_a_notebook_that_is_edited_in_place(run: RunStore) -> None:
    compute(run.root, 2.0, only="joint")
    (version,) = versions(run.root)
    for name in ("prepare", "joint"):
        run.notebook_path(name).write_text('{"edited": true}')
        assert (version.folder / "stages" / name / "notebook.ipynb").read_text() == "{}"
    own = (version.folder / "stages" / "prepare" / "slots.h5").stat()
    assert own.st_ino == (run.root / "stages" / "prepare" / "slots.h5").stat().st_ino  # linked: no room is taken
    assert version.bytes < sum(path.stat().st_size for path in version.folder.rglob("*") if path.is_file())


def test_the_commands(run: RunStore) -> None:
    runner, root = CliRunner(), str(run.root)
    assert "No version is kept" in runner.invoke(app, ["history", root]).stdout
    compute(run.root, 2.0)
    listed = runner.invoke(app, ["history", root]).stdout
    assert "Stage joint was computed again" in listed
    assert "of 5 GB are used" in listed
    assert runner.invoke(app, ["history", root, "--restore", "1"]).exit_code == 0
    assert value(run, "joint") == value(run, "topics_rna") + value(run, "topics_atac") + 1
    assert runner.invoke(app, ["restore", root, "2"]).exit_code == 0
    missing = runner.invoke(app, ["restore", root, "9"])
    assert (missing.exit_code, "expected: one of: 1, 2, 3" in missing.stderr.lower()) == (2, True)
    assert runner.invoke(app, ["history", root, "--remove", "1"], input="n\n").exit_code != 0
    assert runner.invoke(app, ["history", root, "--remove", "1", "--yes"]).exit_code == 0
    assert [version.number for version in versions(run.root)] == [2, 3]
    shutil.rmtree(run.root)
    assert runner.invoke(app, ["history", root]).exit_code == 2
