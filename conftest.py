"""Settings of every test run, of tests and of templates."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
_TMP = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this test run a temporary folder of its own, which kernels and commands started by tests inherit.

    Demonstrations of the templates are kept in the temporary folder; those of another version of the code must not
    be found here.
    """
    own = tempfile.mkdtemp(prefix="mira_nb-tests-")
    config.stash[_TMP] = own
    os.environ["TMPDIR"] = own
    tempfile.tempdir = own
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the temporary folder."""
    own = config.stash.get(_TMP, None)
    if own is not None:
        tempfile.tempdir = None
        shutil.rmtree(own, ignore_errors=True)
