"""Sequences of genome intervals from a FASTA file, plain, gzipped or bgzipped.

A plain file with an index (.fai) is read by interval, with pyfaidx. Any other file is streamed once, holding at most
one chromosome, as bytes: genomes are distributed as plain gzip, which has no random access.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from mira_nb.chromosomes import match_chromosomes, plain_name
from mira_nb.errors import ResourceError
from mira_nb.keys import CHROM, END, START
from mira_nb.typing import Progress

from .files import check_file, is_gzipped
from .messages import Finding, finding, refusal

if TYPE_CHECKING:
    from pyfaidx import Faidx

_OPTION: Final = "--genome"
_LOOKED_AT: Final = 1_000_000
_LETTERS: Final = b"ACGTNacgtnRYSWKMBDHVryswkmbdhv*"
_BLOCK: Final = 1 << 22
# upper-case A, C, G, T; every other letter becomes N
_CLEAN: Final = bytes(
    code if chr(code) in "ACGTN" else ord(chr(code).upper()) if chr(code) in "acgt" else ord("N") for code in range(256)
)


@dataclass(frozen=True)
class PeakSequences:
    """Sequences of peaks.

    Attributes
    ----------
    sequences
        One per peak, letters A, C, G, T, N; '' where the peak is not in the genome.
    found
        Whether the peak lies in the genome (bool, one per peak).
    names
        How chromosome names of the peaks were translated into those of the file, where they differ.
    findings
        Peaks outside the genome, clipped at a chromosome's end, or mostly N.
    """

    sequences: list[str]
    found: np.ndarray
    names: Mapping[str, str]
    findings: tuple[Finding, ...] = ()


def read_sequences(path: Path, peaks: pd.DataFrame, *, progress: Progress | None = None) -> PeakSequences:
    """Read the sequences of all peaks.

    Parameters
    ----------
    path
        FASTA file.
    peaks
        Columns chrom, start, end (0-based, half-open).
    progress
        Called with a fraction and a message.

    Raises
    ------
    ResourceError
        When the file is no FASTA file, is damaged, or shares no chromosome with the peaks.
    """
    path = Path(path)
    check_file(path, option=_OPTION, error=ResourceError)
    chrom = peaks[CHROM].astype(str).to_numpy()
    start, end = peaks[START].to_numpy(dtype=np.int64), peaks[END].to_numpy(dtype=np.int64)
    wanted = list(dict.fromkeys(chrom))
    sequences = [""] * len(peaks)
    state = _State(wanted, chrom, start, end, sequences, np.zeros(len(peaks), dtype=np.int64))
    index = _open_indexed(path)
    if index is None:
        _fetch_streaming(path, state, progress)
    else:
        with closing(index):
            _fetch_indexed(path, index, state, progress)
    return _finish(path, state)


def sequence_lengths(path: Path) -> list[tuple[str, int]]:
    """Read names and lengths of all sequences of a FASTA file, from its index when there is one.

    Raises
    ------
    ResourceError
        When the file is no FASTA file of DNA, or is damaged.
    """
    path = Path(path)
    check_file(path, option=_OPTION, error=ResourceError)
    fai = path.with_name(path.name + ".fai")
    if fai.is_file() and fai.stat().st_mtime >= path.stat().st_mtime:
        rows = [line.split("\t") for line in fai.read_text(encoding="utf-8", errors="replace").splitlines()]
        if rows and all(len(row) > 1 and row[1].isdigit() for row in rows):
            return [(row[0], int(row[1])) for row in rows]
    found = []
    for name, sequence in _sequences(path, lambda _: True):
        other = sequence[:_LOOKED_AT].translate(None, _LETTERS)
        if len(other) > 0.01 * min(len(sequence), _LOOKED_AT):
            raise refusal(ResourceError, "genome_not_dna", path=path, sequence=name, letter=chr(other[0]))
        found.append((name, len(sequence)))
    return found


@dataclass
class _State:
    """Wanted intervals and what was found so far."""

    wanted: list[str]
    chrom: np.ndarray
    start: np.ndarray
    end: np.ndarray
    sequences: list[str]
    lengths: np.ndarray
    """Length of each peak's chromosome, 0 when not seen."""
    available: list[str] | None = None
    translated: dict[str, str] | None = None

    def rows(self, name: str) -> np.ndarray:
        """Return the rows of the peaks on the chromosome that they call `name`."""
        return np.flatnonzero(self.chrom == name)


