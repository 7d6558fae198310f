"""Messages of the system, and standard streams that are closed."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from mira_nb.cli.terminal import system_message

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
