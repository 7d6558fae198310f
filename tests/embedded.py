"""The whole pipeline on the small embedded data: computed once per test run, for everything that needs a result.

All processes of a test run (workers of pytest-xdist, kernels of the templates, commands) have one temporary folder,
which the root's conftest.py made; whoever comes first computes there under a lock, the others wait and use it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from filelock import FileLock

from mira_nb.report.atlas import Item, Kind
from mira_nb.stages.registry import BUILT_IN
from tests.e2e.commands import mira_nb

WHOLE = pytest.StashKey[bool]()
"""Whether a test of this session needs the whole run anyway."""


@dataclass(frozen=True)
class EmbeddedRun:
    """What ``mira-nb demo --size small`` left.

    Attributes
    ----------
    run
        Its run folder, which belongs to tests/e2e/test_demo.py and is changed by it.
    returncode, stdout, stderr
        What the command returned and printed.
    """

    run: Path
    returncode: int
    stdout: str
    stderr: str


def embedded_run() -> EmbeddedRun:
    """Return the run of the small embedded data; the first call of a test run computes it.

    The folder of :func:`mira_nb.run.demo.demonstration` is filled from it, so that no template computes what comes
    before its stage once more. A run that failed is not tried again.
    """
    from mira_nb.run.demo import demonstration_folder

    root = Path(tempfile.gettempdir()) / "embedded"
    root.mkdir(exist_ok=True)
    run, said = root / "run", root / "command.json"
    with FileLock(root / ".lock"):
        if not said.exists():
            done = mira_nb("demo", "--size", "small", "--out", run)
            if done.returncode == 0:
                copy = demonstration_folder() / "run"
                shutil.copytree(run, copy, dirs_exist_ok=True)
                _point_to(copy, old=run)
            kept = {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
            said.write_text(json.dumps(kept), encoding="utf-8")
    return EmbeddedRun(run, **json.loads(said.read_text(encoding="utf-8")))


def items_made(run: Path) -> set[Item]:
    """Return the figures and tables of a run folder, as the atlas names them."""
    records = {name: json.loads((run / "stages" / name / "stage.json").read_text("utf-8")) for name in BUILT_IN}
    return {
        Item(name, kind, entry["name"])
        for name, record in records.items()
        for kind in get_args(Kind)
        for entry in record[kind]
    }


def _point_to(copy: Path, old: Path) -> None:
    """Let the record of a copy name the data of the copy."""
    record = copy / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace(f"{old}/data/", f"{copy}/data/"), encoding="utf-8")


def share_whole_run(config: pytest.Config) -> None:
    """Fill the demonstration with the whole run if a test of this session needs that run too."""
    if config.stash[WHOLE]:
        embedded_run()
