"""Serve the dashboard of a run folder with Voila, on this machine only."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Final

from mira_nb.errors import ParameterError, StoreError
from mira_nb.run.store import RunStore

from .state import RUN_VARIABLE

LOOPBACK: Final = "127.0.0.1"
TEMPLATE: Final = "mira_nb"


def serve(run_dir: Path, *, port: int | None = None, open_browser: bool = True) -> None:
    """Serve the dashboard until the process is ended.

    Parameters
    ----------
    run_dir
        Folder of a run.
    port
        Port on the loopback interface; None takes a free one.
    open_browser
        Open the page in the default browser.

    Raises
    ------
    ParameterError
        When the port is taken.
    StoreError
        When the folder holds no run.
    """
    if not RunStore(Path(run_dir)).read_record():
        raise StoreError(f"{run_dir} holds no run.json", expected="the --out folder of `mira-nb run`")
    port = free_port() if port is None else _checked(port)
    os.environ.update(environment(run_dir))
    sys.stderr.write(f"The dashboard of {run_dir} is at http://{LOOPBACK}:{port}/ (Ctrl-C ends it)\n")
    sys.stderr.flush()
    from voila.app import Voila

    Voila.launch_instance(argv=arguments(port, open_browser=open_browser))


def arguments(port: int, *, open_browser: bool) -> list[str]:
    """Return the command line of Voila: our template, one kernel ready in advance, no files served."""
    options = [
        str(notebook_path()),
        f"--port={port}",
        f"--Voila.ip={LOOPBACK}",
        f"--template={TEMPLATE}",
        "--preheat_kernel=True",
        "--pool_size=1",
        "--VoilaConfiguration.file_allowlist=^$",
        "--Voila.log_level=WARN",
        # a page that is gone leaves its kernel behind when the browser is killed
        "--MappingKernelManager.cull_idle_timeout=1800",
        "--MappingKernelManager.cull_interval=120",
    ]
    return options if open_browser else [*options, "--no-browser"]


def environment(run_dir: Path | None) -> dict[str, str]:
    """Return the variables that the server and the pages' kernels need."""
    root = Path(__file__).resolve().parents[2]
    out = {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PATH": _extended("JUPYTER_PATH", root / "share" / "jupyter"),
        "PYTHONPATH": _extended("PYTHONPATH", root),
    }
    if run_dir is not None:
        out[RUN_VARIABLE] = str(Path(run_dir).resolve())
    return out


def notebook_path() -> Path:
    """Return the notebook of the dashboard: of the installed package, else of the repository (editable install)."""
    package = Path(__file__).resolve().parents[1]
    candidates = [folder / "notebooks" / "dashboard.ipynb" for folder in (package, package.parent)]
    for path in candidates:
        if path.exists():
            return path
    raise StoreError(f"dashboard.ipynb is not at {' or '.join(map(str, candidates))}", remedy="install mira-nb again")


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _checked(port: int) -> int:
    if not 0 < port < 65536:
        raise ParameterError(f"--port {port} is not a port", expected="a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ParameterError(
                f"--port {port} cannot be used ({error.strerror})", remedy="leave --port away to take a free one"
            ) from None
    return port


def _extended(variable: str, folder: Path) -> str:
    """Return the value of a path variable with `folder` in front, if that folder is there."""
    old = [item for item in os.environ.get(variable, "").split(os.pathsep) if item]
    return os.pathsep.join(dict.fromkeys([*([str(folder)] if folder.is_dir() else []), *old]))
