"""Refusals that belong to no stage: of data, parameters and plug-ins. The words are in ``texts/errors.yaml``."""

from __future__ import annotations

from typing import Any, Final

from mira_nb.sentences import Refusal, refuse

TOPIC: Final = "stages"
"""First part of every code."""


def refusal(kind: type[Refusal], code: str, /, **values: Any) -> Refusal:
    """Return the error `code` of ``errors.yaml`` with its values filled in, to be raised."""
    return refuse(kind, __package__, TOPIC, code, values)
