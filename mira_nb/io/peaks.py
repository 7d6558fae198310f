"""Peak coordinates, from columns under any of their usual names or from the names of the peaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError
from mira_nb.keys import CHROM, END, START

from .identifiers import assembly_prefix, without_assembly
from .messages import Finding, finding, refusal

CHROM_COLUMNS: Final = ("chrom", "chr", "chromosome", "seqnames", "seqname", "seqid", "contig", "#chrom")
START_COLUMNS: Final = ("start", "chromstart", "chrom_start", "peak_start", "begin", "startpos")
END_COLUMNS: Final = ("end", "chromend", "chrom_end", "peak_end", "stop", "endpos")
NAME_COLUMNS: Final = ("interval", "peak", "peaks", "peak_id", "region", "coordinates", "locus", "gene_ids", "id")

# the last two runs of digits are start and end; whatever stands before them is the contig, which may itself hold
# dashes, dots, colons and underscores (GL000194.1, HLA-DRB1*15:01, chrUn_KI270742v1)
# R writes 100000 as 1e+05
_NUMBER: Final = r"(?:[0-9]{1,9}(?:\.[0-9]+)?[eE]\+?[0-9]{1,2}|[0-9][0-9,]*)"
# GRanges and bedtools write a strand behind it
_NAME: Final = (
    rf"^(?P<chrom>.*[^\s:_\-.|])[:_\-.|\s]+(?P<start>{_NUMBER})[:_\-.|\s]+(?P<end>{_NUMBER})"
    r"(?::[+\-*.]|\([+\-*.]\))?$"
)
_WORDS: Final = r"(?i)^(?:peaks?|atac|regions?|interval|locus|bin|tile|window|c?cre)(?:[_\-.]?\d+)?[:_\-.|]+(?=chr)"
_TWO_NUMBERS: Final = rf"[:_\-.|]{_NUMBER}[:_\-.|]{_NUMBER}$"
_OF_BOTH_KINDS: Final = 0.05
"""Least fraction of regions, and of others, in a matrix of genes and peaks."""
_MAX_POSITION: Final = 2**40


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of all peaks of a file.

    Attributes
    ----------
    frame
        chrom (str), start, end (int64), one row per peak with valid coordinates, in the given order.
    valid
        Which of the given peaks those rows are (bool, length of the input).
    source
        Where they came from, as text.
    notes
        What was repaired, and where names and columns disagree.
    bad_examples
        Names of up to three peaks without valid coordinates.
    """

    frame: pd.DataFrame
    valid: np.ndarray
    source: str
    notes: tuple[Finding, ...] = ()
    bad_examples: tuple[str, ...] = ()


def parse_peak_names(names: Iterable[object]) -> pd.DataFrame:
    """Split peak names such as ``chr1:10-20``, ``chr1-10-20`` or ``chr1_10_20``.

    Parameters
    ----------
    names
        Peak names; thousands separators are allowed.

    Returns
    -------
    DataFrame
        Columns chrom (str or NA), start, end (Int64 or NA), one row per name; NA where the name is no interval with
        0 <= start < end.
    """
    text = pd.Series(list(names), dtype="object").astype(str).str.strip()
    parts = text.str.extract(_NAME)
    numbers = {}
    for column in (START, END):
        digits = parts[column].str.replace(",", "", regex=False)
        digits = digits.where(digits.str.len() <= 15)
        numbers[column] = _whole(pd.to_numeric(digits, errors="coerce"))
    frame = pd.DataFrame({CHROM: parts[CHROM].astype("object"), **numbers})
    good = frame[START].notna() & frame[END].notna() & (frame[END] > frame[START])
    frame.loc[~good.fillna(False).astype(bool), :] = pd.NA
    return frame


