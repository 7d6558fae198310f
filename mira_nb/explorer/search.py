"""One search over everything that cells can be coloured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mira_nb.keys import LEIDEN, REGULATION

from .cells import KINDS, LABELLED, CellData, Feature, Kind

MOST: Final = 12
"""Matches that are listed."""
_FEW: Final = {"peak": 4, "nite": 3}
"""Matches of kinds that would crowd the others out."""


class Search:
    """What a run has, by name.

    Parameters
    ----------
    data
        The run.
    """

    def __init__(self, data: CellData) -> None:
        self.data = data
        self._fixed: dict[Kind, list[tuple[str, str]]] = {
            "gene": [(name, name) for name in data.genes],
            "motif": [
                (name, f"motif of {factor}" if factor == name else f"motif of {factor} ({name})")
                for name, factor in data.factors.items()
                if name in data.motifs
            ],
            "peak": [],
        }
        self._fixed["nite"] = [(name, f"NITE of {name}") for name in data.genes] if REGULATION in data.done else []
        self._peaks = np.char.lower(data.peaks.to_numpy(dtype=str)) if len(data.peaks) else np.array([], dtype=str)
        self._lower = {kind: [label.lower() for _, label in names] for kind, names in self._fixed.items()}

    def named(self) -> Mapping[Kind, Sequence[tuple[str, str]]]:
        """Return what changes while the page is open: columns, topics with their names, selections."""
        kept = self.data.kept
        called = kept.topics()
        columns = [(name, name) for name in self.data.annotations.columns]
        if kept.labels() and LEIDEN in self.data.annotations:
            columns.insert(0, (LABELLED, LABELLED))
        topics = [(name, f"{name}: {called[name]}" if name in called else f"topic {name}") for name in self.data.topics]
        return {"column": columns, "topic": topics, "selection": [(name, name) for name in kept.selections()]}

    def find(self, text: str, *, most: int = MOST) -> list[Feature]:
        """Return matches: equal names first, then names that start so, then names that hold the text.

        Without a text: what is not counted in thousands.
        """
        wanted = " ".join(text.lower().split())
        named = self.named()
        ranked: list[tuple[int, int, Feature]] = []
        for place, kind in enumerate(KINDS):
            if kind == "peak":
                found = self._peak(wanted)
            else:
                items = named[kind] if kind in named else self._fixed[kind]
                lower = self._lower.get(kind) or [label.lower() for _, label in items]
                if not wanted and kind not in named:
                    continue
                found = [
                    (rank, Feature(kind, name, label))
                    for (name, label), low in zip(items, lower, strict=True)
                    if (rank := _rank(wanted, low, name.lower())) is not None
                ]
            found = sorted(found, key=lambda item: item[0])[: _FEW.get(kind, most)]
            ranked += [(rank, place, feature) for rank, feature in found]
        ranked.sort(key=lambda item: item[:2])
        return [feature for _, _, feature in ranked][:most]

    def feature(self, key: str) -> Feature | None:
        """Return the feature that a key of :attr:`.Feature.key` stands for."""
        kind, _, name = key.partition(":")
        if kind not in KINDS:
            return None
        items = {**self._fixed, **self.named()}[kind]
        label = next((label for known, label in items if known == name), name)
        return Feature(kind, name, label)

    def _peak(self, wanted: str) -> list[tuple[int, Feature]]:
        if not wanted:
            return []
        hits = np.flatnonzero(np.char.find(self._peaks, wanted) >= 0)[:50]
        names = [str(self.data.peaks[i]) for i in hits]
        return [
            (rank, Feature("peak", name)) for name in names if (rank := _rank(wanted, name.lower(), name)) is not None
        ]


def _rank(wanted: str, label: str, name: str) -> int | None:
    if wanted in (label, name):
        return 0
    if label.startswith(wanted) or name.startswith(wanted):
        return 1
    return 2 if wanted in label else None
