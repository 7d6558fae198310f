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

    Nothing beyond :func:`plain_name` is guessed: prefixes, case, leading zeros, the mitochondrion and accessions.

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


ASSEMBLY: Final = (
    r"^((?:GRC[a-z]\d+|hg\d\d|mm\d\d?|rn\d|danRer\d+|dm\d|ce\d+|T2T[-_]CHM13v?[\d.]*|Rnor_[\d.]+|mRatBN[\d.]+)"
    r"(?:\.p\d+)?(?:[-_](?:\d{4}-[A-Z]|\d+\.\d+\.\d+))?)[-_:]+"
)
"""Names of assemblies as tools write them before names of chromosomes and genes (``GRCh38_chr1``), with their release
(``GRCh38-2020-A``, ``hg19-3.0.0``, ``GRCh38.p13``)."""
_REFSEQ: Final = re.compile(r"^nc_(\d{6})\.\d+$")
_GENBANK: Final = re.compile(r"^cm(\d{6})\.\d+$")


def accession_chromosome(name: str) -> str:
    """Return the chromosome of an accession of human or mouse (``NC_000001.11``, ``CM000663.2``: 1); else the name.

    The numbers of the accessions are those of GRCh37, GRCh38, GRCm38 and GRCm39; the version does not matter.
    """
    genbank = _GENBANK.match(name.lower())
    if genbank and 663 <= int(genbank.group(1)) <= 686:
        return _numbered(int(genbank.group(1)) - 662, 23)
    if genbank and 994 <= int(genbank.group(1)) <= 1014:
        return _numbered(int(genbank.group(1)) - 993, 20)
    match = _REFSEQ.match(name.lower())
    number = int(match.group(1)) if match else 0
    if number in {12920, 5089}:
        return "MT"
    if 1 <= number <= 24:
        return _numbered(number, 23)
    if 67 <= number <= 87:
        return _numbered(number - 66, 20)
    return name


def _numbered(number: int, x: int) -> str:
    """Return the chromosome of a number where X follows the autosomes, and Y follows X."""
    return {x: "X", x + 1: "Y"}.get(number, str(number))


def plain_name(name: str) -> str:
    """Return the form of a chromosome name that all its spellings share.

    ``chrMT``, ``MT`` and ``m`` give ``m``; ``chr01``, ``GRCh38_chr1`` and ``NC_000001.11`` give ``1``.
    """
    bare = re.sub(ASSEMBLY, "", name.strip())
    text = accession_chromosome(bare).casefold().removeprefix("chr")
    if text.isdigit():
        return text.lstrip("0") or "0"
    return "m" if text == "mt" else text
