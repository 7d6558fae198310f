"""Values of many features over the cells in few bytes: the blocks of the report and the file ``values.mnv``.

A file is the eight bytes ``MIRANBV1``, the length of the header (unsigned 32 bit), the header as JSON in UTF-8, and the
chunks one after the other. All numbers are little-endian. The header::

    {"version": 1, "n_cells": N, "cells": "SHA-256 of the cells' names, one a line",
     "sets": [{"name", "kind", "features": [...], "chunks": [[features, bytes], ...], ...}]}

The chunks of the first set come first. A chunk is one gzip member with the values of the next ``features`` of its set:

``kind: counts``
    ``u32`` number of stored values of each feature; ``u32`` number of bytes of each feature's gaps; ``u32`` number of
    large values; then the gaps of all features, the values of all, the large values (``u32``). A gap byte of 0 to 254
    passes over that many cells, and the next cell has a value; 255 passes over 255 cells, and the gap goes on. A value
    byte of 1 to 254 is the count; 255 stands for the next large value. All other cells have 0.
``kind: levels``
    One unsigned byte q per feature and cell, value = offset + scale * q with the set's ``offset`` and ``scale`` of the
    feature; 255 is missing.

In the report, the header is a JSON block and every chunk a block of base64; ``report/assets/values.js`` is the twin of
this module.
"""

from __future__ import annotations

import gzip
import itertools
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.errors import MiraError

MAGIC: Final = b"MIRANBV1"
CHUNK: Final = 48
"""Features per chunk: one is unpacked in a few milliseconds when a feature is looked up."""

_LARGE: Final = 255
_MISSING: Final = 255
Kind = Literal["counts", "levels"]


@dataclass(frozen=True)
class ValueSet:
    """Features of one kind, packed in chunks.

    Attributes
    ----------
    name, kind
        What the features are (``genes``, ``motifs``), and how they are packed.
    features
        Their names, in the order of the chunks.
    chunks
        Packed values of :data:`CHUNK` features each, the last of what is left.
    offset, scale
        Value of q = 0 and step of q, per feature; empty for counts.
    """

    name: str
    kind: Kind
    features: tuple[str, ...]
    chunks: tuple[bytes, ...]
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def first(self, n_bytes: int) -> ValueSet:
        """Return the first features, whole chunks, whose packed values take at most so many bytes."""
        total, n = 0, 0
        while n < len(self.chunks) and total + len(self.chunks[n]) <= n_bytes:
            total += len(self.chunks[n])
            n += 1
        some = slice(n * CHUNK)
        return ValueSet(self.name, self.kind, self.features[some], self.chunks[:n], self.offset[some], self.scale[some])

    def header(self) -> dict[str, Any]:
        """Return the set's entry of the header."""
        sizes = [[min(CHUNK, len(self.features) - CHUNK * i), len(chunk)] for i, chunk in enumerate(self.chunks)]
        levels = {"offset": list(self.offset), "scale": list(self.scale)} if self.kind == "levels" else {}
        return {"name": self.name, "kind": self.kind, "features": list(self.features), "chunks": sizes, **levels}


def pack_counts(name: str, counts: sparse.csc_matrix, features: Sequence[str]) -> ValueSet:
    """Pack counts, (cells, features), exactly.

    Raises
    ------
    MiraError
        When a value is no count below 2^32.
    """
    matrix = sparse.csc_matrix(counts)
    matrix.sort_indices()
    matrix.eliminate_zeros()
    values = np.rint(matrix.data)
    if values.size and (np.abs(values - matrix.data).max() > 1e-3 or values.min() < 0 or values.max() >= 2**32):
        raise MiraError("values to pack are no counts", expected="whole numbers from 0 to 4,294,967,295")
    chunks = []
    for start in range(0, matrix.shape[1], CHUNK):
        part = slice(start, min(start + CHUNK, matrix.shape[1]))
        bounds = matrix.indptr[part.start : part.stop + 1]
        gaps = [_gaps(matrix.indices[low:high]) for low, high in itertools.pairwise(bounds)]
        stored = values[bounds[0] : bounds[-1]]
        large = stored[stored >= _LARGE].astype("<u4")
        raw = b"".join(
            [
                np.diff(bounds).astype("<u4").tobytes(),
                np.array([len(gap) for gap in gaps], dtype="<u4").tobytes(),
                struct.pack("<I", len(large)),
                b"".join(gap.tobytes() for gap in gaps),
                np.minimum(stored, _LARGE).astype(np.uint8).tobytes(),
                large.tobytes(),
            ]
        )
        chunks.append(_compressed(raw))
    return ValueSet(name, "counts", tuple(features), tuple(chunks))


