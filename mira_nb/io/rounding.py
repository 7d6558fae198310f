"""Positions that lost digits: R writes 100000 as 1e+05, but format() and spreadsheets also write 104321 so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from .intervals import whole_number

_EXPONENT: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?[eE]\+\d\d(?!\w)")
_PADDED: Final = re.compile(r"\.\d*0[eE]")
_FEW: Final = 2


@dataclass
class Exponents:
    """Whole numbers that a file writes with an exponent, and whether any has a fixed number of digits (1.0e+07)."""

    values: set[int] = field(default_factory=set)
    padded: bool = False


def note_exponents(lines: Iterator[str], seen: Exponents) -> Iterator[str]:
    """Yield lines as they are, and collect the whole numbers in them that are written with an exponent."""
    for line in lines:
        if "e+" in line or "E+" in line:
            for text in _EXPONENT.findall(line):
                value = float(text)
                if value.is_integer():
                    seen.values.add(whole_number(text))
                    seen.padded |= _PADDED.search(text) is not None
        yield line


def rounded_rows(
    gene: pd.Series, chrom: pd.Series, start: pd.Series, end: pd.Series, backward: pd.Series, seen: Exponents
) -> pd.Series:
    """Return which rows have a position that may be rounded (bool).

    Exact positions with an exponent are rare, and those of different genes differ. Where several are shared by genes of
    one chromosome, put an end before its start, or have a fixed number of digits, which R never writes, none of the
    file is trusted.

    Parameters
    ----------
    start, end
        0-based and half-open.
    backward
        Rows whose end stands before the start, on the + strand.
    seen
        Whole numbers that the file writes with an exponent.
    """
    if not seen.values:
        return pd.Series(False, index=gene.index)
    written = {}
    for name, position in (("start", start), ("end", end)):
        # starts of GTF count from 1 in the file, and may have been exchanged with ends
        likely = position.where(position.isin(seen.values), position + 1)
        written[name] = likely.where(likely.isin(seen.values))
    shared = 0
    for position in written.values():
        places = pd.DataFrame({"chrom": chrom, "at": position, "gene": gene}).dropna().drop_duplicates()
        shared += int(places.duplicated(["chrom", "at"]).sum())
    suspect = written["start"].notna() | written["end"].notna()
    return suspect & (seen.padded or shared >= _FEW or bool((suspect & backward).any()))
