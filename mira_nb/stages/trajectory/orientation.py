"""Verdicts on the trajectory, and both orientations side by side where its direction is not established."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.charts.orientations import WIDTH, orientation_maps
from mira_nb.charts.theme import topic_colors
from mira_nb.charts.trajectory import tree_chart
from mira_nb.keys import (
    FATE_PROBABILITIES_ALTERNATIVE,
    LINEAGE_STATE_ALTERNATIVE,
    PSEUDOTIME_ALTERNATIVE,
    X_UMAP,
)
from mira_nb.stages.result import Alert, Figure, Slot, Table
from mira_nb.stages.shared.cells import coordinates
from mira_nb.stages.shared.streams import Axis, stream_figure
from mira_nb.stages.shared.verdicts import Caveat, trajectory_caveats
from mira_nb.stages.texts import Texts

from .compute import TrajectoryOutput, lineages_given
from .start import Rival
from .tables import terminal_table

TEXTS = Texts(__package__)
NAMES = ("proposed", "alternative")
"""Names of the two orientations."""


def caveats(traced: TrajectoryOutput) -> list[Caveat]:
    """Return what limits the reading of pseudotime and of the lineages."""
    record = {"drawn": traced.drawn, "supported": traced.supported, "direction": traced.start.verdict}
    return trajectory_caveats(record, pseudotime=True)


def verdict_table(traced: TrajectoryOutput) -> Table:
    """Return the verdicts on the evidence, on what is drawn and on the direction, one row each."""
    shown = traced.drawn and (
        "given" if lineages_given(traced.params) else "evidence" if traced.supported else "draw_unsupported"
    )
    supported = traced.support.verdict if traced.supported else "not supported"
    support, start = traced.support, traced.start
    reasons = (
        TEXTS.text(
            "trajectory_reason",
            correlation=support.correlation,
            eigenvalue=support.eigenvalue,
            n_gaps=len(traced.continuity.gapped),
            n_lineages=len(traced.found.lineages),
        ),
        TEXTS.text("lineages_reason", shown=shown or ""),
        TEXTS.text("direction_reason", verdict=start.verdict, rivals=start.rivals),
    )
    frame = pd.DataFrame(
        {
            "subject": ("trajectory", "lineages", "direction"),
            "verdict": (supported, "drawn" if shown else "not drawn", start.verdict),
            "reason": reasons,
        }
    )
    return TEXTS.table("verdict", frame)


def orientations(traced: TrajectoryOutput) -> dict[str, TrajectoryOutput]:
    """Return both orientations by name; only the first where the direction is known."""
    both = (traced, traced.alternative)
    return {name: item for name, item in zip(NAMES, both, strict=True) if item is not None}


def orientation_tables(traced: TrajectoryOutput) -> list[Table]:
    """Return the two orientations side by side, and tree and terminal states of the other; empty where it is known."""
    other = traced.alternative
    if other is None:
        return []
    rows = [_row(name, item, traced) for name, item in orientations(traced).items()]
    start = str(other.names[other.start.manifold.start])
    return [
        TEXTS.table("orientations", pd.DataFrame(rows)),
        TEXTS.table("lineage_tree_alternative", other.tree.nodes, start=start),
        TEXTS.table("terminal_states_alternative", terminal_table(other), start=start),
    ]


def _row(name: str, item: TrajectoryOutput, proposed: TrajectoryOutput) -> dict[str, Any]:
    """Return one orientation in a row."""
    rival = item.start.rivals[NAMES.index(name)]
    both = np.isfinite(item.pseudotime) & np.isfinite(proposed.pseudotime)
    ranks = [pd.Series(one.pseudotime[both]).rank() for one in (item, proposed)]
    times = item.tree.nodes["branch_time"].dropna()
    return {
        "orientation": name,
        "start_cell": rival.cell,
        "group": rival.group,
        "named_by": ", ".join(rival.reasons),
        "decisive": ", ".join(rival.decisive),
        "n_lineages": len(item.lineages) if item.drawn else 0,
        "lineages": ", ".join(item.lineages) if item.drawn else "",
        "branch_times": ", ".join(f"{time:.3f}" for time in sorted(times)),
        "supported": item.supported,
        "agreement": item.support.correlation,
        "lowest_continuity": float(item.continuity.table["continuity"].min()),
        "rank_correlation": float(ranks[0].corr(ranks[1])),
    }


def orientation_slots(traced: TrajectoryOutput) -> dict[Slot, Any]:
    """Return pseudotime, states and fates of the other orientation, for the MuData; empty where it is known."""
    other = traced.alternative
    if other is None:
        return {}
    fates = pd.DataFrame(
        other.spread(other.fates), index=traced.data.obs_names, columns=[str(name) for name in other.lineages]
    )
    states = pd.Categorical(other.states, categories=other.tree.nodes["node"].tolist())
    return {
        Slot("joint", "obs", PSEUDOTIME_ALTERNATIVE): other.pseudotime,
        Slot("joint", "obs", LINEAGE_STATE_ALTERNATIVE): states,
        Slot("joint", "obsm", FATE_PROBABILITIES_ALTERNATIVE): fates,
    }


def orientation_figures(traced: TrajectoryOutput, axes: tuple[Axis, Axis] | None) -> list[Figure]:
    """Draw maps, trees and topic streams of both orientations; empty where the direction is known.

    Parameters
    ----------
    axes
        Axes of the streams of the two orientations; None: no lineages are drawn, only the maps.
    """
    other = traced.alternative
    if other is None:
        return []
    both = orientations(traced)
    titles = {name: _title(item.start.rivals[k]) for k, (name, item) in enumerate(both.items())}
    places = coordinates(traced.data.obsm[X_UMAP])
    cells = places.assign(**{name: item.pseudotime for name, item in both.items()})
    at = [int(item.cells[item.start.manifold.start]) for item in both.values()]
    starts = places.iloc[at].assign(orientation=list(both))
    chart, packed = orientation_maps(cells, starts, titles=titles)
    out = [TEXTS.figure("orientation_maps", chart, packed=packed, n_cells=len(traced.cells))]
    if axes is None or not (traced.drawn and other.drawn):
        return out
    trees = [
        tree_chart(axis.paths.segments, item.tree.nodes, colors=axis.colors, title=titles[name], width=WIDTH)
        for axis, (name, item) in zip(axes, both.items(), strict=True)
    ]
    out.append(TEXTS.figure("orientation_trees", alt.hconcat(*trees), n_cells=len(traced.cells)))
    for name, topics, values in (
        ("rna", "expression topics", traced.rna_topics.reset_index(drop=True)),
        ("atac", "accessibility topics", traced.atac_topics.reset_index(drop=True)),
    ):
        title = TEXTS.text("stream_topics_alternative", topics=topics, start=other.start.rivals[1].cell)
        figure = stream_figure(
            axes[1],
            values,
            name=f"stream_topics_{name}_alternative",
            title=title,
            what=f"proportion of {topics}",
            colors=topic_colors(list(values.columns)),
            section=TEXTS.text("orientations_section"),
        )
        out.append(replace(figure, prominence="detail"))
    return out


def _title(rival: Rival) -> str:
    return TEXTS.text("orientation_title", rival=rival)


def direction_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Report how the start was chosen, and both orientations where the evidence does not settle the direction."""
    start = traced.start
    out = []
    if start.verdict == "chosen by markers":
        out.append(TEXTS.alert("start_by_markers", cell=str(traced.names[start.manifold.start])))
    if start.verdict == "established":
        out.append(TEXTS.alert("start_proposed", rival=start.rivals[0]))
    if start.verdict == "not established":
        out.append(TEXTS.alert("direction_not_established", rivals=start.rivals))
    if start.missing_markers:
        out.append(TEXTS.alert("missing_start_markers", genes=start.missing_markers))
    return out
