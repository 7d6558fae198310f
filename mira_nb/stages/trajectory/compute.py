"""Infer the trajectory of a MuData: cells and start, pseudotime and fates, trajectory evidence, lineage tree.

Three pseudotimes occur. The shortest-path pseudotime (``found.path_pseudotime``) measures distances along the manifold;
with ``pseudotime_key`` the values of another method take its place. The aligned pseudotime (``found.pseudotime``) puts
all lineages on one scale and is the one reported; with ``clock="paths"``, or for a given pseudotime, the two are equal.
``TrajectoryOutput.pseudotime`` is the latter for all cells of the data, NaN outside the trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.core.representation.projections import ilr
from mira_nb.core.trajectory.continuity import Continuity, GapRules, judge_continuity
from mira_nb.core.trajectory.infer import Differentiation, Settings, differentiate
from mira_nb.core.trajectory.lineage_tree import (
    LineageTree,
    branch_time,
    divergence,
    lineage_tree,
    threshold_sweep,
)
from mira_nb.core.trajectory.resampling import COLUMNS, Space, resampled_branch_times
from mira_nb.core.trajectory.support import SupportRules, TrajectoryEvidence, judge_support
from mira_nb.stages.shared.cells import CellAnnotations

from .inputs import Given, Inputs, check_connected, lineage_names, read_given, read_inputs
from .start import Start, choose_start

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.stages.base import Context

    from .params import TrajectoryParams


UNSUPPORTED = "root"
"""Name of the only node when no lineages are drawn."""
SWEEP = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Branch thresholds at which the tree is built again."""


@dataclass(frozen=True)
class TrajectoryOutput:
    """Everything that the stage infers: all that slots, tables, figures and texts are made from.

    Attributes
    ----------
    rows
        Rows of the data that were considered (all, or those of the groups chosen).
    start
        Start cell, and the manifold of the m cells connected to it.
    found
        Pseudotime, fate probabilities and tree of these m cells.
    tree
        Lineage tree; a single node ``root`` when no lineages are drawn (see :attr:`drawn`).
    support
        Trajectory evidence: agreement of the assays and second eigenvalue of the diffusion map.
    continuity
        Whether each lineage is continuously populated along pseudotime.
    rna_topics, atac_topics
        (n_cells, K) topic proportions of all cells.
    sweep, intervals
        Trees for other branch thresholds, and intervals of the branch times from trajectories of random halves of the
        cells; empty without a branch.
    side
        Pairs of topics that vary in every state.
    alternative
        The same from the rival start, where the direction is not established; None otherwise.
    """

    data: MuData
    params: TrajectoryParams
    annotations: CellAnnotations
    rows: np.ndarray
    start: Start
    found: Differentiation
    tree: LineageTree
    support: TrajectoryEvidence
    continuity: Continuity
    rna_topics: pd.DataFrame
    atac_topics: pd.DataFrame
    sweep: pd.DataFrame
    intervals: pd.DataFrame
    side: tuple[tuple[str, str], ...] = ()
    alternative: TrajectoryOutput | None = None

    @property
    def supported(self) -> bool:
        """Return whether the evidence speaks for a trajectory: the assays agree, and not every transition has a gap.

        One thinly populated transition among continuous ones occurs in continuous simulated data too, so it only gets
        a warning.
        """
        return _is_supported(self.found, self.support, self.continuity)

    @property
    def drawn(self) -> bool:
        """Return whether lineages are reported: the evidence speaks for them, they are given, or they are asked for."""
        return self.supported or lineages_given(self.params) or self.params.draw_unsupported

    @property
    def only_gaps(self) -> bool:
        """Return whether the transition to every terminal state has a gap."""
        return len(self.continuity.gapped) == len(self.found.lineages)

    @property
    def supported_lineages(self) -> tuple[str, ...]:
        """Return the lineages with trajectory evidence: all or none."""
        return self.lineages if self.supported else ()

    @property
    def cells(self) -> np.ndarray:
        """Return the rows of the data with a pseudotime, (m,)."""
        return self.rows[self.start.manifold.cells]

    @property
    def names(self) -> pd.Index:
        """Return the names of the cells with a pseudotime."""
        return self.data.obs_names[self.cells]

    @property
    def lineages(self) -> tuple[str, ...]:
        """Return the names of the lineages of the tree."""
        return self.tree.lineages

    @property
    def fates(self) -> np.ndarray:
        """Return the fate probabilities of the cells with a pseudotime, one column per lineage of the tree."""
        return self.found.fates if self.drawn else np.ones((len(self.cells), 1))

    @cached_property
    def pseudotime(self) -> np.ndarray:
        """Return the reported pseudotime, 0 to 1, of all cells of the data (NaN outside)."""
        return self.spread(self.found.pseudotime)

    @cached_property
    def states(self) -> np.ndarray:
        """Return the node of the tree of all cells of the data (None outside)."""
        out = np.full(self.data.n_obs, None, dtype=object)
        out[self.cells] = self.tree.states
        return out

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return values of the component's cells as values for all cells of the data (NaN outside)."""
        out = np.full((self.data.n_obs, *values.shape[1:]), np.nan)
        out[self.cells] = values
        return out

    def pair_ratio(self, first: str, second: str) -> np.ndarray:
        """Return the log ratio of two fate probabilities relative to the start cell's, for all cells (NaN outside)."""
        one, two = (self.fates[:, self.lineages.index(name)] for name in (first, second))
        return self.spread(divergence(one, two, self.start.manifold.start))

    def pair_time(self, first: str, second: str) -> float:
        """Return the branch time of two lineages; NaN when they never separate."""
        one, two = (self.fates[:, self.lineages.index(name)] for name in (first, second))
        threshold = self.params.branch_threshold
        start, rule, cap = self.start.manifold.start, self.params.branch_rule, self.params.branch_cap
        time = branch_time(self.found.pseudotime, one, two, start, threshold, rule, cap)
        return time if np.isfinite(time) else np.nan

    @property
    def same_topology(self) -> dict[float, bool]:
        """Return, per threshold of the sweep, whether it gives the topology of the tree; empty without a branch."""
        if not len(self.sweep):
            return {}
        topology = self.sweep.drop_duplicates("threshold").set_index("threshold")["topology"]
        used = topology[np.isclose(topology.index, self.tree.threshold)].tolist()
        return {threshold: name in used for threshold, name in zip(topology.index.tolist(), topology, strict=True)}


