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
Fallback = Literal["", "no_model", "few_cells", "unreliable"]


@dataclass(frozen=True)
class Weights:
    """Factors of the two modalities' coordinates.

    Attributes
    ----------
    rna, atac
        The factors; the more reliable modality has 1.
    reliability
        Split-half reliability by modality, from 0 to 1; empty when it was not measured.
    fallback
        Why the weights are equal although reliability was asked for: a modality's topics came without their model,
        too few of its cells have counts in both halves, or no modality is reproduced between halves; empty otherwise.
    fallback_modality
        The modality at fault, ``"RNA"`` or ``"ATAC"``.
    """

    rna: float = 1.0
    atac: float = 1.0
    reliability: dict[str, float] = field(default_factory=dict)
    fallback: Fallback = ""
    fallback_modality: str = ""


def modality_weights(data: MuData, weighting: Weighting, *, floor: float, context: Context) -> Weights:
    """Return weights in proportion to the reliability of each modality's coordinates, or equal weights."""
    if weighting == "balanced":
        return Weights()
    found: dict[str, float] = {}
    for step, name in enumerate((RNA, ATAC)):
        if TOPIC_MODEL not in data.mod[name].uns:
            return Weights(fallback="no_model", fallback_modality=name.upper())
        context.progress(0.02 * step, f"reliability of the {name.upper()} topics")
        value = _reliability(data, name, step, floor=floor, context=context)
        if value is None:
            return Weights(fallback="few_cells", fallback_modality=name.upper())
        found[name] = value
    top = max(found.values())
    if top <= 0:
        return Weights(reliability=found, fallback="unreliable")
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
