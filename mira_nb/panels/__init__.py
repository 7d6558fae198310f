"""Pages and panels of mira_nb.

``mira_nb.panels.STAGE(run)`` shows the panel of one stage in a cell of one's own notebook, such as
``mira_nb.panels.topics_rna("my_run")``: form, run button, progress and results of that run folder.
``mira_nb.panels.explorer(run)`` shows the map of its cells.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from mira_nb.stages.registry import stage_names


def __getattr__(name: str) -> Any:
    """Return the function that shows the panel of a stage."""
    if name == "explorer":
        return importlib.import_module("mira_nb.panels.single").explore
    if name in stage_names():
        return partial(importlib.import_module("mira_nb.panels.single").show, name)
    raise AttributeError(f"mira_nb.panels has no {name!r}; it shows the stages {', '.join(stage_names())}")


def __dir__() -> list[str]:
    return ["explorer", *stage_names()]
