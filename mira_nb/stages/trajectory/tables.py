"""Tables of terminal states and of parts that are not connected to the start cell; how branch times are described."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.core.trajectory.branching import CUT
from mira_nb.core.trajectory.lineage_tree import LineageTree

from .compute import TrajectoryOutput


def terminal_table(traced: TrajectoryOutput) -> pd.DataFrame:
    """Terminal states by cell name, with the lineage each begins to name."""
    columns = ["lineage", "cell", "group", "pseudotime", "prominence", "n_cells", "eigenvalue", "accepted", "reason"]
    found, names = traced.found, traced.names
    groups = traced.annotations.groups
    labels = None if groups is None else groups.to_numpy()[traced.cells]
    lineage = dict(zip(found.ends.tolist(), found.lineages, strict=True)) if traced.supported else {}
    given = bool(traced.params.terminal_cells) or found.terminal is None
    rows: list[list[Any]] = []
    if given:
        source = "given" if found.terminal is not None else "end of a given fate probability"
        for cell, name in lineage.items():
            label = "" if labels is None else labels[cell]
            rows.append([name, names[cell], label, found.pseudotime[cell], np.nan, np.nan, np.nan, True, source])
    if found.terminal is not None:
        for row in found.terminal.table.to_dict("records"):
            cell = int(row["cell"])
            known = cell >= 0
            accepted = bool(row["accepted"]) and traced.supported and not given
            reason = str(row["reason"])
            if row["accepted"] and not accepted:
                reason = "terminal cells were given" if given else "no supported trajectory"
            elif accepted and lineage[cell] not in traced.supported_lineages:
                reason = "its way crosses a gap: not supported"
            rows.append(
                [
                    lineage.get(cell, "") if accepted else "",
                    names[cell] if known else "",
                    labels[cell] if known and labels is not None else "",
                    found.pseudotime[cell] if known else np.nan,
                    row["prominence"],
                    row["n_cells"],
                    row["eigenvalue"],
                    accepted,
                    reason,
                ]
            )
    frame = pd.DataFrame(rows, columns=columns)
    return frame if labels is not None else frame.drop(columns="group")


def component_table(traced: TrajectoryOutput) -> pd.DataFrame:
    """Parts of the graph without the start cell: size, commonest group, one cell's name."""
    groups = traced.annotations.groups
    rows = []
    for item in traced.start.manifold.others:
        cells = traced.rows[item.cells]
        row = {"component": item.label, "n_cells": len(cells), "first_cell": str(traced.data.obs_names[cells[0]])}
        if groups is not None:
            counts = groups.iloc[cells].value_counts()
            row |= {"group": str(counts.index[0]), "share_of_group": float(counts.iloc[0] / len(cells))}
        rows.append(row)
    return pd.DataFrame(rows)


def branch_sentence(tree: LineageTree) -> str:
    """Say where lineages part, by the rule used; goes on in the middle of a sentence."""
    if tree.rule == "first_cell":
        return f"the pseudotime of the first cell beyond +-{tree.threshold:g}"
    return (
        "the foot of a ramp over pseudotime fitted by least squares to the squared log ratios of all cells of both "
        f"lineages (cut at {CUT * tree.threshold:g} squared), where it rises beyond {tree.threshold:g} squared"
    )
