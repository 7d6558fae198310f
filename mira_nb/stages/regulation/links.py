"""Table and figure of the pairs of a peak and a gene: LITE weight, test, motif sites of expressed factors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.charts.regulation import link_distances
from mira_nb.core.regulation.geometry import REGIONS
from mira_nb.core.regulation.model import PeakRates, peak_weights
from mira_nb.keys import ATAC, END, MOTIF_HITS, MOTIFS_UNS, RNA, START
from mira_nb.stages.result import Figure, Table
from mira_nb.stages.texts import Texts

from .compute import RegulationOutput

TEXTS = Texts(__package__)

COLUMNS = (
    "peak", "gene", "region", "distance", "lite_share", "correlation", "pvalue", "adj_pvalue", "background", "factors",
)  # fmt: skip
"""Columns of the table peak_gene_links."""

MOST_FACTORS = 12
"""Factors that a row names; the rest is counted."""

EDGES_KB = (0.0, 1.5, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 400.0, float("inf"))
"""Distances at which the figure divides the pairs."""


def link_table(found: RegulationOutput) -> pd.DataFrame:
    """Return one row per fitted gene and peak of its window (columns: :data:`COLUMNS`), most significant first.

    ``distance`` is signed, negative upstream as seen from the gene. Factors are named where adj_pvalue is below the
    level of the stage.
    """
    sets, tests = found.sets, found.links
    owner = np.repeat(np.arange(len(found.genes)), sets.n_peaks)
    kept = np.flatnonzero(found.ok[owner])
    atac = found.data.mod[ATAC]
    peak = found.modelled_peaks[sets.peak[kept]]
    position = atac.var.iloc[peak]
    middle = (position[START].to_numpy(np.float64) + position[END].to_numpy(np.float64)) / 2
    sign = np.where(sets.strand[owner[kept]] == "-", -1.0, 1.0)
    adjusted = found.link_fdr[kept]
    linked = adjusted < found.params.level
    frame = pd.DataFrame(
        {
            "peak": atac.var_names.to_numpy()[peak],
            "gene": np.array(found.genes, dtype=object)[owner[kept]],
            "region": np.array(REGIONS, dtype=object)[sets.region[kept]],
            "distance": np.rint((middle - sets.tss[owner[kept]]) * sign).astype(np.int64),
            "lite_share": np.round(lite_shares(found)[kept], 6),
            "correlation": np.round(tests.correlation[kept], 4),
            "pvalue": tests.pvalue[kept],
            "adj_pvalue": adjusted,
            "background": np.round(tests.background[kept], 4),
            "factors": named_factors(found, peak, linked),
        },
        columns=list(COLUMNS),
    )
    order = np.lexsort((np.arange(len(frame)), -np.nan_to_num(tests.correlation[kept], nan=-2.0), tests.pvalue[kept]))
    return frame.iloc[order].reset_index(drop=True)


def lite_shares(found: RegulationOutput) -> np.ndarray:
    """Return weight x mean accessibility of every pair as a fraction of its gene's sum, NaN without a model."""
    sets, lite = found.sets, found.fit.lite
    out = np.full(len(sets.peak), np.nan)
    known, place = np.unique(sets.peak, return_inverse=True)
    rates = PeakRates(found.cells.decoder, found.cells.topics, found.cells.peak_normalizer)
    parts = np.array_split(known, max(1, len(known) // 512))
    mean = np.concatenate([rates.block(part).mean(axis=1) for part in parts])[place]
    for g in np.flatnonzero(found.ok):
        part = slice(sets.indptr[g], sets.indptr[g + 1])
        weight = peak_weights(sets.distance[part], sets.region[part], lite.a[g], lite.decay_kb[g]) * mean[part]
        total = weight.sum()
        out[part] = weight / total if total > 0 else 0.0
    return out


def named_factors(found: RegulationOutput, peak: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """Name expressed factors with a site in the peak, the most expressed first; "" for pairs that are not linked."""
    out = np.full(len(peak), "", dtype=object)
    atac, rna = found.data.mod[ATAC], found.data.mod[RNA]
    if MOTIF_HITS not in atac.varm or MOTIFS_UNS not in atac.uns:
        return out
    names = pd.Series(np.asarray(atac.uns[MOTIFS_UNS]["name"]).astype(str))
    row = {str(name).casefold(): i for i, name in reversed(list(enumerate(rna.var_names)))}
    total = np.asarray(sparse.csr_matrix(rna.X).sum(axis=0)).ravel()
    # a dimer (A::B) needs both of its genes
    level = np.array(
        [min(total[row[p]] if (p := part.casefold()) in row else 0.0 for part in name.split("::")) for name in names]
    )
    order = np.argsort(-level, kind="stable")
    order = order[level[order] > 0]
    hits = sparse.csr_matrix(atac.varm[MOTIF_HITS])[:, order]
    hits.sort_indices()
    shown: dict[int, str] = {}
    for pair in np.flatnonzero(linked):
        p = int(peak[pair])
        if p not in shown:
            there = list(dict.fromkeys(names.iloc[order[hits.indices[hits.indptr[p] : hits.indptr[p + 1]]]]))
            more = f"; {len(there) - MOST_FACTORS} more" if len(there) > MOST_FACTORS else ""
            shown[p] = "; ".join(there[:MOST_FACTORS]) + more
        out[pair] = shown[p]
    return out


def link_results(found: RegulationOutput) -> Table:
    """Return the table with its caption."""
    frame = link_table(found)
    has_motifs = MOTIF_HITS in found.data.mod[ATAC].varm
    return TEXTS.table(
        "peak_gene_links",
        frame,
        n_pairs=len(frame),
        n_linked=int((frame["adj_pvalue"] < found.params.level).sum()),
        level=found.params.level,
        n_permutations=found.params.link_permutations,
        n_background=found.params.link_background,
        most=MOST_FACTORS,
        has_motifs=has_motifs,
    )


def link_figures(found: RegulationOutput) -> list[Figure]:
    """Return the fraction of linked pairs by distance; empty without a pair that could be tested."""
    frame = link_table(found)
    frame = frame[np.isfinite(frame["pvalue"])]
    if not len(frame):
        return []
    linked = frame["adj_pvalue"] < found.params.level
    group = np.searchsorted(EDGES_KB, frame["distance"].abs().to_numpy() / 1e3, side="right") - 1
    rows = []
    for number in range(len(EDGES_KB) - 1):
        inside = group == number
        if inside.any():
            low, high = EDGES_KB[number : number + 2]
            name = f"{low:g}-{high:g}" if np.isfinite(high) else f"> {low:g}"
            rows.append((name, int(inside.sum()), int(linked[inside].sum()), float(linked[inside].mean())))
    bins = pd.DataFrame(rows, columns=["distance", "pairs", "linked", "fraction"])
    return [
        TEXTS.figure(
            "link_distances",
            link_distances(bins),
            n_pairs=len(frame),
            n_linked=int(linked.sum()),
            level=found.params.level,
        )
    ]
