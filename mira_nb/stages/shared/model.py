"""A fitted topic model with the names of its features, for topics of new cells."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.chromosomes import plain_name
from mira_nb.errors import InputError
from mira_nb.io.peaks import peak_coordinates
from mira_nb.keys import ATAC, CHROM, END, MODELLED, RNA, START, TOPIC_MODEL
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from mira_nb.core.topics.fit import TopicFit

TEXTS = Texts(__package__)


@dataclass(frozen=True)
class FeatureMatch:
    """Where the features of a model stand in new data.

    Attributes
    ----------
    positions
        (model's features,) column of the new data, -1 for a missing feature.
    features
        Names of the model's features.
    n_by_name, n_by_coordinates
        How many were found by name, and of the rest by equal coordinates (peaks only).
    n_unused
        Number of features of the new data that the model does not use.
    """

    positions: np.ndarray
    features: pd.Index
    n_by_name: int
    n_by_coordinates: int
    n_unused: int

    @property
    def missing(self) -> pd.Index:
        """Names of the model's features that the new data lack."""
        return self.features[self.positions < 0]


@dataclass(frozen=True)
class Model:
    """A run's topic model of one modality.

    Attributes
    ----------
    modality
        ``rna`` or ``atac``.
    fit
        The fitted model.
    var
        The modelled features by name, in the model's order; peaks with ``chrom``, ``start``, ``end``.
    topic_names
        Names of the topics, ``e1``, ... or ``a1``, ...
    """

    modality: Literal["rna", "atac"]
    fit: TopicFit
    var: pd.DataFrame
    topic_names: list[str]

    @property
    def features(self) -> pd.Index:
        """Names of the modelled features."""
        return self.var.index

    def match(self, adata: AnnData) -> FeatureMatch:
        """Match the model's features by name; peaks that no name matches by chromosome, start and end (all equal).

        Of several features with one name the first counts.
        """
        positions = _lookup(adata.var_names.astype(str), self.features.astype(str))
        n_by_name = int((positions >= 0).sum())
        if self.modality == ATAC and (positions < 0).any():
            by_place = _by_coordinates(self.var, adata.var)
            taken = np.isin(by_place, positions[positions >= 0])
            positions = np.where((positions < 0) & ~taken, by_place, positions)
        found = positions[positions >= 0]
        return FeatureMatch(
            positions, self.features, n_by_name, len(found) - n_by_name, adata.n_vars - len(np.unique(found))
        )

    def transform(self, adata: AnnData, *, layer: str | None = None, n_threads: int = 1) -> pd.DataFrame:
        """Return topics of new cells, cells x topics; rows sum to one.

        Missing genes count as unmeasured: they pull the topics of no cell. Missing peaks count as closed. Peak counts
        above one count as one.

        Parameters
        ----------
        adata
            Raw counts of the new cells.
        layer
            Layer that holds the counts; None: ``X``.
        n_threads
            Number of threads.

        Returns
        -------
        DataFrame
            NaN in the rows of cells without any count in the modelled features. ``attrs`` has ``n_features``,
            ``n_by_name``, ``n_by_coordinates``, ``n_missing``, ``n_unused`` and ``n_cells_without_counts``.

        Warns
        -----
        UserWarning
            Features are missing, or cells have no counts.

        Raises
        ------
        InputError
            No feature matches, the layer does not exist, or the matrix does not hold counts.
        """
        if layer is not None and layer not in adata.layers:
            raise TEXTS.error(InputError, "layer_unknown", layer=layer, known=sorted(adata.layers))
        match = self.match(adata)
        if len(match.missing) == len(self.features):
            raise TEXTS.error(
                InputError,
                "no_common_feature",
                n_features=len(self.features),
                noun=self._noun,
                ours=_some(self.features),
                theirs=_some(adata.var_names),
            )
        counts = _aligned(adata.X if layer is None else adata.layers[layer], match.positions, self.modality == ATAC)
        topics = self.fit.encode(counts, missing=match.positions < 0, n_threads=n_threads)
        empty = np.diff(counts.indptr) == 0
        topics[empty] = np.nan
        frame = pd.DataFrame(topics, index=adata.obs_names, columns=self.topic_names)
        facts: dict[Hashable, Any] = {
            "n_features": len(self.features),
            "n_by_name": match.n_by_name,
            "n_by_coordinates": match.n_by_coordinates,
            "n_missing": len(match.missing),
            "n_unused": match.n_unused,
            "n_cells_without_counts": int(empty.sum()),
        }
        frame.attrs.update(facts)
        self._warn(match, adata.obs_names[empty])
        return frame

    @property
    def _noun(self) -> str:
        return "genes" if self.modality == RNA else "peaks"

    def _warn(self, match: FeatureMatch, empty: pd.Index) -> None:
        if len(match.missing):
            warnings.warn(
                TEXTS.text(
                    "features_missing",
                    n_missing=len(match.missing),
                    n_features=len(self.features),
                    modality=self.modality,
                    examples=_some(match.missing),
                ),
                stacklevel=3,
            )
        if len(empty):
            warnings.warn(
                TEXTS.text("cells_without_counts", n_cells=len(empty), modality=self.modality, examples=_some(empty)),
                stacklevel=3,
            )


def model_of(data: MuData, modality: Literal["rna", "atac"]) -> Model:
    """Return the topic model that the data of a run hold."""
    from mira_nb.core.topics.fit import TopicFit

    part = data.mod[modality]
    stored = part.uns[TOPIC_MODEL]
    var = part.var.loc[part.var[MODELLED].to_numpy(bool)] if MODELLED in part.var else part.var
    return Model(modality, TopicFit.from_arrays(stored), var, [str(name) for name in stored["topic_names"]])


def _lookup(available: pd.Index, wanted: pd.Index) -> np.ndarray:
    first = np.flatnonzero(~available.duplicated())
    found = available[first].get_indexer(wanted)
    return np.where(found >= 0, first[np.maximum(found, 0)] if len(first) else -1, -1)


def _by_coordinates(reference: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    """Return the position of the new peak with the coordinates of each reference peak, -1 without one."""
    missing = np.full(len(reference), -1)
    try:
        found = peak_coordinates(new, source="the new data")
    except InputError:  # peaks without coordinates can only match by name
        return missing
    if not {CHROM, START, END} <= set(reference):
        return missing
    columns = np.flatnonzero(found.valid)
    at = _lookup(_places(found.frame), _places(reference))
    return np.where(at >= 0, columns[np.maximum(at, 0)], -1)


def _places(frame: pd.DataFrame) -> pd.Index:
    chrom = frame[CHROM].astype(str)
    plain = chrom.map({name: plain_name(name) for name in chrom.unique()})
    return pd.Index(plain + ":" + frame[START].astype(int).astype(str) + "-" + frame[END].astype(int).astype(str))


def _aligned(matrix: Any, positions: np.ndarray, binary: bool) -> sparse.csr_matrix:
    """Return the columns at the given positions, zeros for -1."""
    counts = sparse.csc_matrix(matrix)
    known = np.flatnonzero(positions >= 0)
    part = sparse.coo_matrix(counts[:, positions[known]])
    out = sparse.csr_matrix((part.data, (part.row, known[part.col])), shape=(counts.shape[0], len(positions)))
    out.eliminate_zeros()
    if binary:
        out.data = np.where(out.data > 1, 1, out.data).astype(out.dtype)
    return out


def _some(names: pd.Index) -> str:
    shown = ", ".join(map(str, names[:3]))
    return f"{shown}, ..." if len(names) > 3 else shown
