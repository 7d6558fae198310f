"""Slots, tables, metrics, alerts and methods text of the stage trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.trajectory.continuity import STRETCH
from mira_nb.core.trajectory.support import NOISE, ROUND, SLOW, SUPPORTED, UNSUPPORTED
from mira_nb.keys import FATE_PROBABILITIES, LINEAGE_STATE, LINEAGE_TREE, PSEUDOTIME, TRANSPORT_MAP
from mira_nb.stages.result import Alert, Metric, Slot, Table

from .compute import TrajectoryOutput
from .gaps import gap_alerts, gap_metric, gap_table
from .tables import branch_sentence, component_table, terminal_table

TURNS = "Another start turns pseudotime around and changes which states count as ends."
REMEDY = (
    "Compare the table of candidates with what is known, and give the right one with --start-cell, or genes of the "
    "earliest state with start_markers."
)


def slots(traced: TrajectoryOutput) -> dict[Slot, Any]:
    """Values for the MuData; cells outside the trajectory get NaN, no state and empty rows."""
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
    }


def _tree_record(traced: TrajectoryOutput) -> dict[str, Any]:
    nodes = traced.tree.nodes
    manifold = traced.start.manifold
    ends = traced.found.ends if traced.supported else np.empty(0, dtype=np.int64)
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
        "lineage_supported": np.asarray([name in traced.supported_lineages for name in traced.lineages], dtype=bool),
    }


def tables(traced: TrajectoryOutput) -> list[Table]:
    """Lineage tree, terminal states, branch times, sweep, start candidates, other components."""
    out = [
        Table(
            "lineage_tree",
            "Lineage tree",
            "One row per node; parent: the node it comes from (empty for the root); branch_time: pseudotime at which "
            "the node splits into its children (empty for a lineage's end); n_cells: cells that stand in the node.",
            traced.tree.nodes,
        ),
        Table(
            "terminal_states",
            "Terminal states and candidates",
            "Every place where progress on the neighbour graph stops. prominence: share of pseudotime over which its "
            "region stands apart from any later one; n_cells: cells of that region; eigenvalue: of the walk confined "
            "to the region (1: it never leaves). Rejected candidates stay in the table with the reason.",
            terminal_table(traced),
        ),
    ]
    out.append(gap_table(traced))
    if len(traced.intervals):
        out.append(
            Table(
                "branch_times",
                "Branch times and their intervals",
                f"95 % percentile interval over {int(traced.intervals['n_resamples'].iloc[0])} bootstrap samples of "
                "cells, fate probabilities held fixed: it shows what the sampling of cells does, nothing else.",
                traced.intervals,
            )
        )
    if len(traced.sweep):
        out.append(
            Table(
                "threshold_sweep",
                "Lineage tree for other branch thresholds",
                "topology: groups of lineages that share a branch; n_trunk: cells before the first branch.",
                traced.sweep,
            )
        )
    if len(traced.start.candidates):
        out.append(
            Table(
                "start_candidates",
                "Candidates for the start cell",
                "Extremes of the diffusion components; numbers are means over each candidate and its 20 neighbours. "
                "genes_at_equal_depth: genes expected among equally many counts; entropy: of the topic proportions, "
                "high in cells that mix programmes; is_tip: on no shortest way between two others; score: sum of the "
                "last three kinds of evidence in units of the spread between neighbours. "
                f"Chosen by: {traced.start.origin}.",
                traced.start.candidates,
            )
        )
    if traced.start.manifold.others:
        out.append(
            Table(
                "components",
                "Cells outside the trajectory",
                "Parts of the joint graph that are not connected to the start cell; they have no pseudotime.",
                component_table(traced),
            )
        )
    return out


def metrics(traced: TrajectoryOutput) -> list[Metric]:
    """Key figures."""
    n_lineages = len(traced.supported_lineages)
    shift = np.corrcoef(_ranks(traced.found.pseudotime), _ranks(traced.found.path_pseudotime))[0, 1]
    out = [
        Metric("Lineages", n_lineages, key=True, help="terminal states with support; 0: no supported trajectory"),
        Metric(
            "Cells in the trajectory", len(traced.cells), help=f"of {traced.data.n_obs:,}; the rest has no pseudotime"
        ),
        Metric(
            "Agreement of the assays on pseudotime",
            round(traced.support.correlation, 3),
            key=True,
            help="correlation over cells of the pseudotime predicted from expression topics alone with that from "
            f"accessibility topics alone; above {SUPPORTED:g} supported, below {UNSUPPORTED:g} (on a long way, below "
            f"{NOISE:g}) not better than noise",
        ),
        Metric(
            "Second eigenvalue of the diffusion map",
            round(traced.support.eigenvalue, 3),
            help=f"of at most 1,000 cells; above {SLOW:g}: a long way through few states at a time; below {ROUND:g}: a "
            "round cloud, as cells of one type make",
        ),
        *gap_metric(traced),
        Metric(
            "Closed classes of the transport map",
            traced.found.n_recurrent,
            help="sets of cells the walk cannot leave = eigenvalues of exactly 1",
        ),
        Metric(
            "Rank correlation of pseudotime with shortest-path pseudotime",
            round(float(shift), 3),
            help="1: the clock changed nothing between lineages",
        ),
    ]
    for node, time in zip(traced.tree.nodes["node"], traced.tree.nodes["branch_time"], strict=True):
        if np.isfinite(time):
            out.append(Metric(f"Branch time of {node}", round(float(time), 3), help="pseudotime, 0 to 1"))
    return out


def _ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()


def alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Say what limits the trajectory."""
    return [*_support_alerts(traced), *gap_alerts(traced), *_start_alerts(traced), *_lineage_alerts(traced)]


