"""Start, watch and stop the worker process of a run folder.

Everything a page must know stands in the run folder (``.progress/job.json``, ``job.log`` and the stages' progress
files), so that a reloaded page, or a second one, sees the same job. The lock file ``.progress/job.lock`` is held by
the worker as long as it lives: a job that calls itself running while the lock is free has died.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal

from mira_nb.errors import MiraError
from mira_nb.run.files import write_json
from mira_nb.run.progress import read_progress

Status = Literal["idle", "starting", "running", "stopping", "done", "failed", "cancelled", "lost"]
ACTIVE: Final = frozenset({"starting", "running", "stopping"})
GRACE_SECONDS: Final = 20.0
"""How long a stage may take to notice a request to stop before its process is ended."""
EXIT_SECONDS: Final = 20.0
"""How long a worker whose job has ended may take to exit, on a machine that does other things too."""
LOG_LINES: Final = 200
KERNEL_NOISE: Final = "[IPKernelApp] WARNING | Kernel is running over TCP"
"""Printed by every kernel on loopback; it says nothing about the stage."""
WORKER_COMMAND: Final = (sys.executable, "-m", "mira_nb.panels.worker")


class BusyError(MiraError):
    """Raised when a stage is already being computed in this run folder."""


@dataclass(frozen=True)
class JobRequest:
    """Task of the worker.

    Attributes
    ----------
    stage
        The stage asked for; empty: the whole analysis.
    upto
        Run everything before it too, where it is not up to date.
    force
        Compute the stage even if nothing changed (only without `upto`).
    parameters
        Plain values by stage and name.
    renew
        Stages to bring up to date after it (only without `upto`).
    new
        For a run that does not exist yet: ``spec`` and ``resources`` as run.json keeps them, ``title``, ``seed``.
    """

    stage: str
    upto: bool = False
    force: bool = False
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    renew: tuple[str, ...] = ()
    new: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobState:
    """State of the latest job; times in seconds, ``remaining`` -1 when it is unknown.

    Attributes
    ----------
    fraction
        Of the stage that is computed.
    overall
        Of the whole job, which only grows.
    phase
        ``loading``, ``computing`` or ``saving``.
    step, steps
        Number of the stage among those that the job computes, and how many these are.
    """

    status: Status = "idle"
    id: str = ""
    stage: str = ""
    upto: bool = False
    current: str = ""
    fraction: float = 0.0
    overall: float = 0.0
    phase: str = "loading"
    step: int = 0
    steps: int = 0
    message: str = ""
    elapsed: float = 0.0
    remaining: float = -1.0
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the worker is running."""
        return self.status in ACTIVE


class JobFolder:
    """Paths and files that the pages and the worker share."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = Path(run_dir)
        self.root = self.run_dir / ".progress"
        self.state = self.root / "job.json"
        self.request = self.root / "job.request.json"
        self.cancel = self.root / "job.cancel"
        self.log = self.root / "job.log"
        self.lock = self.root / "job.lock"

    def read(self) -> dict[str, Any]:
        """Return the content of job.json (empty before the first job)."""
        try:
            state: dict[str, Any] = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return state

    def locked(self) -> bool:
        """Return whether a worker is alive."""
        if not self.lock.exists():
            return False
        with self.lock.open("r") as stream:
            return not _try_lock(stream, fcntl.LOCK_SH)

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """Return the last lines of the log."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - 64_000))
                text = stream.read().decode(errors="replace")
        except OSError:
            return ""
        kept = [line for line in text.splitlines() if not line.startswith(KERNEL_NOISE)]
        return "\n".join(kept[-lines:])


