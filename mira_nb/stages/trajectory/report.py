"""Slots, tables, metrics, alerts and methods paragraph of the stage trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.trajectory.support import EIGENVALUE_CELLS
from mira_nb.keys import FATE_PROBABILITIES, LINEAGE_STATE, LINEAGE_TREE, PSEUDOTIME, TRANSPORT_MAP
from mira_nb.stages.result import Alert, Metric, Slot, Table
from mira_nb.stages.texts import Texts

from .compute import TrajectoryOutput, lineages_given
from .confounding import batch_alerts, batch_tables
from .gaps import gap_alerts, gap_metric, gap_table
from .orientation import direction_alerts, orientation_slots, orientation_tables, verdict_table
from .start import NEAR
from .tables import branch_sentence, component_table, terminal_table

TEXTS = Texts(__package__)
NEARBY = 2.01
"""Thresholds within this factor of the one used should give the same topology."""


def slots(traced: TrajectoryOutput) -> dict[Slot, Any]:
    """Return the values for the MuData; cells outside the trajectory get NaN, no state and empty rows."""
    n = traced.data.n_obs
    cells = traced.cells
    chain = sparse.coo_matrix(traced.found.chain)
    spread = sparse.csr_matrix((chain.data, (cells[chain.row], cells[chain.col])), shape=(n, n))
    fates = pd.DataFrame(
        traced.spread(traced.fates), index=traced.data.obs_names, columns=[str(name) for name in traced.lineages]
    )
    states = pd.Categorical(traced.states, categories=traced.tree.nodes["node"].tolist())
    return {
        Slot("joint", "obs", PSEUDOTIME): traced.pseudotime,
        Slot("joint", "obs", LINEAGE_STATE): states,
        Slot("joint", "obsm", FATE_PROBABILITIES): fates,
        Slot("joint", "obsp", TRANSPORT_MAP): spread,
        Slot("joint", "uns", LINEAGE_TREE): _tree_record(traced),
        **orientation_slots(traced),
    }


def _tree_record(traced: TrajectoryOutput) -> dict[str, Any]:
    """Return the lineage tree as plain arrays, for ``uns``."""
    nodes = traced.tree.nodes
    manifold = traced.start.manifold
    ends = traced.found.ends if traced.drawn else np.empty(0, dtype=np.int64)
    return {
        "node": nodes["node"].to_numpy(str),
        "parent": nodes["parent"].to_numpy(str),
        "branch_time": nodes["branch_time"].to_numpy(float),
        "n_cells": nodes["n_cells"].to_numpy(int),
        "lineages": np.asarray(traced.lineages, dtype=str),
        "terminal_cells": traced.names[ends].to_numpy(str),
        "start_cell": str(traced.names[manifold.start]),
        "threshold": float(traced.tree.threshold),
        "supported": bool(traced.supported),
        "drawn": bool(traced.drawn),
        "direction": traced.start.verdict,
        "lineage_supported": np.asarray([name in traced.supported_lineages for name in traced.lineages], dtype=bool),
    }


def tables(traced: TrajectoryOutput) -> list[Table]:
    """Return verdicts, lineage tree, terminal states, continuity, branch times, sweep, orientations, starts, parts."""
    return [
        verdict_table(traced),
        _tree_table(traced),
        _terminal_table(traced),
        gap_table(traced),
        *_branch_tables(traced),
        *orientation_tables(traced),
        *_start_tables(traced),
        *batch_tables(traced),
    ]


def _tree_table(traced: TrajectoryOutput) -> Table:
    return TEXTS.table(
        "lineage_tree",
        traced.tree.nodes,
        supported=traced.drawn,
        lineages=traced.lineages,
        n_lineages=len(traced.lineages),
    )


def _terminal_table(traced: TrajectoryOutput) -> Table:
    frame = terminal_table(traced)
    return TEXTS.table("terminal_states", frame, n_candidates=len(frame), n_accepted=int(frame["accepted"].sum()))


def _branch_tables(traced: TrajectoryOutput) -> list[Table]:
    """Return intervals and threshold sweep of the branch times; nothing without a branch."""
    out = []
    if len(traced.intervals):
        out.append(TEXTS.table("branch_times", traced.intervals, n_resamples=traced.params.branch_resamples))
    if len(traced.sweep):
        same = traced.same_topology
        out.append(TEXTS.table("threshold_sweep", traced.sweep, n_same=sum(same.values()), n_thresholds=len(same)))
    return out


def _start_tables(traced: TrajectoryOutput) -> list[Table]:
    """Return candidates for the start cell, and cells that are not connected to it, where there are any."""
    out = []
    start = traced.start
    if len(start.candidates):
        out.append(
            TEXTS.table(
                "start_candidates",
                start.candidates,
                origin=start.origin,
                n_neighbors=NEAR,
                n_refits=start.n_refits,
                decisive=traced.params.direction_z,
                agreeing=traced.params.direction_agreeing,
            )
        )
    if start.manifold.others:
        n_cells = sum(len(item.cells) for item in start.manifold.others)
        out.append(TEXTS.table("components", component_table(traced), n_cells=n_cells))
    return out


def metrics(traced: TrajectoryOutput) -> list[Metric]:
    """Return the key figures."""
    shift = np.corrcoef(_ranks(traced.found.pseudotime), _ranks(traced.found.path_pseudotime))[0, 1]
    out = [
        TEXTS.metric("lineages", len(traced.supported_lineages)),
        TEXTS.metric("cells", len(traced.cells), n_all=traced.data.n_obs),
        TEXTS.metric(
            "agreement",
            round(traced.support.correlation, 3),
            supported=traced.params.agreement_supported,
            unsupported=traced.params.agreement_none,
            noise=traced.params.agreement_noise,
        ),
        TEXTS.metric(
            "eigenvalue",
            round(traced.support.eigenvalue, 3),
            n_cells=EIGENVALUE_CELLS,
            slow=traced.params.eigenvalue_long,
            round=traced.params.eigenvalue_round,
        ),
        *gap_metric(traced),
        TEXTS.metric("recurrent_states", traced.found.n_recurrent),
        TEXTS.metric("rank_correlation", round(float(shift), 3)),
    ]
    for node, time in zip(traced.tree.nodes["node"], traced.tree.nodes["branch_time"], strict=True):
        if np.isfinite(time):
            out.append(TEXTS.metric("branch_time", round(float(time), 3), node=node))
    return out


def _ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()


def alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Report what limits the trajectory."""
    return [
        *_evidence_alerts(traced),
        *gap_alerts(traced),
        *direction_alerts(traced),
        *_cell_alerts(traced),
        *_lineage_alerts(traced),
        *batch_alerts(traced),
    ]


