"""RO-Crate metadata: every file named is there with its hash, and the package `rocrate` reads them back."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from mira_nb.errors import Cancelled
from mira_nb.explorer.kept import Kept
from mira_nb.report.intact import sha256
from mira_nb.run import files, pipeline
from mira_nb.run.crate import NAME, Described, crate_text, write_crate
from mira_nb.run.outputs import report_is_current, write_report
from mira_nb.run.pack import open_pack, pack_run
from mira_nb.run.pipeline import RunRequest, run_pipeline
from mira_nb.run.versions import restore_version

sys.path.insert(0, str(Path(__file__).parent))
from test_pipeline import request_

__all__ = ["request_"]


def entities(text: str) -> dict[str, dict[str, Any]]:
    graph = json.loads(text)["@graph"]
    assert len({item["@id"] for item in graph}) == len(graph)
    return {item["@id"]: item for item in graph}


def references(value: Any) -> set[str]:
    """Every entity that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if isinstance(value, dict):
        return {value["@id"]} if set(value) == {"@id"} else set().union(*map(references, value.values()))
    return set()


def check_files(found: dict[str, dict[str, Any]], folder: Path) -> set[str]:
    """Assert that every file named exists with its size and hash; return their names."""
    files = {unquote(key): item for key, item in found.items() if item["@type"] == "File"}
    for name, item in files.items():
        content = (folder / name).read_bytes()
        assert item["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert item["contentSize"] == str(len(content)), name
    return set(files)


def test_every_file_of_a_run_is_named_with_its_hash(request_: RunRequest) -> None:
    run_pipeline(request_)
    found = entities((request_.out / NAME).read_text(encoding="utf-8"))
    names = check_files(found, request_.out)
    below = {path.relative_to(request_.out).as_posix() for path in request_.out.rglob("*") if path.is_file()}
    left = {name for name in below - names if not name.startswith((".", "stages/.", "history/"))}
    assert left == {NAME, "cache/hashes.json", "cache/lock"} & below
    assert {"run.json", "report.html", "results.h5mu", "stages/joint/slots.h5"} <= names
    known = {"https://w3id.org/ro/crate/1.1"}
    assert references(list(found.values())) <= set(found) | known
    record = json.loads((request_.out / "run.json").read_text(encoding="utf-8"))
    action = found["#run"]
    assert [found[item["@id"]]["sha256"] for item in action["object"]] == [item["sha256"] for item in record["inputs"]]
    assert found["#software-mira-nb"]["softwareVersion"] == record["versions"]["mira-nb"]
    assert found["./"]["license"] == {"@id": "#licence"}


def test_a_pack_describes_itself_and_so_does_what_is_unpacked(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    file = pack_run(request_.out, tmp_path / "mine.zip")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "plain")
    (folder,) = (tmp_path / "plain").iterdir()
    names = check_files(entities((folder / NAME).read_text(encoding="utf-8")), folder)
    opened = open_pack(file)
    assert check_files(entities((opened / NAME).read_text(encoding="utf-8")), opened) == names


def test_after_one_stage_alone_every_file_named_is_there_with_its_hash(request_: RunRequest) -> None:
    run_pipeline(request_)
    run_pipeline(replace(request_, only="joint", force=True, parameters={"joint": {"scale": 3.0}}))
    names = check_files(entities((request_.out / NAME).read_text(encoding="utf-8")), request_.out)
    assert {"run.json", "report.html", "results.h5mu", "stages/joint/slots.h5"} <= names
    restore_version(request_.out, 1)
    check_files(entities((request_.out / NAME).read_text(encoding="utf-8")), request_.out)


def test_metadata_that_no_longer_fit_are_gone(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    run_pipeline(request_)

    def stop(*_: Any, **__: Any) -> None:
        raise Cancelled("stopped")

    monkeypatch.setattr(pipeline, "execute_template", stop)
    with pytest.raises(Cancelled):
        run_pipeline(replace(request_, only="joint", force=True))
    assert not (request_.out / NAME).exists()
    assert not report_is_current(request_.out)
    write_report(request_.out)
    assert report_is_current(request_.out)
    check_files(entities((request_.out / NAME).read_text(encoding="utf-8")), request_.out)


def test_large_results_are_hashed_once_and_not_for_the_report(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run hashes what it wrote once, the report's pages ask for its own files, and a change is still noticed."""
    read: list[str] = []

    def count(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(files, "sha256", count)
    run_pipeline(request_)
    assert read.count("results.h5mu") == 1
    assert report_is_current(request_.out)
    (request_.out / "results.h5mu").touch()
    read.clear()
    assert report_is_current(request_.out)
    assert "results.h5mu" not in read
    with (request_.out / "findings.md").open("a") as file:
        file.write("more")
    assert not report_is_current(request_.out)


def test_names_of_topics_make_the_report_old(request_: RunRequest) -> None:
    run_pipeline(request_)
    assert report_is_current(request_.out)
    Kept(request_.out).name_topic("e1", "Cycling")
    assert not (request_.out / NAME).exists()
    assert not report_is_current(request_.out)
    write_report(request_.out)
    assert report_is_current(request_.out)
    check_files(entities((request_.out / NAME).read_text(encoding="utf-8")), request_.out)


def test_names_with_spaces_and_failed_stages_are_told(tmp_path: Path) -> None:
    record = {"stages": {"joint": {"status": "failed"}}, "resources": {"tss": [{"name": "t.bed", "sha256": "a"}]}}
    found = entities(crate_text(record, [Described("stages/joint/tables/a b.csv", 3, "f")], "folder"))
    assert found["stages/joint/tables/a%20b.csv"]["description"] == "Of the stage joint: tables/a b.csv"
    assert found["#run"]["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert found["#input-1"]["description"] == "Input of the run: tss"
    assert found["./"]["name"] == "folder"


def test_the_package_rocrate_reads_it_back(request_: RunRequest) -> None:
    reader = pytest.importorskip("rocrate.rocrate")
    run_pipeline(request_)
    (request_.out / "values.mnv").write_bytes(b"more")
    write_crate(request_.out)
    crate = reader.ROCrate(request_.out)
    files = {unquote(item.id): item for item in crate.data_entities}
    assert "values.mnv" in files
    for name, item in files.items():
        assert item["sha256"] == hashlib.sha256((request_.out / name).read_bytes()).hexdigest()
    assert crate.root_dataset["license"]["name"] == "Licence of the input data"
    action = crate.dereference("#run")
    assert action["instrument"]["name"] == "mira-nb"
    assert {item["name"] for item in action["object"]} == {"rna.h5ad", "atac.h5ad"}
