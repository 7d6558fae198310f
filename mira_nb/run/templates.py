"""Keeps the ``parameters`` cell of every template equal to its stage's parameter model.

``python -m mira_nb.run.templates`` rewrites the cells in the repository; a test holds them equal.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import nbformat

from mira_nb.stages.base import Stage
from mira_nb.stages.registry import BUILT_IN, get_stage

from .notebooks import template_path

HEAD = """\
# Parameters of the stage; papermill and the panels replace them.
run_dir = ""  # folder of a run (made by `mira-nb run`); "" makes a small demonstration
seed = 0  # seed of every random number
"""


def parameters_source(stage: Stage[Any]) -> str:
    """Return the source of the ``parameters`` cell: one assignment per parameter, with its help as the comment."""
    defaults = stage.Params().model_dump(mode="json")
    lines = [HEAD.rstrip()]
    for item in stage.Params.describe():
        lines.extend(textwrap.wrap(item.help_with_unit, 100, initial_indent="# ", subsequent_indent="#   "))
        lines.append(f"{item.name} = {defaults[item.name]!r}")
    return "\n".join(lines)


def parameters_cell(notebook: Any) -> Any:
    """Return the cell tagged ``parameters``."""
    return next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))


def refresh(path: Path, stage: Stage[Any]) -> bool:
    """Update one template; returns whether it changed."""
    notebook = nbformat.read(path, as_version=4)
    cell = parameters_cell(notebook)
    wanted = parameters_source(stage)
    if cell.source == wanted:
        return False
    cell.source = wanted
    nbformat.write(notebook, path)
    return True


if __name__ == "__main__":
    for stage_name in BUILT_IN:
        if refresh(template_path(stage_name), get_stage(stage_name)):
            sys.stdout.write(f"refreshed {stage_name}\n")
