"""Tracks for genome browsers: accessibility per group or topic (bigWig), peaks, links to genes, an IGV session."""

from __future__ import annotations

from collections.abc import Sequence
from os import SEEK_END
from pathlib import Path
from typing import Final
from unicodedata import normalize
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.regulation.model import peak_weights
from mira_nb.errors import ParameterError
from mira_nb.keys import ATAC, CHROM, END, PEAK_SETS, RP_PARAMETERS, START
from mira_nb.text import spreadsheet_cell

from .messages import message, refusal
from .sizes import read_sizes
from .values import LINK_COLUMNS, RunValues, is_label, labels, number_text
from .whole import not_whole, reserve

TOPICS: Final = "topics"
_SCALE: Final = 1e6
_TRACKS: Final = (".bw", ".bed", ".bedpe")
MAX_GROUPS: Final = 100
"""Groups of an annotation beyond which no tracks are written: more than that are no groups to look at."""
_LONGEST: Final = 200
"""Bytes of a label in a file name; file systems take 255 with number and ending."""
_PIECE: Final = 64
_CHROMOSOME: Final = 512
_HEADER: Final = 1 << 16
"""Bytes that a bigWig takes at most per piece (12, and 32 per summary of several), per chromosome, and at least."""
_END: Final = (0x888FFC26).to_bytes(4, "little")
"""The last bytes of a bigWig."""


# ---------------------------------------------------------------- bigWig
def write_bigwig(values: RunValues, out: Path, *, by: str | None = None, chrom_sizes: Path | None = None) -> list[str]:
    """Write one bigWig per group of cells, or per accessibility topic, and names.csv: file, group, cells.

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
        For an unknown annotation, one that holds no groups, or chromosomes that are missing or too short in the table.
    OSError
        When a file cannot be written whole.
    """
    weights = membership(values, by)
    sizes, notes = _sizes(values, chrom_sizes)
    n_left = int((weights.sum(axis=1) == 0).sum())
    if n_left:
        notes.append(message("cells_without_group", n_cells=n_left))
    levels = normalised(values, weights)
    order, segments, n_overlaps = _segments(values.atac.var)
    if n_overlaps:
        notes.append(message("overlaps", n_peaks=n_overlaps))
    files = file_names([str(name) for name in weights.columns], ".bw")
    for number, name in enumerate(files.values()):
        _write_one(out / name, sizes, segments, levels[number][order])
    table = pd.DataFrame({"file": files.values(), "group": files.keys(), "cells": weights.sum().to_numpy()})
    table["group"] = table["group"].map(spreadsheet_cell)
    table.to_csv(out / "names.csv", index=False, float_format="%.10g")
    return notes


def file_names(labels: Sequence[str], ending: str) -> dict[str, str]:
    """Return a file name for every label, by label in their order; names differ also where case does not count.

    Labels that are file names themselves keep their name.
    """
    safe = {label: _safe(label) for label in labels}
    own = {label.casefold() for label in labels if safe[label] == label}
    stems: dict[str, str] = {}
    for label in sorted(labels, key=lambda label: safe[label] != label):
        taken = {stem.casefold() for stem in stems.values()}
        stem, number = safe[label], 1
        while stem.casefold() in (taken | own if number > 1 else taken):
            number += 1
            stem = f"{safe[label]}-{number}"
        stems[label] = stem
    return {label: f"{stems[label]}{ending}" for label in labels}


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
    n_groups = int(column.nunique())
    if not n_groups:
        raise refusal(ParameterError, "annotation_empty", name=name)
    if not is_label(column) and not all(float(value).is_integer() for value in column.dropna().unique()):
        least, most = column.min(), column.max()
        raise refusal(ParameterError, "annotation_of_measurements", name=name, least=least, most=most)
    if n_groups > MAX_GROUPS:
        raise refusal(ParameterError, "annotation_too_fine", name=name, n_groups=n_groups, most=MAX_GROUPS)
    column = column.map(number_text, na_action="ignore") if not is_label(column) else column
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

    n_pieces = sum(len(starts) for _, starts, _, _ in pieces)
    reserve(path.parent, _PIECE * n_pieces + _CHROMOSOME * len(sizes) + _HEADER)  # a full disk ends the process
    try:
        with pyBigWig.open(str(path), "w") as file:
            file.addHeader(list(sizes.items()))
            for chrom, starts, ends, members in pieces:
                top = [float(levels[rows].max()) for rows in members]
                file.addEntries([chrom] * len(starts), starts.tolist(), ends=ends.tolist(), values=top)
        whole = _is_whole(path, sizes, {chrom: len(starts) for chrom, starts, _, _ in pieces})
    except RuntimeError as error:
        raise not_whole(path) from error
    if not whole:
        raise not_whole(path)


def _is_whole(path: Path, sizes: dict[str, int], n_pieces: dict[str, int]) -> bool:
    """Return whether a bigWig ends as it should and holds every piece: the library only prints that it could not."""
    import pyBigWig

    with path.open("rb") as stream:
        stream.seek(-4, SEEK_END)
        if stream.read() != _END:
            return False
    with pyBigWig.open(str(path)) as file:
        found = {chrom: len(file.intervals(chrom) or ()) for chrom in n_pieces}
        return file.chroms() == sizes and found == n_pieces


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
def write_session(folder: Path, out: Path) -> Path:
    """Write session.xml over all tracks of two folders, paths relative to it; the genome is the one open in IGV.

    Parameters
    ----------
    folder
        Where it is written, among tracks that will be moved to `out`.
    out
        Where it will stand, among earlier tracks.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="no"?>', '<Session version="8">', "  <Resources>"]
    tracks = [name for ending in _TRACKS for name in sorted({item.name for item in _files(folder, out, ending)})]
    lines += [f"    <Resource path={quoteattr(name)}/>" for name in tracks]
    lines += ["  </Resources>", '  <Panel name="Tracks">']
    lines += [f"    <Track id={quoteattr(name)} name={quoteattr(name.rpartition('.')[0])}/>" for name in tracks]
    (folder / "session.xml").write_text("\n".join([*lines, "  </Panel>", "</Session>", ""]), encoding="utf-8")
    return folder / "session.xml"


def _files(folder: Path, out: Path, ending: str) -> list[Path]:
    return [*folder.glob(f"*{ending}"), *out.glob(f"*{ending}")]


def _safe(name: str) -> str:
    """Return a label as part of a file name: letters, digits, ``-``, ``_`` and ``+``, at most 200 bytes."""
    text = "".join(letter if letter.isalnum() or letter in "-_+" else "_" for letter in normalize("NFC", name))
    return text.encode()[:_LONGEST].decode(errors="ignore") or "_"
