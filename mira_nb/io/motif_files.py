"""Motif matrices from .jaspar (also raw four-row matrices) and .meme files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mira_nb.errors import ResourceError

from .files import read_lines
from .motif_names import factor_name, homer_header, written_by_position

_OPTION: Final = "--motifs"
_BASES: Final = "ACGT"
_DEFAULT_SITES: Final = 20.0  # MEME files without nsites
_EXPECTED: Final = "a JASPAR file ('>ID name' and four rows A, C, G, T) or a MEME file (version 4 or later, DNA)."


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
    """

    id: str
    name: str
    counts: np.ndarray


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
        raise ResourceError(f"{path} ({_OPTION}) has no motifs.", expected=_EXPECTED, remedy="give a complete file.")
    first = filled[0][1]
    if first.upper().startswith("MEME VERSION") or any(line.startswith("MOTIF ") for _, line in filled[:50]):
        motifs = list(_read_meme(path, filled))
    elif first.startswith(">") and (blocks := _position_rows(filled)):
        motifs = [_from_positions(path, *block) for block in blocks]
    elif first.startswith(">"):
        motifs = list(_read_jaspar(path, filled))
    else:
        raise ResourceError(
            f"{path} ({_OPTION}) is neither a JASPAR nor a MEME file; it begins with {first[:60]!r}.",
            expected=_EXPECTED,
            remedy="download the matrices in JASPAR format.",
        )
    repeated = [name for name, n in Counter(motif.id for motif in motifs).items() if n > 1]
    if repeated:
        raise ResourceError(
            f"{path} ({_OPTION}): {len(repeated)} motif identifiers occur more than once, "
            f"e.g. {', '.join(repeated[:3])}.",
            expected="one matrix per identifier.",
            remedy="remove or rename the duplicates.",
        )
    return motifs


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
    return _make(path, number, identifier, name, (counts * _DEFAULT_SITES if fractions else counts).tolist())


def _fail(path: Path, number: int, message: str) -> ResourceError:
    return ResourceError(
        f"{path} ({_OPTION}), line {number}: {message}.",
        expected=_EXPECTED,
        remedy="correct the file or download it again.",
    )


def _numbers(path: Path, number: int, text: str, motif: str) -> list[float]:
    try:
        return [float(value) for value in text.split()]
    except ValueError:
        raise _fail(path, number, f"motif {motif}: {text[:60]!r} is not a row of numbers") from None


def _make(path: Path, number: int, identifier: str, name: str, rows: list[list[float]]) -> Motif:
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise _fail(
            path, number, f"motif {identifier}: rows of different lengths ({', '.join(str(len(r)) for r in rows)})"
        )
    counts = np.array(rows, dtype=np.float64)
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise _fail(path, number, f"motif {identifier}: negative or missing values")
    if (counts.sum(axis=0) <= 0).any():
        raise _fail(path, number, f"motif {identifier}: a position without any counts")
    return Motif(identifier, factor_name(identifier, name), counts)


def _read_jaspar(path: Path, lines: list[tuple[int, str]]) -> Iterator[Motif]:
    header, begun, rows = "", 0, []  # type: ignore[var-annotated]

    def finish() -> Motif:
        words = header.split(None, 1)
        identifier = words[0] if words else ""
        if not identifier:
            raise _fail(path, begun, "a motif without an identifier")
        if len(rows) != 4 or {letter for letter, _ in rows} != set(_BASES):
            raise _fail(path, begun, f"motif {identifier}: {len(rows)} rows instead of the four A, C, G, T")
        ordered = [dict(rows)[letter] for letter in _BASES]
        return _make(path, begun, identifier, words[1].strip() if len(words) > 1 else "", ordered)

    for number, line in lines:
        if line.startswith(">"):
            if begun:
                yield finish()
            header, begun, rows = line[1:].strip(), number, []
            continue
        match = re.match(r"^([ACGTacgt])\s*[:|]?\s*\[?([^\]]*)\]?$", line)
        letter, text = (match.group(1).upper(), match.group(2)) if match else (_BASES[len(rows) % 4], line)
        rows.append((letter, _numbers(path, number, text, header.split(None, 1)[0] if header else "?")))
    if begun:
        yield finish()


def _read_meme(path: Path, lines: list[tuple[int, str]]) -> Iterator[Motif]:
    for number, line in lines:
        if line.upper().startswith("ALPHABET") and not re.search(r"=\s*ACGT\b|DNA", line.upper()):
            raise _fail(path, number, f"the alphabet is not DNA ({line[:40]})")
    position, n_found = 0, 0
    while position < len(lines):
        number, line = lines[position]
        position += 1
        if not line.startswith("MOTIF"):
            continue
        words = line.split()
        identifier = words[1] if len(words) > 1 else f"motif_{number}"
        name = words[2] if len(words) > 2 else identifier
        while position < len(lines) and not lines[position][1].lower().startswith("letter-probability matrix"):
            if lines[position][1].startswith("MOTIF"):
                break
            position += 1
        if position >= len(lines) or lines[position][1].startswith("MOTIF"):
            raise _fail(path, number, f"motif {identifier} has no letter-probability matrix")
        description = lines[position][1]
        width = re.search(r"\bw=\s*(\d+)", description)
        sites = re.search(r"\bnsites=\s*([0-9.eE+]+)", description)
        position += 1
        rows = []
        while position < len(lines) and re.match(r"^[-+.0-9]", lines[position][1]):
            rows.append(_numbers(path, lines[position][0], lines[position][1], identifier))
            position += 1
        if not rows or any(len(row) != 4 for row in rows) or (width and int(width.group(1)) != len(rows)):
            wanted = width.group(1) if width else "some"
            raise _fail(path, number, f"motif {identifier}: {len(rows)} rows of four numbers found, {wanted} announced")
        scale = float(sites.group(1)) if sites and float(sites.group(1)) > 0 else _DEFAULT_SITES
        n_found += 1
        yield _make(path, number, identifier, name, (np.array(rows).T * scale).tolist())
    if not n_found:
        raise ResourceError(f"{path} ({_OPTION}) has no motifs.", expected=_EXPECTED, remedy="give a complete file.")
