"""Messages of the system, and standard streams that are closed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mira_nb.cli.terminal import quieten_hdf5, system_message

HDF5 = (
    "Unable to extend file properly, errno = 27, error message = 'file too large' (file write failed: time = Thu\n, "
    "filename = 'run/cache/.input.h5mu.tmp', file descriptor = 4, errno = 27, buf = 0x55f2, total write size = 4096)"
)


@pytest.mark.parametrize(
    ("error", "status", "parts"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), 2, ["a.csv", "make space"]),
        (OSError(HDF5), 2, ["run/cache/.input.h5mu.tmp", "File too large", "make space"]),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 2, ["a: Permission denied", "can be written"]),
        (OSError(errno.EIO, "Input/output error", "a"), 1, ["Input/output error"]),
        (OSError("x" * 5000), 1, ["xxx"]),
    ],
)
def test_the_system_refuses_in_one_short_message(error: OSError, status: int, parts: list[str]) -> None:
    message, code = system_message(error)
    assert code == status
    assert len(message) < 500
    assert all(part in message for part in parts)


@pytest.mark.skipif(sys.platform == "win32", reason="streams are closed otherwise")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_stream_is_open_in_child_processes_too(number: int) -> None:
    child = "import os, sys; [os.fstat(n) for n in range(3)]; sys.stderr.flush(); os._exit(7)"
    code = (
        f"import os, subprocess, sys; os.close({number}); from mira_nb.cli.terminal import open_streams; "
        f"open_streams(); os._exit(subprocess.run([sys.executable, '-c', {child!r}]).returncode)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr


def test_files_that_a_full_disk_cut_off_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append(error))
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_value))
    quieten_hdf5()
    cut, other = RuntimeError("Can't decrement id ref count (file write failed: time = Thu)"), RuntimeError("another")
    for error in (cut, other):
        sys.excepthook(type(error), error, None)
        sys.unraisablehook(SimpleNamespace(exc_value=error))
    assert seen == [other, other]


def test_names_of_files_are_utf8_whatever_the_locale() -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "mira_nb", "check", "--rna", "/ä/x.h5ad", "--atac", "/ä/y.h5ad"],
        capture_output=True, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "/ä/x.h5ad" in done.stderr.decode("utf-8")
