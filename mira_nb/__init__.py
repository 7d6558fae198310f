"""mira_nb: one paired single-cell multiome experiment, analysed by the MIRA method, to one HTML report.

``mira_nb.read`` and one function per stage (``mira_nb.prepare``, ``mira_nb.topics_rna``, ...) work on a MuData; they
are imported when they are first used. Stages of installed plug-ins have a function too. See :mod:`mira_nb.api`.
"""

from __future__ import annotations

from typing import Any

from .version import __version__ as __version__

_FUNCTIONS = ("read", "pair", "embedded_data", "load_model", "Resources")


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used: ``import mira_nb`` stays fast."""
    if name == "__all__":
        return ["__version__", *_FUNCTIONS, *_stages()]
    if name in _FUNCTIONS or (not name.startswith("_") and name in _stages()):
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'mira_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, also those not imported yet."""
    return sorted({*globals(), "__all__", *_FUNCTIONS, *_stages()})


def _stages() -> tuple[str, ...]:
    from .stages.registry import stage_names

    return stage_names()