def _support_alerts(traced: TrajectoryOutput) -> list[Alert]:
    support = traced.support
    found = (
        f"Expression alone and accessibility alone agree on the order of the cells with a correlation of "
        f"{support.correlation:.2f} (n = {support.n_cells:,} cells; good: above {SUPPORTED:g}, noise: below "
        f"{UNSUPPORTED:g}, or below {NOISE:g} on a long way), and the second eigenvalue of the diffusion map is "
        f"{support.eigenvalue:.3f} (a long way: "
        f"above {SLOW:g}; a round cloud, as cells of one type make: below {ROUND:g})."
    )
    if support.verdict == "none":
        return [
            Alert(
                "error",
                "There is no supported trajectory in these cells",
                f"{found} Pseudotime is given, but no lineages and no branches are reported.",
                "Check that the cells span a differentiation and that both topic models found structure.",
            )
        ]
    if support.verdict == "weak":
        return [
            Alert(
                "warning",
                "The trajectory is weakly supported",
                found,
                "Read branches and fates with care; look whether one assay's topics lack structure.",
            )
        ]
    return []


def _proposal_alert(rivals: tuple[tuple[str, str, str], ...]) -> Alert:
    """Say how sure the proposal of a start is, and name the other candidate where evidence disagrees."""
    names = [f"{cell} ({group})" if group else cell for cell, group, _ in rivals]
    if len(rivals) == 1:
        return Alert(
            "warning",
            f"The start cell was proposed, not given: {names[0]}",
            "Among the tips of the manifold, its neighbourhood has the most genes at equal depth and mixes the most "
            f"topics of either assay. Which way time runs cannot be known from a snapshot. {TURNS}",
            REMEDY,
        )
    reasons = [
        f"for {name}: {why}" if why else f"for {name}: the sum of all"
        for name, (_, _, why) in zip(names, rivals, strict=True)
    ]
    return Alert(
        "warning",
        f"It is not clear where the differentiation begins: {names[0]} was proposed, {names[1]} is as possible",
        f"Evidence disagrees ({'; '.join(reasons)}). {TURNS}",
        REMEDY,
    )


def _start_alerts(traced: TrajectoryOutput) -> list[Alert]:
    out = []
    start = traced.start
    if start.origin == "markers":
        out.append(
            Alert(
                "info",
                f"The start cell was proposed, not given: {traced.names[start.manifold.start]}",
                "Among the extremes of the diffusion components, its neighbourhood has the highest expression of the "
                f"start markers. {TURNS}",
                REMEDY,
            )
        )
    if start.origin == "evidence":
        out.append(_proposal_alert(start.rivals))
    if start.missing_markers:
        out.append(
            Alert("warning", f"Start markers that are not in the data were ignored: {', '.join(start.missing_markers)}")
        )
    if start.manifold.others:
        n = sum(len(item.cells) for item in start.manifold.others)
        sizes = ", ".join(f"{item.label}: {len(item.cells):,}" for item in start.manifold.others[:8])
        out.append(
            Alert(
                "warning",
                f"{n:,} cells are not connected to the start cell and have no pseudotime",
                f"The joint graph falls into {1 + len(start.manifold.others)} parts ({sizes}).",
                "Give a start cell of the part you mean, or raise joint.n_neighbors to connect the parts.",
            )
        )
    if traced.params.exclude_topics:
        out.append(
            Alert("info", f"Topics left out of the trajectory, as asked: {', '.join(traced.params.exclude_topics)}")
        )
    n_out = traced.data.n_obs - len(traced.rows)
    if n_out:
        out.append(Alert("info", f"{n_out:,} cells of other groups were left out, as asked (only_groups)"))
    return out


