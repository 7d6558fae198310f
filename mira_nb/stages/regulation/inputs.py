"""Inputs of the regulation models, gathered from the MuData: decoders, cells, genes, peak sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.regulation.geometry import PeakSets, gene_peaks
from mira_nb.core.regulation.model import Cells, Gauge, expression_normalizer
from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import InputError, ResourceError, StoreError
from mira_nb.keys import ATAC, CHROM, END, MODELLED, READ_DEPTH, RNA, START, TOPIC_MODEL
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.typing import Ints

if TYPE_CHECKING:
    from mudata import MuData

    from .params import RegulationParams


def model_decoder(data: MuData, modality: str) -> tuple[Decoder, Ints]:
    """Return the decoder of a fitted topic model and the columns it covers.

    Raises
    ------
    StoreError
        The modality has no topic model.
    """
    part = data.mod[modality]
    if TOPIC_MODEL not in part.uns:
        raise StoreError(
            f"the data hold no topic model of the modality {modality}",
            remedy=f"run the stage topics_{modality} first",
        )
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
        raise StoreError(
            f"the accessibility topic model covers {accessibility.n_features:,} peaks, but {len(modelled_peaks):,} are "
            f"marked as modelled",
            remedy="run the stage topics_atac again",
        )
    return cells, modelled_peaks


def chosen_genes(data: MuData, params: RegulationParams) -> Ints:
    """Return positions of the genes to model.

    Raises
    ------
    InputError
        A listed gene is not in the data.
    """
    names = data.mod[RNA].var_names
    if params.genes == "all":
        return model_decoder(data, RNA)[1]
    lower = {str(name).casefold(): i for i, name in reversed(list(enumerate(names)))}
    asked = [str(gene).casefold() for gene in params.genes]
    missing = [gene for gene, key in zip(params.genes, asked, strict=True) if key not in lower]
    if missing:
        raise InputError(
            f"regulation.genes: {len(missing)} of {len(asked)} genes are not in the data: {', '.join(missing[:8])}",
            remedy="correct the names (case does not matter) or leave them out",
        )
    return np.array(list(dict.fromkeys(lower[key] for key in asked)), dtype=np.int64)


def peak_sets(
    data: MuData,
    params: RegulationParams,
    table: pd.DataFrame,
    names: list[str],
    modelled: Ints,
    path: Any,
) -> tuple[PeakSets, pd.DataFrame]:
    """Assign modelled peaks to genes; return the sets and the table of these peaks.

    Raises
    ------
    ResourceError
        No gene has a peak in its window.
    """
    atac = data.mod[ATAC]
    peaks = pd.DataFrame({"chrom": atac.var[CHROM].astype(str), "start": atac.var[START], "end": atac.var[END]})
    peaks = peaks.iloc[modelled].reset_index(drop=True)
    openness = None
    if params.tss == "open":
        openness = np.asarray(sparse.csr_matrix(atac.X).mean(axis=0)).ravel()[modelled]
    sets = gene_peaks(
        peaks,
        table,
        names,
        window=round(params.window_kb * 1000),
        promoter=params.promoter_bp,
        other_promoters=params.other_promoters,
        openness=openness,
    )
    if not (sets.status == "ok").any():
        raise ResourceError(
            f"{path}: none of the {len(names):,} genes has a peak in its window",
            expected="gene names and chromosomes as in the data, positions of the same genome",
            remedy="check that the TSS file belongs to the genome the reads were aligned to",
        )
    return sets, peaks
