"""Matching of chromosome names between files (chr1, 1, CHR1; M, MT), once for the whole package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ChromosomeMatch:
    """Translation of the chromosome names of one source into those of another.

    Attributes
    ----------
    mapping
        Wanted name -> available name; wanted names without a counterpart are absent.
    unmatched
        Available names that no wanted name corresponds to -> how often each was given, sorted by name.
    """

    mapping: dict[str, str]
    unmatched: dict[str, int]

    @property
    def renamed(self) -> dict[str, str]:
        """The part of :attr:`mapping` whose names differ (``1`` and ``chr1``, ``MT`` and ``chrM``)."""
        return {wanted: available for wanted, available in self.mapping.items() if wanted != available}


def match_chromosomes(wanted: Iterable[object], available: Iterable[object]) -> ChromosomeMatch:
    """Match chromosome names: equal names first, else without ``chr``, with M equal to MT and ignoring case.

    Nothing beyond prefix, case and the mitochondrion is guessed.

    Parameters
    ----------
    wanted, available
        Names, repeated as often as they occur; the order of first occurrence counts: of several available names that
        correspond to a wanted one, the first is taken.
    """
    counted = Counter(map(str, available))
    by_plain: dict[str, str] = {}
    for name in counted:
        by_plain.setdefault(plain_name(name), name)
    mapping = {}
    for name in dict.fromkeys(map(str, wanted)):
        counterpart = name if name in counted else by_plain.get(plain_name(name))
        if counterpart is not None:
            mapping[name] = counterpart
    reached = set(mapping.values())
    return ChromosomeMatch(mapping, {name: counted[name] for name in sorted(counted) if name not in reached})


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


def plain_name(name: str) -> str:
    """Return the form of a chromosome name that all its spellings share: ``chrMT``, ``MT`` and ``m`` give ``m``."""
    text = refseq_chromosome(name.strip()).casefold().removeprefix("chr")
    return "m" if text == "mt" else text
