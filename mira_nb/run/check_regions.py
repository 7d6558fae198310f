"""What ``mira-nb check`` says of assemblies, of where the peaks lie, and of the depth of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from mira_nb.chromosomes import match_chromosomes, plain_name
from mira_nb.errors import InputError
from mira_nb.io.genome import sequence_lengths
from mira_nb.io.messages import Finding, finding
from mira_nb.io.motif_hits import overlaps
from mira_nb.io.resources import Resources
from mira_nb.io.tss import read_tss
from mira_nb.io.tss_genes import name_sites
from mira_nb.keys import ATAC, CHROM, END, RNA, START
from mira_nb.stages.prepare.fragments import count_cells

_FIRST_CHROMOSOME: Final = {
    248_956_422: "hg38", 249_250_621: "hg19", 248_387_328: "T2T-CHM13",
    195_471_971: "mm10", 195_154_279: "mm39", 197_195_432: "mm9",
}  # fmt: skip
"""Length of chromosome 1 -> assembly."""
_SAME: Final = {"grch38": "hg38", "grch37": "hg19", "grcm38": "mm10", "grcm39": "mm39", "t2t-chm13v2.0": "t2t-chm13"}
_SHIFTS: Final = (-100_000, -50_000, -20_000, 20_000, 50_000, 100_000)
_NEAR: Final = 500
_ENOUGH_SITES: Final = 500
_ENOUGH_HITS: Final = 10
_GENES: Final = (200, 500)
_PEAKS: Final = (200, 1000)
_MITOCHONDRIAL: Final = 0.2
_TSS_ENRICHMENT: Final = (2, 4)
_MOST_BYTES: Final = 300_000_000
"""Size of a fragment file above which ``check``, which shall answer in seconds, does not read all of it."""


def read_lengths(path: Path) -> list[tuple[str, int]]:
    """Read names and lengths of the sequences of a FASTA file, once per content."""
    state = path.stat() if path.exists() else None
    return _lengths(path, state.st_mtime_ns if state else 0, state.st_size if state else 0)


@lru_cache(maxsize=4)
def _lengths(path: Path, _changed: int, _size: int) -> list[tuple[str, int]]:
    return sequence_lengths(path)


def counts_in(matrix: Any, columns: np.ndarray) -> float:
    """Return which fraction of all counts lies in some of the features."""
    total = np.asarray(sparse.csr_matrix(matrix).sum(axis=0)).ravel()
    return float(total[columns].sum() / max(total.sum(), 1.0))


def check_genome_lengths(lengths: Sequence[tuple[str, int]], peaks: pd.DataFrame) -> list[Finding]:
    """Compare the peaks with the sequences of the genome: assembly, positions beyond an end, repeated names."""
    findings = []
    names = [name for name, _ in lengths]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        findings.append(finding("genome_repeated_names", n_sequences=len(repeated), example=repeated[0]))
    first = next((length for name, length in lengths if plain_name(name) == "1"), 0)
    theirs = _FIRST_CHROMOSOME.get(first, "")
    ours = _named_assembly(peaks)
    if theirs and ours and theirs.lower() != ours:
        findings.append(finding("genome_of_other_assembly", ours=ours, theirs=theirs))
    findings += _beyond(peaks[CHROM], peaks[END], lengths, "peaks", theirs)
    return findings


def _named_assembly(peaks: pd.DataFrame) -> str:
    """Return the assembly that the peaks' own annotation names ('' without one)."""
    values = set(peaks["genome"].astype(str)) if "genome" in peaks else set()
    if len(values) != 1:
        return ""
    name = values.pop().lower()
    name = _SAME.get(name, name)
    return name if name in {item.lower() for item in _FIRST_CHROMOSOME.values()} else ""


def _beyond(
    chrom: pd.Series, end: pd.Series, lengths: Sequence[tuple[str, int]], what: str, assembly: str
) -> list[Finding]:
    """Report intervals that end behind the end of their chromosome."""
    length = dict(reversed(list(lengths)))
    mapping = match_chromosomes(chrom, list(length)).mapping
    limit = chrom.astype(str).map({name: length[actual] for name, actual in mapping.items()})
    outside = (end.to_numpy() > limit.to_numpy(dtype=float)) & limit.notna().to_numpy()
    if not outside.any():
        return []
    row = int(np.flatnonzero(outside)[0])
    return [
        finding(
            "beyond_chromosome",
            n_outside=int(outside.sum()),
            n_peaks=len(chrom),
            what=what,
            chrom=chrom.iloc[row],
            end=end.iloc[row],
            length=limit.iloc[row],
            assembly=assembly,
        )
    ]


