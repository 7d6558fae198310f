"""Which peaks belong to which gene: upstream, proximal and downstream sets around a transcription start site.

Extended Methods, MIRA regulatory potential (RP) model: the proximal set holds the peaks within 1.5 kb of the TSS, the
upstream and downstream sets those between 1.5 and 600 kb, as seen from the gene's strand; peaks within 1.5 kb of
another gene's TSS are masked. The distance is taken from the peak's centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.chromosomes import match_chromosomes
from mira_nb.errors import InputError

UPSTREAM: Final = 0
PROXIMAL: Final = 1
DOWNSTREAM: Final = 2
REGIONS: Final[tuple[str, str, str]] = ("upstream", "proximal", "downstream")

OtherPromoters = Literal["mask", "keep_own", "keep"]
OK: Final = "ok"
NO_TSS: Final = "no transcription start site"
NO_CHROMOSOME: Final = "chromosome without peaks"
NO_PEAKS: Final = "no peak in the window"


@dataclass(frozen=True)
class PeakSets:
    """Peaks of every gene, gene after gene; within a gene upstream, then proximal, then downstream.

    Attributes
    ----------
    genes
        Gene names in the order asked for.
    indptr
        (G + 1,) where each gene's peaks begin in the arrays below.
    peak
        Column of the peak in the accessibility matrix.
    distance
        Unsigned distance from peak centre to TSS, bp.
    region
        0 upstream, 1 proximal, 2 downstream.
    chrom, tss, strand
        The TSS used for each gene (`tss` -1 when there is none).
    n_tss
        Number of distinct TSS the table gives for the gene.
    n_masked
        Number of peaks of the window left out because they lie in another gene's promoter.
    own_promoter_masked
        Whether a peak of the gene's own proximal set was among them.
    status
        ``"ok"`` or why the gene has no peaks.
    """

    genes: tuple[str, ...]
    indptr: NDArray[np.int64]
    peak: NDArray[np.int64]
    distance: NDArray[np.float64]
    region: NDArray[np.int8]
    chrom: NDArray[np.object_]
    tss: NDArray[np.int64]
    strand: NDArray[np.object_]
    n_tss: NDArray[np.int64]
    n_masked: NDArray[np.int64]
    own_promoter_masked: NDArray[np.bool_]
    status: NDArray[np.object_]

    @property
    def n_peaks(self) -> NDArray[np.int64]:
        """Number of peaks of each gene, (G,)."""
        return np.diff(self.indptr)

    def of(self, gene: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int8]]:
        """Return peaks, distances (bp) and regions of the gene at this position."""
        part = slice(self.indptr[gene], self.indptr[gene + 1])
        return self.peak[part], self.distance[part], self.region[part]

    def counts(self) -> NDArray[np.int64]:
        """Count upstream, proximal and downstream peaks of each gene, (G, 3)."""
        owner = np.repeat(np.arange(len(self.genes)), self.n_peaks)
        out = np.zeros((len(self.genes), 3), dtype=np.int64)
        np.add.at(out, (owner, self.region), 1)
        return out


def _choose_tss(
    table: pd.DataFrame, centres: dict[str, tuple[NDArray, NDArray]], openness: NDArray | None, promoter: int
) -> pd.DataFrame:
    """Choose one TSS per gene: main chromosome, most open promoter (if asked), most transcripts, most upstream."""
    unique: Any = table.groupby(["key", "chrom", "tss", "strand"], sort=False, as_index=False)["size"].sum()
    score = np.zeros(len(unique))
    if openness is not None:
        for chrom, rows in unique.groupby("chrom", sort=False).groups.items():
            if chrom not in centres:
                continue
            middle, index = centres[chrom]
            total = np.concatenate([[0.0], np.cumsum(openness[index])])
            position = unique.loc[rows, "tss"].to_numpy(float)
            low = np.searchsorted(middle, position - promoter, side="left")
            high = np.searchsorted(middle, position + promoter, side="right")
            score[unique.index.get_indexer(rows)] = total[high] - total[low]
    unique["open"] = np.round(score, 9)
    sign = np.where(unique["strand"] == "-", -1, 1)
    unique["order"] = unique["tss"] * sign
    unique["has_peaks"] = unique["chrom"].isin(list(centres))
    unique["alternative"] = unique["chrom"].str.contains("_", regex=False)
    unique["n_tss"] = unique.groupby("key")["tss"].transform("size")
    ranked = unique.sort_values(
        ["key", "has_peaks", "alternative", "open", "size", "order"],
        ascending=[True, False, True, False, False, True],
        kind="stable",
    )
    return ranked.drop_duplicates("key").set_index("key")


def _check(peaks: pd.DataFrame, tss: pd.DataFrame) -> None:
    for frame, name, columns in (
        (peaks, "the peak table", ("chrom", "start", "end")),
        (tss, "the TSS table", ("gene", "chrom", "tss", "strand")),
    ):
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise InputError(f"{name} has no column {', '.join(missing)}", expected=f"columns {', '.join(columns)}")
    strange = sorted(set(tss["strand"].astype(str)) - {"+", "-"})
    if strange:
        raise InputError(f"the TSS table has strand values {strange[:5]}", expected="+ or -")


def _prepare(
    peaks: pd.DataFrame, tss: pd.DataFrame
) -> tuple[dict[str, tuple[NDArray, NDArray]], pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return sorted peak centres per chromosome, the TSS table with matched names, and its rows per chromosome."""
    mapping = match_chromosomes(tss["chrom"], peaks["chrom"]).mapping
    chrom = peaks["chrom"].astype(str).to_numpy()
    middle = (peaks["start"].to_numpy(np.float64) + peaks["end"].to_numpy(np.float64)) / 2
    centres = {}
    for name in pd.unique(chrom):
        index = np.flatnonzero(chrom == name)
        index = index[np.argsort(middle[index], kind="stable")]
        centres[str(name)] = (middle[index], index)
    names = tss["chrom"].astype(str)
    table = pd.DataFrame(
        {
            "key": tss["gene"].astype(str).str.casefold().to_numpy(),
            "chrom": names.map(mapping).fillna(names).to_numpy(),
            "tss": tss["tss"].to_numpy(np.int64),
            "strand": tss["strand"].astype(str).to_numpy(),
            "size": tss["n_transcripts"].to_numpy(np.int64) if "n_transcripts" in tss else 1,
        }
    )
    distinct = table.drop_duplicates(["key", "chrom", "tss", "strand"]).sort_values(["chrom", "tss"], kind="stable")
    by_chrom = {str(name): part.reset_index(drop=True) for name, part in distinct.groupby("chrom", sort=False)}
    return centres, table, by_chrom


