"""The joint space of some cells, its nearest-neighbour graph and its clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.representation.neighbors import Neighbors
from mira_nb.keys import ATAC, RNA
from mira_nb.stages.shared.cells import topic_frame

from .weights import Weights, modality_weights

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.stages.base import Context

    from .params import JointParams


@dataclass(frozen=True)
class JointSpace:
    """Coordinates of the cells in the joint space, weights of the modalities, graph and clusters."""

    coordinates: np.ndarray
    weights: Weights
    neighbors: Neighbors
    graph: sparse.csr_matrix
    clusters: pd.Categorical


def joint_space(data: MuData, params: JointParams, context: Context, *, whose: str = "") -> JointSpace:
    """Compute the joint space of all cells of `data`; `whose` says in messages which cells these are."""
    from mira_nb.core.representation.neighbors import connectivities, leiden, nearest_neighbors
    from mira_nb.core.representation.projections import joint_representation

    topics = [topic_frame(data, name).to_numpy() for name in (RNA, ATAC)]
    weights = modality_weights(data, params.weights, floor=params.floor, context=context)
    joint = joint_representation(*topics, floor=params.floor, weights=(weights.rna, weights.atac))
    context.progress(0.05, f"neighbours in the joint space{whose}")
    neighbors = nearest_neighbors(joint, k=params.n_neighbors, metric="manhattan", seed=context.seed)
    graph = connectivities(neighbors)
    context.progress(0.2, f"clusters{whose}")
    clusters = leiden(graph, resolution=params.resolution, seed=context.seed)
    names = [str(i) for i in range(int(clusters.max()) + 1)]
    labels = pd.Categorical([names[i] for i in clusters], categories=names)
    return JointSpace(joint, weights, neighbors, graph, labels)
