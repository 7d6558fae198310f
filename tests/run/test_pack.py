"""A run as one zip or one repository folder: what is in it, what is not, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mira_nb.errors import InputError, ParameterError, StoreError
from mira_nb.run.binder import pack_binder, pins
from mira_nb.run.lock import locked
from mira_nb.run.pack import MARK, open_pack, pack_run
from mira_nb.run.pipeline import RunRequest, run_pipeline
from mira_nb.run.store import RunStore
from mira_nb.run.wheel import build_wheel

sys.path.insert(0, str(Path(__file__).parent))
import fakes
from test_pipeline import request_

from tests.messages import refused

__all__ = ["request_"]


def test_a_run_comes_back_whole_and_goes_on_elsewhere(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    (request_.out / "explorer").mkdir()
    (request_.out / "explorer" / "selections.csv").write_text("cell,selection\nc1,A\n")
    (request_.out / "history" / "0001").mkdir(parents=True)
    file = pack_run(request_.out, tmp_path / "share" / "mine.zip", inputs=True)
    names = {name.partition("/")[2] for name in zipfile.ZipFile(file).namelist()}
    assert {"run.json", "report.html", "results.h5mu", "cache/input.h5mu", "explorer/selections.csv"} <= names
    assert {"inputs/rna.h5ad", "inputs/atac.h5ad", "stages/joint/slots.h5"} <= names
    assert not [name for name in names if name.startswith(("history", ".progress")) or "hashes" in name]
    folder = open_pack(file)
    assert folder == tmp_path / "share" / "mine"
    for path in (request_.out / "stages").rglob("*"):
        if path.is_file():
            assert (folder / path.relative_to(request_.out)).read_bytes() == path.read_bytes()
    # the files of the first machine are gone, and what is unpacked is complete and up to date
    (tmp_path / "rna.h5ad").unlink()
    spec = request_.spec.from_json(RunStore(folder).read_record()["input_spec"])
    assert spec.rna == folder.resolve() / "inputs" / "rna.h5ad"
    fakes.RUNS.clear()
    assert run_pipeline(replace(request_, out=folder, spec=spec)).computed == ()
    # opening again takes the folder that is there, with what was done in it
    (folder / "note.txt").write_text("mine")
    assert open_pack(file) == folder
    assert (folder / "note.txt").exists()


def test_without_inputs_no_folder_of_this_machine_is_told(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    file = pack_run(request_.out, tmp_path / "mine.zip")
    archive = zipfile.ZipFile(file)
    record = json.loads(archive.read("out/run.json"))
    assert record["input_spec"]["rna"] == "inputs/rna.h5ad"
    assert str(tmp_path) not in json.dumps([record["input_spec"], record["resource_paths"]])
    (tmp_path / "rna.h5ad").unlink()
    with refused("run.pack_inputs_missing", InputError):
        pack_run(request_.out, tmp_path / "other.zip", inputs=True)
    assert not list(tmp_path.glob("*other*"))


def test_what_is_not_a_finished_run_is_not_packed(request_: RunRequest, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        pack_run(tmp_path, tmp_path / "a.zip")
    run_pipeline(request_)
    with refused("run.pack_name", ParameterError):
        pack_run(request_.out, tmp_path / "a.tar")
    with locked(request_.out), refused("run.folder_in_use", StoreError):
        pack_run(request_.out, tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "out/../../evil.txt", "out\\..\\evil.txt", "other/x"])
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "bad.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"out/{MARK}", '{"format": 1}')
        archive.writestr("out/run.json", "{}")
        archive.writestr(name, "x")
    with pytest.raises(InputError) as caught:
        open_pack(file)
    assert caught.value.code in {"run.pack_leads_out", "run.pack_no_run"}
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


@pytest.mark.parametrize("mark", [b"{format: 1}", b"", b"\xff\xfe\x00"])
def test_a_mark_that_is_no_json_is_refused_in_one_message(tmp_path: Path, mark: bytes) -> None:
    file = tmp_path / "bad.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"out/{MARK}", mark)
        archive.writestr("out/run.json", "{}")
    with refused("run.pack_damaged", InputError, mark=MARK) as caught:
        open_pack(file)
    assert caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_links_newer_formats_and_damaged_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.zip"
    for head, extra, said in (('{"format": 2}', 0, "format"), ('{"format": 1}', 0o120777 << 16, "leads_out")):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"out/{MARK}", head)
            archive.writestr("out/run.json", "{}")
            info = zipfile.ZipInfo("out/link")
            info.external_attr = extra
            archive.writestr(info, "/etc")
        with refused(f"run.pack_{said}", InputError):
            open_pack(file)
    file.write_bytes(file.read_bytes()[:60])
    with refused("run.pack_no_zip", InputError):
        open_pack(file)


def test_a_folder_that_holds_something_else_stays(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(request_)
    file = pack_run(request_.out, tmp_path / "mine.zip")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with refused("run.pack_target_taken", ParameterError):
        open_pack(file)
    assert (tmp_path / "mine" / "thesis.tex").exists()
    assert open_pack(file, tmp_path / "other") == tmp_path / "other"


def test_a_repository_for_binder(request_: RunRequest, tmp_path: Path) -> None:
    run_pipeline(replace(request_, title="Cells *of* mine"))
    folder, notes = pack_binder(request_.out, tmp_path / "repository")
    assert notes == []
    assert r"# Cells \*of\* mine" in (folder / "README.md").read_text()
    assert (folder / "run" / "report.html").read_bytes() == (request_.out / "report.html").read_bytes()
    assert len(list((folder / "wheel").glob("*.whl"))) == 1
    for name in ("postBuild", "start"):
        assert os.access(folder / "binder" / name, os.X_OK)
        assert "$" + "{" not in (folder / "binder" / "environment.yml").read_text()
        subprocess.run(["bash", "-n", str(folder / "binder" / name)], check=True)
    shown = subprocess.run(
        [str(folder / "binder" / "start"), "bash", "-c", "echo $MIRA_NB_RUN"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()) == folder / "run"
    pack_binder(request_.out, folder)  # over an earlier one
    with pytest.raises(ParameterError, match="something else"):
        pack_binder(request_.out, tmp_path)


def test_pins_are_those_of_the_lock() -> None:
    """Every pinned package is one that the tests run with; torch comes from conda-forge."""
    lock = Path(__file__).resolve().parents[2] / "requirements" / "run.lock"
    locked_names = {
        line.partition("==")[0].lower().replace("_", "-").replace(".", "-") for line in lock.read_text().splitlines()
    }
    found = {line.partition("==")[0] for line in pins().splitlines()}
    assert {"numpy", "voila", "jupyter-server", "anndata", "moods-python", "webcolors"} <= found
    assert not found & {"torch", "mira-nb", "pytest", "ruff"}
    assert len(found - locked_names) <= 5  # backports that another Python version needs


def test_the_wheel_is_installed_by_pip(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target), str(wheel)],
        check=True,
    )
    code = "import mira_nb; from mira_nb.run.notebooks import dashboard_notebook as d; print(mira_nb.__file__, d())"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert all(Path(path).is_relative_to(target) for path in shown)
    assert (target / "mira_nb" / "templates" / "joint.ipynb").exists()
    assert (target / "share" / "jupyter" / "voila" / "templates" / "mira_nb").is_dir()
