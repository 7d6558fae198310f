"""Runs side by side, and a run that begins with another's parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mira_nb.errors import ParameterError
from mira_nb.panels.job import JobRequest
from mira_nb.panels.run_manager import RunComparison, start_from
from mira_nb.run.files import write_json


class Recorder:
    """Stands for the jobs of a folder, and keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, JobRequest]] = []

    def __call__(self, folder: Path) -> Any:
        self.folder = folder
        return self

    def start(self, request: JobRequest) -> None:
        self.asked.append((self.folder, request))


def test_a_run_begins_with_the_parameters_of_another(tmp_path: Path) -> None:
    record = {
        "schema": 1,
        "title": "First",
        "seed": 7,
        "input_spec": {"rna": "/data/rna.h5ad", "atac": "/data/atac.h5ad"},
        "resource_paths": {"groups": "kind"},
        "stages": {"prepare": {"parameters": {"a": 2.5}}, "joint": {"parameters": {"resolution": 3.0}}, "old": {}},
    }
    (tmp_path / "first").mkdir()
    write_json(tmp_path / "first" / "run.json", record)
    jobs = Recorder()
    folder = start_from(tmp_path, tmp_path / "first", controller=jobs)
    assert folder == tmp_path / "first-again"
    ((asked, request),) = jobs.asked
    assert asked == folder
    assert request.stage == "prepare"
    assert dict(request.parameters) == {"prepare": {"a": 2.5}, "joint": {"resolution": 3.0}}
    assert request.new["spec"] == record["input_spec"]
    assert request.new["resources"] == {"groups": "kind"}
    assert request.new["seed"] == 7
    assert start_from(tmp_path, tmp_path / "first", controller=jobs) == tmp_path / "first-again-2"


def test_a_run_without_its_input_is_no_beginning(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    write_json(tmp_path / "first" / "run.json", {"schema": 1, "stages": {}})
    with pytest.raises(ParameterError, match="where its input is"):
        start_from(tmp_path, tmp_path / "first", controller=Recorder())
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_two_runs_are_needed_and_problems_are_shown(tmp_path: Path) -> None:
    page = RunComparison(tmp_path)
    assert page.button.disabled
    page.choose(tmp_path / "a", True)
    page.choose(tmp_path / "b", True)
    assert not page.button.disabled
    page.compare()
    assert "Problem" in page.note.value
    assert page.page.items == []
    page.choose(tmp_path / "a", False)
    assert page.button.disabled


def test_the_page_of_chosen_runs_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(folders: list[Path], out: Path) -> Path:
        out.write_text(" ".join(folder.name for folder in folders))
        return out

    monkeypatch.setattr("mira_nb.comparison.page.compare_runs", write)
    page = RunComparison(tmp_path)
    for name in ("b", "a"):
        page.choose(tmp_path / name, True)
    page.compare()
    assert (tmp_path / "comparison.html").read_text() == "b a"
    assert page.page.answer("file", page.page.items[0]["id"]).content == b"b a"