def _try_lock(stream: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class JobController:
    """The jobs of one run folder, one at a time.

    Parameters
    ----------
    run_dir
        The run folder.
    grace
        Seconds between a request to stop and ending the process.
    command
        The worker's command; the run folder is added to it.
    """

    def __init__(self, run_dir: Path, *, grace: float = GRACE_SECONDS, command: Sequence[str] = WORKER_COMMAND) -> None:
        self.folder = JobFolder(run_dir)
        self.grace = grace
        self.command = tuple(command)

    def start(self, request: JobRequest) -> str:
        """Start the worker and return the job's id at once.

        Raises
        ------
        BusyError
            When a job is running in this folder already.
        """
        folder = self.folder
        folder.root.mkdir(parents=True, exist_ok=True)
        with folder.lock.open("a") as lock:
            if not self._take(lock):
                running = self.state()
                raise BusyError(
                    f"stage {running.current or running.stage or '(unknown)'} is being computed in this run folder",
                    remedy="wait for it to end, or stop it first",
                )
            job = uuid.uuid4().hex[:12]
            folder.cancel.unlink(missing_ok=True)
            values = {"stage": request.stage, "upto": request.upto, "force": request.force}
            parameters = {name: dict(values) for name, values in request.parameters.items()}
            more = {"renew": list(request.renew), "new": dict(request.new), "grace": self.grace}
            write_json(folder.request, {"id": job, **values, "parameters": parameters, **more})
            state = {"id": job, **values, "status": "starting", "started": time.time(), "pid": None}
            write_json(folder.state, state)
            with folder.log.open("wb") as log:
                process = subprocess.Popen(
                    [*self.command, str(folder.run_dir)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,
                    env=_environment(),
                )
            write_json(folder.root / "job.pid", process.pid)
        _reap(process)
        return job

    def _take(self, lock: IO[str]) -> bool:
        """Take the lock; retry, because pages that read the state hold it, and so does a worker until it exits."""
        until = time.time() + EXIT_SECONDS
        while time.time() < until:
            if _try_lock(lock, fcntl.LOCK_EX):
                return True
            if self.folder.read().get("status") in ACTIVE:
                return False
            time.sleep(0.05)
        return False

    def state(self) -> JobState:
        """Return the state of the latest job."""
        # the lock first: a job that ends in between is then read as ended
        alive = self.folder.locked()
        raw = self.folder.read()
        if not raw:
            return JobState()
        status: Status = raw["status"]
        if status in ACTIVE and not alive:
            raw = self.folder.read()
            status = raw["status"] if raw["status"] not in ACTIVE else "lost"
        if status in {"starting", "running"} and self.folder.cancel.exists():
            status = "stopping"
        current = str(raw.get("current", ""))
        ended = raw.get("ended") or time.time()
        progress = read_progress(self.folder.root, current) if current and status in ACTIVE else None
        error = raw.get("error") or {}
        if status == "lost":
            error = {"type": "Lost", "message": "the worker process ended without a word (killed, or out of memory)"}
        return JobState(
            status=status,
            id=str(raw["id"]),
            stage=str(raw["stage"]),
            upto=bool(raw["upto"]),
            current=current,
            fraction=float(progress["fraction"]) if progress else 0.0,
            message=str(progress["message"]) if progress else str(raw.get("message", "")),
            elapsed=float(ended) - float(raw["started"]),
            overall=float(raw.get("overall", 0.0)),
            phase=str(raw.get("phase", "loading")),
            step=int(raw.get("step", 0)),
            steps=int(raw.get("steps", 0)),
            remaining=float(raw.get("remaining", -1.0)),
            error=error,
        )

    def cancel(self) -> None:
        """Ask the worker to stop: it asks its stage first, and ends the stage's process after the grace time."""
        if self.state().active:
            write_json(self.folder.cancel, {"time": time.time()})

    def enforce(self) -> None:
        """Terminate a worker that did not stop by itself long after it was asked to (called by every open page)."""
        try:
            asked = float(json.loads(self.folder.cancel.read_text())["time"])
            pid = int(json.loads((self.folder.root / "job.pid").read_text()))
        except (OSError, ValueError, KeyError):
            return
        if time.time() - asked > self.grace + 15 and self.folder.locked():
            end_processes(pid)

    def wait(self, timeout: float, *, poll: float = 0.1) -> JobState:
        """Wait for the running job to end (for scripts and tests; a page never waits)."""
        until = time.time() + timeout
        while time.time() < until:
            state = self.state()
            if not state.active:
                return state
            time.sleep(poll)
        return self.state()


def end_processes(pid: int, *, itself: bool = True, patience: float = 3.0) -> None:
    """Terminate a process with all its children, and kill what is left after `patience` seconds."""
    import psutil

    try:
        parent = psutil.Process(pid)
        family = parent.children(recursive=True) + ([parent] if itself else [])
    except psutil.NoSuchProcess:
        return
    for send in ("terminate", "kill"):
        for process in family:
            try:
                getattr(process, send)()
            except psutil.NoSuchProcess:
                continue
        _, family = psutil.wait_procs(family, timeout=patience)
        if not family:
            return


def _environment() -> dict[str, str]:
    """Return the environment of the worker: this package importable, variables of the page's own kernel removed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VOILA_", "JPY_"))}
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    env["PYTHONUNBUFFERED"] = "1"
    return env


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Collect the worker's exit status in a thread, so that no zombie stays."""
    import threading

    threading.Thread(target=process.wait, daemon=True).start()
