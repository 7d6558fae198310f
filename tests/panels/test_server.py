"""The server under requests that it must answer, and under those that it must refuse."""

from __future__ import annotations

import asyncio
import http.cookiejar
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from mira_nb.errors import StoreError
from mira_nb.panels import server as server_module
from mira_nb.panels.browser_widgets import FigureGallery, TableDeck, inside
from mira_nb.panels.job import end_processes
from mira_nb.panels.server import LEFT_SECONDS, SUBPROTOCOL, UNCONNECTED_SECONDS, KernelSweep


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address that the command printed for an empty folder, its token included."""
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "mira_nb", "dashboard", str(folder), "--no-browser"]
    with (folder.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=dict(os.environ))
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        end_processes(process.pid)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def status(address: str, **headers: str) -> int:
    """Return the status of the answer to a request without cookies."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=named), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def page(address: str) -> tuple[str, http.cookiejar.CookieJar]:
    """The page behind that address, asked for at once without a cookie, and the cookies that came with it."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(address, timeout=60) as answer:
        assert answer.status == 200
        return answer.read().decode(), jar


def test_the_cookie_of_the_printed_address_goes_on(address: str, page: tuple[str, http.cookiejar.CookieJar]) -> None:
    base, _, token = address.partition("?token=")
    text, jar = page
    assert len(token) >= 32
    assert "voila_finish" in text
    assert [cookie.get_nonstandard_attr("samesite") for cookie in jar if cookie.has_nonstandard_attr("HttpOnly")]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(base + "voila/static/voila.js", timeout=30) as answer:
        assert answer.status == 200


def test_requests_that_are_not_the_pages_are_refused(address: str) -> None:
    base, _, token = address.partition("?token=")
    refused = [
        status(base),
        status(f"{base}?token={token[:-1]}x"),
        status(f"{base}voila/static/voila.js"),
        status(f"{base}api/kernels/00000000-0000-0000-0000-000000000000"),
        status(address, Host="attacker.example"),
        status(address, Host="127.0.0.1.attacker.example:80"),
        status(address, Origin="http://attacker.example"),
        status(address, Origin="null"),
        status(base, Cookie=f"{'mira-nb-' + base.rstrip('/').rpartition(':')[2]}=2|1:0|forged"),
    ]
    assert refused == [403] * len(refused)
    assert status(f"{base}voila/static/voila.js", Authorization=f"token {token}") == 200
    assert status(f"{base}voila/files/run.json?token={token}") in {403, 404}


def test_a_websocket_must_speak_the_subprotocol(address: str, page: tuple[str, http.cookiejar.CookieJar]) -> None:
    base, _, token = address.partition("?token=")
    kernel = json.loads(page[0].partition('"kernelId":')[2].partition(",")[0].partition("}")[0])
    url = f"{base.replace('http', 'ws')}api/kernels/{kernel}/channels?session_id=s&token={token}"

    def connect(subprotocols: list[str] | None, **headers: str) -> int:
        async def opened() -> int:
            try:
                request = HTTPRequest(url, headers=headers, connect_timeout=30)
                connection = await websocket_connect(request, subprotocols=subprotocols)
            except HTTPClientError as error:
                return error.code
            connection.close()
            while await connection.read_message() is not None:
                pass
            return 101

        return asyncio.run(opened())

    assert connect([SUBPROTOCOL]) == 101
    assert connect(None) == 403
    assert connect(["v2.something.else"]) == 403
    assert connect([SUBPROTOCOL], Origin="http://attacker.example") == 403


class Manager:
    """Stands in for Voila's kernel manager: names of kernels, their connections, and those that wait in a pool."""

    def __init__(self, **connections: int) -> None:
        self._kernel_connections = connections
        self.states = dict.fromkeys(connections, "idle")
        self._pools: dict[str, list[Any]] = {}

    def list_kernel_ids(self) -> list[str]:
        return list(self._kernel_connections)

    def get_kernel(self, kernel: str) -> Any:
        return SimpleNamespace(execution_state=self.states[kernel])

    async def shutdown_kernel(self, kernel: str) -> None:
        del self._kernel_connections[kernel]


def test_kernels_whose_page_never_connects_are_ended_within_a_minute() -> None:
    async def story() -> None:
        manager, now = Manager(never=0, page=1, warm=0), [0.0]
        waiting: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        waiting.set_result({"kernel_id": "warm"})
        manager._pools["dashboard.ipynb"] = [waiting]
        sweep = KernelSweep(manager, clock=lambda: now[0])
        assert await sweep.run() == []
        now[0] = UNCONNECTED_SECONDS - 1
        assert await sweep.run() == ["never"]
        manager._kernel_connections["page"] = 0  # the page is gone: its kernel is kept for a while
        now[0] = 1000.0
        assert await sweep.run() == []
        now[0] = 1000.0 + LEFT_SECONDS
        assert await sweep.run() == ["page"]
        assert manager.list_kernel_ids() == ["warm"]

    asyncio.run(story())
    assert UNCONNECTED_SECONDS <= 60
    assert server_module.SWEEP_SECONDS < UNCONNECTED_SECONDS


def test_a_kernel_that_computes_its_page_is_not_ended_before_there_is_a_page() -> None:
    async def story() -> None:
        manager, now = Manager(slow=0), [0.0]
        sweep = KernelSweep(manager, clock=lambda: now[0])
        for state in ("starting", "busy"):
            manager.states["slow"] = state
            for _ in range(30):
                now[0] += server_module.SWEEP_SECONDS
                assert await sweep.run() == []
        manager.states["slow"] = "idle"  # the page is sent, and nobody connects
        assert await sweep.run() == []
        now[0] += UNCONNECTED_SECONDS
        assert await sweep.run() == ["slow"]

    asyncio.run(story())


def test_files_are_handed_out_from_the_run_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "own.csv").write_text("a\n2\n")
    assert inside(folder, "own.csv").read_text() == "a\n2\n"
    gallery, deck = FigureGallery(), TableDeck()
    for name in ("../secret.csv", "link.csv", str(tmp_path / "secret.csv")):
        with pytest.raises(StoreError, match="outside of run"):
            inside(folder, name)
        gallery.show(folder, [{"name": "f", "file": name}], key="k")
        with pytest.raises(StoreError):
            gallery.answer("figure", "f")
        deck.show(folder, [{"name": "t", "title": "", "caption": "", "rows": 1, "file": name}], key="k")
        with pytest.raises(StoreError):
            deck.answer("csv", "t")
