"""Motif matrices from JASPAR (also raw four-row matrices), TRANSFAC and MEME files.

Biopython's parsers name no lines and pass over broken input (negative counts; a TRANSFAC motif without its ``//`` is
dropped, one with a broken row ends there). So the lines are checked here, and what passed is parsed by ``Bio.motifs``.
Its reader of MEME files rounds probabilities to whole numbers of sites; that one is ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Final, Literal

import numpy as np

from mira_nb.errors import ResourceError

from .factors import find_factors, say_factors
from .files import read_lines
from .messages import Finding, refusal
from .motif_names import factor_name, homer_header, written_by_position

_OPTION: Final = "--motifs"
_BASES: Final = "ACGT"
_DEFAULT_SITES: Final = 20.0  # MEME files without nsites
_TRANSFAC_START: Final = re.compile(r"(VV|XX|AC|ID|NA|DE|P[0O])(\s|$)")
_MEME_BEGIN: Final = re.compile(r"MEME VERSION\b", re.IGNORECASE)
_MEME_ROW: Final = re.compile(r"[-+]?\.?\d")
_FACTS: Final = re.compile(r"\s+(?:width|w)\s*=")
"""What MEME writes behind a motif's names: width, sites, E value."""
_RULE: Final = re.compile(r"[*=-]{10,}$")
_TRANSFAC_FIELD: Final = re.compile(r"[A-Z]{2}")
Lines = list[tuple[int, str]]  # line numbers and stripped lines that are not empty


@dataclass(frozen=True)
class Motif:
    """One motif.

    Attributes
    ----------
    id
        Matrix identifier, e.g. MA0139.1; unique in the file.
    name
        Factor, e.g. CTCF or Ahr::Arnt.
    counts
        4 x width, rows A, C, G, T, not negative, every column with a positive sum.
    given
        Name as the file has it, from which genes of the data may tell the factor (:func:`name_motifs`).
    """

    id: str
    name: str
    counts: np.ndarray
    given: str = ""


