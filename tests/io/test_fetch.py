from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from mira_nb.errors import OfflineError
from mira_nb.io import fetch as fetching
from mira_nb.io.fetch import Checksum, cache_folder, fetch
from tests.messages import refused

CONTENT = b"motif " * 50_000
SHA = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        n_asked = self.asked.count(self.path)
        if self.path == "/missing.txt":
            return self.send_error(404)
        if self.path == "/busy.txt" or (self.path == "/flaky.txt" and n_asked < 3):
            return self.send_error(503)
        if self.path in {"/away.txt", "/home.txt"}:
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/x" if self.path == "/away.txt" else "/good.txt")
            self.end_headers()
            return None
        if self.path == "/portal.txt":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"  <!DOCTYPE html><title>Log in</title>")
            return None
        if self.path == "/endless.txt":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(200):
                    self.wfile.write(bytes(1 << 20))
            return None
        if self.path == "/trickle.txt":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(400):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            return None
        truncated = self.path == "/truncated.txt" or (self.path == "/once.txt" and n_asked == 1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if truncated else CONTENT)
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked.clear()
    instance = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=instance.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{instance.server_address[1]}"
    instance.shutdown()
    instance.server_close()
    thread.join()


def get(url: str, folder: Path, **options) -> Path:
    return fetch(
        url, alternative="give the file with --motifs.", folder=folder, pause=0.01, **{"checksum": SHA, **options}
    )


def test_downloaded_once_then_cached(server, tmp_path):
    seen: list[float] = []
    path = get(f"{server}/good.txt", tmp_path, progress=lambda fraction, _: seen.append(fraction))
    assert path.read_bytes() == CONTENT
    assert path.name == "good.txt"
    assert seen[-1] == 1.0
    assert get(f"{server}/good.txt", tmp_path) == path
    assert Handler.asked == ["/good.txt"]


def test_downloads_print_nothing(server, tmp_path, capfd):
    get(f"{server}/good.txt", tmp_path)
    get(f"{server}/other.txt", tmp_path, checksum=None)
    assert capfd.readouterr() == ("", "")


def test_damaged_cache_is_replaced(server, tmp_path):
    path = get(f"{server}/good.txt", tmp_path)
    path.write_bytes(b"broken")
    assert get(f"{server}/good.txt", tmp_path).read_bytes() == CONTENT
    assert len(Handler.asked) == 2


@pytest.mark.parametrize(("name", "n_asked"), [("flaky.txt", 3), ("once.txt", 2)])
def test_failures_that_pass(server, tmp_path, name, n_asked):
    assert get(f"{server}/{name}", tmp_path).read_bytes() == CONTENT
    assert len(Handler.asked) == n_asked


@pytest.mark.parametrize(
    ("name", "options", "expected", "n_asked"),
    [
        ("missing.txt", {}, "the server answered 404", 1),
        ("busy.txt", {}, "the server answered 503", 4),
        ("truncated.txt", {"attempts": 2}, "the connection broke", 2),
        ("good.txt", {"checksum": Checksum("sha256", "0" * 64), "attempts": 2}, f"checksum is {SHA.value[:12]}...", 2),
    ],
)
def test_failures_that_stay(server, tmp_path, name, options, expected, n_asked):
    with pytest.raises(OfflineError) as caught:
        get(f"{server}/{name}", tmp_path, **options)
    message = str(caught.value)
    assert expected in message
    assert f"{server}/{name}" in message
    assert "work offline: give the file with --motifs." in message
    assert len(Handler.asked) == n_asked
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_server(tmp_path):
    with pytest.raises(OfflineError, match="no connection"):
        get("http://127.0.0.1:9/x.txt", tmp_path, attempts=2)
    with refused("download_not_https", OfflineError):
        get("nothing://x.txt", tmp_path)


def test_cache_folder_can_be_set(monkeypatch, tmp_path):
    monkeypatch.setenv("MIRA_NB_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MIRA_NB_CACHE")
    assert "mira_nb" in str(cache_folder())


def test_without_a_published_checksum_the_first_download_sets_it(server, tmp_path):
    path = get(f"{server}/good.txt", tmp_path, checksum=None)
    assert get(f"{server}/good.txt", tmp_path, checksum=None) == path
    assert len(Handler.asked) == 1
    path.write_bytes(b"changed on disk")
    assert get(f"{server}/good.txt", tmp_path, checksum=None).read_bytes() == CONTENT
    assert len(Handler.asked) == 2


def test_md5_and_words_that_are_no_checksum(server, tmp_path):
    md5 = Checksum("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())
    assert get(f"{server}/good.txt", tmp_path, checksum=md5).read_bytes() == CONTENT
    with pytest.raises(ValueError, match="not a md5 checksum"):
        Checksum("md5", "0" * 64)


@pytest.mark.parametrize("address", ["http://example.org/a.txt", "ftp://example.org/a", "file:///etc/hosts", "a.txt"])
def test_only_https_or_this_machine(address, tmp_path):
    with refused("download_not_https", OfflineError):
        get(address, tmp_path)


def test_redirects_are_held_to_the_same(server, tmp_path):
    with pytest.raises(OfflineError, match=r"redirects to a plain address.*192\.0\.2\.1"):
        get(f"{server}/away.txt", tmp_path)
    assert get(f"{server}/home.txt", tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["endless.txt", "good.txt"])
def test_a_download_has_a_largest_size(server, tmp_path, name):
    with pytest.raises(OfflineError, match="larger than"):
        get(f"{server}/{name}", tmp_path, checksum=None, largest=100_000)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_download_that_trickles_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_STALLED", 0.5)
    started = time.monotonic()
    with pytest.raises(OfflineError, match="sent less than"):
        get(f"{server}/trickle.txt", tmp_path, checksum=None, attempts=1)
    assert time.monotonic() - started < 15  # the server would go on for 20 seconds
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["%00.txt", "..", "n" * 300, "a%2Fb.txt", ".hidden"])
def test_any_name_of_a_file_can_be_kept(server, tmp_path, name):
    path = get(f"{server}/{name}", tmp_path, checksum=None)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path)
    assert len(path.relative_to(tmp_path).parts) == 2
    assert not path.name.startswith(".")


def test_an_address_that_is_none(tmp_path):
    with pytest.raises(OfflineError, match="not an address"):
        get("https://[::1", tmp_path)


def test_what_stands_in_the_way_is_named(server, tmp_path):
    path = get(f"{server}/good.txt", tmp_path, checksum=None)
    path.unlink()
    path.mkdir()
    with pytest.raises(OfflineError) as caught:
        get(f"{server}/good.txt", tmp_path, checksum=None)
    assert str(path) in str(caught.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OfflineError) as caught:
        get(f"{server}/good.txt", tmp_path / "file", checksum=None)
    assert str(tmp_path / "file") in str(caught.value)


def test_the_page_of_a_captive_portal_is_not_kept(server, tmp_path):
    with pytest.raises(OfflineError, match="web page"):
        get(f"{server}/portal.txt", tmp_path, checksum=None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_wrong_file_that_was_kept_is_named_to_be_deleted(server, tmp_path):
    path = get(f"{server}/good.txt", tmp_path, checksum=None)
    with pytest.raises(OfflineError, match="delete") as caught:
        get(f"{server}/good.txt", tmp_path, checksum=None, check=lambda _: "it holds no motifs")
    assert str(path) in str(caught.value)
    with pytest.raises(OfflineError, match="holds no motifs"):
        get(f"{server}/other.txt", tmp_path, checksum=None, check=lambda _: "it holds no motifs")
