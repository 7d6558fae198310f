"""Fragments of the cells in the stage prepare: from the file to counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mira_nb.chromosomes import plain_name
from mira_nb.core.quality.fragments import FragmentCounts, Fragments, count_fragments
from mira_nb.io.fragments import LeftOut, chromosome_numbers, read_fragments
from mira_nb.io.tss import read_tss
from mira_nb.keys import CHROM, END, START


def count_cells(path: Path, tss: Path | None, cells: Sequence[str], peaks: pd.DataFrame) -> FragmentCounts:
    """Count the fragments of the cells: all, in peaks, by size and, with start sites, around one site per gene.

    Parameters
    ----------
    path, tss
        Fragment file, and the file of start sites.
    cells
        Names of the cells.
    peaks
        Columns chrom, start, end.
    """
    chroms = list(dict.fromkeys(peaks[CHROM].astype(str)))
    sites = None
    if tss is not None:
        table = read_tss(tss).one_per_gene()
        known = {plain_name(name) for name in chroms}
        chroms += [name for name in dict.fromkeys(table["chrom"]) if plain_name(name) not in known]
        forward = (table["strand"] == "+").to_numpy()
        sites = chromosome_numbers(table["chrom"], chroms), table["tss"].to_numpy(dtype=np.int64), forward
    start, end = (peaks[name].to_numpy(dtype=np.int64) for name in (START, END))
    left_out = LeftOut()
    counts = count_fragments(
        (Fragments(*part) for part in read_fragments(path, cells, chroms, left_out=left_out)),
        n_cells=len(cells),
        peaks=(chromosome_numbers(peaks[CHROM], chroms), start, end),
        sites=sites,
    )
    return replace(counts, n_bad=left_out.n, first_bad=f"row {left_out.row:,}: {left_out.shown}" if left_out.n else "")
