"""Small file helpers: atomic writes and content hashes that are remembered."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mira_nb.report.intact import sha256
from mira_nb.report.json_files import read_json_object


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves either the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinities are refused because browsers cannot read them."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False, default=_plain) + "\n").encode())


def _plain(value: Any) -> Any:
    """Turn numpy scalars and paths into plain JSON values."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"cannot write {type(value).__name__} to JSON")


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder and atomically replace `target` with it when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    work.chmod(0o755)
    try:
        yield work
        old = target.with_name(f".{target.name}.old-{os.getpid()}")
        if target.exists():
            target.rename(old)
        work.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def files_below(path: Path) -> list[Path]:
    """Return the file itself, or all files below a folder in the order of their names."""
    return sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    return sum(item.stat().st_size for item in files_below(path))


def _sha256_below(folder: Path) -> str:
    """Return the SHA-256 over names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for item in files_below(folder):
        digest.update(f"{item.relative_to(folder).as_posix()}\0{sha256(item)}\n".encode())
    return digest.hexdigest()


class HashCache:
    """Remembers content hashes by path, size and times, so that a second run reads nothing twice.

    A tool can put the time of modification back, the time of the last change of any kind it cannot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, str] = read_json_object(path) or {}

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file or of all files below a folder, as known when sizes and times are unchanged."""
        stats = [(item, item.stat()) for item in files_below(path)]
        state = "|".join(f"{x.st_ino}|{x.st_size}|{x.st_mtime_ns}|{x.st_ctime_ns}" for _, x in stats)
        if path.is_dir():
            state = hashlib.sha256(state.encode()).hexdigest()
        key = f"{path.resolve()}|{state}"
        if key not in self._known:
            self._known[key] = _sha256_below(path) if path.is_dir() else sha256(path)
            write_json(self.path, self._known)
        return self._known[key]