def settings_of(params: TrajectoryParams) -> Settings:
    """Translate the stage's parameters into the settings of the inference."""
    return Settings(
        n_neighbors=params.n_neighbors,
        n_components=max(params.n_components, params.n_used + 1),
        n_used=params.n_used + 1 if params.n_used else None,
        n_waypoints=params.n_waypoints,
        min_prominence=params.min_prominence,
        min_cells=params.min_cells,
        backstep=params.backstep,
        branch_threshold=params.branch_threshold,
        min_eigenvalue=params.min_eigenvalue,
        terminal_choice=params.terminal_choice,
        absorbing_cells=params.absorbing_cells,
        sinks=params.fill_sinks,
        teleportation=params.teleportation,
        branch_rule=params.branch_rule,
        branch_cap=params.branch_cap,
        aligned=params.clock == "lineages",
        resolution=params.resolution,
        topic_weight=params.topic_weight,
    )


def lineages_given(params: TrajectoryParams) -> bool:
    """Return whether the user gave terminal cells or fate probabilities, which are used whatever the evidence says."""
    return bool(params.terminal_cells) or bool(params.fate_key)


def gap_rules(params: TrajectoryParams) -> GapRules:
    """Translate the stage's parameters into the numbers of the test for gaps."""
    return GapRules(
        min_continuity=params.min_continuity,
        stretch=params.gap_stretch,
        end_cells=params.gap_end_cells,
        min_judged=params.gap_min_cells,
    )


def compute(data: MuData, params: TrajectoryParams, context: Context) -> TrajectoryOutput:
    """Infer the trajectory of a MuData that holds topics and their joint graph.

    Raises
    ------
    InputError
        A parameter names what does not exist, or too few cells are connected to the start cell.
    ParameterError
        There is no such start cell or terminal cell.
    """
    inputs = read_inputs(data, params, context)
    context.progress(0.05, "diffusion map")
    start = _start(data, params, context, inputs)
    traced = _trace(data, params, context, inputs, start)
    other = start.alternative()
    if other is None:
        return traced
    context.progress(0.4, "the other orientation")
    return replace(traced, alternative=_trace(data, params, context, inputs, other))


def _trace(data: MuData, params: TrajectoryParams, context: Context, inputs: Inputs, start: Start) -> TrajectoryOutput:
    """Infer everything from one start."""
    inside = inputs.rows[start.manifold.cells]
    given = read_given(data, params, inputs.names, start, inside)
    found = _differentiate(params, context, inputs, start, given)
    support = _evidence(params, found, inputs, inside)
    continuity = judge_continuity(start.manifold.graph, found.pseudotime, found.tree, rules=gap_rules(params))
    tree = _reported_tree(params, start, found, support, continuity)
    return TrajectoryOutput(
        data=data,
        params=params,
        annotations=inputs.annotations,
        rows=inputs.rows,
        start=start,
        found=found,
        tree=tree,
        support=support,
        continuity=continuity,
        rna_topics=inputs.rna_topics,
        atac_topics=inputs.atac_topics,
        sweep=_sweep(found, tree, start.manifold.start, params),
        intervals=_intervals(found, tree, start, inputs, params, context),
        side=inputs.side,
    )