def gene_peaks(
    peaks: pd.DataFrame,
    tss: pd.DataFrame,
    genes: Sequence[str],
    *,
    window: int = 600_000,
    promoter: int = 1_500,
    other_promoters: OtherPromoters = "mask",
    openness: NDArray | None = None,
) -> PeakSets:
    """Assign peaks to genes.

    Parameters
    ----------
    peaks
        Columns ``chrom``, ``start``, ``end`` (0-based, half-open), one row per peak, in any order.
    tss
        Columns ``gene``, ``chrom``, ``tss``, ``strand`` and, if known, ``n_transcripts`` (else a row counts as one);
        several rows per gene are allowed, and every row of another gene masks. Names are matched without regard to
        case, chromosomes with or without ``chr``.
    genes
        Genes wanted, in the order of the result.
    window, promoter
        Reach of the distal sets and half-width of the proximal set, bp; both ends included.
    other_promoters
        Peaks within `promoter` of another gene's TSS: ``"mask"`` leaves all of them out, as the methods are written,
        also where they lie in the gene's own promoter; ``"keep_own"`` keeps the latter as proximal peaks; ``"keep"``
        masks nothing. Two genes with the same TSS position and strand (alternative symbols, read-through
        transcripts) share one promoter and do not mask each other there.
    openness
        (P,) mean accessibility of each peak. With it a gene with several TSS gets the one with the most open
        promoter; without it (or at equality) the TSS of most transcripts, then the most upstream one. Main
        chromosomes (names without ``_``) come first in any case.

    Raises
    ------
    InputError
        A column is missing or a strand is neither + nor -.
    """
    _check(peaks, tss)
    centres, table, by_chrom = _prepare(peaks, tss)
    keys = [str(gene).casefold() for gene in genes]
    chosen = _choose_tss(table[table["key"].isin(set(keys))], centres, openness, promoter)
    chosen_rows = {
        key: (row.chrom, row.tss, row.strand, row.n_tss)
        for key, row in zip(chosen.index, chosen.itertuples(), strict=True)
    }

    n = len(keys)
    chrom, strand, status = (np.full(n, "", dtype=object) for _ in range(3))
    position = np.full(n, -1, dtype=np.int64)
    n_tss, n_masked = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    own_masked = np.zeros(n, dtype=bool)
    parts: list[tuple[NDArray, NDArray, NDArray]] = []
    nothing = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int8))
    for g, key in enumerate(keys):
        parts.append(nothing)
        if key not in chosen_rows:
            status[g] = NO_TSS
            continue
        chrom[g], position[g], strand[g], n_tss[g] = chosen_rows[key]  # type: ignore[assignment]
        if chrom[g] not in centres:
            status[g] = NO_CHROMOSOME
            continue
        index, signed = _in_window(centres[chrom[g]], int(position[g]), str(strand[g]), window)
        near = _near_other(
            by_chrom[chrom[g]], key, int(position[g]), str(strand[g]), centres[chrom[g]], window, promoter
        )
        own = np.abs(signed) <= promoter
        masked = {"mask": near, "keep_own": near & ~own, "keep": np.zeros_like(near)}[other_promoters]
        n_masked[g], own_masked[g] = masked.sum(), bool((masked & own).any())
        parts[g] = _split(index[~masked], signed[~masked], promoter)
        status[g] = OK if len(parts[g][0]) else NO_PEAKS
    sizes = [len(part[0]) for part in parts]
    return PeakSets(
        genes=tuple(str(gene) for gene in genes),
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        peak=np.concatenate([part[0] for part in parts] or [nothing[0]]),
        distance=np.concatenate([part[1] for part in parts] or [nothing[1]]),
        region=np.concatenate([part[2] for part in parts] or [nothing[2]]),
        chrom=chrom,
        tss=position,
        strand=strand,
        n_tss=n_tss,
        n_masked=n_masked,
        own_promoter_masked=own_masked,
        status=status,
    )


