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
    """Return one TSS per gene: main chromosome, most open promoter (if asked), most transcripts, most upstream."""
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


def _prepare(peaks: pd.DataFrame, tss: pd.DataFrame) -> tuple[dict[str, tuple[NDArray, NDArray]], pd.DataFrame]:
    """Return the sorted peak centres per chromosome and the TSS table with matched names."""
    mapping = match_chromosomes(tss["chrom"], peaks["chrom"]).mapping
    chrom = peaks["chrom"].astype(str).to_numpy()
    middle = _centres(peaks)
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
    return centres, table


def _centres(peaks: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray((peaks["start"].to_numpy(np.float64) + peaks["end"].to_numpy(np.float64)) / 2)


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
    centres, table = _prepare(peaks, tss)
    keys = np.array([str(gene).casefold() for gene in genes], dtype=object)
    chosen = _choose_tss(table[table["key"].isin(set(keys))], centres, openness, promoter).reindex(keys)
    sites = pd.DataFrame(
        {
            "key": keys,
            "chrom": chosen["chrom"].astype(object).where(chosen["chrom"].notna(), "").to_numpy(),
            "tss": chosen["tss"].fillna(-1).to_numpy(np.int64),
            "strand": chosen["strand"].astype(object).where(chosen["strand"].notna(), "").to_numpy(),
        }
    )
    placed = sites["chrom"].isin(list(centres)).to_numpy()
    gene, peak = _within(sites, np.flatnonzero(placed), peaks, window)
    sign = np.where(sites["strand"] == "-", -1.0, 1.0)
    signed = (_centres(peaks)[peak] - sites["tss"].to_numpy()[gene]) * sign[gene]
    own = np.abs(signed) <= promoter
    masked = np.zeros(len(gene), dtype=bool)
    if other_promoters != "keep":
        masked = _near_other(sites, gene, peak, peaks, table, promoter)
    if other_promoters == "keep_own":
        masked &= ~own
    region = np.where(own, PROXIMAL, np.where(signed < 0, UPSTREAM, DOWNSTREAM)).astype(np.int8)
    order = np.lexsort((peak, np.abs(signed), region, gene))
    order = order[~masked[order]]
    n_peaks = np.bincount(gene[order], minlength=len(keys))
    status = np.where(sites["chrom"] == "", NO_TSS, np.where(placed, NO_PEAKS, NO_CHROMOSOME)).astype(object)
    status[n_peaks > 0] = OK
    return PeakSets(
        genes=tuple(str(name) for name in genes),
        indptr=np.concatenate([[0], np.cumsum(n_peaks)]).astype(np.int64),
        peak=peak[order],
        distance=np.abs(signed)[order],
        region=region[order],
        chrom=sites["chrom"].to_numpy(dtype=object),
        tss=sites["tss"].to_numpy(),
        strand=sites["strand"].to_numpy(dtype=object),
        n_tss=chosen["n_tss"].fillna(0).to_numpy(np.int64),
        n_masked=np.bincount(gene[masked], minlength=len(keys)).astype(np.int64),
        own_promoter_masked=np.bincount(gene[masked & own], minlength=len(keys)) > 0,
        status=status,
    )


def _within(
    sites: pd.DataFrame, rows: NDArray[np.intp], peaks: pd.DataFrame, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair sites (those at `rows`) with peaks whose centre is at most `reach` bp from the site, by a bioframe join.

    Positions are doubled: centres of peaks are then whole numbers, as intervals have to be.

    Returns
    -------
    site, peak
        Row of the site and of the peak of each pair.
    """
    from bioframe import overlap  # loads matplotlib, therefore late

    if not len(rows) or not len(peaks):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    double, width = 2 * sites["tss"].to_numpy()[rows], int(np.floor(2 * reach))
    around = pd.DataFrame(
        {"chrom": sites["chrom"].to_numpy()[rows], "start": double - width, "end": double + width + 1}
    )
    middle = (2 * _centres(peaks)).astype(np.int64)
    points = pd.DataFrame({"chrom": peaks["chrom"].astype(str).to_numpy(), "start": middle, "end": middle + 1})
    found = overlap(around, points, how="inner", return_input=False, return_index=True)
    return rows[found.iloc[:, 0].to_numpy(np.int64)].astype(np.int64), found.iloc[:, 1].to_numpy(np.int64)


def _near_other(
    sites: pd.DataFrame,
    gene: NDArray[np.int64],
    peak: NDArray[np.int64],
    peaks: pd.DataFrame,
    table: pd.DataFrame,
    promoter: float,
) -> NDArray[np.bool_]:
    """Return for each pair of gene and peak whether another gene has a TSS within `promoter` of the peak's centre."""
    distinct = table.drop_duplicates(["key", "chrom", "tss", "strand"]).reset_index(drop=True)
    other, near = _within(distinct, np.arange(len(distinct)), peaks, promoter)
    pairs = pd.DataFrame({"peak": peak, "pair": np.arange(len(peak))}).merge(
        pd.DataFrame({"peak": near, "other": other}), on="peak"
    )
    mine, theirs = sites.iloc[gene[pairs["pair"]]], distinct.iloc[pairs["other"]]
    same = (mine["tss"].to_numpy() == theirs["tss"].to_numpy()) & (
        mine["strand"].to_numpy() == theirs["strand"].to_numpy()
    )
    out = np.zeros(len(peak), dtype=bool)
    out[pairs["pair"].to_numpy()[(mine["key"].to_numpy() != theirs["key"].to_numpy()) & ~same]] = True
    return out
