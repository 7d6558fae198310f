"""Gaps on the way to a lineage's end: table, key figure and alert of the stage trajectory."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mira_nb.core.trajectory.continuity import MIN_JUDGED, STRETCH
from mira_nb.stages.result import Alert, Metric, Table

from .compute import TrajectoryOutput


def gap_table(traced: TrajectoryOutput) -> Table:
    """Continuity of the way to each end."""
    return Table(
        "continuity",
        "Continuity of the way to each end",
        "Cells are placed by the probability that a random walk from them reaches the lineage's last cells before "
        f"its first. n_in_gap: cells in the emptiest {STRETCH:g} of that probability; n_expected: cells expected "
        f"there on an even way; continuity: their ratio, good above {traced.params.min_continuity:g}. Below it, "
        "few cells join what lies before and after: distinct populations rather than stages of one "
        f"differentiation. Ways of fewer than {MIN_JUDGED:,} cells have empty stretches by chance; then there is no "
        "verdict.",
        continuity_table(traced),
    )


def continuity_table(traced: TrajectoryOutput) -> pd.DataFrame:
    """Continuity of the ways, with the commonest group on either side of the emptiest stretch."""
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


def gap_metric(traced: TrajectoryOutput) -> list[Metric]:
    """Lowest continuity; nothing where no way has enough cells to tell."""
    judged = traced.continuity.table
    lowest = float(judged.loc[judged["verdict"] != "too few cells", "continuity"].min())
    if not np.isfinite(lowest):
        return []
    return [
        Metric(
            "Lowest continuity of a lineage's way",
            round(lowest, 3),
            help="cells in the emptiest stretch of the way, of those expected on an even way; below "
            f"{traced.params.min_continuity:g}: a gap between distinct populations",
        ),
    ]


def gap_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Name the lineages whose way crosses a gap, and where."""
    frame = continuity_table(traced)
    low = frame["continuity"] < traced.params.min_continuity
    unjudged = frame.loc[low & (frame["verdict"] == "too few cells"), "lineage"].tolist()
    if traced.support.verdict == "none":
        return []
    if not traced.continuity.gapped:
        title = f"Too few cells to tell whether the way is continuous: {', '.join(unjudged)}"
        cause = f"The way has an empty stretch, but ways of fewer than {MIN_JUDGED:,} cells have them by chance."
        return [Alert("info", title, cause)] if unjudged else []
    found = []
    for row in frame[frame["verdict"] == "gap"].to_dict("records"):
        places = [_place(row, "before") or "its start", _place(row, "after") or "its end"]
        found.append(
            f"the way to {row['lineage']} crosses a gap from {places[0]} to {places[1]}: {row['n_in_gap']:,} of its "
            f"{row['n_cells']:,} cells stand in it, {row['n_expected']:.0f} expected (continuity "
            f"{row['continuity']:.3f}; good: above {traced.params.min_continuity:g})"
        )
    cause = "; ".join(found)
    remedy = (
        "Distinct cell types look like this: choose the cells of one differentiation with only_groups. If cells in "
        "transit are known to be rare, lower min_continuity, or name the ends with terminal_cells."
    )
    if traced.only_gaps:
        cause += ". Pseudotime is given, but no lineages and no branches are reported."
        title = "There is no supported trajectory in these cells: every way crosses a gap"
        return [Alert("error", title, cause[0].upper() + cause[1:], remedy)]
    names = ", ".join(traced.continuity.gapped)
    if traced.supported_lineages:
        cause += ". Other ways are continuous, and a thin joint may be chance, so the lineage is kept"
        title = f"Few cells in transit on the way to {names}: check whether it belongs to this differentiation"
    else:
        title = f"Not supported: {names}, beyond a gap without cells in transit"
    return [Alert("warning", title, cause[0].upper() + cause[1:] + ".", remedy)]


def _place(row: Mapping[Hashable, Any], side: str) -> str:
    """Where the cells nearest to a gap stand; empty where none stand on that side."""
    time = float(row[f"pseudotime_{side}"])
    if not math.isfinite(time):
        return ""
    group = str(row.get(f"group_{side}") or "")
    return f"{group} (pseudotime {time:.2f})" if group else f"pseudotime {time:.2f}"