def _bounds(middle: NDArray, position: int, reach: int) -> tuple[int, int]:
    low = int(np.searchsorted(middle, position - reach, side="left"))
    return low, int(np.searchsorted(middle, position + reach, side="right"))


def _in_window(centre: tuple[NDArray, NDArray], position: int, strand: str, window: int) -> tuple[NDArray, NDArray]:
    """Return peaks of the window and their signed distance along the gene's strand (negative = upstream)."""
    middle, index = centre
    low, high = _bounds(middle, position, window)
    sign = -1.0 if strand == "-" else 1.0
    return index[low:high], (middle[low:high] - position) * sign


def _near_other(
    tss: pd.DataFrame,
    key: str,
    position: int,
    strand: str,
    centre: tuple[NDArray, NDArray],
    window: int,
    promoter: int,
) -> NDArray[np.bool_]:
    """Test for each peak of the window whether another gene has a TSS within `promoter` of its centre."""
    middle, _ = centre
    low, high = _bounds(middle, position, window)
    places = tss["tss"].to_numpy()
    first, last = _bounds(places, position, window + promoter)
    part = tss.iloc[first:last]
    same = (part["tss"].to_numpy() == position) & (part["strand"].to_numpy() == strand)
    others = places[first:last][(part["key"].to_numpy() != key) & ~same]
    peaks = middle[low:high]
    if not len(others):
        return np.zeros(len(peaks), dtype=bool)
    after = np.clip(np.searchsorted(others, peaks), 0, len(others) - 1)
    before = np.clip(after - 1, 0, None)
    nearest = np.minimum(np.abs(others[after] - peaks), np.abs(others[before] - peaks))
    return nearest <= promoter


def _split(index: NDArray, signed: NDArray, promoter: int) -> tuple[NDArray, NDArray, NDArray]:
    """Order the peaks of a gene: upstream, proximal, downstream; by distance within each."""
    region = np.where(np.abs(signed) <= promoter, PROXIMAL, np.where(signed < 0, UPSTREAM, DOWNSTREAM)).astype(np.int8)
    order = np.lexsort((index, np.abs(signed), region))
    return index[order].astype(np.int64), np.abs(signed)[order], region[order]
