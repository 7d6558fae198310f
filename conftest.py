"""Settings of every test run, of tests and of templates."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import embedded

ROOT = Path(__file__).resolve().parent
WEEK = 7 * 24 * 3600.0
WHOLE_RUN = "tests/e2e/test_demo.py"
_TMP = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this test run a temporary folder and a cache of compiled kernels, which all its processes inherit.

    Demonstrations of the templates are kept in the temporary folder; those of another version of the code must not
    be found here. Workers of pytest-xdist use the folder of the process that started them.
    """
    if hasattr(config, "workerinput"):
        return
    own = tempfile.mkdtemp(prefix="mira_nb-tests-")
    config.stash[_TMP] = own
    os.environ["TMPDIR"] = own
    tempfile.tempdir = own
    if os.access(sys.prefix, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache()))
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the temporary folder."""
    own = config.stash.get(_TMP, None)
    if own is not None:
        tempfile.tempdir = None
        shutil.rmtree(own, ignore_errors=True)


def kernel_cache() -> Path:
    """Return the folder of the compiled kernels: one per state of their sources, in the environment.

    numba looks at the file of a kernel only, not at the files of the kernels that it calls; a folder named by the
    content of all of them never holds a stale one. Folders that nobody used for a week are removed.
    """
    content = hashlib.sha256()
    for path in sorted((ROOT / "mira_nb" / "core").rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source:
            content.update(source)
    folder = Path(sys.prefix) / "numba-cache" / content.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()
    for other in folder.parent.iterdir():
        if time.time() - other.stat().st_mtime > WEEK:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that no worker is left with one of them at the end."""
    items.sort(key=_rank)
    config.stash[embedded.WHOLE] = any(item.nodeid.startswith(WHOLE_RUN) for item in items)


def _rank(item: pytest.Item) -> int:
    first = ("tests/e2e/test_truth.py", WHOLE_RUN, "tests/e2e/", "tests/core/topics/", "templates/")
    return next((rank for rank, start in enumerate(first) if item.nodeid.startswith(start)), len(first))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give the templates the run that other tests make anyway."""
    if item.path.suffix == ".ipynb":
        embedded.share_whole_run(item.config)
