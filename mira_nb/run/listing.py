"""The list of parameters that ``mira-nb parameters`` prints."""

from __future__ import annotations

import textwrap
from typing import Any

from mira_nb.stages.base import Stage
from mira_nb.stages.describe import format_value
from mira_nb.stages.registry import get_stage, stage_names

WIDTH = 100


def parameter_listing(stage: str | None = None) -> str:
    """Return the parameters of one stage, or of all, as text.

    Raises
    ------
    ParameterError
        When there is no such stage.
    """
    names = stage_names() if stage is None else (stage,)
    return "\n\n".join(_stage(get_stage(name)) for name in names)


def _stage(stage: Stage[Any]) -> str:
    lines = [f"{stage.name}: {stage.title}", *textwrap.wrap(stage.purpose, WIDTH)]
    for item in stage.Params.describe():
        default = format_value(item.default) or "empty"
        unit = f" {item.unit}" if item.unit else ""
        lines += ["", f"  {stage.name}.{item.name} = {default}{unit}"]
        text = f"{item.help} Takes {item.expects}." if item.expects else item.help
        lines += textwrap.wrap(text, WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
