"""What a run says of itself: messages and refusals, from ``texts/messages.yaml`` and ``texts/errors.yaml``."""

from __future__ import annotations

from typing import Any, Final

from mira_nb.sentences import Refusal, entries, fill, refuse

TOPIC: Final = "run"
"""First part of every code."""


def message(key: str, /, **values: Any) -> str:
    """Return a message with its values filled in."""
    return fill(entries(__package__, "messages.yaml")[key], values)


def refusal(kind: type[Refusal], code: str, /, **values: Any) -> Refusal:
    """Return the error `code` of ``errors.yaml`` with its values filled in, to be raised."""
    return refuse(kind, __package__, TOPIC, code, values)
