"""What the explorer shows, read from results.h5mu: the cells' columns, counts of genes, motif scores."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.charts import packed, theme
from mira_nb.counts import log_expression
from mira_nb.errors import StoreError
from mira_nb.keys import (
    ATAC,
    ATAC_TOPIC_PREFIX,
    FATE_PROBABILITIES,
    LEIDEN,
    LINEAGE_STATE,
    MODELLED,
    MOTIF_SCORES,
    PSEUDOTIME,
    RNA,
    RNA_TOPIC_PREFIX,
    X_TOPICS,
    X_UMAP,
)

if TYPE_CHECKING:
    import h5py

CELL_LIMIT: Final = 50_000
"""More cells than this are sampled, as in the other interactive views."""

MAX_LABELS: Final = 60
"""Text columns with more different values than this name cells, not groups, and are left out."""

Part = Literal["column", "topic", "fate"]


@dataclass(frozen=True)
class CellColumn:
    """One column of the cells: its name, where it comes from, and its values (numbers or labels)."""

    name: str
    part: Part
    values: pd.Series


@dataclass(frozen=True)
class Source:
    """Values of the shown cells.

    Attributes
    ----------
    n_all
        Number of cells of the run; more than are shown where they were sampled.
    cells
        SHA-256 of the names of the shown cells, one a line.
    barcodes
        Names of the shown cells.
    xy
        Joint map, (cells, 2).
    columns
        Annotations, topics and fate probabilities.
    genes, counts, depth
        Names of the modelled genes, their counts (cells, genes), and all counts of each cell.
    motifs, motif_scores
        Names of the factors and their scores (cells, factors).
    """

    n_all: int
    cells: str
    barcodes: tuple[str, ...]
    xy: np.ndarray
    columns: tuple[CellColumn, ...]
    genes: tuple[str, ...]
    counts: sparse.csc_matrix
    depth: np.ndarray
    motifs: tuple[str, ...]
    motif_scores: np.ndarray

    def variability(self) -> np.ndarray:
        """Return the variance over cells of every gene's log-normalised expression."""
        values = log_expression(self.counts, self.depth)
        mean = np.asarray(values.mean(axis=0)).ravel()
        return np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2


@contextmanager
def results(root: Path) -> Iterator[h5py.File]:
    """Open results.h5mu of a run folder.

    Raises
    ------
    StoreError
        When there is none, or what the block reads from it is missing or damaged.
    """
    import h5py

    path = Path(root) / "results.h5mu"
    if not path.is_file():
        raise StoreError(f"{path.name} is not in the run folder", remedy="finish the run")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read ({error})", remedy="repeat the command of the run") from None
    with file:
        try:
            yield file
        except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
            raise StoreError(f"{path.name} cannot be read ({error})", remedy="repeat the command of the run") from None


def element(file: h5py.File, path: str) -> Any:
    """Return an element of the file; None where there is none."""
    from anndata.io import read_elem

    return read_elem(file[path]) if path in file else None


def shown_cells(n_cells: int) -> np.ndarray:
    """Return the rows of the shown cells: all, or a sample without replacement."""
    return packed.sample_rows(n_cells, CELL_LIMIT)


def read_source(root: Path) -> Source:
    """Read what the explorer shows.

    Raises
    ------
    StoreError
        When results.h5mu is missing or damaged, or holds no joint map yet.
    """
    with results(root) as file:
        return _source(file)


def _source(file: h5py.File) -> Source:
    layout = element(file, f"obsm/{X_UMAP}")
    if layout is None:
        raise StoreError("results.h5mu holds no joint map", remedy="run the stage joint")
    obs = element(file, "obs")
    rows = shown_cells(len(obs))
    barcodes = tuple(map(str, obs.index[rows]))
    genes, counts, depth = _genes(file, rows)
    motifs, scores = _motifs(file, rows)
    return Source(
        n_all=len(obs),
        cells=hashlib.sha256("\n".join(barcodes).encode("utf-8")).hexdigest(),
        barcodes=barcodes,
        xy=np.asarray(layout, dtype=np.float64)[rows],
        columns=tuple(_columns(file, obs, rows)),
        genes=genes,
        counts=counts,
        depth=depth,
        motifs=motifs,
        motif_scores=scores,
    )


def _columns(file: h5py.File, obs: pd.DataFrame, rows: np.ndarray) -> Iterator[CellColumn]:
    """Yield annotations and results of the cells, fate probabilities, topics of both assays."""
    own = [name for name in obs.columns if not str(name).startswith((f"{RNA}:", f"{ATAC}:"))]
    for name in own:
        column = obs[name].iloc[rows].reset_index(drop=True)
        if usable(column):
            yield CellColumn(str(name), "column", column)
    fates = element(file, f"obsm/{FATE_PROBABILITIES}")
    if fates is not None and PSEUDOTIME in obs:
        frame = pd.DataFrame(fates).iloc[rows].reset_index(drop=True)
        for name in frame.columns:
            yield CellColumn(str(name), "fate", frame[name].astype(float))
    for assay, prefix in ((RNA, RNA_TOPIC_PREFIX), (ATAC, ATAC_TOPIC_PREFIX)):
        topics = element(file, f"mod/{assay}/obsm/{X_TOPICS}")
        for number in range(0 if topics is None else np.shape(topics)[1]):
            values = pd.Series(np.asarray(topics)[rows, number], dtype=float)
            yield CellColumn(f"{prefix}{number + 1}", "topic", values)


def usable(column: pd.Series) -> bool:
    """Return whether a column holds numbers, or labels that repeat."""
    if is_number(column):
        return bool(np.isfinite(column.to_numpy(dtype=np.float64, na_value=np.nan)).any())
    return 1 <= column.dropna().astype(str).nunique() <= MAX_LABELS


def first_groupings(several: Collection[str], given: str) -> list[str]:
    """Return the columns that groups are taken from first: lineage states, the given groups, clusters.

    Parameters
    ----------
    several
        Columns of labels with more than one group.
    given
        The column named with the run; '' for none.
    """
    return [name for name in dict.fromkeys((LINEAGE_STATE, given, LEIDEN)) if name in several]


def is_number(column: pd.Series) -> bool:
    """Return whether a column holds numbers; yes and no are labels."""
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def labels(column: pd.Series) -> Any:
    """Return a text column as categories in natural order; empty names are missing."""
    text = column.astype("object").map(str, na_action="ignore")
    known = theme.natural_sort({str(name) for name in text.dropna()} - {"", "nan"})
    return pd.Categorical(text.where(text.isin(known)), categories=known)


def _genes(file: h5py.File, rows: np.ndarray) -> tuple[tuple[str, ...], sparse.csc_matrix, np.ndarray]:
    counts = sparse.csr_matrix(element(file, f"mod/{RNA}/X"))[rows]
    var = element(file, f"mod/{RNA}/var")
    modelled = np.asarray(var[MODELLED], dtype=bool) if MODELLED in var else np.ones(len(var), dtype=bool)
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    kept = np.flatnonzero(modelled)
    return tuple(map(str, var.index[kept])), sparse.csc_matrix(counts[:, kept]), depth


def _motifs(file: h5py.File, rows: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    scores = element(file, f"obsm/{MOTIF_SCORES}")
    if scores is None:
        return (), np.empty((len(rows), 0))
    names = getattr(scores, "columns", None)
    names = [f"factor {i + 1}" for i in range(np.shape(scores)[1])] if names is None else list(map(str, names))
    return tuple(names), np.asarray(scores, dtype=np.float64)[rows]
