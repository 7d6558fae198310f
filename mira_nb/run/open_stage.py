"""The first line of a template notebook: one stage, opened with the notebook's variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mira_nb.stages.base import no_progress
from mira_nb.stages.registry import get_stage
from mira_nb.typing import Progress

from .demo import demonstration
from .session import Session
from .store import RunStore


def open_stage(name: str, values: Mapping[str, Any], *, progress: Progress | None = None) -> Session:
    """Open a stage with a notebook's variables (usually ``globals()``).

    Parameters
    ----------
    name
        The stage.
    values
        ``run_dir`` (empty: a small demonstration made on the spot), ``seed`` and the stage's parameters by name;
        other variables are ignored.

    Raises
    ------
    ParameterError
        When a value has a wrong type or is out of bounds.
    """
    stage = get_stage(name)
    params = stage.Params.parse(name, {key: values[key] for key in stage.Params.model_fields if key in values})
    run_dir = str(values.get("run_dir") or "")
    store = RunStore(Path(run_dir)) if run_dir else demonstration(name)
    if progress is None and not run_dir:
        progress = no_progress
    return Session(stage, store, params, seed=int(values.get("seed", 0)), progress=progress)
