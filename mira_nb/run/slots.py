"""The values of a stage in one HDF5 file, each with the hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pandas as pd

from mira_nb.stages.result import Slot, made

_HASHED: Final = 2**24
"""Bytes that are hashed together."""
PLACE: Final = "mira_nb_slot"
"""Attribute with the place of a value in the MuData."""


def write_slots(path: Path, slots: Mapping[Slot, Any]) -> list[dict[str, Any]]:
    """Write the values of a Result into one HDF5 file (anndata's element format).

    Returns
    -------
    list of dict
        Place and SHA-256 of the content of every value.
    """
    from anndata.io import write_elem

    facts = []
    with h5py.File(path, "w") as file:
        for number, (slot, value) in enumerate(slots.items()):
            name = f"slot{number:04d}"
            write_elem(file, name, _storable(made(value)))
            place = [slot.modality, slot.element, slot.key]
            facts.append({"slot": place, "sha256": content_hash(file[name])})
            file[name].attrs[PLACE] = json.dumps(place)
    return facts


def read_slots(path: Path, wanted: Callable[[Slot], bool] = lambda _: True) -> dict[Slot, Any]:
    """Read what :func:`write_slots` wrote, in the order in which it was written; only the values that are wanted."""
    from anndata.io import read_elem

    out: dict[Slot, Any] = {}
    with h5py.File(path, "r") as file:
        for name in sorted(file):
            modality, element, key = json.loads(str(file[name].attrs[PLACE]))
            slot = Slot(modality, element, key)
            if wanted(slot):
                out[slot] = read_elem(file[name])
    return out


def stored_slots(stored: Mapping[str, Any]) -> dict[Slot, str]:
    """Return the values of a stage by its stage.json, each with the SHA-256 of its content."""
    return {Slot(*item["slot"]): item["sha256"] for item in stored.get("slots", ())}


def content_hash(item: h5py.Group | h5py.Dataset) -> str:
    """Return the SHA-256 of a stored value: names, attributes, types, shapes and values, not how the file lays them."""
    total = hashlib.sha256()

    def add(name: str, part: h5py.Group | h5py.Dataset) -> None:
        attributes = {key: str(np.asarray(value).tolist()) for key, value in part.attrs.items()}
        total.update(json.dumps([name, sorted(attributes.items())]).encode())
        if isinstance(part, h5py.Dataset):
            total.update(f"{part.dtype.str}{part.shape}".encode())
            if part.dtype == object or not part.shape:
                values = part[()]
                plain = isinstance(values, np.ndarray) and values.dtype != object
                total.update(
                    np.ascontiguousarray(values).tobytes() if plain else repr(np.asarray(values).tolist()).encode()
                )
            else:
                for start in range(0, part.shape[0], _rows(part)):
                    total.update(np.ascontiguousarray(part[start : start + _rows(part)]).tobytes())
        else:
            for key in sorted(part):
                add(f"{name}/{key}", part[key])

    add("", item)
    return total.hexdigest()


def _rows(part: h5py.Dataset) -> int:
    """Return how many rows of a dataset are hashed together."""
    return max(1, _HASHED // max(int(np.prod(part.shape[1:])) * part.dtype.itemsize, 1))


def _storable(value: Any) -> Any:
    """Convert series to plain arrays or categoricals, which is what anndata's element format knows."""
    if isinstance(value, pd.Series):
        value = value.array if isinstance(value.dtype, pd.CategoricalDtype) else value.to_numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        value = value.astype(str)
    return value
