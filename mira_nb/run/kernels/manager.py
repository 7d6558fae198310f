"""How nbclient gets the kernel of a stage: forked from the server where that is possible, else a process of its own.

In both cases the kernel runs this very Python, whatever kernel specifications Jupyter finds elsewhere.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from mira_nb.errors import StageError
from mira_nb.run.messages import refusal

LAUNCHER = "ipykernel_launcher"
"""Module that a kernel's command starts."""


class KernelServer:
    """The process from which kernels are forked; it loads the libraries while the caller goes on."""

    def __init__(self) -> None:
        answers, written = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mira_nb.run.kernels.server", str(written)],
            stdin=subprocess.PIPE,
            pass_fds=(written,),
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": _import_path()},
            start_new_session=True,
        )
        os.close(written)
        self._answers = os.fdopen(answers, "rb")
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises
        ------
        StageError
            When the process has ended.
        """
        with self._lock:
            try:
                if self._process.stdin is None:
                    raise OSError("it has no input")
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                line = self._answers.readline()
            except OSError:
                line = b""
        if not line:
            raise refusal(StageError, "kernel_server_ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise refusal(StageError, "kernel_not_started", reason=answer["error"])
        return answer

    def close(self) -> None:
        """End the process and every kernel it has forked."""
        with self._lock, suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:  # it still loads libraries; kernels end by themselves without their parent
            self._process.kill()
            self._process.wait()
        self._answers.close()


def _import_path() -> str:
    """Return PYTHONPATH for the server: what this process imports from, without the working folder."""
    return os.pathsep.join(path for path in sys.path if path and Path(path).is_absolute())


class ForkedProcess:
    """What jupyter_client uses of :class:`subprocess.Popen`, for a kernel that the server has forked."""

    stdin = stdout = stderr = None

    def __init__(self, server: KernelServer, pid: int) -> None:
        self.server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while the kernel runs."""
        if self.returncode is None:
            try:
                status = self.server.ask({"do": "poll", "pid": self.pid})["status"]
            except StageError:  # a server that ends takes its kernels with it
                status = -int(signal.SIGKILL)
            self.returncode = None if status is None else int(status)
        return self.returncode

    def wait(self) -> int:
        """Wait for the kernel to end."""
        while True:
            status = self.poll()
            if status is not None:
                return status
            select.select([], [], [], 0.02)

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel."""
        self.send_signal(signal.SIGKILL)


class ForkingProvisioner(LocalProvisioner):
    """Launch a kernel by a fork of the server."""

    def __init__(self, server: KernelServer, **traits: Any) -> None:
        super().__init__(**traits)
        self.server = server

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Fork the kernel that `cmd` describes."""
        pid = self.server.ask(
            {
                "do": "spawn",
                "command": _module_and_arguments(cmd),
                "env": kwargs.get("env") or dict(os.environ),
                "cwd": str(kwargs.get("cwd") or ""),
            }
        )["pid"]
        self.process = ForkedProcess(self.server, pid)
        self.pid = self.pgid = pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


def _module_and_arguments(command: Sequence[str]) -> tuple[str, list[str]]:
    """Split ``python ... -m MODULE ARGUMENTS`` into module and arguments."""
    place = list(command).index("-m")
    return command[place + 1], list(command[place + 2 :])


class StageKernelManager(AsyncKernelManager):
    """Manager of the kernel of one stage."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel of the running Python."""
        return KernelSpec(
            argv=[
                sys.executable,
                "-P",
                "-m",
                LAUNCHER,
                "-f",
                "{connection_file}",
                "--InteractiveShellApp.ignore_cwd=True",
            ],
            display_name="Python 3",
            language="python",
        )

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        server = running_server()
        if not self.has_kernel and server is not None:
            self.provisioner = ForkingProvisioner(
                server, kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        return await super()._async_pre_start_kernel(**kw)

    async def _async_interrupt_kernel(self) -> None:
        # jupyter_client interrupts a kernel before it asks it to end; one that is just done then says
        # "KeyboardInterrupt caught in kernel" in a run that is well. One that is busy is killed after its time.
        if not self.shutting_down:
            await super()._async_interrupt_kernel()


@dataclass
class _Block:
    """A block in which kernels are forked; the server starts with the first kernel, and anew when it has ended."""

    server: KernelServer | None = None


_block: ContextVar[_Block | None] = ContextVar("kernel_server", default=None)


@contextmanager
def kernel_server() -> Iterator[None]:
    """Fork kernels from one process while the block runs, where the system can fork a process with these libraries.

    On macOS and Windows nothing changes: every kernel is started anew.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    block = _Block()
    token = _block.set(block)
    try:
        yield
    finally:
        _block.reset(token)
        if block.server is not None:
            block.server.close()


def running_server() -> KernelServer | None:
    """Return the server of the block this code runs in, started if need be; None outside of a block."""
    block = _block.get()
    if block is None:
        return None
    if block.server is not None and not block.server.alive:
        block.server.close()
        block.server = None
    if block.server is None:
        block.server = KernelServer()
    return block.server
