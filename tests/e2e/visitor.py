"""A served dashboard, and a browser that reaches nothing but this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mira_nb.panels.job import JobController, end_processes

PAGE_SECONDS = 240_000
"""Milliseconds within which a page is there, on a machine that does other things too."""
STAGE_SECONDS = 600_000
"""Milliseconds within which a stage of the small data has run."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a run folder, or a folder of runs, and yield its address; what still computes at the end is ended."""
    command = [sys.executable, "-m", "mira_nb", "dashboard", str(folder), "--no-browser"]
    with (folder.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "TZ": "UTC"})
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        end_processes(process.pid)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
        for run in (folder, *(path for path in folder.iterdir() if path.is_dir())):
            jobs = JobController(run)
            if jobs.folder.locked():
                end_processes(int(jobs.folder.read()["pid"]))


class Visitor:
    """A browser page that reaches loopback only, and what it and the pages it opened asked for and complained about.

    Parameters
    ----------
    chromium
        The browser.
    """

    def __init__(self, chromium: Any) -> None:
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.context = chromium.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
        self.context.route("**/*", self._route)
        self.context.on("page", self._listen)
        self.context.on("response", self._answered)
        self.page = self.context.new_page()
        self.context.set_default_timeout(PAGE_SECONDS)

    def _listen(self, page: Any) -> None:
        page.on("console", lambda item: self.errors.append(item.text) if item.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.request.method} {response.url}: {response.status}")

    def _route(self, route: Any) -> None:
        if route.request.url.startswith(("http://127.0.0.1:", "blob:", "data:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def open(self, address: str, *, shows: str = ".mn-nav button") -> Any:
        """Go to a page and wait until it shows something."""
        self.page.goto(address, timeout=PAGE_SECONDS)
        self.page.wait_for_selector(shows, timeout=PAGE_SECONDS)
        return self.page

    @contextmanager
    def told(self) -> Iterator[None]:
        """Print what the page shows when something on it is not as expected."""
        try:
            yield
        except BaseException:
            print(self.page.inner_text("body"), self.errors, sep="\n")
            raise

    def violations(self, page: Any, context: str) -> list[Any]:
        """Return what axe finds in a part of a page: rule and the first nodes of each violation."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(page, context=context).response["violations"]
        return [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in found]
