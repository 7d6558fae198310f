"""Names of a run that parameters can take: genes, cells, groups, topics, factors, columns; searched and checked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from mira_nb.errors import MiraError
from mira_nb.keys import ATAC_TOPIC_PREFIX, CELL_LABEL, Source
from mira_nb.run.store import RunStore

from .cells import CellData
from .kept import Kept

MOST: Final = 12
"""Matches that are listed."""
NEAREST: Final = 3
"""Names that are proposed for a wrong one."""
MOST_COMPARED: Final = 3000
"""Names that a wrong one is compared with, letter by letter."""
ANY_CASE: Final = frozenset({"genes", "factors"})
"""Names that stages read regardless of case."""


class RunNames:
    """What one run has, by name; read when it is asked for, and again when the run has changed.

    Parameters
    ----------
    root
        The run folder.
    """

    def __init__(self, root: Path) -> None:
        self.store = RunStore(root)
        self._seen: Any = None
        self._known: dict[Source, tuple[str, ...]] = {}
        self._folded: dict[Source, dict[str, str]] = {}

    def known(self, source: Source) -> tuple[str, ...]:
        """Return all names of a kind; empty where there are none, or none yet."""
        seen = _time(self.store.record.path), _time(self.store.input_path)
        if seen != self._seen:
            self._seen, self._known, self._folded = seen, {}, {}
        if source not in self._known:
            readers: dict[Source, Callable[[], Sequence[str]]] = {
                "genes": lambda: _index(self.store.input_path, "mod/rna/var"),
                "cells": lambda: _index(self.store.input_path, "obs"),
                "groups": self._groups,
                "topics": self._topics,
                "accessibility topics": lambda: [x for x in self._topics() if x.startswith(ATAC_TOPIC_PREFIX)],
                "factors": lambda: list(dict.fromkeys(CellData(self.store.root).factors.values())),
                "obs": lambda: list(dict.fromkeys(name for name, _ in self._columns())),
                "numeric obs": lambda: list(dict.fromkeys(name for name, item in self._columns() if _is_numeric(item))),
                "obsm": self._tables,
            }
            try:
                self._known[source] = tuple(map(str, readers[source]()))
            except (MiraError, OSError, KeyError):
                self._known[source] = ()
        return self._known[source]

    def find(self, source: Source, text: str, *, most: int = MOST) -> list[tuple[str, str]]:
        """Return names that match, with what else is known of them: equal ones, then beginnings, then parts.

        A cell may have the name of a lineage before it, as NAME=CELL.
        """
        before, wanted = "", text.strip()
        if source == "cells" and wanted not in self._lower(source):
            before, sign, wanted = wanted.rpartition("=")
            before += sign
        wanted = wanted.casefold()
        said = Kept(self.store.root).topics() if "topics" in source else {}
        ranked: tuple[list[str], list[str], list[str]] = ([], [], [])
        for low, name in self._lower(source).items():
            if low == wanted:
                ranked[0].append(name)
            elif low.startswith(wanted):
                ranked[1].append(name)
            elif len(ranked[2]) < most and (wanted in low or wanted in said.get(name, "").casefold()):
                ranked[2].append(name)
            if len(ranked[1]) >= most and not wanted:
                break
        found = [name for names in ranked for name in names][:most]
        listed = [(before + name, said.get(name, "")) for name in found]
        if source == "cells" and not ranked[0] and wanted.isdecimal() and int(wanted) < len(self.known(source)):
            listed.insert(0, (before + wanted, self.known(source)[int(wanted)]))
        return listed[:most]

    def wrong(self, source: Source, names: Sequence[Any]) -> dict[str, list[str]]:
        """Return the names that the run does not have, each with the nearest ones; nothing where nothing is known."""
        known = self._lower(source)
        if not known:
            return {}
        exact = set() if source in ANY_CASE else set(self.known(source))
        out = {}
        for name in names:
            text = str(name)
            if source == "cells" and (_is_position(name, len(exact)) or text.rpartition("=")[2] in exact):
                continue
            if not text or text in exact or (source in ANY_CASE and text.casefold() in known):
                continue
            out[text] = self.nearest(source, text)
        return out

    def nearest(self, source: Source, text: str) -> list[str]:
        """Return the names most like a text."""
        known = self._lower(source)
        wanted = (text.rpartition("=")[2] if source == "cells" else text).casefold()
        if wanted in known:
            return [known[wanted]]
        near = list(known)
        if len(near) > MOST_COMPARED:
            near = [low for low in near if low[:2] == wanted[:2]]
            near.sort(key=lambda low: (not low.startswith(wanted[:4]), abs(len(low) - len(wanted))))
        return [known[low] for low in difflib.get_close_matches(wanted, near[:MOST_COMPARED], n=NEAREST)]

    # ------------------------------------------------------------------ read
    def _lower(self, source: Source) -> dict[str, str]:
        names = self.known(source)
        if source not in self._folded:
            self._folded[source] = {name.casefold(): name for name in reversed(names)}
            self._folded[source] = dict(reversed(self._folded[source].items()))
        return self._folded[source]

    def _topics(self) -> list[str]:
        return list(CellData(self.store.root).topics)

    def _groups(self) -> list[str]:
        given = self.store.read_record().get("resources", {})
        if given.get("labels"):
            frame = CellData(self.store.root).annotations
            return sorted(frame[CELL_LABEL].astype(str).unique()) if CELL_LABEL in frame else []
        from anndata.io import read_elem

        for name, item in self._columns():
            if name == given.get("groups"):
                with h5py.File(self.store.input_path, "r") as file:
                    values = read_elem(file[item.name])
                return sorted({str(value) for value in np.asarray(values) if value == value})  # NaN differs from itself
        return []

    def _columns(self) -> Iterator[tuple[str, Any]]:
        with h5py.File(self.store.input_path, "r") as file:
            for group in ("obs", "mod/rna/obs", "mod/atac/obs"):
                if group in file:
                    for name in file[group].attrs.get("column-order", ()):
                        if not str(name).startswith(("rna:", "atac:")):
                            yield str(name), file[group][name]

    def _tables(self) -> list[str]:
        with h5py.File(self.store.input_path, "r") as file:
            groups = [group for group in ("obsm", "mod/rna/obsm", "mod/atac/obsm") if group in file]
            # MuData keeps which cells a modality has beside the tables
            return list(dict.fromkeys(name for group in groups for name in file[group] if name not in {"rna", "atac"}))


def _index(path: Path, group: str) -> list[str]:
    from anndata.io import read_elem

    with h5py.File(path, "r") as file:
        frame = file[group]
        return [str(name) for name in read_elem(frame[frame.attrs["_index"]])]


def _is_numeric(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu"


def _is_position(value: Any, n: int) -> bool:
    return isinstance(value, int) and 0 <= value < n


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
