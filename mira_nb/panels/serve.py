"""Serve the dashboard of a run folder, or of a folder of runs, with Voila: by default to this machine only."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import ParameterError
from mira_nb.run.notebooks import dashboard_notebook

from .state import ROOT_VARIABLE, RUN_VARIABLE

LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})
"""Addresses that stand for all of a machine."""
TEMPLATE: Final = "mira_nb"
OUTPUT_SECONDS: Final = 60
"""Time in which a cell's outputs must arrive after it has ended; 4 s is what Voila waits otherwise."""
TOKEN_VARIABLE: Final = "MIRA_NB_TOKEN"


def serve(
    folder: Path,
    *,
    port: int | None = None,
    host: str = LOOPBACK,
    root: Path | None = None,
    open_browser: bool = True,
    names: Sequence[str] = (),
) -> None:
    """Serve the dashboard until the process is ended.

    The address, with the token without which nothing is answered, is printed on stderr when the server listens, and
    alone on stdout where that is not a terminal. The environment variable MIRA_NB_TOKEN sets the token.

    Parameters
    ----------
    folder
        Folder of a run, or one below which runs lie: then the page starts with the list of them.
    port
        Port; None takes a free one.
    host
        Address to listen on. A name or an address of another machine's view also makes the server answer to it.
    root
        Folder whose files the start page offers and below which runs lie; None: `folder`, or that of the run.
    open_browser
        Open the page in the default browser.
    names
        Names by which a reverse proxy addresses the server.

    Raises
    ------
    ParameterError
        When the port is taken or a folder is none.
    """
    for name, path in (("DIR", folder), ("--root", root or folder)):
        if not Path(path).is_dir():
            raise ParameterError(f"{name} {path} is not a folder", expected="a run folder, or a folder to keep runs in")
    port = free_port() if port is None else _checked(port, host)
    os.environ.update(environment(folder, root))
    token = os.environ.pop(TOKEN_VARIABLE, "") or secrets.token_hex(24)
    from .server import DashboardServer, Guard

    cookie = f"mira-nb-{port}"
    server = DashboardServer.instance()
    server.guard = Guard(token, cookie, names if host in EVERYWHERE else (host, *names))
    server.announce = partial(announce, folder, token, server, open_browser=open_browser)
    signed_in = [f"--IdentityProvider.cookie_name={cookie}", "--IdentityProvider.cookie_options=samesite=Strict"]
    server.initialize([*arguments(port, host=host), *signed_in])
    server.token = token
    server.start()


def announce(folder: Path, token: str, server: Any, *, open_browser: bool) -> None:
    """Print the address of a server that listens, and open it."""
    shown = server.ip if server.ip not in EVERYWHERE else socket.gethostname()
    if server.ip in EVERYWHERE:
        server.guard.hosts |= {shown.lower(), socket.getfqdn().lower()}
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{server.port}/?token={token}"
    sys.stderr.write(f"The dashboard of {folder} is at {address} (Ctrl-C ends it)\n")
    sys.stderr.flush()
    if not sys.stdout.isatty():
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
    if open_browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def arguments(port: int, *, host: str = LOOPBACK) -> list[str]:
    """Return the command line of Voila: our template, one kernel ready in advance, private sockets, no files served."""
    return [
        str(dashboard_notebook()),
        f"--port={port}",
        "--Voila.port_retries=0",
        f"--Voila.ip={host}",
        f"--template={TEMPLATE}",
        "--preheat_kernel=True",
        "--pool_size=1",
        "--VoilaConfiguration.file_allowlist=^$",
        # on a busy machine outputs come late; a page whose outputs are given up shows "Loading widget..." for good
        f"--VoilaExecutor.iopub_timeout={OUTPUT_SECONDS}",
        "--Voila.log_level=WARN",
        # figures, maps and forms are messages; those above Jupyter's rate (3 MB in 3 s) would be dropped in silence
        "--ZMQChannelsWebsocketConnection.limit_rate=False",
        "--KernelManager.transport=ipc",
        "--no-browser",
    ]


def environment(folder: Path | None, root: Path | None = None) -> dict[str, str]:
    """Return the variables that the server and the pages' kernels need."""
    package = Path(__file__).resolve().parents[2]
    out = {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PATH": _extended("JUPYTER_PATH", package / "share" / "jupyter"),
        "PYTHONPATH": _extended("PYTHONPATH", package),
    }
    if folder is not None:
        path = Path(folder).resolve()
        is_run = (path / "run.json").exists()
        out[RUN_VARIABLE] = str(path) if is_run else ""
        out[ROOT_VARIABLE] = str(Path(root).resolve() if root else path.parent if is_run else path)
    return out


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _checked(port: int, host: str) -> int:
    if not 0 < port < 65536:
        raise ParameterError(f"--port {port} is not a port", expected="a number from 1 to 65535")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ParameterError(
                f"--port {port} of --host {host} cannot be used ({error.strerror})",
                remedy="leave --port away to take a free one",
            ) from None
    return port


def _extended(variable: str, folder: Path) -> str:
    """Return the value of a path variable with `folder` in front, if that folder is there."""
    old = [item for item in os.environ.get(variable, "").split(os.pathsep) if item]
    return os.pathsep.join(dict.fromkeys([*([str(folder)] if folder.is_dir() else []), *old]))
