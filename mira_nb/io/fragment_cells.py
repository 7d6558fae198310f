"""Which cell every barcode of a fragment file is, and of which samples the file is.

What stands around a barcode (``BC-2``, ``s1#BC-1``) marks its sample, and files of one sample all mark their barcodes
alike. Droplets without a cell share barcodes with the cells of other samples, so that barcodes alone do not tell whose
fragments these are: how many there are per cell does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from .cells import name_keys
from .samples import split_names

_FEW: Final = 0.5
_NEARLY_ALL: Final = 0.9
_MOST_SAMPLES: Final = 1000
_DEEPER: Final = 5.0
"""How many times more fragments per cell the cells of a file have than droplets without a cell: at the least."""


@dataclass
class FragmentCells:
    """Numbers of the cells by the barcodes of a fragment file.

    Attributes
    ----------
    rule
        How barcodes and names of cells were compared: ``names``, ``suffix``, ``prefix`` or ``prefix and suffix``.
    absent
        Marks of samples of the data of which the file holds no cells -> their number of cells.
    unclear
        Marks of samples that the file's marks do not tell apart.
    """

    rule: str
    keys: _Names | _Samples
    absent: dict[str, int] = field(default_factory=dict)
    unclear: tuple[str, ...] = ()
    _known: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_file(cls, cells: Sequence[str], barcodes: pd.Series) -> FragmentCells:
        """Compare the cells with the barcodes of the first fragments, one per fragment."""
        names, counted = pd.Index(cells).astype(str), barcodes.astype(str).value_counts(sort=False)
        samples = _Samples.of_both(names, counted)
        if samples is None:
            keys = _Names.by_best_rule(names, counted.index)
            return cls(keys.rule, keys)
        return cls(samples.rule, samples, samples.absent(), samples.unclear())

    def find(self, barcodes: pd.Series) -> np.ndarray:
        """Return the number of every barcode's cell, -1 for barcodes of no cell."""
        codes, distinct = pd.factorize(barcodes)
        new = pd.Index([name for name in distinct if name not in self._known])
        if len(new):
            self._known.update(zip(map(str, new), self.keys.find(new).tolist(), strict=True))
        return np.array([self._known[str(name)] for name in distinct], dtype=np.int64)[codes]


@dataclass(frozen=True)
class _Names:
    """Names without a sequence that is a barcode: compared as they are, or without what stands at an end."""

    rule: str
    level: int
    names: pd.Index

    @classmethod
    def by_best_rule(cls, names: pd.Index, barcodes: pd.Index) -> _Names:
        """Choose the rule by which most barcodes are cells; names as they are win where they find half of them."""
        best, most = cls("names", 0, names), 0
        for rule in ("names", "suffix", "prefix"):
            for level, (left, right) in enumerate(name_keys(names, barcodes, rule)):
                if level > 1 or left.dropna().duplicated().any():
                    break  # a key is not one cell
                n = int(left.isin(set(right.dropna())).sum())
                if n > most:
                    best, most = cls(rule, level, names), n
            if rule == "names" and most >= _FEW * min(len(names), len(barcodes)):
                break
        return best

    def find(self, barcodes: pd.Index) -> np.ndarray:
        keys = list(name_keys(self.names, barcodes, self.rule))[self.level]
        where = pd.Series(np.arange(len(self.names)), index=keys[0].to_numpy())
        where = where[where.index.notna()]
        return where.reindex(keys[1].to_numpy()).fillna(-1).to_numpy(dtype=np.int64)


