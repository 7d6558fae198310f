"""Pairing of two modalities: the same cells in the same order, and a count of everything that is left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.errors import InputError

from .formats import RawModality
from .intervals import looks_like_peaks, regions_among
from .messages import Finding, finding, refusal
from .peaks import has_coordinate_columns, interval_column, peak_coordinates

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

    def add(self, code: str, /, **values: Any) -> None:
        """Add the finding `code` with its values."""
        self.findings.append(finding(code, **values))

    def drop(self, reason: str, n: int) -> None:
        """Count what was dropped."""
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + int(n)


def examples(values: Any, n: int = 3) -> str:
    """Return the first few values in quotes."""
    return ", ".join(repr(str(value)) for value in list(values[:n]))


def log_types_by_names(log: Log, source: str, given: pd.Series | None, genes: Any, peaks: Any) -> None:
    """Report that genes and peaks of one matrix were told apart by their names, against or without given types."""
    log.add(
        "features_by_names",
        source=source,
        given=[] if given is None else list(map(str, given.unique())),
        n_genes=len(genes),
        gene=str(genes[0]),
        n_peaks=len(peaks),
        peak=str(peaks[0]),
    )


def feature_types(var: pd.DataFrame) -> pd.Series | None:
    """Return ``rna``, ``atac`` or another text for every feature; None where nothing tells one from another.

    The types are those given, unless all are called genes though peaks are there; then the names tell.
    """
    given = given_types(var)
    if given is None or set(given.unique()) & {"rna", "atac"} != {"rna"} or has_coordinate_columns(var):
        return given
    rows = np.flatnonzero(given == "rna")
    regions = regions_among(var.index[rows])
    if regions is None or interval_column(var):
        return given
    types = given.to_numpy(dtype=object, copy=True)
    types[rows] = np.where(regions, "atac", "rna")
    return pd.Series(types, index=var.index)


def given_types(var: pd.DataFrame) -> pd.Series | None:
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
    numbered = var.index.astype(str).str.fullmatch(r"(?:[A-Za-z]+[_.\- ]?)?\d+").mean() > 0.9
    return set() if has_coordinate_columns(var) or (numbered and interval_column(var)) else {"rna"}


def check_roles(rna: RawModality, atac: RawModality) -> None:
    """Refuse swapped files, peaks given as genes, genes given as peaks, the same file twice."""
    for raw, noun in ((rna, "genes"), (atac, "peaks")):
        if raw.var.shape[0] == 0 or raw.obs.shape[0] == 0:
            raise refusal(
                InputError,
                "empty_input",
                source=raw.source,
                n_cells=raw.obs.shape[0],
                n_features=raw.var.shape[0],
                noun=noun,
            )
    rna_kind, atac_kind = kind_of(rna.var), kind_of(atac.var)
    rna_wrong = rna_kind == {"atac"}
    shared = rna.var.index.intersection(atac.var.index)
    same_features = len(shared) > 0.5 * min(len(rna.var), len(atac.var)) and len(rna_kind | atac_kind) < 2
    atac_wrong = atac_kind == {"rna"}
    rna_names, atac_names = examples(rna.var.index), examples(atac.var.index)
    if rna_wrong and atac_wrong:
        raise refusal(
            InputError, "inputs_swapped", rna=rna.source, rna_names=rna_names, atac=atac.source, atac_names=atac_names
        )
    if rna_wrong:
        raise refusal(InputError, "peaks_as_genes", rna=rna.source, rna_names=rna_names)
    if atac_wrong or same_features:
        raise refusal(
            InputError,
            "genes_as_peaks",
            atac=atac.source,
            atac_names=atac_names,
            columns=list(map(str, atac.var.columns)),
            same_features=same_features,
        )


def check_barcodes(part: Counted | RawModality) -> None:
    """Refuse duplicate or missing cell names."""
    names = part.obs.index
    duplicated = names[names.duplicated()]
    if len(duplicated):
        n = len(duplicated.unique())
        raise refusal(InputError, "duplicate_barcodes", source=part.source, n=n, names=examples(duplicated.unique()))


def with_coordinates(part: Counted, log: Log) -> Counted:
    """Add the columns chrom, start, end to the peaks; drop and count the few without coordinates."""
    found = peak_coordinates(part.var, source=part.source)
    for note in found.notes:
        log.findings.append(replace(note, title=f"{part.source}: {note.title}"))
    n_bad = int((~found.valid).sum())
    if n_bad:
        log.drop("peaks_without_coordinates", n_bad)
        log.add(
            "peaks_without_coordinates", n_bad=n_bad, source=part.source, where=found.source, names=found.bad_examples
        )
    var = part.var.loc[found.valid].drop(columns=[name for name in found.frame if name in part.var])
    var = pd.concat([found.frame.set_axis(var.index), var], axis=1)
    counts = part.counts if not n_bad else part.counts[:, np.flatnonzero(found.valid)]
    return replace(part, counts=counts, var=var)


def binarise(part: Counted, log: Log) -> Counted:
    """Binarise accessibility: counts above one become one, which is noted."""
    above = int((part.counts.data > 1).sum())
    if above:
        log.add("peaks_binarised", n_above=above, n_values=part.counts.nnz, largest=part.counts.data.max())
        part.counts.data[:] = 1.0
    return part


def drop_empty(rna: Counted, atac: Counted, log: Log) -> tuple[Counted, Counted]:
    """Drop cells without any count in one of the modalities, then features without any count; all counted."""
    n_rna, n_atac = np.diff(rna.counts.indptr), np.diff(atac.counts.indptr)
    keep = (n_rna > 0) & (n_atac > 0)
    if not keep.all():
        log.drop("cells_without_counts", int((~keep).sum()))
        names = rna.obs.index[~keep]
        log.add(
            "empty_cells",
            n_dropped=int((~keep).sum()),
            n_rna=int((n_rna == 0).sum()),
            n_atac=int((n_atac == 0).sum()),
            names=examples(names),
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
    log.add("empty_features", n_empty=n_empty, noun=noun, names=examples(part.var.index[~used]))
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
    log.add(
        "duplicate_features",
        n_duplicated=int(duplicated.sum()),
        noun=noun,
        source=part.source,
        names=examples(names[duplicated].unique()),
    )
    var = part.var.copy()
    var.index = pd.Index(out)
    return replace(part, var=var)


def check_size(rna: Counted, atac: Counted, log: Log) -> None:
    """Refuse data too small for any analysis, warn about little data."""
    n_cells = rna.counts.shape[0]
    if n_cells < MIN_CELLS:
        raise refusal(
            InputError,
            "too_few_cells",
            n_cells=n_cells,
            rna=rna.source,
            atac=atac.source,
            dropped=log.dropped,
            min_cells=MIN_CELLS,
            few_cells=FEW_CELLS,
        )
    if n_cells < FEW_CELLS:
        log.add("few_cells", n_cells=n_cells, few_cells=FEW_CELLS)
    for part, role in ((rna, "rna"), (atac, "atac")):
        n = part.counts.shape[1]
        noun = NOUN[role][1]
        if n < 2:
            raise refusal(InputError, "too_few_features", source=part.source, n=n, noun=noun)
        if n < FEW_FEATURES[role]:
            log.add("few_features", n=n, noun=noun, source=part.source)
    if rna.counts.data.max() == 1:
        log.add("no_count_above_one", rna=rna.source)
