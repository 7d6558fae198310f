"""One writer at a time in a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mira_nb.errors import ParameterError, StoreError

from .place import check_text


def check_folder(root: Path) -> None:
    """Refuse to write into a folder that holds something else."""
    check_text(str(root), "--out")
    try:
        is_file = root.exists() and not root.is_dir()
    except OSError:
        return  # check_place says why
    if is_file:
        raise ParameterError(f"--out {root} is a file", expected="a new folder or an earlier run's folder")
    if root.exists() and any(root.iterdir()) and not (root / "run.json").exists() and not (root / "cache").exists():
        raise ParameterError(
            f"--out {root} is not empty and holds no run.json", expected="a new folder or an earlier run's folder"
        )


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of a run folder, so that one run at a time writes to it."""
    path = root / "cache" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"another run is writing to {root}", remedy="wait for it to end or choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()
