"""What a MuData must hold before a stage can run on it: a checked pair, and what earlier stages leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_nb import keys
from mira_nb.errors import InputError
from mira_nb.keys import ATAC, RNA

from .base import Stage
from .messages import refusal
from .registry import get_stage, upstream
from .result import Slot

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def slot_text(slot: Slot) -> str:
    """Return where a slot is, as one would write it: ``mdata["rna"].obsm["X_topics"]``."""
    owner = "mdata" if slot.modality == keys.JOINT else f'mdata["{slot.modality}"]'
    return f'{owner}.{slot.element}["{slot.key}"]'


def has_slot(data: MuData, slot: Slot) -> bool:
    """Return whether a MuData holds a value at a slot."""
    owner = data if slot.modality == keys.JOINT else data.mod[slot.modality]
    return slot.key in getattr(owner, slot.element)


def check_upstream(data: MuData, stage: Stage[Any]) -> None:
    """Refuse data that lack what the stages before `stage` write.

    Raises
    ------
    InputError
        Names the first function to call.
    """
    before = upstream(stage.name)
    for name in before:
        lacking = [slot for slot in get_stage(name).writes if not has_slot(data, slot)]
        if lacking:
            raise refusal(
                InputError, "results_missing", stage=stage.name, slot=slot_text(lacking[0]), before=before, name=name
            )


def check_data(data: Any) -> None:
    """Refuse what is not a pair of count matrices of the same cells.

    Raises
    ------
    InputError
        Names what was found, what was expected and how to make it right.
    """
    from mudata import MuData

    if not isinstance(data, MuData):
        raise refusal(InputError, "no_mudata", kind=type(data).__name__)
    missing = [name for name in (RNA, ATAC) if name not in data.mod]
    if missing:
        raise refusal(InputError, "no_modality", missing=missing, known=list(data.mod))
    rna, atac = data.mod[RNA], data.mod[ATAC]
    for name, part in ((RNA, rna), (ATAC, atac)):
        _check_names(name, part)
        _check_counts(name, part)
    if not (rna.obs_names.equals(atac.obs_names) and data.obs_names.equals(rna.obs_names)):
        raise refusal(InputError, "cells_differ", n_rna=rna.n_obs, n_atac=atac.n_obs, n_joint=data.n_obs)
    columns = [name for name in (keys.CHROM, keys.START, keys.END) if name not in atac.var]
    if columns:
        raise refusal(InputError, "no_coordinates", columns=columns)


def _check_names(name: str, part: AnnData) -> None:
    for kind, names in (("cell", part.obs_names), ("feature", part.var_names)):
        if not names.is_unique:
            example = names[names.duplicated()][0]
            raise refusal(InputError, "names_repeated", name=name, kind=kind, example=example)


def _check_counts(name: str, part: AnnData) -> None:
    """Refuse anything but counts in CSR, peaks that are not 0 or 1, and cells without counts."""
    from scipy import sparse

    from mira_nb.counts import count_error, find_problem

    matrix: Any = part.X
    stored = getattr(matrix, "format", "") if sparse.issparse(matrix) else ""
    if stored != "csr":
        kind = f"{stored} sparse" if stored else type(matrix).__name__
        raise refusal(InputError, "not_sparse", name=name, kind=kind)
    problem = find_problem(matrix, binary=name == ATAC)
    if problem is not None:
        raise count_error(problem, source=f"{name}: X", cells=part.obs_names, features=part.var_names)
    empty = int((np.diff(matrix.indptr) == 0).sum())
    if empty:
        raise refusal(InputError, "empty_cells", name=name, n_cells=empty)
