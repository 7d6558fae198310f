"""Place the cells of a second experiment in the topics and the joint space of the first, and transfer labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.core.representation.projections import joint_representation
from mira_nb.core.representation.transfer import OUTSIDE_QUANTILE, Placement, mean_position, place, vote
from mira_nb.errors import InputError
from mira_nb.keys import ATAC, JOINT_WEIGHTS, RNA, X_JOINT, X_TOPICS, X_UMAP
from mira_nb.stages.shared.cells import cell_annotation
from mira_nb.stages.shared.model import model_of
from mira_nb.stages.texts import Texts

from .params import JointParams

if TYPE_CHECKING:
    from mudata import MuData

TEXTS = Texts(__package__)


@dataclass(frozen=True)
class Projection:
    """New cells in the topics and the joint space of a reference.

    Attributes
    ----------
    data
        The new cells: ``X_topics`` per modality, ``X_joint``, ``X_umap``, obs ``transferred_label``,
        ``label_confidence``, ``neighbor_distance``, ``outside_reference``.
    topics
        Topics by modality, cells x topics; NaN for cells without counts in the modelled features.
    labels
        One row per cell: cell, label, confidence, neighbor_distance, outside_reference.
    reference_map
        (reference cells, 2) map of the reference.
    column
        Column of the reference's annotation that was transferred.
    k
        Number of neighbours.
    """

    data: MuData
    topics: dict[str, pd.DataFrame]
    labels: pd.DataFrame
    reference_map: np.ndarray
    column: str
    k: int


def project(
    new: MuData, reference: MuData, params: JointParams, *, column: str, n_neighbors: int | None = None
) -> Projection:
    """Project new cells with the reference's models, ILR basis, floor and weights; transfer labels in the joint space.

    Parameters
    ----------
    new
        Checked counts of the new cells.
    reference
        Data of the run with topics and joint space.
    params
        Parameters of the run's stage joint.
    column
        Annotation of the reference to transfer.
    n_neighbors
        Number of reference neighbours; None: that of the run's joint graph.
    """
    labels = cell_annotation(reference, column, option="--label-column")
    if labels is None:
        raise TEXTS.error(InputError, "no_label_column")
    topics = {}
    for name in (RNA, ATAC):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # counted in the frame, said on the page and the terminal
            topics[name] = model_of(reference, name).transform(new.mod[name])
    kept = np.logical_and(*(frame.notna().all(axis=1).to_numpy() for frame in topics.values()))
    if not kept.any():
        raise TEXTS.error(InputError, "no_counts")
    weights = reference.uns.get(JOINT_WEIGHTS, {})
    joint = joint_representation(
        topics[RNA].to_numpy()[kept],
        topics[ATAC].to_numpy()[kept],
        floor=params.floor,
        weights=(float(weights.get(RNA, 1.0)), float(weights.get(ATAC, 1.0))),
    )
    space = np.asarray(reference.obsm[X_JOINT], float)
    placement = place(space, joint, k=n_neighbors or params.n_neighbors)
    own_map = np.asarray(reference.obsm[X_UMAP], float)
    table = _labels(new.obs_names, kept, placement, labels.to_numpy(str))
    data = _annotated(new, topics, table, _filled(kept, joint), _filled(kept, mean_position(own_map, placement)))
    return Projection(data, topics, table, own_map, column, placement.k)


def _labels(cells: pd.Index, kept: np.ndarray, placement: Placement, labels: np.ndarray) -> pd.DataFrame:
    given, confidence = vote(labels, placement)
    frame = pd.DataFrame({"cell": cells.to_numpy(str), "label": "", "confidence": np.nan, "neighbor_distance": np.nan})
    frame["outside_reference"] = False
    frame.loc[kept, "label"] = given
    frame.loc[kept, "confidence"] = confidence
    frame.loc[kept, "neighbor_distance"] = placement.distances.mean(1)
    frame.loc[kept, "outside_reference"] = placement.outside
    return frame


def _filled(kept: np.ndarray, values: np.ndarray) -> np.ndarray:
    out = np.full((len(kept), values.shape[1]), np.nan)
    out[kept] = values
    return out


def _annotated(
    data: MuData, topics: dict[str, pd.DataFrame], table: pd.DataFrame, joint: np.ndarray, positions: np.ndarray
) -> MuData:
    for name, frame in topics.items():
        data.mod[name].obsm[X_TOPICS] = frame.to_numpy()
    data.obsm[X_JOINT], data.obsm[X_UMAP] = joint, positions
    data.obs["transferred_label"] = pd.Categorical(table["label"])
    data.obs["label_confidence"] = table["confidence"].to_numpy()
    data.obs["neighbor_distance"] = table["neighbor_distance"].to_numpy()
    data.obs["outside_reference"] = table["outside_reference"].to_numpy(bool)
    return data


def matching(found: Projection) -> dict[str, dict[str, int]]:
    """Return per modality how many features were matched, missing and unused, and how many cells have no counts."""
    return {name: {str(key): int(value) for key, value in frame.attrs.items()} for name, frame in found.topics.items()}


def captions(found: Projection) -> dict[str, str]:
    """Return the words of the page: its lead, and the captions of map, labels and features."""
    confidence = found.labels.loc[found.labels["label"] != "", "confidence"].mean()
    n_cells, n_reference = len(found.labels), len(found.reference_map)
    return {
        "lead": TEXTS.text("projection_lead", n_cells=n_cells, n_reference=n_reference, confidence=confidence),
        "alt": TEXTS.text("projection_alt"),
        "map": TEXTS.text("projection_map", column=found.column, k=found.k),
        "labels": TEXTS.text("projection_labels", column=found.column, k=found.k),
        "features": TEXTS.text("projection_features"),
    }


def notes(found: Projection) -> list[str]:
    """Return what the reader must know: missing features, cells without topics, cells unlike the reference."""
    out = []
    for name, noun in ((RNA, "genes"), (ATAC, "peaks")):
        facts = matching(found)[name]
        if facts["n_missing"]:
            out.append(
                TEXTS.text(
                    "projection_missing", noun=noun, n_missing=facts["n_missing"], n_features=facts["n_features"]
                )
            )
        if facts["n_cells_without_counts"]:
            out.append(TEXTS.text("projection_empty", noun=noun, n_cells=facts["n_cells_without_counts"]))
    n_outside, n_cells = int(found.labels["outside_reference"].sum()), len(found.labels)
    out.append(TEXTS.text("projection_outside", n_outside=n_outside, n_cells=n_cells, quantile=OUTSIDE_QUANTILE))
    return out
