"""Branches at which primed and terminal genes are sought: those of the lineage tree, and those of the user's groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.errors import InputError
from mira_nb.keys import ATAC, LEIDEN, LINEAGE_STATE, LINEAGE_TREE, PSEUDOTIME
from mira_nb.stages.shared.cells import cell_groups, topic_frame
from mira_nb.stages.texts import Texts
from mira_nb.text import suggest
from mira_nb.typing import Ints

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.io.resources import Resources

    from .params import RegulationParams

TEXTS = Texts(__package__)


@dataclass(frozen=True)
class Branch:
    """Two lineages, what they come from, and the cells where they part.

    Attributes
    ----------
    name
        Name of the branch: its node of the tree, or the precursors.
    lineages
        Names of the two lineages.
    cells
        (cells,) masks of the two lineages.
    precursors
        (cells,) masks of the cells that each lineage comes from.
    at
        Positions of the cells at the branch; empty where there is no common branch.
    ends
        Whether each lineage is an end of the tree; groups that the user names are.
    """

    name: str
    lineages: tuple[str, str]
    cells: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    precursors: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    at: Ints
    ends: tuple[bool, bool] = (True, True)


@dataclass(frozen=True)
class GivenBranch:
    """A branch as the user writes it: names of lineages and of their precursors, topic of the branch ('' = none)."""

    lineages: tuple[str, str]
    precursors: tuple[str, str]
    topic: str

    @property
    def name(self) -> str:
        """Name of the branch."""
        return ", ".join(dict.fromkeys(self.precursors))

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups named, each once."""
        return tuple(dict.fromkeys([*self.precursors, *self.lineages]))


def parse_branch(text: str) -> GivenBranch:
    """Read one entry of the parameter ``branches``.

    Raises
    ------
    InputError
        The text has another form.
    """
    names, at, topic = text.rpartition("@") if "@" in text else (text, "", "")
    parts = [part.strip() for part in names.split("|")]
    pairs = [[name.strip() for name in part.split(" > ")] for part in parts]
    shared = len(parts) == 3 and all(len(pair) == 1 for pair in pairs)
    own = len(parts) == 2 and all(len(pair) == 2 for pair in pairs)
    flat = [name for pair in pairs for name in pair]
    if not (shared or own) or not all(flat) or (at and not topic.strip()):
        raise TEXTS.error(InputError, "branch_not_understood", text=text)
    precursors = (flat[0], flat[0]) if shared else (flat[0], flat[2])
    lineages = (flat[1], flat[2]) if shared else (flat[1], flat[3])
    if lineages[0] == lineages[1] or set(lineages) & set(precursors):
        raise TEXTS.error(InputError, "branch_of_one_group", text=text)
    return GivenBranch(lineages, precursors, topic.strip())


def lineage_nodes(data: MuData) -> pd.DataFrame | None:
    """Return the lineage tree, parents before children: node, parent, branch_time; None without a trajectory."""
    stored = data.uns.get(LINEAGE_TREE)
    if stored is None or LINEAGE_STATE not in data.obs or PSEUDOTIME not in data.obs:
        return None
    nodes = stored.get("nodes", stored) if isinstance(stored, Mapping) else stored
    frame = pd.DataFrame({name: np.asarray(nodes[name]) for name in ("node", "parent", "branch_time")})
    return frame.assign(node=frame["node"].astype(str), parent=frame["parent"].astype(str))


def find_branches(data: MuData, params: RegulationParams, resources: Resources) -> list[Branch]:
    """Return the branches of the lineage tree and those that the user names.

    Raises
    ------
    InputError
        A topic or a group does not exist, or the cells at a branch cannot be found.
    """
    if params.branch_topic:
        _check_topic(data, params.branch_topic, "regulation.branch_topic")
    return [*_tree_branches(data, params), *(_given_branch(text, data, params, resources) for text in params.branches)]


# ---------------------------------------------------------------------- the tree
def _tree_branches(data: MuData, params: RegulationParams) -> list[Branch]:
    tree = lineage_nodes(data)
    if tree is None:
        return []
    state = data.obs[LINEAGE_STATE].astype(str).to_numpy()
    parents = set(tree["parent"])
    out = []
    for parent in tree["node"]:
        children = tree.loc[tree["parent"] == parent, "node"].tolist()
        time = float(tree.loc[tree["node"] == parent, "branch_time"].iloc[0])
        before = state == _state_before(tree, parent, state)
        for pair in combinations(children, 2):
            one, two = (np.isin(state, _clade(tree, child)) for child in pair)
            at = _cells_at(data, params.branch_topic, (state == parent) | one | two, time, params.branch_cells)
            ends = (pair[0] not in parents, pair[1] not in parents)
            out.append(Branch(parent, pair, (one, two), (before, before), at, ends))
    return out


