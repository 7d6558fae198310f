"""Read what the trajectory starts from: cells, topics, joint graph, and values given from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.core.representation.projections import joint_representation
from mira_nb.core.trajectory.programmes import side_programmes
from mira_nb.errors import InputError, NotApplicable
from mira_nb.keys import ATAC, JOINT_DISTANCES, JOINT_WEIGHTS, RNA, X_JOINT
from mira_nb.stages.shared.cells import CellAnnotations, cell_annotation, cell_groups, topic_frame
from mira_nb.stages.texts import Texts

from .start import Start, find_cell

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.stages.base import Context

    from .params import TrajectoryParams

TEXTS = Texts(__package__)


MIN_CELLS = 30
"""Cells that a trajectory needs at least."""


@dataclass(frozen=True)
class Inputs:
    """Cells used, their topics and their graph.

    Attributes
    ----------
    annotations
        Groups and batches of all cells.
    rows, names
        (m,) rows of the data that are used (all, or those of the groups chosen), and names of these cells.
    rna_topics, atac_topics
        (n_cells, K) topic proportions of all cells and topics.
    kept_rna, kept_atac
        (n_cells, K) proportions of the topics that are not excluded, scaled to sum to 1.
    joint
        (m, m) distances of the joint nearest-neighbour graph of the cells used.
    space
        (m, d) coordinates that the graph was made from; None where the data hold none.
    side
        Names of topics that vary in every state, by pairs, in the order of falling variation.
    """

    annotations: CellAnnotations
    rows: np.ndarray
    names: pd.Index
    rna_topics: pd.DataFrame
    atac_topics: pd.DataFrame
    kept_rna: np.ndarray
    kept_atac: np.ndarray
    joint: sparse.csr_matrix
    space: np.ndarray | None = None
    side: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Given:
    """Values from outside that replace a step of the inference; None: the step is done.

    Attributes
    ----------
    terminal_cells
        Positions of terminal cells within the start cell's component.
    lineages
        Names of the lineages of these terminal cells.
    pseudotime
        (m,) pseudotime of another method, for the component's cells.
    fates
        (m, Z) fate probabilities of another method, one named column per lineage.
    """

    terminal_cells: list[int] | None
    lineages: list[str] | None
    pseudotime: np.ndarray | None
    fates: pd.DataFrame | None


def read_inputs(data: MuData, params: TrajectoryParams, context: Context) -> Inputs:
    """Read annotations, topics and joint graph of the cells that the parameters choose.

    Raises
    ------
    InputError
        A topic or group named does not exist, or too few cells or topics are left.
    """
    _check_topics(data, params)
    annotations = CellAnnotations(
        groups=cell_groups(data, context.resources),
        batch=cell_annotation(data, context.resources.batch, option="--batch"),
    )
    rna, atac = topic_frame(data, RNA), topic_frame(data, ATAC)
    rows = np.arange(data.n_obs) if not params.only_groups else _group_rows(params, annotations)
    side = _side_programmes(rna, atac, rows, params, seed=context.seed)
    if params.side_programmes == "exclude" and side:
        left_out = [*params.exclude_topics, *(name for pair in side for name in pair)]
        params = params.model_copy(update={"exclude_topics": left_out})
    kept = (_kept_topics(rna, params), _kept_topics(atac, params))
    joint, space = _joint_graph(data, params, rows, kept)
    return Inputs(annotations, rows, data.obs_names[rows], rna, atac, *kept, joint, space, side)


def read_given(data: MuData, params: TrajectoryParams, names: pd.Index, start: Start, inside: np.ndarray) -> Given:
    """Read terminal cells, pseudotime and fate probabilities that are given, for the start cell's component.

    Parameters
    ----------
    names
        Names of the cells used.
    inside
        (m,) rows of the data that are in the start cell's component.

    Raises
    ------
    InputError
        A terminal cell is not connected to the start cell or named twice, or an annotation does not exist.
    """
    terminal_cells, lineages = _terminal_cells(names, params, start)
    return Given(terminal_cells, lineages, _given_pseudotime(data, params, inside), _given_fates(data, params, inside))


def check_connected(inside: np.ndarray, start: str) -> None:
    """Refuse a start cell that is connected to too few cells.

    Raises
    ------
    NotApplicable
        Fewer than ``MIN_CELLS`` cells are in the component of the start cell.
    """
    if len(inside) < MIN_CELLS:
        raise TEXTS.error(NotApplicable, "few_connected", n_cells=len(inside), start=start, least=MIN_CELLS)


def _side_programmes(
    rna: pd.DataFrame, atac: pd.DataFrame, rows: np.ndarray, params: TrajectoryParams, *, seed: int
) -> tuple[tuple[str, str], ...]:
    """Return the pairs of topics that vary in every state, among those that are not excluded."""
    if params.side_programmes == "ignore":
        return ()
    names = [[name for name in topics.columns if name not in params.exclude_topics] for topics in (rna, atac)]
    values = [_kept_topics(topics, params)[rows] for topics in (rna, atac)]
    found = side_programmes(*values, least=params.side_variation, seed=seed)
    return tuple((str(names[0][item.rna]), str(names[1][item.atac])) for item in found)


def _joint_graph(
    data: MuData, params: TrajectoryParams, rows: np.ndarray, kept: tuple[np.ndarray, np.ndarray]
) -> tuple[sparse.csr_matrix, np.ndarray | None]:
    """Return the joint graph of the rows used and its space; a subset gets the neighbours in its own space."""
    graph = sparse.csr_matrix(data.obsp[JOINT_DISTANCES])
    if not params.only_groups and not params.exclude_topics:
        return graph, np.asarray(data.obsm[X_JOINT]) if X_JOINT in data.obsm else None
    k = int(np.diff(graph.indptr).min())
    space = np.asarray(data.obsm[X_JOINT])
    if params.exclude_topics:
        weights = data.uns.get(JOINT_WEIGHTS, {})
        space = joint_representation(*kept, weights=(float(weights.get(RNA, 1.0)), float(weights.get(ATAC, 1.0))))
    return nearest_neighbors(space[rows], k=max(k, 5), metric="manhattan").to_sparse(), space[rows]


def _check_topics(data: MuData, params: TrajectoryParams) -> None:
    """Refuse names of topics that do not exist."""
    known = [*topic_frame(data, RNA).columns, *topic_frame(data, ATAC).columns]
    unknown = [name for name in params.exclude_topics if name not in known]
    if unknown:
        raise TEXTS.error(InputError, "topics_unknown", unknown=unknown, known=known)


def _kept_topics(topics: pd.DataFrame, params: TrajectoryParams) -> np.ndarray:
    """Return the proportions of the topics that are not excluded, scaled to sum to 1."""
    kept = topics.drop(columns=[name for name in params.exclude_topics if name in topics.columns])
    if kept.shape[1] < 2:
        raise TEXTS.error(
            InputError, "few_topics_left", n_left=kept.shape[1], first=topics.columns[0], last=topics.columns[-1]
        )
    values = kept.to_numpy(dtype=np.float64)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _group_rows(params: TrajectoryParams, annotations: CellAnnotations) -> np.ndarray:
    """Return the rows of the groups to use."""
    if annotations.groups is None:
        raise TEXTS.error(InputError, "no_annotation")
    known = sorted(set(annotations.groups))
    unknown = [name for name in params.only_groups if name not in known]
    if unknown:
        raise TEXTS.error(
            InputError, "groups_unknown", annotation=annotations.groups.name, unknown=unknown, known=known
        )
    rows = np.flatnonzero(annotations.groups.isin(params.only_groups).to_numpy())
    if len(rows) < MIN_CELLS:
        raise TEXTS.error(InputError, "few_cells_chosen", n_cells=len(rows), least=MIN_CELLS)
    return rows


def _terminal_cells(
    names: pd.Index, params: TrajectoryParams, start: Start
) -> tuple[list[int] | None, list[str] | None]:
    """Return positions of the terminal cells given, within the component, and the names of their lineages."""
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
            raise TEXTS.error(InputError, "terminal_cell_unconnected", cell=names[row])
        cells.append(place[row])
        labels.append(label or f"lineage {len(labels) + 1}")
    if len(set(cells)) < len(cells) or len(set(labels)) < len(labels):
        raise TEXTS.error(InputError, "terminal_cells_repeated")
    return cells, labels


def lineage_names(cells: np.ndarray, indices: np.ndarray, groups: np.ndarray | None) -> list[str]:
    """Name each lineage by the commonest group around its terminal cell, made unique.

    Parameters
    ----------
    cells
        (Z,) terminal cells.
    indices
        (m, k) nearest neighbours of every cell.
    groups
        (m,) group of every cell; None: the lineages are numbered.
    """
    if groups is None:
        return [f"lineage {i + 1}" for i in range(len(cells))]
    labels = [str(pd.Series(groups[[cell, *indices[cell]]]).mode().iloc[0]) for cell in cells]
    return [
        label if labels.count(label) == 1 else f"{label} ({labels[: i + 1].count(label)})"
        for i, label in enumerate(labels)
    ]


def _given_pseudotime(data: MuData, params: TrajectoryParams, inside: np.ndarray) -> np.ndarray | None:
    """Return the pseudotime of another method; None when no annotation is named."""
    if not params.pseudotime_key:
        return None
    for frame in (data.obs, data.mod[RNA].obs, data.mod[ATAC].obs):
        if params.pseudotime_key in frame:
            return np.asarray(pd.to_numeric(frame[params.pseudotime_key], errors="coerce"), dtype=float)[inside]
    raise TEXTS.error(
        InputError, "pseudotime_unknown", key=params.pseudotime_key, known=list(data.mod[RNA].obs.columns)
    )


def _given_fates(data: MuData, params: TrajectoryParams, inside: np.ndarray) -> pd.DataFrame | None:
    """Return the fate probabilities of another method; None when no table is named."""
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
    raise TEXTS.error(InputError, "fates_unknown", key=params.fate_key, known=list(data.mod[RNA].obsm))