@dataclass(frozen=True)
class _Samples:
    """Barcodes with the marks of their samples, and which mark of the file may be which sample of the data.

    Attributes
    ----------
    cells
        Columns barcode, before, after and mark, one row per cell.
    samples
        Marks of the data.
    marks
        Marks of the file.
    allowed
        Samples of the data x marks of the file.
    """

    cells: pd.DataFrame
    samples: pd.Index
    marks: pd.Index
    allowed: np.ndarray

    @classmethod
    def of_both(cls, names: pd.Index, counted: pd.Series) -> _Samples | None:
        """Return the samples of both sides; None where names or barcodes hold no sequences.

        Parameters
        ----------
        counted
            Fragments per barcode.
        """
        cells, theirs = _marked(names), _marked(counted.index)
        samples, marks = (pd.Index(side["mark"].dropna().unique()) for side in (cells, theirs))
        for side, found in ((cells, samples), (theirs, marks)):
            most = max(1, min(_MOST_SAMPLES, len(side) // 2))  # else they mark cells, not samples
            if side["mark"].notna().mean() < _NEARLY_ALL or not 0 < len(found) <= most:
                return None
        pairs = cells[["barcode", "mark"]].merge(
            theirs[["barcode", "mark"]].assign(n=counted.to_numpy()), on="barcode", suffixes=("", "_file")
        )
        same = samples.to_numpy()[:, None] == marks.to_numpy()
        if (pairs["mark"] == pairs["mark_file"]).sum() >= _NEARLY_ALL * min(len(cells), len(theirs)):
            return cls(cells, samples, marks, same)
        total = np.zeros(same.shape)
        np.add.at(total, (samples.get_indexer(pairs["mark"]), marks.get_indexer(pairs["mark_file"])), pairs["n"])
        n_cells = cells["mark"].value_counts().reindex(samples).to_numpy()[:, None]
        return cls(cells, samples, marks, _allowed(total, n_cells, same))

    @property
    def rule(self) -> str:
        """``names`` where all marks are the same on both sides, else what has to be taken off."""
        rows, columns = np.nonzero(self.allowed)
        ours, theirs = (
            np.array([mark.split("|") for mark in side[at]]).reshape(-1, 2)
            for side, at in ((self.samples, rows), (self.marks, columns))
        )
        before, after = (bool((ours[:, part] == theirs[:, part]).all()) for part in (0, 1))
        return {(True, True): "names", (True, False): "suffix", (False, True): "prefix"}.get(
            (before, after), "prefix and suffix"
        )

    def absent(self) -> dict[str, int]:
        """Return the samples of the data that no mark of the file is, with their numbers of cells."""
        alone = self.samples[np.flatnonzero(~self.allowed.any(axis=1))]
        if len(alone) == len(self.samples):
            return {}
        counts = self.cells["mark"].value_counts()
        return {_shown(mark): int(counts[mark]) for mark in alone}

    def unclear(self) -> tuple[str, ...]:
        """Return the samples that share a mark of the file, or have several, though barcodes tell samples apart."""
        many = self.allowed[:, self.allowed.sum(axis=0) > 1].any(axis=1) | (self.allowed.sum(axis=1) > 1)
        return tuple(_shown(mark) for mark in self.samples[np.flatnonzero(many)])

    def find(self, barcodes: pd.Index) -> np.ndarray:
        new = pd.Index(self.samples.difference(self.marks))  # marks that come later in the file are what they are
        pairs = [(self.samples[row], self.marks[column]) for row, column in zip(*np.nonzero(self.allowed), strict=True)]
        table = pd.DataFrame([*pairs, *zip(new, new, strict=True)], columns=["mark", "mark_file"])
        ours = self.cells.reset_index(names="number").merge(table, on="mark")
        keys = pd.Index(ours["barcode"] + "|" + ours["mark_file"])
        where = ours["number"].set_axis(keys)[~keys.duplicated(keep=False)]  # several cells are not guessed
        theirs = _marked(barcodes)
        wanted = (theirs["barcode"] + "|" + theirs["mark"]).to_numpy()
        return where.reindex(wanted).fillna(-1).to_numpy(dtype=np.int64)


def _marked(names: pd.Index) -> pd.DataFrame:
    parts = split_names(names)
    return parts.assign(barcode=parts["barcode"].str.upper(), mark=parts["before"] + "|" + parts["after"])


def _shown(mark: str) -> str:
    return mark.replace("|", "BARCODE")


def _allowed(total: np.ndarray, n_cells: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return which mark of the file may be which sample: by fragments per cell, then where the marks are the same."""
    depth = total / n_cells
    cautious = (total + 1) / n_cells
    likely = total > 0
    for axis in (0, 1):
        likely &= _DEEPER * cautious > depth.max(axis=axis, keepdims=True)
    if not likely.any():
        likely = np.ones_like(likely)
    certain = likely & same
    taken = certain.any(axis=0, keepdims=True) | certain.any(axis=1, keepdims=True)
    return certain | (likely & ~taken)
