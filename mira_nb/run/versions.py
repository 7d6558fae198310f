"""Versions of a run as the command line and the pages handle them: listed as text, restored under the folder's lock."""

from __future__ import annotations

from pathlib import Path

from .crate import write_crate
from .files import HashCache
from .history import LIMIT_VARIABLE, Version, limit_bytes, remove, restore, versions
from .lock import locked
from .messages import message
from .outputs import written_facts
from .store import RunStore

__all__ = ["Version", "history_listing", "remove_version", "restore_version", "versions"]


def history_listing(root: Path) -> str:
    """Return the versions of a run as text: number, time, stages, size, reason, and where the report is."""
    _check(root)
    kept = versions(root)
    used = sum(version.bytes for version in kept)
    lines = [
        message(
            "version_row",
            number=version.number,
            made=version.made,
            n_stages=len(version.done),
            size=version.bytes,
            reason=version.reason,
            report=version.report,
        )
        for version in kept
    ]
    room = message("version_room", used=used, limit=limit_bytes(), variable=LIMIT_VARIABLE)
    return "\n".join([*(lines or [message("no_version")]), room])


def restore_version(root: Path, number: int, *, discard: bool = False) -> str:
    """Make a version the present state of a run, and say so.

    Raises
    ------
    ParameterError
        When there is no such run or version.
    StoreError
        When the run is being written to, or the present state would be lost.
    """
    store = _check(root)
    with locked(store.root):
        version = restore(store.root, number, write_results=store.write_results, discard=discard)
        hashes = HashCache(store.root / "cache" / "hashes.json")
        store.record.update(written=written_facts(store.root, hashes))
        write_crate(root, hashes)
    return message("version_restored", number=number, made=version.made, root=root)


def remove_version(root: Path, number: int) -> str:
    """Delete a version for good, and say so."""
    store = _check(root)
    with locked(store.root):
        version = remove(store.root, number)
    return message("version_deleted", number=number, size=version.bytes)


def _check(root: Path) -> RunStore:
    store = RunStore(root)
    store.existing_record()
    return store
