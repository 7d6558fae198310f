"""Layers that hold one part of the counts each, such as those of spliced and of unspliced molecules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .formats import RawModality
from .pairing import Log
from .rivals import Candidate, Choice, difference, layer_of, load_rival, totals

_PARTS: Final = frozenset({"spliced", "unspliced", "ambiguous", "spanning", "mature", "nascent"})
_EXONS: Final = frozenset({"exon", "exons", "exonic"})
_INTRONS: Final = frozenset({"intron", "introns", "intronic"})
_FILLING: Final = frozenset({"count", "counts", "raw", "umi", "umis", "layer", "matrix", "reads", "rna"})
_MORE: Final = 1.1
"""How many times the counts taken all parts must hold to be reported: programs that split counts differ a little."""


def partial_layers(names: Iterable[str]) -> list[str]:
    """Return the layers that are named for a part of the counts; exons and introns only where there are both."""
    words = {name: set(re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)) for name in names}
    words = {name: {word.lower() for word in found} - _FILLING for name, found in words.items()}
    both = all(any(len(found) == 1 and found <= kind for found in words.values()) for kind in (_EXONS, _INTRONS))
    known = _PARTS | _EXONS | _INTRONS if both else _PARTS
    return [name for name, found in words.items() if len(found) == 1 and found <= known]


def check_parts(raw: RawModality, choice: Choice, keys: Iterable[str], log: Log) -> None:
    """Warn when the matrix taken is one part of the counts, or clearly less than all parts together.

    Parameters
    ----------
    keys
        Matrices that hold parts.
    """
    equal, parts, together = "", [], 0.0
    for key in keys:
        part = load_rival(raw, key)
        if part is None:
            continue
        equal = equal or (key if _equal(part, choice.taken) else "")
        parts.append({"matrix": key, "totals": totals(part[1])})
        together += float(part[1].sum())
    taken = float(choice.taken[1].sum())
    if not equal and together <= _MORE * taken:
        return
    matrix = choice.taken[0]
    log.add(
        "part_of_counts",
        source=raw.source,
        matrix=matrix,
        equal=equal,
        parts=parts,
        together=together,
        taken=taken,
        layer=layer_of(matrix),
    )


def _equal(part: Candidate, taken: Candidate) -> bool:
    return part[1].shape == taken[1].shape and not difference(part, taken)
