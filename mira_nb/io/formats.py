"""File formats of count matrices: .h5ad, .h5mu (plain or gzipped) and their Zarr stores, read as far as needed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd
from scipy import sparse

from mira_nb.errors import InputError

from .counts import csr_and_repeats
from .files import check_source, is_zarr, unpacked
from .frames import read_frame, with_labels
from .messages import refusal
from .stored import check_dense, check_repeats, check_sparse, check_table

if TYPE_CHECKING:
    from anndata import AnnData

Format = Literal["h5ad", "h5mu", "tenx", "unknown"]
_OPTION: Final = {"h5ad": "--rna or --atac", "h5mu": "--mudata", "tenx": "--tenx"}
_NAMES: Final = {
    "h5ad": "an AnnData file (.h5ad)",
    "h5mu": "a MuData file (.h5mu)",
    "tenx": "a 10x feature-barcode matrix (.h5)",
    "unknown": "an HDF5 file of another kind",
}

_HEAD_VALUES: Final = 1_000_000
Loader = Callable[[], tuple[sparse.csr_matrix, pd.DataFrame]]


@dataclass
class RawModality:
    """One modality as stored in its source; matrices are loaded on request.

    Attributes
    ----------
    source
        Name for messages, e.g. ``rna.h5ad`` or ``pair.h5mu[rna]``.
    obs, var
        Annotations as given.
    matrices
        Candidates for the counts in order of preference: name -> loader of (CSR matrix, var of its columns).
    unread
        What else the source holds and is not used.
    heads
        The first values of a matrix, read without the rest; not of every matrix.
    repeats
        How many values of a matrix stand for a feature that its cell already has, known once it is loaded.
    """

    source: str
    obs: pd.DataFrame
    var: pd.DataFrame
    matrices: dict[str, Loader]
    unread: tuple[str, ...] = ()
    heads: dict[str, Callable[[], Any]] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)


@contextmanager
def open_store(path: Path, *, option: str) -> Iterator[Any]:
    """Open an HDF5 file, plain or gzipped, or a Zarr store, both as a group that anndata can read.

    Any error inside the block becomes one clear :class:`InputError`.

    Parameters
    ----------
    path
        The user's file.
    option
        The command line option it came with, for the message.
    """
    path = Path(path)
    check_source(path, option=option)
    with ExitStack() as stack:
        file = _open_zarr(path, option) if is_zarr(path) else _open_hdf5(path, option, stack)
        try:
            yield file
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise _damaged(path, option, error) from error
        except Exception as error:
            if type(error).__module__.split(".")[0] in {"anndata", "zarr"}:  # AnnDataReadError, IORegistryError
                raise _damaged(path, option, error) from error
            raise


def _open_zarr(path: Path, option: str) -> Any:
    import zarr

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store = zarr.storage.ZipStore(path, mode="r") if path.is_file() else str(path)
            return zarr.open_group(store, mode="r")
    except Exception as error:  # a broken store raises whatever its codecs do
        raise _damaged(path, option, error) from error


def _open_hdf5(path: Path, option: str, stack: ExitStack) -> Any:
    import h5py

    readable = stack.enter_context(unpacked(path))
    if not h5py.is_hdf5(readable):  # also true behind the text block that MuData writes first
        with readable.open("rb") as handle:
            head = handle.read(8)
        raise refusal(
            InputError,
            "not_hdf5",
            path=path,
            option=option,
            content=_describe_head(path, head),
            looks_like=_looks_like(path),
        )
    try:
        return stack.enter_context(h5py.File(readable, "r"))
    except OSError as error:
        raise _damaged(path, option, error) from error


def detect_format(file: Any) -> Format:
    """Return the format of an open file or store, recognised by its content."""
    if "mod" in file and "obs" in file:
        return "h5mu"
    if "obs" in file and "var" in file:
        return "h5ad"
    if "matrix" in file and hasattr(file["matrix"], "keys") and "barcodes" in file["matrix"]:
        return "tenx"
    groups = [file[name] for name in file if hasattr(file[name], "keys")]
    if len(groups) == 1 and {"barcodes", "genes", "gene_names", "indptr"} <= set(groups[0]):
        return "tenx"  # Cell Ranger 2: one group, named after the genome
    return "unknown"


def expect_format(file: Any, wanted: Format, *, path: Path, option: str) -> None:
    """Refuse a format other than the option's, naming the right option."""
    found = detect_format(file)
    if found == wanted:
        return
    marks = {"col_attrs": "loom", "assays": "seurat", "barcode_idx": "molecules"}
    raise refusal(
        InputError,
        "other_format",
        path=path,
        option=option,
        given=_NAMES[found],
        content=", ".join(sorted(file)[:8]) or "nothing",
        wanted=_NAMES[wanted],
        found=found,
        right=_OPTION.get(found, ""),
        looks_like=next((name for mark, name in marks.items() if mark in file), ""),
    )


