"""Peak coordinates, from columns under any of their usual names or from the names of the peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError
from mira_nb.keys import CHROM, END, START

from .identifiers import assembly_prefix, plain_header, unquoted, without_assembly
from .intervals import interval_fraction, looks_like_peaks, parse_peak_names, whole
from .messages import Finding, finding, refusal
from .peak_sources import COLUMNS, NAMES, OTHER, TEXT, Source, settle

CHROM_COLUMNS: Final = ("chrom", "chr", "chromosome", "seqnames", "seqname", "seqid", "contig", "#chrom")
START_COLUMNS: Final = ("start", "chromstart", "chrom_start", "peak_start", "begin", "startpos")
END_COLUMNS: Final = ("end", "chromend", "chrom_end", "peak_end", "stop", "endpos")
NAME_COLUMNS: Final = ("interval", "peak", "peaks", "peak_id", "region", "coordinates", "locus", "gene_ids", "id")

_WORDS: Final = r"(?i)^(?:peaks?|atac|regions?|interval|locus|bin|tile|window|c?cre)(?:[_\-.]?\d+)?[:_\-.|]+(?=chr)"
_WORD_NUMBER: Final = r"(?i)^(?:peaks?|atac|regions?|interval|locus|bin|tile|window|c?cre)[_\-.]?\d+[:_\-.|]+(?=.)"
_BEFORE_CHR: Final = r"^(?P<before>(?![Cc]hr).*?)[:_\-.|\s]+(?P<chrom>[Cc]hr[0-9A-Za-z].*)$"
"""A chromosome behind what a tool joined to it, such as a gene or a sample."""
_MANY_TEXTS: Final = 20
"""Different texts before chromosomes from which they are neither species nor samples."""
_MOST: Final = 0.9
_MANY_CHROMOSOMES: Final = 0.5
"""Fraction of the number of peaks from which on a number of chromosomes is no genome's."""
_ENOUGH_PEAKS: Final = 20


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


