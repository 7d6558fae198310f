"""Read annotations, depth, normalised expression and topics of the cells, as several stages need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.counts import log_expression, positive_per_row
from mira_nb.errors import InputError, StoreError
from mira_nb.keys import ATAC, ATAC_TOPIC_PREFIX, CELL_LABEL, RNA, RNA_TOPIC_PREFIX, X_TOPICS
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.io.resources import Resources

TEXTS = Texts(__package__)


MAX_GROUPS = 60
"""Values beyond which an annotation that differs in many cells is refused as a grouping."""
MISSING_GROUP = "not annotated"
"""Group of the cells without a value."""


@dataclass(frozen=True)
class CellAnnotations:
    """The user's annotations of the cells; None where not given."""

    groups: pd.Series | None
    batch: pd.Series | None

    def frame(self) -> pd.DataFrame:
        """Return the annotations as columns named as in the user's data, for colouring."""
        given = [item for item in (self.groups, self.batch) if item is not None]
        return pd.DataFrame({str(item.name): item.to_numpy() for item in given})


def cell_annotation(data: MuData, column: str | None, *, option: str) -> pd.Series | None:
    """Return one annotation of the cells as text categories; cells without a value are called "not annotated".

    Raises
    ------
    InputError
        The column does not exist, or has nearly one value per cell.
    """
    if not column:
        return None
    for frame in (data.obs, data.mod[RNA].obs, data.mod[ATAC].obs):
        if column in frame:
            values = frame[column]
            break
    else:
        known = sorted({str(name) for part in (RNA, ATAC) for name in data.mod[part].obs.columns})
        raise TEXTS.error(InputError, "annotation_unknown", option=option, column=column, known=known)
    text = values.astype(object).map(str, na_action="ignore")
    text = text.where(text.notna(), MISSING_GROUP)
    n_values = text.nunique()
    if n_values > MAX_GROUPS and n_values > len(text) / 10:
        raise TEXTS.error(
            InputError, "not_a_grouping", option=option, column=column, n_values=n_values, n_cells=len(text)
        )
    return pd.Series(text.to_numpy(), index=data.obs_names, name=column)


def cell_annotations(data: MuData, resources: Resources) -> CellAnnotations:
    """Return the groups and batches given with the run (``--groups``, ``--batch``)."""
    return CellAnnotations(
        groups=cell_annotation(data, resources.groups, option="--groups"),
        batch=cell_annotation(data, resources.batch, option="--batch"),
    )


def cell_groups(data: MuData, resources: Resources) -> pd.Series | None:
    """Return the groups to analyse: labels given to the clusters (``--labels``), else ``--groups``; None without both.

    Only stages after the joint representation see labels; they are of the user's making, like ``--groups``, and later.
    """
    if resources.labels is not None and CELL_LABEL in data.obs:
        return cell_annotation(data, CELL_LABEL, option="--labels")
    return cell_annotation(data, resources.groups, option="--groups")


def take_cells(data: MuData, mask: NDArray[np.bool_]) -> MuData:
    """Return some cells of a MuData, with all that is stored of them.

    Parameters
    ----------
    mask
        (cells,) which cells to take.
    """
    import mudata

    with mudata.set_options(pull_on_update=False):
        return data[mask].copy()


def cell_depths(data: MuData) -> pd.DataFrame:
    """Count molecules, genes detected and open peaks of every cell (columns ``n_counts``, ``n_genes``, ``n_peaks``)."""
    rna, atac = sparse.csr_matrix(data.mod[RNA].X), sparse.csr_matrix(data.mod[ATAC].X)
    return pd.DataFrame(
        {
            "n_counts": np.asarray(rna.sum(axis=1)).ravel().astype(np.int64),
            "n_genes": positive_per_row(rna),
            "n_peaks": positive_per_row(atac),
        },
        index=data.obs_names,
    )


def topic_frame(data: MuData, modality: str) -> pd.DataFrame:
    """Return the topic proportions, (cells, K), with columns e1, e2, ... (expression) or a1, a2, ... (accessibility).

    Raises
    ------
    StoreError
        The topic model of this modality has not been fitted.
    """
    container = data.mod[modality].obsm
    if X_TOPICS not in container:
        raise TEXTS.error(StoreError, "no_topics", modality=modality, key=X_TOPICS)
    values: Any = container[X_TOPICS]
    values = np.asarray(values, dtype=np.float64)
    prefix = RNA_TOPIC_PREFIX if modality == RNA else ATAC_TOPIC_PREFIX
    return pd.DataFrame(values, index=data.obs_names, columns=[f"{prefix}{i}" for i in range(1, values.shape[1] + 1)])


def coordinates(values: Any) -> pd.DataFrame:
    """Return the first two dimensions of an embedding as columns x and y, for the charts."""
    array = np.asarray(values)
    return pd.DataFrame({"x": array[:, 0], "y": array[:, 1]})


def gene_expression(data: MuData, genes: list[str]) -> pd.DataFrame:
    """Return log-normalised expression of some genes, (cells, genes): log(1 + counts per 10,000)."""
    rna = data.mod[RNA]
    counts = sparse.csr_matrix(rna.X)
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    picked = log_expression(counts[:, rna.var_names.get_indexer(genes)], totals)
    return pd.DataFrame(picked.toarray(), index=data.obs_names, columns=genes)
