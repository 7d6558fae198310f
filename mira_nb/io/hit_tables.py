"""Text files of hits beside BED: FIMO's table of hits, and tables of peaks (rows) and factors (columns)."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.chromosomes import match_chromosomes
from mira_nb.errors import ResourceError
from mira_nb.keys import CHROM, END, START

from .bed import FACTOR_COLUMNS
from .files import check_file, find_separator, is_gzipped, read_lines, split_row
from .identifiers import plain_header
from .intervals import is_whole, looks_like_peaks, parse_peak_names, whole_number
from .messages import refusal
from .peaks import CHROM_COLUMNS, END_COLUMNS, NAME_COLUMNS, START_COLUMNS, find_column, has_coordinate_columns

OPTION: Final = "--motif-hits"
Form = Literal["fimo", "table", "bed", "transposed", "unknown"]

_BED_ENDINGS: Final = (".bed", ".narrowpeak", ".broadpeak", ".gappedpeak")
_HEAD: Final = 50
_MOST: Final = 0.5
_FIMO: Final = {"sequencename", "start", "stop"}
_FIMO_MOTIF: Final = ("motifid", "patternname")
_PEAK_COLUMNS: Final = (*CHROM_COLUMNS, *START_COLUMNS, *END_COLUMNS, *NAME_COLUMNS)
_OF_PEAKS: Final = {plain_header(name) for name in (*_PEAK_COLUMNS, "width", "length", "strand", "score", "name")}
"""Columns of a table that describe the peak, not a factor."""
_LOGICAL: Final = {"true": 1.0, "false": 0.0}


def is_text(path: Path) -> bool:
    """Return whether a file of hits is text, plain or gzipped, by its content; a damaged one by its ending."""
    named = path.name.lower().removesuffix(".gz").endswith((*_BED_ENDINGS, ".tsv", ".csv", ".txt"))
    if path.is_dir() or not path.exists():
        return named
    check_file(path, option=OPTION, error=ResourceError)
    try:
        with (gzip.open if is_gzipped(path) else open)(path, "rb") as handle:
            head = handle.read(1024)
    except (EOFError, OSError, zlib.error):
        return named
    return b"\0" not in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def form_of(path: Path, peaks: pd.DataFrame) -> tuple[Form, str]:
    """Return which text file of hits this is, by its first lines, and the first of these."""
    lines = (line for line in read_lines(path, option=OPTION) if line.strip())
    head = [line for line in islice(lines, _HEAD) if not line.startswith(("track", "browser"))]
    if not head:
        return "bed", ""
    if _is_fimo(_fimo_header(head[0])):
        return "fimo", head[0]
    rows = [line for line in head if not line.startswith("#")] or head
    header, cells = _cells(rows)
    values = header[1:]
    if len(cells) and values and not any(map(is_whole, values)):
        if looks_like_peaks([cell[0] for cell in cells]) or {cell[0] for cell in cells} <= set(peaks.index):
            return "table", head[0]
        if looks_like_peaks(values):
            return "transposed", ", ".join(values[:2])
        numeric = [name for name in header if plain_header(name) not in _OF_PEAKS]
        if find_column(pd.DataFrame(columns=header), FACTOR_COLUMNS):
            numeric = []  # a BED file with a header names its factors in a column
        if has_coordinate_columns(pd.DataFrame(columns=list(dict.fromkeys(header)))) and numeric:
            places = [header.index(name) for name in numeric]
            if all(_number(cell[place]) is not None for cell in cells for place in places if place < len(cell)):
                return "table", head[0]
    bed = path.name.lower().removesuffix(".gz").endswith(_BED_ENDINGS)
    return ("bed" if bed or any(map(_is_interval, head)) else "unknown"), head[0]


def _cells(lines: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table; R's write.table gives its names of rows no column."""
    separator = find_separator(lines[0])
    header = split_row(lines[0], separator)
    rows = [split_row(line, separator) for line in lines[1:]]
    if rows and all(len(row) == len(header) + 1 for row in rows):
        header = ["", *header]
    return header, [row for row in rows if row]


def _is_interval(line: str) -> bool:
    for separator in ("\t", None, ","):
        fields = split_row(line, separator)
        if len(fields) > 2 and is_whole(fields[1]) and is_whole(fields[2]):
            return True
    # a header's rows may hold the interval anywhere
    names = split_row(line.lstrip("# "), find_separator(line))
    return len(set(names)) == len(names) and has_coordinate_columns(pd.DataFrame(columns=names))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return _LOGICAL.get(text.strip().lower())


def _fimo_header(line: str) -> list[str]:
    return [plain_header(name) for name in line.lstrip("#").split("\t")]


def _is_fimo(header: Sequence[str]) -> bool:
    return set(header) >= _FIMO and any(name in header for name in _FIMO_MOTIF)