def compare_assemblies(resources: Resources, data: MuData) -> list[Finding]:
    """Compare start sites with the genome, by length, and with the peaks, by how often they coincide.

    Start sites lie in peaks far more often than positions some kilobases beside them, unless the assemblies differ.
    """
    peaks = data.mod[ATAC].var
    if resources.tss is None:
        return []
    try:
        sites = name_sites(read_tss(resources.tss), data.mod[RNA].var).frame
        lengths = read_lengths(resources.genome) if resources.genome is not None else []
    except InputError:
        return []  # said where the file is read
    findings = _beyond(sites["chrom"], sites["tss"] + 1, lengths, "start sites", "") if lengths else []
    used = sites[sites["gene"].isin(set(data.mod[RNA].var_names.astype(str)))]
    used = used[used["chrom"].isin(list(match_chromosomes(used["chrom"], peaks[CHROM]).mapping))]
    if len(used) < _ENOUGH_SITES:
        return findings
    here = _hits(used, peaks, 0)
    beside = float(np.mean([_hits(used, peaks, shift) for shift in _SHIFTS]))
    if here < 1.5 * beside and (here + beside) * len(used) >= _ENOUGH_HITS:
        findings.append(finding("tss_not_in_peaks", inside=here, n_sites=len(used), beside=beside))
    return findings


def _hits(sites: pd.DataFrame, peaks: pd.DataFrame, shift: int) -> float:
    """Return the fraction of sites, moved by `shift`, that lie in or near a peak."""
    start = np.maximum(sites["tss"].to_numpy(dtype=np.int64) + shift - _NEAR, 0)
    around = pd.DataFrame({CHROM: sites["chrom"].to_numpy(), START: start, END: start + 2 * _NEAR})
    return float(overlaps(around, peaks[[CHROM, START, END]]).mean())


def describe_regions(data: MuData) -> list[Finding]:
    """Count the peaks on sex chromosomes, on the mitochondrion and on unplaced contigs."""
    atac = data.mod[ATAC]
    chrom = atac.var[CHROM].astype(str)
    plain = chrom.map({name: plain_name(name) for name in chrom.unique()})
    kinds = {
        "x": plain == "x",
        "y": plain == "y",
        "mitochondrion": plain == "m",
        "contigs": plain.str.contains(r"_|^(?:gl|ki|jh|nw_|nt_)\d", regex=True),
    }
    places = [
        {"where": where, "n": rows.sum(), "fraction": counts_in(atac.X, rows.to_numpy())}
        for where, rows in kinds.items()
        if rows.any()
    ]
    if not places:
        return []
    mitochondrial = counts_in(atac.X, kinds["mitochondrion"].to_numpy())
    return [finding("peaks_by_chromosome", n_peaks=len(chrom), places=places, mitochondrial=mitochondrial)]


def describe_depth(data: MuData) -> list[Finding]:
    """Return how many cells usual thresholds of quality would keep; nothing is filtered by the run."""
    rna, atac = (sparse.csr_matrix(data.mod[name].X) for name in (RNA, ATAC))
    n_genes, n_peaks = np.diff(rna.indptr), np.diff(atac.indptr)
    kept: dict[str, Any] = {
        "genes": [{"least": limit, "n": (n_genes >= limit).sum()} for limit in _GENES],
        "peaks": [{"least": limit, "n": (n_peaks >= limit).sum()} for limit in _PEAKS],
        "n_mitochondrial": None,
    }
    names = data.mod[RNA].var_names.astype(str).str.upper()
    mitochondrial = np.flatnonzero(names.str.startswith("MT-"))
    if len(mitochondrial):
        total = np.maximum(np.asarray(rna.sum(axis=1)).ravel(), 1)
        share = np.asarray(rna[:, mitochondrial].sum(axis=1)).ravel() / total
        kept["n_mitochondrial"] = (share <= _MITOCHONDRIAL).sum()
    return [
        finding(
            "cells_by_depth",
            n_cells=data.n_obs,
            most_mitochondrial=_MITOCHONDRIAL,
            genes_per_cell=np.median(n_genes),
            peaks_per_cell=np.median(n_peaks),
            **kept,
        )
    ]


def describe_fragments(data: MuData, resources: Resources) -> list[Finding]:
    """Return how many cells usual thresholds of TSS enrichment would keep.

    Parameters
    ----------
    resources
        Only files that can be used; without fragments or start sites nothing is said.
    """
    path, tss = resources.fragments, resources.tss
    if path is None or tss is None:
        return []
    size = path.stat().st_size
    if size > _MOST_BYTES:
        return [finding("fragments_not_counted", megabytes=size // 10**6, most=_MOST_BYTES // 10**6)]
    counts = count_cells(path, tss, [str(name) for name in data.obs_names], data.mod[ATAC].var)
    values = np.nan_to_num(counts.tss_enrichment)
    kept = [{"least": limit, "n": int((values >= limit).sum())} for limit in _TSS_ENRICHMENT]
    return [finding("cells_by_tss_enrichment", n_cells=data.n_obs, median=float(np.median(values)), kept=kept)]
