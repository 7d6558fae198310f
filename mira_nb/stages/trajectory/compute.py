"""From the MuData to the inferred trajectory: which cells, which start, given values, support."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.representation.projections import ilr, joint_representation
from mira_nb.core.trajectory.continuity import Continuity, judge_continuity
from mira_nb.core.trajectory.infer import Differentiation, Settings, differentiate
from mira_nb.core.trajectory.lineage_tree import (
    LineageTree,
    bootstrap_branch_times,
    branch_time,
    divergence,
    lineage_tree,
    threshold_sweep,
)
from mira_nb.core.trajectory.support import Support, judge_support
from mira_nb.errors import InputError
from mira_nb.keys import ATAC, JOINT_DISTANCES, JOINT_WEIGHTS, RNA, X_JOINT
from mira_nb.stages.shared.cells import CellAnnotations, cell_annotations, topic_frame

from .start import Start, choose_start, find_cell

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.stages.base import Context

    from .params import TrajectoryParams


MIN_CELLS = 30
UNSUPPORTED = "root"
SWEEP = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(frozen=True)
class TrajectoryOutput:
    """All that the stage found.

    Attributes
    ----------
    rows
        Rows of the data that were considered (all, or those of the groups chosen).
    start
        Start cell and manifold.
    found
        The inference, within the start cell's component.
    tree
        Lineage tree; a single node ``root`` when there is no supported trajectory.
    support
        What speaks for a trajectory.
    continuity
        Whether cells stand all along the way of each lineage.
    """

    data: MuData
    params: TrajectoryParams
    annotations: CellAnnotations
    rows: np.ndarray
    start: Start
    found: Differentiation
    tree: LineageTree
    support: Support
    continuity: Continuity
    rna_topics: pd.DataFrame
    atac_topics: pd.DataFrame
    sweep: pd.DataFrame
    intervals: pd.DataFrame

    @property
    def supported(self) -> bool:
        """Whether there is a trajectory at all."""
        return self.support.verdict != "none" and not self.only_gaps

    @property
    def only_gaps(self) -> bool:
        """Whether the way to every end found crosses a gap; ends named by the user stand."""
        return _only_gaps(self.params, self.found, self.continuity)

    @property
    def supported_lineages(self) -> tuple[str, ...]:
        """All lineages, unless every way crosses a gap.

        One thinly joined way among continuous ones occurs in continuous simulated data too, so it is only warned of.
        """
        doubtful = self.continuity.gapped if len(self.continuity.gapped) == len(self.lineages) else ()
        return tuple(name for name in self.lineages if self.supported and name not in doubtful)

    @property
    def cells(self) -> np.ndarray:
        """Rows of the data with a pseudotime."""
        return self.rows[self.start.manifold.cells]

    @property
    def names(self) -> pd.Index:
        """Names of the cells with a pseudotime."""
        return self.data.obs_names[self.cells]

    @property
    def lineages(self) -> tuple[str, ...]:
        """Names of the lineages of the tree."""
        return self.tree.lineages

    @property
    def fates(self) -> np.ndarray:
        """Fate probabilities of the cells with a pseudotime, one column a lineage of the tree."""
        return self.found.fates if self.supported else np.ones((len(self.cells), 1))

    @cached_property
    def pseudotime(self) -> np.ndarray:
        """Pseudotime of all cells of the data (NaN outside)."""
        return self.spread(self.found.pseudotime)

    @cached_property
    def states(self) -> np.ndarray:
        """Node of the tree of all cells of the data (None outside)."""
        out = np.full(self.data.n_obs, None, dtype=object)
        out[self.cells] = self.tree.states
        return out

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the component's cells as a column for all cells (NaN outside)."""
        out = np.full((self.data.n_obs, *values.shape[1:]), np.nan)
        out[self.cells] = values
        return out

    def pair_ratio(self, first: str, second: str) -> np.ndarray:
        """Log ratio of two fate probabilities relative to the start cell's, for all cells (NaN outside)."""
        one, two = (self.fates[:, self.lineages.index(name)] for name in (first, second))
        return self.spread(divergence(one, two, self.start.manifold.start))

    def pair_time(self, first: str, second: str) -> float:
        """Branch time of two lineages; NaN when they never part."""
        one, two = (self.fates[:, self.lineages.index(name)] for name in (first, second))
        threshold = self.params.branch_threshold
        start, rule = self.start.manifold.start, self.params.branch_rule
        time = branch_time(self.found.pseudotime, one, two, start, threshold, rule)
        return time if np.isfinite(time) else np.nan


def settings_of(params: TrajectoryParams) -> Settings:
    """Core settings of the stage's parameters."""
    return Settings(
        n_neighbors=params.n_neighbors,
        n_components=max(params.n_components, params.n_used + 1),
        n_used=params.n_used + 1 if params.n_used else None,
        n_waypoints=params.n_waypoints,
        min_prominence=params.min_prominence,
        min_cells=params.min_cells,
        backstep=params.backstep,
        branch_threshold=params.branch_threshold,
        branch_rule=params.branch_rule,
        synchronised=params.clock == "lineages",
        resolution=params.resolution,
        topic_weight=params.topic_weight,
    )


