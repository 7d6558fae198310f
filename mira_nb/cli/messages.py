"""Messages of the command line, from ``texts/messages.yaml``."""

from __future__ import annotations

from typing import Any

from mira_nb.sentences import entries, fill


def message(key: str, /, **values: Any) -> str:
    """Return a message with its values filled in."""
    return fill(entries(__package__, "messages.yaml")[key], values)
