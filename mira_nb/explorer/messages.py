"""Why the explorer refuses, from ``texts/errors.yaml``."""

from __future__ import annotations

from typing import Any, Final

from mira_nb.sentences import Refusal, refuse

TOPIC: Final = "explorer"
"""First part of every code."""


def refusal(kind: type[Refusal], code: str, /, **values: Any) -> Refusal:
    """Return the error `code` of ``errors.yaml`` with its values filled in, to be raised."""
    return refuse(kind, __package__, TOPIC, code, values)
