"""Tracks for genome browsers: accessibility per group or topic (bigWig), peaks, links to genes, an IGV session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.regulation.model import peak_weights
from mira_nb.errors import ParameterError
from mira_nb.keys import ATAC, CHROM, END, PEAK_SETS, RP_PARAMETERS, START

from .messages import message, refusal
from .sizes import read_sizes
from .values import LINK_COLUMNS, RunValues, labels

TOPICS: Final = "topics"
_SCALE: Final = 1e6
_TRACKS: Final = (".bw", ".bed", ".bedpe")


# ---------------------------------------------------------------- bigWig
def write_bigwig(values: RunValues, out: Path, *, by: str | None = None, chrom_sizes: Path | None = None) -> list[str]:
    """Write one bigWig per group of cells, or per accessibility topic.

    The value of a peak is the number of the group's cells in which it is open, per million open peaks of the group:
    1e6 sum_i w_i x_ip / sum_ip w_i x_ip, w_i being 1 for cells of the group, or the topic's proportion in the cell.

    Parameters
    ----------
    by
        A cell annotation, or ``topics``; None: the annotation given to the run with --groups, else the clusters.
    chrom_sizes
        Table of chromosome names and lengths (chrom.sizes or .fai); None: each ends with its last peak.

    Raises
    ------
    ParameterError
        For an unknown annotation, or chromosomes that are missing or too short in the table.
    """
    weights = membership(values, by)
    sizes, notes = _sizes(values, chrom_sizes)
    levels = normalised(values, weights)
    order, segments, n_overlaps = _segments(values.atac.var)
    if n_overlaps:
        notes.append(message("overlaps", n_peaks=n_overlaps))
    for number, name in enumerate(weights.columns):
        path = out / f"{_safe(name)}.bw"
        path = path if not path.exists() else path.with_name(f"{path.stem}-{number + 1}.bw")
        _write_one(path, sizes, segments, levels[number][order])
    return notes


def membership(values: RunValues, by: str | None) -> pd.DataFrame:
    """Return the weight of every cell in every group, (cells, groups): 0 or 1, or the proportion of a topic."""
    if by == TOPICS:
        topics = values.topics(ATAC)
        if not topics.shape[1]:
            raise refusal(ParameterError, "no_topics")
        return topics
    name = by or values.groups
    table = values.annotations
    column = table[name] if name in table else values.found.get(name)
    if name is None or column is None:
        known = [str(column) for column in table.columns]
        raise refusal(ParameterError, "annotation_unknown", name=name, known=known)
    return pd.get_dummies(labels(column), dtype=np.float64)


def normalised(values: RunValues, weights: pd.DataFrame) -> np.ndarray:
    """Return open cells per million open peaks of every group, (groups, peaks); 0 for a group without open peaks."""
    sums = np.asarray((sparse.csr_matrix(values.atac.X).T @ weights.to_numpy(np.float64)).T)
    total = sums.sum(axis=1, keepdims=True)
    return np.divide(_SCALE * sums, total, out=np.zeros_like(sums), where=total > 0)


def _sizes(values: RunValues, table: Path | None) -> tuple[dict[str, int], list[str]]:
    var = values.atac.var
    ends = var.groupby(var[CHROM].astype(str), sort=True)[END].max()
    if table is None:
        return {str(name): int(end) for name, end in ends.items()}, [message("ends_guessed")]
    lengths = read_sizes(table)
    wrong = [str(name) for name, end in ends.items() if lengths.get(str(name), 0) < end]
    if wrong:
        raise refusal(ParameterError, "sizes_too_short", file=table, wrong=wrong)
    return {name: lengths[name] for name in sorted(lengths)}, []


def _segments(var: pd.DataFrame) -> tuple[np.ndarray, list[tuple[str, np.ndarray, np.ndarray, list[np.ndarray]]], int]:
    """Cut the peaks of every chromosome into pieces that do not overlap.

    Returns
    -------
    order
        Peaks by chromosome and position.
    pieces
        Per chromosome: its name, starts and ends of the pieces, and for each piece the peaks in it (rows of `order`).
    n_overlaps
        Peaks that begin before the one before ends.
    """
    frame = pd.DataFrame({"chrom": var[CHROM].astype(str).to_numpy(), "start": var[START], "end": var[END]})
    frame = frame.reset_index(drop=True).sort_values(["chrom", "start", "end"], kind="stable")
    order, pieces, n_overlaps, done = frame.index.to_numpy(), [], 0, 0
    for chrom, part in frame.groupby("chrom", sort=True):
        starts, ends = part["start"].to_numpy(np.int64), part["end"].to_numpy(np.int64)
        rows = np.arange(done, done + len(part))
        done += len(part)
        overlaps = int((starts[1:] < ends[:-1]).sum())
        n_overlaps += overlaps
        if not overlaps:
            pieces.append((str(chrom), starts, ends, list(rows[:, None])))
            continue
        cuts = np.unique(np.concatenate([starts, ends]))
        members: list[list[int]] = [[] for _ in cuts[:-1]]
        for row, first, last in zip(rows, np.searchsorted(cuts, starts), np.searchsorted(cuts, ends), strict=True):
            for piece in range(first, last):
                members[piece].append(int(row))
        kept = np.array([bool(item) for item in members])
        pieces.append((str(chrom), cuts[:-1][kept], cuts[1:][kept], [np.array(item) for item in members if item]))
    return order, pieces, n_overlaps


def _write_one(
    path: Path,
    sizes: dict[str, int],
    pieces: list[tuple[str, np.ndarray, np.ndarray, list[np.ndarray]]],
    levels: np.ndarray,
) -> None:
    import pyBigWig

    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(sizes.items()))
        for chrom, starts, ends, members in pieces:
            top = [float(levels[rows].max()) for rows in members]
            file.addEntries([chrom] * len(starts), starts.tolist(), ends=ends.tolist(), values=top)


# ---------------------------------------------------------------- BED
def links(values: RunValues) -> pd.DataFrame:
    """Return the links of peaks to genes: peak (row), gene, distance (bp), weight, tss, strand.

    The weight is the one of the LITE model, a_eta 2^(-distance / Delta_eta), and a_proximal near the start site.
    Genes without an estimate have none. Empty before the regulation stage ran.
    """
    columns = ["peak", "gene", "distance", "weight", "tss", "strand"]
    rna = values.rna
    if PEAK_SETS not in rna.uns or RP_PARAMETERS not in rna.varm:
        return pd.DataFrame(columns=columns)
    sets = rna.uns[PEAK_SETS]
    table = pd.DataFrame(rna.varm[RP_PARAMETERS]).set_axis(rna.var_names)
    a = table[["a_upstream", "a_proximal", "a_downstream"]].to_numpy(np.float64)
    decay = table[["decay_upstream_kb", "decay_downstream_kb"]].to_numpy(np.float64)
    row_of = {str(name): row for row, name in enumerate(rna.var_names)}
    parts = []
    bounds = np.asarray(sets["indptr"])
    for number, gene in enumerate(np.asarray(sets["genes"]).astype(str)):
        row, window = row_of.get(gene), slice(bounds[number], bounds[number + 1])
        if row is None or not np.isfinite(a[row]).all() or window.start == window.stop:
            continue
        distance = np.asarray(sets["distance"])[window]
        weight = peak_weights(distance, np.asarray(sets["region"])[window], a[row], decay[row])
        peaks = np.asarray(sets["peak"])[window]
        facts = {"tss": int(sets["tss"][number]), "strand": str(sets["strand"][number])}
        parts.append(pd.DataFrame({"peak": peaks, "gene": gene, "distance": distance, "weight": weight, **facts}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def write_bed(values: RunValues, out: Path, *, min_weight: float = 0.05) -> list[str]:
    """Write peaks.bed (with weight, gene and topic), links.bedpe (peak to start site) and an IGV session.

    Columns of peaks.bed after the six of BED: the largest weight of the peak over genes, that gene, the topic with the
    largest activation, that activation (``.`` where there is none). The score is the weight relative to the largest of
    all, times 1,000. Columns of links.bedpe after its ten: those of :data:`~.values.LINK_COLUMNS` from the table
    peak_gene_links (``.`` in runs without it).

    Parameters
    ----------
    min_weight
        Links below this fraction of their gene's largest weight are left out of links.bedpe, which is said.
    """
    notes = []
    found = links(values)
    if not len(found):
        notes.append(message("no_weights"))
    var = values.atac.var.reset_index(drop=True)
    best = found.sort_values("weight", kind="stable").drop_duplicates("peak", keep="last").set_index("peak")
    weight = best["weight"].reindex(var.index).astype(float)
    top = weight.max() if weight.notna().any() and weight.max() > 0 else 1.0
    activations = values.activations(ATAC).reset_index(drop=True)
    known = activations.notna().any(axis=1) if activations.shape[1] else pd.Series(False, index=var.index)
    table = pd.DataFrame({"chrom": var[CHROM].astype(str), "start": var[START], "end": var[END]})
    table["name"] = values.atac.var_names.to_numpy()
    table["score"] = np.rint(1000 * weight.fillna(0) / top).astype(int)
    table["strand"] = "."
    table["weight"], table["gene"] = weight, best["gene"].reindex(var.index)
    table["topic"] = activations[known].idxmax(axis=1).reindex(var.index) if known.any() else None
    table["activation"] = activations[known].max(axis=1).reindex(var.index) if known.any() else None
    table = table.sort_values(["chrom", "start", "end"], kind="stable")
    table.to_csv(out / "peaks.bed", sep="\t", header=False, index=False, na_rep=".")
    if len(found):
        found = found.merge(values.link_tests(), how="left", on=["peak", "gene"])
        strong = found["weight"] >= min_weight * found.groupby("gene")["weight"].transform("max")
        kept = found[strong & (found["weight"] > 0)]
        if len(kept) < len(found):
            notes.append(message("weak_links", n_out=len(found) - len(kept), n_links=len(found), least=min_weight))
        _bedpe(kept, var, out / "links.bedpe")
    return notes


def _bedpe(found: pd.DataFrame, var: pd.DataFrame, path: Path) -> None:
    at = var.iloc[found["peak"].to_numpy(np.int64)]
    chrom = at[CHROM].astype(str).to_numpy()
    tss = found["tss"].to_numpy(np.int64)
    table = pd.DataFrame(
        {
            "chrom1": chrom, "start1": at[START].to_numpy(), "end1": at[END].to_numpy(),
            "chrom2": chrom, "start2": tss, "end2": tss + 1,
            "name": found["gene"].to_numpy(), "score": found["weight"].to_numpy(),
            "strand1": ".", "strand2": found["strand"].to_numpy(),
            **{name: found[name].to_numpy() for name in LINK_COLUMNS},
        }
    )  # fmt: skip
    table = table.sort_values(["chrom1", "start1", "start2"], kind="stable")
    table.to_csv(path, sep="\t", header=False, index=False, na_rep=".")


# ---------------------------------------------------------------- IGV
def write_session(out: Path) -> Path:
    """Write session.xml over all tracks of the folder, paths relative to it; the genome is the one open in IGV."""
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="no"?>', '<Session version="8">', "  <Resources>"]
    tracks = list(_tracks(out))
    lines += [f"    <Resource path={quoteattr(name)}/>" for name in tracks]
    lines += ["  </Resources>", '  <Panel name="Tracks">']
    lines += [f"    <Track id={quoteattr(name)} name={quoteattr(name.rpartition('.')[0])}/>" for name in tracks]
    (out / "session.xml").write_text("\n".join([*lines, "  </Panel>", "</Session>", ""]), encoding="utf-8")
    return out / "session.xml"


def _tracks(out: Path) -> Iterator[str]:
    for ending in _TRACKS:
        yield from sorted(item.name for item in out.glob(f"*{ending}"))


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_+" else "_" for letter in str(name)) or "_"
