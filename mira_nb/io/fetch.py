"""Download of resource files: cache, checksum, retries, and an error that names the offline alternative."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urljoin, urlsplit

from mira_nb.errors import OfflineError
from mira_nb.typing import Progress

from .messages import refusal

LARGEST: Final = 4 << 30
"""Bytes of the largest download; the packed genomes of vertebrates have about 1e9."""
_BLOCK: Final = 1 << 16
_STALLED: Final = 60.0
"""Seconds after which a download is given up that has not got one more block: about 1 kB a second."""
_TIMEOUT: Final = (10.0, 60.0)
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Checksum:
    """Checksum of a file: the algorithm and the lower-case hexadecimal digits.

    Raises
    ------
    ValueError
        When the digits are not a checksum of this algorithm.
    """

    algorithm: Literal["sha256", "md5"]
    value: str

    def __post_init__(self) -> None:
        """Validate length and digits."""
        length = hashlib.new(self.algorithm, usedforsecurity=False).digest_size * 2
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", self.value):
            raise ValueError(f"{self.value!r} is not a {self.algorithm} checksum")

    def of(self, path: Path) -> str:
        """Compute the checksum of a file by the same algorithm, block by block."""
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


class _Passing(Exception):
    """A transient failure: no connection, a truncated answer, an overloaded server."""


class _Final(Exception):
    """A permanent failure, such as an address without a file."""


def cache_folder() -> Path:
    """Return the folder of downloaded files: ``MIRA_NB_CACHE``, else the user's cache folder."""
    from platformdirs import user_cache_path

    own = os.environ.get("MIRA_NB_CACHE")
    return Path(own) if own else user_cache_path("mira_nb", appauthor=False)


def fetch(
    url: str,
    *,
    checksum: Checksum | None,
    alternative: str,
    folder: Path | None = None,
    attempts: int = 4,
    pause: float = 1.0,
    progress: Progress | None = None,
    largest: int = LARGEST,
    check: Callable[[Path], str] | None = None,
) -> Path:
    """Return the local copy of a file; download it when it is not cached yet.

    Parameters
    ----------
    url
        Address of the file.
    checksum
        A file with another checksum is never returned. None where the source publishes none: the checksum of the
        first complete download is then kept beside the file, and the cached file must match it.
    alternative
        What to do without network, for the message, e.g. ``give the file with --genome``.
    folder
        Cache; default :func:`cache_folder`.
    attempts
        Number of attempts when a failure is transient.
    pause
        Seconds before the second attempt; doubled each time.
    progress
        Called with a fraction (0 when the size is unknown) and a message.

    largest
        Largest size in bytes; a download that goes beyond it is given up.
    check
        Looks at a complete download before it is kept and returns what is wrong with it ('' for nothing).

    Raises
    ------
    OfflineError
        When the file cannot be downloaded or is not what was asked for; names the address, the reason and the
        alternative.
    """
    refuse_plain_http(url)
    name = _file_name(url)
    place = checksum.value if checksum else hashlib.sha256(url.encode("utf-8")).hexdigest()
    target = (folder or cache_folder()) / place[:12] / name
    known = checksum or _kept_checksum(target)
    if target.is_file() and known is not None and known.of(target) == known.value:
        problem = check(target) if check is not None else ""
        if problem:
            raise refusal(
                OfflineError, "download_damaged", target=target, url=url, problem=problem, alternative=alternative
            )
        return target
    reason = "no attempt was made"
    for attempt in range(max(1, attempts)):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return _download(url, _Source(target, checksum is None, progress, largest, check), checksum)
        except _Passing as error:
            reason = f"{error} (attempt {attempt + 1})"
        except _Final as error:
            reason = str(error)
            break
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            reason = f"{error.filename2 or error.filename or target} is in the way ({error.strerror}); delete it"
            break
    raise refusal(OfflineError, "download_failed", url=url, reason=reason, alternative=alternative)


def _file_name(url: str) -> str:
    """Return the name under which a download is kept: the address's last part, in characters that any disk takes."""
    name = re.sub(r"[^\w.+~-]", "_", Path(unquote(urlsplit(url).path)).name, flags=re.ASCII)
    return name[-100:].lstrip(".") or "download"