def _lineage_alerts(traced: TrajectoryOutput) -> list[Alert]:
    out = []
    for first, second in traced.tree.shared:
        out.append(
            Alert(
                "warning",
                f"{first} and {second} share their whole path",
                f"The log ratio of the two fates does not come to exceed {traced.tree.threshold:g} "
                f"(branch_rule {traced.tree.rule}).",
                "Lower branch_threshold, or treat them as one lineage.",
            )
        )
    sweep = traced.sweep
    if len(sweep):
        used = sweep.loc[np.isclose(sweep["threshold"], traced.tree.threshold), "topology"].iloc[0]
        near = sweep[sweep["threshold"].between(traced.tree.threshold / 2.01, traced.tree.threshold * 2.01)]
        if (near["topology"] != used).any():
            out.append(
                Alert(
                    "warning",
                    "The order of branches depends on the branch threshold",
                    "Thresholds within a factor of two of the one used give another topology (threshold_sweep).",
                    "Trust the lineages, but not the order in which they part.",
                )
            )
    return out


def methods(traced: TrajectoryOutput) -> str:
    """Methods sentences."""
    p, tree = traced.params, traced.tree
    start = traced.names[traced.start.manifold.start]
    chosen = {
        "given": f"the start cell {start} was given",
        "markers": f"the start cell {start} was chosen by the expression of {', '.join(p.start_markers)}",
        "evidence": f"the start cell {start} was proposed as the tip of the manifold whose neighbourhood has most "
        "genes at equal depth [@hurlbert1971nonconcept] and mixes most topics (sum of standardised values)",
    }[traced.start.origin]
    text = (
        f"Pseudotime was computed as in Palantir [@setty2019palantir] on the joint neighbour graph of "
        f"{len(traced.cells):,} cells [@lynch2022mira]; {chosen}. The graph's diffusion map "
        f"({traced.start.manifold.diffusion.space.shape[1]} components before the largest gap of eigenvalues) gives a "
        f"multiscale space with {p.n_neighbors} neighbours a cell; "
    )
    if p.exclude_topics:
        text += f"topics {', '.join(p.exclude_topics)} were left out of the graph; "
    if p.pseudotime_key:
        text += f"pseudotime was taken from {p.pseudotime_key}. "
    else:
        text += f"shortest paths were refined by {min(p.n_waypoints, len(traced.cells))} waypoints. "
    text += (
        "The transport map keeps the edges of the undirected graph that do not lead back in pseudotime by more than "
        f"{p.backstep:g} local distances. "
    )
    if p.fate_key:
        text += f"Fate probabilities were taken from {p.fate_key}. "
    else:
        ends = "given" if p.terminal_cells else "found as the maxima of the leading left eigenvectors, one for each "
        if not p.terminal_cells:
            ends += (
                f"region in which pseudotime peaks (at least {p.min_cells} cells and {p.min_prominence:g} of the range "
                "of pseudotime apart)"
            )
        text += (
            f"Terminal cells were {ends}; the probability of reaching each was solved from the absorbing Markov chain "
            "(sparse LU factorisation) [@virtanen2020scipy]. "
        )
    if p.clock == "lineages" and not p.pseudotime_key and len(tree.lineages) > 1:
        text += (
            "Lineages were put on one clock: each node of the tree lasts in proportion to its cells, and cells are "
            f"placed by the share of the node's cells before them (resolution {p.resolution:g}). "
            "Near the ends, the order of cells averages path "
            f"length and its ridge prediction from topic proportions (weight {p.topic_weight:g}). "
        )
    if traced.supported:
        text += (
            "The lineage tree follows the branch times of pairs of lineages, judged by the log ratio of their fate "
            f"probabilities relative to the start cell: {branch_sentence(tree)}. "
        )
    else:
        text += (
            "No lineage tree was reported, because the cells show no supported trajectory (agreement of the assays "
            f"{traced.support.correlation:.2f}, second eigenvalue {traced.support.eigenvalue:.3f}, lowest continuity "
            f"of a way {traced.continuity.table['continuity'].min():.3f}). "
        )
    text += (
        "The way to each end was tested for gaps by the committor [@metzner2009transition] of the random walk on the "
        f"neighbour graph: a way is continuous if the emptiest {STRETCH:g} of the committor holds at least "
        f"{p.min_continuity:g} of the cells expected; gaps on every way mean that there is no trajectory. "
    )
    return text + (
        "Values along the tree were smoothed by a Savitzky-Golay filter [@savitzky1964smoothing] in a window of "
        f"{p.stream_window:g} of the range of pseudotime."
    )
