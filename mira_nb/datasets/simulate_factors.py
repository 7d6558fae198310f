"""Invented transcription factors: names, binding preferences and planted roles.

The matrices are made for this data set; they describe no real protein.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from .simulate_cells import LINEAGES

Kind = Literal["planted", "promoter-decoy", "random"]

# name, consensus (IUPAC): a specific core of eleven or twelve letters, degenerate letters at the flanks
_FACTORS: Final[tuple[tuple[str, str], ...]] = (
    ("VELKO1", "NTGACGTCATCGNW"), ("BRANTO", "RGATAAGCTTGAC"), ("CALDRA2", "NCACGTGTTAACS"),
    ("DOMERI", "WAACCGGTTCATNN"), ("ESTALO1", "YCCGGAAGTCATR"), ("FARIDO", "NTTGCGCAATAGS"),
    ("GOLVENA", "RTAAACATGGACAN"), ("HESTIR3", "NCAGCTGCTAGTCW"), ("ILMARO", "GGGAATTCCTAGN"),
    ("JORUNA1", "WACAATGGCGTTSN"), ("KETAVI", "NTAATCCGATTGCY"), ("LOMBRA4", "SCCATATTAGGCA"),
    ("MAVRIN", "NACCTTGATCTGAR"), ("NOLTEX2", "RTCACTGAGTAAGN"), ("OBRANI", "NGCCTGAGGCTTAW"),
    ("PELUMA", "TGTGGTTTACCGN"), ("QUINDO1", "NATTTGCATAACGS"), ("RASKEL", "YGAGACCTTTCGAN"),
    ("SOLIVA2", "WCGTGACCTAAGT"), ("TEMBRO", "NAGGTCATCGACCN"), ("ULVARI5", "SATGCGGGCATTTN"),
    ("VORTAN", "NCTACTTCCGGTGR"), ("WELDRI1", "RACGCAAATGTCCN"), ("ZANOKE", "NGTTAGCGTATCAY"),
)  # fmt: skip
_IUPAC: Final = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "N": "ACGT"}
_BASES: Final = "ACGT"
_SEQUENCES: Final = 400


@dataclass(frozen=True)
class Factor:
    """One factor.

    Attributes
    ----------
    id, name
        Matrix identifier and gene symbol.
    counts
        4 x width, rows A, C, G, T; columns sum to 400.
    kind
        planted: drives a lineage; promoter-decoy: its sites lie in promoters; random: anywhere.
    lineage
        Which lineage it drives ('' for none).
    """

    id: str
    name: str
    counts: np.ndarray
    kind: Kind
    lineage: str

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return int(self.counts.shape[1])


def consensus_counts(consensus: str) -> np.ndarray:
    """Return counts (4 x width) of 400 sites around an IUPAC consensus: 94 to 98 % of a letter where it is specific."""
    counts = np.zeros((4, len(consensus)), dtype=np.int64)
    for position, letter in enumerate(consensus):
        allowed = _IUPAC.get(letter, letter)
        fraction = 1.0 if letter == "N" else 0.94 + 0.01 * ((position * 7 + 3) % 5)
        others = [base for base in _BASES if base not in allowed]
        for base in allowed:
            counts[_BASES.index(base), position] = int(_SEQUENCES * fraction / len(allowed))
        for base in others:
            counts[_BASES.index(base), position] = int(_SEQUENCES * (1 - fraction) / len(others))
        counts[_BASES.index(allowed[0]), position] += _SEQUENCES - counts[:, position].sum()
    return counts


def make_factors(rng: np.random.Generator) -> tuple[Factor, ...]:
    """Return all factors; which of them are planted is drawn: two for each lineage, then three promoter decoys."""
    order = rng.permutation(len(_FACTORS))
    role: dict[int, tuple[Kind, str]] = {}
    for rank, index in enumerate(order):
        if rank < 2 * len(LINEAGES):
            role[int(index)] = ("planted", LINEAGES[rank % len(LINEAGES)])
        elif rank < 2 * len(LINEAGES) + 3:
            role[int(index)] = ("promoter-decoy", "")
        else:
            role[int(index)] = ("random", "")
    return tuple(
        Factor(f"SIM{index + 1:04d}.1", name, consensus_counts(consensus), *role[index])
        for index, (name, consensus) in enumerate(_FACTORS)
    )


def factor_names() -> tuple[str, ...]:
    """Return the symbols of all factors."""
    return tuple(name for name, _ in _FACTORS)
