"""Topics, pseudotime, lineages, NITE and annotations as columns: for scanpy, Seurat and Loupe."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.keys import ATAC, RNA, X_UMAP

from .messages import message
from .values import RunValues, beside, is_label, labels, new_name, number_text, said
from .whole import write_h5ad

_BINS: Final = 10


def write_scanpy(values: RunValues, out: Path) -> list[str]:
    """Write rna.h5ad and atac.h5ad with everything found as columns, and the same columns as CSV.

    The joint map, graph and coordinates stand in both files.
    """
    cells, renamed = values.cells(["cell"])
    for modality in (RNA, ATAC):
        part = values.data.mod[modality].copy()
        own, others = _differing(part.obs, values.annotations, modality)
        part.obs, clashing = beside(own, cells)
        part.obs = part.obs[[*cells.columns, *(name for name in part.obs.columns if name not in cells.columns)]]
        renamed |= others | clashing
        joint = {name: array for name, array in values.data.obsm.items() if name not in (RNA, ATAC)}
        renamed |= _put(part.obsm, joint, modality)
        renamed |= _put(part.obsp, values.data.obsp, modality)
        for name, found in values.data.uns.items():
            part.uns.setdefault(name, found)
        table = values.activations(modality)
        part.var, clashing = beside(part.var, table.set_axis(part.var_names))
        renamed |= clashing
        write_h5ad(part, out / f"{modality}.h5ad")
    _csv(cells, out / "cells.csv")
    _csv(values.genes, out / "genes.csv")
    return said(renamed)


def _differing(obs: pd.DataFrame, joint: pd.DataFrame, modality: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the columns of one modality that the joint table does not hold, and new names of those that differ."""
    same = [name for name in obs.columns if name in joint and _texts(obs[name]) == _texts(joint[name])]
    own = obs.drop(columns=same)
    taken = {*map(str, obs.columns), *map(str, joint.columns)}
    renamed = {}
    for name in map(str, own.columns):
        if name in joint:
            renamed[name] = new_name(f"{name}_{modality}", taken)
            taken.add(renamed[name])
    return own.rename(columns=renamed), renamed


def _texts(column: pd.Series) -> list[str | None]:
    """Return values as text to compare them with, numbers of all kinds alike."""
    if is_label(column):
        return [None if pd.isna(value) else str(value) for value in column]
    return [None if pd.isna(value) else number_text(value) for value in column]


def _put(place: Any, joint: Mapping[str, Any], modality: str) -> dict[str, str]:
    """Put arrays of all cells among those of a modality; one of that name that differs stays under another name."""
    renamed = {}
    for name, found in joint.items():
        if name in place and not _same(place[name], found):
            renamed[name] = new_name(f"{name}_{modality}", {*place, *joint})
            place[renamed[name]] = place[name]
        place[name] = found
    return renamed


def _same(first: Any, second: Any) -> bool:
    if sparse.issparse(first) and sparse.issparse(second):
        return first.shape == second.shape and (first != second).nnz == 0
    one, other = np.asarray(first), np.asarray(second)
    return one.shape == other.shape and bool((one == other).all() or np.array_equal(one, other, equal_nan=True))


def write_seurat(values: RunValues, out: Path) -> list[str]:
    """Write a 10x-style folder for ``Read10X`` (matrix, barcodes, features), cells.csv, genes.csv and umap.csv."""
    rna, atac = values.rna, values.atac
    counts = sparse.hstack([sparse.csr_matrix(rna.X), sparse.csr_matrix(atac.X)], format="csr")
    by_feature = counts.T.tocoo()
    with gzip.GzipFile(out / "matrix.mtx.gz", "wb", mtime=0) as handle:
        handle.write(b"%%MatrixMarket matrix coordinate integer general\n")
        handle.write(f"{by_feature.shape[0]} {by_feature.shape[1]} {by_feature.nnz}\n".encode())
        rows = np.stack([by_feature.row + 1, by_feature.col + 1, np.rint(by_feature.data)], axis=1)
        np.savetxt(handle, rows, fmt="%d")
    features = [f"{name}\t{name}\tGene Expression\n" for name in rna.var_names]
    at = atac.var
    names = at["chrom"].astype(str) + ":" + at["start"].astype(str) + "-" + at["end"].astype(str)
    features += [f"{name}\t{name}\tPeaks\n" for name in names]
    _packed(out / "features.tsv.gz", "".join(features))
    _packed(out / "barcodes.tsv.gz", "".join(f"{name}\n" for name in rna.obs_names))
    cells, renamed = values.cells(["cell"])
    _csv(cells, out / "cells.csv")
    _csv(values.genes, out / "genes.csv")
    if X_UMAP not in values.data.obsm:
        return [*said(renamed), message("no_map")]
    _csv(_map(values, ["UMAP_1", "UMAP_2"]), out / "umap.csv")
    return said(renamed)