def looks_like_peaks(names: Iterable[object], *, sample: int = 2000) -> bool:
    """Return whether most of (up to `sample` evenly spaced) names are genome intervals."""
    values = pd.Index(list(names), dtype="object")
    if len(values) == 0:
        return False
    step = max(1, len(values) // sample)
    return float(parse_peak_names(values[::step])[CHROM].notna().mean()) > 0.5


def regions_among(names: Iterable[object], *, sample: int = 2000) -> np.ndarray | None:
    """Return which of the names are regions where names of both kinds, regions and others, are there; else None.

    Names that end in two numbers without being an interval (of odd contigs, for example) count as regions.
    """
    values = pd.Index(list(names), dtype="object").astype(str)
    for part in (values[:: max(1, len(values) // sample)], values):
        region = part.str.contains(_TWO_NUMBERS) | parse_peak_names(part)[CHROM].notna().to_numpy()
        if not len(part) or min(region.mean(), 1 - region.mean()) < _OF_BOTH_KINDS:
            return None
    return np.asarray(region, dtype=bool)


def find_column(frame: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """Return the first column whose lower-case name is in `names`, in the order of `names`."""
    lower = {str(column).lower(): str(column) for column in reversed(frame.columns)}
    return next((lower[name] for name in names if name in lower), None)


def has_coordinate_columns(frame: pd.DataFrame) -> bool:
    """Return whether a table has chrom, start and end under one of their known names."""
    return all(find_column(frame, names) for names in (CHROM_COLUMNS, START_COLUMNS, END_COLUMNS))


def interval_column(frame: pd.DataFrame) -> str | None:
    """Return the column that holds intervals such as ``chr1:10-20``, under one of its known names; None without one."""
    name = find_column(frame, NAME_COLUMNS)
    return name if name is not None and looks_like_peaks(frame[name]) else None


def peak_coordinates(var: pd.DataFrame, *, source: str) -> Coordinates:
    """Find the coordinates of all peaks.

    Columns (chrom/start/end, chr, seqnames, chromStart, ...) come first, then the peaks' names, then a column of
    names (``interval``, ``peak``, ...). Tables made from R's GRanges count from 1: where a ``width`` column says so,
    starts are moved by one. Where columns and names disagree, the names are used and both are reported; where they
    differ by one in the start alone, one of them counts from 1 and the other is used.

    Raises
    ------
    InputError
        When more than one in ten peaks has no valid coordinates.
    """
    candidates: list[tuple[str, pd.DataFrame]] = []
    notes: list[Finding] = []
    if has_coordinate_columns(var):
        where, frame, one_based = _from_columns(var)
        candidates.append((where, frame))
        if one_based:
            notes.append(finding("starts_from_one"))
    candidates.append(("the peak names", parse_peak_names(var.index)))
    lower = {str(column).lower(): column for column in var.columns}
    for name in NAME_COLUMNS:
        if name in lower:
            column = lower[name]
            candidates.append((f"the column {column!r}", parse_peak_names(var[column])))
    where, frame = max(candidates, key=lambda item: int(item[1][CHROM].notna().sum()))  # the first of equals wins
    if len(candidates) > 1 and candidates[0][0].startswith("the columns"):
        (where, frame), more = _reconcile((where, frame), candidates[0], candidates[1], var.index)
        notes += more
    valid = frame[CHROM].notna().to_numpy(dtype=bool)
    bad = tuple(str(name) for name in var.index[~valid][:3])
    if not valid.any() or valid.mean() < 0.9:
        shown = ", ".join(repr(str(name)) for name in var.index[:3])
        raise refusal(
            InputError,
            "no_coordinates",
            source=source,
            n_bad=int((~valid).sum()),
            n_peaks=len(valid),
            names=shown,
            columns=list(map(str, var.columns)),
        )
    kept = frame.loc[valid]
    chrom, more = _plain_chromosomes(kept[CHROM].astype(str))
    notes += more
    out = pd.DataFrame(
        {
            CHROM: chrom.to_numpy(dtype=object),
            START: kept[START].to_numpy(dtype=np.int64),
            END: kept[END].to_numpy(dtype=np.int64),
        },
        index=var.index[valid],
    )
    return Coordinates(out, valid, where, tuple(notes), bad)


def _reconcile(
    best: tuple[str, pd.DataFrame], columns: tuple[str, pd.DataFrame], named: tuple[str, pd.DataFrame], names: pd.Index
) -> tuple[tuple[str, pd.DataFrame], list[Finding]]:
    """Compare columns with names where both can be read; return which to use and what to report."""
    (column_text, left), (_, right) = columns, named
    both = (left[CHROM].notna() & right[CHROM].notna()).to_numpy(dtype=bool)
    if right[CHROM].notna().mean() < 0.5:
        return best, []
    if left[CHROM].notna().mean() < 0.5:
        return named, [finding("columns_without_intervals", columns=column_text)]
    a, b = left.loc[both], right.loc[both]
    chrom = _bare_chromosomes(a[CHROM]) == _bare_chromosomes(b[CHROM])
    start, end = ((a[name] - b[name]).astype(np.int64).to_numpy() for name in (START, END))
    equal = chrom.to_numpy() & (start == 0) & (end == 0)
    by_one = chrom.to_numpy() & (np.abs(start) == 1) & (end == 0)
    if equal.all():
        return best, []
    if (equal | by_one).mean() > 0.99 and by_one.any():
        use, other = (columns, "the peak names") if (start[by_one] < 0).all() else (named, column_text)
        return use, [
            finding("one_side_from_one", other=other, used=use[0], n_different=int(by_one.sum()), n_peaks=len(a))
        ]
    wrong = int(np.flatnonzero(~equal)[0])
    shown = f"{a[CHROM].iloc[wrong]}:{a[START].iloc[wrong]}-{a[END].iloc[wrong]}"
    return named, [
        finding(
            "coordinates_disagree",
            columns=column_text,
            n_different=int((~equal).sum()),
            n_peaks=len(a),
            peak=names[both][wrong],
            example=shown,
        )
    ]


def _bare_chromosomes(names: pd.Series) -> pd.Series:
    return without_assembly(names.astype(str)).str.removeprefix("chr")


def _plain_chromosomes(names: pd.Series) -> tuple[pd.Series, list[Finding]]:
    """Take the assembly (``GRCh38_chr1``) and the X of R's make.names (``X1``) off chromosome names."""
    found = assembly_prefix(names)
    if len(names) and found.notna().all():
        counted = found.value_counts()
        if len(counted) == 1:
            return without_assembly(names), [
                finding("chromosome_prefix", prefix=counted.index[0], example=names.iloc[0])
            ]
        return names, [
            finding(
                "several_peak_assemblies",
                n_assemblies=len(counted),
                assemblies=[f"{name} {n:,}" for name, n in counted.items()],
            )
        ]
    if len(names) and names.str.contains(_WORDS).all():
        example = names.iloc[0]
        return names.str.replace(_WORDS, "", regex=True), [finding("chromosome_word", example=example)]
    distinct = pd.Series(names.unique())
    numbered = distinct[distinct.str.contains(r"\d")]
    changed = numbered.str.fullmatch(r"X\d+")
    # platypus has chromosomes X1 to X5 beside 1 to 21
    if changed.any() and not distinct.str.fullmatch(r"\d+").any() and not distinct.str.startswith("chr").any():
        return names.str.replace(r"^X(?=\d)", "", regex=True), [
            finding("chromosome_x", example=numbered[changed].iloc[0])
        ]
    return names, []


def _from_columns(var: pd.DataFrame) -> tuple[str, pd.DataFrame, bool]:
    names = [find_column(var, options) for options in (CHROM_COLUMNS, START_COLUMNS, END_COLUMNS)]
    chrom_name, start_name, end_name = (str(name) for name in names)
    start, end = (_positions(var[name]) for name in (start_name, end_name))
    one_based = False
    width_name = find_column(var, ("width",))
    if width_name is not None:
        width = _positions(var[width_name])
        both = width.notna() & start.notna() & end.notna()
        one_based = bool(both.any()) and bool((width[both] == end[both] - start[both] + 1).all())
        if one_based:
            start = start - 1
    chrom = var[chrom_name].astype("object").where(var[chrom_name].notna(), None).map(_chrom_text)
    frame = pd.DataFrame(
        {CHROM: chrom.to_numpy(dtype=object), START: start.to_numpy(), END: end.to_numpy()}, index=range(len(var))
    ).astype({START: "Int64", END: "Int64"})
    good = frame[CHROM].notna() & frame[START].notna() & frame[END].notna()
    good &= (frame[START] >= 0).fillna(False) & (frame[END] > frame[START]).fillna(False)
    frame.loc[~good.astype(bool), :] = pd.NA
    return f"the columns {chrom_name}, {start_name}, {end_name}", frame, one_based


def _chrom_text(value: object) -> str | None:
    """Return a chromosome as text; numbers read from a numeric column lose their '.0'."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value.decode() if isinstance(value, bytes) else str(value).strip()
    return None if text.lower() in {"", "nan", "none", "<na>"} else text


def _positions(column: pd.Series) -> pd.Series:
    """Return whole numbers as Int64, NA for anything else."""
    text = column.astype("object")
    if not pd.api.types.is_numeric_dtype(column):
        text = text.map(lambda value: str(value).replace(",", "").strip())
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    return _whole(numbers.reset_index(drop=True))


def _whole(numbers: pd.Series) -> pd.Series:
    """Return whole numbers within the range of positions as Int64, NA for anything else."""
    values = numbers.astype("float64")
    fine = np.isfinite(values) & (values == np.floor(values)) & (values.abs() < _MAX_POSITION)
    return values.where(fine).astype("Int64")
