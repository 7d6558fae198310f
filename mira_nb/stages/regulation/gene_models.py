"""Bodies and exons of the genes near the peaks, kept for the locus view where the file of start sites has them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.chromosomes import match_chromosomes
from mira_nb.core.regulation.geometry import PeakSets

NEAR: Final = 1_000_000
"""Bases between a start site in use and the genes that are kept, as far as the locus view reaches."""


def gene_models(sites: pd.DataFrame, sets: PeakSets, chroms: pd.Series) -> dict[str, Any]:
    """Return one transcript per gene: of a modelled gene the one at the site that its model uses.

    Of other genes the site is taken that :data:`mira_nb.io.tss.RULE` names.

    Parameters
    ----------
    sites
        Start sites under the names of the data's genes, as :attr:`mira_nb.io.tss.TssTable.frame`.
    sets
        Peaks of the modelled genes, with the sites that were used; genes farther than :data:`NEAR` from all of these
        are left out.
    chroms
        Chromosomes of the peaks; genes on others are left out.

    Returns
    -------
    dict
        ``genes``, ``chrom``, ``start``, ``end`` (0-based, half-open), ``tss``, ``strand``, all (genes,), by chromosome
        and start; ``indptr`` (genes + 1,), where each gene's exons begin in ``exon_start`` and ``exon_end``. Empty
        where the file names no bodies.
    """
    if "body_end" not in sites:
        return {}
    names = sites["chrom"].astype(str)
    frame = sites.assign(
        chrom=names.map(match_chromosomes(names, chroms).mapping).fillna(names),
        key=sites["gene"].astype(str).str.casefold(),
    )
    frame = frame[(frame["body_end"] > 0) & frame["chrom"].isin(set(chroms.astype(str)))]
    if frame.empty:
        return {}
    keys = [name.casefold() for name in sets.genes]
    used = set(zip(keys, sets.chrom.astype(str), sets.tss.tolist(), sets.strand.astype(str), strict=True))
    of_frame = zip(*(frame[name].tolist() for name in ("key", "chrom", "tss", "strand")), strict=True)
    order = pd.DataFrame(
        {
            "other": [site not in used for site in of_frame],
            "alternative": frame["chrom"].str.contains("_", regex=False),
            "transcripts": -frame["n_transcripts"],
            "upstream": frame["tss"].where(frame["strand"] == "+", -frame["tss"]),
        },
        index=frame.index,
    ).sort_values(["other", "alternative", "transcripts", "upstream"], kind="stable")
    frame = frame.loc[order.index].drop_duplicates("key").sort_values(["chrom", "body_start", "body_end", "key"])
    frame = frame[_near(frame, sets)]
    exons = [[tuple(map(int, part.split("-"))) for part in text.split(",") if part] for text in frame["exons"]]
    flat = np.array([pair for part in exons for pair in part], dtype=np.int64).reshape(-1, 2)
    return {
        "genes": frame["gene"].to_numpy(dtype=object).astype(str),
        "chrom": frame["chrom"].to_numpy(dtype=object).astype(str),
        "start": frame["body_start"].to_numpy(np.int64),
        "end": frame["body_end"].to_numpy(np.int64),
        "tss": frame["tss"].to_numpy(np.int64),
        "strand": frame["strand"].to_numpy(dtype=object).astype(str),
        "indptr": np.concatenate([[0], np.cumsum([len(part) for part in exons])]).astype(np.int64),
        "exon_start": flat[:, 0],
        "exon_end": flat[:, 1],
    }


def _near(frame: pd.DataFrame, sets: PeakSets) -> NDArray[np.bool_]:
    """Return which bodies come within :data:`NEAR` of a site in use."""
    found = np.zeros(len(frame), dtype=bool)
    chrom, low, high = (frame[name].to_numpy() for name in ("chrom", "body_start", "body_end"))
    for name in np.unique(chrom):
        rows = np.flatnonzero(chrom == name)
        sites = np.sort(sets.tss[sets.chrom == name])
        first = np.searchsorted(sites, low[rows] - NEAR, side="left")
        found[rows] = np.searchsorted(sites, high[rows] + NEAR, side="right") > first
    return found
