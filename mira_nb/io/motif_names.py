"""Factors behind the names of motifs, as collections write them, and matrices written one row per position."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

_HOCOMOCO: Final = re.compile(r"^([A-Za-z0-9-]+)_(?:HUMAN|MOUSE)\.H\d+\w*\.|^([A-Za-z0-9-]+)\.H1[2-9]\w*\.")
_JASPAR: Final = re.compile(r"^MA\d{4}\.\d+[._]")
_CISBP: Final = re.compile(r"^\(([^()]+)\)_\([A-Z][a-z]+_[a-z]+\)")
_UNIPROT: Final = re.compile(r"^([A-Z0-9-]{2,})_(?:HUMAN|MOUSE|RAT)$")
_JOLMA: Final = re.compile(r"^([A-Za-z0-9-]+)_(?:DBD|full)(?:_\d+)?$")
_TRANSFAC: Final = re.compile(r"^[A-Z]\$([A-Z0-9]+)_[A-Z0-9]+$")
_GUESS: Final = re.compile(r"^\d+-[ACGTRYSWKMBDHVN]+,BestGuess:([^/(]+)")
_REMAP: Final = re.compile(r"^(?:GSE|ENCSR|ERP|DRP|SRP|E-[A-Z]{4}-)\w+\.([^.]+)\.")
_CHIP_ATLAS: Final = re.compile(r"^(?:.*;)?Name=(.+?)(?:%20| )\(@")
_UNIBIND: Final = re.compile(r"^(?:.*[_.])?([^_.]+)[_.]MA\d{4}\.\d+(?:\.\w+)*$")
_VARIANT: Final = re.compile(r"[(.]\s*VAR\.?\s*\d+\)?$")
_HOMER: Final = re.compile(r"^([^/(]+)\([^/]*\)[^/()]*/|^([^/(]+)/(?:.*/)?Homer\b")
_SOURCE: Final = re.compile(r"^[a-z][a-z0-9_]*__(?=.)")
_ENCODE: Final = re.compile(r"^([A-Za-z0-9-]+)_(?:disc|known)\d+$")
_UNIPROBE: Final = re.compile(r"^([A-Za-z0-9-]+)_(?:primary|secondary)$")
_WHOLE: Final = (
    _CISBP, _UNIPROT, _JOLMA, _TRANSFAC, _GUESS, _REMAP, _CHIP_ATLAS, _UNIBIND, _ENCODE, _UNIPROBE,
)  # fmt: skip


def factor_name(identifier: str, name: str) -> str:
    """Return the factor that a motif's name stands for.

    HOCOMOCO's ``CTCF_HUMAN.H11MO.0.A`` and ``CTCF.H12CORE.0.P.B``, JASPAR's ``MA0139.2.CTCF`` and HOMER's
    ``CTCF(Zf)/CD4+-CTCF-ChIP-Seq(Barski_et_al.)/Homer`` all give CTCF, and so do CIS-BP's
    ``(CTCF)_(Homo_sapiens)_(DBD_1.00)``, UniProt's ``CTCF_HUMAN``, ``CTCF_full_1``, TRANSFAC's ``V$CTCF_01`` and
    what HOMER guesses of a new motif, ``CTCF_MA0139.1``, ENCODE's ``CTCF_disc1`` and UniPROBE's ``CTCF_primary``. A
    source in front (``hocomoco__``) is taken off. Of sites, so do ReMap's ``GSE100.CTCF.K562``, ChIP-Atlas's
    ``ID=SRX1;Name=CTCF%20(@%20K-562)`` and UniBind's ``EXP1_K562_CTCF_MA0139.1``. Other names are returned as they are.
    """
    given = identifier if not name or name.startswith("/") or re.fullmatch(r"(?:MEME|DREME|STREME)-\d+", name) else name
    given = _SOURCE.sub("", given)
    for pattern in _WHOLE:
        if found := pattern.match(given):
            return found.group(1).replace(":", "::")
    hocomoco = _HOCOMOCO.match(given)
    if hocomoco:
        return hocomoco.group(1) or hocomoco.group(2)
    homer = _HOMER.match(given)
    if homer:
        return (homer.group(1) or homer.group(2)).replace(":", "::")
    return _JASPAR.sub("", given) or given


def factor_genes(name: str) -> list[str]:
    """Return the gene symbols (in capitals) of a factor's name: ``Ahr::Arnt`` has two, ``JUN(var.2)`` one."""
    parts = re.split(r"::|\+", name.strip().upper())
    return [_VARIANT.sub("", part.strip()).strip() for part in parts if part.strip()]


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
