"""Choose the start cell: the cell that the user names, or one proposed with reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mira_nb.core.trajectory.infer import Manifold, Settings, build_manifold
from mira_nb.core.trajectory.pseudotime import split_components
from mira_nb.errors import InputError, ParameterError
from mira_nb.keys import RNA
from mira_nb.stages.shared.cells import gene_expression
from mira_nb.stages.texts import Texts

from .evidence import StartEvidence, weigh_starts

if TYPE_CHECKING:
    from mudata import MuData
    from scipy import sparse

    from .params import TrajectoryParams


TEXTS = Texts(__package__)
Origin = Literal["given", "markers", "evidence"]
Verdict = Literal["given", "chosen by markers", "established", "not established"]
NEAR = 20
"""Neighbours over which the evidence on a candidate is averaged, besides the candidate itself."""


@dataclass(frozen=True)
class Rival:
    """A candidate for the start that some of the evidence speaks for.

    Attributes
    ----------
    cell, group
        Name of the cell and commonest group around it (empty without groups).
    reasons, decisive
        Kinds of evidence that name it: ``chromatin_lead``, ``genes_at_equal_depth``, ``entropy_rna``,
        ``entropy_atac``; those of them that do so decisively.
    row
        Position within the manifold.
    """

    cell: str
    group: str
    reasons: tuple[str, ...]
    decisive: tuple[str, ...]
    row: int


@dataclass(frozen=True)
class Start:
    """Start cell, how it was chosen, and the manifold of the cells connected to it.

    Attributes
    ----------
    row
        Row among the cells used.
    origin
        ``given``, by ``markers``, or by the ``evidence`` of :mod:`.evidence`.
    candidates
        Extremes of the diffusion components with the reasons for and against; empty when the cell was given.
    missing_markers
        Marker genes that are not in the data.
    rivals
        The proposed cell and, where the direction is not established, its strongest rival; empty when the cell was
        given or chosen by markers.
    verdict
        Whether the direction is known: ``given``, ``chosen by markers``, ``established`` by the evidence, or ``not
        established``.
    n_refits
        Refits of the tuning over which the evidence of the topics is weighed.
    """

    row: int
    origin: Origin
    manifold: Manifold
    candidates: pd.DataFrame
    missing_markers: tuple[str, ...] = ()
    rivals: tuple[Rival, ...] = ()
    verdict: Verdict = "given"
    n_refits: int = 0

    def alternative(self) -> Start | None:
        """Return the start of the other orientation: the rival of a direction that is not established."""
        if self.verdict != "not established" or len(self.rivals) < 2:
            return None
        other = self.rivals[1]
        candidates = self.candidates.assign(chosen=self.candidates["cell"] == other.cell)
        manifold = replace(self.manifold, start=other.row)
        return replace(self, row=int(manifold.cells[other.row]), manifold=manifold, candidates=candidates)


def find_cell(names: pd.Index, given: str | int, *, option: str) -> int:
    """Return the row of a cell given by name or position.

    Raises
    ------
    ParameterError
        There is no such cell.
    """
    from mira_nb.text import suggest

    text = str(given)
    if text in names:
        return int(names.get_indexer(pd.Index([text]))[0])
    position = given if isinstance(given, int) else None
    if position is not None and -1 < position < len(names):
        return position
    raise TEXTS.error(
        ParameterError,
        "no_such_cell",
        option=option,
        cell=text,
        n_cells=len(names),
        example=names[0],
        last=len(names) - 1,
        close=suggest(text, [str(name) for name in names[:2000]]),
    )


def choose_start(
    data: MuData,
    names: pd.Index,
    rows: np.ndarray,
    joint: sparse.csr_matrix,
    params: TrajectoryParams,
    settings: Settings,
    *,
    given: str | int | None,
    groups: pd.Series | None,
    seed: int = 0,
) -> Start:
    """Return the cell given, or propose one among the extremes of the diffusion components.

    Parameters
    ----------
    names, rows
        (m,) names of the cells used and their rows in the data.
    joint
        (m, m) distances of the joint graph of the cells used.
    given
        Name or position of the cell; None or empty: propose.
    groups
        (n_cells,) group of every cell of the data; None without groups.
    seed
        Seed of the resampled cells behind the evidence.

    Raises
    ------
    ParameterError
        There is no such cell.
    InputError
        None of the start markers is in the data.
    """
    if given not in (None, ""):
        row = find_cell(names, given if given is not None else "", option="start cell")
        return Start(row, "given", build_manifold(joint, row, settings), pd.DataFrame())
    manifold = _largest_component(joint, settings)
    space = manifold.diffusion.space
    extremes = list(dict.fromkeys(int(k) for column in space.T for k in (column.argmin(), column.argmax())))
    near = np.column_stack([np.arange(len(space)), manifold.neighbors.indices[:, :NEAR]])
    inside = rows[manifold.cells]
    evidence = weigh_starts(data, inside, manifold, near, extremes, params, seed=seed)
    frame = pd.DataFrame({"cell": names[manifold.cells[extremes]].astype(str)})
    frame["component"] = [_which(space, cell) for cell in extremes]
    if groups is not None:
        labels = groups.to_numpy()[inside]
        frame["group"] = [pd.Series(labels[near[cell]]).mode().iloc[0] for cell in extremes]
    frame = pd.concat([frame, evidence.table], axis=1)
    origin: Origin = "evidence"
    score = frame["score"].to_numpy()
    markers, missing = _markers(data, params.start_markers)
    if markers:
        origin = "markers"
        score = _marker_expression(data, markers, inside, near[extremes])
        frame["marker_expression"] = score
    best = int(np.argmax(score))
    rivals = () if markers else _rivals(frame, evidence, extremes)
    verdict: Verdict = "established" if evidence.direction.established else "not established"
    frame["chosen"] = np.arange(len(frame)) == best
    frame = frame.iloc[np.argsort(-score, kind="stable")].reset_index(drop=True)
    placed = replace(manifold, start=extremes[best])
    return Start(
        int(manifold.cells[extremes[best]]),
        origin,
        placed,
        frame,
        missing,
        rivals,
        "chosen by markers" if markers else verdict,
        evidence.n_refits,
    )


def _largest_component(joint: sparse.csr_matrix, settings: Settings) -> Manifold:
    """Return the manifold of the largest component of the joint graph; its start is any of its cells."""
    cells, others = split_components(joint, 0)
    largest = max([cells, *(item.cells for item in others)], key=len)
    return build_manifold(joint, int(largest[0]), settings)


def _marker_expression(data: MuData, markers: list[str], inside: np.ndarray, hoods: np.ndarray) -> np.ndarray:
    """Return the mean expression of the markers, each scaled to a maximum of 1, over each neighbourhood."""
    expression = gene_expression(data, markers).to_numpy()[inside]
    scaled = expression / np.maximum(expression.max(axis=0), 1e-12)
    return np.array([float(scaled[hood].mean()) for hood in hoods])


def _rivals(frame: pd.DataFrame, evidence: StartEvidence, extremes: list[int]) -> tuple[Rival, ...]:
    """Return the tip proposed and, where the direction is not established, the runner-up, with the reasons."""
    direction = evidence.direction
    labels = frame["group"].astype(str) if "group" in frame else pd.Series([""] * len(frame))
    out = []
    for tip in direction.order[: 1 if direction.established else 2]:
        place = int(evidence.tips[tip])
        reasons = tuple(kind for kind, (named, _) in direction.named.items() if named == tip)
        sure = tuple(kind for kind in reasons if direction.named[kind][1])
        out.append(Rival(str(frame["cell"].iloc[place]), labels.iloc[place], reasons, sure, extremes[place]))
    return tuple(out)


def _markers(data: MuData, wanted: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the marker genes found (upper and lower case ignored) and those not found."""
    known = {name.upper(): name for name in map(str, data.mod[RNA].var_names)}
    found = [known[gene.upper()] for gene in wanted if gene.upper() in known]
    missing = tuple(gene for gene in wanted if gene.upper() not in known)
    if wanted and not found:
        raise TEXTS.error(InputError, "no_start_marker", markers=wanted)
    return found, missing


def _which(space: np.ndarray, cell: int) -> str:
    """Name the diffusion components of which the cell is an extreme."""
    parts = []
    for k, column in enumerate(space.T, start=1):
        if column.argmax() == cell:
            parts.append(TEXTS.text("highest_of_component", number=k))
        elif column.argmin() == cell:
            parts.append(TEXTS.text("lowest_of_component", number=k))
    return ", ".join(parts)