def find_column(frame: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    """Return the first column that is one of `names` by its letters and digits, in the order of `names`."""
    known = {plain_header(column): str(column) for column in reversed(frame.columns)}
    return next((known[key] for name in names if (key := plain_header(name)) in known), None)


def has_coordinate_columns(frame: pd.DataFrame) -> bool:
    """Return whether a table has chrom, start and end under one of their known names."""
    return all(find_column(frame, names) for names in (CHROM_COLUMNS, START_COLUMNS, END_COLUMNS))


def interval_column(frame: pd.DataFrame) -> str | None:
    """Return the column that holds intervals such as ``chr1:10-20``, under one of its known names; None without one."""
    name = find_column(frame, NAME_COLUMNS)
    return name if name is not None and looks_like_peaks(frame[name]) else None


def peak_coordinates(var: pd.DataFrame, *, source: str) -> Coordinates:
    """Find the coordinates of all peaks.

    They stand in columns (chrom/start/end, chr, seqnames, chromStart, ...), in the peaks' names, or in a column of
    intervals (``interval``, ``peak``, ...). Tables made from R's GRanges count from 1: where a ``width`` column says
    so, starts are moved by one. All places are compared, by :func:`mira_nb.io.peak_sources.settle`.

    Raises
    ------
    InputError
        When more than one in ten peaks has no valid coordinates.
    """
    used, notes = settle(_sources(var), var.index)
    frame = used.frame
    valid = frame[CHROM].notna().to_numpy(dtype=bool)
    bad = tuple(str(name) for name in var.index[~valid][:3])
    if not valid.any() or valid.mean() < _MOST:
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
    out = pd.DataFrame(
        {
            CHROM: kept[CHROM].astype(str).to_numpy(dtype=object),
            START: kept[START].to_numpy(dtype=np.int64),
            END: kept[END].to_numpy(dtype=np.int64),
        },
        index=var.index[valid],
    )
    notes = [*used.notes, *notes, *_many_chromosomes(out[CHROM])]
    return Coordinates(out, valid, used.text, tuple(notes), bad)


def _sources(var: pd.DataFrame) -> list[Source]:
    """Return every place of a table that holds coordinates, in the order in which equals are preferred."""
    found = []
    if has_coordinate_columns(var):
        where, frame, one_based = from_columns(var)
        found.append(_source(COLUMNS, where, frame, [finding("starts_from_one")] if one_based else []))
    found.append(_source(NAMES, "the peak names", parse_peak_names(var.index)))
    known = {plain_header(column): column for column in reversed(var.columns)}
    named = [known[key] for name in NAME_COLUMNS if (key := plain_header(name)) in known]
    others = [name for name, column in var.items() if name not in named and _holds_intervals(column)]
    for kind, columns in ((TEXT, named), (OTHER, others)):
        for column in columns:
            found.append(_source(kind, f"the column {str(column)!r}", parse_peak_names(var[column])))
    return found


def _source(kind: str, text: str, frame: pd.DataFrame, notes: Sequence[Finding] = ()) -> Source:
    """Return a source with plain names of chromosomes."""
    there = frame[CHROM].notna()
    chrom, more = _plain_chromosomes(frame.loc[there, CHROM].astype(str))
    frame.loc[there, CHROM] = chrom
    return Source(kind, text, frame, (*notes, *more))


def _holds_intervals(column: pd.Series) -> bool:
    """Return whether nearly every peak has an interval of its own in a column; regions of genes nearby are shared."""
    if pd.api.types.is_numeric_dtype(column) or interval_fraction(column) <= _MOST:
        return False
    return column.astype(str).nunique() > _MOST * len(column)


def _many_chromosomes(chroms: pd.Series) -> list[Finding]:
    n_chroms = int(chroms.nunique())
    if len(chroms) < _ENOUGH_PEAKS or n_chroms < _MANY_CHROMOSOMES * len(chroms):
        return []
    return [finding("chromosomes_like_peaks", n_chroms=n_chroms, n_peaks=len(chroms), examples=chroms.unique()[:3])]


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
    behind = names.str.extract(_BEFORE_CHR)
    there = behind["chrom"].notna()
    left_out = behind["before"].dropna().unique()
    if there.all() and len(left_out) > _MANY_TEXTS:
        return behind["chrom"], [
            finding("chromosome_behind_text", n_texts=len(left_out), texts=left_out[:3], example=names.iloc[0])
        ]
    if there.any():  # one text may be how the genome calls its chromosomes (Gm_chr1), a few are species or samples
        return names, [
            finding("chromosomes_behind_text", n_peaks=int(there.sum()), n_all=len(names), example=names[there].iloc[0])
        ]
    if _many_chromosomes(names):
        # 'peak_12_1' is on chromosome 1 only if the chromosomes are few without the word
        short = names.str.replace(_WORD_NUMBER, "", regex=True)
        if (short != names).all() and not _many_chromosomes(short):
            return short, [finding("chromosome_word", example=names.iloc[0])]
    distinct = pd.Series(names.unique())
    numbered = distinct[distinct.str.contains(r"\d")]
    changed = numbered.str.fullmatch(r"X\d+")
    # platypus has chromosomes X1 to X5 beside 1 to 21
    if changed.any() and not distinct.str.fullmatch(r"\d+").any() and not distinct.str.startswith("chr").any():
        return names.str.replace(r"^X(?=\d)", "", regex=True), [
            finding("chromosome_x", example=numbered[changed].iloc[0])
        ]
    return names, []


def from_columns(var: pd.DataFrame) -> tuple[str, pd.DataFrame, bool]:
    """Read columns of chromosomes, starts and ends; the table must have them.

    Returns
    -------
    tuple
        The columns in words; chrom (object), start, end (Int64), NA where a row is no interval; and whether starts
        counted from 1, as a column of widths tells.
    """
    names = [find_column(var, options) for options in (CHROM_COLUMNS, START_COLUMNS, END_COLUMNS)]
    chrom_name, start_name, end_name = (str(name) for name in names)
    start, end = (_positions(var[name]) for name in (start_name, end_name))
    one_based = False
    width_name = find_column(var, ("width", "length"))
    if width_name is not None:
        width = _positions(var[width_name])
        both = width.notna() & start.notna() & end.notna()
        one_based = bool(both.any()) and bool((width[both] == end[both] - start[both] + 1).all())
        if one_based:
            start = start - 1
    chrom = var[chrom_name].astype("object").where(var[chrom_name].notna(), None).map(_chrom_text)
    plain = unquoted(chrom[chrom.notna()])
    if plain is not None:
        chrom[chrom.notna()] = plain
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
    return whole(numbers.reset_index(drop=True))
