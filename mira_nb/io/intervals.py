"""Positions and intervals written as text: ``1e+05``, ``chr1:10-20``, ``chr1-1.1e+07-11005000``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from mira_nb.keys import CHROM, END, START

from .identifiers import unquoted

# the last two numbers are start and end; whatever stands before them is the contig, which may itself hold dashes, dots,
# colons and underscores (GL000194.1, HLA-DRB1*15:01, chrUn_KI270742v1)
_SEPARATOR: Final = r"[:_\-.|\s]+"
_CONTIG: Final = r".*[^\s:_\-.|]"
# GRanges and bedtools write a strand behind it
_STRAND: Final = r"(?::[+\-*.]|\([+\-*.]\))?"
_PLAIN: Final = r"[0-9][0-9,]*"
_NAME: Final = rf"^(?P<chrom>{_CONTIG}){_SEPARATOR}(?P<start>{_PLAIN}){_SEPARATOR}(?P<end>{_PLAIN}){_STRAND}$"
# R writes 100000 as 1e+05 and 11000000 as 1.1e+07; its make.names turns the plus sign into another dot
_EXPONENT: Final = r"[eE](?:\+?[0-9]{1,2}|\.0[0-9])"
_HAS_EXPONENT: Final = rf"[0-9]{_EXPONENT}"
_NUMBERS: Final = (_PLAIN, rf"[0-9]{{1,9}}{_EXPONENT}", rf"[1-9]\.[0-9]+{_EXPONENT}")
_READINGS: Final = tuple(
    re.compile(
        rf"(?P<chrom>{_CONTIG})(?P<before>{_SEPARATOR})(?P<start>{start})(?P<between>{_SEPARATOR})(?P<end>{end}){_STRAND}"
    )
    for start, end in itertools.product(_NUMBERS, repeat=2)
)
_TWO_NUMBERS: Final = rf"[:_\-.|](?:{'|'.join(_NUMBERS)})[:_\-.|](?:{'|'.join(_NUMBERS)})$"
_OF_BOTH_KINDS: Final = 0.05
"""Least fraction of regions, and of others, in a matrix of genes and peaks."""
_MAX_POSITION: Final = 2**40
_MAX_DIGITS: Final = 15


class _Reading(NamedTuple):
    chrom: str
    start: int
    end: int


def whole_number(text: str) -> int:
    """Return a whole number, which R may have written with an exponent (``1.1e+07``).

    Raises
    ------
    ValueError
        When the text is no whole number.
    """
    try:
        return int(text)
    except ValueError:
        value = float(text.replace(",", ""))
        if not value.is_integer():
            raise
        return int(value)


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number without a sign, in digits or with an exponent."""
    if text.isdigit():
        return True
    try:
        return text[:1].isdigit() and whole_number(text) >= 0
    except ValueError:
        return False


def whole(numbers: pd.Series) -> pd.Series:
    """Return whole numbers within the range of positions as Int64, NA for anything else."""
    values = numbers.astype("float64")
    fine = np.isfinite(values) & (values == np.floor(values)) & (values.abs() < _MAX_POSITION)
    return values.where(fine).astype("Int64")


def parse_peak_names(names: Iterable[object]) -> pd.DataFrame:
    """Split peak names such as ``chr1:10-20``, ``chr1-10-20`` or ``chr1_10_20``.

    A dot before an exponent may be a decimal point or a separator (``chr1.1.1e+07.11005000``). Where both give an
    interval, a dot separates only where it stands on both sides of the start; else the widths and the chromosomes of
    the other names decide. What they leave open is NA.

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
    plain = unquoted(text)
    text = text if plain is None else plain
    parts = text.str.extract(_NAME)
    numbers = {}
    for column in (START, END):
        digits = parts[column].str.replace(",", "", regex=False)
        digits = digits.where(digits.str.len() <= _MAX_DIGITS)
        numbers[column] = whole(pd.to_numeric(digits, errors="coerce"))
    frame = pd.DataFrame({CHROM: parts[CHROM].astype("object"), **numbers})
    exponents = np.flatnonzero(text.str.contains(_HAS_EXPONENT).to_numpy(dtype=bool))
    frame.loc[exponents, :] = pd.NA
    good = frame[START].notna() & frame[END].notna() & (frame[END] > frame[START])
    frame.loc[~good.fillna(False).astype(bool), :] = pd.NA
    if len(exponents):
        _with_exponents(frame, exponents, text.iloc[exponents])
    return frame


def looks_like_peaks(names: Iterable[object], *, sample: int = 2000) -> bool:
    """Return whether most of (up to `sample` evenly spaced) names are genome intervals."""
    return interval_fraction(names, sample=sample) > 0.5


def interval_fraction(names: Iterable[object], *, sample: int = 2000) -> float:
    """Return the fraction of (up to `sample` evenly spaced) names that are genome intervals; 0 without names."""
    values = pd.Index(list(names), dtype="object")
    if len(values) == 0:
        return 0.0
    step = max(1, len(values) // sample)
    return float(parse_peak_names(values[::step])[CHROM].notna().mean())


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


def _with_exponents(frame: pd.DataFrame, rows: np.ndarray, names: Iterable[str]) -> None:
    """Fill in the intervals of names with exponents, in place."""
    readings = dict(zip(rows.tolist(), map(_readings, names), strict=True))
    _fill(frame, {row: found[0] for row, found in readings.items() if len(found) == 1})
    unclear = {row: found for row, found in readings.items() if len(found) > 1}
    if not unclear:
        return
    clear = frame[frame[CHROM].notna()]
    widths = (clear[END] - clear[START]).to_numpy(dtype=np.int64)
    span = (int(widths.min()), int(widths.max())) if len(widths) else (0, 0)
    chroms = set(clear[CHROM])
    likely = {row: _likely(found, span, chroms) for row, found in unclear.items()}
    _fill(frame, {row: reading for row, reading in likely.items() if reading is not None})


def _fill(frame: pd.DataFrame, readings: dict[int, _Reading]) -> None:
    if readings:
        for column, values in zip((CHROM, START, END), zip(*readings.values(), strict=True), strict=True):
            frame.loc[list(readings), column] = list(values)


def _readings(name: str) -> list[_Reading]:
    """Return the intervals that a name with an exponent may mean, each once."""
    found: dict[_Reading, bool] = {}
    for form in _READINGS:
        match = form.fullmatch(name)
        if match is None:
            continue
        start, end = (_position(match[part]) for part in (START, END))
        # '05' behind '1e.' is the rest of an exponent
        torn = match["before"] == "." and match[START].startswith("0") and re.search(r"\d[eE]$", match[CHROM])
        if start is None or end is None or end <= start or torn:
            continue
        reading = _Reading(match[CHROM], start, end)
        found[reading] = found.get(reading, False) or (match["before"] == ".") == (match["between"] == ".")
    return [reading for reading, regular in found.items() if regular] or list(found)


def _position(text: str) -> int | None:
    value = text.replace(",", "").lower().replace("e.", "e")
    if "e" not in value and len(value) > _MAX_DIGITS:
        return None
    number = float(value)
    return int(number) if number.is_integer() and number < _MAX_POSITION else None


def _likely(found: Sequence[_Reading], span: tuple[int, int], chroms: set[str]) -> _Reading | None:
    """Return the one reading whose width, then chromosome, is that of the clear names; None where that is not one."""
    alike = [reading for reading in found if span[0] <= reading.end - reading.start <= span[1]] or list(found)
    known = [reading for reading in alike if reading.chrom in chroms] if len(alike) > 1 else alike
    return known[0] if len(known) == 1 else None