def read_motifs(path: Path) -> list[Motif]:
    """Read all motifs of a file; the format is recognised by the content.

    Raises
    ------
    ResourceError
        Naming the line and the motif that are wrong.
    """
    path = Path(path)
    lines = list(enumerate(read_lines(path, option=_OPTION), start=1))
    filled = [(number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#")]
    if not filled:
        raise refusal(ResourceError, "motifs_none", path=path)
    first = filled[0][1]
    if _is_meme(filled):
        motifs = list(_read_meme(path, filled))
    elif first.startswith(">") and (blocks := _position_rows(filled)):
        motifs = [_from_positions(path, *block) for block in blocks]
    elif first.startswith(">"):
        motifs = _read_jaspar(path, filled)
    elif _TRANSFAC_START.match(first):
        motifs = _read_transfac(path, filled)
    else:
        raise refusal(ResourceError, "motifs_format_unknown", path=path, beginning=first[:60])
    repeated = [name for name, n in Counter(motif.id for motif in motifs).items() if n > 1]
    if repeated:
        raise refusal(ResourceError, "motifs_duplicate", path=path, n_motifs=len(repeated), names=repeated[:3])
    return motifs


def _is_meme(lines: Lines) -> bool:
    """Return whether a file is in MEME's format: by its first line, below a title between rules, or by its motifs."""
    if _MEME_BEGIN.match(lines[0][1]) or any(line.startswith("MOTIF ") for _, line in lines[:50]):
        return True
    return bool(_RULE.match(lines[0][1])) and any(_MEME_BEGIN.match(line) for _, line in lines[:50])


def name_motifs(motifs: Sequence[Motif], genes: Iterable[str]) -> tuple[list[Motif], list[Finding]]:
    """Name motifs by the genes of the data that their names stand for.

    Returns
    -------
    tuple
        The motifs, and which names were read as another one than the collection's way of writing gives.
    """
    found = find_factors([(motif.id, motif.given) for motif in motifs], genes)
    changed = {
        motif.given or motif.id: name for motif, name in zip(motifs, found.names, strict=True) if name != motif.name
    }
    named = [replace(motif, name=name) for motif, name in zip(motifs, found.names, strict=True)]
    return named, say_factors(changed)


Block = tuple[int, str, str, list[list[float]]]  # line, identifier, name, rows of numbers


def _position_rows(lines: list[tuple[int, str]]) -> list[Block]:
    """Return the matrices of a file with one row per position (HOMER, gimmemotifs); none for four rows A, C, G, T."""
    blocks: list[Block] = []
    is_homer = False
    for number, line in lines:
        if line.startswith(">"):
            homer = homer_header(line)
            is_homer = is_homer or homer is not None
            identifier, name = homer or [*line[1:].split(None, 1), "", ""][:2]
            blocks.append((number, identifier, name, []))
            continue
        try:
            blocks[-1][3].append([float(value) for value in line.split()])
        except ValueError:
            return []
    return blocks if is_homer or written_by_position([rows for *_, rows in blocks]) else []


def _from_positions(path: Path, number: int, identifier: str, name: str, rows: list[list[float]]) -> Motif:
    if not identifier:
        raise _fail(path, number, "a motif without an identifier")
    if not rows or {len(row) for row in rows} != {4}:
        raise _fail(path, number, f"motif {identifier}: its rows are not the four numbers A, C, G, T of a position")
    counts = np.array(rows).T
    fractions = bool((counts >= 0).all() and (counts.sum(axis=0) < 1.5).all())
    return _make(path, number, identifier, name, counts * _DEFAULT_SITES if fractions else counts)


def _fail(path: Path, number: int, message: str) -> ResourceError:
    return refusal(ResourceError, "motifs_malformed", path=path, line=number, problem=message)


def _numbers(path: Path, number: int, text: str, motif: str) -> list[float]:
    try:
        return [float(value) for value in text.split()]
    except ValueError:
        raise _fail(path, number, f"motif {motif}: {text[:60]!r} is not a row of numbers") from None


def _make(path: Path, number: int, identifier: str, name: str, counts: np.ndarray) -> Motif:
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise _fail(path, number, f"motif {identifier}: negative or missing values")
    if (counts.sum(axis=0) <= 0).any():
        raise _fail(path, number, f"motif {identifier}: a position without any counts")
    return Motif(identifier, factor_name(identifier, name), counts, name)


@dataclass(frozen=True)
class _Checked:
    """A motif whose lines were checked: line of its start, identifier, name, and its text for ``Bio.motifs``."""

    number: int
    identifier: str
    name: str
    text: str


def _parse(path: Path, checked: list[_Checked], form: Literal["jaspar", "transfac"]) -> list[Motif]:
    """Parse checked motifs by Biopython, in order."""
    from Bio import motifs

    options = {"strict": False} if form == "transfac" else {}
    found = motifs.parse(StringIO("".join(motif.text for motif in checked)), form, **options)
    return [
        _make(path, motif.number, motif.identifier, motif.name, np.array([parsed.counts[base] for base in _BASES]))
        for motif, parsed in zip(checked, found, strict=True)
    ]


def _read_jaspar(path: Path, lines: Lines) -> list[Motif]:
    starts = [position for position, (_, line) in enumerate(lines) if line.startswith(">")]
    blocks = zip(starts, [*starts[1:], len(lines)], strict=True)
    return _parse(path, [_check_jaspar(path, lines[first:last]) for first, last in blocks], "jaspar")


def _check_jaspar(path: Path, block: Lines) -> _Checked:
    """Check one matrix: four rows of equally many numbers, with or without letters and brackets."""
    number, header = block[0]
    words = header[1:].split(None, 1)
    identifier = words[0] if words else ""
    rows: dict[str, str] = {}
    lengths = {}
    for position, (at, line) in enumerate(block[1:]):
        match = re.match(r"^([ACGTacgt])\s*[:|]?\s*\[?([^\]]*)\]?$", line)
        letter, text = (match.group(1).upper(), match.group(2)) if match else (_BASES[position % 4], line)
        lengths[letter] = len(_numbers(path, at, text, identifier or "?"))
        rows[letter] = text
    if not identifier:
        raise _fail(path, number, "a motif without an identifier")
    if len(block) != 5 or set(rows) != set(_BASES):
        raise _fail(path, number, f"motif {identifier}: {len(block) - 1} rows instead of the four A, C, G, T")
    sizes = [lengths[base] for base in _BASES]
    if len(set(sizes)) != 1 or not sizes[0]:
        raise _fail(path, number, f"motif {identifier}: rows of different lengths ({', '.join(map(str, sizes))})")
    text = "".join(f"{base} [ {rows[base]} ]\n" for base in _BASES)
    return _Checked(number, identifier, words[1].strip() if len(words) > 1 else "", f">{identifier}\n{text}")


def _read_transfac(path: Path, lines: Lines) -> list[Motif]:
    if blocks := _stamp_blocks(lines):
        return _parse(path, [_check_transfac(path, block) for block in blocks], "transfac")
    checked = []
    block: Lines = []
    for number, line in lines:
        if line != "//":
            block.append((number, line))
            continue
        if any(text[:2] in {"P0", "PO"} for _, text in block):  # a file's own header has no matrix
            checked.append(_check_transfac(path, block))
        block = []
    if block:
        raise _fail(path, block[0][0], "a motif without '//' at its end")
    if not checked:
        raise refusal(ResourceError, "motifs_none", path=path)
    return _parse(path, checked, "transfac")


def _stamp_blocks(lines: Lines) -> list[Lines]:
    """Return motifs in the dialect of STAMP and gimmemotifs as blocks of TRANSFAC; none for another.

    A motif begins with ``DE``, its identifier and its class; its rows hold A, C, G and T without a header.
    """
    blocks: list[Lines] = []
    for number, line in lines:
        words = line.split()
        if words[0] in {"P0", "PO", "AC"}:
            return []
        if words[0] == "DE":
            blocks.append([(number, f"AC {''.join(words[1:2])}"), (number, f"P0 {' '.join(_BASES)}")])
        elif blocks and line != "//" and not _TRANSFAC_FIELD.fullmatch(words[0]):
            blocks[-1].append((number, line))
    return blocks


def _check_transfac(path: Path, block: Lines) -> _Checked:
    """Check one motif: an identifier, a header P0 (or PO) of bases, and rows of numbers, counted from 00 or 01."""
    names = {line[:2]: line[2:].strip() for _, line in reversed(block) if line[:2] in {"AC", "ID", "NA"}}
    number = block[0][0]
    identifier = (names.get("AC") or names.get("ID") or "").split(None, 1)[:1]
    if not identifier:
        raise _fail(path, number, "a motif without an identifier (AC or ID)")
    begin = next(position for position, (_, line) in enumerate(block) if line[:2] in {"P0", "PO"})
    at, header = block[begin]
    bases = header.split()[1:5]
    if sorted(bases) != sorted(_BASES):
        raise _fail(path, at, f"motif {identifier[0]}: {header[:40]!r} instead of a header P0 A C G T")
    order = [bases.index(base) + 1 for base in _BASES]
    rows: list[str] = []
    first = 1
    for at, line in block[begin + 1 :]:
        words = line.split()
        if _TRANSFAC_FIELD.fullmatch(words[0]):
            break
        if not rows:
            first = 0 if words[0] in {"0", "00"} else 1
        key = f"{len(rows) + first:02d}"
        if words[0] not in {key, str(len(rows) + first)} or len(words) < 5:
            raise _fail(path, at, f"motif {identifier[0]}: {line[:60]!r} is not row {key} of four numbers")
        values = [words[place] for place in order]
        _numbers(path, at, " ".join(values), identifier[0])
        rows.append(f"{len(rows) + 1:02d}  {'  '.join(values)}\n")
    if not rows:
        raise _fail(path, number, f"motif {identifier[0]} has no rows")
    name = names.get("NA") or names.get("ID") or ""
    return _Checked(number, identifier[0], name, f"P0  A  C  G  T\n{''.join(rows)}XX\n//\n")


def _read_meme(path: Path, lines: Lines) -> Iterator[Motif]:
    for number, line in lines:
        if line.upper().startswith("ALPHABET") and not re.search(r"=\s*ACGT\b|DNA", line.upper()):
            raise _fail(path, number, f"the alphabet is not DNA ({line[:40]})")
    starts = [place for place, (_, line) in enumerate(lines) if re.match(r"MOTIF(\s|$)", line)]
    if not starts:
        raise refusal(ResourceError, "motifs_none", path=path)
    for first, last in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield _from_meme(path, lines[first:last])


def _from_meme(path: Path, block: Lines) -> Motif:
    """Read one motif, from its name to the line before the next, among all that programs print around its matrix.

    MEME draws the motif, lists its sites and log odds before the matrix, and rules a line of dashes below it.
    """
    number, line = block[0]
    words = _FACTS.split(line)[0].split()
    identifier = words[1] if len(words) > 1 else f"motif_{number}"
    name = words[2] if len(words) > 2 else identifier
    matrix = "letter-probability matrix"
    position = next((place for place, (_, text) in enumerate(block) if text.lower().startswith(matrix)), None)
    if position is None:
        raise _fail(path, number, f"motif {identifier} has no letter-probability matrix")
    description = block[position][1]
    width = re.search(r"\bw=\s*(\d+)", description)
    sites = re.search(r"\bnsites=\s*([0-9.eE+]+)", description)
    rows = []
    for at, text in block[position + 1 :]:
        if not _MEME_ROW.match(text):
            break
        rows.append(_numbers(path, at, text, identifier))
    if not rows or any(len(row) != 4 for row in rows) or (width and int(width.group(1)) != len(rows)):
        wanted = width.group(1) if width else "some"
        raise _fail(path, number, f"motif {identifier}: {len(rows)} rows of four numbers found, {wanted} announced")
    scale = float(sites.group(1)) if sites and float(sites.group(1)) > 0 else _DEFAULT_SITES
    return _make(path, number, identifier, name, np.array(rows).T * scale)