def pack_levels(name: str, values: NDArray, features: Sequence[str]) -> ValueSet:
    """Pack real values, (cells, features), in 254 equal steps of each feature's range; NaN is missing."""
    matrix = np.asarray(values, dtype=np.float64)
    finite = np.where(np.isfinite(matrix), matrix, np.nan)
    known = np.isfinite(finite).any(axis=0)
    low, high = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1])
    low[known], high[known] = np.nanmin(finite[:, known], axis=0), np.nanmax(finite[:, known], axis=0)
    scale = np.where(high > low, (high - low) / (_MISSING - 1), 1.0)
    quanta = np.where(np.isfinite(finite), np.rint((finite - low) / scale), _MISSING).astype(np.uint8)
    chunks = [
        _compressed(np.ascontiguousarray(quanta[:, start : start + CHUNK].T).tobytes())
        for start in range(0, matrix.shape[1], CHUNK)
    ]
    return ValueSet(name, "levels", tuple(features), tuple(chunks), tuple(low.tolist()), tuple(scale.tolist()))


def header(sets: Sequence[ValueSet], *, n_cells: int, cells: str) -> dict[str, Any]:
    """Return the header of a file, and of the report's blocks."""
    return {"version": 1, "n_cells": n_cells, "cells": cells, "sets": [item.header() for item in sets]}


def to_file(sets: Sequence[ValueSet], *, n_cells: int, cells: str) -> bytes:
    """Return the content of a file of values."""
    head = json.dumps(header(sets, n_cells=n_cells, cells=cells), ensure_ascii=False).encode("utf-8")
    return b"".join([MAGIC, struct.pack("<I", len(head)), head, *(chunk for item in sets for chunk in item.chunks)])


def read_file(content: bytes) -> dict[str, tuple[tuple[str, ...], NDArray]]:
    """Read a file of values back: set name to features and values, (cells, features).

    Raises
    ------
    MiraError
        When it is not such a file.
    """
    if content[:8] != MAGIC:
        raise MiraError("not a file of packed values", expected=f"the first bytes {MAGIC.decode()}")
    (length,) = struct.unpack_from("<I", content, 8)
    head = json.loads(content[12 : 12 + length])
    position, out = 12 + length, {}
    for item in head["sets"]:
        columns: list[NDArray] = []
        for n_features, n_bytes in item["chunks"]:
            raw = gzip.decompress(content[position : position + n_bytes])
            position += n_bytes
            unpack = _unpack_counts if item["kind"] == "counts" else _unpack_levels
            columns += unpack(raw, n_features, head["n_cells"])
        matrix = np.column_stack(columns) if columns else np.empty((head["n_cells"], 0))
        if item["kind"] == "levels":
            levels = np.array(item["offset"]) + np.array(item["scale"]) * matrix
            matrix = np.where(matrix == _MISSING, np.nan, levels)
        out[item["name"]] = (tuple(item["features"]), matrix)
    return out


def _compressed(raw: bytes) -> bytes:
    """Return one gzip member, the smaller of two: bytes that follow no pattern shrink most without a search for any."""
    out = []
    for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_FILTERED):
        packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, strategy)
        out.append(packer.compress(raw) + packer.flush())
    return min(out, key=len)


def _gaps(rows: NDArray) -> NDArray[np.uint8]:
    """Return the gap bytes of the cells, ascending, that have a value."""
    gap = np.diff(rows.astype(np.int64), prepend=-1) - 1
    n_full = gap // 255
    out = np.full(len(gap) + int(n_full.sum()), 255, dtype=np.uint8)
    out[np.cumsum(n_full + 1) - 1] = gap - 255 * n_full
    return out


def _unpack_counts(raw: bytes, n_features: int, n_cells: int) -> Iterator[NDArray]:
    n_values = np.frombuffer(raw, "<u4", n_features)
    n_gaps = np.frombuffer(raw, "<u4", n_features, 4 * n_features)
    (n_large,) = struct.unpack_from("<I", raw, 8 * n_features)
    at_gaps = 8 * n_features + 4
    at_values = at_gaps + int(n_gaps.sum())
    large = np.frombuffer(raw, "<u4", n_large, at_values + int(n_values.sum()))
    used = 0
    for stored, steps in zip(n_values, n_gaps, strict=True):
        gaps = np.frombuffer(raw, np.uint8, steps, at_gaps).astype(np.int64)
        values = np.frombuffer(raw, np.uint8, stored, at_values).astype(np.float64)
        at_gaps, at_values = at_gaps + int(steps), at_values + int(stored)
        ends = gaps < 255
        rows = np.cumsum(gaps + ends)[ends] - 1
        is_large = values == _LARGE
        values[is_large] = large[used : used + int(is_large.sum())]
        used += int(is_large.sum())
        out = np.zeros(n_cells)
        out[rows] = values
        yield out


def _unpack_levels(raw: bytes, n_features: int, n_cells: int) -> Iterator[NDArray]:
    yield from np.frombuffer(raw, np.uint8).reshape(n_features, n_cells).astype(np.float64)
