"""Comparison of the places where a file holds the coordinates of its peaks, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from mira_nb.chromosomes import plain_name
from mira_nb.keys import CHROM, END, START

from .messages import Finding, finding

COLUMNS, NAMES, TEXT, OTHER = "columns", "names", "text", "other"
# a name stays with its row of the matrix when a table is joined or sorted
_TRUST: Final = (NAMES, TEXT, COLUMNS, OTHER)
_ENOUGH: Final = 0.5
_SAME: Final = 0.99


@dataclass(frozen=True)
class Source:
    """Coordinates from one place of a file.

    Attributes
    ----------
    kind
        ``columns`` (chrom, start, end), ``names``, ``text`` (a column of intervals under a known name) or ``other`` (a
        column of intervals under any other name, which is used only where it agrees with one of the others).
    text
        The place in words.
    frame
        chrom (object), start, end (Int64), one row per peak, NA where a peak has no interval.
    notes
        What was repaired.
    """

    kind: str
    text: str
    frame: pd.DataFrame
    notes: tuple[Finding, ...] = ()

    @property
    def n_valid(self) -> int:
        """How many peaks have coordinates here."""
        return int(self.frame[CHROM].notna().sum())

    @property
    def readable(self) -> bool:
        """Whether most peaks have coordinates here."""
        return self.n_valid >= _ENOUGH * len(self.frame)


@dataclass(frozen=True)
class _Relation:
    """How one source differs from another in the peaks that both have."""

    n_peaks: int
    n_different: int
    shift: int | None
    """What its starts are beside those of the other; None where the two contradict each other."""
    wrong: int = 0
    """First row that differs."""


def settle(sources: Sequence[Source], names: pd.Index) -> tuple[Source, list[Finding]]:
    """Choose between sources by comparing all with the most trusted one: names, columns of intervals, then columns.

    Sources that contradict it are reported and not used. Where starts differ by one, those that count from 0 are used.
    Of sources that agree, the one with most peaks is used, the first of equals.

    Parameters
    ----------
    sources
        In the order in which equals are preferred; not empty.
    names
        Names of the peaks, for the report.
    """
    usable = [source for source in sources if source.kind != OTHER]
    readable = [source for source in usable if source.readable]
    if not readable:
        return max(usable, key=lambda source: source.n_valid), []
    reference = min(readable, key=lambda source: _TRUST.index(source.kind))
    relations = {
        source.text: _compare(source.frame, reference.frame)
        for source in sources
        if source is not reference and source.readable
    }
    shifts = {reference.text: 0} | {text: found.shift for text, found in relations.items() if found.shift is not None}
    lowest = min(shifts.values())
    used = max(
        (source for source in sources if shifts.get(source.text) == lowest),
        key=lambda source: source.n_valid,
    )
    notes = []
    for source in sources:
        if source is used:
            continue
        if source.text not in shifts:
            notes += _contradiction(source, reference, used, relations.get(source.text), names)
        elif shifts[source.text] > lowest:
            found = relations[used.text if source is reference or not shifts[source.text] else source.text]
            counts = {"n_different": found.n_different, "n_peaks": found.n_peaks}
            notes.append(finding("one_side_from_one", other=source.text, used=used.text, **counts))
    return used, notes


def _compare(left: pd.DataFrame, right: pd.DataFrame) -> _Relation:
    both = (left[CHROM].notna() & right[CHROM].notna()).to_numpy(dtype=bool)
    a, b = left.loc[both], right.loc[both]
    chrom = (_plain(a[CHROM]) == _plain(b[CHROM])).to_numpy()
    start, end = ((a[name] - b[name]).to_numpy(dtype=np.int64) for name in (START, END))
    equal = chrom & (start == 0) & (end == 0)
    by_one = chrom & (np.abs(start) == 1) & (end == 0)
    n = int((~equal).sum())
    if not n:
        return _Relation(len(a), 0, 0)
    wrong = int(np.flatnonzero(both)[np.flatnonzero(~equal)[0]])
    if (equal | by_one).mean() > _SAME and by_one.any():
        return _Relation(len(a), int(by_one.sum()), -1 if (start[by_one] < 0).all() else 1, wrong)
    return _Relation(len(a), n, None, wrong)


def _contradiction(
    source: Source, reference: Source, used: Source, found: _Relation | None, names: pd.Index
) -> list[Finding]:
    """Report a source that contradicts the reference, and columns that hold no intervals."""
    if found is None:
        unread = source.kind == COLUMNS
        return [finding("columns_without_intervals", columns=source.text, used=used.text)] if unread else []
    return [
        finding(
            "coordinates_disagree",
            other=source.text,
            used=used.text,
            n_different=found.n_different,
            n_peaks=found.n_peaks,
            peak=names[found.wrong],
            right=_shown(reference.frame, found.wrong),
            example=_shown(source.frame, found.wrong),
        )
    ]


def _shown(frame: pd.DataFrame, row: int) -> str:
    chrom, start, end = (frame[name].iloc[row] for name in (CHROM, START, END))
    return f"{chrom}:{start}-{end}"


def _plain(chroms: pd.Series) -> pd.Series:
    return chroms.map({name: plain_name(str(name)) for name in chroms.unique()})
