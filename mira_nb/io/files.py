"""Opening of the user's files, plain or gzipped, with one clear error for a missing, damaged or wrong file."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mira_nb.errors import InputError, ResourceError

from .messages import refusal

_GZIP = b"\x1f\x8b"


def check_file(path: Path, *, option: str, error: type[InputError] = InputError) -> None:
    """Refuse a missing file, a folder, an empty or an unreadable file.

    Parameters
    ----------
    option
        The command line option it came with, for the message.
    error
        Class of the error.
    """
    if not path.exists():
        others = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, others, n=3)
        raise refusal(error, "path_missing", path=path, option=option, close=close)
    if path.is_dir():
        kind = "zarr" if is_zarr(path) else "matrix" if mtx_file(path) else "folder"
        inside = _matrices_inside(path) if kind == "folder" else []
        raise refusal(error, "path_is_folder", path=path, option=option, kind=kind, inside=inside)
    try:
        with path.open("rb") as handle:
            head = handle.read(1)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise refusal(error, "path_unreadable", path=path, option=option, problem=reason) from problem
    if not head:
        raise refusal(error, "path_empty", path=path, option=option)


def check_source(path: Path, *, option: str) -> None:
    """Refuse what cannot hold counts: like :func:`check_file`, but allow Zarr stores and folders of a matrix."""
    if not (path.is_dir() and (is_zarr(path) or mtx_file(path))):
        check_file(path, option=option)


def is_zarr(path: Path) -> bool:
    """Return whether a path is a Zarr store: a folder, or a zip file of one (``.zarr.zip``)."""
    if path.is_file():
        return path.name.lower().endswith(".zarr.zip")
    return any((path / name).exists() for name in (".zgroup", "zarr.json"))


def mtx_file(path: Path) -> Path | None:
    """Return the Matrix Market file that a path names, or the only one in the folder that it names."""
    if path.is_file():
        return path if path.name.removesuffix(".gz").endswith("matrix.mtx") else None
    found = [item for ending in ("", ".gz") for item in sorted(path.glob(f"*matrix.mtx{ending}"))]
    found = [item for item in found if item.name.startswith("matrix.mtx")] or found
    names = {item.name.removesuffix(".gz") for item in found}
    return found[0] if len(names) == 1 else None


def _matrices_inside(path: Path) -> list[str]:
    """Return what a folder holds that can be given, e.g. in Cell Ranger's ``outs``; filtered matrices first."""
    found = [item.name for item in path.glob("*.h5*") if "molecule" not in item.name]
    found += [item.name for item in path.iterdir() if item.is_dir() and (mtx_file(item) or is_zarr(item))]
    found += [item.name for item in path.glob("*matrix.mtx*")]
    return sorted(found, key=lambda name: (not name.startswith("filtered"), name))[:3]


def is_gzipped(path: Path) -> bool:
    """Return whether the content of a file is gzipped (bgzip included)."""
    with path.open("rb") as handle:
        return handle.read(2) == _GZIP


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the file itself, or a temporary unpacked copy of a gzipped one (HDF5 needs random access)."""
    if not is_gzipped(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mira_nb_") as folder:
        target = Path(folder) / path.name.removesuffix(".gz")
        try:
            with gzip.open(path, "rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        except (EOFError, OSError, zlib.error) as error:
            raise _damaged_gzip(path, error, InputError) from error
        yield target


def _damaged_gzip(path: Path, error: BaseException, kind: type[InputError]) -> InputError:
    return refusal(kind, "gzip_damaged", path=path, problem=error)


def read_lines(path: Path, *, option: str) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzipped, without line ends (of Unix, Windows or old Mac OS).

    UTF-8 with or without a byte order mark, UTF-16 with one (text saved by Excel); other bytes are read as Latin-1.

    Raises
    ------
    ResourceError
        For a missing file, a damaged gzip file, or a file that is not text.
    """
    path = Path(path)
    check_file(path, option=option, error=ResourceError)
    packed = is_gzipped(path)
    opener = gzip.open if packed else open
    try:
        with opener(path, "rb") as handle:
            if handle.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
                handle.seek(0)
                yield from (line.rstrip("\r\n") for line in codecs.getreader("utf-16")(handle))
                return
            handle.seek(0)
            for number, raw in enumerate(handle):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 0 else raw
                if b"\x00" in line:
                    raise refusal(ResourceError, "binary_file", path=path, option=option, line=number + 1)
                yield from _text(line.rstrip(b"\r\n")).split("\r")
    except UnicodeError as error:
        raise refusal(ResourceError, "not_utf8", path=path, option=option, problem=error) from error
    except (EOFError, OSError, zlib.error) as error:
        if packed:
            raise _damaged_gzip(path, error, ResourceError) from error
        raise refusal(ResourceError, "file_unreadable", path=path, option=option, problem=error) from error


def find_separator(header: str) -> str | None:
    """Return what separates the columns of a table by its header, quoted text aside; None for blanks."""
    bare = re.sub(r'"[^"]*"', "", header)
    return next((mark for mark in "\t;," if mark in bare), None)


def split_row(line: str, separator: str | None) -> list[str]:
    """Return the values of a row without quotes and blanks around them; separators inside quotes do not count."""
    values = None
    if '"' in line:
        escape = "\\" if '\\"' in line else None  # as R's write.table has it
        reader = csv.reader([line], delimiter=separator or " ", skipinitialspace=True, escapechar=escape)
        try:
            values = next(reader) if line.count('"') % 2 == 0 else None  # an inch is no quote
        except csv.Error:
            values = None
    if values is None:
        values = line.split(separator)
    return [value.strip().strip('"') for value in values if separator or value]


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
