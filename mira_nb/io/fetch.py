"""Download a resource once: retries, checksum, cache; offline it says what to do instead."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal
from urllib.parse import unquote, urlsplit

from mira_nb.errors import OfflineError
from mira_nb.typing import Progress

if TYPE_CHECKING:
    import requests

_BLOCK: Final = 1 << 20
_TIMEOUT: Final = (10.0, 60.0)
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Checksum:
    """Checksum of a file: the algorithm and the hexadecimal digits, in small letters.

    Raises
    ------
    ValueError
        When the digits are not a checksum of this algorithm.
    """

    algorithm: Literal["sha256", "md5"]
    value: str

    def __post_init__(self) -> None:
        """Refuse what cannot be a checksum."""
        length = hashlib.new(self.algorithm, usedforsecurity=False).digest_size * 2
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", self.value):
            raise ValueError(f"{self.value!r} is not a {self.algorithm} checksum")

    def of(self, path: Path) -> str:
        """Checksum of a file by the same algorithm, read in blocks."""
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


class _Passing(Exception):
    """A failure that may pass: no connection, a truncated answer, an overloaded server."""


class _Final(Exception):
    """A failure that will not pass, such as an address without a file."""


def cache_folder() -> Path:
    """Folder of downloaded files: ``MIRA_NB_CACHE``, else the user's cache folder."""
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
) -> Path:
    """Give the local copy of a file, downloading it when it is not there yet.

    Parameters
    ----------
    url
        Where the file lies.
    checksum
        A file with another one is never given out. None where nobody publishes one: the checksum of the first complete
        download is then kept beside the file, and what lies in the cache must keep to it.
    alternative
        What to do without network, for the message, e.g. ``give the file with --genome``.
    folder
        Cache; default :func:`cache_folder`.
    attempts
        How often to try when the failure may pass.
    pause
        Seconds before the second attempt; doubled each time.
    progress
        Called with a fraction (0 when the size is unknown) and a message.

    Raises
    ------
    OfflineError
        When the file cannot be had; names the address, the reason and the alternative.
    """
    name = Path(unquote(urlsplit(url).path)).name or "download"
    place = checksum.value if checksum else hashlib.sha256(url.encode("utf-8")).hexdigest()
    target = (folder or cache_folder()) / place[:12] / name
    known = checksum or _kept_checksum(target)
    if target.is_file() and known is not None and known.of(target) == known.value:
        return target
    reason = "no attempt was made"
    for attempt in range(max(1, attempts)):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return _download(url, target, checksum, progress)
        except _Passing as error:
            reason = f"{error} (attempt {attempt + 1})"
        except _Final as error:
            reason = str(error)
            break
    raise OfflineError(
        f"{url} could not be downloaded: {reason}.",
        expected="a network connection, and the file as it was when this version was released.",
        remedy=f"try again later, or work offline: {alternative}",
    )


def _sidecar(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _kept_checksum(target: Path) -> Checksum | None:
    """Checksum that was kept beside an earlier download."""
    try:
        return Checksum("sha256", _sidecar(target).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def _download(url: str, target: Path, wanted: Checksum | None, progress: Progress | None) -> Path:
    """One attempt, into a temporary file that is renamed once it is complete and right."""
    import requests

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        answer = requests.get(url, stream=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"})
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
    ) as error:
        raise _Final(f"the address is wrong ({error})") from error
    except requests.RequestException as error:
        raise _Passing(f"no connection ({type(error).__name__})") from error
    with answer:
        if answer.status_code in _TEMPORARY:
            raise _Passing(f"the server answered {answer.status_code}")
        if not answer.ok:
            raise _Final(f"the server answered {answer.status_code} {answer.reason}")
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as sink:
                _copy(answer, sink, target.name, progress)
            if wanted is None:
                _sidecar(target).write_text(Checksum("sha256", "0" * 64).of(Path(part)) + "\n", encoding="ascii")
            elif (found := wanted.of(Path(part))) != wanted.value:
                raise _Passing(f"the file's checksum is {found[:12]}..., not {wanted.value[:12]}...")
            Path(part).replace(target)
        finally:
            Path(part).unlink(missing_ok=True)
    return target


def _copy(answer: requests.Response, sink: BinaryIO, name: str, progress: Progress | None) -> None:
    import requests

    announced = answer.headers.get("Content-Length", "")
    total, done = int(announced) if announced.isdigit() else 0, 0
    try:
        for block in answer.iter_content(_BLOCK):
            sink.write(block)
            done += len(block)
            if progress is not None:
                progress(min(done / total, 1.0) if total else 0.0, f"{name}: {done / 1e6:.1f} MB")
    except requests.RequestException as error:
        raise _Passing(f"the connection broke after {done:,} bytes") from error
    if total and done != total:
        raise _Passing(f"{done:,} of {total:,} bytes arrived")
