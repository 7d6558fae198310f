"""Precomputed motif hits (--motif-hits) or ChIP-seq peaks, aligned to the data's peaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.chromosomes import match_chromosomes
from mira_nb.errors import InputError, ResourceError
from mira_nb.keys import CHROM, END, START

from . import formats
from .counts import to_csr
from .files import read_lines
from .messages import Finding, finding, refusal
from .peaks import looks_like_peaks, peak_coordinates

_OPTION: Final = "--motif-hits"


@dataclass(frozen=True)
class MotifHits:
    """Sites of factors in peaks.

    Attributes
    ----------
    hits
        Peaks of the data x factors, CSR, 0/1 float32.
    factors
        Columns id, name; one row per factor.
    known
        Whether the file says anything about the peak (bool, one per peak of the data).
    findings
        How peaks were aligned and what was left out.
    """

    hits: sparse.csr_matrix
    factors: pd.DataFrame
    known: np.ndarray
    findings: tuple[Finding, ...] = ()


def read_motif_hits(path: Path, peaks: pd.DataFrame) -> MotifHits:
    """Read hits and align them to the data's peaks, by coordinates, else by name.

    Parameters
    ----------
    path
        .h5ad, obs = peaks, var = factors.
    peaks
        The data's peaks: names as index, columns chrom, start, end.

    Raises
    ------
    ResourceError
        When columns are missing, or no peak of the data is in the file.
    """
    path = Path(path)
    try:
        with formats.open_store(path, option=_OPTION) as file:
            formats.expect_format(file, "h5ad", path=path, option=_OPTION)
            raw = formats.read_h5ad_group(file, source=path.name)
            if "X" not in raw.matrices:
                raise refusal(ResourceError, "hits_without_matrix", file=path.name)
            matrix, var = raw.matrices["X"]()
    except ResourceError:
        raise
    except InputError as error:
        raise ResourceError(
            error.message, expected=error.expected, remedy=error.remedy, code=error.code, values=error.values
        ) from error
    factors = _factors(path, var)
    source_rows, how = _align(path, raw.obs, peaks)
    known = source_rows >= 0
    values = to_csr(matrix, copy=False).astype(np.float32)
    if values.nnz and (not np.isfinite(values.data).all() or values.data.min() < 0):
        raise refusal(ResourceError, "hits_of_wrong_values", file=path.name)
    values.data[:] = 1.0
    n_known = int(known.sum())
    place = sparse.csr_matrix(
        (np.ones(n_known, np.float32), (np.flatnonzero(known), source_rows[known])), shape=(len(peaks), values.shape[0])
    )
    hits = sparse.csr_matrix(place @ values)
    findings = [finding("hits_known", n_known=n_known, n_peaks=len(peaks), how=how)]
    if n_known < len(peaks):
        findings.append(finding("hits_missing_peaks", n_missing=len(peaks) - n_known, file=path.name))
    empty = np.flatnonzero(np.diff(hits.tocsc().indptr) == 0)
    if len(empty):
        shown = ", ".join(factors["name"].iloc[empty[:3]])
        findings.append(finding("hits_of_absent_factors", n_factors=len(empty), shown=shown))
    return MotifHits(hits, factors, known, tuple(findings))


def _factors(path: Path, var: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in ("id", "name") if name not in var]
    if missing and looks_like_peaks(var.index):
        raise refusal(ResourceError, "hits_transposed", file=path.name, columns=list(map(str, var.index[:2])))
    if missing:
        raise refusal(
            ResourceError, "hits_columns_missing", file=path.name, lacking=missing, columns=list(map(str, var.columns))
        )
    factors = var[["id", "name"]].astype(str).reset_index(drop=True)
    twice = factors["id"][factors["id"].duplicated()]
    if len(twice):
        raise refusal(
            ResourceError, "hits_duplicate_factors", file=path.name, n_factors=len(twice), example=twice.iloc[0]
        )
    return factors


def _align(path: Path, obs: pd.DataFrame, peaks: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return the file's row for every peak of the data (-1: none), and how it was matched."""
    by_name = obs.index.get_indexer(peaks.index) if obs.index.is_unique else np.full(len(peaks), -1)
    try:
        coordinates = peak_coordinates(obs, source=path.name)
    except InputError:
        coordinates = None
    if coordinates is not None:
        frame = coordinates.frame
        names = match_chromosomes(frame[CHROM], peaks[CHROM]).mapping
        keys = [(names.get(c, c), s, e) for c, s, e in zip(frame[CHROM], frame[START], frame[END], strict=True)]
        rows: dict[tuple[str, int, int], int] = {}
        for row, key in zip(np.flatnonzero(coordinates.valid), keys, strict=True):
            rows.setdefault(key, int(row))
        for shift, how in ((0, "coordinates"), (1, "coordinates; its starts count from 1")):
            wanted = zip(peaks[CHROM].astype(str), peaks[START] + shift, peaks[END], strict=True)
            found = np.array([rows.get((c, int(s), int(e)), -1) for c, s, e in wanted], dtype=np.int64)
            if (found >= 0).any():
                return found, how
    numbered = bool(obs.index.astype(str).str.fullmatch(r"\d+").all())
    if (by_name >= 0).any() and not numbered:
        return by_name, "name"
    if numbered:
        raise refusal(
            ResourceError,
            "hits_of_numbered_peaks",
            file=path.name,
            names=list(map(str, obs.index[:3])),
            has_coordinates=coordinates is not None,
        )
    raise refusal(
        ResourceError,
        "hits_of_other_peaks",
        file=path.name,
        peaks=list(map(str, peaks.index[:2])),
        names=list(map(str, obs.index[:2])),
    )