def _open_indexed(path: Path) -> Faidx | None:
    """Open a plain file that has a usable samtools index (.fai, not older than the file); None for any other.

    pyfaidx itself would write an index beside the file, and refuses gzipped files that are not made by bgzip.
    """
    fai = path.with_name(path.name + ".fai")
    if is_gzipped(path) or not fai.is_file() or fai.stat().st_mtime < path.stat().st_mtime:
        return None
    import pyfaidx

    try:
        index = pyfaidx.Faidx(str(path), as_raw=True, build_index=False, rebuild=False)
    except (OSError, ValueError, KeyError, pyfaidx.FastaIndexingError, pyfaidx.UnsupportedCompressionFormat):
        return None  # an index that cannot be read is as good as none
    if not index.index:
        index.close()
        return None
    return index


def _fetch_indexed(path: Path, index: Faidx, state: _State, progress: Progress | None) -> None:
    state.available = list(index.index)
    names = state.translated = match_chromosomes(state.wanted, state.available).mapping
    for number, (name, actual) in enumerate(names.items()):
        length = index.index[actual].rlen
        rows = state.rows(name)
        state.lengths[rows] = length
        for row in rows:
            begin, stop = int(state.start[row]), min(int(state.end[row]), length)
            if begin < stop:
                state.sequences[row] = _interval(path, index, actual, begin, stop)
        if progress is not None:
            progress((number + 1) / len(names), f"sequences of {name}")


def _interval(path: Path, index: Faidx, name: str, begin: int, stop: int) -> str:
    """Return the letters of one interval (0-based, half-open); refuse an index that was made from another file."""
    try:
        letters = index.fetch(name, begin + 1, stop)
    except UnicodeDecodeError:
        letters = ""
    if len(letters) != stop - begin or ">" in letters:
        raise refusal(
            ResourceError,
            "genome_index_does_not_fit",
            file=path.name,
            path=path,
            sequence=name,
            begin=begin,
            stop=stop,
            n_letters=len(letters),
        )
    return letters.encode("ascii", "replace").translate(_CLEAN).decode("ascii")


def _fetch_streaming(path: Path, state: _State, progress: Progress | None) -> None:
    """Read the file in one pass; a sequence of exactly the wanted name beats one whose name only corresponds."""
    state.available, state.translated = [], {}
    by_plain: dict[str, list[str]] = {}
    for name in state.wanted:
        by_plain.setdefault(plain_name(name), []).append(name)

    def wants(actual: str) -> bool:
        state.available.append(actual)  # type: ignore[union-attr]
        return bool(_takers(actual, by_plain, state))

    for actual, sequence in _sequences(path, wants):
        for name in _takers(actual, by_plain, state):
            state.translated[name] = actual
            rows = state.rows(name)
            state.lengths[rows] = len(sequence)
            for row in rows:
                letters = sequence[state.start[row] : state.end[row]]
                state.sequences[row] = letters.translate(_CLEAN).decode("ascii")
        if progress is not None:
            progress(len(state.translated) / len(state.wanted), f"sequences of {actual}")
        if all(name == state.translated.get(name) for name in state.wanted):
            break