def compute(data: MuData, params: TrajectoryParams, context: Context) -> TrajectoryOutput:
    """Infer the trajectory of a MuData."""
    settings = settings_of(params)
    _check_topics(data, params)
    annotations = cell_annotations(data, context.resources)
    rna, atac = topic_frame(data, RNA), topic_frame(data, ATAC)
    kept = (_kept_topics(rna, params), _kept_topics(atac, params))
    rows, joint = _cells_used(data, params, annotations, kept)
    names = data.obs_names[rows]
    context.progress(0.05, "diffusion map")
    wanted = params.start_cell if params.start_cell != "" else context.resources.start_cell
    start = choose_start(data, names, rows, joint, params, settings, given=wanted, groups=annotations.groups)
    manifold = start.manifold
    inside = rows[manifold.cells]
    _check_connected(inside, str(names[start.row]))
    terminal, chosen_names = _terminal_cells(names, params, start)
    groups = None if annotations.groups is None else annotations.groups.to_numpy()[inside]

    def name_lineages(cells: np.ndarray) -> list[str]:
        if chosen_names is not None:
            return chosen_names
        return _lineage_names(cells, manifold.neighbors.indices, groups)

    found = differentiate(
        manifold,
        settings,
        terminal_cells=terminal,
        pseudotime=_given_pseudotime(data, params, inside),
        fates=_given_fates(data, params, inside),
        topics=np.column_stack(kept)[inside],
        name_lineages=name_lineages,
        progress=lambda fraction, message: context.progress(0.1 + 0.6 * fraction, message),
    )
    # The shortest-path pseudotime: the clock already knows the topics.
    spaces = [np.asarray(ilr(topics[inside]), dtype=np.float64) for topics in kept]
    support = judge_support(found.path_pseudotime, spaces[0], spaces[1])
    continuity = judge_continuity(manifold.graph, found.pseudotime, found.tree, min_continuity=params.min_continuity)
    tree = found.tree
    if support.verdict == "none" or _only_gaps(params, found, continuity):
        ones = np.ones((len(inside), 1))
        tree = lineage_tree(
            found.pseudotime, ones, [UNSUPPORTED], start=manifold.start, threshold=params.branch_threshold
        )
    return TrajectoryOutput(
        data=data,
        params=params,
        annotations=annotations,
        rows=rows,
        start=start,
        found=found,
        tree=tree,
        support=support,
        continuity=continuity,
        rna_topics=rna,
        atac_topics=atac,
        sweep=_sweep(found, tree, manifold.start, params),
        intervals=_intervals(found, tree, manifold.start, params, seed=context.seed),
    )


def _check_connected(inside: np.ndarray, start: str) -> None:
    if len(inside) < MIN_CELLS:
        raise InputError(
            f"only {len(inside)} cells are connected to the start cell {start}",
            expected=f"at least {MIN_CELLS} connected cells",
            remedy="choose another start cell, or raise joint.n_neighbors",
        )


def _only_gaps(params: TrajectoryParams, found: Differentiation, continuity: Continuity) -> bool:
    """Whether the way to every end that was found, not given, crosses a gap."""
    given = bool(params.terminal_cells) or bool(params.fate_key)
    return not given and len(continuity.gapped) == len(found.lineages)


