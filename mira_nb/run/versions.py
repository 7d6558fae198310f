"""Versions of a run as the command line and the pages handle them: listed as text, restored under the folder's lock."""

from __future__ import annotations

from pathlib import Path

from .crate import write_crate
from .history import LIMIT_VARIABLE, Version, limit_bytes, remove, restore, versions
from .intact import file_facts
from .lock import locked
from .store import RunStore

__all__ = ["Version", "history_listing", "remove_version", "restore_version", "versions"]


def history_listing(root: Path) -> str:
    """Return the versions of a run as text: number, time, stages, size, reason, and where the report is."""
    _check(root)
    kept = versions(root)
    used = sum(version.bytes for version in kept)
    lines = [
        f"{version.number:4d}  {version.made}  {len(version.done):2d} stages  {version.bytes / 1e6:8,.1f} MB  "
        f"{version.reason}\n      {version.report}"
        for version in kept
    ]
    if not kept:
        lines = ["No version is kept: one is made before a stage that has a result is computed again."]
    limit = f"{used / 1e9:.2f} of {limit_bytes() / 1e9:g} GB are used ({LIMIT_VARIABLE} sets the limit)."
    return "\n".join([*lines, f"{limit} Over it no new version is made; nothing is deleted by itself."])


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
        paths = (store.root / "results.h5mu", store.root / "report.html")
        written = {path.name: file_facts(path) for path in paths if path.exists()}
        store.record.update(written={**store.read_record().get("written", {}), **written})
        write_crate(root)
    return f"Version {number} of {version.made} is the present state of {root} again."


def remove_version(root: Path, number: int) -> str:
    """Delete a version for good, and say so."""
    store = _check(root)
    with locked(store.root):
        version = remove(store.root, number)
    return f"Version {number} was deleted ({version.bytes / 1e6:,.1f} MB)."


def _check(root: Path) -> RunStore:
    store = RunStore(root)
    store.existing_record()
    return store