def _sidecar(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _kept_checksum(target: Path) -> Checksum | None:
    """Return the checksum that was kept beside an earlier download, if any."""
    try:
        return Checksum("sha256", _sidecar(target).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def refuse_plain_http(url: str) -> None:
    """Refuse an address whose content anyone on the way could change: only https, or http of this machine.

    Raises
    ------
    OfflineError
        For another scheme.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket that is not closed
        raise refusal(OfflineError, "address_unreadable", url=url) from None
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return
    raise refusal(OfflineError, "download_not_https", url=url, scheme=parts.scheme or "nothing")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def looks_like_a_page(path: Path) -> str:
    """Return that a download is a web page, as a login page of a network gives for any address; '' when it is not."""
    with path.open("rb") as handle:
        head = handle.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "it is a web page, perhaps the login page of the network"
    return "" if head else "it is empty"


def _download(url: str, source: _Source, wanted: Checksum | None) -> Path:
    """Make one attempt: pooch writes a temporary file and renames it once it is complete and right."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # otherwise pooch prints every download on stderr
    target = source.target
    if wanted is None:
        target.unlink(missing_ok=True)  # pooch takes any file without a known checksum as it is
    try:
        pooch.retrieve(
            url,
            known_hash=f"{wanted.algorithm}:{wanted.value}" if wanted else None,
            fname=target.name,
            path=target.parent,
            downloader=source,
        )
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
    ) as error:
        raise _Final(f"the address is wrong ({error})") from error
    except requests.HTTPError as error:
        status, words = error.response.status_code, error.response.reason
        if status in _TEMPORARY:
            raise _Passing(f"the server answered {status}") from error
        raise _Final(f"the server answered {status} {words}") from error
    except requests.RequestException as error:
        if source.total is not None:
            raise _Passing(f"the connection broke after {source.done:,} bytes") from error
        raise _Passing(f"no connection ({type(error).__name__})") from error
    except ValueError as error:
        found = re.search(r"but got (?:\w+:)?([0-9a-f]+)", str(error))  # pooch says both checksums
        if wanted is None or found is None:
            raise
        raise _Passing(f"the file's checksum is {found[1][:12]}..., not {wanted.value[:12]}...") from error
    return target


def _refuse_redirect(response: Any, *_: Any, **__: Any) -> None:
    """Follow a redirect only to an address that could have been given."""
    if response.is_redirect:
        try:
            refuse_plain_http(urljoin(response.url, response.headers["location"]))
        except OfflineError as error:
            raise _Final(f"the server redirects to a plain address: {error.message}") from None


@dataclass
class _Source:
    """Downloader for pooch: reports progress, and keeps the checksum of the first download if asked to."""

    target: Path
    keep_checksum: bool
    report: Progress | None
    largest: int
    check: Callable[[Path], str] | None
    stream: Any = None
    """What the server answers with."""
    beats: int = 0
    """Blocks that have arrived."""
    stalled: bool = False
    total: int | None = None
    """Announced size, 0 when unknown; set by pooch once the server has answered."""
    done: int = 0

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` into `output_file`, as pooch asks."""
        import requests
        from pooch import HTTPDownloader

        headers = {"Accept-Encoding": "identity"}  # else requests unpacks .gz files that a server labels as such
        get = HTTPDownloader(
            progressbar=self, chunk_size=_BLOCK, headers=headers, timeout=_TIMEOUT,
            hooks={"response": [_refuse_redirect, self._answered]},
        )  # fmt: skip
        part = Path(output_file)
        try:
            with self._watched():
                get(url, output_file, pooch)
        except requests.RequestException:
            if not self.stalled:
                raise
        finally:
            self.done = part.stat().st_size
        if self.stalled:
            raise _Passing(f"the server sent less than {_BLOCK:,} bytes in {_STALLED:.0f} seconds")
        if self.total and self.done != self.total:  # urllib3 below 2 does not see a truncated answer
            raise requests.exceptions.ChunkedEncodingError(f"{self.done} of {self.total} bytes")
        problem = looks_like_a_page(part) or (self.check(part) if self.check is not None else "")
        if problem:
            raise _Final(f"what the server sent is not the file: {problem}")
        if self.keep_checksum:  # before pooch renames the file: no file in the cache is without it
            _sidecar(self.target).write_text(Checksum("sha256", "0" * 64).of(part) + "\n", encoding="ascii")

    def _answered(self, response: Any, *_: Any, **__: Any) -> None:
        self.stream = response.raw

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End the connection when no block arrives for long: a time limit of the socket starts anew with every byte."""
        ended = threading.Event()

        def watch() -> None:
            seen = -1
            while not ended.wait(_STALLED):
                if self.beats == seen and hasattr(self.stream, "shutdown"):  # urllib3 from 2.3 on
                    self.stalled = True
                    with suppress(OSError, RuntimeError, ValueError):  # it has just ended by itself
                        self.stream.shutdown()
                    return
                seen = self.beats

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def update(self, n_bytes: int) -> None:
        """Note that up to `n_bytes` more have arrived; the last block may be shorter."""
        self.done += n_bytes
        self.beats += 1
        if max(self.done, self.total or 0) > self.largest:
            raise _Final(f"the file is larger than {self.largest / 1e6:,.0f} MB")
        if self.total:
            self.done = min(self.done, self.total)
        if self.report is not None:
            fraction = self.done / self.total if self.total else 0.0
            self.report(fraction, f"{self.target.name}: {self.done / 1e6:.1f} MB")

    def reset(self) -> None:
        """Begin to count again: pooch reports the whole size once more at the end."""
        self.done = 0

    def close(self) -> None:
        """Ignore the end: there is no bar to remove."""
