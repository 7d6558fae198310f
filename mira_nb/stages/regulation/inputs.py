"""Inputs of the regulation models, gathered from the MuData: genes and peak sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.regulation.geometry import PeakSets, gene_peaks
from mira_nb.counts import positive_per_column
from mira_nb.errors import InputError, ResourceError
from mira_nb.keys import ATAC, CHROM, END, RNA, START
from mira_nb.stages.shared.regulation_cells import model_decoder
from mira_nb.stages.texts import Texts
from mira_nb.typing import Ints

if TYPE_CHECKING:
    from mudata import MuData

    from .params import RegulationParams

TEXTS = Texts(__package__)


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
        raise TEXTS.error(InputError, "genes_unknown", n_missing=len(missing), n_asked=len(asked), missing=missing)
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
        openness = positive_per_column(sparse.csr_matrix(atac.X))[modelled] / atac.n_obs
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
        raise TEXTS.error(ResourceError, "no_peak_near", path=path, n_genes=len(names))
    return sets, peaks