def read_bed(path: Path, *, option: str = _OPTION) -> pd.DataFrame:
    """Read the intervals of a BED file, plain or gzipped: chrom, start, end.

    Raises
    ------
    ResourceError
        For a row that is no interval.
    """
    rows = []
    for number, line in enumerate(read_lines(path, option=option), start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit()) or int(fields[2]) <= int(fields[1]):
            raise refusal(ResourceError, "bed_malformed", path=path, option=option, line=number, content=line[:60])
        rows.append((fields[0], int(fields[1]), int(fields[2])))
    return pd.DataFrame(rows, columns=[CHROM, START, END])


def hits_from_bed(files: Mapping[str, Path], peaks: pd.DataFrame) -> MotifHits:
    """Derive hits from ChIP-seq peaks: a factor binds a peak that any of its intervals overlaps by at least one base.

    Parameters
    ----------
    files
        Factor name -> BED file.
    peaks
        The data's peaks: columns chrom, start, end.
    """
    columns: list[sparse.csc_matrix] = []
    findings: list[Finding] = []
    for name, path in files.items():
        bed = read_bed(path)
        overlap = overlaps(peaks, bed)
        columns.append(sparse.csc_matrix(overlap[:, None].astype(np.float32)))
        findings.append(
            finding(
                "hits_bound",
                factor=name,
                n_bound=int(overlap.sum()),
                n_peaks=len(peaks),
                file=path.name,
                n_intervals=len(bed),
            )
        )
    if not columns:
        raise refusal(ResourceError, "hits_without_files")
    hits = sparse.hstack(columns, format="csr")
    factors = pd.DataFrame({"id": list(files), "name": list(files)})
    return MotifHits(hits, factors, np.ones(len(peaks), dtype=bool), tuple(findings))


def overlaps(peaks: pd.DataFrame, intervals: pd.DataFrame) -> np.ndarray:
    """Return whether each peak shares at least one base with any interval (both 0-based, half-open)."""
    out = np.zeros(len(peaks), dtype=bool)
    chrom = peaks[CHROM].astype(str).to_numpy()
    start, end = peaks[START].to_numpy(dtype=np.int64), peaks[END].to_numpy(dtype=np.int64)
    names = match_chromosomes(chrom, intervals[CHROM]).mapping
    grouped = {str(name): frame for name, frame in intervals.groupby(CHROM, sort=False, observed=True)}
    for name, actual in names.items():
        rows = np.flatnonzero(chrom == name)
        frame = grouped[actual].sort_values(START, kind="stable")
        begins = frame[START].to_numpy(dtype=np.int64)
        furthest = np.maximum.accumulate(frame[END].to_numpy(dtype=np.int64))
        n_before = np.searchsorted(begins, end[rows], side="left")  # intervals that begin before the peak ends
        reach = np.where(n_before > 0, furthest[np.maximum(n_before - 1, 0)], -1)
        out[rows] = reach > start[rows]
    return out