def write_loupe(values: RunValues, out: Path) -> list[str]:
    """Write categories.csv and umap.csv for the import of the Loupe browser.

    Loupe takes labels only: numbers become ten groups of equally many cells, named by their range; the topic with the
    largest proportion is a category too.
    """
    largest = {}
    for modality in (RNA, ATAC):
        topics = values.topics(modality)
        if topics.shape[1]:
            largest[f"largest_{modality}_topic"] = topics.idxmax(axis=1)
    cells, renamed = values.cells(["Barcode", *largest])
    notes = said(renamed)
    out_table = pd.DataFrame(largest, index=cells.index)
    for name in cells.columns:
        column = cells[name]
        out_table[name] = labels(column) if is_label(column) else _ranges(column)
    many = [str(name) for name in out_table if out_table[name].nunique() > 200]
    if many:
        notes.append(message("many_labels", names=many))
    kept = out_table.drop(columns=many)
    for name in kept.columns[kept.isna().any()]:
        kept[name] = kept[name].astype(object).fillna(new_name("none", set(kept[name].dropna())))
    _csv(kept, out / "categories.csv", "Barcode")
    if X_UMAP in values.data.obsm:
        _csv(_map(values, ["X Coordinate", "Y Coordinate"]), out / "umap.csv", "Barcode")
    else:
        notes.append(message("no_map"))
    unlike = ~pd.Series(values.data.obs_names).str.fullmatch(r"[ACGTN]{8,}-\d+")
    if unlike.any():
        example = str(values.data.obs_names[unlike.to_numpy()][0])
        notes.append(message("other_barcodes", n_cells=int(unlike.sum()), example=example))
    return notes


def _ranges(column: pd.Series) -> pd.Series:
    """Return the tenth of the cells into which every number falls, as text that sorts; few values stay as they are."""
    if column.nunique() <= _BINS:
        return column.map({value: number_text(value) for value in column.dropna().unique()}, na_action="ignore")
    present = column.dropna()
    present = pd.Series(np.array(present.tolist()), index=present.index)  # plain numbers also of nullable columns
    tenth = pd.qcut(present.rank(), _BINS, labels=False, duplicates="drop")  # of ranks: there may be infinite numbers
    bounds = present.groupby(tenth).agg(["min", "max"])
    texts = _bound_texts(bounds)
    names = {i: f"{number + 1:02d}: {least} to {most}" for number, (i, least, most) in enumerate(texts)}
    return tenth.map(names).reindex(column.index)


def _bound_texts(bounds: pd.DataFrame) -> list[tuple[Any, str, str]]:
    """Return number, least and largest of every range, in the fewest digits, 3 to 8, that tell the two apart.

    Whole numbers, such as dates and ids, stand in full.
    """
    ranges = [(i, row["min"], row["max"]) for i, row in bounds.iterrows()]
    whole = [(i, number_text(least), number_text(most)) for i, least, most in ranges]
    if all(text.lstrip("-").isdigit() for _, *texts in whole for text in texts):
        return whole
    for digits in range(3, 9):
        texts = [(i, f"{least:.{digits}g}", f"{most:.{digits}g}") for i, least, most in ranges]
        if all((one == other) == (low == high) for (_, one, other), (_, low, high) in zip(texts, ranges, strict=True)):
            break
    return texts


def _map(values: RunValues, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(np.asarray(values.data.obsm[X_UMAP])[:, :2], index=values.data.obs_names, columns=names)


def _csv(frame: pd.DataFrame, path: Path, index: str = "cell") -> None:
    index = "gene" if path.name.startswith("genes") else index
    frame.rename_axis(index).to_csv(path)


def _packed(path: Path, text: str) -> None:
    with gzip.GzipFile(path, "wb", mtime=0) as handle:
        handle.write(text.encode())