def _takers(actual: str, by_plain: Mapping[str, list[str]], state: _State) -> list[str]:
    """List the peaks' chromosomes that this sequence stands for and that have none yet, or a less exact one."""
    taken = state.translated or {}
    return [name for name in by_plain.get(plain_name(actual), []) if name == actual or name not in taken]


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if is_gzipped(path) else path.open("rb")  # type: ignore[return-value]


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the file in blocks, each cut at a line end (one very long line may still span blocks)."""
    try:
        with _open(path) as handle:
            while block := handle.read(_BLOCK):
                if not block.endswith(b"\n"):
                    block += handle.readline(_BLOCK)
                yield block
    except (EOFError, OSError, zlib.error) as error:
        raise refusal(ResourceError, "genome_damaged", path=path, problem=error) from error


def _name(header: bytes) -> str:
    words = header.decode("utf-8", "replace").split()
    accession = re.search(r"\|(N[CTW]_\d+\.\d+)\|", words[0]) if words else None  # gi|568815597|ref|NC_000001.11|
    return accession.group(1) if accession else words[0] if words else ""


def _sequences(path: Path, wants: Callable[[str], bool]) -> Iterator[tuple[str, bytearray]]:
    """Yield each sequence that is wanted by its name, whole, without line ends; the others are skipped."""
    name: str | None = None
    wanted = False
    sequence = bytearray()
    for block in _blocks(path):
        begin = 0
        while begin < len(block):
            if block[begin : begin + 1] == b">":
                if wanted and name is not None:
                    yield name, sequence
                stop = block.find(b"\n", begin)
                stop = len(block) if stop < 0 else stop
                name, sequence = _name(block[begin + 1 : stop]), bytearray()
                wanted = wants(name)
                begin = stop + 1
                continue
            following = block.find(b"\n>", begin)
            stop = len(block) if following < 0 else following + 1
            if name is None and block[begin:stop].strip():
                _refuse_other(path, block[begin:])
            if wanted:
                sequence += block[begin:stop].translate(None, b"\r\n\t ")
            begin = stop
    if wanted and name is not None:
        yield name, sequence


def _refuse_other(path: Path, content: bytes) -> None:
    raise refusal(ResourceError, "genome_not_fasta", path=path, beginning=content[:40])


def _finish(path: Path, state: _State) -> PeakSequences:
    names, available = state.translated or {}, state.available or []
    if not names:
        raise refusal(
            ResourceError,
            "genome_without_shared_chromosome",
            path=path,
            peaks=_some(state.wanted),
            genome=_some(available),
        )
    findings: list[Finding] = []
    renamed = {name: actual for name, actual in names.items() if name != actual}
    if renamed:
        shown = ", ".join(f"{name} = {actual}" for name, actual in list(renamed.items())[:3])
        findings.append(finding("genome_renamed_chromosomes", file=path.name, shown=shown))
    found = np.array([bool(sequence) for sequence in state.sequences])
    absent = [name for name in state.wanted if name not in names]
    n_absent = int(np.isin(state.chrom, absent).sum()) if absent else 0
    if absent:
        findings.append(finding("genome_lacks_chromosomes", n_peaks=n_absent, file=path.name, lacking=_some(absent)))
    beyond = ~found & (state.lengths > 0)
    if beyond.any():
        row = int(np.flatnonzero(beyond)[0])
        findings.append(
            finding(
                "genome_too_short",
                n_peaks=int(beyond.sum()),
                chrom=state.chrom[row],
                start=state.start[row],
                end=state.end[row],
                file=path.name,
                length=state.lengths[row],
            )
        )
    lengths = np.array([len(sequence) for sequence in state.sequences])
    n_clipped = int((found & (lengths < state.end - state.start)).sum())
    if n_clipped:
        findings.append(finding("peaks_clipped", n_peaks=n_clipped))
    n_masked = sum(sequence.count("N") > 0.5 * len(sequence) for sequence in state.sequences if sequence)
    if n_masked:
        findings.append(finding("genome_masked", n_peaks=n_masked, file=path.name))
    return PeakSequences(state.sequences, found, renamed, tuple(findings))


def _some(names: Sequence[str], n: int = 5) -> str:
    shown = ", ".join(names[:n])
    return f"{shown} and {len(names) - n:,} more" if len(names) > n else shown
