"""What a run found, as tables: one row per cell, per gene, per peak."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import ParameterError
from mira_nb.keys import (
    ATAC,
    ATAC_TOPIC_PREFIX,
    CELL_LABEL,
    FATE_PROBABILITIES,
    LEIDEN,
    NITE_FDR,
    NITE_PVALUE,
    NITE_SCORE,
    NITE_SHARE,
    RNA,
    RNA_TOPIC_PREFIX,
    TOPIC_ACTIVATIONS,
    X_TOPICS,
)
from mira_nb.run.store import RunStore, read_h5mu
from mira_nb.text import from_spreadsheet_cell

from .messages import message, refusal
from .sources import check_file, output_facts, reading

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

PREFIX = {RNA: RNA_TOPIC_PREFIX, ATAC: ATAC_TOPIC_PREFIX}
LINK_COLUMNS = ("lite_share", "correlation", "pvalue", "adj_pvalue", "background")
"""Columns of the table peak_gene_links that links.bedpe carries."""

_WHOLE: Final = 1e16
"""Whole numbers of this size and above have more digits than a float holds."""


@dataclass(frozen=True)
class RunValues:
    """Results of a run.

    Attributes
    ----------
    data
        The run's results.h5mu.
    record
        Its run.json.
    folder
        Its folder.
    """

    data: MuData
    record: dict[str, Any]
    folder: Path

    @classmethod
    def load(cls, run: Path) -> RunValues:
        """Read a run folder.

        Raises
        ------
        InputError
            When the folder holds no run.
        ParameterError
            When the run has no results.
        StoreError
            When its records or results were changed since they were written, or cannot be read.
        """
        record = RunStore(run).existing_record()
        path = run / "results.h5mu"
        facts = (record.get("written") or {}).get(path.name)
        if not path.exists() and not facts:
            raise refusal(ParameterError, "no_results", run=run)
        check_file(path, facts)
        with reading(path):
            values = cls(read_h5mu(path), record, run)
            if lacking := {RNA, ATAC} - {*values.data.mod}:
                raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
            return values

    @property
    def rna(self) -> AnnData:
        """Expression."""
        return self.data.mod[RNA]

    @property
    def atac(self) -> AnnData:
        """Accessibility."""
        return self.data.mod[ATAC]

    def link_tests(self) -> pd.DataFrame:
        """Return tests of pairs: peak (row of the matrix), gene, :data:`LINK_COLUMNS`; no rows without the table.

        Raises
        ------
        StoreError
            When the table was changed since it was written, or cannot be read.
        """
        path = self.folder / "stages" / "regulation" / "tables" / "peak_gene_links.csv"
        names = ["peak", "gene", *LINK_COLUMNS]
        check_file(path, output_facts(self.record, "regulation", f"tables/{path.name}"))
        if not path.exists():
            return pd.DataFrame({name: pd.Series(dtype=object if name == "gene" else float) for name in names})
        types = {name: str if name in {"peak", "gene"} else float for name in names}
        with reading(path):
            frame = pd.read_csv(path, usecols=names, dtype=types, keep_default_na=False, na_values=[""])
        for name in ("peak", "gene"):
            frame[name] = frame[name].map(from_spreadsheet_cell)
        return frame.assign(peak=self.atac.var_names.get_indexer(frame["peak"]))[names]

    def topics(self, modality: str) -> pd.DataFrame:
        """Return the topics of every cell, columns ``e1``, ... or ``a1``, ...; no columns before the stage ran."""
        part = self.data.mod[modality]
        values = np.asarray(part.obsm[X_TOPICS]) if X_TOPICS in part.obsm else np.empty((part.n_obs, 0))
        return pd.DataFrame(values, index=self.data.obs_names, columns=_names(modality, values.shape[1]))

    def activations(self, modality: str) -> pd.DataFrame:
        """Return the activations of every feature, columns as in :meth:`topics`; missing where not modelled."""
        part = self.data.mod[modality]
        values = np.asarray(part.varm[TOPIC_ACTIVATIONS]) if TOPIC_ACTIVATIONS in part.varm else None
        values = np.empty((part.n_vars, 0)) if values is None else values
        return pd.DataFrame(values, index=part.var_names, columns=_names(modality, values.shape[1]))

    @cached_property
    def found(self) -> pd.DataFrame:
        """One row per cell: what the run found beside its annotations, fates (``fate_NAME``) and topics."""
        parts = []
        if FATE_PROBABILITIES in self.data.obsm:
            fates = pd.DataFrame(self.data.obsm[FATE_PROBABILITIES]).set_axis(self.data.obs_names)
            parts.append(fates.add_prefix("fate_"))
        return pd.concat([*parts, *(self.topics(modality) for modality in (RNA, ATAC))], axis=1)

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """One row per cell: annotations, under the names that the user gave them."""
        own = [name for name in self.data.obs.columns if not str(name).startswith((f"{RNA}:", f"{ATAC}:"))]
        return self.data.obs[own]

    def cells(self, reserved: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, str]]:
        """Return one row per cell, annotations, fates and topics, and which annotations have another name in it.

        Parameters
        ----------
        reserved
            Further names that an annotation cannot have in the file.
        """
        return beside(self.annotations, self.found, reserved)

    @cached_property
    def genes(self) -> pd.DataFrame:
        """One row per gene: NITE score with its tests, activations of the expression topics."""
        found = [name for name in (NITE_SCORE, NITE_PVALUE, NITE_FDR, NITE_SHARE) if name in self.rna.var]
        return pd.concat([self.rna.var[found], self.activations(RNA)], axis=1)

    @property
    def groups(self) -> str | None:
        """Annotation to group cells by: that of the run, else the clusters; None before there are any."""
        given = self.record.get("resources") or {}
        label = CELL_LABEL if given.get("labels") else None
        return next(
            (str(name) for name in (label, given.get("groups"), LEIDEN) if name and name in self.data.obs), None
        )


def _names(modality: str, n: int) -> list[str]:
    return [f"{PREFIX[modality]}{i + 1}" for i in range(n)]


def labels(column: pd.Series) -> pd.Series:
    """Return the values of an annotation as text, missing ones as missing."""
    return column.astype(object).map(str, na_action="ignore")


def is_label(column: pd.Series) -> bool:
    """Return whether a column holds labels instead of numbers."""
    return not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def number_text(value: Any) -> str:
    """Return the shortest text from which a number can be read again; whole numbers stand in full."""
    number = float(value)
    return str(int(value)) if number.is_integer() and abs(number) < _WHOLE else str(value)


def new_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: `name`, or with the first number from 2 that makes it one."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def beside(
    own: pd.DataFrame, found: pd.DataFrame, reserved: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the user's columns and those of the run side by side; of two of one name, the user's gets another.

    Returns
    -------
    table
        Columns of `own`, then of `found`.
    renamed
        New name of every column of `own` that had to be called something else: ``NAME_annotation``.
    """
    taken = {*map(str, found.columns), *reserved}
    kept = {str(name) for name in own.columns} - taken
    renamed: dict[str, str] = {}
    for name in map(str, own.columns):
        if name in taken:
            renamed[name] = new_name(f"{name}_annotation", taken | kept)
            kept.add(renamed[name])
    return pd.concat([own.rename(columns=renamed), found], axis=1), renamed


def said(renamed: Mapping[str, str]) -> list[str]:
    """Return what is said of columns that have another name in the files."""
    pairs = [f"{name} is {new}" for name, new in renamed.items()]
    return [message("annotations_renamed", pairs=pairs)] if pairs else []
