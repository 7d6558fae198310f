"""Matrices of Cell Ranger: .h5 files and folders of matrix.mtx with its tables, of any version, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.errors import InputError

from .files import check_file, is_gzipped, mtx_file
from .formats import RawModality
from .intervals import looks_like_peaks, regions_among
from .messages import refusal
from .pairing import Log, log_types_by_names
from .stored import check_sparse
from .tenx_tables import damaged, read_barcodes, read_features

if TYPE_CHECKING:
    import h5py

FeatureType = Literal["Gene Expression", "Peaks"]
TYPES: Final[tuple[FeatureType, ...]] = ("Gene Expression", "Peaks")
_TABLES: Final = ("features.tsv", "genes.tsv", "peaks.bed")


@dataclass(frozen=True)
class TenxMatrix:
    """Counts as Cell Ranger writes them.

    Attributes
    ----------
    source
        Name for messages.
    matrix
        Cells x features, CSR (10x stores features x cells by column, which is the same bytes).
    features
        Columns id, name, feature_type and whatever else there is.
    barcodes
        Cell names.
    """

    source: str
    matrix: sparse.csr_matrix
    features: pd.DataFrame
    barcodes: pd.Index

    @property
    def types_given(self) -> pd.Series | None:
        """Type of every feature as the file says; None where it says nothing."""
        return self.features["feature_type"].astype(str) if "feature_type" in self.features else None

    @cached_property
    def types(self) -> pd.Series:
        """Type of every feature: as the file says, unless it calls genes and peaks alike; then by the names."""
        names, given = pd.Index(self.features["id"].astype(str)), self.types_given
        if given is None:
            regions = regions_among(names)
            found = looks_like_peaks(names) if regions is None else regions
            return pd.Series(np.where(np.broadcast_to(found, len(names)), "Peaks", "Gene Expression"))
        rows = np.flatnonzero(given.isin(TYPES))
        regions = regions_among(names[rows]) if given.iloc[rows].nunique() == 1 else None
        if regions is None:
            return given
        types = given.to_numpy(dtype=object, copy=True)
        types[rows] = np.where(regions, "Peaks", "Gene Expression")
        return pd.Series(types, index=given.index)

    def report_types(self, log: Log) -> None:
        """Report where genes and peaks were told apart by their names."""
        given, types = self.types_given, self.types
        names = {name: self.features["id"][(types == name).to_numpy()] for name in TYPES}
        if all(map(len, names.values())) and (given is None or not types.equals(given)):
            log_types_by_names(
                log, self.source, given, *(names[name].astype(str).to_numpy(dtype=object) for name in TYPES)
            )


# ---------------------------------------------------------------- reading
def read_h5(file: h5py.File, *, source: str) -> TenxMatrix:
    """Read an open 10x .h5 file of Cell Ranger 3 or newer (group ``matrix``), or of Cell Ranger 2 (genes only)."""
    group = file["matrix"] if "matrix" in file else next(iter(file.values()))
    if "features" in group:
        table = group["features"]
        columns = {
            name: _text(table[name][()])
            for name in table
            if name != "_all_tag_keys" and getattr(table[name], "ndim", 0) == 1
        }
    else:
        columns = {"id": _text(group["genes"][()]), "name": _text(group["gene_names"][()])}
    features = pd.DataFrame(columns)
    barcodes = pd.Index(_text(group["barcodes"][()]))
    n_features, n_cells = (int(value) for value in group["shape"][()])
    if len(features) != n_features or len(barcodes) != n_cells:
        raise ValueError(
            f"shape says {n_features} features x {n_cells} cells, but {len(features)} and {len(barcodes)} are named"
        )
    check_sparse(group, source=source)
    parts = (group["data"][()], group["indices"][()], group["indptr"][()])
    return TenxMatrix(source, sparse.csr_matrix(parts, shape=(n_cells, n_features)), features, barcodes)


def read_mtx(path: Path, *, option: str) -> TenxMatrix:
    """Read a folder of matrix.mtx, barcodes.tsv and features.tsv (genes.tsv, peaks.bed), each plain or gzipped.

    A prefix that all three share (``GSM123_matrix.mtx.gz``, as in GEO) is allowed. Matrices that stand with cells in
    rows are recognised by their shape.

    Raises
    ------
    InputError
        A table is missing, the matrix is damaged, or the numbers of rows differ.
    """
    matrix_file = mtx_file(path)
    if matrix_file is None:
        raise refusal(InputError, "matrix_missing", path=path, option=option)
    source = f"{path.parent.name}/{path.name}" if path.is_file() else path.name
    barcodes = read_barcodes(_beside(matrix_file, ("barcodes.tsv",), option), option)
    features = read_features(_beside(matrix_file, _TABLES, option), option)
    matrix = _matrix(matrix_file, option)
    expected = (len(features), len(barcodes))
    if matrix.shape != expected and matrix.shape != expected[::-1]:
        raise refusal(
            InputError,
            "matrix_does_not_fit",
            path=matrix_file,
            option=option,
            n_rows=matrix.shape[0],
            n_columns=matrix.shape[1],
            n_features=expected[0],
            n_barcodes=expected[1],
        )
    cells_first = sparse.csr_matrix(matrix.T if matrix.shape == expected else matrix)
    return TenxMatrix(source, cells_first, features, pd.Index(barcodes.astype(str), name=None))


def _beside(matrix: Path, names: tuple[str, ...], option: str) -> Path:
    """Return the table that belongs to the matrix, with the same prefix."""
    prefix = matrix.name.partition("matrix.mtx")[0]
    for name in names:
        for ending in ("", ".gz"):
            if (found := matrix.with_name(f"{prefix}{name}{ending}")).exists():
                return found
    raise refusal(
        InputError,
        "tenx_file_missing",
        path=matrix.parent,
        option=option,
        file=matrix.name,
        lacking=[prefix + name for name in names],
    )


def _matrix(path: Path, option: str) -> Any:
    from scipy.io import mmread

    check_file(path, option=option)
    try:
        with gzip.open(path, "rb") if is_gzipped(path) else path.open("rb") as handle:
            return mmread(handle)
    except (ValueError, EOFError, OSError, OverflowError, TypeError, zlib.error) as error:
        raise damaged(path, option, error) from error


# ---------------------------------------------------------------- modalities
def both_parts(found: TenxMatrix, log: Log) -> tuple[RawModality, RawModality]:
    """Return the genes and the peaks of one matrix.

    Raises
    ------
    InputError
        One of the two feature types is missing.
    """
    found.report_types(log)
    present = {str(name): int(n) for name, n in found.types.value_counts().items()}
    missing = [name for name in TYPES if name not in present]
    if missing:
        shown = ", ".join(f"{n:,} {name}" for name, n in present.items()) or "none"
        raise refusal(InputError, "feature_type_missing", source=found.source, lacking=missing, shown=shown)
    others = {name: n for name, n in present.items() if name not in TYPES}
    if others:
        log.add("other_features_in_file", source=found.source, others=[f"{n:,} {name}" for name, n in others.items()])
        log.drop("features_of_other_types", sum(others.values()))
    rna, atac = (one_part(found, name, f"{found.source}[{name}]") for name in TYPES)
    if "sample" in rna.obs:
        log.add("samples_in_barcodes", source=found.source, n_samples=rna.obs["sample"].nunique())
    return rna, atac


def one_part(found: TenxMatrix, wanted: FeatureType, source: str, log: Log | None = None) -> RawModality:
    """Return the features of one type; barcodes of several samples (-1, -2, ...) give the annotation ``sample``.

    A matrix without a feature of that type is returned whole, so that the checks that follow can say what it holds.
    """
    types = found.types
    if log is not None:
        found.report_types(log)
    mask = (types == wanted).to_numpy()
    columns = np.flatnonzero(mask if mask.any() else np.ones(len(types), dtype=bool))
    index_column = "name" if wanted == "Gene Expression" and "name" in found.features else "id"
    drop = ["feature_type"] if mask.any() else []
    var = found.features.iloc[columns].drop(columns=drop, errors="ignore")
    index = var[index_column].astype(str)
    var = var.set_axis(pd.Index(index.to_numpy(), name=None)).drop(columns=[index_column])
    block = found.matrix[:, columns]
    obs = pd.DataFrame(index=found.barcodes.astype(str))
    samples = pd.Series(obs.index).str.extract(r"-(\d+)$", expand=False)
    if samples.notna().all() and samples.nunique() > 1:
        obs["sample"] = pd.Categorical(samples.to_numpy())
    return RawModality(source, obs, var, {"X": lambda: (block, var)})


def _text(values: Any) -> Any:
    array = np.asarray(values)
    if array.dtype.kind == "S" or (array.dtype == object and len(array) and isinstance(array[0], bytes)):
        return np.array([item.decode("utf-8", "replace") for item in array], dtype=object)
    return array