def _cells_used(
    data: MuData, params: TrajectoryParams, annotations: CellAnnotations, kept: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Rows used and their joint graph; a subset of cells or topics gets the neighbours in its own space."""
    graph = sparse.csr_matrix(data.obsp[JOINT_DISTANCES])
    rows = np.arange(data.n_obs) if not params.only_groups else _group_rows(params, annotations)
    if not params.only_groups and not params.exclude_topics:
        return rows, graph
    k = int(np.diff(graph.indptr).min())
    space = np.asarray(data.obsm[X_JOINT])
    if params.exclude_topics:
        weights = data.uns.get(JOINT_WEIGHTS, {})
        space = joint_representation(*kept, weights=(float(weights.get(RNA, 1.0)), float(weights.get(ATAC, 1.0))))
    return rows, nearest_neighbors(space[rows], k=max(k, 5), metric="manhattan").to_sparse()


def _check_topics(data: MuData, params: TrajectoryParams) -> None:
    known = [*topic_frame(data, RNA).columns, *topic_frame(data, ATAC).columns]
    unknown = [name for name in params.exclude_topics if name not in known]
    if unknown:
        raise InputError(
            f"exclude_topics: there is no topic {', '.join(unknown)}", expected=f"some of: {', '.join(known)}"
        )


def _kept_topics(topics: pd.DataFrame, params: TrajectoryParams) -> np.ndarray:
    """Proportions of the topics that are not excluded, scaled to sum to 1."""
    kept = topics.drop(columns=[name for name in params.exclude_topics if name in topics.columns])
    if kept.shape[1] < 2:
        raise InputError(
            f"exclude_topics leaves {kept.shape[1]} of the topics {topics.columns[0]} to {topics.columns[-1]}",
            expected="at least two topics of each assay",
        )
    values = kept.to_numpy(dtype=np.float64)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _group_rows(params: TrajectoryParams, annotations: CellAnnotations) -> np.ndarray:
    """Rows of the groups to use."""
    if annotations.groups is None:
        raise InputError(
            "only_groups names groups, but no annotation of the cells was given", remedy="give --groups COLUMN"
        )
    known = sorted(set(annotations.groups))
    unknown = [name for name in params.only_groups if name not in known]
    if unknown:
        raise InputError(
            f"only_groups: {annotations.groups.name} has no group {', '.join(unknown)}",
            expected=f"some of: {', '.join(known)}",
        )
    rows = np.flatnonzero(annotations.groups.isin(params.only_groups).to_numpy())
    if len(rows) < MIN_CELLS:
        raise InputError(f"the groups chosen have {len(rows)} cells", expected=f"at least {MIN_CELLS}")
    return rows


def _terminal_cells(
    names: pd.Index, params: TrajectoryParams, start: Start
) -> tuple[list[int] | None, list[str] | None]:
    """Positions of the terminal cells given, within the component, and the names of their lineages."""
    if not params.terminal_cells:
        return None, None
    place = {int(row): k for k, row in enumerate(start.manifold.cells)}
    cells: list[int] = []
    labels: list[str] = []
    for given in params.terminal_cells:
        label, cell = "", given
        if isinstance(given, str) and given not in names and "=" in given:
            label, cell = given.split("=", 1)
        row = find_cell(names, cell, option="terminal cell")
        if row not in place:
            raise InputError(
                f"the terminal cell {names[row]} is not connected to the start cell",
                remedy="choose one of the start cell's component, or raise joint.n_neighbors",
            )
        cells.append(place[row])
        labels.append(label or f"lineage {len(labels) + 1}")
    if len(set(cells)) < len(cells) or len(set(labels)) < len(labels):
        raise InputError("terminal_cells names a cell or a lineage twice", expected="different cells and names")
    return cells, labels


def _lineage_names(cells: np.ndarray, indices: np.ndarray, groups: np.ndarray | None) -> list[str]:
    """Names of lineages: the commonest group around each terminal cell, made unique."""
    if groups is None:
        return [f"lineage {i + 1}" for i in range(len(cells))]
    labels = [str(pd.Series(groups[[cell, *indices[cell]]]).mode().iloc[0]) for cell in cells]
    return [
        label if labels.count(label) == 1 else f"{label} ({labels[: i + 1].count(label)})"
        for i, label in enumerate(labels)
    ]


def _given_pseudotime(data: MuData, params: TrajectoryParams, inside: np.ndarray) -> np.ndarray | None:
    if not params.pseudotime_key:
        return None
    for frame in (data.obs, data.mod[RNA].obs, data.mod[ATAC].obs):
        if params.pseudotime_key in frame:
            return np.asarray(pd.to_numeric(frame[params.pseudotime_key], errors="coerce"), dtype=float)[inside]
    raise InputError(
        f"pseudotime_key {params.pseudotime_key}: the cells have no annotation of that name",
        expected=f"one of: {', '.join(map(str, data.mod[RNA].obs.columns))}",
    )


def _given_fates(data: MuData, params: TrajectoryParams, inside: np.ndarray) -> pd.DataFrame | None:
    if not params.fate_key:
        return None
    for part in (data, data.mod[RNA], data.mod[ATAC]):
        if params.fate_key in part.obsm:
            values: Any = part.obsm[params.fate_key]
            if not isinstance(values, pd.DataFrame):
                values = np.asarray(values)
                columns = [f"lineage {i + 1}" for i in range(values.shape[1])]
                values = pd.DataFrame(values, columns=columns)
            return values.iloc[inside].reset_index(drop=True)
    raise InputError(
        f"fate_key {params.fate_key}: no such table in obsm",
        expected=f"one of: {', '.join(map(str, data.mod[RNA].obsm.keys()))}",
    )


def _sweep(found: Differentiation, tree: LineageTree, start: int, params: TrajectoryParams) -> pd.DataFrame:
    """Trees over a range of thresholds around the one used; empty without a branch."""
    thresholds = sorted({*SWEEP, params.branch_threshold})
    if len(tree.lineages) < 2:
        return pd.DataFrame(columns=["threshold", "topology", "split", "branch_time", "n_trunk"])
    return threshold_sweep(
        found.pseudotime, found.fates, found.lineages, start=start, thresholds=thresholds, rule=params.branch_rule
    )


def _intervals(
    found: Differentiation, tree: LineageTree, start: int, params: TrajectoryParams, *, seed: int
) -> pd.DataFrame:
    """Bootstrap intervals of the branch times; empty without a branch."""
    if len(tree.lineages) < 2 or params.n_resamples == 0:
        return pd.DataFrame(columns=["node", "split", "branch_time", "low", "high", "n_resamples"])
    return bootstrap_branch_times(
        found.pseudotime,
        found.fates,
        tree,
        start=start,
        rng=np.random.default_rng([seed, 11]),
        n_resamples=max(params.n_resamples, 100),
    )
