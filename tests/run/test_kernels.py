"""Kernels of the stages: forked from one server, of the running Python, and ended with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mira_nb.errors import StageError
from mira_nb.run import notebooks
from mira_nb.run.kernels.manager import KernelServer, kernel_server, running_server
from mira_nb.run.store import RunStore
from tests.messages import refused

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kernels are forked on Linux only")


def _template(folder: Path, *cells: str) -> Path:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "template.ipynb"
    nbformat.write(book, path)
    return path


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch, *cells: str, **values: Any) -> str:
    """Execute the cells as a stage's template and return what they printed."""
    path = _template(folder, "x = 0", *cells)
    monkeypatch.setattr(notebooks, "template_path", lambda stage: path)
    output = folder / "out.ipynb"
    notebooks.execute_template("prepare", output, values, progress_dir=folder / "progress")
    book = nbformat.read(output, as_version=4)
    return "".join(out.get("text", "") for cell in book.cells for out in cell.get("outputs", []))


FACTS = "import os, sys, json\nprint(json.dumps([os.getppid(), sys.executable, os.getcwd(), os.environ.get('MARK')]))"


def test_forked_kernels_are_of_this_python_and_do_not_share_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kernel_server():
        first = _run(tmp_path, monkeypatch, FACTS, "left = 1\nimport builtins\nbuiltins.left = 1")
        server = running_server()
        assert server is not None
        monkeypatch.setenv("MARK", "seen")
        second = _run(tmp_path, monkeypatch, FACTS, "print('left' in dir(__builtins__), x + 1)", x=4)
        pid = server._process.pid
    assert f"[{pid}, " in first
    assert f"[{pid}, " in second
    assert f'"{sys.executable}"' in first
    assert "null" in first
    assert '"seen"' in second  # the environment is that of the run at this moment
    assert second.endswith("False 5\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_outside_of_a_block_a_kernel_is_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert running_server() is None
    assert f"[{os.getpid()}, " in _run(tmp_path, monkeypatch, FACTS)


@pytest.mark.parametrize("forked", [True, False])
def test_a_killed_kernel_fails_its_stage_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked: bool
) -> None:
    def both() -> None:
        with refused("run.stage_process_ended", StageError, stage="prepare"):
            _run(tmp_path, monkeypatch, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
        assert _run(tmp_path, monkeypatch, "print('well')") == "well\n"

    if forked:
        with kernel_server():
            both()
    else:
        both()


def test_a_server_that_was_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_server():
        first = running_server()
        assert first is not None
        os.kill(first._process.pid, signal.SIGKILL)
        first._process.wait()
        with refused("run.kernel_server_ended", StageError):
            first.ask({"do": "poll", "pid": 1})
        assert _run(tmp_path, monkeypatch, "print('well')") == "well\n"


def test_kernels_end_with_the_server() -> None:
    server = KernelServer()
    pid = server.ask({"do": "spawn", "command": ["ipykernel_launcher", []], "env": dict(os.environ), "cwd": ""})["pid"]
    assert server.ask({"do": "poll", "pid": pid})["status"] is None
    server.close()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_forked_stage_lists_the_packages_that_it_used_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_store: Callable[[str], RunStore]
) -> None:
    root = tmp_path / "run"
    shutil.copytree(demo_store("prepare").root, root)
    loaded = "import sys\nprint({'palantir', 'MOODS', 'torch', 'matplotlib'} <= set(sys.modules))"
    with kernel_server():
        deadline = time.monotonic() + 120
        while _run(tmp_path, monkeypatch, loaded) != "True\n":
            assert time.monotonic() < deadline, "the server does not load its libraries"
            time.sleep(0.5)
        shown = _run(
            tmp_path,
            monkeypatch,
            "from mira_nb.run.open_stage import open_stage",
            f"stage = open_stage('prepare', {{'run_dir': {str(root)!r}}})\nstage.run()",
            "import json\nfrom mira_nb.run.provenance import package_versions\nprint(json.dumps(package_versions()))",
        )
    versions = json.loads(shown.splitlines()[-1])
    assert {"anndata", "mudata", "scanpy", "scikit-learn", "umap-learn", "numba"} <= set(versions)
    assert not {"palantir", "MOODS-python", "torch", "gseapy", "optuna"} & set(versions)
