"""Reading JSON files of a run folder, which may be damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is not JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Return the object that a JSON file holds, None where there is none that can be read."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
