"""Compare a file with the size and the SHA-256 that were kept when it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

UNSHOWN: Final = frozenset({"slots.h5"})
"""Outputs of a stage that the report does not read."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_damage(path: Path, facts: Any, digest: Callable[[Path], str] = sha256) -> str:
    """Return what is wrong with a file in a few words, '' when it is as `facts` say or when they say nothing.

    Parameters
    ----------
    path
        The file.
    facts
        Its ``bytes`` and ``sha256``; anything else says nothing.
    digest
        Computes the SHA-256, or knows it.
    """
    if not isinstance(facts, Mapping) or "sha256" not in facts:
        return ""
    try:
        size = path.stat().st_size
        noted = facts.get("bytes", size)
        if size != noted:
            return f"has {size:,} bytes instead of {noted:,}" if isinstance(noted, int) else "is not as its record says"
        return "" if digest(path) == facts["sha256"] else "has other content"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def shown_damage(folder: Path, record: Mapping[str, Any], noted: Any) -> str:
    """Return which file that the report shows was changed since a stage wrote it, '' for none.

    Parameters
    ----------
    folder
        The stage's folder.
    record
        Its stage.json, which keeps the facts of the other files in ``outputs``.
    noted
        Facts of stage.json itself, from run.json.
    """
    outputs = record.get("outputs")
    files = {"stage.json": noted, **(outputs if isinstance(outputs, Mapping) else {})}
    for name, facts in files.items():
        problem = "" if name in UNSHOWN else file_damage(folder / name, facts)
        if problem:
            return f"{folder / name} {problem}"
    return ""
