"""Process from which the kernels of a run are forked: it loads the libraries of all stages once.

Run as ``python -m mira_nb.run.kernels.server``. Requests are lines of JSON on standard input, answers are lines of JSON
on the file descriptor named by the only argument. A kernel is a child of this process; when standard input closes,
because the run has ended or was killed, the kernels are killed and the process ends.

Nothing here may compute: a thread that holds a lock during a fork leaves it locked in the child. Loading the libraries
starts no thread but those of OpenBLAS, which ends and renews them around a fork by itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mira_nb.run.provenance import MODULES
from mira_nb.run.used_packages import ImportRecord, record_imports

LIBRARIES = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "mira_nb.run.open_stage",
    "anndata",
    "mudata",
    "pandas",
    "scipy.sparse.linalg",
    "scipy.stats",
    "numba",
    "sklearn.neighbors",
    "scanpy",
    "umap",
    "altair",
    "jinja2",
    "torch",
    "palantir",
    "leidenalg",
    "MOODS.scan",
    "vl_convert",
    "matplotlib.figure",
)
"""Modules loaded before kernels are forked, in the order in which the stages need them."""


def main(arguments: Sequence[str]) -> None:
    """Load the libraries, answering requests in between, then answer until standard input closes."""
    _Server(int(arguments[0])).serve()


class _Server:
    """Answers requests: ``spawn`` starts a kernel, ``poll`` returns its exit status or None."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.buffer = b""
        self.status: dict[int, int | None] = {}
        self.imports: ImportRecord = record_imports(MODULES)

    def serve(self) -> None:
        """Serve until standard input closes."""
        os.set_blocking(0, False)
        for library in LIBRARIES:
            self._answer_waiting(block=False)
            # a library that is missing or broken is the stage's to report, with its own message
            with suppress(Exception):
                importlib.import_module(library)
        while True:
            self._answer_waiting(block=True)

    def _answer_waiting(self, *, block: bool) -> None:
        """Answer the requests that have come in; with `block`, wait for one."""
        ready, _, _ = select.select([0], [], [], None if block else 0)
        if not ready:
            return
        try:
            received = os.read(0, 1 << 20)
        except BlockingIOError:
            return
        if not received:
            self._end()
        self.buffer += received
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            answer = json.dumps(self._answer(json.loads(line))).encode() + b"\n"
            try:
                os.write(self.answers, answer)
            except BrokenPipeError:  # the run was killed
                self._end()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "spawn":
            try:
                pid = self._spawn(request)
            except OSError as error:
                return {"error": str(error)}
            self.status[pid] = None
            return {"pid": pid}
        return {"status": self._poll(int(request["pid"]))}

    def _poll(self, pid: int) -> int | None:
        """Return the exit status of a kernel (negative: number of the signal that ended it), None while it runs."""
        if self.status.get(pid, -1) is None:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.status[pid] = os.waitstatus_to_exitcode(status)
        return self.status.get(pid, -1)

    def _spawn(self, request: dict[str, Any]) -> int:
        with suppress(AttributeError, OSError, ValueError):  # streams that are closed
            sys.stdout.flush()
            sys.stderr.flush()
        gc.freeze()  # what is loaded is not garbage: the child's collections would copy it page by page
        pid = os.fork()
        if pid:
            with suppress(OSError):  # here and in the child, so that neither has to wait for the other
                os.setpgid(pid, pid)
            return pid
        code = 1
        try:
            self.imports.forked = True
            _become_kernel(request, self.answers)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _end(self) -> None:
        for pid, status in self.status.items():
            if status is None:
                with suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
        os._exit(0)


def _become_kernel(request: dict[str, Any], answers: int) -> None:
    """Turn the forked process into the kernel that the command of the request names; returns when the kernel ends."""
    with suppress(OSError):
        os.setpgid(0, 0)
    os.close(answers)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.environ.clear()
    os.environ.update(request["env"])
    if request["cwd"]:
        os.chdir(request["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, arguments = request["command"]
    sys.argv = [module, *arguments]
    from ipykernel.kernelapp import IPKernelApp

    # the class read its default from the environment when it was loaded, before there was a kernel
    # a stage's errors travel in its notebook; what the kernel would log are sockets that close while a stage is stopped
    quiet = f"--IPKernelApp.log_level={logging.CRITICAL}"
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}", quiet])


if __name__ == "__main__":
    main(sys.argv[1:])
