"""Matching of chromosome names between files (chr1, 1, CHR1), once for the whole package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final


def match_chromosomes(wanted: Sequence[str], available: Sequence[str]) -> dict[str, str]:
    """Translate chromosome names: as they are, else with or without ``chr``, M against MT, ignoring case.

    Returns
    -------
    dict
        Name in `wanted` -> name in `available`; names without a counterpart are absent.
    """
    by_plain: dict[str, str] = {}
    for name in available:
        by_plain.setdefault(_plain(name), name)
    exact = set(available)
    out = {}
    for name in wanted:
        if name in exact:
            out[name] = name
        elif _plain(name) in by_plain:
            out[name] = by_plain[_plain(name)]
    return out


_REFSEQ: Final = re.compile(r"^nc_(\d{6})\.\d+$")


def refseq_chromosome(name: str) -> str:
    """Return the chromosome of a human or mouse RefSeq accession (``NC_000001.11``: 1); other names as they are.

    The numbers of the accessions are those of GRCh37, GRCh38, GRCm38 and GRCm39; the version does not matter.
    """
    match = _REFSEQ.match(name.lower())
    number = int(match.group(1)) if match else 0
    if number in {12920, 5089}:
        return "MT"
    if 1 <= number <= 24:
        return {23: "X", 24: "Y"}.get(number, str(number))
    if 67 <= number <= 87:
        return {86: "X", 87: "Y"}.get(number, str(number - 66))
    return name


def _plain(name: str) -> str:
    text = refseq_chromosome(name).lower().removeprefix("chr")
    return "m" if text == "mt" else text
