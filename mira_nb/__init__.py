"""mira_nb: one paired single-cell multiome experiment, analysed by the MIRA method, to one HTML report.

``mira_nb.read`` and one function a stage (``mira_nb.prepare``, ``mira_nb.topics_rna``, ...) work on a MuData; they are
imported when they are first used. See :mod:`mira_nb.api`.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = ("read", "pair")
_STAGES = (
    "prepare", "topics_rna", "topics_atac", "joint", "enrichment", "motifs", "trajectory", "regulation", "drivers",
    "comparisons",
)  # fmt: skip

__all__ = ["Resources", "__version__", *_FUNCTIONS, *_STAGES]


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used: ``import mira_nb`` stays fast."""
    if name in _STAGES:
        from .api import stage_function

        return stage_function(name)
    if name in _FUNCTIONS or name == "Resources":
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'mira_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names, also those not imported yet."""
    return sorted({*globals(), *__all__})
