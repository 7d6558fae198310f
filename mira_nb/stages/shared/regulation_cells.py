"""Cells as the regulation models need them, from the fitted topic models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mira_nb.core.regulation.model import Cells, Gauge, expression_normalizer
from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import StoreError
from mira_nb.keys import ATAC, MODELLED, READ_DEPTH, RNA, TOPIC_MODEL
from mira_nb.stages.texts import Texts
from mira_nb.typing import Ints

from .cells import topic_frame

if TYPE_CHECKING:
    from mudata import MuData

TEXTS = Texts(__package__)


def model_decoder(data: MuData, modality: str) -> tuple[Decoder, Ints]:
    """Return the decoder of a fitted topic model and the columns it covers.

    Raises
    ------
    StoreError
        The modality has no topic model.
    """
    part = data.mod[modality]
    if TOPIC_MODEL not in part.uns:
        raise TEXTS.error(StoreError, "no_topic_model", modality=modality)
    covered = np.asarray(part.var[MODELLED], bool) if MODELLED in part.var else np.ones(part.n_vars, bool)
    return Decoder.from_arrays(part.uns[TOPIC_MODEL]), np.flatnonzero(covered)


def build_cells(data: MuData, genes: Ints, *, gauge: Gauge = "median") -> tuple[Cells, Ints]:
    """Return the cells as the models need them, and the positions of the peaks of the accessibility model.

    Parameters
    ----------
    data
        With both topic models.
    genes
        Positions of the genes in the RNA matrix, (G,).
    gauge
        How the denominator of the composition is pinned (parameter ``normalizer``).

    Raises
    ------
    StoreError
        A topic model is missing, or the accessibility model covers other peaks than those marked as modelled.
    """
    rna, atac = data.mod[RNA], data.mod[ATAC]
    expression, modelled_genes = model_decoder(data, RNA)
    accessibility, modelled_peaks = model_decoder(data, ATAC)
    topics = topic_frame(data, RNA).to_numpy()
    if READ_DEPTH in rna.obs:
        depth = rna.obs[READ_DEPTH].to_numpy(np.float64)
    else:
        depth = np.asarray(sparse.csr_matrix(rna.X)[:, modelled_genes].sum(axis=1), dtype=np.float64).ravel()
    cells = Cells.build(
        sparse.csc_matrix(rna.X)[:, genes],
        log_depth=np.log(np.maximum(depth, 1e-3)),
        log_normalizer=expression_normalizer(expression, topics, gauge=gauge),
        topics=topic_frame(data, ATAC).to_numpy(),
        decoder=accessibility,
    )
    if accessibility.n_features != len(modelled_peaks) or len(atac.var) < len(modelled_peaks):
        raise TEXTS.error(
            StoreError, "topic_model_does_not_fit", n_features=accessibility.n_features, n_modelled=len(modelled_peaks)
        )
    return cells, modelled_peaks
