"""Files that are whole or not there: room is made sure of first, what was written is checked, then all are moved."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable
from errno import EIO, EISDIR, EOPNOTSUPP
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from anndata import AnnData

_CHUNK: Final = 1 << 20


def reserve(folder: Path, n_bytes: int) -> None:
    """Make sure that the disk takes so many bytes, by taking and giving them back; quotas count too.

    Raises
    ------
    OSError
        When it does not: libraries that end the process on a full disk are called after this.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, max(n_bytes, 1))
                return
            except OSError as error:
                if error.errno != EOPNOTSUPP:
                    raise
        for start in range(0, n_bytes, _CHUNK):
            file.write(bytes(min(_CHUNK, n_bytes - start)))
        file.flush()


def write_h5ad(data: AnnData, path: Path, **settings: Any) -> None:
    """Write an .h5ad by way of memory: HDF5 ends the process when it closes a file that a full disk did not take.

    Parameters
    ----------
    data
        The data; texts become categories, as :meth:`anndata.AnnData.write_h5ad` makes them.
    path
        The file.
    settings
        Of every data set, e.g. ``compression``.
    """
    import h5py
    from anndata.io import write_elem

    data.strings_to_categoricals()
    if data.raw is not None:
        data.strings_to_categoricals(data.raw.var)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        write_elem(file, "/", data, dataset_kwargs=settings)
    with path.open("wb") as stream:
        stream.write(memory.getbuffer())


def move(files: Iterable[Path], out: Path) -> list[Path]:
    """Move files into a folder of the same disk once every one of them is on the disk.

    Raises
    ------
    OSError
        When one is not, or a folder has the place of one; no file was moved then.
    """
    files = sorted(files)
    for item in files:
        target = out / item.name
        if target.is_dir():
            raise OSError(EISDIR, f"{target.name} is a folder", str(target))
        with item.open("rb+") as stream:
            os.fsync(stream.fileno())
    return [item.replace(out / item.name) for item in files]


def not_whole(path: Path) -> OSError:
    """Return the error of a file that does not hold what was written to it, to be raised."""
    return OSError(EIO, f"{path.name} could not be written whole", str(path))