def read_h5ad_group(group: Any, *, source: str) -> RawModality:
    """Describe one AnnData inside an open file: ``X``, then layers named like counts, then ``raw``."""
    unread: list[str] = []
    obs, var = (_table(group[name], name, source, unread) for name in ("obs", "var"))
    obs = with_labels(obs, group["obs"], group.get("uns"))
    raw = RawModality(source, obs, var, {})
    if "X" in group and _shape(group["X"]) is not None:
        raw.matrices["X"] = _loader(group["X"], "X", var, raw)
    layers = group.get("layers", {})
    for name in _ordered(layers):
        key = f"layers[{name!r}]"
        raw.matrices[key] = _loader(layers[name], key, var, raw)
        raw.heads[key] = _head(layers[name])
    second = group.get("raw")
    if second is not None and hasattr(second, "keys") and "X" in second and "var" in second:
        raw.matrices["raw.X"] = _loader(second["X"], "raw.X", _table(second["var"], "raw.var", source, unread), raw)
    for element in ("obsm", "varm", "obsp", "varp", "uns"):
        if element in group:
            unread += [f"{element}[{name!r}]" for name in group[element]]
    return replace(raw, unread=tuple(unread))


def _table(node: Any, where: str, source: str, unread: list[str]) -> pd.DataFrame:
    if hasattr(node, "keys"):
        check_table(node, source=source)
    return read_frame(node, where, unread)


def read_obs(file: Any) -> pd.DataFrame:
    """Read the cell table at the top of a .h5mu file."""
    if hasattr(file["obs"], "keys"):
        check_table(file["obs"], source="the joint obs")
    return read_frame(file["obs"])


def read_var(group: Any) -> pd.DataFrame:
    """Read the feature table of one AnnData inside an open file."""
    return read_frame(group["var"])


def modality_from_anndata(adata: AnnData, *, source: str) -> RawModality:
    """Describe an AnnData in memory or backed by a file in the same way; the object is not changed."""
    if adata.isbacked:
        adata = adata.to_memory()
    raw = RawModality(source, adata.obs.copy(), adata.var.copy(), {})

    def loader(key: str, matrix: Any, var: pd.DataFrame) -> Loader:
        def load() -> tuple[sparse.csr_matrix, pd.DataFrame]:
            csr, columns = csr_and_repeats(matrix)
            raw.repeats[key] = len(columns)
            return csr, var

        return load

    if adata.X is not None:
        raw.matrices["X"] = loader("X", adata.X, adata.var)
    for name in _ordered(adata.layers):
        key = f"layers[{name!r}]"
        raw.matrices[key] = loader(key, adata.layers[name], adata.var)
        raw.heads[key] = _head(adata.layers[name])
    if adata.raw is not None:
        raw.matrices["raw.X"] = loader("raw.X", adata.raw.X, adata.raw.var)
    unread: list[str] = []
    for element in ("obsm", "varm", "obsp", "varp", "uns"):
        unread += [f"{element}[{name!r}]" for name in getattr(adata, element)]
    return replace(raw, unread=tuple(unread))


