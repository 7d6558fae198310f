"""A user's run as Binder opens it: its environment is built from the pins, and the page opened from a copy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest

from mira_nb.run.binder import pack_binder
from mira_nb.run.contents import result_files
from tests.embedded import embedded_run

MEMORY_MB = 2048
"""What mybinder.org gives for certain."""
TOKEN = "as-binder-gives-one"
"""Binder opens its pages with a token; without one the server hands out no file to a page that nobody linked to."""


def built(folder: Path) -> Path:
    """Build the pip part of a repository's environment: its pins, torch in the place of conda's, its own wheel."""
    place = os.environ.get("MIRA_NB_ACCEPTANCE_DIR")
    venv = (Path(place) if place else folder.parent) / "binder"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "-q"]
    torch = f"torch=={metadata.version('torch').partition('+')[0]}"
    subprocess.run([*install, torch, "-r", str(folder / "binder" / "pins.txt")], check=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    subprocess.run([*install, "--no-deps", "--force-reinstall", str(wheel)], check=True)
    return python


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    pack_binder(embedded_run().run, tmp_path / "first")
    python = built(tmp_path / "first")
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "first", copy)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--port={port}", "--no-browser", "--allow-root", f"--IdentityProvider.token={TOKEN}"]
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "JUPYTER_PATH"}}
    process = subprocess.Popen(
        [str(copy / "binder" / "start"), str(python), "-m", "jupyter", "server", *options],
        cwd=copy, env={**kept, "PATH": f"{python.parent}:{kept['PATH']}"},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended; what it said stands above"
                time.sleep(0.5)
        yield address, psutil.Process(process.pid)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


@pytest.mark.e2e
@pytest.mark.browser
@pytest.mark.acceptance
@pytest.mark.timeout(2400)
def test_binder_opens_dashboard_and_report_of_a_run(server: tuple[str, psutil.Process], chromium: Any) -> None:
    address, process = server
    page = chromium.new_page()
    started = time.monotonic()
    page.goto(f"{address}/voila/render/dashboard.ipynb?token={TOKEN}", timeout=120_000)
    page.wait_for_selector("text=Simulated differentiation", timeout=120_000)
    page.wait_for_selector("nav.mn-nav button", timeout=60_000)
    assert time.monotonic() - started < 60
    resident = sum(item.memory_info().rss for item in (process, *process.children(recursive=True))) / 1e6
    assert resident < MEMORY_MB
    page.goto(f"{address}/files/run/report.html?token={TOKEN}")
    page.wait_for_selector("h1:has-text('Simulated differentiation')")
    page.close()
    assert "results.h5mu" in dict(result_files(embedded_run().run))
