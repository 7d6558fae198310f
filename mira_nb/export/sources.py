"""Files of the run that an export reads: compared with what the run noted of them, and named where they do not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mira_nb.errors import StoreError
from mira_nb.report.intact import file_damage

from .messages import refusal


def check_file(path: Path, facts: Any) -> None:
    """Refuse a file that is not as the run wrote it.

    Parameters
    ----------
    path
        The file.
    facts
        Its ``bytes`` and ``sha256`` from the run's records; anything else, as of older runs, says nothing.

    Raises
    ------
    StoreError
        When the file was changed, is a folder, or is gone although the run noted it.
    """
    problem = "is a folder" if path.is_dir() else file_damage(path, facts)
    if problem:
        raise refusal(StoreError, "source_changed", file=path, problem=problem)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name this file in an error of reading that the block raises."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        raise refusal(StoreError, "source_unreadable", file=path, reason=str(reason).splitlines()[0]) from error


def output_facts(record: Mapping[str, Any], stage: str, name: str) -> Any:
    """Return what run.json notes of an output of a stage; None when it notes nothing."""
    state = (record.get("stages") or {}).get(stage) or {}
    return (state.get("outputs") or {}).get(name)
