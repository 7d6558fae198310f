"""Loci of the modelled genes: peaks of their windows, LITE parameters, accessibility by group, hits of drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.counts import PER_CELL, scaled
from mira_nb.keys import (
    ATAC,
    CHROM,
    END,
    LITE_PREDICTION,
    MOTIF_HITS,
    MOTIFS_UNS,
    NITE_PREDICTION,
    PEAK_SETS,
    RNA,
    RP_PARAMETERS,
    START,
)

from . import packing
from .coverage import Coverage, StoredCoverage, coverage_of, read_coverage
from .models import GeneModels, model_facts, read_models
from .source import element, labels

if TYPE_CHECKING:
    import h5py

ROOM: Final = 1_200_000
"""Bytes of packed loci in a page; more are kept for the genes that vary most."""

SIDES: Final = ("upstream", "proximal", "downstream")
MAX_GROUPS: Final = 24
MAX_FACTORS: Final = 16
PROMOTER_BP: Final = 1_500
"""Half-width of the proximal set where the run does not state it, as in the paper."""
NEIGHBOURS: Final = 1_000_000
"""Base pairs around a start site within which other start sites are shown."""
_BLOCK: Final = 2_000


@dataclass(frozen=True)
class Loci:
    """Loci as the page holds them.

    Attributes
    ----------
    sets
        Packed values over the peaks, by chromosome and start: ``peaks`` (step to the start before, width), ``open``
        (open cells per group), ``hits`` (peaks with a hit, per factor), ``members`` (per gene: 1 upstream, 2 proximal,
        3 downstream).
    n_peaks, n_genes
        Numbers of peaks and genes in them.
    n_left_out
        Number of fitted genes that did not fit into :data:`ROOM`.
    facts
        What JSON says beside them: chromosomes with their numbers of peaks, parameters of the genes, totals and
        expression of the groups, gene models by chromosome where the run has any.
    coverage
        Coverage of fragments by group around the start sites; None where the run has none.
    """

    sets: tuple[packing.ValueSet, ...]
    n_peaks: int
    n_genes: int
    facts: dict[str, Any]
    n_left_out: int = 0
    coverage: Coverage | None = None

    @property
    def n_bytes(self) -> int:
        """Size of the packed values."""
        coverage = self.coverage.n_bytes if self.coverage else 0
        return coverage + sum(len(chunk) for item in self.sets for chunk in item.chunks)


@dataclass(frozen=True)
class LocusInputs:
    """Arrays that the loci of any choice of genes are cut from."""

    peaks: pd.DataFrame
    sets: dict[str, NDArray]
    parameters: pd.DataFrame
    groups: Any
    open_cells: sparse.csr_matrix
    means: dict[str, pd.DataFrame]
    hits: sparse.csc_matrix
    factors: tuple[str, ...]
    models: GeneModels | None = None
    coverage: StoredCoverage | None = None


def read_loci(file: h5py.File, genes: Sequence[str], grouping: str, factors: Sequence[str]) -> Loci | None:
    """Read the loci of a run; None before the stage regulation.

    Parameters
    ----------
    file
        results.h5mu, open.
    genes
        Modelled genes, the ones to keep first.
    grouping
        Cell annotation whose groups have tracks; '' for one track of all cells.
    factors
        Factors whose hits are shown.
    """
    inputs = read_inputs(file, grouping, factors)
    if inputs is None:
        return None
    known = _known(inputs)
    usable = _fitted(inputs) & set(known)
    wanted = [name for name in genes if name in usable]
    n_kept = len(wanted)
    while n_kept:
        found = _pack(inputs, wanted[:n_kept], known)
        if found.n_bytes <= ROOM:
            return _with_surroundings(inputs, replace(found, n_left_out=len(wanted) - n_kept))
        n_kept //= 2
    return None


def locus_of(inputs: LocusInputs, gene: str) -> Loci | None:
    """Return the locus of one gene, with the start sites of the genes within its window; None without a model."""
    known = _known(inputs)
    if gene not in known or gene not in _fitted(inputs):
        return None
    found = _pack(inputs, [gene], known)
    chroms, sites = np.asarray(inputs.sets["chrom"]).astype(str), np.asarray(inputs.sets["tss"])
    here = known[gene]
    near = (chroms == chroms[here]) & (np.abs(sites - sites[here]) <= NEIGHBOURS)
    strands = np.asarray(inputs.sets["strand"]).astype(str)
    names = np.asarray(inputs.sets["genes"]).astype(str)
    others = {
        str(names[i]): {"chrom": str(chroms[i]), "tss": int(sites[i]), "strand": str(strands[i])}
        for i in np.flatnonzero(near)
    }
    found = _with_surroundings(inputs, found)
    return replace(found, facts={**found.facts, "genes": {**others, **found.facts["genes"]}})


def _with_surroundings(inputs: LocusInputs, found: Loci) -> Loci:
    """Return loci with gene models near the genes and coverage of fragments, where the run has them."""
    genes, facts = found.facts["genes"], dict(found.facts)
    if inputs.models is not None:
        facts["models"] = model_facts(inputs.models, genes, NEIGHBOURS)
    coverage = None if inputs.coverage is None else coverage_of(inputs.coverage, genes)
    if coverage is not None:
        facts["coverage"] = coverage.facts
    return replace(found, facts=facts, coverage=coverage)


def _known(inputs: LocusInputs) -> dict[str, int]:
    """Return the place of every gene among the windows."""
    return {str(name): number for number, name in enumerate(np.asarray(inputs.sets["genes"]).astype(str))}


def _fitted(inputs: LocusInputs) -> set[str]:
    """Return the genes that have a LITE model: a side without peaks has no coefficient."""
    sides = inputs.parameters[[f"a_{side}" for side in SIDES]].to_numpy(dtype=np.float64)
    rows = np.isfinite(sides).any(axis=1)
    return set(map(str, inputs.parameters.index[rows]))


def read_inputs(file: h5py.File, grouping: str | pd.Series, factors: Sequence[str]) -> LocusInputs | None:
    """Read what loci are cut from; None before the stage regulation.

    Parameters
    ----------
    file
        results.h5mu, open.
    grouping
        Cell annotation whose groups have tracks, '' for one track of all cells; or the groups as categories, with the
        cells' names as index.
    factors
        Factors whose hits are shown.
    """
    sets = element(file, f"mod/{RNA}/uns/{PEAK_SETS}")
    parameters = element(file, f"mod/{RNA}/varm/{RP_PARAMETERS}")
    if sets is None or parameters is None:
        return None
    names = pd.Index(element(file, f"mod/{RNA}/var").index.astype(str))
    obs = element(file, "obs")
    if isinstance(grouping, str):
        groups = labels(obs[grouping] if grouping in obs else pd.Series(["all cells"] * len(obs)))
    else:
        groups = pd.Categorical(grouping.reindex(obs.index.astype(str)), categories=grouping.cat.categories)
    if len(groups.categories) > MAX_GROUPS:
        groups = groups.remove_categories(list(groups.categories[MAX_GROUPS:]))
    codes = groups.codes
    kept = np.flatnonzero(codes >= 0)
    member = sparse.csr_matrix((np.ones(len(kept)), (codes[kept], kept)), shape=(len(groups.categories), len(codes)))
    hits, shown = _hits(file, factors)
    return LocusInputs(
        peaks=element(file, f"mod/{ATAC}/var")[[CHROM, START, END]],
        sets=sets,
        parameters=pd.DataFrame(parameters).set_axis(names),
        groups=groups,
        open_cells=sparse.csr_matrix(member @ sparse.csr_matrix(element(file, f"mod/{ATAC}/X"))),
        means=_means(file, member, names),
        hits=hits,
        factors=shown,
        models=read_models(file),
        coverage=read_coverage(file, obs, groups),
    )


def _hits(file: h5py.File, factors: Sequence[str]) -> tuple[sparse.csc_matrix, tuple[str, ...]]:
    hits, motifs = element(file, f"mod/{ATAC}/varm/{MOTIF_HITS}"), element(file, f"mod/{ATAC}/uns/{MOTIFS_UNS}")
    if hits is None or motifs is None:
        return sparse.csc_matrix((0, 0)), ()
    place = {str(name): number for number, name in enumerate(np.asarray(motifs["name"]).astype(str))}
    shown = tuple(name for name in dict.fromkeys(factors) if name in place)[:MAX_FACTORS]
    return sparse.csc_matrix(hits)[:, [place[name] for name in shown]], shown


def _means(file: h5py.File, member: sparse.csr_matrix, names: pd.Index) -> dict[str, pd.DataFrame]:
    """Return counts per 10,000 by group and gene: mean of the observed, and of both predictions."""
    counts = sparse.csr_matrix(element(file, f"mod/{RNA}/X"))
    depth = np.asarray(counts.sum(axis=1)).ravel()
    size = np.maximum(np.asarray(member.sum(axis=1)), 1)
    found = {"observed": (member @ scaled(counts, depth)).toarray() / size}
    for name, layer in (("lite", LITE_PREDICTION), ("nite", NITE_PREDICTION)):
        path = f"mod/{RNA}/layers/{layer}"
        if path not in file or not hasattr(file[path], "shape"):
            continue
        total = np.zeros((member.shape[0], len(names)))
        for start in range(0, member.shape[1], _BLOCK):
            part = slice(start, start + _BLOCK)
            total += member[:, part] @ np.asarray(file[path][part], dtype=np.float64)
        found[name] = PER_CELL * total / size
    return {name: pd.DataFrame(values.T, index=names) for name, values in found.items()}


def _pack(inputs: LocusInputs, genes: list[str], known: dict[str, int]) -> Loci:
    """Return the loci of some genes: peaks outside their windows are left out."""
    bounds, sets = np.asarray(inputs.sets["indptr"]), inputs.sets
    windows = [np.arange(bounds[known[name]], bounds[known[name] + 1]) for name in genes]
    entries = np.concatenate(windows)
    peak = np.asarray(sets["peak"])[entries]
    used = np.unique(peak)
    table = inputs.peaks.iloc[used].assign(row=used)
    table[CHROM] = table[CHROM].astype(str)
    table = table.sort_values([CHROM, START, END], kind="stable").reset_index(drop=True)
    rank = np.empty(len(inputs.peaks), dtype=np.int64)
    rank[table["row"]] = np.arange(len(table))
    gene = np.repeat(np.arange(len(genes)), [len(part) for part in windows])
    region = np.asarray(sets["region"])[entries] + 1
    members = sparse.csc_matrix((region, (rank[peak], gene)), shape=(len(table), len(genes)))
    step = table.groupby(CHROM, sort=False)[START].diff().fillna(table[START]).to_numpy(np.int64)
    places = np.column_stack([step, (table[END] - table[START]).to_numpy(np.int64)])
    rows = table["row"].to_numpy()
    names = tuple(map(str, inputs.groups.categories))
    packed = [
        packing.pack_counts("peaks", sparse.csc_matrix(places), ("step", "width")),
        packing.pack_counts("open", inputs.open_cells.T.tocsc()[rows], names),
        packing.pack_counts("members", members, genes),
    ]
    if inputs.factors:
        bits = sparse.csc_matrix(inputs.hits[rows] > 0).astype(np.float64)
        packed.append(packing.pack_counts("hits", bits, inputs.factors))
    chromosomes = table.groupby(CHROM, sort=False).size()
    facts = {
        "chromosomes": [[str(name), int(n)] for name, n in chromosomes.items()],
        "groups": list(names),
        "totals": np.asarray(inputs.open_cells.sum(axis=1)).ravel().tolist(),
        "genes": {name: _gene(inputs, name, known[name]) for name in genes},
    }
    return Loci(tuple(packed), len(table), len(genes), facts)


def _gene(inputs: LocusInputs, name: str, number: int) -> dict[str, Any]:
    row = inputs.parameters.loc[name]
    means = {key: [_short(value) for value in frame.loc[name].to_numpy()] for key, frame in inputs.means.items()}
    return {
        "chrom": str(np.asarray(inputs.sets["chrom"])[number]),
        "tss": int(inputs.sets["tss"][number]),
        "strand": str(np.asarray(inputs.sets["strand"])[number]),
        "a": [_short(row[f"a_{side}"]) for side in SIDES],
        "decay_kb": [_short(row[f"decay_{side}_kb"]) for side in ("upstream", "downstream")],
        **means,
    }


def _short(value: Any) -> float | None:
    """Return a number with seven digits; None where there is none."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
