"""What a comparison reads of a run: its records, tables, and values of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mira_nb.errors import InputError, ParameterError
from mira_nb.keys import (
    ATAC,
    JOINT_STAGE,
    LEIDEN,
    LINEAGE_STATE,
    PREPARE,
    PSEUDOTIME,
    RNA,
    TOPICS_ATAC,
    TOPICS_RNA,
    TRAJECTORY,
    X_TOPICS,
)
from mira_nb.report.reader import RunView, read_run
from mira_nb.run.store import RunStore

CELL_STAGES = (PREPARE, TOPICS_RNA, TOPICS_ATAC, JOINT_STAGE, TRAJECTORY)
"""Stages whose values of cells are compared, where they are done."""


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes
    ----------
    name
        Its name on the page; no two are alike.
    view
        Its records.
    """

    name: str
    view: RunView

    @cached_property
    def done(self) -> tuple[str, ...]:
        """Stages that are done."""
        return tuple(stage.name for stage in self.view.stages if stage.status == "done")

    def stage(self, name: str) -> Mapping[str, Any]:
        """Return the record of a stage; empty where it is not done."""
        return next((stage.record for stage in self.view.stages if stage.name == name and name in self.done), {})

    def table(self, stage: str, name: str) -> pd.DataFrame | None:
        """Return a table of a stage, a gene called ``NA`` kept; None where there is none."""
        if stage not in self.done or name not in {item["name"] for item in self.stage(stage).get("tables", ())}:
            return None
        return RunStore(self.view.root).table(stage, name)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Values of the cells by name: topics e1, ..., a1, ..., ``leiden``, ``lineage_state``, ``pseudotime``."""
        data = RunStore(self.view.root).load_data([name for name in CELL_STAGES if name in self.done])
        parts = []
        for assay, letter in ((RNA, "e"), (ATAC, "a")):
            if X_TOPICS in data.mod[assay].obsm:
                values = np.asarray(data.mod[assay].obsm[X_TOPICS], dtype=np.float64)
                names = [f"{letter}{i + 1}" for i in range(values.shape[1])]
                parts.append(pd.DataFrame(values, index=data.obs_names, columns=names))
        known = [column for column in (LEIDEN, LINEAGE_STATE, PSEUDOTIME) if column in data.obs]
        return pd.concat([*parts, data.obs[known]], axis=1)

    def topics(self, assay: str) -> list[str]:
        """Return the names of an assay's topics."""
        letter = {RNA: "e", ATAC: "a"}[assay]
        return [name for name in self.cells.columns if name[:1] == letter and name[1:].isdecimal()]


def read_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """Read two or more run folders; runs of one name are numbered.

    Raises
    ------
    ParameterError
        There are fewer than two, or one is named twice.
    InputError
        A folder holds no run, or none of its stages is done.
    """
    if len({Path(folder).resolve() for folder in folders}) < max(2, len(folders)):
        raise ParameterError(
            f"compare: {len(folders)} run folders: {', '.join(map(str, folders)) or '(none)'}",
            expected="two or more different run folders",
        )
    views = [read_run(Path(folder)) for folder in folders]
    for view in views:
        if not any(stage.status == "done" for stage in view.stages):
            raise InputError(
                f"{view.root}: no stage is done",
                expected="a run with results",
                remedy="run it first with `mira-nb run`",
            )
    names = [view.root.resolve().name for view in views]
    labels = [
        f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)
    ]
    return [ComparedRun(label, view) for label, view in zip(labels, views, strict=True)]
