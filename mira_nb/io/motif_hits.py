"""Precomputed motif hits (--motif-hits) or ChIP-seq peaks, aligned to the data's peaks."""

from __future__ import annotations

from collections.abc import Sequence
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
from .bed import read_bed
from .counts import to_csr
from .factors import find_factors, say_factors
from .hit_tables import form_of, is_text, read_fimo, read_hit_table
from .identifiers import CALLED_PEAK
from .intervals import looks_like_peaks
from .messages import Finding, finding, refusal
from .peaks import peak_coordinates

_OPTION: Final = "--motif-hits"
_MOST: Final = 0.5
_NEARLY_ALL: Final = 0.9
_NO_NAME: Final = r"[.*+\-]|(?i:n/?a|nan|none|null)"
"""What stands in a column of names for no name, and strands."""
_ENOUGH: Final = 50
"""Peaks or names from which fractions of them are judged."""
_SEVERAL: Final = 5
_DENSE: Final = (0.9, 0.5)
"""Fraction of peaks with a hit that no scan gives: of a single factor or a few, and on average of several."""


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


def read_motif_hits(path: Path, peaks: pd.DataFrame, genes: Sequence[str] = ()) -> MotifHits:
    """Read hits and align them to the data's peaks, by coordinates, else by name.

    Parameters
    ----------
    path
        .h5ad, obs = peaks, var = factors, or such a table as text; or sites, as BED (:func:`hits_from_bed`) or by FIMO
        (:func:`hits_from_fimo`). Text is recognised by its content, gzipped or not.
    peaks
        The data's peaks: names as index, columns chrom, start, end.
    genes
        Genes of the data, by which factors are recognised in the names (:func:`mira_nb.io.factors.find_factors`).

    Raises
    ------
    ResourceError
        When columns are missing, or no peak of the data is in the file.
    """
    path = Path(path)
    if not is_text(path):
        return _from_matrix(path, *_read_store(path), peaks, genes)
    form, beginning = form_of(path, peaks)
    if form == "transposed":
        raise refusal(ResourceError, "hits_transposed", file=path.name, columns=[beginning])
    if form == "unknown":
        raise refusal(ResourceError, "hits_format_unknown", path=path, beginning=beginning[:60])
    if form == "table":
        return _from_matrix(path, *read_hit_table(path), peaks, genes)
    return hits_from_fimo(path, peaks, genes) if form == "fimo" else hits_from_bed(path, peaks, genes)


def _read_store(path: Path) -> tuple[sparse.csr_matrix, pd.DataFrame, pd.DataFrame]:
    """Return matrix, peaks and factors of an AnnData file."""
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
    return matrix, raw.obs, var


def _from_matrix(
    path: Path,
    matrix: sparse.csr_matrix,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    peaks: pd.DataFrame,
    genes: Sequence[str],
) -> MotifHits:
    """Align a matrix of peaks and factors to the data's peaks."""
    factors = _factors(path, var)
    named = find_factors(list(zip(factors["id"], factors["name"], strict=True)), genes)
    factors["name"] = named.names
    source_rows, how = _align(path, obs, peaks)
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
    findings += [*say_factors(named.read), *_absent(hits, list(factors["name"])), *_dense(path, hits, known)]
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


def hits_from_bed(path: Path, peaks: pd.DataFrame, genes: Sequence[str] = ()) -> MotifHits:
    """Derive hits from the sites of factors: a factor binds a peak that a site of it overlaps by at least one base.

    Sites of one factor count together, also those of several experiments.

    Parameters
    ----------
    path
        BED file of sites, such as ChIP-seq peaks, with the factor in the fourth column.
    peaks
        The data's peaks: columns chrom, start, end.
    genes
        Genes of the data, by which factors are recognised in the names.

    Raises
    ------
    ResourceError
        For a row that is no named interval, or without any.
    """
    sites = read_bed(path, option=_OPTION, named=True)
    if not len(sites):
        raise refusal(ResourceError, "bed_empty", path=path, option=_OPTION)
    sites, findings = _factors_of_sites(path, sites, genes)
    return _from_sites(path, sites.assign(id=sites["name"]), peaks, findings)


def hits_from_fimo(path: Path, peaks: pd.DataFrame, genes: Sequence[str] = ()) -> MotifHits:
    """Derive hits from those of FIMO in the genome or in the peaks, motif by motif; all count, whatever their p-value.

    Parameters
    ----------
    path
        FIMO's ``fimo.tsv``.
    peaks
        The data's peaks: names as index, columns chrom, start, end.
    genes
        Genes of the data, by which factors are recognised in the names.

    Raises
    ------
    ResourceError
        For a row without positions, or without any hit in the data's peaks or chromosomes.
    """
    sites = read_fimo(path, peaks)
    if not len(sites):
        raise refusal(ResourceError, "bed_empty", path=path, option=_OPTION)
    several = sites.groupby("id")["name"].transform("nunique") > 1  # an identifier that motifs share
    sites["id"] = sites["id"].where(~several, sites["id"] + " " + sites["name"])
    motifs = sites[["id", "name"]].drop_duplicates()
    named = find_factors(list(motifs.itertuples(index=False, name=None)), genes)
    factor = dict(zip(motifs["id"], named.names, strict=True))
    return _from_sites(path, sites.assign(name=sites["id"].map(factor)), peaks, say_factors(named.read))


