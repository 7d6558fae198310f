"""One writer at a time in a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mira_nb.errors import ParameterError, StoreError

from .messages import refusal
from .place import check_text

RESTORE_SECONDS = 30.0
"""How long a page's request waits for a version that another click restores."""


def check_folder(root: Path) -> None:
    """Refuse to write into a folder that holds something else."""
    check_text(str(root), "--out")
    try:
        is_file = root.exists() and not root.is_dir()
    except OSError:
        return  # check_place says why
    if is_file:
        raise refusal(ParameterError, "folder_is_file", root=root)
    if root.exists() and any(root.iterdir()) and not (root / "run.json").exists() and not (root / "cache").exists():
        raise refusal(ParameterError, "folder_of_others", root=root)


@contextmanager
def locked(root: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a run folder, so that one run at a time writes to it; wait `patience` seconds for it."""
    path = root / "cache" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise refusal(StoreError, "folder_in_use", root=root) from None
    try:
        yield
    finally:
        lock.release()