def _start(data: MuData, params: TrajectoryParams, context: Context, inputs: Inputs) -> Start:
    """Return the start cell, given or proposed, and the manifold of the cells connected to it."""
    start = choose_start(
        data,
        inputs.names,
        inputs.rows,
        inputs.joint,
        params,
        settings_of(params),
        given=params.start_cell if params.start_cell != "" else context.resources.start_cell,
        groups=inputs.annotations.groups,
        seed=context.seed,
    )
    check_connected(inputs.rows[start.manifold.cells], str(inputs.names[start.row]))
    return start


def _differentiate(
    params: TrajectoryParams, context: Context, inputs: Inputs, start: Start, given: Given
) -> Differentiation:
    """Infer pseudotime, terminal cells, fate probabilities and tree of the cells connected to the start cell."""
    inside = inputs.rows[start.manifold.cells]
    groups = None if inputs.annotations.groups is None else inputs.annotations.groups.to_numpy()[inside]

    def name_lineages(cells: np.ndarray) -> list[str]:
        return given.lineages or lineage_names(cells, start.manifold.neighbors.indices, groups)

    return differentiate(
        start.manifold,
        settings_of(params),
        terminal_cells=given.terminal_cells,
        pseudotime=given.pseudotime,
        fates=given.fates,
        topics=np.column_stack([inputs.kept_rna, inputs.kept_atac])[inside],
        name_lineages=name_lineages,
        progress=lambda fraction, message: context.progress(0.1 + 0.6 * fraction, message),
    )


def _evidence(
    params: TrajectoryParams, found: Differentiation, inputs: Inputs, inside: np.ndarray
) -> TrajectoryEvidence:
    """Compare what each assay alone says of the shortest-path pseudotime; the aligned one already knows the topics."""
    rna, atac = (np.asarray(ilr(kept[inside]), dtype=np.float64) for kept in (inputs.kept_rna, inputs.kept_atac))
    rules = SupportRules(
        supported=params.agreement_supported,
        unsupported=params.agreement_none,
        noise=params.agreement_noise,
        slow=params.eigenvalue_long,
        round=params.eigenvalue_round,
    )
    return judge_support(found.path_pseudotime, rna, atac, rules=rules)


def _reported_tree(
    params: TrajectoryParams, start: Start, found: Differentiation, support: TrajectoryEvidence, continuity: Continuity
) -> LineageTree:
    """Return the tree found, or a single node when nothing supports, gives or asks for lineages."""
    if _is_supported(found, support, continuity) or lineages_given(params) or params.draw_unsupported:
        return found.tree
    ones = np.ones((len(found.pseudotime), 1))
    return lineage_tree(
        found.pseudotime,
        ones,
        [UNSUPPORTED],
        start=start.manifold.start,
        threshold=params.branch_threshold,
        rule=params.branch_rule,
        cut=params.branch_cap,
    )


def _is_supported(found: Differentiation, support: TrajectoryEvidence, continuity: Continuity) -> bool:
    """Return whether the assays agree on a path and the transition to some terminal state is continuous."""
    return support.verdict != "none" and len(continuity.gapped) < len(found.lineages)


def _sweep(found: Differentiation, tree: LineageTree, start: int, params: TrajectoryParams) -> pd.DataFrame:
    """Return the trees for a range of thresholds and the one used; empty without a branch."""
    thresholds = sorted({*SWEEP, params.branch_threshold})
    if len(tree.lineages) < 2:
        return pd.DataFrame(columns=["threshold", "topology", "split", "branch_time", "n_trunk"])
    return threshold_sweep(
        found.pseudotime,
        found.fates,
        found.lineages,
        start=start,
        thresholds=thresholds,
        rule=params.branch_rule,
        cut=params.branch_cap,
    )


def _intervals(
    found: Differentiation,
    tree: LineageTree,
    start: Start,
    inputs: Inputs,
    params: TrajectoryParams,
    context: Context,
) -> pd.DataFrame:
    """Return intervals of the branch times; empty without a branch and where there is no honest one.

    The first cell beyond the threshold is an extreme value, whose sampling error no resampling gives; pseudotime and
    fates of another method cannot be repeated.
    """
    repeated = params.branch_rule == "ramp" and not params.pseudotime_key and not params.fate_key
    if len(tree.lineages) < 2 or params.branch_resamples == 0 or inputs.space is None or not repeated:
        return pd.DataFrame(columns=list(COLUMNS))
    context.progress(0.7, "intervals of the branch times")
    cells = start.manifold.cells
    topics = np.column_stack([inputs.kept_rna, inputs.kept_atac])[inputs.rows[cells]]
    k = int(np.diff(inputs.joint.indptr).min())
    return resampled_branch_times(
        found,
        start.manifold.start,
        Space(inputs.space[cells], max(k, 5), topics),
        settings_of(params),
        rng=np.random.default_rng([context.seed, 11]),
        n_resamples=params.branch_resamples,
    )