def _loader(node: Any, key: str, var: pd.DataFrame, raw: RawModality) -> Loader:
    def load() -> tuple[sparse.csr_matrix, pd.DataFrame]:
        from anndata.io import read_elem

        stored = hasattr(node, "keys")  # as a sparse matrix; a dense data set is read in blocks
        if stored:
            check_sparse(node, source=raw.source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matrix = read_elem(node) if stored else node
        csr, columns = csr_and_repeats(matrix, copy=False)
        if stored:
            check_repeats(node, columns, source=raw.source)
        else:
            check_dense(node, csr, source=raw.source)
        raw.repeats[key] = len(columns)
        n_cells, n_features = len(raw.obs), len(var)
        if csr.shape != (n_cells, n_features):
            raise ValueError(
                f"{raw.source}: {node.name} is {csr.shape}, but obs has {n_cells} and var {n_features} rows"
            )
        return csr, var

    return load


def _head(node: Any) -> Callable[[], Any]:
    """Return a function that reads the first values of a matrix in a file or in memory."""

    def head() -> Any:
        if sparse.issparse(node):
            return node.data[:_HEAD_VALUES]
        if hasattr(node, "keys"):
            return node["data"][:_HEAD_VALUES]
        return node[: max(1, _HEAD_VALUES // max(1, node.shape[1]))]

    return head


def _shape(node: Any) -> tuple[int, ...] | None:
    if not hasattr(node, "keys"):
        return getattr(node, "shape", None)
    shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    return None if shape is None else tuple(int(value) for value in shape)


_COUNT_LAYERS: Final = (
    "counts", "rawcounts", "count", "rawcount", "raw", "umi", "umis", "umicounts", "countsraw", "countdata",
)  # fmt: skip


def is_count_layer(name: str) -> bool:
    """Return whether a layer is named for counts, ignoring case and separators."""
    return _plain(name) in _COUNT_LAYERS


def _plain(name: str) -> str:
    return "".join(letter for letter in str(name).lower() if letter.isalnum())


def _ordered(layers: Mapping[str, Any]) -> list[str]:
    """Return the names of all layers, those named for counts first."""
    names = [str(name) for name in layers]
    rank = {name: number for number, name in enumerate(_COUNT_LAYERS)}
    return sorted(names, key=lambda name: rank.get(_plain(name), len(rank)))


def _describe_head(path: Path, head: bytes) -> str:
    if head.startswith(b"PK"):
        return "it is a zip archive"
    if head.startswith((b"RDX", b"BZh", b"\xfd7zXZ")):
        return "it is compressed or an R data file"
    if head.startswith(b"%%Matrix"):
        return "it is a Matrix Market file"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return f"it is a text file that begins with {head.decode('ascii')!r}"
    return "its first bytes are unknown (damaged, or another format)"


def _looks_like(path: Path) -> str:
    """Guess from its name what a file that is not HDF5 holds."""
    name = path.name.lower()
    endings = {
        "reads": (".bed", ".bed.gz", ".bam"),
        "r": (".rds", ".rda", ".rdata"),
        "table": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
        "loom": (".loom",),
    }
    if "fragments" in name:
        return "reads"
    if ".mtx" in name:
        return "matrix_market"
    return next((kind for kind, known in endings.items() if name.endswith(known)), "")


def _damaged(path: Path, option: str, error: BaseException) -> InputError:
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    word = "truncated" if "truncated" in str(error).lower() else "damaged, truncated or incomplete"
    size = f", {path.stat().st_size:,} bytes" if path.is_file() else ""
    return refusal(InputError, "file_damaged", path=path, option=option, size=size, problem=word, detail=detail[:300])
