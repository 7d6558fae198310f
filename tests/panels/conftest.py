"""Run folders of tiny stages."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mira_nb.panels.job import JobController, end_processes
from mira_nb.run.store import RunStore
from tests.panels import fakes

WORKER = (sys.executable, str(Path(fakes.__file__)))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.open_folder(tmp_path_factory.mktemp("panels")).root


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Iterator[RunStore]:
    """Run folder in which nothing has run, with the tiny stages in place of the real ones."""
    fakes.install()
    shutil.copytree(pristine, tmp_path / "run")
    yield RunStore(tmp_path / "run")
    fakes.restore()


@pytest.fixture
def jobs(store: RunStore) -> Iterator[JobController]:
    """Jobs of that folder; what still runs at the end is ended."""
    controller = JobController(store.root, grace=1.0, command=WORKER)
    yield controller
    if controller.folder.locked():
        end_processes(int((controller.folder.root / "job.pid").read_text()))
