"""Processes that work on one study: who computes what, and a journal that survives a kill at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .result import Map

WAIT_SECONDS = 0.2
"""Time between two looks at what other processes have finished."""


class JournalLock:
    """Lock of Optuna's journal that ends with its process, and mends what a killed process left half written.

    Parameters
    ----------
    journal
        The journal's file.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = FileLock(journal.with_suffix(".lock"))

    def acquire(self) -> bool:
        """Wait for the lock, then cut an unfinished last line off: the next one would be joined to it."""
        self._lock.acquire()
        if self._journal.exists():
            content = self._journal.read_bytes()
            if content and not content.endswith(b"\n"):
                with self._journal.open("r+b") as file:
                    file.truncate(content.rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Release a piece of work, done or not."""
        self._lock.release()


class Claims:
    """Which pieces of work this process has taken; a claim ends with its process, even by a kill.

    Parameters
    ----------
    folder
        Folder of the locks, the same for all processes on a study; None: there is one process.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def alone(self) -> AbstractContextManager[Any]:
        """Return a context in which no other process changes the study."""
        return nullcontext() if self._folder is None else FileLock(self._folder / "study.lock")

    def take(self, name: str) -> bool:
        """Take a piece of work, unless another process has it."""
        if self._folder is None:
            return True
        lock = FileLock(self._folder / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self._held[name] = lock
        return True

    def release(self, name: str) -> None:
        """Release a piece of work, done or not."""
        if name in self._held:
            self._held.pop(name).release()

    def release_all(self) -> None:
        """Release all pieces of work."""
        for name in list(self._held):
            self.release(name)


def work_through(
    pieces: Mapping[str, Any],
    function: Callable[[Any], Any],
    *,
    claims: Claims,
    run_all: Map,
    is_done: Callable[[str], bool],
    store: Callable[[str, Any], None],
    waiting: Callable[[], None],
) -> None:
    """Compute every piece that is not done, in this process or another one on the study; return when all are done.

    Parameters
    ----------
    pieces
        Item by name, those that take longest first.
    function, run_all
        Applied to an item; applies it to all, and takes an item when it can be computed.
    claims
        Claims of this process.
    is_done
        Whether the result of a piece is stored, by whomever.
    store
        Called with name and result.
    waiting
        Called while other processes compute all that is left; may raise to stop.
    """
    try:
        while left := [name for name in pieces if not is_done(name)]:
            taken: list[str] = []
            for place, result in enumerate(run_all(function, _items(left, pieces, taken, claims, is_done))):
                store(taken[place], result)
                claims.release(taken[place])
            if not taken:
                waiting()
                time.sleep(WAIT_SECONDS)
    finally:
        claims.release_all()


def _items(
    left: list[str], pieces: Mapping[str, Any], taken: list[str], claims: Claims, is_done: Callable[[str], bool]
) -> Iterator[Any]:
    """Yield the items that no other process has, noting their names in `taken`."""
    for name in left:
        if not claims.take(name):
            continue
        if is_done(name):  # by another process, since `left` was listed
            claims.release(name)
            continue
        taken.append(name)
        yield pieces[name]
