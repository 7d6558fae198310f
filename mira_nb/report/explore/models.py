"""Gene models of the locus view: bodies and exons near the genes that have a locus."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mira_nb.keys import GENE_MODELS, RNA
from mira_nb.report import embed

from .source import element

if TYPE_CHECKING:
    import h5py

MODELS_ROOM: Final = 400_000
"""Bytes of the compressed gene models of a page; exons of neighbours are left out first, then all exons."""


@dataclass(frozen=True)
class GeneModels:
    """One transcript per gene.

    Attributes
    ----------
    names, chrom, strand
        (genes,) texts.
    start, end
        (genes,) 0-based, half-open.
    indptr
        (genes + 1,) where each gene's exons begin in `exon_start` and `exon_end`.
    """

    names: NDArray[np.str_]
    chrom: NDArray[np.str_]
    strand: NDArray[np.str_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    indptr: NDArray[np.int64]
    exon_start: NDArray[np.int64]
    exon_end: NDArray[np.int64]

    def near(self, sites: Mapping[str, Mapping[str, Any]], reach: int) -> NDArray[np.int64]:
        """Return the genes whose body comes within `reach` of one of the sites (``chrom``, ``tss``)."""
        found = np.zeros(len(self.names), dtype=bool)
        places: dict[str, list[int]] = {}
        for site in sites.values():
            places.setdefault(str(site["chrom"]), []).append(int(site["tss"]))
        for chrom, tss in places.items():
            rows = np.flatnonzero(self.chrom == chrom)
            ordered = np.sort(np.array(tss, dtype=np.int64))
            first = np.searchsorted(ordered, self.start[rows] - reach, side="left")
            behind = np.searchsorted(ordered, self.end[rows] + reach, side="right")
            found[rows[behind > first]] = True
        return np.flatnonzero(found)

    def record(self, row: int, *, exons: bool) -> list[Any]:
        """Return a gene for the page: name, start, length, strand, and exons as steps from the end before and lengths.

        Without known exons the last part is empty.
        """
        start = int(self.start[row])
        steps: list[int] = []
        at = start
        for k in range(self.indptr[row], self.indptr[row + 1]) if exons else ():
            steps += [int(self.exon_start[k]) - at, int(self.exon_end[k] - self.exon_start[k])]
            at = int(self.exon_end[k])
        return [str(self.names[row]), start, int(self.end[row]) - start, str(self.strand[row]), steps]


def read_models(file: h5py.File) -> GeneModels | None:
    """Read the gene models of a run; None where it has none."""
    found = element(file, f"mod/{RNA}/uns/{GENE_MODELS}")
    if not found:
        return None
    texts = [np.asarray(found[name]).astype(str) for name in ("genes", "chrom", "strand")]
    numbers = [np.asarray(found[name], dtype=np.int64) for name in ("start", "end", "indptr", "exon_start", "exon_end")]
    return GeneModels(*texts, *numbers)


def model_facts(
    models: GeneModels, sites: Mapping[str, Mapping[str, Any]], reach: int, *, room: int = MODELS_ROOM
) -> dict[str, list[list[Any]]]:
    """Return the models near the genes of a page by chromosome, as :meth:`GeneModels.record` gives them.

    Parameters
    ----------
    models
        All models.
    sites
        ``chrom`` and ``tss`` of the genes that have a locus.
    reach
        Base pairs around a site.
    room
        Bytes for them.
    """
    rows = models.near(sites, reach)
    own: Collection[str] = set(sites)
    found: dict[str, list[list[Any]]] = {}
    for exons_of in (set(map(str, models.names[rows])), own, ()):
        found = {}
        for row in rows:
            record = models.record(int(row), exons=str(models.names[row]) in exons_of)
            found.setdefault(str(models.chrom[row]), []).append(record)
        if len(gzip.compress(embed.plain_json(found).encode("utf-8"))) <= room:
            break
    return found