def _from_sites(path: Path, sites: pd.DataFrame, peaks: pd.DataFrame, findings: list[Finding]) -> MotifHits:
    """Return which peaks hold a site of each id; ids share a name where several motifs stand for one factor."""
    factors = sites[["id", "name"]].drop_duplicates("id").reset_index(drop=True)
    names = list(factors["name"])
    hits = _bound(peaks, [part for _, part in sites.groupby("id", sort=False)])
    n_bound = int((np.diff(hits.indptr) > 0).sum())
    counts = {"n_bound": n_bound, "n_peaks": len(peaks), "n_factors": len(names), "n_sites": len(sites)}
    known = np.ones(len(peaks), dtype=bool)
    found = [finding("hits_of_sites", file=path.name, **counts), *_absent(hits, names), *_dense(path, hits, known)]
    return MotifHits(hits, factors, known, (*findings, *found))


def _bound(peaks: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> sparse.csr_matrix:
    """Return which peaks (rows) each of the parts of the sites (columns) overlaps."""
    rows = [np.flatnonzero(overlaps(peaks, part)) for part in parts]
    ends = np.cumsum([0, *map(len, rows)])
    values = np.ones(ends[-1], dtype=np.float32)
    return sparse.csr_matrix(sparse.csc_matrix((values, np.concatenate(rows), ends), shape=(len(peaks), len(parts))))


def _factors_of_sites(path: Path, sites: pd.DataFrame, genes: Sequence[str]) -> tuple[pd.DataFrame, list[Finding]]:
    """Name sites by their factors; warn where peak callers numbered them, or every site has a name of its own."""
    sites, findings = _named_sites(path, sites)
    sample = sites["name"].str.extract(f"^{CALLED_PEAK}$")["sample"]
    called = sample.notna() & (sample != "")
    numbered = bool(called.mean() > _MOST)
    example = sites["name"][called].iloc[0] if numbered else ""
    if numbered:
        sites = sites.assign(name=sample.where(called, sites["name"]))
    given = list(dict.fromkeys(sites["name"]))
    named = find_factors([(name, name) for name in given], genes, alike=True)
    sites = sites.assign(name=sites["name"].map(dict(zip(given, named.names, strict=True))))
    if numbered:
        shown = {"example": example, "factors": list(sites["name"].unique())}
        findings.append(finding("hits_of_called_peaks", file=path.name, n_sites=int(called.sum()), **shown))
    findings += say_factors(named.read)
    n_names = sites["name"].nunique()
    if not numbered and n_names >= _ENOUGH and n_names > _MOST * len(sites):
        shown = {"n_names": n_names, "names": list(sites["name"].unique()[:3])}
        findings.append(finding("hits_of_single_sites", file=path.name, n_sites=len(sites), **shown))
    return sites, findings


def _named_sites(path: Path, sites: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Leave out sites without a name; refuse a column of names that holds scores, strands or dots instead.

    A number alone says nothing against a name (some clusters are numbered): numbers are refused where nearly all
    names are numbers or none.
    """
    unnamed = sites["name"].str.fullmatch(_NO_NAME).to_numpy(dtype=bool)
    numbers = pd.to_numeric(sites["name"], errors="coerce").notna().to_numpy() & ~unnamed
    if (unnamed | numbers).mean() >= _NEARLY_ALL:
        raise refusal(
            ResourceError,
            "hits_without_factors",
            file=path.name,
            n_sites=len(sites),
            n_numbers=int(numbers.sum()),
            n_unnamed=int(unnamed.sum()),
            examples=list(sites["name"][unnamed | numbers].unique()[:3]),
        )
    if not unnamed.any():
        return sites, []
    shown = {"n_unnamed": int(unnamed.sum()), "n_sites": len(sites), "examples": sites["name"][unnamed].unique()[:3]}
    return sites[~unnamed].reset_index(drop=True), [finding("hits_sites_unnamed", file=path.name, **shown)]


def _dense(path: Path, hits: sparse.csr_matrix, known: np.ndarray) -> list[Finding]:
    """Warn of more hits than binding sites or a scan for motifs give: scores of all peaks, for example."""
    n_peaks, n_factors = int(known.sum()), hits.shape[1]
    n_pairs = n_peaks * n_factors
    if n_peaks < _ENOUGH or hits.nnz <= _DENSE[n_factors >= _SEVERAL] * n_pairs:
        return []
    return [finding("hits_dense", file=path.name, n_hits=hits.nnz, n_pairs=n_pairs, fraction=hits.nnz / n_pairs)]


def _absent(hits: sparse.csr_matrix, names: Sequence[str]) -> list[Finding]:
    """Report the factors that have no hit."""
    empty = np.flatnonzero(np.diff(hits.tocsc().indptr) == 0)
    if not len(empty):
        return []
    shown = ", ".join(names[i] for i in empty[:3])
    return [finding("hits_of_absent_factors", n_factors=len(empty), shown=shown)]


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
