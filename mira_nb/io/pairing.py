"""Bring two modalities together: the same cells in the same order, nothing left out without being counted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.errors import InputError

from .counts import ValueProblem, count_error, find_problem, finish_counts
from .formats import RawModality
from .peaks import has_coordinate_columns, looks_like_peaks, peak_coordinates
from .spec import Finding

MIN_CELLS: Final = 20
FEW_CELLS: Final = 200
FEW_FEATURES: Final = {"rna": 100, "atac": 500}
_FEATURE_TYPE_COLUMNS: Final = ("feature_types", "feature_type", "modality")
_NOUN: Final = {"rna": ("gene", "genes"), "atac": ("peak", "peaks")}


@dataclass
class Counted:
    """One modality on its way to the pair: counts, annotations and what was found so far."""

    source: str
    counts: sparse.csr_matrix
    obs: pd.DataFrame
    var: pd.DataFrame


@dataclass
class Log:
    """Findings and numbers of what was dropped, collected on the way."""

    findings: list[Finding] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def warn(self, title: str, cause: str = "", remedy: str = "") -> None:
        """Add a warning."""
        self.findings.append(Finding("warning", title, cause, remedy))

    def note(self, title: str, cause: str = "", remedy: str = "") -> None:
        """Add an information."""
        self.findings.append(Finding("info", title, cause, remedy))

    def drop(self, reason: str, n: int) -> None:
        """Count what was dropped."""
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + int(n)


def _examples(values: Any, n: int = 3) -> str:
    return ", ".join(repr(str(value)) for value in list(values[:n]))


def feature_types(var: pd.DataFrame) -> pd.Series | None:
    """Read the 10x feature type of every feature as ``rna``, ``atac`` or another text; None without such a column."""
    for name in _FEATURE_TYPE_COLUMNS:
        if name in var:
            text = var[name].astype(str)
            return text.replace({"Gene Expression": "rna", "GEX": "rna", "Peaks": "atac", "ATAC": "atac"})
    return None


def _kind(raw: RawModality) -> set[str]:
    """Tell what a modality's features are: {'rna'}, {'atac'}, both, or empty when it cannot be said."""
    types = feature_types(raw.var)
    known = set(types.unique()) & {"rna", "atac"} if types is not None else set()
    if known:
        return known
    if looks_like_peaks(raw.var.index):
        return {"atac"}
    return set() if has_coordinate_columns(raw.var) else {"rna"}


def check_roles(rna: RawModality, atac: RawModality) -> None:
    """Refuse swapped files, peaks given as genes, genes given as peaks, the same file twice."""
    for raw, noun in ((rna, "genes"), (atac, "peaks")):
        if raw.var.shape[0] == 0 or raw.obs.shape[0] == 0:
            raise InputError(
                f"{raw.source} is empty: {raw.obs.shape[0]:,} cells x {raw.var.shape[0]:,} {noun}.",
                expected=f"a matrix of cells x {noun}.",
                remedy="check the step that wrote the file.",
            )
    rna_kind, atac_kind = _kind(rna), _kind(atac)
    rna_wrong = rna_kind == {"atac"}
    shared = rna.var.index.intersection(atac.var.index)
    same_features = len(shared) > 0.5 * min(len(rna.var), len(atac.var)) and len(rna_kind | atac_kind) < 2
    atac_wrong = atac_kind == {"rna"}
    rna_names, atac_names = _examples(rna.var.index), _examples(atac.var.index)
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


def choose_counts(raw: RawModality, role: str, log: Log) -> Counted:
    """Take the counts from X, else from a layer named like counts, else from raw; refuse when none holds counts."""
    problems: list[tuple[str, ValueProblem, pd.DataFrame]] = []
    for key, load in raw.matrices.items():
        try:
            matrix, var = load()
            problem = find_problem(matrix)
        except ValueError as error:
            if "could not convert" not in str(error) and "invalid literal" not in str(error):
                raise InputError(
                    f"{raw.source}: {key} is malformed ({error}).", remedy="write the file again from its source."
                ) from error
            problem, var = ValueProblem("text"), raw.var
        if problem is None:
            return _counted(raw, role, key, (finish_counts(matrix), var), problems, log)
        problems.append((key, problem, var))
    if not problems:
        raise InputError(
            f"{raw.source} has no matrix: X is missing and no layer is called counts.",
            expected="raw counts in X or in layers['counts'].",
            remedy="write the file again with the counts.",
        )
    key, problem, var = problems[0]
    tried = tuple(name for name, *_ in problems[1:])
    raise count_error(problem, source=raw.source, key=key, cells=raw.obs.index, features=var.index, tried=tried)


def _counted(
    raw: RawModality,
    role: str,
    key: str,
    matrix_var: tuple[sparse.csr_matrix, pd.DataFrame],
    problems: list[tuple[str, ValueProblem, pd.DataFrame]],
    log: Log,
) -> Counted:
    matrix, var = matrix_var
    if key != "X":
        why = "X is missing" if not problems else f"X is not made of counts ({_in_words(problems[0][1])})"
        log.note(f"{raw.source}: counts were taken from {key}", cause=why)
    types = feature_types(var)
    if types is not None:
        keep = (types == role).to_numpy()
        if keep.any() and not keep.all():
            others = ", ".join(f"{n:,} {name}" for name, n in types[~keep].value_counts().items())
            log.note(
                f"{raw.source}: features of other types were left out",
                cause=f"{int(keep.sum()):,} {_NOUN[role][1]} were kept; left out: {others}",
            )
            log.drop(f"{role}_features_of_other_types", int((~keep).sum()))
            matrix, var = matrix[:, np.flatnonzero(keep)], var.loc[keep]
    unused = [name for name in (*raw.unread, *raw.matrices) if name not in {key, "X"}]
    if key != "X" and "X" in raw.matrices:
        unused.insert(0, "X")
    if unused:
        shown = ", ".join(unused[:12]) + (f" and {len(unused) - 12} more" if len(unused) > 12 else "")
        log.note(f"{raw.source}: only counts and annotations are used", cause=f"not used: {shown}")
    return Counted(raw.source, matrix, raw.obs, var.copy())


