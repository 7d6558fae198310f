"""Gaps on the path to a terminal state: table, key figure and alerts of the stage trajectory."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mira_nb.stages.result import Alert, Metric, Table
from mira_nb.stages.texts import Texts

from .compute import TrajectoryOutput

TEXTS = Texts(__package__)


def gap_table(traced: TrajectoryOutput) -> Table:
    """Return the continuity of the transition to each terminal state."""
    return TEXTS.table(
        "continuity",
        continuity_table(traced),
        stretch=traced.params.gap_stretch,
        min_judged=traced.params.gap_min_cells,
        min_continuity=traced.params.min_continuity,
    )


def continuity_table(traced: TrajectoryOutput) -> pd.DataFrame:
    """Return the continuity of the paths, with the commonest group on either side of the emptiest stretch."""
    frame = traced.continuity.table.copy()
    groups = traced.annotations.groups
    if groups is None:
        return frame
    labels = groups.to_numpy()[traced.cells]
    for k, name in enumerate(("group_before", "group_after")):
        sides = [pair[k] for pair in traced.continuity.sides]
        values = [str(pd.Series(labels[side]).mode().iloc[0]) if len(side) else "" for side in sides]
        frame.insert(list(frame.columns).index("verdict"), name, values)
    return frame


def lowest_continuity(traced: TrajectoryOutput) -> float:
    """Return the lowest continuity of a lineage's path; NaN where no path has enough cells to tell."""
    judged = traced.continuity.table
    return float(judged.loc[judged["verdict"] != "too few cells", "continuity"].min())


def gap_metric(traced: TrajectoryOutput) -> list[Metric]:
    """Return the lowest continuity; nothing where no path has enough cells to tell."""
    lowest = lowest_continuity(traced)
    if not np.isfinite(lowest):
        return []
    return [TEXTS.metric("lowest_continuity", round(lowest, 3), min_continuity=traced.params.min_continuity)]


def gap_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Name the lineages whose path has a gap, and where."""
    frame = continuity_table(traced)
    low = frame["continuity"] < traced.params.min_continuity
    unjudged = frame.loc[low & (frame["verdict"] == "too few cells"), "lineage"].tolist()
    if traced.support.verdict == "none" and not traced.drawn:
        return []
    if not traced.continuity.gapped:
        return (
            [TEXTS.alert("continuity_untested", lineages=unjudged, min_judged=traced.params.gap_min_cells)]
            if unjudged
            else []
        )
    rows = frame[frame["verdict"] == "gap"].to_dict("records")
    gaps = TEXTS.text(
        "gaps",
        gaps=[{**row, "before": _side(row, "before"), "after": _side(row, "after")} for row in rows],
        min_continuity=traced.params.min_continuity,
    )
    if traced.only_gaps and not traced.drawn:
        return [TEXTS.alert("all_disconnected", gaps=gaps)]
    if not traced.only_gaps:
        return [TEXTS.alert("few_in_transit", gaps=gaps, lineages=traced.continuity.gapped)]
    return [TEXTS.alert("disconnected_lineages", gaps=gaps, lineages=traced.continuity.gapped)]


def _side(row: Mapping[Hashable, Any], side: str) -> dict[str, Any] | None:
    """Return pseudotime and group of the cells nearest to a gap; None where none stand on that side."""
    time = float(row[f"pseudotime_{side}"])
    return {"pseudotime": time, "group": str(row.get(f"group_{side}") or "")} if math.isfinite(time) else None