def read_fimo(path: Path, peaks: pd.DataFrame) -> pd.DataFrame:
    """Read FIMO's hits: columns chrom, start, end (0-based, half-open), id of the motif and name.

    FIMO counts from 1, along the sequence that it was given: a chromosome, or a region such as a peak of the data,
    whose name says where it begins.

    Raises
    ------
    ResourceError
        For a row without positions, or where no sequence is a chromosome or a peak of the data.
    """
    header: list[str] = []
    rows: list[tuple[str, str, str, int, int]] = []
    for number, line in enumerate(read_lines(path, option=OPTION), start=1):
        if not line.strip() or (header and line.startswith("#")):
            continue
        if not header:
            header = _fimo_header(line)
            places = [header.index(name) for name in ("sequencename", "start", "stop")]
            motif = next(header.index(name) for name in _FIMO_MOTIF if name in header)
            other = header.index("motifaltid") if "motifaltid" in header else motif
            continue
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) <= max(*places, motif, other) or not all(is_whole(fields[place]) for place in places[1:]):
            raise refusal(ResourceError, "fimo_malformed", path=path, line=number, content=line[:60])
        start, stop = (whole_number(fields[place]) for place in places[1:])
        rows.append((fields[motif], fields[other], fields[places[0]], min(start, stop) - 1, max(start, stop)))
    sites = pd.DataFrame(rows, columns=["id", "name", "sequence", START, END])
    return _placed(path, sites, peaks)


def _placed(path: Path, sites: pd.DataFrame, peaks: pd.DataFrame) -> pd.DataFrame:
    """Turn positions in sequences into those of the genome."""
    names = pd.Series(sites["sequence"].unique(), dtype=object)
    chromosome = names.isin(list(match_chromosomes(names, peaks[CHROM].unique()).mapping))
    regions = parse_peak_names(names.str.replace(r"^.*::", "", regex=True))
    starts = regions[START].to_numpy(dtype=float, na_value=np.nan)
    ends = regions[END].to_numpy(dtype=float, na_value=np.nan)
    known = set(zip(peaks[START], peaks[END], strict=True))
    exact, by_one = (
        sum((start - shift, end) in known for start, end in zip(starts, ends, strict=True)) for shift in (0, 1)
    )
    starts -= by_one > exact  # samtools counts regions from 1, bedtools from 0
    chrom = regions[CHROM].to_numpy(dtype=object)
    rows = peaks.index.get_indexer(pd.Index(names)) if peaks.index.is_unique else np.full(len(names), -1)
    own = rows >= 0
    chrom[own] = peaks[CHROM].astype(str).to_numpy()[rows[own]]
    starts[own], ends[own] = peaks[START].to_numpy()[rows[own]], peaks[END].to_numpy()[rows[own]]
    whole_ = chromosome.to_numpy() | np.isnan(starts)
    if len(names) and not (chromosome.to_numpy() | own | ~np.isnan(starts)).any():
        shown = {"peaks": list(map(str, peaks.index[:2])), "names": list(names[:2])}
        raise refusal(ResourceError, "hits_of_other_peaks", file=path.name, **shown)
    chrom[whole_], starts[whole_] = names[whole_].to_numpy(), 0
    place = pd.Index(names).get_indexer(sites["sequence"])
    outside = (sites[END].to_numpy() > (ends - starts)[place]) & ~whole_[place]
    # with --parse-genomic-coord positions are the genome's already
    offset = np.where(outside.mean() > _MOST, 0, starts[place]).astype(np.int64) if len(sites) else 0
    return sites.assign(**{CHROM: chrom[place], START: sites[START] + offset, END: sites[END] + offset})


def read_hit_table(path: Path) -> tuple[sparse.csr_matrix, pd.DataFrame, pd.DataFrame]:
    """Read a table of peaks and factors: the matrix, what describes its peaks, and its factors (id, name).

    Raises
    ------
    ResourceError
        For a value that is no number, or rows of different lengths.
    """
    lines = _rows(path)
    header, first = _cells([text for _, text in islice(lines, 2)])
    labelled = not header[0] or _number(first[0][0]) is None  # the first column holds names of peaks
    about = [place for place, name in enumerate(header) if plain_header(name) in _OF_PEAKS or (labelled and not place)]
    factors = [place for place in range(len(header)) if place not in about]
    separator = find_separator(next(_rows(path))[1])
    described, indices, values, ends = [], [], [], [0]
    for number, text in islice(_rows(path), 1, None):
        fields = split_row(text, separator)
        numbers = [_number(fields[place]) for place in factors] if len(fields) == len(header) else [None]
        if None in numbers:
            shown = {"line": number, "n_columns": len(header), "content": text[:60]}
            raise refusal(ResourceError, "hit_table_malformed", path=path, **shown)
        row = np.array(numbers, dtype=np.float32)
        there = np.flatnonzero(row)
        described.append([fields[place] for place in about])
        indices.append(there)
        values.append(row[there])
        ends.append(ends[-1] + len(there))
    shape = (len(described), len(factors))
    matrix = sparse.csr_matrix((np.concatenate(values), np.concatenate(indices), np.array(ends)), shape=shape)
    obs = pd.DataFrame(described, columns=[header[place] or "peak" for place in about])
    obs.index = pd.Index(obs.iloc[:, 0].astype(str))
    names = [header[place] for place in factors]
    return matrix, obs, pd.DataFrame({"id": names, "name": names})


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbers and text of the lines of a table that are neither empty nor comments."""
    for number, line in enumerate(read_lines(path, option=OPTION), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line