def _in_words(problem: ValueProblem) -> str:
    if problem.guess:
        return problem.guess
    return {"text": "text", "nan": "missing values", "negative": "negative values", "fractions": "fractions"}.get(
        problem.kind, "it is empty"
    )


def check_barcodes(part: Counted | RawModality) -> None:
    """Refuse duplicate or missing cell names."""
    names = part.obs.index
    duplicated = names[names.duplicated()]
    if len(duplicated):
        n = len(duplicated.unique())
        raise InputError(
            f"{part.source}: {n:,} cell barcodes occur more than once, e.g. {_examples(duplicated.unique())}.",
            expected="one name per cell, the same in both modalities.",
            remedy="if samples were merged, add the sample to the barcode in both modalities "
            "(for example anndata.concat(..., index_unique='-')).",
        )


def strip_suffix(names: pd.Index) -> pd.Index:
    """Barcodes without what samples and pipelines add (``-1``, ``_2``, ``sample#``, ``sample_``): the bare sequence."""
    text = pd.Series(names.astype(str))
    bare = text.str.extract(r"(?:^|[^A-Za-z])([ACGTN]{8,})(?:$|[^A-Za-z])", expand=False)
    return pd.Index(bare.fillna(text.str.replace(r"[-_.]\d+$", "", regex=True)))


def shared_cells(rna: pd.Index, atac: pd.Index, sources: tuple[str, str], log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the shared cells in both indices, in the order of the first.

    Raises
    ------
    InputError
        When no cell is in both; the message shows examples of both and what would match.
    """
    where = atac.get_indexer(rna)
    rows_rna = np.flatnonzero(where >= 0)
    n_shared = len(rows_rna)
    bare_rna, bare_atac = strip_suffix(rna), strip_suffix(atac)
    n_bare = int(bare_rna.isin(bare_atac).sum())
    hint = ""
    if n_bare > n_shared and bare_rna.is_unique and bare_atac.is_unique:
        hint = (
            f"{n_bare:,} barcodes agree once prefixes and suffixes are removed ({rna[0]!s} against {atac[0]!s}): "
            "rename the cells of one modality, for example adata.obs_names = adata.obs_names.str.replace('-1', '')"
        )
    if n_shared == 0:
        remedy = hint or "check that both belong to the same experiment and use the same barcodes."
        raise InputError(
            f"No cell is in both modalities. {sources[0]}: {len(rna):,} cells such as {_examples(rna)}; "
            f"{sources[1]}: {len(atac):,} cells such as {_examples(atac)}.",
            expected="the same cell barcodes in both.",
            remedy=remedy if remedy.endswith(".") else remedy + ".",
        )
    only_rna, only_atac = len(rna) - n_shared, len(atac) - n_shared
    if only_rna or only_atac:
        log.drop("cells_only_in_rna", only_rna)
        log.drop("cells_only_in_atac", only_atac)
        report = log.warn if n_shared < 0.5 * min(len(rna), len(atac)) or hint else log.note
        report(
            f"{n_shared:,} cells are in both modalities and were kept",
            cause=f"{only_rna:,} cells are only in {sources[0]}, {only_atac:,} only in {sources[1]}",
            remedy=hint,
        )
    elif not (where == np.arange(len(where))).all():
        log.note(
            "The cells of the two inputs are in different orders", cause=f"the order of {sources[0]} is kept throughout"
        )
    return rows_rna, where[rows_rna]


def with_coordinates(part: Counted, log: Log) -> Counted:
    """Give peaks the columns chrom, start, end; drop and count the few without coordinates."""
    found = peak_coordinates(part.var, source=part.source)
    if found.one_based:
        log.note(
            f"{part.source}: peak starts were moved by one",
            cause="the width column shows that starts count from 1 (as in R); here they count from 0",
        )
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
    """Open or not: counts above one become one, and it is said."""
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
            f"e.g. {_examples(names)}",
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
    noun = _NOUN[role][1]
    log.drop(f"{noun}_without_counts", n_empty)
    log.note(
        f"{n_empty:,} {noun} without counts were dropped",
        cause=f"no kept cell has a count in them, e.g. {_examples(part.var.index[~used])}",
    )
    columns = np.flatnonzero(used)
    return replace(part, counts=part.counts[:, columns], var=part.var.iloc[columns])


def unique_features(part: Counted, role: str, log: Log) -> Counted:
    """Make duplicate feature names unique by a suffix, and say so."""
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
    noun = _NOUN[role][0]
    log.warn(
        f"{int(duplicated.sum()):,} {noun} names were not unique",
        cause=f"{part.source}: e.g. {_examples(names[duplicated].unique())}; later ones got a suffix such as -1",
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
        noun = _NOUN[role][1]
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
