"""Coverage of the groups' fragments around the start sites of modelled genes, kept for the locus view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.charts.theme import natural_sort
from mira_nb.keys import ATAC, CELL_LABEL, CHROM, LEIDEN, LINEAGE_STATE, PEAK_SETS, RNA
from mira_nb.stages.shared.cells import cell_annotation

if TYPE_CHECKING:
    from pathlib import Path

    from mudata import MuData

    from mira_nb.io.resources import Resources

REACH: Final = 50_000
"""Bases on either side of a start site."""
MOST_GROUPS: Final = 24
"""Groups of a grouping, as many as the locus view shows."""


def fragment_coverage(data: MuData, resources: Resources) -> dict[str, Any]:
    """Return the cuts of every group in bins around the start sites of the genes whose peaks are known.

    Parameters
    ----------
    data
        Cells with their groups, and the peak sets of the stage regulation.
    resources
        Fragments, and the name of the groups given.

    Returns
    -------
    dict
        ``width`` of the bins (bp); ``chrom``, ``start`` and ``n_bins`` of the regions; ``groupings``, numbered: each
        with its ``name``, its ``groups``, their ``fragments`` (all of their cells) and ``cuts``, (groups, bins),
        sparse. Empty without fragments, peak sets or groups.
    """
    from mira_nb.core.quality.coverage import count_coverage, regions_around
    from mira_nb.core.quality.fragments import Fragments
    from mira_nb.io.fragments import chromosome_numbers, read_fragments

    path: Path | None = resources.fragments
    found = _groupings(data, resources)
    sets = data.mod[RNA].uns.get(PEAK_SETS)
    if path is None or sets is None or not found:
        return {}
    chroms = list(dict.fromkeys(data.mod[ATAC].var[CHROM].astype(str)))
    number = chromosome_numbers(pd.Series(np.asarray(sets["chrom"]).astype(str)), chroms)
    tss = np.asarray(sets["tss"], dtype=np.int64)
    known = (number >= 0) & (tss >= 0) & (np.diff(np.asarray(sets["indptr"])) > 0)
    n_groups = sum(len(groups.categories) for groups in found.values())
    regions = regions_around(number[known], tss[known], reach=REACH, n_groups=n_groups)
    parts = (Fragments(*part) for part in read_fragments(path, list(data.obs_names), chroms))
    codes = [(groups.codes.astype(np.int64), len(groups.categories)) for groups in found.values()]
    counted = count_coverage(parts, regions, codes)
    return {
        "width": regions.width,
        "chrom": np.array([chroms[place] for place in regions.chrom], dtype=object).astype(str),
        "start": regions.start,
        "n_bins": regions.n_bins,
        "groupings": {
            str(place): {
                "name": name,
                "groups": np.array(groups.categories, dtype=object).astype(str),
                "fragments": item.n_fragments,
                "cuts": sparse.csr_matrix(item.cuts),
            }
            for place, ((name, groups), item) in enumerate(zip(found.items(), counted, strict=True))
        },
    }


def _groupings(data: MuData, resources: Resources) -> dict[str, pd.Categorical]:
    """Return the groups of the cells by column: lineage states, the given groups, labels, clusters."""
    columns = {name: data.obs[name] for name in (LINEAGE_STATE, CELL_LABEL, LEIDEN) if name in data.obs}
    given = cell_annotation(data, resources.groups, option="--groups")
    if given is not None:
        columns[str(given.name)] = given
    out = {}
    for name, column in columns.items():
        text = column.astype(object).map(str, na_action="ignore")
        names = natural_sort({str(value) for value in text.dropna()} - {"", "nan"})
        if len(names) > 1:
            out[name] = pd.Categorical(text, categories=names[:MOST_GROUPS])
    return out