def _clade(tree: pd.DataFrame, node: str) -> list[str]:
    """Return a node and everything below it."""
    out = [node]
    for name in out:
        out += tree.loc[tree["parent"] == name, "node"].tolist()
    return out


def _state_before(tree: pd.DataFrame, node: str, state: NDArray[Any]) -> str:
    """Return the branch's own state, or its nearest ancestor with cells where two branches coincide in pseudotime."""
    parent_of = dict(zip(tree["node"], tree["parent"], strict=True))
    while not (state == node).any() and parent_of.get(node, "") in parent_of:
        node = parent_of[node]
    return node


def _cells_at(data: MuData, topic: str, inside: NDArray[np.bool_], time: float, n: int) -> Ints:
    """Return the cells at the branch: top cells of the branch topic, else those nearest to the branch time."""
    if topic:
        return np.argsort(-topic_frame(data, ATAC)[topic].to_numpy(), kind="stable")[:n]
    pseudotime = data.obs[PSEUDOTIME].to_numpy(float)
    away = np.where(inside & np.isfinite(pseudotime), np.abs(pseudotime - time), np.inf)
    return np.argsort(away, kind="stable")[: min(n, int(np.isfinite(away).sum()))]


# ---------------------------------------------------------------------- the user's groups
def _given_branch(text: str, data: MuData, params: RegulationParams, resources: Resources) -> Branch:
    given = parse_branch(text)
    masks = _members(text, given, data, resources)
    one, two = (masks[name] for name in given.lineages)
    before = (masks[given.precursors[0]], masks[given.precursors[1]])
    topic = given.topic or params.branch_topic
    if topic:
        _check_topic(data, topic, f"regulation.branches: {text!r}")
        at = _cells_at(data, topic, one | two, np.nan, params.branch_cells)
    elif given.precursors[0] != given.precursors[1]:
        at = np.empty(0, dtype=np.int64)
    else:
        inside = before[0] | one | two
        at = _cells_at(data, "", inside, _parting_time(text, data, one, two), params.branch_cells)
    return Branch(given.name, given.lineages, (one, two), before, at)


def _members(text: str, given: GivenBranch, data: MuData, resources: Resources) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the groups named, in the first grouping that has all of them."""
    options: dict[str, pd.Series] = {}
    groups = cell_groups(data, resources)
    if groups is not None:
        options[str(groups.name)] = groups
    options |= {key: data.obs[key] for key in (LINEAGE_STATE, LEIDEN) if key in data.obs}
    lacking: list[str] = []
    for column in options.values():
        values = column.astype(str).to_numpy()
        missing = [name for name in given.groups if not (values == name).any()]
        if not missing:
            return {name: values == name for name in given.groups}
        lacking = lacking or missing
    first = next(iter(options), "")
    known = sorted(set(options[first].astype(str))) if first else []
    close = suggest(lacking[0], known) if lacking else ""
    raise TEXTS.error(InputError, "branch_groups_unknown", text=text, lacking=lacking, annotation=first, close=close)


def _parting_time(text: str, data: MuData, one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Return the branch time of the node of the tree at which two groups of cells part."""
    tree = lineage_nodes(data)
    node = None if tree is None else _common_node(tree, data.obs[LINEAGE_STATE].astype(str), one, two)
    if tree is None or node is None:
        raise TEXTS.error(InputError, "branch_cells_unknown", text=text, traced=tree is not None)
    return float(tree.loc[tree["node"] == node, "branch_time"].iloc[0])


def _common_node(tree: pd.DataFrame, state: pd.Series, one: NDArray[np.bool_], two: NDArray[np.bool_]) -> str | None:
    """Return the last common node of the commonest states of two groups; None where they lie on one path."""
    parent_of = dict(zip(tree["node"], tree["parent"], strict=True))
    paths = []
    for mask in (one, two):
        states = state[mask & state.isin(list(parent_of)).to_numpy()]
        path = [str(states.mode().iloc[0])] if len(states) else []
        while path and parent_of.get(path[-1], "") in parent_of:
            path.append(parent_of[path[-1]])
        paths.append(path)
    common = next((node for node in paths[0] if node in paths[1]), None)
    return None if common is None or common in (paths[0][0], paths[1][0]) else common


def _check_topic(data: MuData, topic: str, where: str) -> None:
    known = [str(name) for name in topic_frame(data, ATAC).columns]
    if topic not in known:
        raise TEXTS.error(InputError, "branch_topic_unknown", where=where, topic=topic, known=known)
