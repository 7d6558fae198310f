"""Fit a topic model: checks of the input, then the phases of :mod:`.fitting`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mira_nb.errors import InputError

from .data import MIN_CELLS, check_counts, check_encoder
from .fitted import TopicFit
from .settings import Modality, TopicSettings, topics_for_size

if TYPE_CHECKING:
    from mira_nb.typing import Progress

    from .nmf import Factorisation

__all__ = ["TopicFit", "fit_topic_model"]


def fit_topic_model(
    counts: Any,
    *,
    modality: Modality,
    settings: TopicSettings | None = None,
    encoder_features: NDArray[np.bool_] | None = None,
    seed: int = 0,
    n_threads: int = 1,
    start: Factorisation | None = None,
    progress: Progress | None = None,
) -> TopicFit:
    """Fit a topic model to the counts of one modality.

    Parameters
    ----------
    counts
        (cells, features) raw counts of the modelled features, sparse or dense; binary for accessibility.
    modality
        ``"expression"`` or ``"accessibility"``.
    settings
        See :class:`TopicSettings`; None takes the defaults of the modality.
    encoder_features
        (features,) mask of features that the encoder reads (default: all).
    seed
        Fixes every random choice; the global generators are not touched.
    n_threads
        Threads of the compiled loops (the result does not depend on them).
    start
        A factorisation of the cells that have counts, to start from; None makes one. For fits without held-out cells.
    progress
        Called with the fraction done and a message; may raise to stop.

    Raises
    ------
    InputError
        If the counts cannot be modelled, or the start is of other cells, features or topics.
    ParameterError
        If there are more topics than cells or features allow.
    """
    from .fitting import Fitting

    settings = settings or TopicSettings.for_modality(modality)
    matrix = check_counts(counts, modality)
    mask = check_encoder(encoder_features, matrix.shape[1], modality)
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if len(filled) < MIN_CELLS:
        raise InputError(
            f"{len(filled)} of {matrix.shape[0]} cells have {modality} counts in the modelled features",
            expected=f"at least {MIN_CELLS} cells",
        )
    median = float(np.median(np.asarray(matrix.sum(axis=1)).ravel()[filled]))
    k = topics_for_size(len(filled), median, modality) if settings.n_topics == "auto" else int(settings.n_topics)
    if settings.n_topics == "auto":
        k = max(2, min(k, min(len(filled), matrix.shape[1]) - 1))
    if k >= min(len(filled), matrix.shape[1]):
        raise InputError(
            f"{k} topics for {len(filled)} cells and {matrix.shape[1]} features",
            remedy="ask for fewer topics (n_topics)",
        )
    fitting = Fitting(matrix, filled, modality, mask, replace(settings, n_topics=k), seed, n_threads, progress)
    if start is not None:
        _check_start(start, len(fitting.training), matrix.shape[1], k)
    return fitting.run(start)


def _check_start(start: Factorisation, n_cells: int, n_features: int, k: int) -> None:
    found, wanted = (start.topics.shape, start.features.shape), ((n_cells, k), (n_features, k))
    if found != wanted:
        raise InputError(
            f"the start has topics {found[0]} and features {found[1]}", expected=f"{wanted[0]} and {wanted[1]}"
        )
