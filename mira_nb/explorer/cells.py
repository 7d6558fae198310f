"""Values of the cells of one run by name: genes, peaks, motifs, topics, NITE, annotations, selections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.charts.theme import natural_sort
from mira_nb.errors import StoreError
from mira_nb.keys import (
    ATAC,
    ATAC_TOPIC_PREFIX,
    CELL_LABEL,
    FATE_PROBABILITIES,
    JOINT,
    JOINT_STAGE,
    LEIDEN,
    LINEAGE_STATE,
    LINEAGE_STATE_ALTERNATIVE,
    MOTIF_SCORES,
    MOTIFS,
    NITE_SCORE,
    PREPARE,
    PSEUDOTIME,
    PSEUDOTIME_ALTERNATIVE,
    REGULATION,
    RNA,
    RNA_TOPIC_PREFIX,
    SUBSET,
    TOPICS_ATAC,
    TOPICS_RNA,
    TRAJECTORY,
    X_JOINT,
    X_TOPICS,
    X_UMAP,
    X_UMAP_PCA,
)
from mira_nb.report.colors import Palette
from mira_nb.report.palette import read_palette
from mira_nb.run.store import RunStore
from mira_nb.typing import Floats

from .columns import Columns
from .kept import Kept
from .messages import refusal

Kind = Literal["gene", "peak", "motif", "topic", "nite", "column", "selection"]
KINDS: Final[tuple[Kind, ...]] = ("column", "topic", "selection", "gene", "nite", "motif", "peak")
"""Kinds of features, in the order in which a search lists them."""
DIFFERENTIAL: Final = "chromatin_differential"
LABELLED: Final = "clusters, named"
MOST_CATEGORIES: Final = 250
"""Categories that a map can tell apart; a column with more is refused."""


@dataclass(frozen=True)
class Feature:
    """Something that cells can be coloured by: kind and name, and what the reader sees."""

    kind: Kind
    name: str
    label: str = ""

    @property
    def key(self) -> str:
        """What stands for it in messages."""
        return f"{self.kind}:{self.name}"

    @property
    def shown(self) -> str:
        """Label, or name."""
        return self.label or self.name


@dataclass(frozen=True)
class Values:
    """Values of all cells.

    Attributes
    ----------
    feature
        What they are of.
    numbers
        (n,) numbers, NaN for missing; None for categories.
    codes, categories
        (n,) positions in `categories`, -1 for missing; None for numbers.
    unit
        In words.
    """

    feature: Feature
    numbers: Floats | None = None
    codes: NDArray[np.int64] | None = None
    categories: tuple[str, ...] = ()
    unit: str = ""


def position(names: pd.Index, name: str) -> int:
    """Return the first place of a name that is there."""
    return int(np.flatnonzero(names == name)[0])


class CellData:
    """One run folder, read piece by piece as it is asked for.

    Parameters
    ----------
    root
        The run folder.

    Raises
    ------
    StoreError
        No stage with a map is done.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.store = RunStore(self.root)
        self.kept = Kept(self.root)
        self.columns = {assay: Columns(self.root, assay) for assay in (RNA, ATAC)}
        self.done = set(self.store.finished())
        if not self.done & {PREPARE, JOINT_STAGE}:
            raise refusal(StoreError, "no_map", folder=self.root)

    # ------------------------------------------------------------------ facts
    @property
    def palette(self) -> Palette:
        """Colours of groups, states, clusters and topics, as in the report; a label has that of its first cluster."""
        found = read_palette(self.root)
        labels = self.kept.labels()
        first = {labels[name]: color for name, color in reversed(list(found.clusters.items())) if name in labels}
        return replace(found, names={**first, **found.names})

    @cached_property
    def names(self) -> pd.Index:
        """Names of the cells that are analysed."""
        return self._index("")[self.mask]

    @cached_property
    def mask(self) -> NDArray[np.bool_] | slice:
        """Cells of the input that are analysed: those of a subset, or all."""
        found = self.slot(JOINT_STAGE, JOINT, "uns", SUBSET) if JOINT_STAGE in self.done else None
        return np.asarray(found["mask"], dtype=bool) if found else slice(None)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where cells, numbered among the analysed ones, stand in the input."""
        return positions if isinstance(self.mask, slice) else np.flatnonzero(self.mask)[positions]

    def _analysed(self, values: Any) -> Any:
        """Return values of the analysed cells; stages before the choice of a subset leave some of all cells."""
        return values if len(values) == len(self.names) else values[self.mask]

    @cached_property
    def genes(self) -> pd.Index:
        """Names of the genes."""
        return self._index("mod/rna", "var")

    @cached_property
    def peaks(self) -> pd.Index:
        """Names of the peaks."""
        return self._index("mod/atac", "var")

    def _index(self, group: str, frame: str = "obs") -> pd.Index:
        from anndata.io import read_elem

        with h5py.File(self.store.input_path, "r") as file:
            place = file[group][frame] if group else file[frame]
            return pd.Index(read_elem(place[place.attrs["_index"]])).astype(str)

    @cached_property
    def map(self) -> tuple[Floats, str]:
        """(n, 2) coordinates of the cells, and what they are: of the joint map, before there is one of expression."""
        if JOINT_STAGE in self.done:
            return np.asarray(self.slot(JOINT_STAGE, JOINT, "obsm", X_UMAP), dtype=float), "joint map"
        return np.asarray(self.slot(PREPARE, RNA, "obsm", X_UMAP_PCA), dtype=float), "map of expression (UMAP of PCA)"

    @cached_property
    def space(self) -> Floats:
        """(n, d) coordinates in which cells are near to each other: the joint space, or the map."""
        found = self.slot(JOINT_STAGE, JOINT, "obsm", X_JOINT) if JOINT_STAGE in self.done else None
        return self.map[0] if found is None else np.asarray(found, dtype=float)

    def slot(self, stage: str, modality: str, element: str, key: str) -> Any:
        """Return one value that a stage left; None where it left none."""
        from anndata.io import read_elem

        with self._opened(stage, modality, element, key) as item:
            return None if item is None else read_elem(item)

    def slot_column(self, stage: str, modality: str, element: str, key: str, position: int) -> Floats | None:
        """Return one column of a dense matrix without reading the rest."""
        with self._opened(stage, modality, element, key) as item:
            return None if item is None else np.asarray(item[:, position], dtype=float)

    def _opened(self, stage: str, modality: str, element: str, key: str) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def opened() -> Iterator[Any]:
            wanted = [modality, element, key]
            try:
                file = h5py.File(self.store.stage_dir(stage) / "slots.h5", "r")
            except OSError:
                yield None
                return
            with file:
                found = [name for name in file if json.loads(str(file[name].attrs["mira_nb_slot"])) == wanted]
                yield file[found[0]] if found else None

        return opened()

    # ------------------------------------------------------------------ what there is
    @cached_property
    def annotations(self) -> pd.DataFrame:
        """Columns of the input and of the stages."""
        from anndata.io import read_elem

        parts: dict[str, Any] = {}
        for stage, column in (
            (JOINT_STAGE, LEIDEN), (JOINT_STAGE, CELL_LABEL), (TRAJECTORY, LINEAGE_STATE), (TRAJECTORY, PSEUDOTIME),
            (TRAJECTORY, LINEAGE_STATE_ALTERNATIVE), (TRAJECTORY, PSEUDOTIME_ALTERNATIVE), (REGULATION, NITE_SCORE),
        ):  # fmt: skip
            value = self.slot(stage, JOINT, "obs", column) if stage in self.done else None
            if value is not None:
                parts[column] = value
        fates = self.slot(TRAJECTORY, JOINT, "obsm", FATE_PROBABILITIES) if TRAJECTORY in self.done else None
        if isinstance(fates, pd.DataFrame):
            parts |= {f"fate {name}": fates[name].to_numpy() for name in fates}
        with h5py.File(self.store.input_path, "r") as file:
            for group in ("obs", "mod/rna/obs", "mod/atac/obs"):
                frame = read_elem(file[group])
                for name in frame.columns:
                    if not str(name).startswith(("rna:", "atac:")):
                        parts.setdefault(str(name), self._analysed(frame[name].array))
        return pd.DataFrame(parts, index=self.names)

    @cached_property
    def topics(self) -> dict[str, Floats]:
        """(n,) fractions of each topic, by name."""
        out: dict[str, Floats] = {}
        for stage, assay, prefix in ((TOPICS_RNA, RNA, RNA_TOPIC_PREFIX), (TOPICS_ATAC, ATAC, ATAC_TOPIC_PREFIX)):
            if stage in self.done:
                found = self._analysed(np.asarray(self.slot(stage, assay, "obsm", X_TOPICS), dtype=float))
                out |= {f"{prefix}{i + 1}": found[:, i] for i in range(found.shape[1])}
        return out

    @cached_property
    def motifs(self) -> pd.DataFrame:
        """Scores of the factors: cells x motif ids; the names of the factors are in :attr:`factors`."""
        found = self.slot(MOTIFS, JOINT, "obsm", MOTIF_SCORES) if MOTIFS in self.done else None
        return found if isinstance(found, pd.DataFrame) else pd.DataFrame(index=self.names)

    @cached_property
    def factors(self) -> dict[str, str]:
        """Name of the factor of each column of :attr:`motifs`."""
        table = self.slot(MOTIFS, ATAC, "uns", MOTIFS) if MOTIFS in self.done else None
        called = {str(name): str(name) for name in self.motifs.columns}
        if isinstance(table, pd.DataFrame) and {"label", "name"} <= set(table.columns):
            called |= {str(label): str(name) for label, name in zip(table["label"], table["name"], strict=True)}
        return called

    # ------------------------------------------------------------------ values
    def values(self, feature: Feature) -> Values:
        """Return the values of all cells.

        Raises
        ------
        StoreError
            The run does not have the feature, or has nothing that a map can show of it.
        """
        found = getattr(self, f"_{feature.kind}")(feature)
        if found is None:
            raise refusal(StoreError, "feature_unknown", kind=feature.kind, name=feature.name)
        out: Values = found
        return out

    def column_values(self, name: str) -> Values | None:
        """Return the values of a column, None where there is none."""
        return self._column(Feature("column", name))

    def _gene(self, feature: Feature) -> Values | None:
        return self._counted(feature, RNA, self.genes, "log(1 + counts per 10,000)")

    def _peak(self, feature: Feature) -> Values | None:
        return self._counted(feature, ATAC, self.peaks, "1: a fragment was counted")

    def _counted(self, feature: Feature, assay: str, names: pd.Index, unit: str) -> Values | None:
        if feature.name not in names:
            return None
        self.columns[assay].make()
        values = self.columns[assay].column(position(names, feature.name))
        return Values(feature, self._analysed(values), unit=unit)

    def _motif(self, feature: Feature) -> Values | None:
        if feature.name not in self.motifs:
            return None
        return Values(feature, self.motifs[feature.name].to_numpy(dtype=float), unit="motif score")

    def _topic(self, feature: Feature) -> Values | None:
        found = self.topics.get(feature.name)
        return None if found is None else Values(feature, found, unit="fraction of the cell")

    def _nite(self, feature: Feature) -> Values | None:
        if feature.name not in self.genes or REGULATION not in self.done:
            return None
        place = position(self.genes, feature.name)
        found = self.slot_column(REGULATION, RNA, "layers", DIFFERENTIAL, place)
        return None if found is None else Values(feature, found, unit="chromatin differential, log LITE / NITE")

    def _selection(self, feature: Feature) -> Values | None:
        cells = self.kept.selections().get(feature.name)
        if cells is None:
            return None
        codes = np.where(self.names.isin(cells), 0, -1)
        return Values(feature, codes=codes, categories=(feature.name,))

    def _column(self, feature: Feature) -> Values | None:
        labels = self.kept.labels()
        if feature.name == LABELLED and labels and LEIDEN in self.annotations:
            column = self.annotations[LEIDEN].astype(str).map(lambda name: labels.get(name, name))
        elif feature.name in self.annotations:
            column = self.annotations[feature.name]
        else:
            return None
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            return Values(feature, column.to_numpy(dtype=float, na_value=np.nan))
        texts = column.astype("object").where(column.notna(), None)
        categories = natural_sort({str(item) for item in texts if item is not None})
        if len(categories) > MOST_CATEGORIES:
            raise refusal(StoreError, "many_values", name=feature.name, n_values=len(categories), most=MOST_CATEGORIES)
        known = {name: i for i, name in enumerate(categories)}
        codes = np.array([-1 if item is None else known[str(item)] for item in texts], dtype=np.int64)
        return Values(feature, codes=codes, categories=tuple(categories))
