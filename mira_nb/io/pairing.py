"""Pairing of two modalities: the same cells in the same order, and a count of everything that is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.errors import InputError

from .formats import RawModality
from .peaks import has_coordinate_columns, looks_like_peaks, peak_coordinates
from .spec import Finding

MIN_CELLS: Final = 20
FEW_CELLS: Final = 200
FEW_FEATURES: Final = {"rna": 100, "atac": 500}
_FEATURE_TYPE_COLUMNS: Final = ("feature_types", "feature_type", "modality")
NOUN: Final = {"rna": ("gene", "genes"), "atac": ("peak", "peaks")}
"""Singular and plural of the features of each modality."""


@dataclass
class Counted:
    """One modality while it is being paired: counts and annotations."""

    source: str
    counts: sparse.csr_matrix
    obs: pd.DataFrame
    var: pd.DataFrame


@dataclass
class Log:
    """Findings and numbers of dropped cells and features, collected while pairing."""

    findings: list[Finding] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def warn(self, title: str, cause: str = "", remedy: str = "") -> None:
        """Add a warning."""
        self.findings.append(Finding("warning", title, cause, remedy))

    def note(self, title: str, cause: str = "", remedy: str = "") -> None:
        """Add a note."""
        self.findings.append(Finding("info", title, cause, remedy))

    def drop(self, reason: str, n: int) -> None:
        """Count what was dropped."""
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + int(n)


def examples(values: Any, n: int = 3) -> str:
    """Return the first few values in quotes."""
    return ", ".join(repr(str(value)) for value in list(values[:n]))


def feature_types(var: pd.DataFrame) -> pd.Series | None:
    """Read the 10x feature type of every feature as ``rna``, ``atac`` or another text; None without such a column."""
    for name in _FEATURE_TYPE_COLUMNS:
        if name in var:
            text = var[name].astype(str)
            return text.replace({"Gene Expression": "rna", "GEX": "rna", "Peaks": "atac", "ATAC": "atac"})
    return None


def kind_of(var: pd.DataFrame) -> set[str]:
    """Return what features are: {'rna'}, {'atac'}, both, or empty when unknown."""
    types = feature_types(var)
    if types is not None:
        known = set(types.unique()) & {"rna", "atac"}
        if known or types.isin(("Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture")).all():
            return known
    if looks_like_peaks(var.index):
        return {"atac"}
    return set() if has_coordinate_columns(var) else {"rna"}


def check_roles(rna: RawModality, atac: RawModality) -> None:
    """Refuse swapped files, peaks given as genes, genes given as peaks, the same file twice."""
    for raw, noun in ((rna, "genes"), (atac, "peaks")):
        if raw.var.shape[0] == 0 or raw.obs.shape[0] == 0:
            raise InputError(
                f"{raw.source} is empty: {raw.obs.shape[0]:,} cells x {raw.var.shape[0]:,} {noun}.",
                expected=f"a matrix of cells x {noun}.",
                remedy="check the step that wrote the file.",
            )
    rna_kind, atac_kind = kind_of(rna.var), kind_of(atac.var)
    rna_wrong = rna_kind == {"atac"}
    shared = rna.var.index.intersection(atac.var.index)
    same_features = len(shared) > 0.5 * min(len(rna.var), len(atac.var)) and len(rna_kind | atac_kind) < 2
    atac_wrong = atac_kind == {"rna"}
    rna_names, atac_names = examples(rna.var.index), examples(atac.var.index)
    if rna_wrong and atac_wrong:
        raise InputError(
            f"The two inputs are swapped: the expression input {rna.source} has peaks ({rna_names}), the accessibility "
            f"input {atac.source} has genes ({atac_names}).",
            expected="genes as expression, peaks as accessibility.",
            remedy="exchange the two: the file with genes after --rna, the file with peaks after --atac.",
        )
    if rna_wrong:
        raise InputError(
            f"{rna.source}: the expression input holds peaks, not genes ({rna_names}).",
            expected="cells x genes.",
            remedy="give the expression counts as the expression input (--rna).",
        )
    if atac_wrong or same_features:
        same = " Both inputs have the same features." if same_features else ""
        raise InputError(
            f"{atac.source}: the accessibility input has no peak coordinates; its features look like genes "
            f"({atac_names}; var columns: {', '.join(map(str, atac.var.columns)) or 'none'}).{same}",
            expected="cells x peaks, with columns chrom, start, end in var or peaks named like chr1:1000-1500.",
            remedy="give the peak counts as the accessibility input (--atac), or add the three columns to its var.",
        )


def check_barcodes(part: Counted | RawModality) -> None:
    """Refuse duplicate or missing cell names."""
    names = part.obs.index
    duplicated = names[names.duplicated()]
    if len(duplicated):
        n = len(duplicated.unique())
        raise InputError(
            f"{part.source}: {n:,} cell barcodes occur more than once, e.g. {examples(duplicated.unique())}.",
            expected="one name per cell, the same in both modalities.",
            remedy="if samples were merged, add the sample to the barcode in both modalities "
            "(for example anndata.concat(..., index_unique='-')).",
        )


def with_coordinates(part: Counted, log: Log) -> Counted:
    """Add the columns chrom, start, end to the peaks; drop and count the few without coordinates."""
    found = peak_coordinates(part.var, source=part.source)
    for note in found.notes:
        log.findings.append(replace(note, title=f"{part.source}: {note.title}"))
    n_bad = int((~found.valid).sum())
    if n_bad:
        log.drop("peaks_without_coordinates", n_bad)
        log.warn(
            f"{n_bad:,} peaks without valid coordinates were dropped",
            cause=f"{part.source}: coordinates come from {found.source}; without: {', '.join(found.bad_examples)}",
            remedy="correct chrom, start and end (end > start >= 0) of these peaks to keep them.",
        )
    var = part.var.loc[found.valid].drop(columns=[name for name in found.frame if name in part.var])
    var = pd.concat([found.frame.set_axis(var.index), var], axis=1)
    counts = part.counts if not n_bad else part.counts[:, np.flatnonzero(found.valid)]
    return replace(part, counts=counts, var=var)


def binarise(part: Counted, log: Log) -> Counted:
    """Binarise accessibility: counts above one become one, which is noted."""
    above = int((part.counts.data > 1).sum())
    if above:
        log.note(
            "Peak counts were binarised",
            cause=f"{above:,} of {part.counts.nnz:,} non-zero values were above 1 (up to {part.counts.data.max():.0f})"
            "; the accessibility model only uses whether a peak is open",
        )
        part.counts.data[:] = 1.0
    return part


def drop_empty(rna: Counted, atac: Counted, log: Log) -> tuple[Counted, Counted]:
    """Drop cells without any count in one of the modalities, then features without any count; all counted."""
    n_rna, n_atac = np.diff(rna.counts.indptr), np.diff(atac.counts.indptr)
    keep = (n_rna > 0) & (n_atac > 0)
    if not keep.all():
        log.drop("cells_without_counts", int((~keep).sum()))
        names = rna.obs.index[~keep]
        log.warn(
            f"{int((~keep).sum()):,} cells without counts were dropped",
            cause=f"{int((n_rna == 0).sum()):,} have no expression counts, {int((n_atac == 0).sum()):,} no open peak; "
            f"e.g. {examples(names)}",
            remedy="filter cells by depth before the analysis.",
        )
        rows = np.flatnonzero(keep)
        rna = replace(rna, counts=rna.counts[rows], obs=rna.obs.iloc[rows])
        atac = replace(atac, counts=atac.counts[rows], obs=atac.obs.iloc[rows])
    return _drop_empty_features(rna, "rna", log), _drop_empty_features(atac, "atac", log)


def _drop_empty_features(part: Counted, role: str, log: Log) -> Counted:
    used = np.zeros(part.counts.shape[1], dtype=bool)
    used[part.counts.indices] = True
    n_empty = int((~used).sum())
    if not n_empty:
        return part
    noun = NOUN[role][1]
    log.drop(f"{noun}_without_counts", n_empty)
    log.note(
        f"{n_empty:,} {noun} without counts were dropped",
        cause=f"no kept cell has a count in them, e.g. {examples(part.var.index[~used])}",
    )
    columns = np.flatnonzero(used)
    return replace(part, counts=part.counts[:, columns], var=part.var.iloc[columns])


def unique_features(part: Counted, role: str, log: Log) -> Counted:
    """Make duplicate feature names unique by a suffix, and note it."""
    names = part.var.index.astype(str)
    duplicated = names.duplicated()
    if not duplicated.any():
        return part
    taken, out = set(names), []
    seen: dict[str, int] = {}
    for name, again in zip(names, duplicated, strict=True):
        if again:
            count = seen.get(name, 0) + 1
            while f"{name}-{count}" in taken:
                count += 1
            seen[name] = count
            name = f"{name}-{count}"
            taken.add(name)
        out.append(name)
    noun = NOUN[role][0]
    log.warn(
        f"{int(duplicated.sum()):,} {noun} names were not unique",
        cause=f"{part.source}: e.g. {examples(names[duplicated].unique())}; later ones got a suffix such as -1",
        remedy="use unique names or identifiers if the suffixed features matter to you.",
    )
    var = part.var.copy()
    var.index = pd.Index(out)
    return replace(part, var=var)


def check_size(rna: Counted, atac: Counted, log: Log) -> None:
    """Refuse data too small for any analysis, warn about little data."""
    n_cells = rna.counts.shape[0]
    if n_cells < MIN_CELLS:
        lost = "; ".join(f"{re.sub('_', ' ', reason)}: {n:,}" for reason, n in log.dropped.items())
        raise InputError(
            f"Only {n_cells} cells have counts in both {rna.source} and {atac.source}"
            + (f" ({lost})." if lost else "."),
            expected=f"at least {MIN_CELLS} cells, better {FEW_CELLS} or more.",
            remedy="check that both files hold the same cells, or use more cells.",
        )
    if n_cells < FEW_CELLS:
        log.warn(
            f"Only {n_cells} cells",
            cause="topics, neighbours and lineages of so few cells are unstable",
            remedy=f"use {FEW_CELLS} cells or more if there are any.",
        )
    for part, role in ((rna, "rna"), (atac, "atac")):
        n = part.counts.shape[1]
        noun = NOUN[role][1]
        if n < 2:
            raise InputError(
                f"{part.source}: only {n} {noun} with counts.",
                expected=f"a whole experiment's {noun}.",
                remedy="use more.",
            )
        if n < FEW_FEATURES[role]:
            log.warn(f"Only {n} {noun}", cause=f"{part.source}: topics of so few {noun} say little")
    if rna.counts.data.max() == 1:
        log.warn(
            "No expression count is above 1",
            cause=f"{rna.source}: the counts may have been binarised, or the depth is very low",
            remedy="give raw counts as the expression input.",
        )