def _evidence_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Report that the trajectory evidence is weak or absent."""
    support = traced.support
    if support.verdict == "supported":
        return []
    evidence = TEXTS.text(
        "evidence",
        correlation=support.correlation,
        eigenvalue=support.eigenvalue,
        n_cells=support.n_cells,
        supported=support.rules.supported,
        unsupported=support.rules.unsupported,
        noise=support.rules.noise,
        slow=support.rules.slow,
        round=support.rules.round,
    )
    if support.verdict == "none" and traced.drawn:
        return [TEXTS.alert("drawn_unsupported", evidence=evidence, given=lineages_given(traced.params))]
    if support.verdict == "weak":
        return [TEXTS.alert("weak_evidence", evidence=evidence)]
    return [TEXTS.alert("no_evidence", evidence=evidence)]


def _cell_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Report cells and topics outside the trajectory."""
    out = []
    others = traced.start.manifold.others
    if others:
        sizes = {item.label: len(item.cells) for item in others}
        out.append(TEXTS.alert("disconnected_cells", n_cells=sum(sizes.values()), sizes=sizes))
    if traced.params.exclude_topics:
        out.append(TEXTS.alert("excluded_topics", topics=traced.params.exclude_topics))
    if traced.side:
        excluded = traced.params.side_programmes == "exclude"
        topics = [name for pair in traced.side for name in pair]
        out.append(TEXTS.alert("side_programmes", topics=topics, excluded=excluded))
    n_out = traced.data.n_obs - len(traced.rows)
    if n_out:
        out.append(TEXTS.alert("excluded_cells", n_cells=n_out))
    return out


def _lineage_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Report lineages that never separate, and branches whose order depends on the threshold."""
    used = traced.tree.threshold
    out = [
        TEXTS.alert("unsplit_lineages", first=first, second=second, threshold=used, rule=traced.tree.rule)
        for first, second in traced.tree.shared
    ]
    near = [same for threshold, same in traced.same_topology.items() if used / NEARBY <= threshold <= used * NEARBY]
    if not all(near):
        out.append(TEXTS.alert("unstable_topology"))
    return out


def methods(traced: TrajectoryOutput) -> str:
    """Return the paragraph for the methods section."""
    p = traced.params
    return TEXTS.methods(
        n_cells=len(traced.cells),
        start=str(traced.names[traced.start.manifold.start]),
        origin=traced.start.origin,
        direction=traced.start.verdict,
        direction_evidence=p.direction_evidence,
        direction_z=p.direction_z,
        direction_agreeing=p.direction_agreeing,
        start_markers=[gene for gene in p.start_markers if gene not in traced.start.missing_markers],
        exclude_topics=p.exclude_topics,
        side_topics=[name for pair in traced.side for name in pair] if p.side_programmes == "exclude" else [],
        n_components=traced.start.manifold.diffusion.space.shape[1],
        n_used=p.n_used,
        n_neighbors=p.n_neighbors,
        pseudotime_key=p.pseudotime_key,
        n_waypoints=min(p.n_waypoints, len(traced.cells)),
        backstep=p.backstep,
        fate_key=p.fate_key,
        terminal_given=bool(p.terminal_cells),
        min_cells=p.min_cells,
        min_prominence=p.min_prominence,
        aligned=p.clock == "lineages" and not p.pseudotime_key and len(traced.tree.lineages) > 1,
        resolution=p.resolution,
        topic_weight=p.topic_weight,
        supported=traced.supported,
        drawn=traced.drawn,
        given=lineages_given(p),
        n_lineages=len(traced.lineages),
        branch_time=branch_sentence(traced.tree),
        correlation=traced.support.correlation,
        eigenvalue=traced.support.eigenvalue,
        lowest_continuity=float(traced.continuity.table["continuity"].min()),
        stretch=p.gap_stretch,
        min_continuity=p.min_continuity,
        stream_window=p.stream_window,
    )
