"""Factors behind the names of motifs, as collections write them, and matrices written one row per position."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

_HOCOMOCO: Final = re.compile(r"^([A-Za-z0-9-]+)_(?:HUMAN|MOUSE)\.H\d+\w*\.|^([A-Za-z0-9-]+)\.H1[2-9]\w*\.")
_JASPAR: Final = re.compile(r"^MA\d{4}\.\d+[._]")
_HOMER: Final = re.compile(r"^([^/(]+)(?:\([^)]*\))?/")


def factor_name(identifier: str, name: str) -> str:
    """Return the factor that a motif's name stands for.

    HOCOMOCO's ``CTCF_HUMAN.H11MO.0.A`` and ``CTCF.H12CORE.0.P.B``, JASPAR's ``MA0139.2.CTCF`` and HOMER's
    ``CTCF(Zf)/CD4+-CTCF-ChIP-Seq(Barski_et_al.)/Homer`` all give CTCF; other names are returned as they are.
    """
    given = name or identifier
    hocomoco = _HOCOMOCO.match(given)
    if hocomoco:
        return hocomoco.group(1) or hocomoco.group(2)
    homer = _HOMER.match(given)
    if homer:
        return homer.group(1).replace(":", "::")
    return _JASPAR.sub("", given) or given


def homer_header(header: str) -> tuple[str, str] | None:
    """Return identifier and name of a HOMER motif (consensus, name and threshold between tabs); None for others."""
    fields = header.removeprefix(">").split("\t")
    if len(fields) < 3 or not re.fullmatch(r"[ACGTRYSWKMBDHVN]+", fields[0]):
        return None
    try:
        float(fields[2])
    except ValueError:
        return None
    return fields[1].strip(), fields[1].strip()


def written_by_position(blocks: list[list[list[float]]]) -> bool:
    """Return whether matrices have one row per position (four columns A, C, G, T) instead of four rows.

    Decided for a file as a whole: by the first matrix that can be read one way only. Where all are 4 x 4, by which
    sums are constant: those of one position's four letters.
    """
    for rows in blocks:
        widths = {len(row) for row in rows}
        if len(rows) != 4:
            return widths == {4}
        if widths != {4}:
            return False
    across = [np.ptp([sum(row) for row in rows]) for rows in blocks]
    down = [np.ptp(np.sum(rows, axis=0)) for rows in blocks]
    return bool(sum(across) < sum(down))
