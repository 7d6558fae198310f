"""Weights of the two modalities in the joint space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

from mira_nb.core.representation.projections import ilr
from mira_nb.core.representation.reliability import split_counts, split_half_reliability
from mira_nb.keys import ATAC, MODELLED, RNA, TOPIC_MODEL

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.stages.base import Context


N_CELLS = 2_000
MIN_CELLS = 50
Weighting = Literal["balanced", "reliability"]


@dataclass(frozen=True)
class Weights:
    """Factor of each modality's coordinates.

    Attributes
    ----------
    rna, atac
        The factors; the more reliable modality has 1.
    reliability
        Split-half reliability by modality; empty when it was not measured.
    why_balanced
        Reason for which the modalities count the same although reliability was asked for.
    """

    rna: float = 1.0
    atac: float = 1.0
    reliability: dict[str, float] = field(default_factory=dict)
    why_balanced: str = ""


def modality_weights(data: MuData, weighting: Weighting, *, floor: float, context: Context) -> Weights:
    """Weigh each modality by the reliability of its coordinates, or both the same."""
    if weighting == "balanced":
        return Weights()
    found: dict[str, float] = {}
    for step, name in enumerate((RNA, ATAC)):
        if TOPIC_MODEL not in data.mod[name].uns:
            return Weights(why_balanced=f"The {name.upper()} topics came without the model that made them.")
        context.progress(0.02 * step, f"reliability of the {name.upper()} topics")
        value = _reliability(data, name, step, floor=floor, context=context)
        if value is None:
            return Weights(why_balanced=f"Fewer than {MIN_CELLS} cells have {name.upper()} counts for both halves.")
        found[name] = value
    top = max(found.values())
    if top <= 0:
        return Weights(reliability=found, why_balanced="Neither modality gives coordinates that halves repeat.")
    return Weights(found[RNA] / top, found[ATAC] / top, found)


def _reliability(data: MuData, name: str, step: int, *, floor: float, context: Context) -> float | None:
    from mira_nb.core.topics.fit import TopicFit

    part = data.mod[name]
    rng = np.random.default_rng([context.seed, 3, step])
    cells = np.sort(rng.choice(part.n_obs, min(part.n_obs, N_CELLS), replace=False))
    counts = sparse.csr_matrix(part.X[cells])
    if MODELLED in part.var:
        counts = counts[:, np.flatnonzero(part.var[MODELLED].to_numpy(bool))]
    halves = split_counts(counts, rng)
    both = np.logical_and(*(np.diff(half.indptr) > 0 for half in halves))
    if both.sum() < MIN_CELLS:
        return None
    fit = TopicFit.from_arrays(part.uns[TOPIC_MODEL])
    first, second = (ilr(fit.encode(half[both], n_threads=context.n_threads), floor=floor) for half in halves)
    return split_half_reliability(first, second)
